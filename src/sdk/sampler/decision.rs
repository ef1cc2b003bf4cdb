//! The sampler: decides, and says beforehand what it is likely to decide.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

/// What a [`SamplerBuilder`](crate::SamplerBuilder) builds: a sampler for any SDK tracer provider.
#[derive(Clone, Debug)]
pub struct Sampler {
    decides: Box<dyn ShouldSample>,
    forecast: Forecast,
}

/// What can be told before a span starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    /// Whether a root is more likely recorded than not; `None` if the sampler is not ours, so that
    /// nothing can be told, not even whether it looks at attributes.
    pub(super) root: Option<bool>,
    pub(super) follows_parent: bool,
}

impl Sampler {
    pub(super) fn new(decides: Box<dyn ShouldSample>, forecast: Forecast) -> Self {
        Self { decides, forecast }
    }

    /// Whether a span below `parent_cx` should have its attributes when it starts: because the
    /// sampler may look at them, or because it will be recorded anyway. Our own samplers do not
    /// look, so a wrong guess costs a little time and nothing else.
    pub(crate) fn wants_start_attributes(&self, parent_cx: &Context) -> bool {
        let Some(root) = self.forecast.root else {
            return true;
        };
        let parent = parent_cx.span();
        let parent = parent.span_context();
        if self.forecast.follows_parent && parent.is_valid() { parent.is_sampled() } else { root }
    }
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        self.decides.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    use super::*;
    use crate::sdk::SamplerBuilder;

    fn parent(flags: TraceFlags) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            1_u128.into(),
            1_u64.into(),
            flags,
            true,
            TraceState::NONE,
        ))
    }

    #[test]
    fn attributes_are_wanted_where_the_span_is_likely_recorded() {
        let (none, sampled, not) =
            (Context::new(), parent(TraceFlags::SAMPLED), parent(TraceFlags::NOT_SAMPLED));
        let on = SamplerBuilder::new();
        let off = SamplerBuilder::new().with_always_off();
        let foreign = SamplerBuilder::new().with_root(opentelemetry_sdk::trace::Sampler::AlwaysOff);
        for (name, builder, expected) in [
            ("on", on.clone(), [true, true, false]),
            ("off", off.clone(), [false, true, false]),
            ("low ratio", SamplerBuilder::new().with_ratio(0.1), [false, true, false]),
            ("high ratio", SamplerBuilder::new().with_ratio(0.9), [true, true, false]),
            ("on without parent", on.without_parent(), [true, true, true]),
            ("off without parent", off.without_parent(), [false, false, false]),
            ("foreign", foreign, [true, true, true]),
        ] {
            let sampler = builder.build().unwrap();
            let wants = [&none, &sampled, &not].map(|cx| sampler.wants_start_attributes(cx));
            assert_eq!(wants, expected, "{name}");
        }
    }
}
