//! What is known before a span starts, on its way to the sampler.

use std::{cell::Cell, sync::Arc};

use crate::sdk::sampler::{plan::Plan, ruling::Ruling, settings::Settings};

/// What can be told of a request before its span starts.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// Whether the span should have its attributes when it starts, and not only once it is known to
    /// record.
    pub(crate) wants_attributes: bool,
    /// Whether whatever is below a sampled span is sampled.
    pub(crate) follows_parents: bool,
    pub(super) by: By,
}

/// What it was told by, and is to be decided by. Between the two the settings may change.
#[derive(Debug)]
pub(super) enum By {
    Plan(Plan),
    /// The rules have been asked, and this is what they say; nothing, if none of them held.
    Settings(Arc<Settings>, Option<Ruling>),
}

thread_local! {
    static FORESEEN: Cell<Option<By>> = const { Cell::new(None) };
}

impl Foreseen {
    /// Starts a span whose sampler is to go by this.
    ///
    /// The SDK has no parameter for what is known of a span beside its attributes, and a value in
    /// its Context is three allocations. It calls its sampler on this thread, before `start` comes
    /// back.
    pub(crate) fn hand_over<T>(self, start: impl FnOnce() -> T) -> T {
        /// Also if a sampler panics, or was not asked.
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                By::take();
            }
        }
        let _reset = Reset;
        // A thread that is about to end has no place for it any more.
        let _ = FORESEEN.try_with(|foreseen| foreseen.set(Some(self.by)));
        start()
    }
}

impl By {
    /// What was handed over. It is for one span: others that start on the way find nothing.
    pub(super) fn take() -> Option<Self> {
        FORESEEN.try_with(Cell::take).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::sdk::sampler::root::Decider;

    fn foreseen() -> Foreseen {
        let plan = Plan::new(true, Decider::AlwaysOff);
        Foreseen { wants_attributes: false, follows_parents: true, by: By::Plan(plan) }
    }

    #[test]
    fn what_is_foreseen_is_for_one_span_and_gone_whatever_happens() {
        let (first, second) = foreseen().hand_over(|| (By::take(), By::take()));
        assert!(matches!(first, Some(By::Plan(_))) && second.is_none());

        foreseen().hand_over(|| ());
        assert!(By::take().is_none());

        let panics = AssertUnwindSafe(|| foreseen().hand_over(|| panic!("a sampler's")));
        assert!(catch_unwind(panics).is_err());
        assert!(By::take().is_none());
    }
}
