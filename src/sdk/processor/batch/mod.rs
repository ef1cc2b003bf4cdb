//! Spans wait in a queue, a thread exports them, and every one of them is accounted for.
//!
//! [`Batch`](processor::Batch) is what the fan-out holds. A span that ends goes into its
//! [`Queue`](queue::Queue), which has the one lock that requests share, and under that lock the
//! [counts](counts): so each span is in one of them at any moment. [Whole batches](queue) are taken
//! out by a [thread](thread) with a runtime of its own, where the [worker](worker) drives several
//! exports at once and an [`Alarm`](alarm::Alarm) logs the first loss and the recovery.

pub use self::settings::BatchSettings;

pub(in crate::sdk) mod settings;
pub(in crate::sdk) mod processor;
mod queue;
pub(in crate::sdk) mod counts;
mod thread;
mod worker;
mod alarm;
#[cfg(test)]
mod tests;
