//! Which traces are recorded.
//!
//! [`SamplerBuilder`] builds a [`Sampler`]. What the environment says of sampling counts where the
//! code says nothing.

pub use self::{
    builder::SamplerBuilder, candidate::Candidate, limit::RateLimit, rule::Rule, shared::Sampler,
};

mod builder;
mod from_env;
mod shared;
mod foreseen;
mod plan;
mod settings;
mod asked;
mod candidate;
mod rule;
mod pattern;
mod ruling;
mod parent;
mod root;
mod limit;
mod decided;
mod trace;
mod ot;
mod threshold;
