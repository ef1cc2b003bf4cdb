//! Log records: from a batch to the bodies of requests, and on their way.

pub(super) mod exporter;
mod message;
mod protobuf;
#[cfg(feature = "otlp-json")]
mod json;
