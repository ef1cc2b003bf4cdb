//! The sampler: decides, and says beforehand what it is likely to decide.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use crate::propagation::received::is_undecided;

/// What a [`SamplerBuilder`](crate::SamplerBuilder) builds: a sampler for any SDK tracer provider.
#[derive(Clone, Debug)]
pub struct Sampler {
    decides: Box<dyn ShouldSample>,
    /// Decides where a caller has left that to us, which to OpenTelemetry looks like a parent that
    /// is not sampled.
    undecided: Option<Box<dyn ShouldSample>>,
    forecast: Forecast,
}

/// What can be told before a span starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    /// Which share of roots is recorded; `None` if the sampler is not ours, so that nothing can be
    /// told, not even whether it looks at attributes.
    pub(super) root: Option<f64>,
    pub(super) follows_parent: bool,
}

impl Sampler {
    pub(super) fn new(decides: Box<dyn ShouldSample>, forecast: Forecast) -> Self {
        Self { decides, undecided: None, forecast }
    }

    pub(super) fn with_undecided(mut self, root: Box<dyn ShouldSample>) -> Self {
        self.undecided = Some(root);
        self
    }

    /// Whether a span is sampled if its parent is.
    pub(crate) fn follows_parents(&self) -> bool {
        self.forecast.follows_parent
    }

    /// Whether a span below `parent_cx` should have its attributes when it starts, and not only
    /// once it is known to record.
    ///
    /// Our own samplers do not look at them. A processor may, when the span starts; if there is one
    /// (`observed`), only a span that is certain to be dropped goes without. Otherwise nobody can
    /// tell, and what is more likely decides.
    pub(crate) fn wants_start_attributes(&self, parent_cx: &Context, observed: bool) -> bool {
        let Some(root) = self.forecast.root else {
            return true;
        };
        let parent = parent_cx.span();
        let parent = parent.span_context();
        let share = match self.forecast.follows_parent && parent.is_valid() {
            true if parent.is_sampled() => 1.0,
            true if !is_undecided(parent_cx) => 0.0,
            _ => root,
        };
        share > if observed { 0.0 } else { 0.5 }
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
        let decides = match &self.undecided {
            Some(root) if parent_context.is_some_and(is_undecided) => root,
            _ => &self.decides,
        };
        decides.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};

    use super::*;
    use crate::propagation::{B3, Propagator};
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
    fn attributes_are_wanted_where_somebody_may_look_or_the_span_is_likely_recorded() {
        let (none, sampled, not) =
            (Context::new(), parent(TraceFlags::SAMPLED), parent(TraceFlags::NOT_SAMPLED));
        let mut headers = http::HeaderMap::new();
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        headers.insert("b3", http::HeaderValue::from_static(ids));
        let undecided = Propagator::new(B3::new()).extract(&none, &headers);
        let on = SamplerBuilder::new();
        let off = SamplerBuilder::new().with_always_off();
        let ratio = |ratio| SamplerBuilder::new().with_ratio(ratio);
        let foreign = SamplerBuilder::new().with_root(opentelemetry_sdk::trace::Sampler::AlwaysOff);
        // Without a parent, with one that is sampled, with one that is not.
        for (name, builder, unobserved, observed) in [
            ("on", on.clone(), [true, true, false], [true, true, false]),
            ("off", off.clone(), [false, true, false], [false, true, false]),
            ("ratio 0", ratio(0.0), [false, true, false], [false, true, false]),
            ("low ratio", ratio(0.1), [false, true, false], [true, true, false]),
            ("high ratio", ratio(0.9), [true, true, false], [true, true, false]),
            ("on without parent", on.without_parent(), [true; 3], [true; 3]),
            ("off without parent", off.without_parent(), [false; 3], [false; 3]),
            ("foreign", foreign, [true; 3], [true; 3]),
        ] {
            let sampler = builder.build().unwrap();
            for (is_observed, expected) in [(false, unobserved), (true, observed)] {
                let wants = |cx| sampler.wants_start_attributes(cx, is_observed);
                let of_each = [&none, &sampled, &not].map(wants);
                assert_eq!(of_each, expected, "{name}, observed: {is_observed}");
                // One that has decided nothing is as good as none.
                assert_eq!(wants(&undecided), wants(&none), "{name}, observed: {is_observed}");
            }
        }
    }
}
