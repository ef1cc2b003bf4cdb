//! A request comes in: a span for each, from the call to the last frame of the response.
//!
//! [`TraceLayer`] wraps any [`tower::Service`] that takes an [`http::Request`] and answers with an
//! [`http::Response`]: an axum router, one of its routes, a hyper service, one of your own. It
//! reads the caller's span from the headers, starts a server span below it, keeps that span
//! current while the service and its response body run, and ends it when the response has ended.
//! Request, response, error, frames and trailers pass through as they are.
//!
//! # Example
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_telemetry::TraceLayer;
//!
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(|| async { "an item" }))
//!     .layer(TraceLayer::new());
//! # let _ = app;
//! ```
//!
//! `TraceLayer::new()` takes its spans from the global tracer provider and reads headers with the
//! global propagator, both looked up when it serves. [`Telemetry::set_global`] sets them.
//!
//! # Example: nothing global
//!
//! A layer can be given its parts. This one is put around a service that is no router; the handler
//! sees the span as the current one:
//!
//! ```
//! use http::{Request, Response};
//! use opentelemetry::{Context, trace::TraceContextExt};
//! use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_telemetry::{TraceLayer, propagation::TraceContext};
//!
//! # tokio_test::block_on(async {
//! let exporter = InMemorySpanExporter::default();
//! let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
//!
//! let service = ServiceBuilder::new()
//!     .layer(
//!         TraceLayer::new()
//!             .with_tracer_provider(&provider)
//!             .with_propagator(TraceContext::new()),
//!     )
//!     .service(service_fn(|_: Request<String>| async {
//!         assert!(Context::current().span().span_context().is_valid());
//!         Ok::<_, std::io::Error>(Response::new(String::new()))
//!     }));
//! service.oneshot(Request::new(String::new())).await?;
//!
//! let spans = exporter.get_finished_spans()?;
//! assert_eq!(spans[0].name, "GET");
//! # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Where to put it
//!
//! On the router, with [`Router::layer`], it sees every request, also those that match no route,
//! and it knows the route: spans are named `GET /items/{id}`. (Of a service that was mounted with
//! `nest_service` axum does not tell.) Around the whole router it sees more, such as what other
//! layers do to the request, but axum has not routed yet, so the name is `GET`. Choose one of the
//! two: two layers make two spans.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower::Layer;
//! use tower_telemetry::TraceLayer;
//!
//! let app: Router = Router::new().route("/", get(|| async { "hello" }));
//! // `axum::serve` takes axum's own body type; a router around the layer gives it that.
//! let app: Router = Router::new().fallback_service(TraceLayer::new().layer(app));
//! # let _ = app;
//! ```
//!
//! # Whose child a span is
//!
//! That of the span in the request's headers, as far as the propagator finds one there. If not, that
//! of the span that is current where the service is called, which in a server is none: then the span
//! begins a trace.
//!
//! # Attributes
//!
//! | attribute | when | value |
//! |---|---|---|
//! | `http.request.method` | always | the method, or `_OTHER` |
//! | `http.request.method_original` | the method is not a known one | the method as sent |
//! | `http.route` | axum has matched one (feature `axum`) | `/items/{id}` |
//! | `url.path` | always | the path as sent, also on a nested router |
//! | `url.query` | there is one | as sent, [secrets redacted][redacted] |
//! | `url.scheme` | always | the target's, else `http` |
//! | `server.address`, `server.port` | known | from `:authority` or `Host` |
//! | `network.protocol.version` | known | `1.0`, `1.1`, `2`, `3` |
//! | `user_agent.original` | sent | as sent |
//! | `http.response.status_code` | there was a response | an integer |
//! | `error.type` | the span is an error | see below |
//!
//! [redacted]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
//!
//! # What ends a span
//!
//! Exactly one of these, and the span ends there and then:
//!
//! | what happens | status | `error.type` |
//! |---|---|---|
//! | the service gives an error | error | the name of the error's type |
//! | the response has no body to wait for: an empty one, `HEAD`, 1xx, 204, 304, a successful `CONNECT` | by status code | status code if 5xx |
//! | the body gives its trailers, or its last frame | by status code | status code if 5xx |
//! | the body gives an error | error | the name of the error's type |
//! | the body is dropped after as many bytes as `Content-Length`, or its exact size hint, said | by status code | status code if 5xx |
//! | the body is dropped earlier: the client is gone, or a layer outside wants no more of it | error | `cancelled` |
//! | the future is dropped before the response: the same | error | `cancelled` |
//! | the service or the body panics, or what holds one of them does | error | `panic` |
//!
//! The name of an error's type is Rust's, such as `std::io::error::Error`; of an error in a box it
//! says no more than that. *By status code* is [as the conventions have it][status]: 5xx is an error, all else is left
//! unset. Where there was a response, its status code is on the span, whatever came after.
//!
//! A clone of the span's Context that is kept elsewhere, by a spawned task for one, does not keep
//! the span open.
//!
//! [status]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
//! [`Router::layer`]: axum::Router::layer
//! [`Telemetry::set_global`]: crate::Telemetry::set_global

pub use self::{body::ResponseBody, future::ResponseFuture, layer::TraceLayer, service::Trace};

mod layer;
mod service;
mod parent;
mod make_span;
mod route;
mod future;
mod response;
mod body;
