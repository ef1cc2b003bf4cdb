//! What a sampler never samples.

/// What is certain not to be sampled, whatever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsampled {
    All,
    /// All but what is below a span that was sampled elsewhere.
    BegunHere,
}
