//! Metrics: what is measured, collected and sent.
//!
//! [`MetricSettings`] switches them on, for
//! [`TelemetryBuilder::with_metrics`](crate::TelemetryBuilder::with_metrics): then the telemetry has a
//! [meter provider](crate::Telemetry::meter_provider), which layers that are given the telemetry
//! measure with, and [`Telemetry::set_global`](crate::Telemetry::set_global) makes it the global
//! one.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use opentelemetry::metrics::MeterProvider;
//! use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
//!
//! // Where `OTEL_EXPORTER_OTLP_ENDPOINT` says, or to a collector on this machine, once a minute.
//! let telemetry = Telemetry::builder()
//!     .with_environment([("OTEL_METRICS_EXPORTER", "otlp")])
//!     .with_metrics(MetricSettings::new())
//!     .build()?;
//! let meter = telemetry.meter_provider().unwrap().meter("shop");
//! let orders = meter.u64_counter("orders").with_unit("{order}").build();
//! orders.add(1, &[]);
//! let health = telemetry.health();
//! let exporter = health.metric_exporters().next().unwrap();
//! assert_eq!(exporter.name(), "OTLP to localhost:4318/v1/metrics");
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # From an instrument to a collector
//!
//! The SDK aggregates what instruments are given, once for each reader. A reader of ours, `reader`,
//! collects on a thread of its own and hands each collection, `collected`, to a queue, as spans
//! are: so exports are bounded, counted and logged as theirs. A reader of the user's stands beside
//! it, `stage`, and `meters` has them all, flushed and shut down together.

pub use self::settings::MetricSettings;

mod settings;
pub(super) mod destination;
mod view;
pub(super) mod meters;
mod stage;
mod reader;
pub(super) mod collected;
mod foreign;
pub(super) use self::settings::nothing;
