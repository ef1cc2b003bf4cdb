//! What is known before a span starts, on its way to the sampler.

use std::{cell::Cell, sync::Arc};

use opentelemetry::{
    Context, TraceId,
    trace::{SpanContext, TraceContextExt},
};

use crate::sdk::sampler::{plan::Plan, ruling::Ruling, settings::Settings};

/// What can be told of a request before its span starts.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// Whether the span should have its attributes when it starts, and not only once it is known to
    /// record.
    pub(crate) wants_attributes: bool,
    /// Whether whatever is below a sampled span is sampled.
    pub(crate) follows_parents: bool,
    /// Whether it is dropped in such a way that all below it is to be dropped as well, though
    /// everything is on record: then its Context is to [say so](DroppedByRule::mark).
    pub(crate) marks: bool,
    pub(super) by: By,
}

/// What a rule has dropped, in the Context of what is below it. On record, that would be parts of a
/// request that itself is not there.
pub(crate) struct DroppedByRule {
    trace_id: TraceId,
    /// The sampler that has asked the rule.
    sampler: usize,
}

impl DroppedByRule {
    pub(crate) fn mark(cx: &Context, sampler: usize) -> Context {
        let trace_id = cx.span().span_context().trace_id();
        cx.with_value(Self { trace_id, sampler })
    }

    /// Takes the mark out of the Context of a span that is on record: a request that has come back
    /// to this process is another one.
    pub(crate) fn clear(cx: Context) -> Context {
        match cx.get() {
            Some(Self { trace_id, .. }) if *trace_id != TraceId::INVALID => {
                cx.with_value(Self { trace_id: TraceId::INVALID, sampler: 0 })
            }
            Some(_) | None => cx,
        }
    }

    /// Whether it is above, in this process and in this trace.
    pub(super) fn is_above(parent_cx: &Context, parent: &SpanContext, sampler: usize) -> bool {
        !parent.is_remote()
            && parent_cx.get().is_some_and(|mark: &Self| {
                mark.trace_id == parent.trace_id() && mark.sampler == sampler
            })
    }
}

/// What it was told by, and is to be decided by. Between the two the settings may change.
#[derive(Debug)]
pub(super) enum By {
    Plan(Plan),
    /// The rules have been asked, and this is what they say; nothing, if none of them held.
    Settings(Arc<Settings>, Option<Ruling>),
}

thread_local! {
    /// Which sampler it is for; none is at 0. Apart, since it is looked at each time.
    static FOR: Cell<usize> = const { Cell::new(0) };
    static FORESEEN: Cell<Option<By>> = const { Cell::new(None) };
}

impl Foreseen {
    /// Starts a span whose sampler, which is at this place, is to go by this.
    ///
    /// The SDK has no parameter for what is known of a span beside its attributes, and a value in
    /// its Context is three allocations. It calls its sampler on this thread, before `start` comes
    /// back.
    pub(crate) fn hand_over<T>(self, sampler: usize, start: impl FnOnce() -> T) -> T {
        /// Also if a sampler panics, or was not asked. What was there before is for a span further
        /// out, whose sampler is still to be asked.
        struct Reset(usize, Option<By>);
        impl Drop for Reset {
            fn drop(&mut self) {
                replace(self.0, self.1.take());
            }
        }
        let (sampler, by) = replace(sampler, Some(self.by));
        let _reset = Reset(sampler, by);
        start()
    }
}

impl By {
    /// Whether something was handed over to the sampler at this place.
    #[inline]
    pub(super) fn is_for(sampler: usize) -> bool {
        FOR.get() == sampler
    }

    /// What was handed over. It is for one span: others that start on the way find nothing.
    pub(super) fn take() -> Option<Self> {
        replace(0, None).1
    }
}

/// A thread that is about to end has no place for it any more; then it is as if nothing was told.
fn replace(sampler: usize, by: Option<By>) -> (usize, Option<By>) {
    match FORESEEN.try_with(|foreseen| foreseen.replace(by)) {
        Ok(before) => (FOR.replace(sampler), before),
        Err(_) => (0, None),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::sdk::sampler::root::Decider;

    fn foreseen() -> Foreseen {
        let plan = Plan::new(true, Decider::AlwaysOff);
        Foreseen {
            wants_attributes: false,
            follows_parents: true,
            marks: false,
            by: By::Plan(plan),
        }
    }

    /// Whether the sampler at this place finds something.
    fn finds(sampler: usize) -> bool {
        By::is_for(sampler) && By::take().is_some()
    }

    #[test]
    fn what_is_foreseen_is_for_one_span_of_one_sampler_and_gone_whatever_happens() {
        let found = foreseen().hand_over(1, || [finds(2), finds(1), finds(1)]);
        assert_eq!(found, [false, true, false]);

        foreseen().hand_over(1, || ());
        assert!(!finds(1));

        let panics = AssertUnwindSafe(|| foreseen().hand_over(1, || panic!("a sampler's")));
        assert!(catch_unwind(panics).is_err());
        assert!(!finds(1));
    }

    #[test]
    fn a_span_that_starts_before_the_sampler_is_asked_takes_nothing_away() {
        let found = foreseen().hand_over(1, || {
            let inner = foreseen().hand_over(2, || [finds(1), finds(2)]);
            [inner[0], inner[1], finds(1)]
        });
        assert_eq!(found, [false, true, true]);
    }
}
