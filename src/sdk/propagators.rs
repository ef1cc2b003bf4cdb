//! The propagators that the environment names.

use crate::{
    propagation::{Baggage, Propagator, TraceContext},
    sdk::env::Env,
};

const VARIABLE: &str = "OTEL_PROPAGATORS";

/// [`tracecontext,baggage`][default] if it names none that is known.
///
/// [default]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
pub(super) fn from_env(env: &mut Env) -> Propagator {
    let default = || Propagator::new(TraceContext::new()).and(Baggage::new());
    let Some(list) = env.get(VARIABLE) else {
        return default();
    };
    let (named, bad) = Propagator::from_list(&list);
    for (entry, is) in bad {
        env.warn(VARIABLE, entry, format!("{is} and was left out"));
    }
    named.unwrap_or_else(default)
}
