//! The builder: a decision for roots, and whether a parent's decision comes first.

use opentelemetry_sdk::trace::{self as sdk, ShouldSample};

use crate::{
    error::BuildError,
    sdk::{Sampler, sampler::decision::Forecast},
};

/// Builds a [`Sampler`]: which traces are recorded.
///
/// By default every trace is, and a request that belongs to a trace follows its parent's decision,
/// recorded or not: the [specification's default], `parentbased_always_on`.
///
/// ```
/// use tower_telemetry::{SamplerBuilder, Telemetry};
///
/// // One new trace in ten; what a caller has decided stays decided.
/// let sampler = SamplerBuilder::new().with_ratio(0.1);
/// let telemetry = Telemetry::builder().with_sampler(sampler).build()?;
/// assert!(format!("{telemetry:?}").contains("TraceIdRatioBased(0.1)"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// It works without a [`Telemetry`](crate::Telemetry) as well: what [`build`](Self::build) gives
/// goes into any SDK tracer provider.
///
/// ```
/// use opentelemetry::trace::{Span, Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tower_telemetry::SamplerBuilder;
///
/// let sampler = SamplerBuilder::new().with_always_off().build()?;
/// let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
/// assert!(!provider.tracer("test").start("span").is_recording());
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// [specification's default]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers
#[must_use]
#[derive(Clone, Debug)]
pub struct SamplerBuilder {
    root: Root,
    parent: Parent,
}

/// What is decided where there is no parent to follow.
#[derive(Clone, Debug)]
enum Root {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
    Custom(Box<dyn ShouldSample>),
}

#[derive(Clone, Copy, Debug)]
enum Parent {
    Followed,
    Ignored,
}

impl SamplerBuilder {
    /// The default: every trace, after its parent's decision.
    pub fn new() -> Self {
        Self { root: Root::AlwaysOn, parent: Parent::Followed }
    }

    /// Records every trace that starts here. This is the default.
    pub fn with_always_on(mut self) -> Self {
        self.root = Root::AlwaysOn;
        self
    }

    /// Records no trace that starts here.
    pub fn with_always_off(mut self) -> Self {
        self.root = Root::AlwaysOff;
        self
    }

    /// Records this share of the traces that start here, from 0 (none) to 1 (all), chosen by
    /// [trace id]. Anything else, NaN included, is an error of [`build`](Self::build).
    ///
    /// [trace id]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased
    pub fn with_ratio(mut self, ratio: f64) -> Self {
        self.root = Root::Ratio(ratio);
        self
    }

    /// Lets a sampler of your own decide over the traces that start here.
    pub fn with_root<S: ShouldSample + 'static>(mut self, sampler: S) -> Self {
        self.root = Root::Custom(Box::new(sampler));
        self
    }

    /// Follows the parent's decision where there is a parent, as is the default: a request of a
    /// trace that is recorded is recorded, one of a trace that is not is not. A caller that has left
    /// the decision to others, as [B3](crate::propagation::B3) and
    /// [X-Ray](crate::propagation::XRay) can say, is no parent to follow.
    pub fn with_parent(mut self) -> Self {
        self.parent = Parent::Followed;
        self
    }

    /// Decides over every span as if it were the first of its trace, whatever its parent's decision
    /// was. Traces may come out with holes.
    pub fn without_parent(mut self) -> Self {
        self.parent = Parent::Ignored;
        self
    }

    /// The sampler.
    ///
    /// # Errors
    ///
    /// The ratio is not from 0 to 1.
    pub fn build(self) -> Result<Sampler, BuildError> {
        let (root, root_forecast): (Box<dyn ShouldSample>, _) = match self.root {
            Root::AlwaysOn => (Box::new(sdk::Sampler::AlwaysOn), Some(1.0)),
            Root::AlwaysOff => (Box::new(sdk::Sampler::AlwaysOff), Some(0.0)),
            Root::Ratio(ratio) if is_ratio(ratio) => {
                (Box::new(sdk::Sampler::TraceIdRatioBased(ratio)), Some(ratio))
            }
            Root::Ratio(ratio) => {
                return Err(BuildError::new("sampling ratio", ratio, "must be from 0 to 1"));
            }
            Root::Custom(sampler) => (sampler, None),
        };
        Ok(match self.parent {
            Parent::Followed => Sampler::new(
                Box::new(sdk::Sampler::parent_based(root.clone())),
                Forecast { root: root_forecast, follows_parent: true },
            )
            .with_undecided(root),
            Parent::Ignored => {
                Sampler::new(root, Forecast { root: root_forecast, follows_parent: false })
            }
        })
    }
}

impl Default for SamplerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn is_ratio(ratio: f64) -> bool {
    // A range contains no NaN.
    (0.0..=1.0).contains(&ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_outside_0_to_1_is_an_error_that_names_it() {
        for (ratio, value) in [
            (f64::NAN, "NaN"),
            (-0.1, "-0.1"),
            (1.1, "1.1"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let error = SamplerBuilder::new().with_ratio(ratio).build().unwrap_err();
            assert_eq!((error.setting(), error.value()), ("sampling ratio", value));
        }
        for ratio in [0.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0] {
            assert!(SamplerBuilder::new().with_ratio(ratio).build().is_ok(), "{ratio}");
        }
    }
}
