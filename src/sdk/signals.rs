//! Traces and logs, as far as they are asked for something together.

use std::{sync::Arc, time::Duration};
#[cfg(feature = "logs")]
use std::{
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

#[cfg(feature = "logs")]
use crate::sdk::logs::fan_out::LogFanOut;
use crate::sdk::{error::Failure, processor::fan_out::FanOut};

/// What stands behind the providers.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    pub(super) spans: Arc<FanOut>,
    #[cfg(feature = "logs")]
    pub(super) logs: Option<Arc<LogFanOut>>,
}

impl Signals {
    /// Has all that there is exported, side by side, within one timeout.
    pub(super) fn flush(&self, timeout: Duration) -> Vec<Failure> {
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            return both(|| self.spans.flush(timeout), |_| logs.flush(timeout, timeout));
        }
        self.spans.flush(timeout)
    }

    /// Shuts all down, side by side, within one timeout.
    ///
    /// What is logged while spans are shut down is still to be exported. So log records are flushed
    /// meanwhile, and shut down when the others are done, or when only a tenth of the time is left.
    pub(super) fn shutdown(&self, timeout: Duration) -> Vec<Failure> {
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            let began = Instant::now();
            let left = || timeout.saturating_sub(began.elapsed());
            let a_tenth = timeout / 10;
            return both(
                || self.spans.shutdown(timeout),
                |done| {
                    let mut failures = logs.flush(timeout, left().saturating_sub(a_tenth));
                    // What it has not waited for, the shutdown does.
                    failures.retain(|failure| !failure.timed_out);
                    let _ = done.recv_timeout(left().saturating_sub(a_tenth));
                    failures.extend(logs.shutdown(timeout, left()));
                    failures
                },
            );
        }
        self.spans.shutdown(timeout)
    }
}

/// Does one on a thread of its own, and the other here, which is told when the one is done: nothing
/// comes, and the channel is closed.
#[cfg(feature = "logs")]
fn both(
    one: impl Fn() -> Vec<Failure> + Sync,
    other: impl FnOnce(&Receiver<()>) -> Vec<Failure>,
) -> Vec<Failure> {
    let (doing, done) = mpsc::channel();
    thread::scope(|scope| {
        let one = &one;
        let work = move || {
            let _doing = doing;
            one()
        };
        let (mut failures, others) = match thread::Builder::new().spawn_scoped(scope, work) {
            Ok(thread) => {
                let others = other(&done);
                (thread.join().unwrap_or_default(), others)
            }
            // Without a thread it is one after the other.
            Err(_) => {
                let failures = one();
                (failures, other(&done))
            }
        };
        failures.extend(others);
        failures
    })
}
