//! What is known before a span starts, on its way to the sampler.

use std::{cell::Cell, sync::Arc};

use crate::{
    sdk::sampler::{dropped::DroppedByRule, plan::Plan, ruling::Ruling, settings::Settings},
    tracer::Started,
};

/// What can be told of a request before its span starts.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// Whether the span should have its attributes when it starts, and not only once it is known to
    /// record.
    pub(crate) wants_attributes: bool,
    /// Whether whatever is below a sampled span is sampled.
    pub(crate) follows_parents: bool,
    /// Which sampler it is of: its place in memory tells it from others.
    pub(super) sampler: usize,
    pub(super) by: By,
}

/// Our own samplers do not look at attributes. A processor may, when the span starts; if there is
/// one (`observed`), only a span that is certain to be dropped goes without. Otherwise nobody can
/// tell, and what is more likely decides.
pub(super) fn wants_attributes(share: Option<f64>, observed: bool) -> bool {
    let least = if observed { 0.0 } else { 0.5 };
    share.is_none_or(|share| share > least)
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
    /// Starts the span, whose sampler is to go by this.
    pub(crate) fn start(self, start: impl FnOnce() -> Started) -> Started {
        let Self { sampler, by, .. } = self;
        let (records, is_dropped) = match &by {
            By::Plan(_) => (false, false),
            By::Settings(settings, ruling) => (settings.records(), *ruling == Some(Ruling::Drop)),
        };
        let mut started = by.hand_over(sampler, start);
        if records && started.recording {
            started.cx = DroppedByRule::clear(started.cx);
        } else if records && started.fresh && is_dropped {
            started.cx = DroppedByRule::mark(&started.cx, sampler);
        }
        started
    }
}

impl By {
    /// Hands it to this sampler, which is asked while `start` runs.
    ///
    /// The SDK has no parameter for what is known of a span beside its attributes, and a value in
    /// its Context is three allocations. It calls its sampler on this thread, before `start` comes
    /// back.
    fn hand_over<T>(self, sampler: usize, start: impl FnOnce() -> T) -> T {
        /// Also if a sampler panics, or was not asked. What was there before is for a span further
        /// out, whose sampler is still to be asked.
        struct Reset(usize, Option<By>);
        impl Drop for Reset {
            fn drop(&mut self) {
                replace(self.0, self.1.take());
            }
        }
        let (before, by) = replace(sampler, Some(self));
        let _reset = Reset(before, by);
        start()
    }

    /// Whether something was handed over to this sampler.
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

    fn by() -> By {
        By::Plan(Plan::new(true, Decider::AlwaysOff))
    }

    /// Whether this sampler finds something.
    fn finds(sampler: usize) -> bool {
        By::is_for(sampler) && By::take().is_some()
    }

    #[test]
    fn what_is_foreseen_is_for_one_span_of_one_sampler_and_gone_whatever_happens() {
        let found = by().hand_over(1, || [finds(2), finds(1), finds(1)]);
        assert_eq!(found, [false, true, false]);

        by().hand_over(1, || ());
        assert!(!finds(1));

        let panics = AssertUnwindSafe(|| by().hand_over(1, || panic!("a sampler's")));
        assert!(catch_unwind(panics).is_err());
        assert!(!finds(1));
    }

    #[test]
    fn a_span_that_starts_before_the_sampler_is_asked_takes_nothing_away() {
        let found = by().hand_over(1, || {
            let inner = by().hand_over(2, || [finds(1), finds(2)]);
            [inner[0], inner[1], finds(1)]
        });
        assert_eq!(found, [false, true, true]);
    }
}
