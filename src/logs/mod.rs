//! Log lines that lead to their spans.
//!
//! [`WithTraceIds`] puts the ids of the current span into every line that `tracing-subscriber`
//! writes, whichever of its formatters has written it: an object of JSON gets them as members, a
//! line of text as `trace_id=…` at its end. So whoever reads a line finds the trace, and whoever
//! looks at a span finds its lines. Where no span is current, a line is what it was.
//!
//! # Example
//!
//! It goes around the writer:
//!
//! ```
//! use std::io;
//!
//! use tower_telemetry::logs::WithTraceIds;
//!
//! let subscriber =
//!     tracing_subscriber::fmt().json().with_writer(WithTraceIds::new(io::stdout)).finish();
//! # let _ = subscriber;
//! // tracing::subscriber::set_global_default(subscriber)?;
//! ```
//!
//! In a handler behind a [`TraceLayer`](crate::TraceLayer), `tracing::info!(item = 42, "found")` is
//! now
//!
//! ```json
//! {"timestamp":"2026-01-01T00:00:00.000000Z","level":"INFO","fields":{"message":"found","item":42},"target":"shop","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","trace_flags":"01"}
//! ```
//!
//! and with a formatter of text
//!
//! ```text
//! 2026-01-01T00:00:00.000000Z  INFO shop: found item=42 trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331 trace_flags=01
//! ```
//!
//! # Example: other names, and a layer among others
//!
//! The names are [the specification's][format]. Some backends have their own; these are
//! [Elastic's][ecs]:
//!
//! ```
//! use tower_telemetry::logs::{TraceIdNames, WithTraceIds};
//! use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
//!
//! let names = TraceIdNames::new("trace.id", "span.id")?;
//! let lines = tracing_subscriber::fmt::layer()
//!     .without_time()
//!     .with_writer(WithTraceIds::new(std::io::stderr).with_names(names))
//!     .with_filter(LevelFilter::INFO);
//! let subscriber = tracing_subscriber::registry().with(lines);
//! # let _ = subscriber;
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Whose ids
//!
//! Those of the span that is current in OpenTelemetry's Context when the event happens
//! ([`TraceIds::current`](crate::TraceIds::current)):
//!
//! | where | whose |
//! |---|---|
//! | in a handler, or in a body's stream | the [`TraceLayer`](crate::TraceLayer)'s span |
//! | inside of a client | the [`ClientTraceLayer`](crate::ClientTraceLayer)'s |
//! | in a spawned task | nobody's; with [`with_context(Context::current())`][with_context] around its future, those of whoever has spawned it |
//! | in a span of `tracing` under `tracing-opentelemetry` | that span's |
//! | the same, with its `with_context_activation(false)` | those of the span around it that is none of `tracing`'s; see [`with_ids_from`](WithTraceIds::with_ids_from) |
//! | in a span that is not sampled | its own, and its [flags](crate::TraceIds::trace_flags) say that there is nothing to be looked up |
//! | where a filter leaves [the span](crate::server::Verdict::without_span) out | the caller's, if it has sent any |
//! | anywhere else | nobody's: nothing is added |
//!
//! An event with a `parent:` of its own counts where it happens.
//!
//! # What is already there
//!
//! A line that has one of these names keeps it and gets none: two that do not belong together would
//! lead nowhere, and a name that is there twice is whatever a reader makes of it. In JSON that is a
//! member of the line itself, as with `flatten_event(true)`; one inside of `fields` or `span` is
//! something else. In a line of text it is a field of the event.
//!
//! # Cost
//!
//! A line is copied once, and one of JSON is read for where it ends and what its members are
//! called. Nothing is allocated: each thread has a buffer. `tests/allocations.rs` counts. A line is
//! written in one piece, so that those of several threads do not mix, also by a writer that does
//! not block.
//!
//! # Other loggers
//!
//! [`TraceIds`](crate::TraceIds) is for them, and takes no feature.
//!
//! [format]: https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
//! [ecs]: https://www.elastic.co/guide/en/ecs/current/ecs-tracing.html
//! [with_context]: opentelemetry::trace::FutureExt::with_context

pub use self::{
    names::TraceIdNames,
    with_trace_ids::{TraceIdsWriter, WithTraceIds},
};

mod with_trace_ids;
mod names;
mod line;
mod object;
