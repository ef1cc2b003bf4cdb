//! Which traces are recorded.
//!
//! [`SamplerBuilder`] builds a [`Sampler`], which is also the handle to change it by while the
//! program runs. What the [environment](crate::sdk#environment) says of sampling counts where the
//! code says nothing.
//!
//! # Example
//!
//! ```
//! use tower_telemetry::{SamplerBuilder, Telemetry, sdk::sampler::Rule};
//!
//! // One new trace in a hundred, and none of the health checks.
//! let telemetry = Telemetry::builder()
//!     .with_sampler(
//!         SamplerBuilder::new()
//!             .with_rule(Rule::drop().with_path("/healthz"))
//!             .with_ratio(0.01),
//!     )
//!     .build()?;
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! # Example: bounds for a busy service
//!
//! ```
//! use opentelemetry::trace::SpanKind;
//! use tower_telemetry::{
//!     SamplerBuilder,
//!     sdk::sampler::{RateLimit, Rule},
//! };
//!
//! let sampler = SamplerBuilder::new()
//!     // Probes, whoever sends them and whatever trace they come with.
//!     .with_rule(
//!         Rule::drop()
//!             .with_kind(SpanKind::Server)
//!             .with_path_prefix("/internal/health")
//!             .with_parent_overruled(),
//!     )
//!     .with_rule(Rule::ratio(0.001).with_path("*.png"))
//!     .with_rule(Rule::keep().with_path_prefix("/checkout"))
//!     .with_ratio(0.05)
//!     .with_rate_limit(RateLimit::per_second(200.0).with_burst(400))
//!     .build()?;
//! # let _ = sampler;
//! # Ok::<(), tower_telemetry::BuildError>(())
//! ```
//!
//! A caller that says that its trace is sampled is not counted by the limit. Where callers are
//! strangers, a layer with [`RemoteParent::Link`](crate::server::RemoteParent::Link) begins traces
//! of its own, over which all of the above decides.
//!
//! # What decides, in order
//!
//! 1. [Rules](Rule): the first that holds. Where there is a parent to follow, only those
//!    [over parents](Rule::with_parent_overruled) are asked.
//! 2. The parent, if there is one, and if it has decided: a span is sampled as its parent is, or as
//!    the [branch](SamplerBuilder::with_remote_parent_sampled) for such parents says.
//! 3. The root decision: [always on](SamplerBuilder::with_always_on), [always
//!    off](SamplerBuilder::with_always_off), a [ratio](SamplerBuilder::with_ratio), or
//!    [anybody's sampler](SamplerBuilder::with_root).
//! 4. The [rate limit](SamplerBuilder::with_rate_limit), over all that is to be sampled and whose
//!    parent, where parents are followed, is not.
//! 5. What is dropped now is still [recorded](SamplerBuilder::with_always_record) if everything is,
//!    but for what a [drop rule](Rule::drop) has dropped, and all below that.
//!
//! In a layer [with the telemetry](crate::TraceLayer::with_telemetry) rules look at the request
//! itself, before any attribute is made of it; of any other span they see name and attributes. So a
//! health check that a rule drops allocates what any dropped request does, and a layer that drops
//! it with a [filter](crate::TraceLayer::with_filter) is cheaper only in that it does not carry the
//! caller's trace on.
//!
//! # How many spans one stands for
//!
//! | decided by | `ot=th:…` in `tracestate` |
//! |---|---|
//! | [`with_ratio`](SamplerBuilder::with_ratio), [`Rule::ratio`] | the ratio's threshold |
//! | [`Rule::keep`] | `th:0`: it stands for itself |
//! | a parent | the parent's, if its decision agrees with it; else none |
//! | [`with_always_on`](SamplerBuilder::with_always_on) | none; `th:0` in place of another's |
//! | [`with_trace_id_ratio`](SamplerBuilder::with_trace_id_ratio), and anything under a rate limit | none: it is not known |
//! | nobody: it is dropped | none |
//!
//! The randomness is `rv` of the same member if the trace came with one, and else the last 56 bits
//! of its id; neither `rv` nor what others have in the member is ever changed. Sources: [TraceState
//! handling], [probability sampling].
//!
//! # What it costs
//!
//! A decision without rules and limit takes 130 to 150 instructions where the SDK's
//! `ParentBasedSampler` takes 158 to 184 (`scripts/cost`), and allocates nothing (`cargo test
//! --test allocations`). What is sampled by a ratio has to say so in its `TraceState`: three
//! allocations, which are OpenTelemetry's.
//!
//! [TraceState handling]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/
//! [probability sampling]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/

pub(crate) use self::unsampled::Unsampled;
pub use self::{
    builder::SamplerBuilder, candidate::Candidate, limit::RateLimit, rule::Rule, shared::Sampler,
};

mod builder;
mod from_env;
mod shared;
mod plan;
mod settings;
mod foreseen;
mod dropped;
mod asked;
mod candidate;
mod rule;
mod pattern;
mod ruling;
mod unsampled;
mod parent;
mod root;
mod limit;
mod decided;
mod trace;
mod ot;
mod threshold;
