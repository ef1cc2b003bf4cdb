//! The mark of a request that a rule has dropped, for all that is below it.

use opentelemetry::{
    Context, TraceId,
    trace::{SpanContext, TraceContextExt},
};

/// What a rule has dropped, in the Context of what is below it. On record, that would be parts of a
/// request that itself is not there.
pub(super) struct DroppedByRule {
    trace_id: TraceId,
    /// The sampler that has asked the rule.
    sampler: usize,
}

impl DroppedByRule {
    pub(super) fn mark(cx: &Context, sampler: usize) -> Context {
        let trace_id = cx.span().span_context().trace_id();
        cx.with_value(Self { trace_id, sampler })
    }

    /// Takes the mark out of the Context of a span that is on record: a request that has come back
    /// to this process is another one.
    pub(super) fn clear(cx: Context) -> Context {
        match cx.get() {
            Some(Self { trace_id, .. }) if *trace_id != TraceId::INVALID => {
                cx.with_value(Self { trace_id: TraceId::INVALID, sampler: 0 })
            }
            Some(_) | None => cx,
        }
    }

    /// Whether it is above, in this process and in this trace.
    pub(super) fn is_above(parent_cx: &Context, parent: &SpanContext, sampler: usize) -> bool {
        !parent.is_remote()
            && parent_cx.get().is_some_and(|mark: &Self| {
                mark.trace_id == parent.trace_id() && mark.sampler == sampler
            })
    }
}
