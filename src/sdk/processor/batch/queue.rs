//! The queue: where spans or log records wait, and the one lock that whoever brings them shares.

use std::{
    collections::VecDeque,
    mem, process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Instant,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time,
};

use crate::sdk::{
    export::{
        exporter::{Loss, Lost, Outcome},
        item::Item,
    },
    processor::batch::{
        alarm::{Alarm, Said},
        counts::{Counts, Fate},
        settings::Resolved,
    },
};

/// Items on their way to one exporter, until there is word of them.
///
/// They are collected into whole batches as they come, so that the worker takes one in a single
/// move. All that is counted is counted under the lock that this takes anyway: at any moment, what
/// came is what was exported, lost, waits, or is on its way.
#[derive(Debug)]
pub(super) struct Queue<T> {
    settings: Resolved,
    /// How many batches may be on their way.
    concurrency: usize,
    /// The process that it was made in. A child that was forked has a copy, and no worker.
    process: u32,
    state: Mutex<State<T>>,
    /// Told when something that someone may wait for has happened.
    progress: Condvar,
    /// Wakes the worker.
    wake: Notify,
}

#[derive(Debug)]
struct State<T> {
    filling: Vec<T>,
    /// Batches that are as large as they get, or that are wanted now, and that no export is free
    /// for.
    ready: VecDeque<Vec<T>>,
    /// Batches that an export is free for, until the worker begins it. They are no longer in the
    /// queue: that a thread is not given a processor at once makes no difference to what can wait.
    leaving: VecDeque<(u64, Vec<T>)>,
    exporting: Vec<Exporting>,
    flushes: Vec<Flush>,
    counts: Counts,
    /// How many items have come in, which numbers them.
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
    /// The first of its items.
    first: u64,
    items: u64,
}

/// Someone who waits for all items before this one.
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
    /// No more items; the exporter is shut down when the last has been seen to.
    Closing(Instant),
    /// The deadline is over.
    Abandoned,
    /// The worker is gone.
    Stopped,
}

/// What the worker is to do next.
pub(super) enum Step<T: Item> {
    Export(Ticket<T>, Vec<T>),
    /// Ask the exporter to flush, for these.
    Flush(Vec<u64>),
    Shutdown(Instant),
    Stop,
    /// Nothing, until it is woken, or until the delay is over if something waits.
    Wait {
        armed: bool,
    },
}

impl<T: Item> Queue<T> {
    pub(super) fn new(settings: Resolved, concurrency: usize) -> Self {
        Self {
            settings,
            concurrency,
            process: process::id(),
            state: Mutex::new(State::new()),
            progress: Condvar::new(),
            wake: Notify::new(),
        }
    }

    /// Takes an item, and gives it back if this is the queue of another process.
    pub(super) fn push(&self, item: T) -> Option<T> {
        let Some(mut state) = self.lock_unless_inherited() else {
            return Some(item);
        };
        let is_full = state.counts.waiting >= self.queue_size();
        let fills = state.filling.len() + 1 >= self.settings.batch_size;
        // To ask the system each time would cost more than all the rest.
        if (is_full || fills || state.filling.is_empty()) && self.is_inherited() {
            return Some(item);
        }
        state.counts.ended += 1;
        // Let go of after the lock, since it takes a while.
        let mut refused = None;
        let wakes = if state.stage != Stage::Open {
            state.counts.lose(1, Fate::AfterShutdown);
            refused = Some(item);
            false
        } else if is_full {
            state.counts.lose(1, Fate::QueueFull);
            refused = Some(item);
            !mem::replace(&mut state.alarmed, true)
        } else {
            if state.filling.capacity() == 0 {
                state.filling.reserve_exact(self.settings.batch_size);
            }
            state.filling.push(item);
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

    /// What a child that was forked goes on with: the batch that was being filled may have items of
    /// its own. Whole batches are its parent's, which sends them.
    pub(super) fn bequeath(&self) -> Vec<T> {
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
    /// each item that is dropped would cost the most when there is the least to spare.
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

    /// Keeps a complaint, once.
    #[cfg(feature = "metrics")]
    pub(super) fn complain(&self, what: String) {
        let mut state = self.lock();
        if !state.complaints.contains(&what) {
            state.complaints.push(what);
        }
    }

    /// Has all that has come so far exported, and gives the number of that wish. There is none
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

    /// Waits for a flush, and gives how many items are still to go if it was not done by then.
    pub(super) fn wait_for_flush(&self, number: u64, deadline: Instant) -> Result<(), u64> {
        let flushing = |state: &State<T>| state.flushes.iter().any(|flush| flush.number == number);
        let mut state = self.wait_while(deadline, flushing);
        if !flushing(&state) {
            return Ok(());
        }
        state.flushes.retain(|flush| flush.number != number);
        Err(state.counts.waiting + state.counts.exporting)
    }

    /// Takes no more items, and has all that are there exported until then.
    pub(super) fn begin_shutdown(&self, deadline: Instant) {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Closing(deadline);
            state.seal(self.concurrency);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the shutdown, and gives how many items were left when it was not done by then:
    /// these are lost, whatever may yet become of them.
    pub(super) fn wait_for_shutdown(&self, deadline: Instant) -> Result<(), u64> {
        let mut state = self.wait_while(deadline, |state| state.stage != Stage::Stopped);
        if state.stage == Stage::Stopped {
            return Ok(());
        }
        state.stage = Stage::Abandoned;
        let (lost, items) = state.abandon(Loss::TimedOut, "the shutdown did not wait for them");
        // What is told in the result is not told again.
        state.counts.told(lost, Fate::Failed(Loss::TimedOut));
        drop(state);
        drop(items);
        self.progress.notify_all();
        self.wake.notify_one();
        Err(lost)
    }

    /// What the worker is to do. `armed` by its answer, it calls [`tick`](Self::tick) when the
    /// delay is over.
    pub(super) fn next(self: &Arc<Self>) -> Step<T> {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Abandoned | Stage::Stopped) {
            return Step::Stop;
        }
        if let Some((number, batch)) = state.leaving.pop_front() {
            return Step::Export(Ticket { queue: Some(Arc::clone(self)), number }, batch);
        }
        // Who waits for items that have been seen to waits for the exporter only.
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
        let (_, items) = state.abandon(Loss::Panicked, "the export thread has come to an end");
        drop(state);
        drop(items);
        self.progress.notify_all();
    }

    fn settle(&self, number: u64, outcome: Outcome) {
        let mut state = self.lock();
        let Some(at) = state.exporting.iter().position(|batch| batch.number == number) else {
            // It was given up for lost before.
            return;
        };
        let items = state.exporting.swap_remove(at).items;
        state.counts.exporting -= items;
        let mut exported = items;
        if let Some(Lost { items: lost, loss, reason }) = outcome.lost {
            let lost = lost.min(items);
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
    fn lock_unless_inherited(&self) -> Option<MutexGuard<'_, State<T>>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if self.is_inherited() => None,
            Err(TryLockError::WouldBlock) => Some(self.lock()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(
        &self,
        deadline: Instant,
        condition: impl Fn(&State<T>) -> bool,
    ) -> MutexGuard<'_, State<T>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.progress.wait_timeout_while(self.lock(), left, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl<T: Item> State<T> {
    fn new() -> Self {
        Self {
            filling: Vec::new(),
            ready: VecDeque::new(),
            leaving: VecDeque::new(),
            exporting: Vec::new(),
            flushes: Vec::new(),
            counts: Counts::new(T::ITEMS),
            entered: 0,
            numbered: 0,
            armed: false,
            alarmed: false,
            stage: Stage::default(),
            complaints: Vec::new(),
        }
    }

    /// What was being filled is as full as it gets. Whether there was something.
    fn seal(&mut self, concurrency: usize) -> bool {
        if self.filling.is_empty() {
            return false;
        }
        let mut batch = mem::take(&mut self.filling);
        // One item is not to take the room of a whole batch.
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
            let items = as_u64(batch.len());
            let number = self.number();
            self.exporting.push(Exporting { number, first, items });
            self.leaving.push_back((number, batch));
            self.counts.waiting -= items;
            self.counts.exporting += items;
        }
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// The first item that has not been seen to.
    fn reached(&self) -> u64 {
        let next = self.entered - self.counts.waiting;
        self.exporting.iter().map(|batch| batch.first).min().unwrap_or(next)
    }

    /// Gives up what is left, and says how many items that were. They are to be let go of without
    /// the lock.
    fn abandon(&mut self, loss: Loss, reason: &str) -> (u64, Vec<Vec<T>>) {
        let leaving = mem::take(&mut self.leaving).into_iter().map(|(_, batch)| batch);
        let ready = mem::take(&mut self.ready);
        let filling = mem::take(&mut self.filling);
        let items = leaving.chain(ready).chain([filling]).collect();
        self.exporting.clear();
        self.flushes.clear();
        let lost = mem::take(&mut self.counts.waiting) + mem::take(&mut self.counts.exporting);
        if lost > 0 {
            self.counts.lose_because(lost, Fate::Failed(loss), reason.to_owned());
        }
        (lost, items)
    }
}

/// A batch that somebody has to say something of. Whoever lets go of it has said that the exporter
/// panicked.
#[derive(Debug)]
pub(super) struct Ticket<T: Item> {
    /// Until it is settled.
    queue: Option<Arc<Queue<T>>>,
    number: u64,
}

impl<T: Item> Ticket<T> {
    pub(super) fn settle(mut self, outcome: Outcome) {
        if let Some(queue) = self.queue.take() {
            queue.settle(self.number, outcome);
        }
    }
}

impl<T: Item> Drop for Ticket<T> {
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
