//! `Telemetry`: resource, sampler, processors, exporters and propagator in one piece.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, global,
    propagation::TextMapPropagator,
    trace::{SpanBuilder, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    trace::{SdkTracer, SdkTracerProvider, SpanExporter, SpanProcessor},
};
use tracing::dispatcher::{Dispatch, with_default};

use crate::{
    propagation::{Propagator, TraceContext},
    providers::Providers,
    scope::scope,
    sdk::{
        BuildError, ExportError, ResourceBuilder, Sampler, SamplerBuilder, Warning,
        destination::{self, Destination},
        env::Env,
        error::Failure,
        export::ledger::Ledger,
        processor::{batch::BatchSettings, fan_out::FanOut},
    },
    tracer::{StartSpan, Started, TracerSource},
};

/// The set-up of a program's telemetry: who sends it, which traces are recorded, where they go.
///
/// Building it starts the exporters' threads and touches nothing else. To be used, it is handed to
/// the layers ([`TraceLayer::with_telemetry`](crate::TraceLayer::with_telemetry)), or
/// [made global](Self::set_global), or both.
///
/// Call [`shutdown`](Self::shutdown) before the program ends: spans wait in a queue for up to 5
/// seconds, and what waits there when the process exits is lost.
///
/// ```
/// use std::time::Duration;
///
/// use tower_telemetry::Telemetry;
///
/// let telemetry = Telemetry::builder().with_service_name("shop").build()?;
/// telemetry.set_global();
/// // ... serve ...
/// telemetry.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a `Telemetry` does nothing until it is made global or handed to a layer"]
pub struct Telemetry {
    provider: SdkTracerProvider,
    resource: Resource,
    sampler: Sampler,
    propagator: Propagator,
    ledgers: Vec<Arc<Ledger>>,
    warnings: Vec<Warning>,
}

impl Telemetry {
    /// Starts a builder: everything from the environment, or the defaults.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// Makes this the process's global tracer provider and propagator, for layers that were given
    /// none and for spans of your own made with `opentelemetry::global::tracer`.
    ///
    /// The global provider holds on to the exporters, so dropping the `Telemetry` afterwards does
    /// not shut them down; [`shutdown`](Self::shutdown) does.
    pub fn set_global(&self) {
        global::set_tracer_provider(self.provider.clone());
        global::set_text_map_propagator(self.propagator.clone());
    }

    /// The tracer provider, for spans of your own and for other instrumentation.
    #[must_use]
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// The propagator.
    #[must_use]
    pub fn propagator(&self) -> &Propagator {
        &self.propagator
    }

    /// The resource under which everything is exported.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// What the environment said that could not be used.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Exports what has ended so far and waits for it, for at most 5 seconds per exporter. Blocks
    /// the thread.
    ///
    /// # Errors
    ///
    /// Something could not be exported, now or since the last report.
    pub fn force_flush(&self) -> Result<(), ExportError> {
        self.report(self.provider.force_flush())
    }

    /// Exports what has ended so far, waits for it until `deadline` has passed, and ends the
    /// exporters. Spans that end later are lost. Blocks the thread for that long at most; under a
    /// current-thread runtime, call it when nothing else has to run.
    ///
    /// A second call has nothing left to do and is fine.
    ///
    /// # Errors
    ///
    /// Something could not be exported, now or since the last report, or not before the deadline.
    pub fn shutdown(&self, deadline: Duration) -> Result<(), ExportError> {
        let started = Instant::now();
        let result = self.provider.shutdown_with_timeout(deadline);
        self.report(match result {
            Err(OTelSdkError::AlreadyShutdown) => Ok(()),
            // Some of the SDK's parts say so in words only.
            Err(_) if started.elapsed() >= deadline => Err(OTelSdkError::Timeout(deadline)),
            result => result,
        })
    }

    fn report(&self, result: Result<(), OTelSdkError>) -> Result<(), ExportError> {
        let mut failures: Vec<Failure> =
            self.ledgers.iter().filter_map(|ledger| ledger.take()).collect();
        if let Err(error) = result {
            let (timed_out, reason) = match error {
                OTelSdkError::Timeout(deadline) => {
                    (true, format!("not everything was exported within {deadline:?}"))
                }
                error => (false, error.to_string()),
            };
            failures.push(Failure { spans: 0, timed_out, reason });
        }
        ExportError::check(failures)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("resource", &self.resource)
            .field("sampler", &self.sampler)
            .field("propagator", &self.propagator)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl From<&Telemetry> for Providers {
    fn from(telemetry: &Telemetry) -> Self {
        let tracer = telemetry.provider.tracer_with_scope(scope());
        let sampler = telemetry.sampler.clone();
        Self {
            tracer: TracerSource::Given(Arc::new(KnownTracer { tracer, sampler })),
            propagator: telemetry.propagator.clone(),
        }
    }
}

/// A tracer whose sampler is known, so that attributes are not built for nothing.
struct KnownTracer {
    tracer: SdkTracer,
    sampler: Sampler,
}

impl StartSpan for KnownTracer {
    fn start(&self, builder: SpanBuilder, parent_cx: &Context) -> Started {
        StartSpan::start(&self.tracer, builder, parent_cx)
    }

    fn wants_start_attributes(&self, parent_cx: &Context) -> bool {
        self.sampler.wants_start_attributes(parent_cx)
    }
}

/// Builds a [`Telemetry`]. What is not set comes from the [environment](crate::sdk#environment),
/// or else is the default.
#[must_use]
#[derive(Debug, Default)]
pub struct TelemetryBuilder {
    resource: ResourceBuilder,
    sampler: Option<SamplerBuilder>,
    propagator: Option<Propagator>,
    destinations: Vec<Destination>,
    env: Env,
}

impl TelemetryBuilder {
    /// Sets the service's name, as [`ResourceBuilder::with_service_name`] does.
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.resource = self.resource.with_service_name(name.into());
        self
    }

    /// Sets the resource. Default: what the environment says, and a service name of
    /// `unknown_service:` with the executable's name.
    pub fn with_resource(mut self, resource: ResourceBuilder) -> Self {
        self.resource = resource;
        self
    }

    /// Sets the sampler. Default: `OTEL_TRACES_SAMPLER`, or else every trace, after its parent's
    /// decision.
    pub fn with_sampler(mut self, sampler: SamplerBuilder) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Sets the propagator. Default: [`TraceContext`].
    pub fn with_propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.propagator = Some(Propagator::new(propagator));
        self
    }

    /// Exports over OTLP.
    ///
    /// This and the methods after it say where spans go. They add up, and once one of them is
    /// called, `OTEL_TRACES_EXPORTER` is not asked. If none is, it decides; its default is OTLP.
    #[cfg(feature = "otlp-http")]
    pub fn with_otlp(mut self, otlp: crate::sdk::export::Otlp) -> Self {
        self.destinations.push(Destination::Otlp(otlp));
        self
    }

    /// Prints each trace as a tree.
    #[cfg(feature = "console")]
    pub fn with_console(self, console: crate::sdk::export::ConsoleExporter) -> Self {
        self.with_span_processor(console)
    }

    /// Exports with `exporter`, behind a batch processor.
    pub fn with_exporter<E: SpanExporter + 'static>(mut self, exporter: E) -> Self {
        self.destinations.push(Destination::exporter(exporter));
        self
    }

    /// Hands spans to `processor`: when they start, and when they have ended, also those that
    /// record without being sampled.
    pub fn with_span_processor<P: SpanProcessor + 'static>(mut self, processor: P) -> Self {
        self.destinations.push(Destination::Processor(Box::new(processor)));
        self
    }

    /// Reads these variables in place of the process's environment. With none it is as if the
    /// environment were empty.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_SAMPLER", "sometimes")])
    ///     .build()?;
    /// assert_eq!(telemetry.warnings()[0].variable(), "OTEL_TRACES_SAMPLER");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.env = Env::fixed(variables.collect());
        self
    }

    /// Builds the telemetry and starts its exporters. Nothing becomes global, and no network
    /// connection is made.
    ///
    /// # Errors
    ///
    /// A setting from code cannot be used, or an endpoint from the environment cannot. The error
    /// names setting and value; nothing has been started.
    pub fn build(self) -> Result<Telemetry, BuildError> {
        let Self { resource, sampler, propagator, mut destinations, mut env } = self;
        if destinations.is_empty() {
            destinations = destination::from_env(&mut env)?;
        }
        let resource = resource.resolve(&mut env)?;
        let sampler = sampler.unwrap_or_else(|| SamplerBuilder::from_env(&mut env)).build()?;
        let batch = BatchSettings::from_env(&mut env);
        let ready = destinations
            .into_iter()
            .map(|destination| destination.resolve(&mut env))
            .collect::<Result<Vec<_>, _>>()?;

        // All that can fail has not: from here on threads start.
        let mut ledgers = Vec::new();
        let processors = ready.into_iter().map(|ready| ready.start(batch, &mut ledgers)).collect();
        // The SDK looks into the process's environment by itself and logs what it finds wrong there:
        // that has been judged above, or is not the environment that was asked for.
        let provider = with_default(&Dispatch::none(), SdkTracerProvider::builder)
            .with_resource(resource.clone())
            .with_sampler(sampler.clone())
            .with_span_processor(FanOut::new(processors))
            .build();
        Ok(Telemetry {
            provider,
            resource,
            sampler,
            propagator: propagator.unwrap_or_else(|| Propagator::new(TraceContext::new())),
            ledgers,
            warnings: env.into_warnings(),
        })
    }
}
