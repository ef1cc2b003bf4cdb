//! `MetricSettings`: what is collected, how often, and where it goes.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry_sdk::{
    Resource,
    metrics::{
        Instrument, SdkMeterProvider, Stream, Temporality, exporter::PushMetricExporter,
        reader::MetricReader,
    },
};
use tracing::dispatcher::{Dispatch, with_default};

use crate::{
    contained::contained,
    error::BuildError,
    sdk::{
        env::Env,
        metrics::{
            destination::{self, Destination, Ready},
            meters::Meters,
            stage::{Handle, Stage},
            view::{self, Otherwise, View},
        },
        processor::{batch::settings::Resolved as Exports, jobs::Jobs},
    },
};

/// [The defaults][defaults].
///
/// [defaults]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#periodic-exporting-metricreader
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(30);
/// A year, so that a clock can show when it is over.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// By the clock none is collected while one is still on its way. Only flushes can bring more.
const QUEUE_SIZE: usize = 8;

const INTERVAL_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TIMEOUT_VARIABLE: &str = "OTEL_METRIC_EXPORT_TIMEOUT";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const HISTOGRAMS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const EXEMPLARS: &str = "OTEL_METRICS_EXEMPLAR_FILTER";

/// The settings of a [`Telemetry`](crate::Telemetry)'s metrics, which
/// [`TelemetryBuilder::with_metrics`](crate::TelemetryBuilder::with_metrics) switches on.
///
/// What is not set here comes from the [environment](crate::sdk#environment), or else is the
/// specification's default: all metrics, cumulative, every 60 seconds over OTLP.
///
/// ```
/// use std::time::Duration;
///
/// use tower_telemetry::{
///     Telemetry,
///     sdk::{export::Otlp, metrics::MetricSettings},
/// };
///
/// let metrics = MetricSettings::new()
///     .with_interval(Duration::from_secs(15))
///     .with_otlp(Otlp::new().with_endpoint("http://collector:4318"));
/// let telemetry = Telemetry::builder().with_metrics(metrics).build()?;
/// assert!(telemetry.meter_provider().is_some());
/// assert!(telemetry.describe().to_string().contains("OTLP to collector:4318/v1/metrics"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// # How metrics are exported
///
/// Each exporter has a thread that collects, by the clock, when the telemetry is
/// [flushed](crate::Telemetry::force_flush), and a last time when it is
/// [shut down](crate::Telemetry::shutdown); and one that exports. None is collected by the clock
/// while the one before is still on its way: what it would have had is in the next. An export that
/// fails is [tried again](crate::sdk::export::Otlp#how-a-batch-is-sent) within its time, and then
/// given up: of cumulative metrics the next has it all, of delta ones it is lost. The first loss is
/// a warning in the log, and [`Health::metric_exporters`](crate::sdk::Health::metric_exporters)
/// counts them.
///
/// A process that is forked from one with a telemetry has no thread that collects, and exports
/// none.
///
/// A callback of an observable instrument runs while the SDK holds what all instruments are made
/// by: where it blocks, whoever makes one waits, and where it panics, its reader collects nothing
/// more. Nothing that it logs is exported by the telemetry's log layer.
///
/// # Exemplars
///
/// There are none: `opentelemetry_sdk` 0.33 does not record them, whatever
/// `OTEL_METRICS_EXEMPLAR_FILTER` says. What leads from a metric to traces are the attributes that
/// spans have, too.
#[must_use]
#[derive(Default)]
pub struct MetricSettings {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    temporality: Option<Temporality>,
    exponential: bool,
    cardinality_limit: Option<usize>,
    views: Vec<View>,
    destinations: Vec<Destination>,
    without_own: bool,
}

impl MetricSettings {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Exports over OTLP.
    ///
    /// This and the two methods after it say where metrics go. They add up, and once one of them is
    /// called, `OTEL_METRICS_EXPORTER` is not asked. If none is, it decides; its default is OTLP.
    ///
    /// ```
    /// use tower_telemetry::{
    ///     Telemetry,
    ///     sdk::{export::Otlp, metrics::MetricSettings},
    /// };
    ///
    /// // One value for both signals, each at its own path.
    /// let otlp = Otlp::new().with_endpoint("http://collector:4318");
    /// let telemetry = Telemetry::builder()
    ///     .with_otlp(otlp.clone())
    ///     .with_metrics(MetricSettings::new().with_otlp(otlp))
    ///     .build()?;
    /// let health = telemetry.health();
    /// let names: Vec<&str> = health.metric_exporters().map(|exporter| exporter.name()).collect();
    /// assert_eq!(names, ["OTLP to collector:4318/v1/metrics"]);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub fn with_otlp(mut self, otlp: crate::sdk::export::Otlp) -> Self {
        self.destinations.push(Destination::Otlp(otlp));
        self
    }

    /// Exports with `exporter`, which has a temporality of its own. It is called on a thread where
    /// it may block.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use opentelemetry::metrics::MeterProvider;
    /// use opentelemetry_sdk::metrics::InMemoryMetricExporter;
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let exporter = InMemoryMetricExporter::default();
    /// let metrics = MetricSettings::new().with_exporter(exporter.clone());
    /// let telemetry = Telemetry::builder().with_metrics(metrics).build()?;
    /// let meter = telemetry.meter_provider().unwrap().meter("shop");
    /// meter.u64_counter("orders").build().add(1, &[]);
    /// telemetry.force_flush(Duration::from_secs(5))?;
    /// assert_eq!(exporter.get_finished_metrics()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_exporter<E: PushMetricExporter>(mut self, exporter: E) -> Self {
        self.destinations.push(Destination::exporter(exporter));
        self
    }

    /// Has `reader` collect, a Prometheus exporter for one. With [`with_otlp`](Self::with_otlp)
    /// beside it both have all metrics.
    ///
    /// ```
    /// use opentelemetry::metrics::MeterProvider;
    /// use prometheus::{Encoder, Registry, TextEncoder};
    /// use tower_telemetry::{
    ///     Telemetry,
    ///     sdk::{export::Otlp, metrics::MetricSettings},
    /// };
    ///
    /// let registry = Registry::new();
    /// let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
    /// let metrics = MetricSettings::new().with_reader(reader).with_otlp(Otlp::new());
    /// let telemetry = Telemetry::builder().with_metrics(metrics).build()?;
    /// let meter = telemetry.meter_provider().unwrap().meter("shop");
    /// meter.u64_counter("orders").build().add(1, &[]);
    ///
    /// // What a route for `/metrics` answers.
    /// let mut text = Vec::new();
    /// TextEncoder::new().encode(&registry.gather(), &mut text)?;
    /// assert!(String::from_utf8(text)?.contains("orders_total{"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_reader<R: MetricReader>(mut self, reader: R) -> Self {
        self.destinations.push(Destination::reader(reader));
        self
    }

    /// Sets how often metrics are collected and exported. Default: 60 seconds.
    ///
    /// Less than a millisecond and more than a year is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Sets how long an export may take, with all attempts, also one that is not over OTLP, which
    /// has
    /// [a limit of its own](crate::sdk::export::Otlp::with_timeout). Default: 30 seconds; zero is no
    /// limit.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets what OTLP has of a counter or a histogram: [all since the start, or what has come since
    /// the last export][preference]. Default: all, [`Temporality::Cumulative`].
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::Temporality;
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let metrics = MetricSettings::new().with_temporality(Temporality::Delta);
    /// let telemetry = Telemetry::builder().with_metrics(metrics).build()?;
    /// assert!(telemetry.describe().to_string().contains("temporality  delta"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [preference]: https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration
    pub fn with_temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// Makes [exponential histograms][exponential] of all histograms that no [view](Self::with_view)
    /// speaks of, with 160 buckets at most, whatever buckets the instrument wishes for. Default:
    /// `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`, or else explicit buckets.
    ///
    /// The SDK has one kind for all readers, so the variable counts only where OTLP is the only
    /// one, and is a [`Warning`](crate::Warning) elsewhere. `opentelemetry-prometheus` 0.33 leaves
    /// such histograms out.
    ///
    /// [exponential]: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
    pub fn with_exponential_histograms(mut self) -> Self {
        self.exponential = true;
        self
    }

    /// Sets how many sets of attributes an instrument keeps apart, if no [view](Self::with_view)
    /// speaks of it; [those that come later][overflow] are counted together, under
    /// `otel.metric.overflow=true`. Default: 2000.
    ///
    /// Zero, and what no memory holds, is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    ///
    /// [overflow]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits
    pub fn with_cardinality_limit(mut self, attribute_sets: usize) -> Self {
        self.cardinality_limit = Some(attribute_sets);
        self
    }

    /// Has `view` say how an instrument is aggregated, what it is called, or that it is dropped;
    /// `None` if it is not for that one. Each that speaks of an instrument makes a metric of it.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream};
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let drop_noise = |instrument: &Instrument| {
    ///     let is_noise = instrument.name().starts_with("noise.");
    ///     is_noise.then(|| Stream::builder().with_aggregation(Aggregation::Drop).build().ok())?
    /// };
    /// let metrics = MetricSettings::new().with_view(drop_noise);
    /// assert!(Telemetry::builder().with_metrics(metrics).build().is_ok());
    /// ```
    pub fn with_view<V>(mut self, view: V) -> Self
    where
        V: Fn(&Instrument) -> Option<Stream> + Send + Sync + 'static,
    {
        self.views.push(Arc::new(view));
        self
    }

    /// Leaves out what the telemetry measures of [itself](crate::Telemetry::register_metrics): its
    /// exporters' health. Default: it is among the metrics.
    pub fn without_self_metrics(mut self) -> Self {
        self.without_own = true;
        self
    }

    /// The settings in force.
    pub(in crate::sdk) fn resolve(self, env: &mut Env) -> Result<Resolved, BuildError> {
        let interval = match self.interval {
            None => millis(env, INTERVAL_VARIABLE, "must be milliseconds above 0", 1),
            Some(interval) if (Duration::from_millis(1)..=LONGEST).contains(&interval) => {
                Some(interval)
            }
            Some(interval) => {
                let value = format!("{interval:?}");
                return Err(BuildError::new("metric interval", value, "must be 1 ms to a year"));
            }
        };
        let timeout = self
            .timeout
            .or_else(|| millis(env, TIMEOUT_VARIABLE, "must be milliseconds, 0 or more", 0));
        let timeout = timeout.unwrap_or(TIMEOUT);
        if let Some(limit) = self.cardinality_limit.filter(|limit| !(1..=MOST).contains(limit)) {
            let reason = format!("must be from 1 to {MOST}");
            return Err(BuildError::new("cardinality limit", limit, reason));
        }
        warn_of_exemplars(env);

        let destinations = match self.destinations {
            none if none.is_empty() => destination::from_env(env)?,
            given => given,
        };
        let with_otlp = destinations.iter().any(Destination::is_otlp);
        let temporality = self.temporality.or_else(|| with_otlp.then(|| temporality(env))?);
        let temporality = temporality.unwrap_or_default();
        let only_otlp = destinations.iter().all(Destination::is_otlp);
        let exponential = self.exponential || (with_otlp && exponential(only_otlp, env));
        let ready = destinations
            .into_iter()
            .map(|destination| destination.resolve(temporality, env))
            .collect::<Result<_, _>>()?;

        let mut views = self.views;
        let otherwise = Otherwise { exponential, cardinality_limit: self.cardinality_limit };
        views.extend(otherwise.after(&views));
        Ok(Resolved {
            ready,
            views,
            exponential,
            cardinality_limit: self.cardinality_limit,
            own: !self.without_own,
            timing: Timing {
                interval: interval.unwrap_or(INTERVAL),
                exports: Exports {
                    queue_size: QUEUE_SIZE,
                    // Each is exported as soon as it is there.
                    batch_size: 1,
                    delay: Duration::from_secs(1),
                    timeout: if timeout.is_zero() { LONGEST } else { timeout.min(LONGEST) },
                    exports: 1,
                },
            },
        })
    }
}

/// As many as a view may ask for are not more than memory holds, and the SDK makes room for half of
/// them at once.
const MOST: usize = 1 << 20;

impl fmt::Debug for MetricSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricSettings")
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("temporality", &self.temporality)
            .field("exponential_histograms", &self.exponential)
            .field("cardinality_limit", &self.cardinality_limit)
            .field("views", &self.views.len())
            .field("destinations", &self.destinations)
            .field("self_metrics", &!self.without_own)
            .finish()
    }
}

/// When metrics are collected, and how they are exported.
#[derive(Clone, Copy, Debug)]
pub(in crate::sdk) struct Timing {
    pub(super) interval: Duration,
    pub(super) exports: Exports,
}

/// Settings that have been looked at and found good.
pub(in crate::sdk) struct Resolved {
    ready: Vec<Ready>,
    views: Vec<View>,
    exponential: bool,
    cardinality_limit: Option<usize>,
    /// Whether the telemetry measures itself.
    pub(in crate::sdk) own: bool,
    timing: Timing,
}

impl Resolved {
    /// Starts the threads. If one cannot be, those before it end.
    pub(in crate::sdk) fn start(self, resource: &Resource) -> Result<Arc<Meters>, BuildError> {
        let settings = self.describe();
        let mut members = Vec::with_capacity(self.ready.len());
        for ready in self.ready {
            match ready.start(self.timing, resource) {
                Ok(member) => members.push(member),
                Err(error) => {
                    end(&Jobs::new(members));
                    return Err(error);
                }
            }
        }
        let jobs = Jobs::new(members);
        // The SDK logs that it starts, and looks at the process's environment where it is not told.
        let mut builder = with_default(&Dispatch::none(), SdkMeterProvider::builder)
            .with_resource(resource.clone());
        for view in self.views {
            builder =
                builder.with_view(move |instrument: &Instrument| view::call(&view, instrument));
        }
        for at in 0..jobs.members().len() {
            builder = builder.with_reader(Handle { jobs: Arc::clone(&jobs), at });
        }
        let build = || with_default(&Dispatch::none(), || builder.build());
        let Some(provider) = contained(build) else {
            end(&jobs);
            let names: Vec<&str> = jobs.members().iter().map(|it| it.name.as_str()).collect();
            let reason = "panicked when told where to collect from";
            return Err(BuildError::new("metric reader", names.join(", "), reason));
        };
        Ok(Meters::new(provider, jobs, settings))
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let Timing { interval, exports } = self.timing;
        let within = match exports.timeout() {
            Some(timeout) => format!("within {timeout:?}"),
            None => "without limit of time".to_owned(),
        };
        let histograms = if self.exponential { "exponential" } else { "explicit buckets" };
        let limit = self.cardinality_limit.unwrap_or(CARDINALITY_LIMIT);
        vec![
            ("collected", format!("every {interval:?}, each export {within}")),
            ("histograms", histograms.to_owned()),
            ("cardinality", format!("{limit} sets of attributes an instrument")),
            ("exemplars", "none".to_owned()),
        ]
    }
}

/// Ends the threads of what is not to be. With nothing to collect from it takes no time.
fn end(jobs: &Arc<Jobs<Stage>>) {
    jobs.shutdown(Duration::ZERO, Duration::ZERO, || None);
}

/// [The SDK's][limit].
///
/// [limit]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits
const CARDINALITY_LIMIT: usize = 2000;

/// What takes measurements and gives them to nobody: metrics of a telemetry that is disabled.
pub(in crate::sdk) fn nothing(resource: &Resource) -> Arc<Meters> {
    Meters::new(empty(resource), Jobs::new(Vec::new()), Vec::new())
}

fn empty(resource: &Resource) -> SdkMeterProvider {
    with_default(&Dispatch::none(), || {
        SdkMeterProvider::builder().with_resource(resource.clone()).build()
    })
}

fn millis(
    env: &mut Env,
    variable: &'static str,
    must: &'static str,
    least: u64,
) -> Option<Duration> {
    let most = LONGEST.as_millis();
    let millis =
        env.number(variable, must, |&millis: &u64| millis >= least && u128::from(millis) <= most);
    millis.map(Duration::from_millis)
}

/// [What OTLP has of a counter][preference].
///
/// [preference]: https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration
fn temporality(env: &mut Env) -> Option<Temporality> {
    let value = env.get(TEMPORALITY)?;
    let temporality = value.parse().ok();
    if temporality.is_none() {
        let reason = "must be cumulative, delta or lowmemory; cumulative is used";
        env.warn(TEMPORALITY, value, reason);
    }
    temporality
}

/// Whether OTLP's histograms are to be exponential, which is so of all readers or of none.
fn exponential(only_otlp: bool, env: &mut Env) -> bool {
    let Some(value) = env.get(HISTOGRAMS) else {
        return false;
    };
    match value.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => false,
        "base2_exponential_bucket_histogram" if only_otlp => true,
        "base2_exponential_bucket_histogram" => {
            let reason = "would go for readers that are not OTLP's, too; explicit buckets are used, \
                          unless the code says `with_exponential_histograms`";
            env.warn(HISTOGRAMS, value, reason);
            false
        }
        _ => {
            let reason = "must be explicit_bucket_histogram or base2_exponential_bucket_histogram; \
                          the first is used";
            env.warn(HISTOGRAMS, value, reason);
            false
        }
    }
}

fn warn_of_exemplars(env: &mut Env) {
    let Some(value) = env.get(EXEMPLARS) else {
        return;
    };
    let reason = match value.to_ascii_lowercase().as_str() {
        "always_off" => return,
        "always_on" | "trace_based" => {
            "needs exemplars, which the SDK does not record; there are none"
        }
        _ => "must be always_on, always_off or trace_based; there are no exemplars",
    };
    env.warn(EXEMPLARS, value, reason);
}
