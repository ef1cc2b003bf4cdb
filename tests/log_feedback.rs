//! Nothing that exporters log is exported. They log to the process's subscriber, so this has a process
//! of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    InstrumentationScope,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord},
    trace::{SpanData, SpanExporter},
};
use tower_telemetry::{
    Telemetry,
    sdk::{ExporterHealth, export::Otlp, logs::LogSettings},
};
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

const LONG: Duration = Duration::from_secs(30);

/// What is the user's, and logs at every level in all that it does, also under the names of others.
#[derive(Clone, Debug, Default)]
struct Talks {
    said: Arc<AtomicUsize>,
    /// What it was given.
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Talks {
    fn talk(&self) {
        trace!("sending");
        debug!(target: "hyper::client", "connecting");
        info!(target: "h2", "a frame");
        warn!(target: "opentelemetry_sdk", "slow");
        error!("failed");
        self.said.fetch_add(5, Ordering::Relaxed);
    }
}

impl LogExporter for Talks {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.talk();
        let bodies = batch.iter().map(|(record, _)| format!("{:?}", record.body()));
        self.bodies.lock().unwrap().extend(bodies);
        Err(OTelSdkError::InternalFailure("as ever".to_owned()))
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.talk();
        Ok(())
    }
}

impl LogProcessor for Talks {
    fn emit(&self, _: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.talk();
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    // The subscriber is not there yet, when it is told.
    fn set_resource(&mut self, _: &Resource) {
        self.talk();
    }
}

impl SpanExporter for Talks {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.talk();
        Err(OTelSdkError::InternalFailure("as ever".to_owned()))
    }
}

#[test]
fn what_exporters_and_processors_log_is_not_exported() {
    // A port that nobody listens on, so that ours have something to say, too.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let otlp = || {
        Otlp::new()
            .with_endpoint(format!("http://{nowhere}"))
            .with_timeout(Duration::from_millis(50))
    };
    let talks = Talks::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_otlp(otlp())
        .with_span_exporter(talks.clone())
        .with_logs(
            LogSettings::new()
                .with_processor(talks.clone())
                .with_otlp(otlp())
                .with_exporter(talks.clone()),
        )
        .build()
        .unwrap();
    tracing_subscriber::registry().with(telemetry.log_layer()).init();

    for round in 1..=3 {
        drop(telemetry.tracer_provider().tracer("test").start("span"));
        info!("own");
        // The program's own client has the same name as the exporter's.
        debug!(target: "hyper::client", "own client");
        telemetry.force_flush(LONG).unwrap_err();
        for exporter in telemetry.health().log_exporters() {
            assert_eq!((exporter.ended(), exporter.lost()), (2 * round, 2 * round), "{exporter}");
        }
    }
    // Of the telemetry itself nothing is exported, whoever says it.
    warn!(target: "tower-telemetry", "spans are being lost");
    warn!(target: "opentelemetry_sdk", "a limit is reached");
    telemetry.shutdown(LONG).ok();

    let emitted: Vec<u64> = telemetry.health().log_exporters().map(ExporterHealth::ended).collect();
    assert_eq!(emitted, [6, 6]);
    let own = r#"Some(String(Owned("own")))"#;
    let client = r#"Some(String(Owned("own client")))"#;
    let bodies = talks.bodies.lock().unwrap();
    assert_eq!(bodies.len(), 6);
    assert!(bodies.iter().all(|body| body == own || body == client), "{bodies:?}");
    // It has said something each time: for the resource, six records, three batches of them and of
    // spans, and a shutdown.
    assert_eq!(talks.said.load(Ordering::Relaxed), 5 * (1 + 6 + 3 + 3 + 1));
}
