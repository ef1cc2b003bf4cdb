//! Headers to Context and back.
//!
//! A server layer extracts the caller's span from the request's headers; a client layer injects
//! the current one into the headers it sends. In which format is a *propagator's* business: any
//! [`TextMapPropagator`] will do. [`TraceContext`] is the W3C format that every OpenTelemetry
//! system speaks, and what [`Telemetry`](crate::Telemetry) uses unless told otherwise.
//!
//! # Example
//!
//! The current span, written into and read back from a header map:
//!
//! ```
//! use opentelemetry::{Context, trace::TraceContextExt};
//! use tower_telemetry::propagation::{Propagator, TraceContext};
//!
//! let w3c = Propagator::new(TraceContext::new());
//! let mut headers = http::HeaderMap::new();
//! headers.insert(
//!     "traceparent",
//!     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?,
//! );
//!
//! let cx = w3c.extract(&Context::new(), &headers);
//! assert_eq!(cx.span().span_context().span_id().to_string(), "b7ad6b7169203331");
//!
//! let mut outgoing = http::HeaderMap::new();
//! w3c.inject(&cx, &mut outgoing);
//! assert_eq!(outgoing["traceparent"], headers["traceparent"]);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```
//!
//! # Example: no propagation at all
//!
//! A composite of nothing neither reads nor writes a header, so every request starts a trace:
//!
//! ```
//! use opentelemetry::propagation::TextMapCompositePropagator;
//! use tower_telemetry::TraceLayer;
//!
//! let layer = TraceLayer::new().with_propagator(TextMapCompositePropagator::new(vec![]));
//! # let _ = layer;
//! ```
//!
//! [`TextMapPropagator`]: opentelemetry::propagation::TextMapPropagator

pub use self::{
    b3::B3, baggage::Baggage, environment::Environment, jaeger::Jaeger, propagator::Propagator,
    response::ResponsePropagation, trace_context::TraceContext, xray::XRay,
};

mod propagator;
mod names;
mod format;
mod carrier;
mod hex;
mod trace_context;
mod traceparent;
mod tracestate;
pub(crate) mod baggage;
mod b3;
mod jaeger;
mod xray;
pub(crate) mod received;
mod environment;
mod response;
