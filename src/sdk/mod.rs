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
//! # Environment
//!
//! An empty variable is an unset one. A bad value is one [`Warning`] and the fallback below; it
//! never stops the program. An endpoint has no sensible fallback, so a bad one is an error.
//!
//! | variable | default | a bad value |
//! |---|---|---|
//! | `OTEL_SERVICE_NAME` | `unknown_service:` and the executable's name, or the [package's](crate::package_resource) | – |
//! | `OTEL_RESOURCE_ATTRIBUTES` | none | none of the attributes are used; of `telemetry.sdk.*` and an empty `service.instance.id`, that one is not |
//! | `HOSTNAME`, `K8S_*`, `AWS_*`, … | those of a [detector that was asked for](ResourceBuilder#detectors) | it is absent, without a warning |
//! | `OTEL_TRACES_SAMPLER` | `parentbased_always_on`; or `always_on`, `always_off`, `traceidratio`, `parentbased_always_off`, `parentbased_traceidratio` | the default, also for `jaeger_remote`, `parentbased_jaeger_remote` and `xray`, which are not built in |
//! | `OTEL_TRACES_SAMPLER_ARG` | `1.0`; the ratio, from 0 to 1, by the [older arithmetic](SamplerBuilder::with_trace_id_ratio) | the default |
//! | `OTEL_PROPAGATORS` | `tracecontext,baggage`; see [`Propagator::named`](crate::propagation::Propagator::named) | the name that is not known is skipped |
//! | `OTEL_TRACES_EXPORTER` | `otlp` | the name that is not known is skipped |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4318` | [`BuildError`] |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the one above and `/v1/traces` | [`BuildError`] |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `…_TRACES_PROTOCOL` | `http/protobuf` | the default |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `…_TRACES_HEADERS` | none | the pair is skipped |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT`, `…_TRACES_TIMEOUT` | `10000` (ms; 0 is no limit) | the default |
//! | `OTEL_INSTRUMENTATION_HTTP_*` | see [the server's](crate::server#environment) and [the client's](crate::client#environment) | the entry is skipped |
//! | `OTEL_SEMCONV_STABILITY_OPT_IN` | `rpc`; see [the server's](crate::server#environment) | the entry is skipped |
//! | `OTEL_BSP_SCHEDULE_DELAY` | `5000` (ms, above 0) | the default |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | `2048` (spans, 1 to 1048576) | the default |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | `512` (spans), at most the queue's size | the default |
//! | `OTEL_ATTRIBUTE_COUNT_LIMIT` | `128`, for spans without a limit of their own | the default |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `…_EVENT_…`, `…_LINK_…` | `128` | the default |
//! | `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` | `128` | the default |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | no proxy | no proxy, and no warning |
//!
//! Sources: [general], [OTLP exporter].
//!
//! [`BuildError`]: crate::BuildError
//! [`Warning`]: crate::Warning
//! [general]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//! [OTLP exporter]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/

pub use self::{
    builder::TelemetryBuilder,
    error::ExportError,
    health::{ExporterHealth, Health},
    processor::{batch::BatchSettings, tail},
    resource::ResourceBuilder,
    sampler::{Sampler, SamplerBuilder},
    telemetry::Telemetry,
};

mod builder;
mod destination;
mod telemetry;
mod resource;
pub mod sampler;
mod propagators;
mod limits;
mod processor;
mod health;
#[cfg(feature = "metrics")]
mod self_metrics;
pub mod export;
mod env;
mod error;
mod text;
