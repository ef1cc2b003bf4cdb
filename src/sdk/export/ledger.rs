//! The ledger: what an exporter was given, and what became of it.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::sdk::{error::Failure, text::plain};
#[cfg(feature = "otlp-http")]
use crate::text::legible;

/// The account of one exporter.
#[derive(Debug)]
pub(crate) struct Ledger {
    exporter: String,
    /// Spans that were handed to its processor.
    ended: AtomicU64,
    /// Those of them that were exported, or noted as failed.
    settled: AtomicU64,
    /// What nobody has been told of yet.
    failed: Mutex<Failed>,
}

#[derive(Debug, Default)]
struct Failed {
    spans: u64,
    reason: String,
    /// Why the attempt at hand has failed, where the exporter does not say.
    cause: Option<String>,
}

impl Ledger {
    pub(crate) fn new(exporter: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            exporter: exporter.into(),
            ended: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            failed: Mutex::default(),
        })
    }

    pub(crate) fn exporter(&self) -> &str {
        &self.exporter
    }

    /// A span has ended and is on its way.
    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// How many spans have ended and were neither exported nor given up: they wait in the queue, or
    /// never got into it.
    pub(crate) fn unsettled(&self) -> u64 {
        let settled = self.settled.load(Ordering::Relaxed);
        self.ended.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// `spans` of them were lost, for this reason. The last reason is the one that is told.
    pub(crate) fn note(&self, spans: u64, reason: String) {
        let mut failed = self.lock();
        failed.spans = failed.spans.saturating_add(spans);
        failed.reason = failed.cause.take().unwrap_or(reason);
    }

    /// Why the attempt at hand has failed, or that it has not. The OTLP exporter makes *network
    /// error* of whatever its client says, which helps nobody.
    #[cfg(feature = "otlp-http")]
    pub(crate) fn explain(&self, cause: Option<&str>) {
        self.lock().cause = cause.map(legible);
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Option<Failure> {
        let (spans, reason) = {
            let mut failed = self.lock();
            (mem::take(&mut failed.spans), mem::take(&mut failed.reason))
        };
        (spans > 0).then(|| Failure {
            spans,
            timed_out: false,
            reason: format!("{}: {reason}", self.exporter),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exporter that keeps account. The SDK's batch processor knows of a failure only while it logs
/// it.
#[derive(Debug)]
pub(crate) struct Recorded<E> {
    exporter: E,
    ledger: Arc<Ledger>,
}

impl<E> Recorded<E> {
    pub(crate) fn new(exporter: E, ledger: Arc<Ledger>) -> Self {
        Self { exporter, ledger }
    }
}

impl<E: SpanExporter> SpanExporter for Recorded<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            self.ledger.note(spans, plain(error));
        }
        // Not before: what an exporter panics over is not settled.
        self.ledger.settled.fetch_add(spans, Ordering::Relaxed);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
