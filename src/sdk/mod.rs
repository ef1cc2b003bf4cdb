//! Where finished spans go: resource, sampler, processors and exporters.
//!
//! [`Telemetry`] puts the OpenTelemetry SDK together. Each setting comes from code, or else from
//! the environment, or else is the specification's default.
//!
//! # Example
//!
//! ```
//! use tower_telemetry::Telemetry;
//!
//! // OTLP over HTTP, a parent-based sampler, the W3C headers.
//! let telemetry = Telemetry::builder().with_service_name("shop").build()?;
//! assert!(telemetry.warnings().is_empty());
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Example: everything said in code
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_telemetry::{
//!     ResourceBuilder, SamplerBuilder, Telemetry,
//!     sdk::export::{Otlp, Protocol},
//! };
//!
//! let telemetry = Telemetry::builder()
//!     .with_resource(
//!         ResourceBuilder::new()
//!             .with_service_name("shop")
//!             .with_service_version("1.4.0")
//!             .with_deployment_environment("staging"),
//!     )
//!     .with_sampler(SamplerBuilder::new().with_ratio(0.1))
//!     .with_otlp(
//!         Otlp::new()
//!             .with_protocol(Protocol::HttpProtobuf)
//!             .with_endpoint("http://collector:4318")
//!             .with_timeout(Duration::from_secs(3)),
//!     )
//!     .build()?;
//! let destinations: Vec<&str> = telemetry.destinations().collect();
//! assert_eq!(destinations, ["OTLP to collector:4318/v1/traces"]);
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! Log records go the same way, once they are [switched on](TelemetryBuilder::with_logs); see
//! `logs`.
//!
//! # Environment
//!
//! An empty variable is an unset one. A bad value is one [`Warning`] and the fallback below; it
//! never stops the program. An endpoint has no sensible fallback, so a bad one is an error.
//!
#![doc = include_str!("environment.md")]
//!
//! What code and variable both set is the code's; the third column is where the code does.
//!
//! Of the specification's variables these are not read:
//!
//! * `OTEL_LOG_LEVEL`: what this crate and the SDK log are `tracing` events, of which the program's
//!   subscriber chooses.
//! * `OTEL_ENTITIES`: it is in development, and what it says goes into `OTEL_RESOURCE_ATTRIBUTES` or a
//!   [detector](ResourceBuilder#detectors).
//! * `OTEL_EXPORTER_ZIPKIN_*`: that exporter is deprecated, and not built in.
//! * `OTEL_EXPORTER_PROMETHEUS_*`: the [reader](metrics::MetricSettings::with_reader) is the code's, and
//!   where it is scraped.
//!
//! `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` are no settings but a caller's context, and
//! [`Environment`](crate::propagation::Environment) reads them where the program asks it to.
//!
//! What of all that is in force, [`Telemetry::describe`] says.
//!
//! Sources: [general], [OTLP exporter].
//!
//! [`BuildError`]: crate::BuildError
//! [`ClientTraceLayer::with_request_headers`]: crate::ClientTraceLayer::with_request_headers
//! [`Exceptions`]: crate::Exceptions
//! [`Grpc::with_legacy_names`]: crate::Grpc::with_legacy_names
//! [`Propagator::named`]: crate::propagation::Propagator::named
//! [`TraceLayer::with_exceptions`]: crate::TraceLayer::with_exceptions
//! [`TraceLayer::with_request_headers`]: crate::TraceLayer::with_request_headers
//! [`Warning`]: crate::Warning
//! [`with_known_methods`]: crate::TraceLayer::with_known_methods
//! [client's]: crate::client#environment
//! [general]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//! [package]: crate::package_resource
//! [server's]: crate::server#environment
//! [OTLP exporter]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/

pub use self::{
    builder::TelemetryBuilder,
    describe::description::Description,
    error::{ExportError, ServeError},
    health::{ExporterHealth, Health},
    limits::Limits,
    processor::{batch::BatchSettings, tail},
    resource::ResourceBuilder,
    sampler::{Sampler, SamplerBuilder},
    telemetry::Telemetry,
};

mod builder;
mod destination;
mod telemetry;
mod describe;
mod disabled;
mod resource;
pub mod sampler;
mod propagators;
mod limits;
mod processor;
#[cfg(feature = "logs")]
pub mod logs;
mod signals;
mod health;
#[cfg(feature = "metrics")]
mod self_metrics;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod export;
mod env;
mod config_file;
mod error;
mod text;
#[cfg(all(test, feature = "logs", feature = "metrics"))]
mod environment_tests;
