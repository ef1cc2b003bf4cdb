//! Spans: from a batch to the bodies of requests, and on their way.

pub(super) mod exporter;
mod protobuf;
#[cfg(feature = "otlp-json")]
mod json;
