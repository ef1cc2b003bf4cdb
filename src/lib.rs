//! OpenTelemetry for [`tower`] services.
//!
//! A [`TraceLayer`] on a server makes every request a span, from the call to the last frame of
//! the response. A [`ClientTraceLayer`] around a client makes every request that goes out one, and
//! sends its context along, so that the next service's span becomes its child. [`Telemetry`] sets
//! up where the spans go: resource, sampler, exporters and propagator, from code over environment
//! over defaults. The layers plug into axum, tonic, hyper and reqwest, and own none of them.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use tower_telemetry::{Telemetry, TraceLayer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // OTLP over HTTP to the endpoint in OTEL_EXPORTER_OTLP_ENDPOINT, or to localhost.
//! let telemetry = Telemetry::builder().with_service_name("shop").build()?;
//! // For spans of your own, and for layers that are given no telemetry.
//! telemetry.set_global();
//!
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(|| async { "an item" }))
//!     .layer(TraceLayer::new().with_telemetry(&telemetry));
//! # let _ = app;
//! // let server = axum::serve(listener, app).with_graceful_shutdown(ctrl_c);
//! // telemetry.shutdown_after(server, Duration::from_secs(5)).await?;
//!
//! // Or by itself: what is in the queue goes out, or the error says what was lost, and why.
//! telemetry.shutdown(Duration::from_secs(5))?;
//! # Ok(())
//! # }
//! ```
//!
//! `cargo run --example quickstart` in the crate's repository shows two services, one trace across
//! both, and the tree that comes of it.
//!
//! # The way through the house
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | a request comes in: [`TraceLayer`], its attributes, what ends a span; [`MetricsLayer`] |
//! | [`client`] | a request goes out: [`ClientTraceLayer`], its attributes and errors; [`ClientMetricsLayer`], [`PropagationLayer`] |
//! | [`propagation`] | headers to Context and back |
//! | `logs` | lines of `tracing-subscriber` that say which span they are of; for other loggers, [`TraceIds`] |
//! | [`sdk`] | where finished spans go: [`Telemetry`], [`SamplerBuilder`], [`ResourceBuilder`] |
//!
//! # Libraries
//!
//! With `default-features = false` the two sides stand on the [OpenTelemetry API] alone, as the
//! [specification] wants it of instrumentation: the program that uses the library chooses the SDK
//! and where spans go.
//!
//! # Feature flags
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `axum` | `http.route` and span names from axum's `MatchedPath`, addresses from its `ConnectInfo`, [`ServerSpan`](server::ServerSpan) as an argument of handlers | yes |
//! | `otlp-http` | [`Otlp`](sdk::export::Otlp): export over OTLP/HTTP with protobuf (turns on `sdk`) | yes |
//! | `otlp-json` | the same with JSON (turns on `otlp-http`) | no |
//! | `otlp-grpc` | [`Otlp`](sdk::export::Otlp): export over OTLP/gRPC (turns on `sdk`) | no |
//! | `gzip`, `zstd` | [`Compression`](sdk::export::Compression) for each of these | no |
//! | `metrics` | [`Telemetry`] with [metrics](sdk::metrics), the exporters' health among them (turns on `sdk`) | no |
//! | `logs` | `logs::WithTraceIds`: trace and span ids in the lines of `tracing-subscriber`; with `sdk` a `Telemetry` with logs | no |
//! | `sdk` | [`Telemetry`] and its builders | through `otlp-http` |
//! | `console` | `ConsoleExporter`: traces as trees on a terminal (turns on `sdk`) | no |
//! | `grpc-descriptors` | [`GrpcMethods`] from descriptor sets | no |
//! | `hyper-util` | the peers and errors of hyper-util's client on client spans | no |
//! | `reqwest` | the client layers take `reqwest::Request` (turns on `hyper-util`) | no |
//! | `tonic` | the peers of tonic's server, the errors of its channel (turns on `hyper-util`) | no |
//!
//! A feature only adds: items, and readers of what a server or a client knows.
//!
//! [OpenTelemetry API]: opentelemetry
//! [specification]: https://opentelemetry.io/docs/specs/otel/library-guidelines/

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

#[macro_use]
mod macros;

pub mod server;

pub mod client;

mod exchange;
mod head;
pub mod propagation;
mod semconv;

mod contained;
mod error;
mod instrumentation;
mod intern;
mod logger;
mod meter;
mod providers;
mod scope;
mod text;
mod tracer;
mod flagged;
mod trace_ids;

#[cfg(feature = "logs")]
pub mod logs;

#[cfg(feature = "sdk")]
pub mod sdk;

#[cfg(feature = "sdk")]
pub use self::sdk::{ExportError, ResourceBuilder, SamplerBuilder, Telemetry, TelemetryBuilder};
pub use self::{
    client::{ClientMetricsLayer, ClientTraceLayer, PropagationLayer},
    error::{BuildError, Warning},
    exchange::{
        capture::HeaderSelector,
        exceptions::Exceptions,
        grpc::{methods::GrpcMethods, settings::Grpc},
        metrics::settings::Metrics,
        redaction::Redaction,
    },
    providers::Providers,
    scope::SCHEMA_URL,
    server::{MetricsLayer, RouteLayer, TraceLayer},
    trace_ids::TraceIds,
};

// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
