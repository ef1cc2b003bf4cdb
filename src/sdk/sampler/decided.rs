//! What is decided over a span, and what that makes of its trace's state.

use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult};

use crate::sdk::sampler::{
    ruling::Ruling,
    threshold::Threshold,
    trace::{Presumed, Trace},
};

/// What is decided over a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    Dropped,
    Sampled(Count),
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
    /// What a rule says.
    pub(super) fn by(ruling: Ruling, trace: &Trace<'_>, presumed: &Presumed) -> Self {
        match ruling {
            Ruling::Drop => Self::Dropped,
            Ruling::Keep(threshold) => Self::at(threshold, trace, presumed),
        }
    }

    /// What a threshold makes of the trace's randomness.
    #[inline]
    pub(super) fn at(threshold: Threshold, trace: &Trace<'_>, presumed: &Presumed) -> Self {
        presumed.check(trace, threshold);
        if threshold.keeps(trace.randomness()) {
            Self::Sampled(Count::Known(threshold))
        } else {
            Self::Dropped
        }
    }

    /// The same as the parent. A threshold that [cannot be true][inconsistent] is none.
    ///
    /// [inconsistent]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#parent-based-threshold
    #[inline]
    pub(super) fn as_parent(trace: &Trace<'_>) -> Self {
        if !trace.parent().is_sampled() {
            return Self::Dropped;
        }
        let said = trace.ot.threshold().filter(|threshold| threshold.keeps(trace.randomness()));
        Self::Sampled(said.map_or(Count::Unknown, Count::Known))
    }

    /// The same, where as many are dropped as it takes, so that nobody can tell how many one that
    /// is sampled stands for.
    pub(super) fn limited(self, may_pass: impl FnOnce() -> bool) -> Self {
        match self {
            Self::Sampled(_) if may_pass() => Self::Sampled(Count::Unknown),
            Self::Sampled(_) | Self::Dropped => Self::Dropped,
        }
    }

    /// For the SDK, with the trace's state: a threshold is for those who are sampled.
    #[inline]
    pub(super) fn result(self, trace: &Trace<'_>) -> SamplingResult {
        let (decision, threshold) = match self {
            Self::Dropped => (SamplingDecision::Drop, None),
            Self::Sampled(count) => {
                let threshold = match count {
                    Count::Known(threshold) => Some(threshold),
                    Count::One => trace.ot.says_threshold().then_some(Threshold::KEEP_ALL),
                    Count::Unknown => None,
                };
                (SamplingDecision::RecordAndSample, threshold)
            }
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: trace.state(threshold) }
    }
}
