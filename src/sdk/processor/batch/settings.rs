//! `BatchSettings`: how much waits, for how long, and how many exports run at once.

use std::time::Duration;

use crate::{
    error::BuildError,
    sdk::{env::Env, export::item::Items},
};

/// What a queue may be set to: 1 Mi spans or log records of some 1 KiB each are a GiB.
const MOST: usize = 1 << 20;
/// Each has a connection of its own.
const MOST_EXPORTS: usize = 64;
/// A year, so that a clock can show when it is over.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const QUEUE_SIZE: usize = 2048;
const BATCH_SIZE: usize = 512;
const TIMEOUT: Duration = Duration::from_secs(30);
const EXPORTS: usize = 16;

/// The settings of the batch processor in front of each exporter of spans, and of log records,
/// which have [settings of their own](crate::TelemetryBuilder::with_logs).
///
/// What is not set here comes from the [environment](crate::sdk#environment), or else is the
/// specification's default, for [spans][defaults] or for [log records][logs].
///
/// # How much memory it takes
///
/// At most [`max_queue_size`](Self::with_max_queue_size) of them wait, and
/// [`max_concurrent_exports`](Self::with_max_concurrent_exports) times
/// [`max_export_batch_size`](Self::with_max_export_batch_size) are on their way: 2048 and 8192 by
/// default. A span is 352 bytes and what its name, attributes, events and links hold, a log record
/// 544 bytes and what its body and attributes hold; one that is on its way is there in the encoded
/// form, too. An exporter of your own that hangs keeps the batch that
/// it was given last, though that is counted as lost.
///
/// ```
/// use std::time::Duration;
///
/// use tower_telemetry::{Telemetry, sdk::BatchSettings};
///
/// let telemetry = Telemetry::builder()
///     .with_batch(
///         BatchSettings::new()
///             .with_max_queue_size(8192)
///             .with_schedule_delay(Duration::from_secs(1)),
///     )
///     .build()?;
/// assert_eq!(telemetry.health().exporters().next().unwrap().queue_size(), 8192);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// [defaults]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor
/// [logs]: https://opentelemetry.io/docs/specs/otel/logs/sdk/#batching-processor
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSettings {
    queue_size: Option<usize>,
    batch_size: Option<usize>,
    delay: Option<Duration>,
    timeout: Option<Duration>,
    exports: Option<usize>,
}

impl BatchSettings {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many wait at most, from 1 to 1048576. What comes when so many wait is dropped, and
    /// counted. Default: `OTEL_BSP_MAX_QUEUE_SIZE` or `OTEL_BLRP_MAX_QUEUE_SIZE`, or 2048.
    pub fn with_max_queue_size(mut self, items: usize) -> Self {
        self.queue_size = Some(items);
        self
    }

    /// Sets how many are exported together at most, from 1 to the size of the queue. Default:
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` or `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`, or 512, or the size
    /// of the queue if that is less.
    pub fn with_max_export_batch_size(mut self, items: usize) -> Self {
        self.batch_size = Some(items);
        self
    }

    /// Sets how long one waits for others, from 1 ms to a year. Default: `OTEL_BSP_SCHEDULE_DELAY`,
    /// or 5 seconds, for spans; `OTEL_BLRP_SCHEDULE_DELAY`, or 1 second, for log records.
    pub fn with_schedule_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets how long the export of a batch may take, whatever the exporter's own timeout says; zero
    /// is no limit. Default: `OTEL_BSP_EXPORT_TIMEOUT` or `OTEL_BLRP_EXPORT_TIMEOUT`, or 30
    /// seconds.
    pub fn with_export_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how many batches are on their way at once, from 1 to 64. Default: 16.
    ///
    /// So a collector's latency does not set the pace: 16 batches of 512 spans within 100 ms are
    /// 82,000 spans a second. An exporter given to
    /// [`with_span_exporter`](crate::TelemetryBuilder::with_span_exporter) is asked for one at a
    /// time, as the [specification has it][concurrently].
    ///
    /// [concurrently]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor
    pub fn with_max_concurrent_exports(mut self, exports: usize) -> Self {
        self.exports = Some(exports);
        self
    }

    /// The settings in force: [none of the environment's][environment] may be 0 but the timeout.
    ///
    /// [environment]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
    pub(crate) fn resolve(&self, of: Items, env: &mut Env) -> Result<Resolved, BuildError> {
        let asked = Asked::of(of);
        let items = |env: &mut Env, variable| {
            env.number(variable, "must be a number from 1 to 1048576", |items| {
                (1..=MOST).contains(items)
            })
        };
        let millis = |env: &mut Env, variable, must, least: u64| {
            let most = LONGEST.as_millis();
            env.number(variable, must, |&millis: &u64| {
                millis >= least && u128::from(millis) <= most
            })
            .map(Duration::from_millis)
        };
        let queue_size = match self.queue_size {
            Some(size) => within("batch queue size", size, 1, MOST)?,
            None => items(env, asked.queue_size).unwrap_or(QUEUE_SIZE),
        };
        let batch_size = match self.batch_size {
            Some(size) => within("export batch size", size, 1, queue_size)?,
            None => items(env, asked.batch_size).unwrap_or(BATCH_SIZE),
        };
        let delay = match self.delay {
            Some(delay) if (Duration::from_millis(1)..=LONGEST).contains(&delay) => delay,
            Some(delay) => {
                let value = format!("{delay:?}");
                return Err(BuildError::new(
                    "batch schedule delay",
                    value,
                    "must be 1 ms to a year",
                ));
            }
            None => {
                let must = "must be milliseconds above 0";
                millis(env, asked.delay, must, 1).unwrap_or(asked.default_delay)
            }
        };
        let timeout = self.timeout.unwrap_or_else(|| {
            let must = "must be milliseconds, 0 or more";
            millis(env, asked.timeout, must, 0).unwrap_or(TIMEOUT)
        });
        let exports = self.exports.unwrap_or(EXPORTS);
        Ok(Resolved {
            queue_size,
            batch_size: batch_size.min(queue_size),
            delay,
            timeout: if timeout.is_zero() { LONGEST } else { timeout.min(LONGEST) },
            exports: within("concurrent exports", exports, 1, MOST_EXPORTS)?,
        })
    }
}

/// What the environment is asked for, and the one default that differs.
struct Asked {
    delay: &'static str,
    default_delay: Duration,
    timeout: &'static str,
    queue_size: &'static str,
    batch_size: &'static str,
}

impl Asked {
    /// For log records there are [others][logs].
    ///
    /// [logs]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-logrecord-processor
    fn of(items: Items) -> Self {
        match items {
            // Collections are not asked for: a queue of them is what metrics are set to.
            Items::Spans | Items::Collections => Self {
                delay: "OTEL_BSP_SCHEDULE_DELAY",
                default_delay: Duration::from_secs(5),
                timeout: "OTEL_BSP_EXPORT_TIMEOUT",
                queue_size: "OTEL_BSP_MAX_QUEUE_SIZE",
                batch_size: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            },
            Items::LogRecords => Self {
                delay: "OTEL_BLRP_SCHEDULE_DELAY",
                default_delay: Duration::from_secs(1),
                timeout: "OTEL_BLRP_EXPORT_TIMEOUT",
                queue_size: "OTEL_BLRP_MAX_QUEUE_SIZE",
                batch_size: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
            },
        }
    }
}

/// Settings that have been looked at and found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) queue_size: usize,
    pub(crate) batch_size: usize,
    pub(crate) delay: Duration,
    pub(crate) timeout: Duration,
    pub(crate) exports: usize,
}

impl Resolved {
    /// How long an export may take, if that is limited.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        Some(self.timeout).filter(|&timeout| timeout < LONGEST)
    }
}

fn within(
    setting: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<usize, BuildError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(BuildError::new(setting, value, format!("must be from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NAMES: [&str; 4] = [
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    ];

    fn resolve(
        settings: &BatchSettings,
        values: [&str; 4],
    ) -> (Result<Resolved, BuildError>, usize) {
        let variables = NAMES.iter().zip(values);
        let variables: HashMap<String, String> =
            variables.map(|(&name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut env = Env::fixed(variables);
        (settings.resolve(Items::Spans, &mut env), env.into_warnings().len())
    }

    fn resolved(delay: u64, timeout: u64, queue_size: usize, batch_size: usize) -> Resolved {
        Resolved {
            queue_size,
            batch_size,
            delay: Duration::from_millis(delay),
            timeout: Duration::from_millis(timeout),
            exports: 16,
        }
    }

    #[test]
    fn the_environment_is_read_and_zeros_are_not_but_for_the_timeout() {
        let year = u64::try_from(LONGEST.as_millis()).unwrap();
        for (values, expected) in [
            (["", "", "", ""], (resolved(5000, 30_000, 2048, 512), 0)),
            (["100", "200", "64", "16"], (resolved(100, 200, 64, 16), 0)),
            (["", "", "64", ""], (resolved(5000, 30_000, 64, 64), 0)),
            (["0", "0", "0", "0"], (resolved(5000, year, 2048, 512), 3)),
            (["18446744073709551615"; 4], (resolved(5000, 30_000, 2048, 512), 4)),
            (["", "", "100000000000", "1048577"], (resolved(5000, 30_000, 2048, 512), 2)),
            (["1", "1", "1048576", "1048576"], (resolved(1, 1, 1_048_576, 1_048_576), 0)),
            (["soon", "-1", "-1", "1.5"], (resolved(5000, 30_000, 2048, 512), 4)),
        ] {
            let (result, warnings) = resolve(&BatchSettings::new(), values);
            assert_eq!((result.unwrap(), warnings), expected, "{values:?}");
        }
    }

    #[test]
    fn log_records_have_variables_and_a_delay_of_their_own() {
        let of = |variables: &[(&str, &str)]| {
            let variables =
                variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            let mut env = Env::fixed(variables.collect());
            BatchSettings::new().resolve(Items::LogRecords, &mut env).unwrap()
        };
        assert_eq!(of(&[]), resolved(1000, 30_000, 2048, 512));
        assert_eq!(of(&NAMES.map(|name| (name, "7"))), resolved(1000, 30_000, 2048, 512));
        let own = [
            ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
            ("OTEL_BLRP_EXPORT_TIMEOUT", "200"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "64"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "16"),
        ];
        assert_eq!(of(&own), resolved(100, 200, 64, 16));
    }

    #[test]
    fn code_wins_over_the_environment() {
        let settings = BatchSettings::new()
            .with_max_queue_size(10)
            .with_max_export_batch_size(5)
            .with_schedule_delay(Duration::from_millis(7))
            .with_export_timeout(Duration::ZERO)
            .with_max_concurrent_exports(3);
        let (result, warnings) = resolve(&settings, ["soon"; 4]);
        let expected = Resolved {
            queue_size: 10,
            batch_size: 5,
            delay: Duration::from_millis(7),
            timeout: LONGEST,
            exports: 3,
        };
        assert_eq!((result.unwrap(), warnings), (expected, 0));
    }

    #[test]
    fn a_bad_setting_from_code_is_an_error_that_names_it() {
        let new = BatchSettings::new;
        for (settings, setting, value) in [
            (new().with_max_queue_size(0), "batch queue size", "0"),
            (new().with_max_queue_size(MOST + 1), "batch queue size", "1048577"),
            (new().with_max_export_batch_size(0), "export batch size", "0"),
            (new().with_max_export_batch_size(2049), "export batch size", "2049"),
            (new().with_schedule_delay(Duration::ZERO), "batch schedule delay", "0ns"),
            (new().with_max_concurrent_exports(0), "concurrent exports", "0"),
            (new().with_max_concurrent_exports(65), "concurrent exports", "65"),
        ] {
            let error = resolve(&settings, [""; 4]).0.unwrap_err();
            assert_eq!((error.setting(), error.value()), (setting, value));
        }
        assert!(resolve(&new().with_schedule_delay(Duration::MAX), [""; 4]).0.is_err());
    }
}
