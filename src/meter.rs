//! Instruments, on whichever meter there is.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use opentelemetry::{
    global,
    metrics::{Meter, MeterProvider},
};

use crate::scope::scope;

/// Which meter a layer uses: one that it was given, or the global one, looked up when it serves.
#[derive(Clone)]
pub(crate) enum MeterSource {
    Global,
    Given {
        meter: Meter,
        /// What lives as long as anybody may measure: a meter does not hold on to its provider.
        _kept: Option<Arc<dyn Any + Send + Sync>>,
    },
}

impl MeterSource {
    pub(crate) fn from_provider<P: MeterProvider + ?Sized>(provider: &P) -> Self {
        Self::Given { meter: provider.meter_with_scope(scope()), _kept: None }
    }

    /// The same, of a provider that goes on for as long as this is kept.
    #[cfg(feature = "metrics")]
    pub(crate) fn keeping<P>(provider: &P, kept: Arc<dyn Any + Send + Sync>) -> Self
    where
        P: MeterProvider + ?Sized,
    {
        Self::Given { meter: provider.meter_with_scope(scope()), _kept: Some(kept) }
    }
}

impl fmt::Debug for MeterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Given { .. } => "given",
        })
    }
}

/// What is made on a meter, once.
pub(crate) enum OnMeter<T> {
    Global(Late<T>),
    Given(Arc<T>),
}

impl<T> OnMeter<T> {
    pub(crate) fn new(source: &MeterSource, make: impl FnOnce(&Meter) -> T) -> Self {
        match source {
            MeterSource::Global => Self::Global(Late::new()),
            MeterSource::Given { meter, .. } => Self::Given(Arc::new(make(meter))),
        }
    }

    /// What a request that comes `now` is measured with.
    pub(crate) fn at(&self, now: Instant, make: impl FnOnce(&Meter) -> T) -> Arc<T> {
        match self {
            Self::Global(late) => late.at(now, global::meter_provider, make),
            Self::Given(made) => Arc::clone(made),
        }
    }
}

/// What is made on the global meter, which nobody can tell from one that does nothing. So it is
/// looked up again once a second: a layer may be built, and may even serve, before the provider is
/// set, and requests do not wait for one another at a lock.
pub(crate) struct Late<T> {
    made: ArcSwapOption<Made<T>>,
    since: Instant,
    /// One more than the second in which the provider was last looked up.
    looked: AtomicU64,
}

struct Made<T> {
    /// It is not held on to: a provider that is let go of shuts down.
    provider: Weak<Provider>,
    made: Arc<T>,
}

type Provider = dyn MeterProvider + Send + Sync;

impl<T> Late<T> {
    fn new() -> Self {
        Self {
            made: ArcSwapOption::const_empty(),
            since: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    fn at(
        &self,
        now: Instant,
        provider: impl FnOnce() -> Arc<Provider>,
        make: impl FnOnce(&Meter) -> T,
    ) -> Arc<T> {
        let second = now.saturating_duration_since(self.since).as_secs() + 1;
        let known = self.made.load();
        if let Some(known) = known.as_ref()
            && self.looked.load(Relaxed) >= second
        {
            return Arc::clone(&known.made);
        }
        let provider = provider();
        self.looked.store(second, Relaxed);
        let weak = Arc::downgrade(&provider);
        if let Some(known) = known.as_ref()
            && known.provider.ptr_eq(&weak)
        {
            return Arc::clone(&known.made);
        }
        let made = Arc::new(make(&provider.meter_with_scope(scope())));
        self.made.store(Some(Arc::new(Made { provider: weak, made: Arc::clone(&made) })));
        made
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::{InstrumentationScope, metrics::InstrumentProvider};

    use super::*;

    struct Nothing;

    impl InstrumentProvider for Nothing {}

    impl MeterProvider for Nothing {
        fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
            Meter::new(Arc::new(Self))
        }
    }

    #[test]
    fn another_provider_is_found_within_a_second_and_the_same_is_asked_once() {
        let (first, second): (Arc<Provider>, Arc<Provider>) =
            (Arc::new(Nothing), Arc::new(Nothing));
        let late = Late::<u8>::new();
        let at = |after, provider: &Arc<Provider>, made| {
            let now = late.since + Duration::from_millis(after);
            *late.at(now, || Arc::clone(provider), |_| made)
        };
        assert_eq!(at(0, &first, 1), 1);
        assert_eq!(at(999, &second, 2), 1);
        assert_eq!(at(1000, &first, 3), 1);
        assert_eq!(at(2000, &second, 4), 4);
        assert_eq!(at(3000, &second, 5), 4);
    }

    #[test]
    fn a_request_that_began_earlier_is_no_reason_to_look_again() {
        let (first, second): (Arc<Provider>, Arc<Provider>) =
            (Arc::new(Nothing), Arc::new(Nothing));
        let late = Late::<u8>::new();
        let at = |after, provider: &Arc<Provider>, made| {
            let now = late.since + Duration::from_millis(after);
            *late.at(now, || Arc::clone(provider), |_| made)
        };
        assert_eq!(at(5000, &first, 1), 1);
        assert_eq!(at(0, &second, 2), 1);
        assert_eq!(at(5000, &second, 3), 1);
        assert_eq!(at(6000, &second, 4), 4);
    }

    #[test]
    fn a_provider_is_not_held_on_to() {
        let provider: Arc<Provider> = Arc::new(Nothing);
        let late = Late::<u8>::new();
        late.at(Instant::now(), || Arc::clone(&provider), |_| 1);
        assert_eq!(Arc::strong_count(&provider), 1);
    }
}
