//! The ruling: what a rule says of a span, on its way to the sampler.

use std::cell::Cell;

use crate::{error::BuildError, sdk::sampler::threshold::Threshold};

/// What a rule says of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
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
            return Ok(Self::Drop);
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

/// The rules have been asked, and this is what they say; nothing, if none of them matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ruled(pub(super) Option<Ruling>);

thread_local! {
    static RULED: Cell<Option<Ruled>> = const { Cell::new(None) };
}

impl Ruled {
    /// Starts a span whose sampler is to go by this.
    ///
    /// The SDK has no parameter for what is known of a span beside its attributes, and a value in
    /// its Context is three allocations. It calls its sampler on this thread, before `start` comes
    /// back.
    pub(crate) fn hand_over<T>(self, start: impl FnOnce() -> T) -> T {
        /// Also if a sampler panics, or was not asked.
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                RULED.set(None);
            }
        }
        let _reset = Reset;
        RULED.set(Some(self));
        start()
    }

    /// What was handed over. It is for one span: others that start on the way find nothing.
    pub(super) fn take() -> Option<Self> {
        RULED.take()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_ruling_is_for_one_span_and_gone_whatever_happens() {
        let ruled = Ruled(Some(Ruling::Drop));
        let taken = ruled.hand_over(|| (Ruled::take(), Ruled::take()));
        assert_eq!(taken, (Some(ruled), None));

        Ruled(None).hand_over(|| ());
        assert_eq!(Ruled::take(), None);

        assert!(catch_unwind(|| ruled.hand_over(|| panic!("a sampler's"))).is_err());
        assert_eq!(Ruled::take(), None);
    }
}
