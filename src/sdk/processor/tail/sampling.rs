//! `TailSampling`: what to keep, and how much to hold for it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    error::BuildError,
    sdk::{
        processor::tail::{
            clock::Clock,
            holder::{Holder, Limits},
            policy::Policy,
        },
        tail::{LocalTrace, TailProcessor},
    },
};

const TRACES: usize = 1_000;
const MOST_TRACES: usize = 1_000_000;
const SPANS_PER_TRACE: usize = 256;
const MOST_SPANS_PER_TRACE: usize = 10_000;
const AGE: Duration = Duration::from_secs(60);
const MOST_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Decides over requests when they have ended: those that failed or were slow are exported, also
/// where the sampler has not chosen them.
///
/// By default it keeps what has failed, and holds the spans of at most 1000 requests at once, of
/// 256 spans each, for at most a minute.
///
/// ```
/// use std::time::Duration;
///
/// use tower_telemetry::{SamplerBuilder, Telemetry, sdk::tail::TailSampling};
///
/// // One trace in a hundred, and every request that fails or takes more than half a second.
/// let telemetry = Telemetry::builder()
///     .with_sampler(SamplerBuilder::new().with_ratio(0.01))
///     .with_tail_sampling(TailSampling::new().with_slower_than(Duration::from_millis(500)))
///     .build()?;
/// assert_eq!(telemetry.tail_sampling().unwrap().kept_traces(), 0);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// What that costs, and what it does to other services' parts of a trace, is in the
/// [documentation of the module](crate::sdk::tail).
#[must_use]
#[derive(Clone)]
pub struct TailSampling {
    policy: Policy,
    limits: Limits,
    clock: Clock,
}

impl TailSampling {
    /// The default: keeps local traces that have failed.
    pub fn new() -> Self {
        Self {
            policy: Policy { failed: true, slower_than: None, predicates: Vec::new() },
            limits: Limits { traces: TRACES, spans_per_trace: SPANS_PER_TRACE, age: AGE },
            clock: Clock::System,
        }
    }

    /// Keeps local traces whose root has failed: its [status] is `Error`. This is the default.
    ///
    /// What a [`TraceLayer`](crate::TraceLayer) takes for a failure, its classifier says; by
    /// default that is a status code of 500 or more, or no response at all. A request that recovers
    /// from the failure of one it has made itself has not failed.
    ///
    /// [status]: https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
    pub fn with_failed(mut self) -> Self {
        self.policy.failed = true;
        self
    }

    /// Does not keep a local trace because it has failed. Default: it [does](Self::with_failed).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::sdk::tail::TailSampling;
    ///
    /// // Only the slow ones.
    /// let sampling =
    ///     TailSampling::new().without_failed().with_slower_than(Duration::from_secs(1));
    /// assert!(format!("{sampling:?}").contains("failed: false, slower_than: Some(1s)"));
    /// ```
    pub fn without_failed(mut self) -> Self {
        self.policy.failed = false;
        self
    }

    /// Keeps local traces whose root has taken longer than this. Default: none.
    ///
    /// One that is still open when it becomes [too old](Self::with_max_age) is kept as well, as far
    /// as it has come, and its further spans go on as they end, for as long as it is
    /// [remembered](Self::with_max_traces): a request that hangs is slow.
    ///
    /// The limit is above 0 and below that age; anything else is an error when the telemetry or the
    /// processor is built.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::{Telemetry, sdk::tail::TailSampling};
    ///
    /// let sampling = TailSampling::new().with_slower_than(Duration::from_secs(90));
    /// let error = Telemetry::builder().with_tail_sampling(sampling).build().unwrap_err();
    /// assert_eq!(error.setting(), "tail sampling's slower_than");
    /// assert_eq!(error.value(), "90s");
    /// ```
    pub fn with_slower_than(mut self, limit: Duration) -> Self {
        self.policy.slower_than = Some(limit);
        self
    }

    /// Keeps local traces of which this says so. Default: no predicate.
    ///
    /// Called again, it adds another; one that says yes is enough. It is asked when the root has
    /// ended and nothing else has made the trace one to keep, on the thread on which the root has
    /// ended: it should be quick, and must not wait. One that panics has not said yes. A trace that
    /// begins on this thread while it is asked is not held.
    ///
    /// ```
    /// use opentelemetry::{Key, Value};
    /// use tower_telemetry::sdk::tail::TailSampling;
    ///
    /// let status_code = Key::from_static_str("http.response.status_code");
    /// // Those that were told to slow down.
    /// let sampling = TailSampling::new().with_predicate(move |trace| {
    ///     let mut attributes = trace.root().attributes.iter();
    ///     attributes.any(|kv| kv.key == status_code && kv.value == Value::I64(429))
    /// });
    /// assert!(format!("{sampling:?}").contains("predicates: 1"));
    /// ```
    pub fn with_predicate(
        mut self,
        predicate: impl Fn(&LocalTrace<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.policy.predicates.push(Arc::new(predicate));
        self
    }

    /// Sets how many local traces are held at once, from 1 to 1000000; anything else is an error
    /// when the telemetry or the processor is built. Default: 1000.
    ///
    /// A request that comes when there are that many is not held, and is exported only if it is
    /// sampled; [`refused_traces`](crate::sdk::tail::TailSamplingCounts::refused_traces) counts it.
    /// So this should be above the number of requests that are served at the same time.
    ///
    /// As many more are remembered that are decided over and have spans open, by the ids of these.
    /// If there are too many, the oldest are forgotten, and what ends of them later is given up.
    ///
    /// ```
    /// use tower_telemetry::sdk::tail::TailSampling;
    ///
    /// let sampling = TailSampling::new().with_max_traces(200);
    /// assert!(format!("{sampling:?}").contains("max_traces: 200"));
    /// ```
    pub fn with_max_traces(mut self, traces: usize) -> Self {
        self.limits.traces = traces;
        self
    }

    /// Sets how many spans a local trace may have, its root included, from 1 to 10000; anything
    /// else is an error when the telemetry or the processor is built. Default: 256.
    ///
    /// Spans that start beyond it are not held, nor is what starts below them. The trace is decided
    /// over all the same, and exported without them;
    /// [`oversized_traces`](crate::sdk::tail::TailSamplingCounts::oversized_traces) counts it.
    ///
    /// A trace that is kept goes to the exporters all at once, where it needs room in the queue:
    /// with more than a few hundred spans in one, `OTEL_BSP_MAX_QUEUE_SIZE` wants to be larger as
    /// well.
    ///
    /// Together with [`with_max_traces`](Self::with_max_traces) this bounds the memory: a span that
    /// is held takes [1 to 2 KiB](crate::sdk::tail#what-it-costs).
    ///
    /// ```
    /// use tower_telemetry::sdk::tail::TailSampling;
    ///
    /// let sampling = TailSampling::new().with_max_spans_per_trace(64);
    /// assert!(format!("{sampling:?}").contains("max_spans_per_trace: 64"));
    /// ```
    pub fn with_max_spans_per_trace(mut self, spans: usize) -> Self {
        self.limits.spans_per_trace = spans;
        self
    }

    /// Sets for how long a local trace is held, above 0 and up to a day; anything else is an error
    /// when the telemetry or the processor is built. Default: a minute.
    ///
    /// One that is open for longer is given up, and
    /// [counted](crate::sdk::tail::TailSamplingCounts::aged_traces), unless it is known to be
    /// [slow](Self::with_slower_than): then it is kept. There is no timer: it is found when another
    /// span starts or ends, or at a flush, so it may be held for longer while there is nothing to
    /// do.
    ///
    /// This should be above what a request may take. It bounds how long a request that never ends,
    /// a stream or a websocket, takes up one of the [places](Self::with_max_traces).
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.limits.age = age;
        self
    }

    /// A processor that holds spans in front of another one, for any SDK tracer provider; a
    /// [`Telemetry`](crate::Telemetry) has
    /// [`with_tail_sampling`](crate::TelemetryBuilder::with_tail_sampling).
    ///
    /// See [`TailProcessor`], also for what the sampler has to do.
    ///
    /// # Errors
    ///
    /// A limit is not in its range. The error names setting and value.
    pub fn in_front_of<P>(self, processor: P) -> Result<TailProcessor<P>, BuildError> {
        Ok(TailProcessor::new(processor, self.build()?))
    }

    pub(crate) fn build(self) -> Result<Holder, BuildError> {
        let Self { policy, limits, clock } = self;
        let Limits { traces, spans_per_trace, age } = limits;
        if !(1..=MOST_TRACES).contains(&traces) {
            let reason = "must be from 1 to 1000000";
            return Err(BuildError::new("tail sampling's max_traces", traces, reason));
        }
        if !(1..=MOST_SPANS_PER_TRACE).contains(&spans_per_trace) {
            let (setting, reason) =
                ("tail sampling's max_spans_per_trace", "must be from 1 to 10000");
            return Err(BuildError::new(setting, spans_per_trace, reason));
        }
        if age.is_zero() || age > MOST_AGE {
            let (value, reason) = (format!("{age:?}"), "must be above 0 and up to a day");
            return Err(BuildError::new("tail sampling's max_age", value, reason));
        }
        if let Some(slow) = policy.slower_than
            && (slow.is_zero() || slow >= age)
        {
            let reason = format!("must be above 0 and below max_age, which is {age:?}");
            let value = format!("{slow:?}");
            return Err(BuildError::new("tail sampling's slower_than", value, reason));
        }
        Ok(Holder::new(policy, limits, clock))
    }
}

impl Default for TailSampling {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TailSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy { failed, slower_than, predicates } = &self.policy;
        let Limits { traces, spans_per_trace, age } = &self.limits;
        f.debug_struct("TailSampling")
            .field("failed", failed)
            .field("slower_than", slower_than)
            .field("predicates", &predicates.len())
            .field("max_traces", traces)
            .field("max_spans_per_trace", spans_per_trace)
            .field("max_age", age)
            .finish()
    }
}

#[cfg(test)]
impl TailSampling {
    pub(super) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_out_of_range_is_an_error_that_names_it() {
        let new = TailSampling::new;
        let (ns, s) = (Duration::from_nanos, Duration::from_secs);
        for (sampling, setting, value) in [
            (new().with_max_traces(0), "max_traces", "0"),
            (new().with_max_traces(1_000_001), "max_traces", "1000001"),
            (new().with_max_spans_per_trace(0), "max_spans_per_trace", "0"),
            (new().with_max_spans_per_trace(10_001), "max_spans_per_trace", "10001"),
            (new().with_max_age(Duration::ZERO), "max_age", "0ns"),
            (new().with_max_age(s(86_400) + ns(1)), "max_age", "86400.000000001s"),
            (new().with_slower_than(Duration::ZERO), "slower_than", "0ns"),
            (new().with_slower_than(s(60)), "slower_than", "60s"),
            (new().with_max_age(s(1)).with_slower_than(s(2)), "slower_than", "2s"),
        ] {
            let error = sampling.build().unwrap_err();
            assert_eq!(error.setting(), format!("tail sampling's {setting}"));
            assert_eq!(error.value(), value);
        }
        for sampling in [
            new().with_max_traces(1).with_max_spans_per_trace(1).with_max_age(ns(1)),
            new().with_max_traces(1_000_000).with_max_spans_per_trace(10_000),
            new().with_max_age(s(86_400)).with_slower_than(s(86_400) - ns(1)),
            new().with_max_age(ns(2)).with_slower_than(ns(1)),
        ] {
            assert!(sampling.clone().build().is_ok(), "{sampling:?}");
        }
    }
}
