//! The root decision: what is decided over a trace that starts here.

use std::{fmt, sync::Arc};

use opentelemetry::TraceId;
use opentelemetry_sdk::trace::ShouldSample;

use crate::{
    error::BuildError,
    sdk::sampler::{
        decided::{Count, Decided},
        threshold::Threshold,
        trace::{Presumed, Trace},
    },
};

/// What is decided where there is no parent to follow and no rule holds, as it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Root {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
    TraceIdRatio(f64),
    /// Shared by all that are built of it: it may count.
    Custom(Arc<dyn ShouldSample>),
}

/// The same, if it is ours, with nothing left that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decider {
    AlwaysOn,
    AlwaysOff,
    Ratio(Threshold),
    TraceIdRatio(f64),
}

/// Who decides, or has decided.
#[derive(Debug)]
pub(super) enum Who<O, T> {
    Ours(O),
    Theirs(T),
}

impl Root {
    pub(super) fn decider(&self) -> Result<Who<Decider, Arc<dyn ShouldSample>>, BuildError> {
        const SETTING: &str = "sampling ratio";
        Ok(Who::Ours(match *self {
            Self::AlwaysOn => Decider::AlwaysOn,
            Self::AlwaysOff => Decider::AlwaysOff,
            Self::Ratio(ratio) => Decider::Ratio(Threshold::of_setting(SETTING, ratio)?),
            Self::TraceIdRatio(ratio) if is_ratio(ratio) => Decider::TraceIdRatio(ratio),
            Self::TraceIdRatio(ratio) => {
                return Err(BuildError::new(SETTING, ratio, "must be from 0 to 1"));
            }
            Self::Custom(ref sampler) => return Ok(Who::Theirs(Arc::clone(sampler))),
        }))
    }
}

impl Decider {
    #[inline]
    pub(super) fn decide(self, trace: &Trace<'_>, presumed: &Presumed) -> Decided {
        match self {
            Self::AlwaysOn => Decided::Sampled(Count::One),
            Self::AlwaysOff => Decided::Dropped,
            Self::Ratio(threshold) => Decided::at(threshold, trace, presumed),
            Self::TraceIdRatio(ratio) if is_low(trace.id(), ratio) => {
                Decided::Sampled(Count::Unknown)
            }
            Self::TraceIdRatio(_) => Decided::Dropped,
        }
    }

    /// Which share of the traces it samples.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::AlwaysOn => 1.0,
            Self::AlwaysOff => 0.0,
            Self::Ratio(threshold) => threshold.ratio(),
            Self::TraceIdRatio(ratio) => ratio,
        }
    }
}

/// The [descriptions] of the specification.
///
/// [descriptions]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers
impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlwaysOn => f.write_str("AlwaysOnSampler"),
            Self::AlwaysOff => f.write_str("AlwaysOffSampler"),
            Self::Ratio(ratio) => write!(f, "ProbabilitySampler{{{ratio}}}"),
            Self::TraceIdRatio(ratio) => write!(f, "TraceIdRatioBased{{{ratio}}}"),
            Self::Custom(sampler) => write!(f, "{sampler:?}"),
        }
    }
}

/// The arithmetic of the SDK's `TraceIdRatioBased`: the lower ids are sampled, by 63 bits of their
/// right half. [It stays as it is][frozen].
///
/// [frozen]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased
#[inline]
pub(super) fn is_low(id: TraceId, ratio: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = id.to_bytes();
    let half = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    ratio >= 1.0 || half >> 1 < (ratio * (1_u64 << 63) as f64) as u64
}

pub(super) fn is_ratio(ratio: f64) -> bool {
    // A range contains no NaN.
    (0.0..=1.0).contains(&ratio)
}
