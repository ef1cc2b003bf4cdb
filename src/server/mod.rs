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
//! Examples further in say `span_of(layer, request)` for all of that, and `span_by(layer, service,
//! request)` where the service is one of theirs: the span of one request, with the body read to its
//! end.
//!
//! # Where to put it
//!
//! On the router, with [`Router::layer`], it sees every request that gets there, also those that
//! match no route, and it knows the route: spans are named `GET /items/{id}`.
//!
//! Around the whole router it sees more: what layers outside the routes turn away, such as one for
//! authentication or a limit on the body. It comes before axum has routed, so a [`RouteLayer`] on
//! the router, added last, tells it the route. `axum::serve` takes only axum's own body type; a
//! router around it all gives it that:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower::Layer;
//! use tower_telemetry::{RouteLayer, TraceLayer};
//!
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(|| async { "an item" }))
//!     .layer(RouteLayer::new());
//! let app: Router = Router::new().fallback_service(TraceLayer::new().layer(app));
//! # let _ = app;
//! ```
//!
//! Whichever it is, a request has one server span: a second `TraceLayer` that it comes through
//! makes none, and does what a `RouteLayer` does. (A request of a handler's own to a service with
//! such a layer is another request, and has a span of its own, unless it was given the extensions
//! of the first.)
//!
//! In plain hyper there is no router and no [`ConnectInfo`]. [`RouteLayer::of`] names a route, and
//! a
//! [`Connection`] among the request's extensions says who is at the other end.
//!
//! # Route and name
//!
//! The name is `{method} {route}`, or `{method}` where no route is known, and never the path, which
//! [would be a name per item][name]. `http.route` comes from whoever knows it best: the handler
//! ([`ServerSpan::set_route`]), the router (axum's `MatchedPath`, at this layer or a `RouteLayer`),
//! a middleware ([`RouteSource`]). As it may become known late, it is put on the span at its end; a
//! sampler sees the router's in the span's name, or, [if asked
//! for](TraceLayer::with_route_before_start), as the attribute. [`TraceLayer::with_span_name`] and
//! [`ServerSpan::set_name`] give other names.
//!
#![doc = include_str!("routes.md")]
//!
//! [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
//!
//! # Whose child a span is
//!
//! That of the span in the request's headers, if the propagator finds one there. If not, that of
//! the span that is current where the service is called, which in a server is none: then the span
//! begins a trace. By any [policy](RemoteParent) but the default it always does.
//!
//! # Trust
//!
//! The defaults are for a service among others of one's own. Three things are different at an edge
//! that strangers can reach:
//!
//! * Their `traceparent` would decide in which trace a request is, and whether it is sampled.
//!   [`RemoteParent::Link`] begins a new trace with a link to theirs.
//! * Their `Forwarded` and `X-Forwarded-*` headers say what they like. By default nobody believes
//!   them; behind proxies of one's own, [`Forwarded`] says how far to, and which of them the
//!   proxies write: the other kind is still the stranger's.
//! * Their `content-type` makes a [gRPC call](#grpc) of any request. [`Grpc::off`] is for servers of
//!   none, and for others there is a [list of methods](crate::Grpc::with_methods).
//!
//! ```
//! use tower_telemetry::{
//!     Grpc, TraceLayer,
//!     server::{Forwarded, RemoteParent},
//! };
//!
//! let edge = TraceLayer::new()
//!     .with_remote_parent(RemoteParent::Link)
//!     .with_forwarded(Forwarded::from_proxies(1).with_only_x_forwarded())
//!     .with_grpc(Grpc::off());
//! # let _ = edge;
//! ```
//!
//! Secrets in URLs and headers are kept out of the spans by one policy, [`Redaction`].
//!
//! # Attributes
//!
#![doc = include_str!("attributes.md")]
//!
//! A sampler finds those marked *start* on the span that it decides on; the others are built when
//! the span records. A request of which [`Telemetry`](crate::Telemetry) knows beforehand that it
//! will not be recorded builds none.
//!
//! Of the opt-in attributes of the conventions three are not here: `http.request.size` and
//! `http.response.size`, which count what only the server sees, and the bodies' content.
//!
//! `tower_telemetry.time_to_head` is ours, since the conventions have no name for it: how long the
//! client waited for an answer, where the span goes on with the answer's body.
//!
//! # Metrics
//!
//! [`TraceLayer::with_metrics`] measures requests beside the spans, [`MetricsLayer`] without any: how
//! long they take, and if it is asked to, how many are under way and how large bodies are.
//! [`Metrics`] has what can be asked for, the attributes, and what keeps their number small.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_telemetry::{Metrics, TraceLayer};
//!
//! let app: Router = Router::new()
//!     .route("/items/{id}", get(|| async { "an item" }))
//!     .layer(TraceLayer::new().with_metrics(Metrics::new().with_active_requests()));
//! # let _ = app;
//! ```
//!
//! What ends a span, ends what is measured, and what a [`RouteLayer`], a [`ServerSpan`] or an
//! [`ErrorTypeLayer`] tells, metrics are told as well, sampled or not. A request that comes through two
//! layers that measure is measured by the outer one.
//!
//! # gRPC
//!
//! A request whose content type is one of gRPC's or gRPC-Web's is a call, on a tonic server, on an
//! axum router that serves calls beside other requests, or on any other service. Its span follows
//! the [conventions for gRPC][grpc] instead of those for HTTP: it is named after the method,
//! `shop.v1.Inventory/Get`, has the attributes below, and ends with the trailers, which have the
//! status. What a handler, a filter or a hook can do is the same, but for routes and the bodies'
//! sizes, which a call does not have; of the setters, those that name something of HTTP's have
//! nothing to do.
//!
#![cfg_attr(feature = "tonic", doc = "```no_run")]
#![cfg_attr(not(feature = "tonic"), doc = "```text")]
//! use tonic::transport::Server;
//! use tower_telemetry::{Grpc, GrpcMethods, TraceLayer};
//!
//! # async fn serve<S>(inventory: S) -> Result<(), Box<dyn std::error::Error>>
//! # where
//! #     S: tower::Service<http::Request<tonic::body::Body>, Error = std::convert::Infallible>
//! #         + tonic::server::NamedService + Clone + Send + Sync + 'static,
//! #     S::Response: axum::response::IntoResponse,
//! #     S::Future: Send + 'static,
//! # {
//! // Of a generated server: `InventoryServer::<Inventory>::NAME`.
//! let methods = GrpcMethods::new(["shop.v1.Inventory"])?;
//! let grpc = Grpc::new().with_methods(methods).without_health_and_reflection();
//! Server::builder()
//!     .layer(TraceLayer::new().with_grpc(grpc))
//!     .add_service(inventory)
//!     .serve("[::1]:50051".parse()?)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Grpc`] has what can be chosen. Who calls, calls what they like: [by
//! default](crate::Grpc::with_methods) every method that looks like one is recorded by its name, with
//! a list what is not on it is `_OTHER`. A service on the list stands for whatever is said to be a
//! method of it; who is open to strangers lists methods, or has a descriptor set.
//!
#![doc = include_str!("grpc.md")]
//!
//! ## How a call ends
//!
//! The span waits for the trailers whatever [`with_span_end`](TraceLayer::with_span_end) says; only
//! a [`SpanEnd`] among the response's own extensions ends it earlier, without a status if the head
//! has none, or an `OK` that may not be the last word. A [classifier](TraceLayer::with_classifier)
//! is one of HTTP's responses and is not asked; [`Grpc::with_failure_by`] chooses among statuses.
//!
//! | what happens | `rpc.status_code` | status | `error.type` |
//! |---|---|---|---|
//! | the trailers, or the head of a response without a body, say the status | that one | error if it is one of [six] | the status |
//! | the response ends, and nothing has said it | `UNKNOWN`, or what HTTP's [status code stands for][mapping] | by status | the status |
//! | the same with a status code other than 200, however much of it is sent | what that [stands for][mapping] | by status | the status |
//! | it is dropped before: the client has cancelled or is gone | `CANCELLED` | unset | |
//! | the same, after the call's `grpc-timeout` | `DEADLINE_EXCEEDED` | error | `DEADLINE_EXCEEDED` |
//! | the service or the body gives an error | `INTERNAL` | error | the error's type, or what is [told](ErrorTypeLayer) |
//! | the service or the body panics | `UNKNOWN` | error | `panic` |
//!
//! gRPC-Web hides its trailers in the body. They are found there, on either side of a layer that
//! translates; in a body that is compressed they cannot be, and such a call has no status.
//!
//! A service that gives a `tonic::Status` as its error would have it sent by tonic, outside of its
//! layers. This one cannot look into errors; with tonic's [`RecoverErrorLayer`] inside of it, the
//! status is on the span as well.
//!
//! A tonic server gives up on a call that takes too long outside of its layers. That is a call's
//! own `grpc-timeout` as a rule; by [`Server::timeout`] alone it looks like a client that is gone.
//!
//! [`Grpc`]: crate::Grpc
//! [`Grpc::off`]: crate::Grpc::off
//! [`Grpc::with_failure_by`]: crate::Grpc::with_failure_by
//! [`RecoverErrorLayer`]: https://docs.rs/tonic/0.14/tonic/service/struct.RecoverErrorLayer.html
//! [`Server::timeout`]: https://docs.rs/tonic/0.14/tonic/transport/server/struct.Server.html#method.timeout
//! [grpc]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server
//! [mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
//! [six]: crate::Grpc::with_failure_by
//!
//! # From a handler
//!
//! The span is the current one in the service, its future and its body, so OpenTelemetry's own API
//! adds to it. What the layer itself writes is told through [`ServerSpan`].
//!
//! ```
//! use http::{Request, Response};
//! use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
//! use tower::service_fn;
//! use tower_telemetry::{TraceLayer, server::ServerSpan};
#![doc = include_str!("span_of.md")]
//!
//! let handler = service_fn(|request: Request<String>| async move {
//!     let cx = Context::current();
//!     cx.span().set_attribute(KeyValue::new("shop.tenant", "acme"));
//!     cx.span().add_event("asked the database", vec![]);
//!     if let Err(error) = request.body().parse::<u32>() {
//!         cx.span().record_error(&error);
//!         ServerSpan::of(request.extensions()).set_error_type("bad_order");
//!         return Ok(Response::builder().status(500).body(String::new())?);
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(Response::new(String::new()))
//! });
//! let span = span_by(TraceLayer::new(), handler, Request::new("no number".to_owned()));
//!
//! let events: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
//! assert_eq!(events, ["asked the database", "exception"]);
//! assert!(span.attributes.contains(&KeyValue::new("error.type", "bad_order")));
//! ```
//!
//! # Exceptions
//!
//! What a request has failed with is recorded once, with the type and no message, as a log record if the
//! layer has a logger provider: [`Exceptions`] has what counts, and the other places.
//! [`ServerSpan::record_exception`] is for what a handler makes a response of, and of an error of the
//! service an [`ErrorTypeLayer`] knows the message, for [who wants
//! it](TraceLayer::with_exception_messages).
//!
//! # Legacy names
//!
//! [`TraceLayer::with_legacy_names`] writes the names from before the conventions were stable, too
//! or instead:
//!
#![doc = include_str!("legacy.md")]
//!
//! # Environment
//!
//! What the code says comes first. A layer reads these when it is made; one that is given a
//! [`Telemetry`](crate::Telemetry) takes what that has read. An entry of a list that cannot be used
//! is left out, and is a [`Warning`](crate::Warning).
//!
//! | variable | default | setter |
//! |---|---|---|
//! | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | RFC 9110's, `PATCH`, `QUERY` | [`with_known_methods`](TraceLayer::with_known_methods) |
//! | `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS` | none | [`with_request_headers`](TraceLayer::with_request_headers) |
//! | `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS` | none | [`with_response_headers`](TraceLayer::with_response_headers) |
//! | `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` | `logs`; `logs/dup` has exceptions on the span, too | [`with_exceptions`](TraceLayer::with_exceptions) |
//! | `OTEL_SEMCONV_STABILITY_OPT_IN` | `rpc`; `rpc/dup` has the older name of a call's status, too, `rpc/old` has it instead | [`Grpc::with_legacy_names`](crate::Grpc::with_legacy_names) |
//!
//! # With other layers
//!
//! It goes outside of what a span is to include: outside of compression, its body sizes are those
//! on the wire; outside of a timeout, a limit or `CatchPanic`, what these answer is on the span. A
//! panic that a `CatchPanic` *outside* turns into an answer has `error.type` `panic`; one that is
//! caught inside is the 500 that it becomes.
//!
//! Request ids are headers. tower-http's `SetRequestIdLayer` outside and
//! [`with_request_headers`](TraceLayer::with_request_headers) put them on the span. A header that
//! is marked as sensitive by then is never recorded in clear: `SetSensitiveRequestHeadersLayer`
//! goes outside and `SetSensitiveResponseHeadersLayer` inside, since that one marks on the way out.
//! `SetSensitiveHeadersLayer` outside marks a request's in time, and a response's too late.
//!
//! # What ends a span
//!
//! Exactly one of these, and the span ends there and then. With [`SpanEnd::Head`], for the layer,
//! by predicate or for one response, the head is all that it waits for.
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
//! The name of an error's type is Rust's, such as `std::io::error::Error`; an error in a box is
//! `_OTHER`. An [`ErrorTypeLayer`] inside has better words. What counts as a failure of a response
//! that is complete, a [classifier](TraceLayer::with_classifier) can say otherwise, and why,
//! [`ServerSpan::set_error_type`]. *By status code* is [as the conventions have it][status]: 5xx is
//! an error, all else is left unset. Where there was a response, its status code is on the span,
//! whatever came after.
//!
//! A clone of the span's Context that is kept elsewhere, by a spawned task for one, does not keep
//! the span open.
//!
//! [status]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
//! [`ConnectInfo`]: https://docs.rs/axum/latest/axum/extract/struct.ConnectInfo.html
//! [`Exceptions`]: crate::Exceptions
//! [`Metrics`]: crate::Metrics
//! [`Redaction`]: crate::Redaction
//! [`Router::layer`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.layer
//! [`Telemetry::set_global`]: crate::Telemetry::set_global

pub use self::{
    body::ResponseBody,
    connection::Connection,
    error_type::{ErrorType, ErrorTypeFuture, ErrorTypeLayer, WithErrorType},
    forwarded::Forwarded,
    future::ResponseFuture,
    layer::TraceLayer,
    metrics_layer::MetricsLayer,
    parent::RemoteParent,
    request_body::{RequestBody, RequestBodySize, RequestBodySizeLayer},
    request_start::RequestStart,
    route::{RouteLayer, Routed},
    service::Trace,
    span::ServerSpan,
};
pub use crate::{
    exchange::{
        attributes::Attributes, filter::Verdict, hooks::Ended, span_end::SpanEnd, told::RouteSource,
    },
    head::{RequestHead, ResponseHead},
    semconv::legacy::LegacyNames,
};

mod layer;
mod metrics_layer;
mod config;
mod service;
mod parent;
mod make_span;
mod describe;
mod request_start;
mod connection;
mod forwarded;
mod route;
mod span;
mod error_type;
mod request_body;
mod future;
mod body;
