//! What was decided, and what that makes of the trace's state.

use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult};

use crate::sdk::sampler::{
    ot::Ot,
    ruling::Ruling,
    threshold::{Randomness, Threshold},
};

/// What was decided over a span.
pub(super) enum Decided {
    Dropped,
    Sampled(Count),
    /// Whether it is dropped depends on the trace's randomness.
    By(Ruling),
    /// What the parent says.
    AsParent,
    /// What somebody else's sampler says.
    Elsewhere(SamplingResult),
}

/// For how many spans one that is sampled stands, as [its threshold][count] says.
///
/// [count]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#converting-threshold-to-an-adjusted-count-sampling-rate
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Known(Threshold),
    /// For itself, which goes without saying unless something else was said before.
    One,
    Unknown,
}

impl Decided {
    /// The same, where the trace's randomness has decided.
    pub(super) fn settled(self, parent: &SpanContext, ot: &Ot<'_>, randomness: Randomness) -> Self {
        match self {
            Self::By(Ruling::Keep(threshold)) if threshold.keeps(randomness) => {
                Self::Sampled(Count::Known(threshold))
            }
            Self::AsParent if parent.is_sampled() => {
                // [A threshold that cannot be true][inconsistent] is none.
                //
                // [inconsistent]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#parent-based-threshold
                let said = ot.threshold().filter(|threshold| threshold.keeps(randomness));
                Self::Sampled(said.map_or(Count::Unknown, Count::Known))
            }
            Self::By(_) | Self::AsParent => Self::Dropped,
            settled @ (Self::Dropped | Self::Sampled(_) | Self::Elsewhere(_)) => settled,
        }
    }

    pub(super) fn is_sampled(&self) -> bool {
        match self {
            Self::Sampled(_) => true,
            Self::Elsewhere(result) => result.decision == SamplingDecision::RecordAndSample,
            Self::Dropped | Self::By(_) | Self::AsParent => false,
        }
    }

    /// The same, if as many are dropped as it takes for a rate that nobody can tell beforehand.
    pub(super) fn limited(self, may_pass: impl FnOnce() -> bool) -> Self {
        if !self.is_sampled() {
            return self;
        }
        if !may_pass() {
            return Self::Dropped;
        }
        match self {
            Self::Elsewhere(mut result) => {
                result.trace_state = without_threshold(&result.trace_state);
                Self::Elsewhere(result)
            }
            _ => Self::Sampled(Count::Unknown),
        }
    }

    /// For the SDK, with the trace's state: a threshold is for those who are sampled.
    pub(super) fn result(self, state: &TraceState, ot: &Ot<'_>) -> SamplingResult {
        let (decision, threshold) = match self {
            Self::Elsewhere(result) => return result,
            Self::Sampled(count) => {
                let threshold = match count {
                    Count::Known(threshold) => Some(threshold),
                    Count::One => ot.says_threshold().then_some(Threshold::KEEP_ALL),
                    Count::Unknown => None,
                };
                (SamplingDecision::RecordAndSample, threshold)
            }
            Self::Dropped | Self::By(_) | Self::AsParent => (SamplingDecision::Drop, None),
        };
        let trace_state = ot.write(state, threshold);
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

fn without_threshold(state: &TraceState) -> TraceState {
    Ot::of(state).write(state, None)
}
