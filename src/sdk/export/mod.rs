//! Exporters: where spans are sent.
//!
//! [`Otlp`] has the settings of the OTLP exporter, [`ConsoleExporter`] prints traces as trees.
//! [`with_span_exporter`](crate::TelemetryBuilder::with_span_exporter) takes any other. [`backends`]
//! has what Jaeger, Tempo, Datadog, Honeycomb and a Collector want, and what to do with many
//! machines.
//!
//! # Example
//!
//! ```
//! use tower_telemetry::Telemetry;
//!
//! // Where `OTEL_EXPORTER_OTLP_ENDPOINT` says, or to a collector on this machine.
//! let telemetry = Telemetry::builder().with_environment([("", ""); 0]).build()?;
//! let destinations: Vec<&str> = telemetry.destinations().collect();
//! assert_eq!(destinations, ["OTLP to localhost:4318/v1/traces"]);
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Example: gRPC to a collector elsewhere, and a copy to a vendor over HTTP
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_telemetry::{
//!     Telemetry,
//!     sdk::export::{Compression, Otlp, Protocol},
//! };
//!
//! let collector = Otlp::new()
//!     .with_protocol(Protocol::Grpc)
//!     .with_endpoint("http://collector.example:4317")
//!     .without_proxy();
//! let vendor = Otlp::new()
//!     .with_protocol(Protocol::HttpProtobuf)
//!     .with_endpoint("http://otlp.vendor.example")
//!     .with_header("x-api-key", "secret")
//!     .with_compression(Compression::Gzip)
//!     .with_timeout(Duration::from_secs(5))
//!     .with_proxy("http://user:secret@proxy.example:3128");
//! let telemetry = Telemetry::builder().with_otlp(collector).with_otlp(vendor).build()?;
//! let destinations: Vec<&str> = telemetry.destinations().collect();
//! assert_eq!(
//!     destinations,
//!     ["OTLP to collector.example:4317", "OTLP to otlp.vendor.example/v1/traces"],
//! );
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```

#[cfg(feature = "console")]
pub use self::console::ConsoleExporter;
#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
pub use self::otlp::{compression::Compression, protocol::Protocol, settings::Otlp};

#[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
pub(crate) mod otlp;
pub(crate) mod item;
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
