//! The rate limit: so many traces a second, whatever the load.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::error::BuildError;

const SECOND: f64 = 1e9;

/// One trace in eleven days, and one in a microsecond, of which the clock's nanoseconds are a
/// thousandth.
const RATES: RangeInclusive<f64> = 1e-6..=1e6;

/// A century, of which the clock has almost six.
const LONGEST: u64 = 100 * 365 * 24 * 60 * 60 * 1_000_000_000;

/// How many traces a second are kept at most: a token bucket.
///
/// Over any time of `t` seconds, at most `burst + t × rate` traces are.
///
/// ```
/// use tower_telemetry::{SamplerBuilder, sdk::sampler::RateLimit};
///
/// // A tenth of the traces, and never more than 50 a second.
/// let sampler = SamplerBuilder::new()
///     .with_ratio(0.1)
///     .with_rate_limit(RateLimit::per_second(50.0))
///     .build()?;
/// assert!(sampler.to_string().contains("RateLimiting{50,ProbabilitySampler{0.1}}"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    per_second: f64,
    burst: Option<u32>,
}

impl RateLimit {
    /// So many traces a second, from 0.000001 to a million. Anything else, NaN included, is an
    /// error of [`SamplerBuilder::build`](crate::SamplerBuilder::build).
    ///
    /// ```
    /// use tower_telemetry::{SamplerBuilder, sdk::sampler::RateLimit};
    ///
    /// let limited = |rate| SamplerBuilder::new().with_rate_limit(RateLimit::per_second(rate));
    /// assert!(limited(2.5).build().is_ok());
    /// let error = limited(0.0).build().unwrap_err();
    /// assert_eq!(error.setting(), "sampling rate limit");
    /// ```
    pub fn per_second(rate: f64) -> Self {
        Self { per_second: rate, burst: None }
    }

    /// Sets how many may come at once after a time of rest, at least 1, and no more than the rate
    /// allows in a century; anything else is an error of
    /// [`SamplerBuilder::build`](crate::SamplerBuilder::build). Default: as many as come in a
    /// second, and at least 1.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::RateLimit;
    ///
    /// // One in ten seconds, and not a second one before they are over.
    /// let limit = RateLimit::per_second(0.1).with_burst(1);
    /// # let _ = limit;
    /// ```
    pub fn with_burst(mut self, traces: u32) -> Self {
        self.burst = Some(traces);
        self
    }

    pub(super) fn bucket(self) -> Result<Bucket, BuildError> {
        if !RATES.contains(&self.per_second) {
            let must = "must be from 0.000001 to 1000000 traces per second";
            return Err(BuildError::new("sampling rate limit", self.per_second, must));
        }
        // Never zero, and nothing that rounds a rate up.
        let interval = (SECOND / self.per_second).ceil() as u64;
        let burst = self.burst.unwrap_or_else(|| (self.per_second.ceil() as u32).max(1));
        let refuse = |must| Err(BuildError::new("sampling rate limit's burst", burst, must));
        let Some(more) = burst.checked_sub(1) else {
            return refuse("must be at least 1");
        };
        let slack = interval.saturating_mul(more.into());
        if slack > LONGEST {
            return refuse("must be no more than the rate allows in a century");
        }
        Ok(Bucket { limit: self, interval, slack, begin: Instant::now(), next: AtomicU64::new(0) })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_second.fmt(f)
    }
}

/// The bucket, as one number: when the next trace would be due if all came at even intervals. It
/// runs ahead of the clock by the tokens that were taken, and by no more than the burst.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// Nanoseconds between two traces.
    interval: u64,
    /// How far `next` may be ahead of the clock.
    slack: u64,
    begin: Instant,
    /// Nanoseconds since `begin`.
    next: AtomicU64,
}

impl Bucket {
    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(self.begin.elapsed())
    }

    /// Whether there is none just now.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty_at(self.begin.elapsed())
    }

    fn take_at(&self, now: Duration) -> bool {
        let now = nanoseconds(now);
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            self.is_due(next, now).then(|| next.max(now).saturating_add(self.interval))
        });
        taken.is_ok()
    }

    fn is_empty_at(&self, now: Duration) -> bool {
        !self.is_due(self.next.load(Ordering::Relaxed), nanoseconds(now))
    }

    fn is_due(&self, next: u64, now: u64) -> bool {
        next.saturating_sub(now) <= self.slack
    }
}

/// In 584 years it is over.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, atomic::AtomicU32},
        thread,
    };

    use super::*;

    fn bucket(rate: f64, burst: u32) -> Bucket {
        RateLimit::per_second(rate).with_burst(burst).bucket().unwrap()
    }

    /// How many of so many get a token.
    fn taken(bucket: &Bucket, of: u32, milliseconds: u64) -> u32 {
        let now = Duration::from_millis(milliseconds);
        (0..of).map(|_| u32::from(bucket.take_at(now))).sum()
    }

    #[test]
    fn after_a_rest_there_is_a_burst_and_then_the_rate() {
        let bucket = bucket(10.0, 5);
        for (at, most) in [
            (0, 5),
            (0, 0),
            (99, 0),
            (100, 1),
            (350, 2),
            // The half that was left over is not lost.
            (400, 1),
            // A rest fills it, and no more than that.
            (10_000, 5),
            (10_001, 0),
        ] {
            let is_empty = bucket.is_empty_at(Duration::from_millis(at));
            assert_eq!(is_empty, most == 0, "{at} ms");
            assert_eq!(taken(&bucket, 100, at), most, "{at} ms");
        }
    }

    #[test]
    fn a_burst_is_a_seconds_worth_unless_said_otherwise() {
        for (rate, burst) in [(0.1, 1), (1.0, 1), (2.5, 3), (100.0, 100)] {
            let bucket = RateLimit::per_second(rate).bucket().unwrap();
            assert_eq!(taken(&bucket, 1_000, 0), burst, "{rate}");
        }
    }

    #[test]
    fn a_rate_that_divides_no_second_is_not_rounded_up() {
        let bucket = bucket(3.0, 1);
        let takes = |nanoseconds| bucket.take_at(Duration::from_nanos(nanoseconds));
        assert!(takes(0) && !takes(333_333_333) && takes(333_333_334));
    }

    #[test]
    fn four_threads_get_no_more_than_one_would() {
        const STEPS: u64 = 200;
        let bucket = bucket(1_000.0, 50);
        let (taken, meet) = (AtomicU32::new(0), Barrier::new(4));
        let clock = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for step in 0..STEPS {
                        // Each reads the clock for itself, so some are late.
                        meet.wait();
                        clock.store(step * 10, Ordering::Relaxed);
                        for _ in 0..100 {
                            let now = Duration::from_millis(clock.load(Ordering::Relaxed));
                            taken.fetch_add(bucket.take_at(now).into(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        // The burst at the start, and then ten in each step of ten milliseconds: all that there
        // were, since four hundred asked each time.
        assert_eq!(taken.into_inner(), 50 + 10 * (u32::try_from(STEPS).unwrap() - 1));
    }

    #[test]
    fn a_clock_at_its_end_does_no_harm() {
        let bucket = bucket(1e-6, 2);
        assert_eq!(taken(&bucket, 5, 0), 2);
        assert!(bucket.take_at(Duration::MAX));
        assert!(!bucket.take_at(Duration::ZERO));
    }

    #[test]
    fn a_rate_and_a_burst_have_their_ranges() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-7, 1e7] {
            let error = RateLimit::per_second(rate).bucket().unwrap_err();
            assert_eq!(error.setting(), "sampling rate limit");
            assert_eq!(error.value(), rate.to_string());
        }
        let error = RateLimit::per_second(1.0).with_burst(0).bucket().unwrap_err();
        assert_eq!((error.setting(), error.value()), ("sampling rate limit's burst", "0"));
        // 3153 times eleven days and a half is a century and no more.
        assert_eq!(taken(&bucket(1e-6, 3154), 10_000, 0), 3154);
        let error = RateLimit::per_second(1e-6).with_burst(3155).bucket().unwrap_err();
        assert_eq!((error.setting(), error.value()), ("sampling rate limit's burst", "3155"));
        for rate in [1e-6, 1e6] {
            assert_eq!(RateLimit::per_second(rate).bucket().unwrap().limit().per_second, rate);
        }
    }
}
