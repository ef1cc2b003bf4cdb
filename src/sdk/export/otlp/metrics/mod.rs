//! Metrics: from a collection to the bodies of requests, and on their way.

pub(super) mod exporter;
mod encode;
mod halves;
#[cfg(feature = "otlp-json")]
mod numbers;
