//! A request goes out: it takes the current span's context along.
//!
//! [`PropagationLayer`] wraps any [`tower::Service`] that takes an [`http::Request`] (hyper-util's
//! client, a tonic channel) and, with the feature `reqwest`, a `reqwest::Client`, which is such a
//! service for its own request type. It writes the current span into the headers and makes no
//! span of its own; the next service's server span becomes a child of the current one.
//!
//! # Example
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
//! # Example: reqwest
//!
//! With the feature `reqwest` a client is wrapped as it is:
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
#![cfg_attr(not(feature = "reqwest"), doc = "```text")]
//! use tower::{Layer, Service};
//! use tower_telemetry::PropagationLayer;
//!
//! async fn stock(client: &reqwest::Client) -> Result<String, reqwest::Error> {
//!     let request = client.get("http://inventory:3000/stock/42").build()?;
//!     let mut client = PropagationLayer::new().layer(client);
//!     client.call(request).await?.text().await
//! }
//! ```
//!
//! # A header that is there already
//!
//! is replaced, so a request that is sent on carries one `traceparent`, ours, and no `tracestate` of
//! another. Without a current span nothing is written and nothing is taken away.

pub use self::{layer::PropagationLayer, request::OutgoingRequest, service::Propagation};

mod layer;
mod service;
mod request;
