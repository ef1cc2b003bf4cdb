//! The worker: drives the exports, several at once, and what comes with them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::{self, JoinError},
    time::{self, error::Elapsed, timeout, timeout_at},
};
use tracing::{info, warn};

use crate::{
    contained::contained,
    sdk::{
        export::{
            exporter::{Exporter, Loss, Outcome},
            item::Item,
        },
        processor::batch::{
            alarm::{Alarm, Said},
            queue::{Queue, Step},
            settings::Resolved,
        },
    },
};

/// For how long nothing must have got lost to be well again. It bounds how often that is logged.
const QUIET: Duration = Duration::from_secs(5);

/// Runs until the queue is shut down.
pub(super) async fn run<T: Item>(
    queue: &Arc<Queue<T>>,
    exporter: Arc<dyn Exporter<T>>,
    settings: Resolved,
    name: &str,
) {
    let mut alarm = Alarm::new(QUIET);
    // When what waits is to be exported, however little it is.
    let mut tick = None;
    loop {
        match queue.next() {
            Step::Export(ticket, batch) => {
                let deadline = time::Instant::now() + settings.timeout;
                let exporting = Arc::clone(&exporter).export(batch, deadline);
                // In a task of its own, where a panic ends only that. Its ticket says so.
                task::spawn(async move {
                    let outcome = timeout_at(deadline, exporting).await;
                    ticket.settle(outcome.unwrap_or_else(|_| not_done_within(settings.timeout)));
                });
            }
            Step::Flush(numbers) => {
                let (queue, flushing) = (Arc::clone(queue), Arc::clone(&exporter).flush());
                let flush = task::spawn(flushing);
                task::spawn(async move {
                    let flushed = timeout(settings.timeout, flush).await;
                    queue.flushed(&numbers, complaint(flushed, "flush"));
                });
            }
            Step::Shutdown(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let shutdown = task::spawn(Arc::clone(&exporter).shutdown(left));
                let shut_down = timeout(left, shutdown).await;
                queue.shut_down(complaint(shut_down, "shut down"));
                return;
            }
            Step::Stop => return,
            Step::Wait { armed } => {
                let now = time::Instant::now();
                if armed && tick.is_none() {
                    tick = Some(now + settings.delay);
                }
                if tick.is_some_and(|tick| tick <= now) {
                    tick = queue.tick().then(|| now + settings.delay);
                    continue;
                }
                match queue.look(&mut alarm, now) {
                    // A subscriber that panics is not to end the exports.
                    Some(Said::Lost(said)) => {
                        contained(|| warn!(target: env!("CARGO_PKG_NAME"), "{name}: {said}"));
                    }
                    Some(Said::Recovered(said)) => {
                        contained(|| info!(target: env!("CARGO_PKG_NAME"), "{name}: {said}"));
                    }
                    None => {}
                }
                match [tick, alarm.until(now)].into_iter().flatten().min() {
                    // Woken or not, the next round finds out.
                    Some(until) => _ = timeout_at(until, queue.woken()).await,
                    None => queue.woken().await,
                }
            }
        }
    }
}

fn complaint(
    result: Result<Result<Result<(), String>, JoinError>, Elapsed>,
    asked: &str,
) -> Result<(), String> {
    match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("it panicked".to_owned()),
        Err(_) => Err(format!("the exporter did not {asked} in time")),
    }
}

fn not_done_within(timeout: Duration) -> Outcome {
    Outcome::lost(u64::MAX, Loss::TimedOut, format!("the export was not done within {timeout:?}"))
}
