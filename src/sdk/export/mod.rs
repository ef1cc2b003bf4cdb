//! Exporters: where spans are sent.
//!
//! [`Otlp`] has the settings of the OTLP exporter, [`ConsoleExporter`] prints traces as trees.
//! [`with_span_exporter`](crate::TelemetryBuilder::with_span_exporter) takes any other.

#[cfg(feature = "console")]
pub use self::console::ConsoleExporter;
#[cfg(feature = "otlp-http")]
pub use self::{otlp::Otlp, protocol::Protocol};

#[cfg(feature = "otlp-http")]
mod otlp;
#[cfg(feature = "otlp-http")]
mod protocol;
#[cfg(feature = "otlp-http")]
mod endpoint;
#[cfg(feature = "otlp-http")]
mod headers;
#[cfg(feature = "otlp-http")]
mod http;
pub(crate) mod exporter;
pub(crate) mod foreign;
#[cfg(feature = "console")]
mod console;
#[cfg(feature = "console")]
mod tree;
#[cfg(feature = "console")]
mod screen;
