//! A request goes out: a span for each attempt, whose context goes along.
//!
//! [`ClientTraceLayer`] wraps any [`tower::Service`] that takes an [`http::Request`] (hyper-util's
//! client, a tonic channel, a router in a test) and, with the feature `reqwest`, a
//! `reqwest::Client`, which is such a service for its own request type. For each request it starts
//! a client span below the current one, writes that span's context into the headers, so that the
//! next service's server span becomes its child, and ends it when the response's head is there.
//! Request, response and error pass through as they are.
//!
//! [`PropagationLayer`] does the writing [alone](#propagation-alone).
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Empty;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//! use tower_telemetry::ClientTraceLayer;
//!
//! # async fn item() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
//! let client = ClientTraceLayer::new().layer(client);
//!
//! let request = Request::get("http://inventory:3000/items/42").body(Empty::new())?;
//! let response = client.oneshot(request).await?;
//! # let _ = response;
//! # Ok(())
//! # }
//! ```
//!
//! `ClientTraceLayer::new()` takes its spans from the global tracer provider and writes headers
//! with the global propagator, both looked up when a request is sent; [`Telemetry::set_global`]
//! sets them. [`with_telemetry`](ClientTraceLayer::with_telemetry) takes those that it is given.
//!
//! # Example: reqwest
//!
//! With the feature `reqwest` a client is wrapped as it is, alone or among other layers (here with
//! tower's features `timeout` and `util`):
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
#![cfg_attr(not(feature = "reqwest"), doc = "```text")]
//! use std::time::Duration;
//!
//! use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
//! use tower_telemetry::ClientTraceLayer;
//!
//! async fn stock(client: &reqwest::Client) -> Result<String, BoxError> {
//!     let mut traced = ServiceBuilder::new()
//!         .layer(ClientTraceLayer::new())
//!         .timeout(Duration::from_secs(5))
//!         .service(client);
//!     let request = client.get("http://inventory:3000/stock/42").build()?;
//!     Ok(traced.ready().await?.call(request).await?.text().await?)
//! }
//! ```
//!
//! Who would rather go on with `client.get(url).header(..).send()` writes a thin client around the
//! traced one, with what of reqwest's builder it needs:
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
#![cfg_attr(not(feature = "reqwest"), doc = "```text")]
//! use reqwest::{Error, IntoUrl, Method, RequestBuilder, Response};
//! use tower::{Layer, Service};
//! use tower_telemetry::{ClientTraceLayer, client::ClientTrace};
//!
//! #[derive(Clone)]
//! struct Client(ClientTrace<reqwest::Client>);
//!
//! struct Outgoing(RequestBuilder, ClientTrace<reqwest::Client>);
//!
//! impl Client {
//!     fn new(client: reqwest::Client) -> Self {
//!         Self(ClientTraceLayer::new().layer(client))
//!     }
//!
//!     fn get(&self, url: impl IntoUrl) -> Outgoing {
//!         Outgoing(self.0.get_ref().request(Method::GET, url), self.0.clone())
//!     }
//! }
//!
//! impl Outgoing {
//!     fn header(self, name: &str, value: &str) -> Self {
//!         Self(self.0.header(name, value), self.1)
//!     }
//!
//!     async fn send(mut self) -> Result<Response, Error> {
//!         // A reqwest client is always ready.
//!         self.1.call(self.0.build()?).await
//!     }
//! }
//!
//! async fn stock(client: &Client) -> Result<String, Error> {
//!     let request = client.get("http://inventory:3000/stock/42").header("x-tenant", "acme");
//!     request.send().await?.text().await
//! }
//! ```
//!
//! # Where to put it
//!
//! A span is one attempt: what is outside of the layer is not on it, and what is inside is.
//!
//! * A **timeout** goes inside: then it is an error, `timeout`. One outside lets go of the request
//!   like any caller who has changed their mind, which is no error.
//! * **Retries** go outside: then each attempt has a span, as the conventions [want
//!   it][attempts]. A [`ResendCountLayer`] outside of them counts, `http.request.resend_count`.
//! * **Redirects** that a layer such as tower-http's `FollowRedirect` follows are attempts, too.
//!   Those that reqwest follows itself are inside of it, where no layer comes: they are one span,
//!   with the URL that was asked for and the status code of the last response; every server on the
//!   way is its child. With [`reqwest::redirect::Policy::none`][none] it follows none, and such a
//!   layer can do it: one of tower-http's takes an `http::Request`, which `map_request` further in
//!   makes a `reqwest::Request` of.
//! * A **buffer** goes inside: what is behind it runs in a task of its own, where no span is
//!   current, and so would begin a trace of its own.
//!
//! A request that comes through two client layers with the same propagator has one span, the outer
//! one's, unless there is a task in between or another span is begun there: that may be a server's
//! that passes the request on. What one of the two keeps from a request, no other one writes. A
//! request that is sent because of another, while that is on its way, has a span of its own.
//!
//! [attempts]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-request-retries-and-redirects
//! [none]: https://docs.rs/reqwest/latest/reqwest/redirect/struct.Policy.html#method.none
//!
//! # Whose child a span is
//!
//! That of the span that is current where the service is called: the server span in a handler under
//! a [`TraceLayer`](crate::TraceLayer), one of the program's own, one of [`tracing`]'s under
//! [tracing-opentelemetry]. If there is none it begins a trace, unless a [parent is
//! required](ClientTraceLayer::with_parent_required). In the service and its future the client span
//! is the current one; for the caller it never is.
//!
//! A task that is spawned begins without a current span; `.with_context(Context::current())` takes
//! it along.
//!
//! A span of `tracing` is current once it is entered, so a client span in an `#[instrument]`ed
//! function is its child. With tracing-opentelemetry's `with_context_activation(false)` it is not,
//! and the parent is what it would be without: in a handler, the server span. There
//! `.with_context(Span::current().context())` makes it the current one.
//!
//! [`tracing`]: https://docs.rs/tracing
//! [tracing-opentelemetry]: https://docs.rs/tracing-opentelemetry
//!
//! # Where context may go
//!
//! By default, to whoever is asked. [`PropagationTargets`] keeps it at home, by host or by a
//! predicate. Baggage has a [switch of its own](ClientTraceLayer::with_baggage_to), which is off.
//!
//! They are asked where a request goes when it is sent. A redirect that reqwest follows itself takes
//! the headers along to whichever host it leads to; [`Policy::none`][none] keeps it from that.
//!
//! A trace header that is there already is replaced, so a request that is sent on carries one
//! `traceparent`, ours, and no `tracestate` of another. Without a current span nothing is written,
//! and nothing is taken away from a request that may carry one; but baggage that was there goes no
//! further than the switch allows, span or not.
//!
//! In a Context in which [telemetry is suppressed][suppressed] there is neither span nor header. A
//! batch processor exports in such a one, so an exporter can send its requests through a client of
//! the program's. Where it hands them to a task it takes the Context along, or every export is a
//! span for the next. The SDK's simple processor suppresses nothing: an exporter there sends in a
//! [Context of its own][of_its_own], or it waits for ever for the span of its own request.
//!
//! [of_its_own]: opentelemetry::Context::with_telemetry_suppressed
//! [suppressed]: opentelemetry::Context::enter_telemetry_suppressed_scope
//!
//! # Propagation alone
//!
//! [`PropagationLayer`] takes the same requests, writes the current span into the headers and makes
//! no span of its own; the next service's server span becomes a child of the current one.
//!
//! ```
//! use http::{Request, Response};
//! use opentelemetry::{Context, trace::{TraceContextExt, SpanContext, TraceFlags, TraceState}};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_telemetry::{PropagationLayer, propagation::TraceContext};
//!
//! # tokio_test::block_on(async {
//! let client = ServiceBuilder::new()
//!     .layer(PropagationLayer::new().with_propagator(TraceContext::new()))
//!     .service(service_fn(|request: Request<&'static str>| async move {
//!         let sent = &request.headers()["traceparent"];
//!         assert_eq!(sent, "00-0000000000000000000000000000002a-000000000000000b-01");
//!         Ok::<_, std::io::Error>(Response::new(()))
//!     }));
//!
//! // In a handler under a `TraceLayer` this is the current Context already.
//! let span = SpanContext::new(
//!     42_u128.into(), 11_u64.into(), TraceFlags::SAMPLED, false, TraceState::NONE,
//! );
//! let _current = Context::new().with_remote_span_context(span).attach();
//! client.oneshot(Request::new("ping")).await?;
//! # Ok::<_, std::io::Error>(()) }).unwrap();
//! ```
//!
//! For a client that is no tower service, [`inject`] writes into a header map.
//!
//! # Attributes
//!
//! The name is `{method} {template}` where the URL's [template](UrlTemplate) is known, or
//! `{method}`, and never the URL, which [would be a name per item][name].
//!
#![doc = include_str!("attributes.md")]
//!
//! A sampler finds those marked *start* on the span that it decides on. Secrets in URLs and headers
//! are kept out of the spans by one policy, [`Redaction`](crate::Redaction).
//!
//! Of the opt-in attributes of the conventions some are not here: `network.transport` and the
//! request's size, which a layer above a client cannot know, the sizes on the wire, the bodies'
//! content, and `user_agent.synthetic.type`, as the user agent is one's own.
//!
//! [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
//!
//! # Metrics
//!
//! [`ClientTraceLayer::with_metrics`] measures requests beside the spans, [`ClientMetricsLayer`] without
//! any. Each attempt is measured, from the clock that its span is of: up to the response's head,
//! unless the span [waits for the body](ClientTraceLayer::with_span_end). [`Metrics`] has what can
//! be asked for, the attributes, and what keeps their number small.
//!
//! ```
//! use tower_telemetry::{ClientTraceLayer, Metrics};
//!
//! let layer = ClientTraceLayer::new().with_metrics(Metrics::new().with_url_template());
//! # let _ = layer;
//! ```
//!
//! # gRPC
//!
//! A request whose content type is one of gRPC's or gRPC-Web's is a call. Its span follows the
//! [conventions for gRPC][grpc] instead of those for HTTP: it is named after the method,
//! `shop.v1.Inventory/Get`, has the attributes below, and ends with the trailers, which have the
//! status. A tonic channel is wrapped like any other client; as its requests do not say where it
//! leads, the layer is told:
//!
#![cfg_attr(feature = "tonic", doc = "```no_run")]
#![cfg_attr(not(feature = "tonic"), doc = "```text")]
//! use tonic::transport::{Channel, Endpoint};
//! use tower::Layer;
//! use tower_telemetry::{ClientTraceLayer, client::ClientTrace};
//!
//! # #[derive(Clone)] struct InventoryClient(ClientTrace<Channel>);
//! # impl InventoryClient { fn new(channel: ClientTrace<Channel>) -> Self { Self(channel) } }
//! fn inventory() -> Result<InventoryClient, Box<dyn std::error::Error>> {
//!     let target = "http://inventory:50051";
//!     let channel = Endpoint::from_static(target).connect_lazy();
//!     let channel = ClientTraceLayer::new().with_grpc_target(target)?.layer(channel);
//!     // As `tonic-prost-build` has generated it, now of a `ClientTrace<Channel>`.
//!     Ok(InventoryClient::new(channel))
//! }
//! ```
//!
//! The span is of [the whole call][whole], with all its attempts: a layer that tries again goes
//! inside, and there is no count of attempts. Several streams at once over one channel are several
//! spans.
//!
#![doc = include_str!("grpc.md")]
//!
//! ## How a call ends
//!
//! The span waits for the trailers whatever [`with_span_end`](ClientTraceLayer::with_span_end)
//! says; only a [`SpanEnd`] among the response's own extensions ends it earlier. What counts as a
//! failure is not asked of [`with_failure_by`](ClientTraceLayer::with_failure_by), which is for
//! HTTP's responses, but of [`Grpc::with_failure_by`].
//!
//! | what happens | `rpc.status_code` | status | `error.type` |
//! |---|---|---|---|
//! | the trailers, or the head of a response without a body, say the status | that one | error unless `OK` | the status |
//! | the response ends, and nothing has said it | `UNKNOWN`, or what HTTP's [status code stands for][mapping] | error | the status |
//! | the same with a status code other than 200, however much of it is read | what that [stands for][mapping] | error | the status |
//! | the caller lets go of it before: the call is cancelled | `CANCELLED` | error, [as the conventions have it][all] | `CANCELLED` |
//! | the same, after the call's `grpc-timeout`; a channel or a layer inside that waits no longer | `DEADLINE_EXCEEDED` | error | `DEADLINE_EXCEEDED` |
//! | there is no connection, or it is lost | `UNAVAILABLE` | error | see [errors](#errors) |
//! | the server resets the stream | what the [reason stands for][reset] | error | `http_protocol_error` |
//! | a service inside gives a `tonic::Status` as its error | that one | error | the status, or the [word](#errors) for what is behind it |
//! | a layer inside sheds the call | `RESOURCE_EXHAUSTED` | error | `overloaded` |
//! | any other error | `UNKNOWN` | error | see [errors](#errors) |
//! | the client panics | `UNKNOWN` | error | `panic` |
//!
//! Where tonic calls an expired deadline `CANCELLED`, the span has gRPC's word for it. The caller
//! who lets go of a stream because they have read enough has cancelled it, too; if that is no
//! failure, `with_failure_by` says so.
//!
//! With the feature `tonic` the errors of tonic's channel are looked at like the others; without
//! it, [`with_error_type`](ClientTraceLayer::with_error_type) for `tonic::transport::Error` does
//! that.
//!
//! [`Grpc::with_failure_by`]: crate::Grpc::with_failure_by
//! [all]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
//! [grpc]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
//! [mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
//! [reset]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
//! [whole]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/#client-span
//!
//! # Errors
//!
//! `error.type` is the status code, if that is 4xx or 5xx (or what
//! [`with_failure_by`](ClientTraceLayer::with_failure_by) says), `panic`, or one of these words for
//! what the client has failed with:
//!
#![doc = include_str!("failure/words.md")]
//!
//! An error is looked at, with what caused it, if its type is one of these: `std::io::Error`,
//! `http::Error`, an error in a box, with the feature `hyper-util` the ones of hyper-util's client
//! and of hyper, with `reqwest` that of reqwest, with `tonic` `Status` and those of its channel,
//! and every type that
//! [`with_error_type`](ClientTraceLayer::with_error_type) has a function for. Any other is called
//! by its type's name, and one in a box that is not in the table `_OTHER`.
//!
//! # What ends a span
//!
//! Exactly one of these, and the span ends there and then; a gRPC call [ends
//! otherwise](#how-a-call-ends). By default that is at the latest with the head; with
//! [`SpanEnd::Body`], for the layer, by predicate or for one response, the span goes
//! on.
//!
//! | what happens | status | `error.type` |
//! |---|---|---|
//! | the client gives an error | error | see [above](#errors) |
//! | the response's head is there | by status code | status code if 4xx or 5xx |
//! | the future is dropped before: the caller has cancelled | [unset][cancelled] | |
//! | the client panics | error | `panic` |
//! | with `SpanEnd::Body`: the response has no body to wait for: an empty one, `HEAD`, 1xx, 204, 304, a successful `CONNECT` | by status code | status code if 4xx or 5xx |
//! | with `SpanEnd::Body`: the body gives its trailers, or its last frame | by status code | status code if 4xx or 5xx |
//! | with `SpanEnd::Body`: the body gives an error | error | see [above](#errors) |
//! | with `SpanEnd::Body`: the body is dropped, read or unread | by status code | status code if 4xx or 5xx |
//!
//! [cancelled]: https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
//!
//! # Environment
//!
//! What the code says comes first. A layer reads these when it is made; one that is given a
//! [`Telemetry`](crate::Telemetry) takes what that has read. An entry of a list that cannot be used
//! is left out, and is a [`Warning`](crate::Warning).
//!
//! | variable | default | setter |
//! |---|---|---|
//! | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | RFC 9110's, `PATCH`, `QUERY` | [`with_known_methods`](ClientTraceLayer::with_known_methods) |
//! | `OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS` | none | [`with_request_headers`](ClientTraceLayer::with_request_headers) |
//! | `OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS` | none | [`with_response_headers`](ClientTraceLayer::with_response_headers) |
//! | `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` | `logs`; `logs/dup` has exceptions on the span, too | [`with_exceptions`](ClientTraceLayer::with_exceptions) |
//! | `OTEL_SEMCONV_STABILITY_OPT_IN` | `rpc`; `rpc/dup` has the older name of a call's status, too, `rpc/old` has it instead | [`Grpc::with_legacy_names`](crate::Grpc::with_legacy_names) |
//!
//! [`Telemetry::set_global`]: crate::Telemetry::set_global
//! [`Metrics`]: crate::Metrics

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::ClientTraceLayer,
    metrics_layer::ClientMetricsLayer,
    propagate::{Propagation, PropagationLayer, inject},
    request::OutgoingRequest,
    resend::{CountResends, ResendCount, ResendCountLayer},
    response::IncomingResponse,
    service::ClientTrace,
    targets::PropagationTargets,
    url_template::UrlTemplate,
};
pub use crate::{
    exchange::{attributes::Attributes, filter::Verdict, hooks::Ended, span_end::SpanEnd},
    head::{RequestHead, ResponseHead},
    semconv::legacy::LegacyNames,
};

mod layer;
mod metrics_layer;
mod config;
mod service;
mod request;
mod seen;
mod origin;
mod grpc_target;
mod nested;
mod make_span;
mod resend;
mod url_template;
mod describe;
mod propagate;
mod targets;
mod future;
mod response;
mod body;
mod failure;
