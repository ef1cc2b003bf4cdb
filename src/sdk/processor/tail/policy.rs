//! The policy: which local traces are kept.

use std::{cell::Cell, fmt, sync::Arc, time::Duration};

use opentelemetry::trace::Status;

use crate::{contained::contained, sdk::tail::LocalTrace};

/// What makes a local trace one to keep. One of these is enough.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) failed: bool,
    pub(super) slower_than: Option<Duration>,
    pub(super) predicates: Vec<Arc<Predicate>>,
}

pub(super) type Predicate = dyn Fn(&LocalTrace<'_>) -> bool + Send + Sync;

impl Policy {
    /// Whether to keep a local trace that is over.
    pub(super) fn keeps(&self, trace: &LocalTrace<'_>) -> bool {
        (self.failed && matches!(trace.root().status, Status::Error { .. }))
            || self.is_slow(trace.duration())
            || self.predicates.iter().any(|predicate| matches(&**predicate, trace))
    }

    /// Whether to keep one that has taken this long, however it goes on.
    pub(super) fn is_slow(&self, duration: Duration) -> bool {
        self.slower_than.is_some_and(|limit| duration > limit)
    }
}

thread_local! {
    static DECIDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a predicate runs on this thread. A trace that begins in there would be decided over by
/// that predicate once more, and so on.
pub(super) fn is_deciding() -> bool {
    DECIDING.get()
}

/// A predicate that panics has not said yes.
fn matches(predicate: &Predicate, trace: &LocalTrace<'_>) -> bool {
    let before = DECIDING.replace(true);
    let matches = contained(|| predicate(trace)).unwrap_or(false);
    DECIDING.set(before);
    matches
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("failed", &self.failed)
            .field("slower_than", &self.slower_than)
            .field("predicates", &self.predicates.len())
            .finish()
    }
}
