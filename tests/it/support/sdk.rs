//! A span processor and a sampler that do as they are told, and a telemetry with any sampler.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        InMemorySpanExporter, SamplingDecision, SamplingResult, ShouldSample, SimpleSpanProcessor,
        Span, SpanData, SpanProcessor,
    },
};
use tower_telemetry::{SamplerBuilder, Telemetry};

/// A processor that runs these, and nothing where there is none.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_start: Option<fn(&mut Span)>,
    pub(crate) on_end: Option<fn()>,
    pub(crate) on_flush: Option<fn()>,
    pub(crate) on_shutdown: Option<Box<dyn Fn() + Send + Sync>>,
}

impl SpanProcessor for Hooks {
    fn on_start(&self, span: &mut Span, _: &Context) {
        if let Some(hook) = self.on_start {
            hook(span);
        }
    }

    fn on_end(&self, _: SpanData) {
        if let Some(hook) = self.on_end {
            hook();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        if let Some(hook) = self.on_flush {
            hook();
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        if let Some(hook) = &self.on_shutdown {
            hook();
        }
        Ok(())
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// A telemetry with this sampler, and where the spans that it samples go, as soon as they end.
pub(crate) fn sampled_by(sampler: SamplerBuilder) -> (Telemetry, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_sampler(sampler)
        .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
        .build()
        .unwrap();
    (telemetry, exporter)
}

/// A sampler that looks at name, kind and attributes, and then decides what was decided before.
#[derive(Clone)]
pub(crate) struct Decides {
    decision: SamplingDecision,
    looks: Arc<Looks>,
}

type Looks = dyn Fn(&str, &SpanKind, &[KeyValue]) + Send + Sync;

impl Decides {
    pub(crate) fn new(
        decision: SamplingDecision,
        looks: impl Fn(&str, &SpanKind, &[KeyValue]) + Send + Sync + 'static,
    ) -> Self {
        Self { decision, looks: Arc::new(looks) }
    }
}

impl ShouldSample for Decides {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        (self.looks)(name, kind, attributes);
        SamplingResult {
            decision: self.decision.clone(),
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

impl fmt::Debug for Decides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decision.fmt(f)
    }
}
