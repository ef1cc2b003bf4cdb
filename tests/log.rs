//! What the export thread logs. It has no subscriber but the process's, so it has a process of its
//! own.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower_telemetry::Telemetry;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const LONG: Duration = Duration::from_secs(30);

/// Tells what is logged under this crate's name, and then panics, which is to end no export.
struct Tells(mpsc::Sender<(Level, String)>);

impl Subscriber for Tells {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tower-telemetry"
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let _ = self.0.send((*event.metadata().level(), message.0));
        panic!("the subscriber panics, as it was told to");
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.0 = format!("{value:?}");
    }
}

#[derive(Debug, Default)]
struct Fails(Arc<AtomicBool>);

impl SpanExporter for Fails {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match self.0.load(Ordering::Relaxed) {
            true => Err(OTelSdkError::InternalFailure("the collector is gone".to_owned())),
            false => Ok(()),
        }
    }
}

#[test]
fn the_first_loss_and_each_recovery_are_one_line_each() {
    let (tell, told) = mpsc::channel();
    tracing::subscriber::set_global_default(Tells(tell)).unwrap();
    let exporter = Fails::default();
    let fails = Arc::clone(&exporter.0);
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_exporter(exporter)
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let end = |spans| (0..spans).for_each(|_| drop(tracer.start("span")));

    for _ in 0..2 {
        fails.store(true, Ordering::Relaxed);
        for _ in 0..20 {
            end(100);
            telemetry.force_flush(LONG).unwrap_err();
        }
        let (level, message) = told.recv_timeout(LONG).unwrap();
        assert_eq!(level, Level::WARN);
        assert!(message.contains("Fails: spans are being lost, "), "{message}");
        assert!(message.contains(" so far: the collector is gone; "), "{message}");

        fails.store(false, Ordering::Relaxed);
        let (level, message) = loop {
            end(1);
            telemetry.force_flush(LONG).unwrap();
            if let Ok(said) = told.try_recv() {
                break said;
            }
        };
        assert_eq!(level, Level::INFO);
        assert!(
            message.contains("Fails: spans are exported again, after 2000 spans "),
            "{message}"
        );
    }

    // Nobody is told by a server that has failed what could not be exported then.
    fails.store(true, Ordering::Relaxed);
    end(1);
    let failed = async { Err::<(), _>(std::io::Error::other("the port is taken")) };
    tokio_test::block_on(telemetry.shutdown_after(failed, LONG)).unwrap_err();
    let (level, message) = told.recv_timeout(LONG).unwrap();
    assert_eq!(level, Level::WARN);
    assert!(message.starts_with("not all spans were exported: 1 span: "), "{message}");
    assert!(told.try_recv().is_err());
}
