//! The clock that says how long a local trace has been open.

#[cfg(test)]
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(test)]
use std::time::Duration;
use std::time::Instant;

/// The system's, unless a test moves one by hand.
#[derive(Clone, Debug)]
pub(super) enum Clock {
    System,
    #[cfg(test)]
    ByHand(Arc<Mutex<Instant>>),
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            #[cfg(test)]
            Self::ByHand(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

#[cfg(test)]
impl Clock {
    /// One that stands still. Clones move along.
    pub(super) fn by_hand() -> Self {
        Self::ByHand(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn advance(&self, by: Duration) {
        match self {
            Self::System => panic!("nobody moves the system's clock"),
            Self::ByHand(now) => *now.lock().unwrap_or_else(PoisonError::into_inner) += by,
        }
    }
}
