//! Spans or log records wait in a queue, a thread exports them, and every one is accounted for.
//!
//! [`Batch`](processor::Batch) is what a fan-out holds. A span that ends goes into its
//! [`Queue`](queue::Queue), which has the one lock that requests share, and under that lock the
//! [counts](counts): so each span is in one of them at any moment. What is said of spans here is so
//! of log records, which have queues of their own. [Whole batches](queue) are taken
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
