//! The ruling: what a rule says of a span.

use crate::sdk::sampler::threshold::Threshold;

/// What a rule says of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Dropped for good, also where everything is on record.
    Drop,
    /// Kept, if the trace's randomness is not below this.
    Keep(Threshold),
}

impl Ruling {
    /// The share of traces that it keeps.
    pub(super) fn ratio(self) -> f64 {
        match self {
            Self::Drop => 0.0,
            Self::Keep(threshold) => threshold.ratio(),
        }
    }
}
