//! A telemetry that is switched off: what stands where the SDK would.

use opentelemetry::{Context, trace::SpanBuilder};
use opentelemetry_sdk::trace::SpanLimits;

use crate::{
    error::BuildError,
    sdk::{Sampler, SamplerBuilder, env::Env},
    tracer::{Known, StartSpan, Started, Unstarted},
};

pub(super) const VARIABLE: &str = "OTEL_SDK_DISABLED";

/// Who has switched it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disabled {
    ByCode,
    ByEnvironment,
}

impl Disabled {
    /// Either can, and neither can take it back: the variable is the [operator's switch][switch].
    ///
    /// [switch]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    pub(super) fn find(by_code: bool, env: &mut Env) -> Option<Self> {
        if by_code {
            return Some(Self::ByCode);
        }
        env.is_true(VARIABLE).then_some(Self::ByEnvironment)
    }
}

/// What layers are given: it starts no span, so that the caller's goes on as the parent of whatever
/// is called.
pub(super) struct NoTracer;

impl StartSpan for NoTracer {
    fn start(
        &self,
        _: SpanBuilder,
        parent_cx: &Context,
        _: Known,
        _: &mut dyn Unstarted<'_>,
    ) -> Started {
        Started::nothing(parent_cx.clone())
    }
}

/// For whoever takes spans from the provider itself: what a caller has sampled stays sampled, below
/// a span that goes nowhere. Were it dropped, or the provider shut down, then the services that are
/// called would drop the caller's trace, or begin one of their own.
pub(super) fn sampler() -> Result<Sampler, BuildError> {
    Sampler::new(SamplerBuilder::new().with_always_off(), false)
}

/// Nothing is put on such a span.
pub(super) const LIMITS: SpanLimits = SpanLimits {
    max_attributes_per_span: 0,
    max_events_per_span: 0,
    max_links_per_span: 0,
    max_attributes_per_event: 0,
    max_attributes_per_link: 0,
};
