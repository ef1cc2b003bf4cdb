//! Headers to Context and back.
//!
//! A server layer extracts the caller's span from the request's headers; a client layer injects
//! the current one into the headers it sends. In which format is a *propagator's* business. A
//! [`Propagator`] is one or more of them, in the order in which they are asked:
//!
//! | name | propagator | headers |
//! |---|---|---|
//! | `tracecontext` | [`TraceContext`], W3C's, which every OpenTelemetry system speaks | `traceparent`, `tracestate` |
//! | `baggage` | [`Baggage`], W3C's | `baggage` |
//! | `b3`, `b3multi` | [`B3`], Zipkin's, in one header or in several | `b3`, `x-b3-…` |
//! | `jaeger` | [`Jaeger`], of Jaeger's retired clients | `uber-trace-id`, `uberctx-…` |
//! | `xray` | [`XRay`], of AWS | `x-amzn-trace-id` |
//!
//! A [`Telemetry`](crate::Telemetry) has those that
//! [`with_propagators`](crate::sdk::TelemetryBuilder::with_propagators) or `OTEL_PROPAGATORS` name,
//! by default `tracecontext` and `baggage`. Layers without one have the global propagator, which is
//! any [`TextMapPropagator`]. Any of those can stand among ours, and each of ours is one.
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
//! # Example: from one format to another
//!
//! A service at the border of a mesh that speaks B3 understands both and speaks both:
//!
//! ```
//! use tower_telemetry::{ClientTraceLayer, TraceLayer, propagation::Propagator};
//!
//! let both = Propagator::named(["tracecontext", "b3"])?;
//! let server = TraceLayer::new().with_propagator(both.clone());
//! let client = ClientTraceLayer::new().with_propagator(both);
//! # let _ = (server, client);
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Who is believed
//!
//! What is malformed is as good as absent, and what is not well-formed is never sent on; a header
//! that may come once and comes twice is malformed. Work is bounded whatever comes in: each
//! propagator says how much it reads. Nothing is logged. Whether a stranger's well-formed headers
//! are believed is [the server layer's](crate::server#trust) to say, and where ours go [the client
//! layer's](crate::client#where-context-may-go).
//!
//! # What a span does not hold
//!
//! OpenTelemetry's `SpanContext` has no place for some of what is received: keys of `tracestate`
//! that only Level 2 allows, B3's debug flag, a decision that was left to others. And a span that
//! is sampled out loses the flags of its parent. All that is in the Context beside the span, for
//! everything in the same trace, and is written again when a span of that trace is injected: so it
//! gets through spans that this crate knows nothing of. What a sampler says of a span wins over it.
//!
//! Level 2's [random] flag is sent with what was received with it, and with traces that a layer
//! with a [`Telemetry`](crate::Telemetry) begins, whose ids are random, if all of the layer's
//! propagators are of this module: others may use the bit for something else. The root of such a
//! trace is exported without it, since OpenTelemetry's span cannot be told of it; and if that root
//! is sampled out, a span of your own below it goes without it, too. Below a span of a `Telemetry`
//! whose sampler follows parents, so does a span of another provider's that is sampled out all the
//! same.
//!
//! # Programs
//!
//! [`Environment`] carries the same from one program to the next, for batch jobs and command lines.
//!
//! # Cost
//!
//! Beside OpenTelemetry's propagators with opentelemetry-http's carriers, in the same run, as
//! `scripts/cost` counts it (instructions) and `tests/allocations.rs` (allocations); `cargo bench
//! --bench propagation` prints the time:
//!
//! | | instructions | allocations |
//! |---|---|---|
//! | nothing to extract | 251 of 516 | 0 of 0 |
//! | extract a `traceparent` | 1275 of 3698 | 1 of 2 |
//! | extract it with two members of `tracestate` | 3722 of 7126 | 6 of 11 |
//! | inject | 1158 of 6205 | 1 of 7 |
//!
//! Of the third, 1946 instructions and all six allocations are what OpenTelemetry's `TraceState`
//! and Context take to hold it. A `traceparent` with the random flag costs three allocations more,
//! to keep the flag beside the span; a server layer with a [`Telemetry`](crate::Telemetry) pays
//! them only for a trace that is not sampled.
//!
//! [`TextMapPropagator`]: opentelemetry::propagation::TextMapPropagator
//! [random]: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag

pub use self::{
    b3::B3, baggage::Baggage, environment::Environment, jaeger::Jaeger, propagator::Propagator,
    response::ResponsePropagation, trace_context::TraceContext, xray::XRay,
};

mod propagator;
mod names;
mod format;
mod carrier;
pub(crate) mod hex;
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
