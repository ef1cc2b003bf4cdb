//! Counts: what became of the local traces, and of their spans.

use std::ops::AddAssign;

use crate::sdk::processor::tail::shard::Fate;

/// What tail sampling has done so far, since the telemetry or the processor was built.
///
/// Two sums come out even, at any time:
///
/// * each span that has ended without being sampled is one of [`kept_spans`](Self::kept_spans),
///   [`discarded_spans`](Self::discarded_spans), [`given_up_spans`](Self::given_up_spans) and
///   [`held_spans`](Self::held_spans);
/// * each local trace that has begun without being sampled is one of
///   [`kept_traces`](Self::kept_traces), [`discarded_traces`](Self::discarded_traces),
///   [`refused_traces`](Self::refused_traces), [`aged_traces`](Self::aged_traces),
///   [`unfinished_traces`](Self::unfinished_traces) and [`held_traces`](Self::held_traces).
///
/// What is sampled is counted nowhere: it passes as if there were no tail sampling.
///
/// ```
/// use tower_telemetry::{Telemetry, sdk::tail::TailSampling};
///
/// let telemetry = Telemetry::builder().with_tail_sampling(TailSampling::new()).build()?;
/// let counts = telemetry.tail_sampling().unwrap();
/// // Worth an alert, if it grows: there are more requests at once than there is room for.
/// assert_eq!(counts.refused_traces(), 0);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailSamplingCounts {
    kept_traces: u64,
    discarded_traces: u64,
    refused_traces: u64,
    aged_traces: u64,
    unfinished_traces: u64,
    oversized_traces: u64,
    held_traces: u64,
    kept_spans: u64,
    discarded_spans: u64,
    given_up_spans: u64,
    held_spans: u64,
}

impl TailSamplingCounts {
    /// How many local traces were kept: because the policy said so when their root had ended, or
    /// because they were slow already when they became too old or the telemetry was shut down.
    #[must_use]
    pub fn kept_traces(&self) -> u64 {
        self.kept_traces
    }

    /// How many local traces ended, and nothing in the policy wanted them.
    #[must_use]
    pub fn discarded_traces(&self) -> u64 {
        self.discarded_traces
    }

    /// How many local traces were not held from the start, for there were [too
    /// many](crate::sdk::tail::TailSampling::with_max_traces) at once; or, which is rare, since
    /// they began in a predicate or after the shutdown, or their root had the id of a span that is
    /// held.
    #[must_use]
    pub fn refused_traces(&self) -> u64 {
        self.refused_traces
    }

    /// How many local traces were given up because they became
    /// [too old](crate::sdk::tail::TailSampling::with_max_age), and were not known to be slow.
    #[must_use]
    pub fn aged_traces(&self) -> u64 {
        self.aged_traces
    }

    /// How many local traces were given up because they had not ended at the shutdown, and were not
    /// known to be slow, or because it was not decided by then that they are kept.
    #[must_use]
    pub fn unfinished_traces(&self) -> u64 {
        self.unfinished_traces
    }

    /// How many local traces, whatever became of them otherwise, have lost spans because they had
    /// [too many](crate::sdk::tail::TailSampling::with_max_spans_per_trace).
    #[must_use]
    pub fn oversized_traces(&self) -> u64 {
        self.oversized_traces
    }

    /// How many local traces are open now, and not decided over.
    #[must_use]
    pub fn held_traces(&self) -> u64 {
        self.held_traces
    }

    /// How many spans went on, towards the exporters and their queues, because their local trace
    /// was kept, also those that ended after it was.
    #[must_use]
    pub fn kept_spans(&self) -> u64 {
        self.kept_spans
    }

    /// How many spans were of local traces that were discarded.
    #[must_use]
    pub fn discarded_spans(&self) -> u64 {
        self.discarded_spans
    }

    /// How many spans ended, and nobody can say whether they were worth keeping: they are of a
    /// local trace that was refused, became too old or was not over at the shutdown, were too many
    /// in theirs, or belong to none that is known: the span above them is not recorded, is sampled,
    /// or is [forgotten](crate::sdk::tail::TailSampling::with_max_traces).
    #[must_use]
    pub fn given_up_spans(&self) -> u64 {
        self.given_up_spans
    }

    /// How many spans wait in memory now for the end of their local root.
    #[must_use]
    pub fn held_spans(&self) -> u64 {
        self.held_spans
    }
}

/// How they are counted: each shard counts for itself, under its lock.
impl TailSamplingCounts {
    pub(super) fn with_held_traces(self, held_traces: u64) -> Self {
        Self { held_traces, ..self }
    }

    pub(super) fn refused_one(&mut self) {
        self.refused_traces += 1;
    }

    pub(super) fn oversized_one(&mut self) {
        self.oversized_traces += 1;
    }

    pub(super) fn held_one(&mut self) {
        self.held_spans += 1;
    }

    /// So many spans that were held have met their trace's fate.
    pub(super) fn released(&mut self, spans: u64, fate: Fate) {
        self.held_spans = self.held_spans.saturating_sub(spans);
        self.ended(spans, fate);
    }

    /// So many spans have met it without being held.
    pub(super) fn ended(&mut self, spans: u64, fate: Fate) {
        *match fate {
            Fate::Kept => &mut self.kept_spans,
            Fate::Discarded => &mut self.discarded_spans,
            Fate::Aged | Fate::Unfinished => &mut self.given_up_spans,
        } += spans;
    }

    pub(super) fn unknown_span(&mut self) {
        self.given_up_spans += 1;
    }

    pub(super) fn decided(&mut self, fate: Fate) {
        *match fate {
            Fate::Kept => &mut self.kept_traces,
            Fate::Discarded => &mut self.discarded_traces,
            Fate::Aged => &mut self.aged_traces,
            Fate::Unfinished => &mut self.unfinished_traces,
        } += 1;
    }
}

impl AddAssign for TailSamplingCounts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            kept_traces,
            discarded_traces,
            refused_traces,
            aged_traces,
            unfinished_traces,
            oversized_traces,
            held_traces,
            kept_spans,
            discarded_spans,
            given_up_spans,
            held_spans,
        } = other;
        self.kept_traces += kept_traces;
        self.discarded_traces += discarded_traces;
        self.refused_traces += refused_traces;
        self.aged_traces += aged_traces;
        self.unfinished_traces += unfinished_traces;
        self.oversized_traces += oversized_traces;
        self.held_traces += held_traces;
        self.kept_spans += kept_spans;
        self.discarded_spans += discarded_spans;
        self.given_up_spans += given_up_spans;
        self.held_spans += held_spans;
    }
}
