//! Traces, metrics and logs, as far as they are asked for something together.

#[cfg(feature = "logs")]
use std::time::Instant;
use std::{sync::Arc, time::Duration};
#[cfg(any(feature = "logs", feature = "metrics"))]
use std::{
    sync::mpsc::{self, Receiver},
    thread,
};

#[cfg(feature = "logs")]
use crate::sdk::logs::fan_out::LogFanOut;
#[cfg(feature = "metrics")]
use crate::sdk::metrics::meters::Meters;
use crate::sdk::{
    error::Failure,
    processor::{fan_out::FanOut, member::Job},
};

/// What stands behind the providers.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    pub(super) spans: Arc<FanOut>,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Option<Arc<Meters>>,
    /// Whether a flush is the last of them.
    #[cfg(feature = "metrics")]
    pub(super) ends_metrics: bool,
    #[cfg(feature = "logs")]
    pub(super) logs: Option<Arc<LogFanOut>>,
}

impl Signals {
    /// The same, whose flush is the last that metrics have.
    #[cfg(feature = "metrics")]
    pub(super) fn ending_metrics(self, ends_metrics: bool) -> Self {
        Self { ends_metrics, ..self }
    }

    /// Has all that there is exported, side by side, within one timeout.
    pub(super) fn flush(&self, timeout: Duration) -> Vec<Failure> {
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            return both(|| self.but_logs(Job::Flush, timeout), |_| logs.flush(timeout, timeout));
        }
        self.but_logs(Job::Flush, timeout)
    }

    /// Shuts all down, side by side, within one timeout.
    ///
    /// What is logged while spans and metrics are shut down is still to be exported. So log records
    /// are flushed meanwhile, and shut down when the others are done, or when only a tenth of the
    /// time is left.
    pub(super) fn shutdown(&self, timeout: Duration) -> Vec<Failure> {
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            let began = Instant::now();
            let left = || timeout.saturating_sub(began.elapsed());
            let a_tenth = timeout / 10;
            return both(
                || self.but_logs(Job::Shutdown, timeout),
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
        self.but_logs(Job::Shutdown, timeout)
    }

    fn but_logs(&self, job: Job, timeout: Duration) -> Vec<Failure> {
        let spans = || match job {
            Job::Flush => self.spans.flush(timeout),
            Job::Shutdown => self.spans.shutdown(timeout),
        };
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            return both(spans, |_| match job {
                Job::Flush if !self.ends_metrics => metrics.flush(timeout),
                Job::Flush | Job::Shutdown => metrics.shutdown(timeout),
            });
        }
        spans()
    }
}

/// Does one on a thread of its own, and the other here, which is told when the one is done: nothing
/// comes, and the channel is closed.
#[cfg(any(feature = "logs", feature = "metrics"))]
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
