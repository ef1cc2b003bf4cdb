//! Who uses a telemetry.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use crate::sdk::Sampler;

/// What has happened to a telemetry since it was built. Nothing is ever taken back.
#[derive(Debug, Default)]
pub(crate) struct Used {
    by_layers: AtomicBool,
    by_global: AtomicBool,
    by_others: AtomicBool,
    started: AtomicBool,
    #[cfg(feature = "logs")]
    by_loggers: AtomicBool,
}

impl Used {
    /// A layer was given it, or will be.
    pub(crate) fn by_a_layer(&self) {
        set(&self.by_layers);
    }

    /// It was made global.
    pub(crate) fn by_all(&self) {
        set(&self.by_global);
    }

    /// Its provider was taken for something else.
    pub(crate) fn by_another(&self) {
        set(&self.by_others);
    }

    /// A span was asked of it.
    pub(crate) fn started(&self) {
        set(&self.started);
    }

    /// Its layer for logs was taken, or its provider of loggers.
    #[cfg(feature = "logs")]
    pub(crate) fn by_a_logger(&self) {
        set(&self.by_loggers);
    }

    #[cfg(feature = "logs")]
    pub(super) fn is_by_loggers(&self) -> bool {
        self.by_loggers.load(Ordering::Relaxed)
    }

    pub(crate) fn is_global(&self) -> bool {
        self.by_global.load(Ordering::Relaxed)
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// By whom, in words; none if nobody uses it.
    pub(super) fn by(&self) -> Vec<&'static str> {
        let by = [
            (&self.by_layers, "by layers"),
            (&self.by_global, "as the global provider"),
            (&self.by_others, "through `tracer_provider()`"),
        ];
        let used = by.into_iter().filter(|(used, _)| used.load(Ordering::Relaxed));
        used.map(|(_, by)| by).collect()
    }
}

/// The sampler, which is asked whenever a span starts, also one that nobody sees because it is not
/// sampled.
#[derive(Clone, Debug)]
pub(crate) struct Noting {
    pub(crate) sampler: Sampler,
    pub(crate) used: Arc<Used>,
}

impl ShouldSample for Noting {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        self.used.started();
        self.sampler.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

/// Written once, and from then on only read: each request comes by here, and none is to wait for
/// another's.
fn set(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}
