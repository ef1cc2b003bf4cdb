//! The trace that a span is to be of, as far as a sampler's arithmetic goes.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::{
    TraceId,
    trace::{SpanContext, TraceState},
};
use tracing::warn;

use crate::{
    propagation::received::RANDOM,
    sdk::sampler::{
        ot::Ot,
        threshold::{Randomness, Threshold},
    },
};

/// A trace: its id, and what came with the span's parent.
pub(super) struct Trace<'a> {
    id: TraceId,
    parent: &'a SpanContext,
    pub(super) ot: Ot<'a>,
}

impl<'a> Trace<'a> {
    #[inline]
    pub(super) fn new(id: TraceId, parent: &'a SpanContext) -> Self {
        Self { id, parent, ot: Ot::of(parent.trace_state()) }
    }

    pub(super) fn id(&self) -> TraceId {
        self.id
    }

    pub(super) fn parent(&self) -> &'a SpanContext {
        self.parent
    }

    /// Its `tracestate` from here on, with this threshold in place of the one that it came with.
    #[inline]
    pub(super) fn state(&self, threshold: Option<Threshold>) -> TraceState {
        self.ot.write(self.parent.trace_state(), threshold)
    }

    #[inline]
    pub(super) fn randomness(&self) -> Randomness {
        self.ot.randomness().unwrap_or_else(|| Randomness::of_id(self.id))
    }

    /// Whether its id has to be taken for random, though the caller has not said that it is. Of a
    /// local parent the id is this process's own, or its caller's, whose span has been asked about.
    #[inline]
    fn is_presumed_random(&self) -> bool {
        self.parent.is_valid()
            && self.parent.is_remote()
            && self.parent.trace_flags() & RANDOM != RANDOM
            && self.ot.randomness().is_none()
    }
}

/// Whether it was said that ids are taken for random.
pub(super) struct Presumed(AtomicBool);

impl Presumed {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Says so [the first time that it matters][migration].
    ///
    /// [migration]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#migration-to-consistent-probability-samplers
    #[inline]
    pub(super) fn check(&self, trace: &Trace<'_>, threshold: Threshold) {
        if ![Threshold::KEEP_ALL, Threshold::KEEP_NONE].contains(&threshold)
            && trace.is_presumed_random()
        {
            self.say();
        }
    }

    /// Nobody waits for whoever says it first, and whoever is told may ask the sampler in turn.
    #[cold]
    fn say(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            warn!(
                target: env!("CARGO_PKG_NAME"),
                "a ratio is applied to traces of callers that do not say that their ids are \
                 random; if they are not, other shares than that are sampled"
            );
        }
    }
}
