//! Our reader: collects by the clock and when it is asked to, for one exporter.

use std::{
    fmt, process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{
        InstrumentKind, ManualReader, Pipeline, Temporality, data::ResourceMetrics,
        reader::MetricReader,
    },
};
use tracing::{info, warn};

use crate::{
    contained::contained,
    error::BuildError,
    sdk::{
        export::exporter::Target,
        metrics::collected::Collected,
        processor::batch::{counts::Fate, processor::Batch, settings::Resolved},
        text::plain,
    },
};

/// How long a flush may take that the provider is asked for, which has no timeout to give.
const FLUSH: Duration = Duration::from_secs(5);

/// Collects on a thread of its own, and has a queue take it from there.
///
/// The SDK's periodic reader waits for its exporter without a limit, ends with the first callback
/// that panics, and has no word of what became of an export. A collection is asked for here, and
/// whoever asks waits for as long as it likes.
pub(crate) struct Reader {
    source: ManualReader,
    batch: Batch<Collected>,
    interval: Duration,
    /// The process that its thread is of. A child that was forked has none.
    process: u32,
    state: Mutex<State>,
    /// Told whenever the state has changed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there is something to collect from.
    registered: bool,
    /// Numbers those who ask.
    asked: u64,
    asks: Vec<Ask>,
    /// The last collection is to be made, and to be exported until then.
    closing: Option<Instant>,
    /// It has been made, or there is no thread any more.
    ended: bool,
    /// Whether the collection before has failed, which is logged once.
    failing: bool,
}

/// Someone who waits for a collection to be made and exported.
#[derive(Debug)]
struct Ask {
    number: u64,
    /// It has been made, and the queue is at it, or has nothing to do.
    flush: Option<Option<u64>>,
}

/// What the thread is to do next.
enum Step {
    Due,
    /// All who have asked up to this one.
    Asked(u64),
    Close(Instant),
}

impl Reader {
    /// Starts its threads. It collects once it has been registered.
    pub(crate) fn start(
        target: Target<Collected>,
        temporality: Temporality,
        interval: Duration,
        exports: Resolved,
        resource: &Resource,
    ) -> Result<Arc<Self>, BuildError> {
        let name = target.name.clone();
        let reader = Arc::new(Self {
            source: ManualReader::builder().with_temporality(temporality).build(),
            batch: Batch::start(target, exports, resource)?,
            interval,
            process: process::id(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let collector = Arc::clone(&reader);
        let thread = thread::Builder::new().name("otel-metrics".to_owned());
        thread.spawn(move || collector.run()).map_err(|error| {
            BuildError::new("exporter", name, format!("cannot be started: {error}"))
        })?;
        Ok(reader)
    }

    pub(crate) fn batch(&self) -> &Batch<Collected> {
        &self.batch
    }

    /// Asks for a collection, for [`wait_for_flush`](Self::wait_for_flush) to wait for. There is
    /// none in a process that was forked, or after the last.
    pub(crate) fn begin_flush(&self) -> Option<u64> {
        if self.is_inherited() {
            return None;
        }
        let mut state = self.lock();
        if state.ended || state.closing.is_some() {
            return None;
        }
        state.asked += 1;
        let number = state.asked;
        state.asks.push(Ask { number, flush: None });
        drop(state);
        self.changed.notify_all();
        Some(number)
    }

    /// How many collections are still to go, if it is not made and exported by then.
    pub(crate) fn wait_for_flush(&self, number: u64, deadline: Instant) -> Result<(), u64> {
        let of = |state: &State| {
            let ask = state.asks.iter().find(|ask| ask.number == number);
            ask.and_then(|ask| ask.flush)
        };
        let mut state = self.wait_while(deadline, |state| !state.ended && of(state).is_none());
        let flush = of(&state);
        state.asks.retain(|ask| ask.number != number);
        let ended = state.ended;
        drop(state);
        match flush {
            Some(Some(flush)) => self.batch.wait_for_flush(flush, deadline),
            Some(None) => Ok(()),
            // A shutdown has collected for it.
            None if ended => Ok(()),
            None => Err(0),
        }
    }

    /// Asks for the last collection, which is to be exported until then.
    pub(crate) fn begin_shutdown(&self, deadline: Instant) {
        if !self.is_inherited() {
            self.lock().closing.get_or_insert(deadline);
            self.changed.notify_all();
        }
    }

    /// How many collections are lost, if the last is not made and exported by then.
    pub(crate) fn wait_for_shutdown(&self, deadline: Instant) -> Result<(), u64> {
        if self.is_inherited() {
            return Ok(());
        }
        let ended = self.wait_while(deadline, |state| !state.ended).ended;
        if ended {
            return self.batch.wait_for_shutdown(deadline);
        }
        // What is collected after that is too late.
        self.batch.begin_shutdown(deadline);
        let left = self.batch.wait_for_shutdown(deadline).err().unwrap_or_default();
        Err(left + 1)
    }

    fn run(&self) {
        let _ends = Ends(self);
        // What is measured meanwhile is not traced.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let mut next = None;
        loop {
            match self.next(&mut next) {
                Step::Due => {
                    // One that is still on its way would be overtaken. What is not collected now is
                    // in the next one.
                    if self.is_idle() {
                        self.collect();
                    }
                }
                Step::Asked(last) => {
                    self.collect();
                    self.collected(last);
                }
                Step::Close(deadline) => {
                    self.collect();
                    self.batch.begin_shutdown(deadline);
                    return;
                }
            }
        }
    }

    /// Waits until there is something to do. `next` is when a collection is due.
    fn next(&self, next: &mut Option<Instant>) -> Step {
        let mut state = self.lock();
        loop {
            if let Some(deadline) = state.closing {
                return Step::Close(deadline);
            }
            if state.asks.iter().any(|ask| ask.flush.is_none()) {
                return Step::Asked(state.asked);
            }
            let now = Instant::now();
            let left = if state.registered {
                let due = *next.get_or_insert(now + self.interval);
                if due <= now {
                    // By the clock, unless that is over already.
                    *next = Some((due + self.interval).max(now));
                    return Step::Due;
                }
                due - now
            } else {
                self.interval
            };
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn collect(&self) {
        let mut metrics = ResourceMetrics::default();
        let failed = match contained(|| self.source.collect(&mut metrics)) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(plain(&error)),
            None => Some("a callback panicked, and the SDK can collect no more".to_owned()),
        };
        self.note(failed);
        let collected = Collected(metrics);
        if collected.data_points() > 0 {
            self.batch.push(collected);
        }
    }

    /// Logs what a collection has failed with, if the one before has not.
    fn note(&self, failed: Option<String>) {
        let before = std::mem::replace(&mut self.lock().failing, failed.is_some());
        let name = &self.batch.target().name;
        match failed {
            None if before => {
                contained(
                    || info!(target: env!("CARGO_PKG_NAME"), "{name}: metrics are collected again"),
                );
            }
            None => {}
            Some(reason) => {
                let said = format!("metrics could not be collected: {reason}");
                if !before {
                    contained(|| warn!(target: env!("CARGO_PKG_NAME"), "{name}: {said}"));
                }
                self.batch.complain(said);
            }
        }
    }

    /// Tells those who have asked that it is made.
    fn collected(&self, last: u64) {
        let mut state = self.lock();
        for ask in state.asks.iter_mut().filter(|ask| ask.number <= last) {
            ask.flush.get_or_insert_with(|| self.batch.begin_flush());
        }
        drop(state);
        self.changed.notify_all();
    }

    fn is_idle(&self) -> bool {
        let counts = self.batch.counts();
        counts.waiting + counts.exporting == 0
    }

    fn is_inherited(&self) -> bool {
        process::id() != self.process
    }

    fn wait_while(
        &self,
        deadline: Instant,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When all is done, or something has panicked: nobody waits for what does not come.
struct Ends<'a>(&'a Reader);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("batch", &self.batch)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// What the provider asks of it.
impl Reader {
    pub(super) fn register(&self, pipeline: Weak<Pipeline>) {
        self.source.register_pipeline(pipeline);
        self.lock().registered = true;
        self.changed.notify_all();
    }

    pub(super) fn collect_now(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.source.collect(metrics)
    }

    /// Whether something was lost meanwhile is the answer.
    pub(super) fn flush(&self) -> OTelSdkResult {
        let deadline = Instant::now() + FLUSH;
        let before = self.batch.counts();
        if let Some(number) = self.begin_flush()
            && self.wait_for_flush(number, deadline).is_err()
        {
            return Err(OTelSdkError::Timeout(FLUSH));
        }
        let after = self.batch.counts();
        let lost = Fate::ALL.into_iter().find(|&fate| after.lost(fate) > before.lost(fate));
        lost.map_or(Ok(()), |fate| {
            Err(OTelSdkError::InternalFailure(after.reason(fate).to_owned()))
        })
    }

    pub(super) fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.source.temporality(kind)
    }
}
