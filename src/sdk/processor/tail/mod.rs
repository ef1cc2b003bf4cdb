//! Tail sampling inside one process: a request is decided over when it has ended.
//!
//! A sampler decides when a span starts, and knows nothing yet. With one trace in a hundred
//! sampled, of a hundred requests that fail one is seen. [`TailSampling`] holds the spans of a
//! request that is not sampled until its server span has ended, and exports them if that has
//! failed, was slow, or is wanted for a reason of yours; otherwise it drops them. What is sampled
//! is exported as before, at once.
//!
//! It is for a service that looks at its own failures, and for whoever has no Collector that could
//! do it better: it [sees one process](#other-services), and exports what that has done.
//!
//! # Example
//!
//! ```
//! use tower_telemetry::{SamplerBuilder, Telemetry, sdk::tail::TailSampling};
//!
//! // One trace in a hundred, and every request that fails.
//! let telemetry = Telemetry::builder()
//!     .with_sampler(SamplerBuilder::new().with_ratio(0.01))
//!     .with_tail_sampling(TailSampling::new())
//!     .build()?;
//! assert_eq!(telemetry.tail_sampling().unwrap().kept_traces(), 0);
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Example: slow ones, chosen ones, and limits
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_telemetry::{SamplerBuilder, Telemetry, sdk::tail::TailSampling};
//!
//! let sampling = TailSampling::new()
//!     .with_slower_than(Duration::from_millis(500))
//!     // One reason is enough.
//!     .with_predicate(|trace| trace.root().name == "POST /orders")
//!     // 200 requests at once, of 100 spans each: 20 MiB at the worst.
//!     .with_max_traces(200)
//!     .with_max_spans_per_trace(100)
//!     .with_max_age(Duration::from_secs(30));
//! let telemetry = Telemetry::builder()
//!     .with_sampler(SamplerBuilder::new().with_ratio(0.01))
//!     .with_tail_sampling(sampling)
//!     .build()?;
//! # let _ = telemetry;
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! A provider that is not a [`Telemetry`](crate::Telemetry) has a [`TailProcessor`] in front of its
//! exporter's.
//!
//! # What is decided over
//!
//! A *local trace*: a span whose parent is remote, or that has none, and all that is below it in
//! this process. That first span is the *local root*; of a request that a
//! [`TraceLayer`](crate::TraceLayer) has traced it is the server span. A trace that comes through
//! the process twice is two local traces, and each is decided over by itself.
//!
//! | what happens | what becomes of its spans |
//! |---|---|
//! | the sampler samples a span | it goes on when it ends, whatever becomes of the others |
//! | the root ends, and one reason to keep the trace applies | all that has ended goes on, in the order in which it ended, the root last |
//! | the root ends, and none does | they are dropped |
//! | a span ends, or even starts, after its root | it shares the fate, for as long as the trace has open spans |
//! | the trace is open for [too long](TailSampling::with_max_age), or at the shutdown | it is kept if it is [slow](TailSampling::with_slower_than) by then, and given up otherwise; so is what ends later |
//! | there are [too many traces](TailSampling::with_max_traces), or [spans in one](TailSampling::with_max_spans_per_trace) | what comes on top is given up |
//! | the span above is local and not held: sampled, not recorded, or forgotten | it is given up |
//!
//! What is kept goes on with the [sampled flag] set, and is the span that was recorded otherwise.
//! [`TailSamplingCounts`] says what became of everything, in sums that come out even.
//!
//! In a [`Telemetry`](crate::Telemetry) it stands in front of the exporters and of the console,
//! which prints what is kept as one tree. A processor that was given [as
//! such](crate::TelemetryBuilder::with_span_processor) sees every span as it was recorded.
//!
//! # What it costs
//!
//! Only what is recorded can be kept. So every request is recorded, with all its attributes, as if
//! it were sampled, and only exporting is saved.
//!
//! A request with one of its own, both over the layers of this crate and services that answer at
//! once: 2.1 µs where neither span is recorded, 5 µs where both are, and 7 µs where both are held
//! and dropped in the end (`cargo bench --bench tail`, on a busy machine of two cores). A span that
//! is held takes one of 16 locks when it starts and when it ends, by its trace id; nothing of yours
//! runs under it. A span that is sampled costs nothing more, and takes none.
//!
//! A client span that is held takes about 1 KiB, and up to 2 KiB where it is the only one (`cargo
//! test --test allocations`); what your hooks put on spans comes on top. A thousand requests of ten
//! spans each, all open, hold 11 MB. The limits bound that, also if nothing ever ends: with the
//! defaults of 1000 local traces of 256 spans, and of 1 KiB a span, to 250 MiB. That is the worst
//! case, and the limits want to be those of your service.
//!
//! The predicates run on the thread on which the root ends. There is no thread and no timer here:
//! what is too old is found when something else starts or ends, and at a flush.
//!
//! # Other services
//!
//! **What is kept is this process's part of the trace, and no more.** Whether a request is worth
//! keeping is known after everything else has been asked, and the headers that went there said that
//! the trace is *not sampled*. So:
//!
//! * Services that were called have dropped their spans, unless they have kept them for a reason of
//!   their own. A client span that is kept may lead nowhere.
//! * The service that has called has most likely dropped its span, too. What is kept hangs below a
//!   parent that the backend does not have, and many a backend shows the trace as incomplete or
//!   without a root.
//! * Nobody knows how many requests a kept one stands for. There is no [threshold] on it, and what a
//!   backend counts from spans (rates, error ratios, percentiles) is distorted: failures and slow
//!   requests are all there, good ones are not. Take metrics for such numbers, or only spans
//!   of traces that the sampler has chosen.
//!
//! Whole traces across services, and decisions by what went wrong anywhere in them, are the
//! Collector's to make: sample everything, in every service, export all of it, and have the
//! [tail sampling processor] there decide once all of a trace has arrived.
//!
//! [sampled flag]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling
//! [threshold]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#sampling-threshold-value-th
//! [tail sampling processor]: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/processor/tailsamplingprocessor

pub use self::{
    counts::TailSamplingCounts,
    local_trace::LocalTrace,
    processor::{TailProcessor, TailWatch},
    sampling::TailSampling,
};

mod sampling;
mod policy;
mod local_trace;
mod processor;
pub(crate) mod holder;
mod shard;
mod places;
mod clock;
mod counts;
#[cfg(feature = "console")]
pub(crate) mod printed;
#[cfg(test)]
mod tests;
