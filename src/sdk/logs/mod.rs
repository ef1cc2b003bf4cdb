//! Where log records go: what is logged through `tracing`, beside the spans it belongs to.
//!
//! [`with_logs`](crate::TelemetryBuilder::with_logs) switches logs on;
//! [`log_layer`](crate::Telemetry::log_layer) is what makes log records of `tracing`'s events, in a
//! subscriber of the program's. Each record has the ids of the span that it was logged in.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
//! use opentelemetry_sdk::{logs::InMemoryLogExporter, trace::InMemorySpanExporter};
//! use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
//! use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
//!
//! let exporter = InMemoryLogExporter::default();
//! // Without an exporter of its own: over OTLP, to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.
//! let telemetry = Telemetry::builder()
//!     .with_service_name("shop")
//!     .with_span_exporter(InMemorySpanExporter::default())
//!     .with_logs(LogSettings::new().with_exporter(exporter.clone()))
//!     .build()?;
//! let subscriber = tracing_subscriber::registry()
//!     .with(telemetry.log_layer().with_filter(LevelFilter::INFO));
//! // In a program: `subscriber.init()`.
//! let _default = tracing::subscriber::set_default(subscriber);
//!
//! let span_id = telemetry.tracer_provider().tracer("mine").in_span("order", |cx| {
//!     tracing::info!(total = 12, "order placed");
//!     cx.span().span_context().span_id()
//! });
//! telemetry.force_flush(Duration::from_secs(5))?;
//! let logged = &exporter.get_emitted_logs()?[0].record;
//! assert_eq!(logged.body(), Some(&"order placed".into()));
//! assert_eq!(logged.trace_context().unwrap().span_id, span_id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What becomes of them
//!
//! What is so of spans is so of log records: they wait in a queue per exporter, which drops what
//! finds it full, and nobody who logs ever waits; batches are sent side by side, again where that
//! helps, and in parts if they are too large; [`health`](crate::Telemetry::health) accounts for
//! each of them; [`force_flush`](crate::Telemetry::force_flush) and
//! [`shutdown`](crate::Telemetry::shutdown) see to them within the one deadline for all; a forked
//! process exports its own.
//!
//! There is no global provider of loggers in OpenTelemetry's API, so
//! [`set_global`](crate::Telemetry::set_global) does nothing for logs: the subscriber is what is
//! global.

pub use self::{layer::LogLayer, settings::LogSettings};

mod settings;
mod destination;
mod layer;
mod limits;
pub(super) mod fan_out;
pub(super) mod record;
pub(super) mod running;
