//! Which traces are recorded.
//!
//! [`SamplerBuilder`] builds a [`Sampler`]. What the environment says of sampling counts where the
//! code says nothing.

pub use self::{builder::SamplerBuilder, decision::Sampler};

mod builder;
mod decision;
mod from_env;
