//! A shard: some of the local traces, behind one lock. Nothing here calls anybody.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    time::Instant,
};

use opentelemetry::SpanId;
use opentelemetry_sdk::trace::SpanData;

use crate::sdk::{processor::tail::places::Places, tail::TailSamplingCounts};

/// What becomes of a local trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// It has ended, and nobody wanted it.
    Discarded,
    /// It has not, and was open for too long.
    Aged,
    /// It had not when the shutdown came.
    Unfinished,
}

/// The local traces whose trace ids lead here.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Which local trace a span is of, by number: all that are open, all that are held, and the
    /// root of each trace that is known.
    known: HashMap<SpanId, u64>,
    /// In the order in which they have begun, so the oldest is the first.
    waiting: BTreeMap<u64, Waiting>,
    decided: BTreeMap<u64, Decided>,
    /// Numbers them.
    begun: u64,
    closed: bool,
    counts: TailSamplingCounts,
}

/// One that is not decided over yet.
#[derive(Debug)]
struct Waiting {
    open: Open,
    began: Instant,
    /// How many spans have ended below the root,
    ended: usize,
    /// and those of them that nobody has taken to decide over.
    held: Vec<SpanData>,
    /// Somebody is about to decide, and comes back.
    deciding: bool,
}

/// One that is, and has spans that go on.
#[derive(Debug)]
struct Decided {
    open: Open,
    fate: Fate,
}

/// The open spans of a local trace.
#[derive(Debug)]
struct Open {
    root: SpanId,
    root_is_open: bool,
    below: Vec<SpanId>,
    oversized: bool,
}

/// What the end of a span comes to. What is let go of is in here, too: to drop many spans takes
/// longer than anyone should wait for the lock.
#[derive(Debug)]
pub(super) enum Ended {
    /// It waits for its root.
    Held,
    /// The root itself: now it is time to decide.
    Root(Whole),
    /// This was decided over its trace; nothing, if that is not known.
    Late(Option<Fate>, SpanData),
}

/// A local trace whose root has ended.
#[derive(Debug)]
pub(super) struct Whole {
    number: u64,
    pub(super) began: Instant,
    pub(super) root: SpanData,
    /// Below the root, in the order in which they ended.
    pub(super) held: Vec<SpanData>,
}

/// What was held of a trace, and its fate.
pub(super) type Released = (Fate, Vec<SpanData>);

impl Shard {
    /// A local root has started. Gives whether there was a place for it; without one it is not
    /// held, and to be [refused](Self::refuse).
    pub(super) fn begin(&mut self, root: SpanId, now: Instant, places: &Places) -> bool {
        if self.closed || self.known.contains_key(&root) {
            self.refuse();
            return true;
        }
        if !places.take() {
            return false;
        }
        self.begun += 1;
        self.known.insert(root, self.begun);
        let open = Open { root, root_is_open: true, below: Vec::new(), oversized: false };
        let waiting = Waiting { open, began: now, ended: 0, held: Vec::new(), deciding: false };
        self.waiting.insert(self.begun, waiting);
        true
    }

    /// A local root has started that is not held.
    pub(super) fn refuse(&mut self) {
        self.counts.refused_one();
    }

    /// A span has started below another. It is of the same local trace, unless that one has no room
    /// for more than `most` or is not known.
    pub(super) fn join(&mut self, parent: SpanId, span: SpanId, most: usize) {
        let Some(&number) = self.known.get(&parent) else {
            return;
        };
        if self.known.contains_key(&span) {
            return;
        }
        let (open, ended) = if let Some(waiting) = self.waiting.get_mut(&number) {
            (&mut waiting.open, waiting.ended)
        } else if let Some(decided) = self.decided.get_mut(&number) {
            // What has ended went on or away, and takes no room.
            (&mut decided.open, 0)
        } else {
            return;
        };
        if ended + open.below.len() + 1 >= most {
            if !mem::replace(&mut open.oversized, true) {
                self.counts.oversized_one();
            }
            return;
        }
        open.below.push(span);
        self.known.insert(span, number);
    }

    /// A span has ended that is not sampled.
    pub(super) fn end(&mut self, span: SpanData, places: &Places) -> Ended {
        let id = span.span_context.span_id();
        let Some(&number) = self.known.get(&id) else {
            self.counts.unknown_span();
            return Ended::Late(None, span);
        };
        if let Some(waiting) = self.waiting.get_mut(&number)
            && waiting.open.close(id)
        {
            self.counts.held_one();
            if id != waiting.open.root {
                waiting.ended += 1;
                waiting.held.push(span);
                return Ended::Held;
            }
            waiting.deciding = true;
            let held = mem::take(&mut waiting.held);
            return Ended::Root(Whole { number, began: waiting.began, root: span, held });
        }
        if let Some(decided) = self.decided.get_mut(&number)
            && decided.open.close(id)
        {
            let fate = decided.fate;
            self.counts.ended(1, fate);
            if id != decided.open.root {
                self.known.remove(&id);
            }
            if decided.open.is_over()
                && let Some(over) = self.decided.remove(&number)
            {
                places.give_back();
                self.forget(&over.open);
            }
            return Ended::Late(Some(fate), span);
        }
        // It has ended before: whoever makes the ids has given this one twice.
        self.counts.unknown_span();
        Ended::Late(None, span)
    }

    /// What was decided over a whole trace. Gives what has ended while that was thought about, and
    /// what becomes of all: what was to be kept comes too late if nobody takes it any more.
    pub(super) fn conclude(
        &mut self,
        whole: &Whole,
        fate: Fate,
        waiting: &Places,
        decided: &Places,
    ) -> Released {
        let fate = if self.closed && fate == Fate::Kept { Fate::Unfinished } else { fate };
        for span in &whole.held {
            self.known.remove(&span.span_context.span_id());
        }
        self.counts.released(count(&whole.held) + 1, fate);
        (fate, self.settle(whole.number, fate, waiting, decided))
    }

    /// Decides over the oldest of those that have begun before `before`, `most` at once; `fate`
    /// says what to make of one that began then.
    pub(super) fn age(
        &mut self,
        before: impl Fn(Instant) -> bool,
        fate: impl Fn(Instant) -> Fate,
        most: usize,
        [waiting, decided]: [&Places; 2],
    ) -> Vec<Released> {
        let old = self.waiting.iter().take_while(|(_, trace)| before(trace.began));
        let old = old.filter(|(_, trace)| !trace.deciding).take(most);
        let old: Vec<(u64, Fate)> =
            old.map(|(&number, trace)| (number, fate(trace.began))).collect();
        old.into_iter()
            .map(|(number, fate)| (fate, self.settle(number, fate, waiting, decided)))
            .collect()
    }

    /// From now on nothing more is held.
    pub(super) fn close(&mut self, places: &Places) {
        self.closed = true;
        for (_, over) in mem::take(&mut self.decided) {
            places.give_back();
            self.forget(&over.open);
        }
    }

    pub(super) fn counts(&self) -> TailSamplingCounts {
        let held_traces = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.counts.with_held_traces(held_traces)
    }

    /// Gives what was held of a trace, and remembers its fate for as long as it has open spans.
    fn settle(
        &mut self,
        number: u64,
        fate: Fate,
        waiting: &Places,
        decided: &Places,
    ) -> Vec<SpanData> {
        let Some(Waiting { open, held, .. }) = self.waiting.remove(&number) else {
            return Vec::new();
        };
        waiting.give_back();
        for span in &held {
            self.known.remove(&span.span_context.span_id());
        }
        self.counts.decided(fate);
        self.counts.released(count(&held), fate);
        if self.closed || open.is_over() {
            self.forget(&open);
        } else if decided.take() {
            self.decided.insert(number, Decided { open, fate });
        } else if let Some((_, oldest)) = self.decided.pop_first() {
            self.forget(&oldest.open);
            self.decided.insert(number, Decided { open, fate });
        } else {
            self.forget(&open);
        }
        held
    }

    fn forget(&mut self, open: &Open) {
        self.known.remove(&open.root);
        for span in &open.below {
            self.known.remove(span);
        }
    }
}

impl Open {
    /// Whether it was open; it is not any more.
    fn close(&mut self, span: SpanId) -> bool {
        if span == self.root {
            return mem::replace(&mut self.root_is_open, false);
        }
        // What has started last is likely to end first.
        let found = self.below.iter().rposition(|&open| open == span);
        found.map(|at| self.below.swap_remove(at)).is_some()
    }

    fn is_over(&self) -> bool {
        !self.root_is_open && self.below.is_empty()
    }
}

fn count(spans: &[SpanData]) -> u64 {
    u64::try_from(spans.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Shard {
    /// How many spans, traces that wait and traces that are decided it knows.
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.known.len(), self.waiting.len(), self.decided.len()]
    }
}
