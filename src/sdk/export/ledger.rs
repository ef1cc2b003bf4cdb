//! The ledger: what an exporter was given and could not send.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::sdk::error::Failure;

/// Failures of one exporter that nobody has been told of yet.
#[derive(Debug)]
pub(crate) struct Ledger {
    exporter: String,
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
        Arc::new(Self { exporter: exporter.into(), failed: Mutex::default() })
    }

    pub(crate) fn exporter(&self) -> &str {
        &self.exporter
    }

    /// `spans` of them were lost, for this reason. The last reason is the one that is told.
    pub(crate) fn note(&self, spans: u64, reason: impl fmt::Display) {
        let mut failed = self.lock();
        failed.spans = failed.spans.saturating_add(spans);
        failed.reason = failed.cause.take().unwrap_or_else(|| reason.to_string());
    }

    /// Why the attempt at hand has failed, or that it has not. The OTLP exporter makes *network
    /// error* of whatever its client says, which helps nobody.
    #[cfg(feature = "otlp-http")]
    pub(crate) fn explain(&self, cause: Option<String>) {
        self.lock().cause = cause;
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Option<Failure> {
        let Failed { spans, reason, .. } = std::mem::take(&mut *self.lock());
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

/// An exporter whose failures go into a ledger. The SDK's batch processor knows of them only while
/// it logs them.
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
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        // The SDK's batch processor takes spans that record without being sampled, too. They are
        // for processors, not for backends.
        batch.retain(|span| span.span_context.is_sampled());
        if batch.is_empty() {
            return Ok(());
        }
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            self.ledger.note(spans, error);
        }
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
