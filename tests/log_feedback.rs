//! Nothing that exporters log is exported. They log to the process's subscriber, so this has a
//! process of its own.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

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
    sdk::{
        ExporterHealth,
        export::{Otlp, Protocol},
        logs::LogSettings,
    },
};
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::collector::{Answer, Collector};

#[allow(dead_code, reason = "not all of it is for this")]
#[path = "it/support/collector.rs"]
mod collector;

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

/// With exporters of the user's, and with ours to a port that nobody listens on.
fn talking(talks: &Talks) -> Telemetry {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let timeout = Duration::from_millis(50);
    let otlp = || Otlp::new().with_endpoint(format!("http://{nowhere}")).with_timeout(timeout);
    Telemetry::builder()
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
        .unwrap()
}

fn sending(collector: &Collector, protocol: Protocol) -> Telemetry {
    let otlp = Otlp::new().with_endpoint(collector.url()).with_protocol(protocol);
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_otlp(otlp.clone())
        .with_logs(LogSettings::new().with_otlp(otlp))
        .build()
        .unwrap()
}

#[test]
fn what_exporters_and_processors_log_is_not_exported() {
    let talks = Talks::default();
    // One that breaks off, first of all.
    let collector = Collector::start([Answer::Close]);
    let telemetries = [
        talking(&talks),
        sending(&collector, Protocol::HttpProtobuf),
        sending(&collector, Protocol::HttpJson),
        sending(&collector, Protocol::Grpc),
    ];
    let layers: Vec<_> = telemetries.iter().filter_map(Telemetry::log_layer).collect();
    tracing_subscriber::registry().with(layers).init();

    for round in 1..=3 {
        info!("own");
        // The program's own client has the same name as the exporter's.
        debug!(target: "hyper::client", "own client");
        for telemetry in &telemetries {
            drop(telemetry.tracer_provider().tracer("test").start("span"));
            let _ = telemetry.force_flush(LONG);
        }
        for telemetry in &telemetries {
            for exporter in telemetry.health().log_exporters() {
                assert_eq!((exporter.ended(), exporter.in_flight()), (2 * round, 0), "{exporter}");
            }
        }
    }
    // Of the telemetry itself nothing is exported, whoever says it.
    warn!(target: "tower-telemetry", "spans are being lost");
    warn!(target: "opentelemetry_sdk", "a limit is reached");
    for telemetry in &telemetries {
        let _ = telemetry.shutdown(LONG);
        assert!(telemetry.health().log_exporters().all(|exporter| exporter.ended() == 6));
    }

    let own = r#"Some(String(Owned("own")))"#;
    let client = r#"Some(String(Owned("own client")))"#;
    let bodies = talks.bodies.lock().unwrap();
    assert_eq!(bodies.len(), 6);
    assert!(bodies.iter().all(|body| body == own || body == client), "{bodies:?}");
    // It has said something each time: for the resource, six records, three batches of them and of
    // spans, and a shutdown.
    assert_eq!(talks.said.load(Ordering::Relaxed), 5 * (1 + 6 + 3 + 3 + 1));

    let exported: u64 = telemetries[1..]
        .iter()
        .flat_map(|telemetry| {
            telemetry.health().log_exporters().map(ExporterHealth::exported).collect::<Vec<_>>()
        })
        .sum();
    assert_eq!(exported, 3 * 6);
}
