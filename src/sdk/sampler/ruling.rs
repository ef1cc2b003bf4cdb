//! The ruling: what a rule says of a span.

use crate::{error::BuildError, sdk::sampler::threshold::Threshold};

/// What a rule says of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Dropped for good, also where everything is on record.
    Drop,
    /// Kept, if the trace's randomness is not below this.
    Keep(Threshold),
}

impl Ruling {
    /// Keeps this share: none at all, or [one that has a threshold][range].
    ///
    /// [range]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#sampling-probability
    pub(super) fn of_ratio(setting: &'static str, ratio: f64) -> Result<Self, BuildError> {
        if ratio == 0.0 {
            return Ok(Self::Keep(Threshold::KEEP_NONE));
        }
        let must = "must be 0, or from 2⁻⁵⁶ to 1";
        let threshold = Threshold::of_ratio(ratio);
        threshold.map(Self::Keep).ok_or_else(|| BuildError::new(setting, ratio, must))
    }

    /// The share of traces that it keeps.
    pub(super) fn ratio(self) -> f64 {
        match self {
            Self::Drop => 0.0,
            Self::Keep(threshold) => threshold.ratio(),
        }
    }
}
