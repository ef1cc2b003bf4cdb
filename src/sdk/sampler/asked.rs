//! The question that the SDK asks a sampler, in one piece.

use std::sync::LazyLock;

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use crate::sdk::sampler::Candidate;

/// What [`ShouldSample::should_sample`] is asked with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    parent_context: Option<&'a Context>,
    trace_id: TraceId,
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        parent_context: Option<&'a Context>,
        trace_id: TraceId,
        name: &'a str,
        kind: &'a SpanKind,
        attributes: &'a [KeyValue],
        links: &'a [Link],
    ) -> Self {
        Self { parent_context, trace_id, name, kind, attributes, links }
    }

    pub(super) fn parent_cx(&self) -> &'a Context {
        static NONE: LazyLock<Context> = LazyLock::new(Context::new);
        self.parent_context.unwrap_or_else(|| &NONE)
    }

    pub(super) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    pub(super) fn kind(&self) -> &'a SpanKind {
        self.kind
    }

    /// The span as rules see it.
    pub(super) fn candidate(&self) -> Candidate<'a> {
        Candidate::of_span(self.kind, self.parent_cx(), self.name, self.attributes)
    }

    /// Asks somebody else the same.
    pub(super) fn ask(&self, sampler: &dyn ShouldSample) -> SamplingResult {
        let Self { parent_context, trace_id, name, kind, attributes, links } = *self;
        sampler.should_sample(parent_context, trace_id, name, kind, attributes, links)
    }
}
