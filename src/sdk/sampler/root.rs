//! The root decision: what is decided over a trace that starts here.

use std::fmt;

use opentelemetry_sdk::trace::{self as sdk, SamplingDecision, ShouldSample};

use crate::{
    error::BuildError,
    sdk::sampler::{
        asked::Asked,
        decided::{Count, Decided},
        ruling::Ruling,
    },
};

/// What is decided where there is no parent to follow and no rule holds, as it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Root {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
    TraceIdRatio(f64),
    Custom(Box<dyn ShouldSample>),
}

/// The same, with nothing left that can be wrong.
#[derive(Debug)]
pub(super) enum Decider {
    AlwaysOn,
    AlwaysOff,
    Ratio(Ruling),
    TraceIdRatio(f64),
    Custom(Box<dyn ShouldSample>),
}

impl Root {
    pub(super) fn decider(&self) -> Result<Decider, BuildError> {
        Ok(match self {
            Self::AlwaysOn => Decider::AlwaysOn,
            Self::AlwaysOff => Decider::AlwaysOff,
            Self::Ratio(ratio) => Decider::Ratio(Ruling::of_ratio("sampling ratio", *ratio)?),
            Self::TraceIdRatio(ratio) if is_ratio(*ratio) => Decider::TraceIdRatio(*ratio),
            Self::TraceIdRatio(ratio) => {
                return Err(BuildError::new("sampling ratio", ratio, "must be from 0 to 1"));
            }
            Self::Custom(sampler) => Decider::Custom(sampler.clone()),
        })
    }
}

impl Decider {
    pub(super) fn decide(&self, asked: &Asked<'_>) -> Decided {
        match self {
            Self::AlwaysOn => Decided::Sampled(Count::One),
            Self::AlwaysOff => Decided::Dropped,
            Self::Ratio(ruling) => Decided::By(*ruling),
            Self::TraceIdRatio(ratio) => {
                // It looks at the id alone, and would copy the parent's state.
                let sampler = sdk::Sampler::TraceIdRatioBased(*ratio);
                match asked.of_root().ask(&sampler).decision {
                    SamplingDecision::RecordAndSample => Decided::Sampled(Count::Unknown),
                    SamplingDecision::Drop | SamplingDecision::RecordOnly => Decided::Dropped,
                }
            }
            Self::Custom(sampler) => Decided::Elsewhere(asked.ask(&**sampler)),
        }
    }

    /// Which share of the traces it samples, if that can be told, and if it looks at no attributes.
    pub(super) fn share(&self) -> Option<f64> {
        match self {
            Self::AlwaysOn => Some(1.0),
            Self::AlwaysOff => Some(0.0),
            Self::Ratio(ruling) => Some(ruling.ratio()),
            Self::TraceIdRatio(ratio) => Some(*ratio),
            Self::Custom(_) => None,
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

pub(super) fn is_ratio(ratio: f64) -> bool {
    // A range contains no NaN.
    (0.0..=1.0).contains(&ratio)
}
