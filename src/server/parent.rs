//! The parent: whose request this is.

use http::HeaderMap;
use opentelemetry::Context;

use crate::server::layer::Config;

/// The current Context, with the caller's span in it if the headers carry one.
pub(super) fn parent_cx(config: &Config, headers: &HeaderMap) -> Context {
    // A clone, not a borrow: a propagator of the user's may attach a Context of its own.
    config.providers.propagator.extract(&Context::current(), headers)
}
