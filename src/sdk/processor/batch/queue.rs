//! The queue: where spans wait, and the one lock that whoever ends them shares.

use std::{
    collections::VecDeque,
    mem, process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Instant,
};

use opentelemetry_sdk::trace::SpanData;
use tokio::{
    sync::{Notify, futures::Notified},
    time,
};

use crate::sdk::{
    export::exporter::{Loss, Lost, Outcome},
    processor::batch::{
        alarm::{Alarm, Said},
        counts::{Counts, Fate},
        settings::Resolved,
    },
};

/// Spans on their way to one exporter, until there is word of them.
///
/// Spans are collected into whole batches as they end, so that the worker takes one in a single
/// move. All that is counted is counted under the lock that this takes anyway: at any moment, what
/// ended is what was exported, lost, waits, or is on its way.
#[derive(Debug)]
pub(super) struct Queue {
    settings: Resolved,
    /// How many batches may be on their way.
    concurrency: usize,
    /// The process that it was made in. A child that was forked has a copy, and no worker.
    process: u32,
    state: Mutex<State>,
    /// Told when something that someone may wait for has happened.
    progress: Condvar,
    /// Wakes the worker.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    filling: Vec<SpanData>,
    /// Batches that are as large as they get, or that are wanted now, and that no export is free
    /// for.
    ready: VecDeque<Vec<SpanData>>,
    /// Batches that an export is free for, until the worker begins it. They are no longer in the
    /// queue: that a thread is not given a processor at once makes no difference to what can wait.
    leaving: VecDeque<(u64, Vec<SpanData>)>,
    exporting: Vec<Exporting>,
    flushes: Vec<Flush>,
    counts: Counts,
    /// How many spans have come in, which numbers them.
    entered: u64,
    /// Numbers exports and flushes.
    numbered: u64,
    /// Whether the worker will look by itself whether something waits.
    armed: bool,
    /// Whether the worker knows that the queue is full, or is about to look.
    alarmed: bool,
    stage: Stage,
    /// What the exporter said of a flush or of its shutdown, and nobody has been told.
    complaints: Vec<String>,
}

/// A batch on its way.
#[derive(Debug)]
struct Exporting {
    number: u64,
    /// The first of its spans.
    first: u64,
    spans: u64,
}

/// Someone who waits for all spans before this one.
#[derive(Debug)]
struct Flush {
    number: u64,
    before: u64,
    /// Whether the exporter has been asked.
    asked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Open,
    /// No more spans; the exporter is shut down when the last has been seen to.
    Closing(Instant),
    /// The deadline is over.
    Abandoned,
    /// The worker is gone.
    Stopped,
}

/// What the worker is to do next.
pub(super) enum Step {
    Export(Ticket, Vec<SpanData>),
    /// Ask the exporter to flush, for these.
    Flush(Vec<u64>),
    Shutdown(Instant),
    Stop,
    /// Nothing, until it is woken, or until the delay is over if something waits.
    Wait {
        armed: bool,
    },
}

impl Queue {
    pub(super) fn new(settings: Resolved, concurrency: usize) -> Self {
        Self {
            settings,
            concurrency,
            process: process::id(),
            state: Mutex::default(),
            progress: Condvar::new(),
            wake: Notify::new(),
        }
    }

    /// Takes a span that has ended, and gives it back if this is the queue of another process.
    pub(super) fn push(&self, span: SpanData) -> Option<SpanData> {
        let Some(mut state) = self.lock_unless_inherited() else {
            return Some(span);
        };
        let is_full = state.counts.waiting >= self.queue_size();
        let fills = state.filling.len() + 1 >= self.settings.batch_size;
        // To ask the system each time would cost more than all the rest.
        if (is_full || fills || state.filling.is_empty()) && self.is_inherited() {
            return Some(span);
        }
        state.counts.ended += 1;
        // Let go of after the lock, since it takes a while.
        let mut refused = None;
        let wakes = if state.stage != Stage::Open {
            state.counts.lose(1, Fate::AfterShutdown);
            refused = Some(span);
            false
        } else if is_full {
            state.counts.lose(1, Fate::QueueFull);
            refused = Some(span);
            !mem::replace(&mut state.alarmed, true)
        } else {
            if state.filling.capacity() == 0 {
                state.filling.reserve_exact(self.settings.batch_size);
            }
            state.filling.push(span);
            state.counts.waiting += 1;
            state.entered += 1;
            if fills { state.seal(self.concurrency) } else { !mem::replace(&mut state.armed, true) }
        };
        drop(state);
        drop(refused);
        if wakes {
            self.wake.notify_one();
        }
        None
    }

    /// What a child that was forked goes on with: the batch that was being filled may have spans of
    /// its own. Whole batches are its parent's, which sends them.
    pub(super) fn bequeath(&self) -> Vec<SpanData> {
        // Whoever holds the lock is not in this process.
        match self.state.try_lock() {
            Ok(mut state) => mem::take(&mut state.filling),
            Err(TryLockError::Poisoned(poisoned)) => mem::take(&mut poisoned.into_inner().filling),
            Err(TryLockError::WouldBlock) => Vec::new(),
        }
    }

    /// Whether this process was forked from the one whose queue it is.
    pub(super) fn is_inherited(&self) -> bool {
        process::id() != self.process
    }

    /// The counts as they are now, all from the same moment.
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Has the alarm look at the counts. Once it is raised it looks by the clock: to be woken for
    /// each span that is dropped would cost the most when there is the least to spare.
    pub(super) fn look(&self, alarm: &mut Alarm, now: time::Instant) -> Option<Said> {
        let mut state = self.lock();
        let said = alarm.look(now, &state.counts);
        state.alarmed = alarm.is_raised();
        said
    }

    /// What was lost since the last time, and what the exporter has complained of.
    pub(super) fn tell(&self) -> (Vec<(Fate, u64, String)>, Vec<String>) {
        let mut state = self.lock();
        (state.counts.tell(), mem::take(&mut state.complaints))
    }

    /// Has all that has ended so far exported, and gives the number of that wish. There is none
    /// when nothing is left to wait for.
    pub(super) fn begin_flush(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.stage != Stage::Open {
            return None;
        }
        state.seal(self.concurrency);
        let (number, before) = (state.number(), state.entered);
        state.flushes.push(Flush { number, before, asked: false });
        drop(state);
        self.wake.notify_one();
        Some(number)
    }

    /// Waits for a flush, and gives how many spans are still to go if it was not done by then.
    pub(super) fn wait_for_flush(&self, number: u64, deadline: Instant) -> Result<(), u64> {
        let flushing = |state: &State| state.flushes.iter().any(|flush| flush.number == number);
        let mut state = self.wait_while(deadline, flushing);
        if !flushing(&state) {
            return Ok(());
        }
        state.flushes.retain(|flush| flush.number != number);
        Err(state.counts.waiting + state.counts.exporting)
    }

    /// Takes no more spans, and has all that are there exported until then.
    pub(super) fn begin_shutdown(&self, deadline: Instant) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Closing(deadline);
            state.seal(self.concurrency);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the shutdown, and gives how many spans were left when it was not done by then:
    /// these are lost, whatever may yet become of them.
    pub(super) fn wait_for_shutdown(&self, deadline: Instant) -> Result<(), u64> {
        let mut state = self.wait_while(deadline, |state| state.stage != Stage::Stopped);
        if state.stage == Stage::Stopped {
            return Ok(());
        }
        state.stage = Stage::Abandoned;
        let (lost, spans) = state.abandon(Loss::TimedOut, "the shutdown did not wait for them");
        // What is told in the result is not told again.
        state.counts.told(lost, Fate::Failed(Loss::TimedOut));
        drop(state);
        drop(spans);
        self.progress.notify_all();
        self.wake.notify_one();
        Err(lost)
    }

    /// What the worker is to do. `armed` by its answer, it calls [`tick`](Self::tick) when the
    /// delay is over.
    pub(super) fn next(self: &Arc<Self>) -> Step {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Abandoned | Stage::Stopped) {
            return Step::Stop;
        }
        if let Some((number, batch)) = state.leaving.pop_front() {
            return Step::Export(Ticket { queue: Some(Arc::clone(self)), number }, batch);
        }
        // Who waits for spans that have been seen to waits for the exporter only.
        let reached = state.reached();
        let due = state.flushes.iter_mut().filter(|flush| !flush.asked && flush.before <= reached);
        let due: Vec<u64> = due
            .map(|flush| {
                flush.asked = true;
                flush.number
            })
            .collect();
        if !due.is_empty() {
            return Step::Flush(due);
        }
        match state.stage {
            Stage::Closing(deadline) if state.exporting.is_empty() && state.flushes.is_empty() => {
                Step::Shutdown(deadline)
            }
            _ => Step::Wait { armed: state.armed },
        }
    }

    /// The delay is over: what waits is wanted now. Gives whether to look again.
    pub(super) fn tick(&self) -> bool {
        let mut state = self.lock();
        let armed = state.seal(self.concurrency);
        state.armed = armed;
        armed
    }

    /// For the worker, to wait.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.wake.notified()
    }

    /// The exporter has flushed for these.
    pub(super) fn flushed(&self, numbers: &[u64], result: Result<(), String>) {
        let mut state = self.lock();
        state.flushes.retain(|flush| !numbers.contains(&flush.number));
        state.complaints.extend(result.err());
        drop(state);
        self.progress.notify_all();
        self.wake.notify_one();
    }

    /// The exporter is shut down.
    pub(super) fn shut_down(&self, result: Result<(), String>) {
        self.lock().complaints.extend(result.err());
    }

    /// The worker has gone. What was left then is lost.
    pub(super) fn stopped(&self) {
        let mut state = self.lock();
        state.stage = Stage::Stopped;
        let (_, spans) = state.abandon(Loss::Panicked, "the export thread has come to an end");
        drop(state);
        drop(spans);
        self.progress.notify_all();
    }

    fn settle(&self, number: u64, outcome: Outcome) {
        let mut state = self.lock();
        let Some(at) = state.exporting.iter().position(|batch| batch.number == number) else {
            // It was given up for lost before.
            return;
        };
        let spans = state.exporting.swap_remove(at).spans;
        state.counts.exporting -= spans;
        let mut exported = spans;
        if let Some(Lost { items: lost, loss, reason }) = outcome.lost {
            let lost = lost.min(spans);
            exported -= lost;
            state.counts.lose_because(lost, Fate::Failed(loss), reason);
        }
        state.counts.exported += exported;
        state.leave(self.concurrency);
        drop(state);
        // Who waits for a flush is told by the worker.
        self.wake.notify_one();
    }

    fn queue_size(&self) -> u64 {
        as_u64(self.settings.queue_size)
    }

    /// Not, if the lock is held in the process that this one was forked from: it always will be.
    fn lock_unless_inherited(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if self.is_inherited() => None,
            Err(TryLockError::WouldBlock) => Some(self.lock()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(
        &self,
        deadline: Instant,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.progress.wait_timeout_while(self.lock(), left, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    /// What was being filled is as full as it gets. Whether there was something.
    fn seal(&mut self, concurrency: usize) -> bool {
        if self.filling.is_empty() {
            return false;
        }
        let mut batch = mem::take(&mut self.filling);
        // One span is not to take the room of a whole batch.
        if batch.len() < batch.capacity() / 2 {
            batch.shrink_to_fit();
        }
        self.ready.push_back(batch);
        self.leave(concurrency);
        true
    }

    /// Takes out of the queue what an export is free for.
    fn leave(&mut self, concurrency: usize) {
        while self.exporting.len() < concurrency
            && let Some(batch) = self.ready.pop_front()
        {
            let first = self.entered - self.counts.waiting;
            let spans = as_u64(batch.len());
            let number = self.number();
            self.exporting.push(Exporting { number, first, spans });
            self.leaving.push_back((number, batch));
            self.counts.waiting -= spans;
            self.counts.exporting += spans;
        }
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// The first span that has not been seen to.
    fn reached(&self) -> u64 {
        let next = self.entered - self.counts.waiting;
        self.exporting.iter().map(|batch| batch.first).min().unwrap_or(next)
    }

    /// Gives up what is left, and says how many spans that were. They are to be let go of without
    /// the lock.
    fn abandon(&mut self, loss: Loss, reason: &str) -> (u64, Vec<Vec<SpanData>>) {
        let leaving = mem::take(&mut self.leaving).into_iter().map(|(_, batch)| batch);
        let ready = mem::take(&mut self.ready);
        let filling = mem::take(&mut self.filling);
        let spans = leaving.chain(ready).chain([filling]).collect();
        self.exporting.clear();
        self.flushes.clear();
        let lost = mem::take(&mut self.counts.waiting) + mem::take(&mut self.counts.exporting);
        if lost > 0 {
            self.counts.lose_because(lost, Fate::Failed(loss), reason.to_owned());
        }
        (lost, spans)
    }
}

/// A batch that somebody has to say something of. Whoever lets go of it has said that the exporter
/// panicked.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Until it is settled.
    queue: Option<Arc<Queue>>,
    number: u64,
}

impl Ticket {
    pub(super) fn settle(mut self, outcome: Outcome) {
        if let Some(queue) = self.queue.take() {
            queue.settle(self.number, outcome);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            let panicked = Outcome::lost(u64::MAX, Loss::Panicked, "the exporter panicked");
            queue.settle(self.number, panicked);
        }
    }
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
