//! The holder: all shards, the policy that decides over what they hold, and the limits.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{
    TraceId,
    trace::{SpanContext, TraceFlags},
};
use opentelemetry_sdk::trace::SpanData;

use crate::sdk::{
    processor::tail::{
        clock::Clock,
        places::Places,
        policy::{Policy, is_deciding},
        shard::{Ended, Fate, Released, Shard, Whole},
    },
    tail::{LocalTrace, TailSamplingCounts},
};

/// As many threads as this hardly ever want the same one.
const SHARDS: usize = 16;
/// How many local traces are found too old when a span starts or ends. With more than one, those
/// that are too old become fewer, however many there are; with few, no request waits for it.
const AGED_AT_ONCE: usize = 4;

/// How much is held, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) traces: usize,
    pub(super) spans_per_trace: usize,
    pub(super) age: Duration,
}

/// Holds spans until their local root ends, and gives those that go on. What it gives is handed on
/// by whoever has asked, when no lock is held.
pub(crate) struct Holder {
    policy: Policy,
    limits: Limits,
    clock: Clock,
    shards: [Mutex<Shard>; SHARDS],
    /// Which of them is to be looked at next when there is no place left.
    next: AtomicUsize,
    /// For local traces that are not decided over,
    waiting: Places,
    /// and for those that are, of which only ids are left. They get places of their own, so that
    /// spans that never end cannot keep new requests out.
    decided: Places,
}

impl Holder {
    pub(super) fn new(policy: Policy, limits: Limits, clock: Clock) -> Self {
        Self {
            policy,
            limits,
            clock,
            shards: Default::default(),
            next: AtomicUsize::new(0),
            waiting: Places::new(limits.traces),
            decided: Places::new(limits.traces),
        }
    }

    /// A span has started below `parent`, if that is valid. Gives what goes on because it has
    /// become too old to wait any longer.
    pub(crate) fn start(&self, span: &SpanContext, parent: &SpanContext) -> Vec<SpanData> {
        if span.is_sampled() {
            return Vec::new();
        }
        let now = self.clock.now();
        let (mut aged, has_place) = {
            let mut shard = self.shard(span.trace_id());
            // First, so that there is room.
            let aged = self.age_in(&mut shard, now, AGED_AT_ONCE);
            let has_place = if parent.is_valid() && !parent.is_remote() {
                shard.join(parent.span_id(), span.span_id(), self.limits.spans_per_trace);
                true
            } else if is_deciding() {
                shard.refuse();
                true
            } else {
                shard.begin(span.span_id(), now, &self.waiting)
            };
            (aged, has_place)
        };
        if !has_place {
            // The places are there for all shards, and another one may have too old ones in them.
            aged.append(&mut self.age_elsewhere(now));
            let mut shard = self.shard(span.trace_id());
            if !shard.begin(span.span_id(), now, &self.waiting) {
                shard.refuse();
            }
        }
        kept(aged)
    }

    /// A span has ended that is not sampled. Gives what goes on now.
    pub(crate) fn end(&self, span: SpanData) -> Vec<SpanData> {
        let now = self.clock.now();
        let (ended, aged) = {
            let mut shard = self.shard(span.span_context.trace_id());
            // First, since with its root at hand a trace is better decided over, however old.
            let ended = shard.end(span, &self.decided);
            (ended, self.age_in(&mut shard, now, AGED_AT_ONCE))
        };
        let mut kept = kept(aged);
        match ended {
            Ended::Root(whole) => kept.append(&mut self.decide(whole, now)),
            Ended::Late(Some(Fate::Kept), span) => kept.push(sampled(span)),
            Ended::Late(..) | Ended::Held => {}
        }
        kept
    }

    /// Gives what goes on of all that has become too old.
    pub(crate) fn age(&self) -> Vec<SpanData> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for shard in &self.shards {
            loop {
                // In between, others get their turn.
                let mut aged = self.age_in(&mut lock(shard), now, AGED_AT_ONCE);
                if aged.is_empty() {
                    break;
                }
                all.append(&mut aged);
            }
        }
        kept(all)
    }

    /// Holds nothing more, and gives what goes on of all that it has held.
    pub(crate) fn close(&self) -> Vec<SpanData> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.close(&self.decided);
            let fate = |began| self.fate_of(began, now, Fate::Unfinished);
            all.append(&mut shard.age(|_| true, fate, usize::MAX, [&self.waiting, &self.decided]));
        }
        kept(all)
    }

    pub(crate) fn counts(&self) -> TailSamplingCounts {
        let mut counts = TailSamplingCounts::default();
        for shard in &self.shards {
            counts += lock(shard).counts();
        }
        counts
    }

    /// A policy's predicates may take their time, so they run before the shard is locked again.
    fn decide(&self, whole: Whole, now: Instant) -> Vec<SpanData> {
        let Whole { root, held, began, .. } = &whole;
        let of_span = root.end_time.duration_since(root.start_time);
        let duration = of_span.unwrap_or_else(|_| now.saturating_duration_since(*began));
        let keeps = self.policy.keeps(&LocalTrace::new(root, held, duration));
        let fate = if keeps { Fate::Kept } else { Fate::Discarded };
        let (fate, mut meanwhile) = {
            let mut shard = self.shard(root.span_context.trace_id());
            shard.conclude(&whole, fate, &self.waiting, &self.decided)
        };
        if fate != Fate::Kept {
            return Vec::new();
        }
        let Whole { root, held: mut spans, .. } = whole;
        spans.append(&mut meanwhile);
        spans.push(root);
        spans.into_iter().map(sampled).collect()
    }

    /// Ages one shard, another one each time.
    fn age_elsewhere(&self, now: Instant) -> Vec<Released> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.age_in(&mut lock(&self.shards[next % SHARDS]), now, AGED_AT_ONCE)
    }

    fn age_in(&self, shard: &mut Shard, now: Instant, most: usize) -> Vec<Released> {
        let is_old = |began| now.saturating_duration_since(began) > self.limits.age;
        let fate = |began| self.fate_of(began, now, Fate::Aged);
        shard.age(is_old, fate, most, [&self.waiting, &self.decided])
    }

    /// What to make of a local trace whose root has not ended: what hangs is slow.
    fn fate_of(&self, began: Instant, now: Instant, otherwise: Fate) -> Fate {
        let is_slow = self.policy.is_slow(now.saturating_duration_since(began));
        if is_slow { Fate::Kept } else { otherwise }
    }

    fn shard(&self, trace_id: TraceId) -> MutexGuard<'_, Shard> {
        let [.., last] = trace_id.to_bytes();
        lock(&self.shards[usize::from(last) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of what was released, that which goes on.
fn kept(released: Vec<Released>) -> Vec<SpanData> {
    let kept = released.into_iter().filter(|(fate, _)| *fate == Fate::Kept);
    kept.flat_map(|(_, spans)| spans).map(sampled).collect()
}

/// The same span with the flag without which no processor and no exporter would take it.
fn sampled(mut span: SpanData) -> SpanData {
    let SpanData { span_context, .. } = &span;
    span.span_context = SpanContext::new(
        span_context.trace_id(),
        span_context.span_id(),
        span_context.trace_flags() | TraceFlags::SAMPLED,
        span_context.is_remote(),
        span_context.trace_state().clone(),
    );
    span
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder")
            .field("policy", &self.policy)
            .field("limits", &self.limits)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Holder {
    /// What it knows at most, and what it knows: spans, traces that wait, traces that are decided.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let sizes = self.shards.iter().map(|shard| lock(shard).sizes());
        sizes.fold([0; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z])
    }

    pub(super) fn places(&self) -> [usize; 2] {
        [self.waiting.taken(), self.decided.taken()]
    }
}
