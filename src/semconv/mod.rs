//! The words: attribute keys, and the pure functions that turn a request into their values.
//!
//! Everything here follows the [semantic conventions] in the version that
//! [`SCHEMA_URL`](crate::SCHEMA_URL) names. Nothing here knows of a service, a span or a layer.
//!
//! [semantic conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

pub(crate) mod error_kind;
pub(crate) mod forwarded;
pub(crate) mod grpc;
pub(crate) mod host;
pub(crate) mod keys;
pub(crate) mod legacy;
pub(crate) mod method;
pub(crate) mod status;
pub(crate) mod url;
pub(crate) mod user_agent;
