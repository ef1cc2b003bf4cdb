//! Tail sampling inside one process: requests are decided over when they have ended.

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
