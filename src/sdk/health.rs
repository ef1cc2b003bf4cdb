//! `Health`: what became of the spans, exporter by exporter.

use std::fmt;

use crate::sdk::{
    export::{exporter::Loss, item::Item},
    processor::batch::{
        counts::{Counts, Fate},
        processor::Batch,
    },
};

/// What became of the spans that have ended so far, exporter by exporter, and of log records. From
/// [`Telemetry::health`](crate::Telemetry::health).
///
/// The first loss is a warning in the log, and that nothing has got lost for 5 seconds and exports
/// go through again is one line more; what is lost in between is only counted here.
///
/// What goes to the [console](crate::TelemetryBuilder::with_console) or to a
/// [processor](crate::TelemetryBuilder::with_span_processor) of your own is not counted.
///
/// ```
/// use std::time::Duration;
///
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::InMemorySpanExporter;
/// use tower_telemetry::Telemetry;
///
/// let telemetry =
///     Telemetry::builder().with_span_exporter(InMemorySpanExporter::default()).build()?;
/// drop(telemetry.tracer_provider().tracer("mine").start("work"));
/// telemetry.force_flush(Duration::from_secs(5))?;
///
/// let health = telemetry.health();
/// assert_eq!(health.lost(), 0);
/// let exporter = health.exporters().next().unwrap();
/// assert_eq!((exporter.ended(), exporter.exported(), exporter.in_flight()), (1, 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Health {
    exporters: Vec<ExporterHealth>,
    #[cfg(feature = "metrics")]
    metric_exporters: Vec<ExporterHealth>,
    #[cfg(feature = "logs")]
    log_exporters: Vec<ExporterHealth>,
}

impl Health {
    pub(super) fn of<'a>(batches: impl Iterator<Item = &'a Batch>) -> Self {
        Self {
            exporters: batches.map(ExporterHealth::of).collect(),
            #[cfg(feature = "metrics")]
            metric_exporters: Vec::new(),
            #[cfg(feature = "logs")]
            log_exporters: Vec::new(),
        }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn and_of_metrics<'a>(
        self,
        batches: impl Iterator<Item = &'a Batch<crate::sdk::metrics::collected::Collected>>,
    ) -> Self {
        Self { metric_exporters: batches.map(ExporterHealth::of).collect(), ..self }
    }

    #[cfg(feature = "logs")]
    pub(super) fn and_of_logs<'a>(
        self,
        batches: impl Iterator<Item = &'a Batch<crate::sdk::logs::record::LogData>>,
    ) -> Self {
        Self { log_exporters: batches.map(ExporterHealth::of).collect(), ..self }
    }

    /// The exporters of spans, in the order in which they were asked for.
    pub fn exporters(&self) -> impl Iterator<Item = &ExporterHealth> {
        self.exporters.iter()
    }

    /// How many spans are lost; a span that is lost to two exporters counts twice. Worth an alert,
    /// if it grows.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.exporters.iter().map(ExporterHealth::lost).sum()
    }

    /// The exporters of [metrics](crate::TelemetryBuilder::with_metrics), in the order in which
    /// they were asked for. What they count is collections, each of them all metrics of one moment,
    /// and one export; one of which the other side refuses some points counts as rejected.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use opentelemetry::metrics::MeterProvider;
    /// use opentelemetry_sdk::metrics::InMemoryMetricExporter;
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let metrics = MetricSettings::new().with_exporter(InMemoryMetricExporter::default());
    /// let telemetry = Telemetry::builder().with_metrics(metrics).build()?;
    /// let meter = telemetry.meter_provider().unwrap().meter("shop");
    /// meter.u64_counter("orders").build().add(1, &[]);
    /// telemetry.force_flush(Duration::from_secs(5))?;
    ///
    /// let health = telemetry.health();
    /// let exporter = health.metric_exporters().next().unwrap();
    /// assert_eq!((exporter.ended(), exporter.exported(), exporter.lost()), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn metric_exporters(&self) -> impl Iterator<Item = &ExporterHealth> {
        self.metric_exporters.iter()
    }

    /// The exporters of log records, in the order in which they were asked for; none where logs are
    /// not
    /// [switched on](crate::TelemetryBuilder::with_logs).
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
    ///
    /// let telemetry = Telemetry::builder().with_logs(LogSettings::new()).build()?;
    /// let health = telemetry.health();
    /// let exporter = health.log_exporters().next().unwrap();
    /// assert!(exporter.to_string().ends_with(": 0 log records emitted, 0 exported"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "logs")]
    pub fn log_exporters(&self) -> impl Iterator<Item = &ExporterHealth> {
        self.log_exporters.iter()
    }

    /// How many log records are lost; one that is lost to two exporters counts twice.
    #[cfg(feature = "logs")]
    #[must_use]
    pub fn lost_log_records(&self) -> u64 {
        self.log_exporters.iter().map(ExporterHealth::lost).sum()
    }

    /// How many spans wait, or are on their way; a span that goes to two exporters counts twice.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.exporters.iter().map(ExporterHealth::in_flight).sum()
    }
}

/// A line for each exporter.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exporters = self.exporters.iter();
        #[cfg(feature = "metrics")]
        let exporters = exporters.chain(&self.metric_exporters);
        #[cfg(feature = "logs")]
        let exporters = exporters.chain(&self.log_exporters);
        for (at, exporter) in exporters.enumerate() {
            write!(f, "{}{exporter}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// What became of the spans that one exporter was to get, or of the log records: these are `ended`
/// once they are emitted, and what is said of spans here is so of them.
///
/// All its numbers are of the same moment, and at any moment
///
/// ```text
/// ended = exported + dropped + failed + in flight
/// dropped = queue full + after shutdown
/// failed = rejected + given up + timed out + panicked
/// in flight = queued + exporting
/// ```
///
/// Spans that are not sampled are not for exporters, and in none of them.
#[must_use]
#[derive(Clone, Debug)]
pub struct ExporterHealth {
    name: String,
    counts: Counts,
    queue_size: usize,
}

impl ExporterHealth {
    fn of<T: Item>(batch: &Batch<T>) -> Self {
        Self {
            name: batch.target().name.clone(),
            counts: batch.counts(),
            queue_size: batch.settings().queue_size,
        }
    }

    /// What it is called: where it sends to, as in
    /// [`destinations`](crate::Telemetry::destinations).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sampled spans that have ended, or log records that were emitted.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.counts.ended
    }

    /// Those that the other side has taken.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.counts.exported
    }

    /// Those that no export was made of.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue_full() + self.after_shutdown()
    }

    /// Those that ended when the queue was full: more spans end than can be exported. See
    /// [`with_max_queue_size`](crate::sdk::BatchSettings::with_max_queue_size) for bursts, and
    /// [sampling](crate::SamplerBuilder) for more than that.
    #[must_use]
    pub fn queue_full(&self) -> u64 {
        self.counts.lost(Fate::QueueFull)
    }

    /// Those that ended after the [shutdown](crate::Telemetry::shutdown).
    #[must_use]
    pub fn after_shutdown(&self) -> u64 {
        self.counts.lost(Fate::AfterShutdown)
    }

    /// Those that were in an export that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.rejected() + self.given_up() + self.timed_out() + self.panicked()
    }

    /// Those that the other side has refused, a whole batch or a part of one.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.counts.lost(Fate::Failed(Loss::Rejected))
    }

    /// Those that could not be sent, however often that was tried.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.counts.lost(Fate::Failed(Loss::GivenUp))
    }

    /// Those that got no answer in time, or that a shutdown could not wait for any longer.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.counts.lost(Fate::Failed(Loss::TimedOut))
    }

    /// Those over which an exporter has panicked.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        self.counts.lost(Fate::Failed(Loss::Panicked))
    }

    /// Those that are lost: dropped or failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.all_lost()
    }

    /// Those that nothing has become of yet.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.queued() + self.exporting()
    }

    /// Those that wait in the queue.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.counts.waiting
    }

    /// Those that are in an export.
    #[must_use]
    pub fn exporting(&self) -> u64 {
        self.counts.exporting
    }

    /// How many spans can wait.
    #[must_use]
    pub fn queue_size(&self) -> usize {
        self.queue_size
    }

    /// What was last said of each kind of loss that there has been, in words fit for a log.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let reasons = Fate::ALL.iter().map(|&fate| self.counts.reason(fate));
        reasons.filter(|reason| !reason.is_empty())
    }
}

impl fmt::Display for ExporterHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, counts, .. } = self;
        let (ended, came) = (counts.items.count(counts.ended), counts.items.came());
        write!(f, "{name}: {ended} {came}, {} exported", counts.exported)?;
        if self.in_flight() > 0 {
            write!(f, ", {} in flight", self.in_flight())?;
        }
        for fate in Fate::ALL.into_iter().filter(|&fate| counts.lost(fate) > 0) {
            write!(f, ", {} lost: {}", counts.lost(fate), counts.reason(fate))?;
        }
        Ok(())
    }
}
