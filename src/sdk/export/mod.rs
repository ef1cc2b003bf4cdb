//! Exporters: where spans are sent.
//!
//! [`Otlp`] has the settings of the OTLP exporter, [`ConsoleExporter`] prints traces as trees.
//! [`with_span_exporter`](crate::TelemetryBuilder::with_span_exporter) takes any other. [`backends`]
//! has what Jaeger, Tempo, Datadog, Honeycomb and a Collector want, and what to do with many machines.

#[cfg(feature = "console")]
pub use self::console::ConsoleExporter;
#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
pub use self::otlp::{compression::Compression, protocol::Protocol, settings::Otlp};

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
mod otlp;
pub(crate) mod exporter;
pub(crate) mod foreign;
#[cfg(feature = "console")]
mod console;
#[cfg(feature = "console")]
mod tree;
#[cfg(feature = "console")]
mod screen;

// A page, and no part of what is built.
#[cfg(doc)]
#[doc = include_str!("backends.md")]
pub mod backends {}
