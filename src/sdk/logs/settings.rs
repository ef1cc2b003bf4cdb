//! `LogSettings`: where log records go, and how.

use std::sync::Arc;

use opentelemetry::logs::LoggerProvider;
use opentelemetry_sdk::{
    Resource,
    logs::{LogExporter, LogProcessor, SdkLoggerProvider},
};
use tracing::dispatcher::{Dispatch, with_default};

use crate::{
    error::BuildError,
    sdk::{
        BatchSettings,
        env::Env,
        export::item::Items,
        logs::{
            destination::{self, LogDestination, Ready},
            fan_out::{Handle, LogFanOut},
            limits::{LogLimits, ResolvedLogLimits},
            running::Logs,
        },
        processor::batch::settings::Resolved,
    },
};

/// The settings of a [`Telemetry`](crate::Telemetry) with logs, for
/// [`with_logs`](crate::TelemetryBuilder::with_logs).
///
/// What is not set here comes from the [environment](crate::sdk#environment), or else is the
/// default: OTLP, to where spans go by default.
///
/// ```
/// use tower_telemetry::{
///     Telemetry,
///     sdk::{export::Otlp, logs::LogSettings},
/// };
///
/// let otlp = Otlp::new().with_endpoint("http://collector:4318");
/// let telemetry = Telemetry::builder()
///     .with_otlp(otlp.clone())
///     .with_logs(LogSettings::new().with_otlp(otlp))
///     .build()?;
/// let logs: Vec<&str> = telemetry.log_destinations().collect();
/// assert_eq!(logs, ["OTLP to collector:4318/v1/logs"]);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
#[must_use]
#[derive(Debug, Default)]
pub struct LogSettings {
    destinations: Vec<LogDestination>,
    batch: BatchSettings,
    limits: LogLimits,
}

impl LogSettings {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Exports over OTLP.
    ///
    /// This and the two methods after it say where log records go. They add up, and once one of
    /// them is called, `OTEL_LOGS_EXPORTER` is not asked. If none is, it decides; its default is
    /// OTLP.
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub fn with_otlp(mut self, otlp: crate::sdk::export::Otlp) -> Self {
        self.destinations.push(LogDestination::Otlp(otlp));
        self
    }

    /// Exports with `exporter`, behind a batch processor, one batch at a time.
    ///
    /// ```
    /// use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
    /// use opentelemetry_sdk::logs::InMemoryLogExporter;
    /// use std::time::Duration;
    /// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
    ///
    /// let exporter = InMemoryLogExporter::default();
    /// let telemetry = Telemetry::builder()
    ///     .with_logs(LogSettings::new().with_exporter(exporter.clone()))
    ///     .build()?;
    /// let logger = telemetry.logger_provider().unwrap().logger("mine");
    /// let mut record = logger.create_log_record();
    /// record.set_body("hello".into());
    /// logger.emit(record);
    /// telemetry.force_flush(Duration::from_secs(5))?;
    /// assert_eq!(exporter.get_emitted_logs()?[0].record.body(), Some(&"hello".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_exporter<E: LogExporter + 'static>(mut self, exporter: E) -> Self {
        self.destinations.push(LogDestination::exporter(exporter));
        self
    }

    /// Hands each log record to `processor` on the thread that logs. What it changes, those that
    /// are asked for after it see changed, so one that takes secrets out comes first.
    ///
    /// ```
    /// use opentelemetry::{InstrumentationScope, logs::LogRecord};
    /// use opentelemetry_sdk::{error::OTelSdkResult, logs::{LogProcessor, SdkLogRecord}};
    /// use tower_telemetry::{Telemetry, sdk::{export::Otlp, logs::LogSettings}};
    ///
    /// #[derive(Debug)]
    /// struct Region;
    ///
    /// impl LogProcessor for Region {
    ///     fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
    ///         record.add_attribute("region", "eu-1");
    ///     }
    ///
    ///     fn force_flush(&self) -> OTelSdkResult {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_logs(LogSettings::new().with_processor(Region).with_otlp(Otlp::new()))
    ///     .build()?;
    /// assert_eq!(telemetry.log_destinations().count(), 2);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_processor<P: LogProcessor + 'static>(mut self, processor: P) -> Self {
        self.destinations.push(LogDestination::processor(processor));
        self
    }

    /// Sets how log records wait for each exporter. Default: the environment's `OTEL_BLRP_*`, or
    /// else the specification's defaults: up to 2048 of them, for a second, 512 in a batch.
    pub fn with_batch(mut self, batch: BatchSettings) -> Self {
        self.batch = batch;
        self
    }

    /// Sets how many attributes a log record has at most; what goes beyond is left out, and
    /// counted. Default: `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT`, or else
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT`, or else 128.
    pub fn with_attribute_count(mut self, attributes: u32) -> Self {
        self.limits.attribute_count = Some(attributes);
        self
    }

    /// Sets how long a text is at most that is an attribute's value, or inside of one; what is
    /// longer is cut. In characters, and in bytes if it is bytes. The body is not cut. Default:
    /// `OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT`, or else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`,
    /// or else [no limit](Self::without_attribute_value_length).
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
    ///
    /// let logs = LogSettings::new().with_attribute_count(16).with_attribute_value_length(1024);
    /// let telemetry = Telemetry::builder().with_logs(logs).build()?;
    /// let description = telemetry.describe().to_string();
    /// assert!(description.contains("16 attributes a log record; texts of 1024 characters"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_attribute_value_length(mut self, characters: u32) -> Self {
        self.limits.attribute_value_length = Some(Some(characters));
        self
    }

    /// Leaves texts as long as they are, whatever the environment says.
    pub fn without_attribute_value_length(mut self) -> Self {
        self.limits.attribute_value_length = Some(None);
        self
    }

    pub(in crate::sdk) fn resolve(self, env: &mut Env) -> Result<ReadyLogs, BuildError> {
        let mut destinations = self.destinations;
        if destinations.is_empty() {
            destinations = destination::from_env(env)?;
        }
        Ok(ReadyLogs {
            limits: self.limits.resolve(env),
            batch: self.batch.resolve(Items::LogRecords, env)?,
            destinations: destinations
                .into_iter()
                .map(|destination| destination.resolve(env))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Settings that have been looked at and found good.
pub(in crate::sdk) struct ReadyLogs {
    destinations: Vec<Ready>,
    batch: Resolved,
    limits: ResolvedLogLimits,
}

impl ReadyLogs {
    /// Starts the exporters' threads.
    pub(in crate::sdk) fn start(self, resource: &Resource) -> Result<Logs, BuildError> {
        let Self { destinations, batch, limits } = self;
        let members = destinations
            .into_iter()
            .map(|ready| ready.start(batch, resource))
            .collect::<Result<Vec<_>, _>>()?;
        let fan_out = LogFanOut::new(members);
        // What the SDK has to say of an unnamed provider, and of one that is let go of, is nothing
        // to anybody.
        let provider = with_default(&Dispatch::none(), || {
            let nothing = SdkLoggerProvider::builder().build();
            let handle =
                Handle { fan_out: Arc::clone(&fan_out), limits, blank: nothing.logger("blank") };
            // It has nothing to shut down, and need not say so when it is let go of.
            let _ = nothing.shutdown();
            SdkLoggerProvider::builder()
                .with_resource(resource.clone())
                .with_log_processor(handle)
                .build()
        });
        Ok(Logs { provider, fan_out, batch, limits })
    }
}
