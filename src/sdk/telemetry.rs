//! `Telemetry`: resource, sampler, processors, exporters and propagator in one piece.

use std::{fmt, sync::Arc, thread, time::Duration};

#[cfg(feature = "metrics")]
use opentelemetry::metrics::MeterProvider;
use opentelemetry::{
    Context, global,
    trace::{SpanBuilder, SpanKind, TracerProvider, noop::NoopTracerProvider},
};
#[cfg(feature = "logs")]
use opentelemetry_sdk::logs::SdkLoggerProvider;
#[cfg(feature = "metrics")]
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::sync::oneshot;
use tracing::warn;

#[cfg(feature = "logs")]
use crate::sdk::logs::{LogLayer, running::Logs};
#[cfg(feature = "metrics")]
use crate::sdk::{metrics::meters::Meters, self_metrics};
use crate::{
    contained::contained,
    error::Warning,
    instrumentation::Instrumentation,
    logger::LoggerSource,
    meter::MeterSource,
    propagation::Propagator,
    providers::Providers,
    scope::scope,
    sdk::{
        Description, ExportError, Health, Sampler, ServeError, TelemetryBuilder,
        describe::configuration::Configuration, disabled::NoTracer, processor::fan_out::FanOut,
        signals::Signals, tail::TailSamplingCounts,
    },
    tracer::{Known, StartSpan, Started, TracerSource, Unstarted, started},
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
/// A process that is forked from one with a telemetry exports its own spans, over connections of
/// its own, and counts them from zero. Fork when no other thread flushes or shuts down: what that
/// thread holds is held in the child for good.
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
    pub(super) provider: SdkTracerProvider,
    pub(super) resource: Resource,
    pub(super) sampler: Sampler,
    pub(super) propagator: Propagator,
    pub(super) instrumentation: Instrumentation,
    pub(super) fan_out: Arc<FanOut>,
    #[cfg(feature = "logs")]
    pub(super) logs: Option<Logs>,
    pub(super) warnings: Vec<Warning>,
    pub(super) configuration: Configuration,
    #[cfg(feature = "metrics")]
    pub(super) meters: Option<Arc<Meters>>,
}

impl Telemetry {
    /// Starts a builder: everything from the environment, or the defaults.
    pub fn builder() -> TelemetryBuilder {
        TelemetryBuilder::default()
    }

    /// Makes this the process's global tracer provider and propagator, for layers that were given
    /// none and for spans of your own made with `opentelemetry::global::tracer`; and with
    /// [metrics](TelemetryBuilder::with_metrics) the global meter provider. Of logger providers there is
    /// no global one.
    ///
    /// The global provider holds on to the exporters, so dropping the `Telemetry` afterwards does
    /// not shut them down; [`shutdown`](Self::shutdown) does.
    ///
    /// ```
    /// use opentelemetry::{global, trace::{Span, Tracer}};
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder().with_environment([("", ""); 0]).build()?;
    /// telemetry.set_global();
    /// assert!(global::tracer("mine").start("a span of my own").is_recording());
    /// # drop(telemetry);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn set_global(&self) {
        self.configuration.used.by_all();
        if self.configuration.disabled.is_some() {
            global::set_tracer_provider(NoopTracerProvider::new());
        } else {
            global::set_tracer_provider(self.provider.clone());
        }
        #[cfg(feature = "metrics")]
        if let Some(meters) = &self.meters {
            global::set_meter_provider(meters.provider.clone());
        }
        if !self.propagator.is_global() {
            global::set_text_map_propagator(self.propagator.clone());
        }
    }

    /// The tracer provider, for spans of your own and for other instrumentation.
    ///
    /// Of a telemetry that is [disabled](TelemetryBuilder::with_sdk_disabled) it is one whose spans
    /// go nowhere and hold nothing: below a caller's span that is sampled they are, too, so that
    /// its trace is not broken off; any other is not.
    #[must_use]
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        self.configuration.used.by_another();
        &self.provider
    }

    /// The meter provider, for instruments of your own; `None` unless
    /// [metrics](TelemetryBuilder::with_metrics) are switched on.
    ///
    /// Of a telemetry that is [disabled](TelemetryBuilder::with_sdk_disabled) it is one that
    /// collects nothing. What is measured is no longer exported when the telemetry is let go of,
    /// unless it was
    /// [made global](Self::set_global).
    ///
    /// ```
    /// use opentelemetry::metrics::MeterProvider;
    /// use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};
    ///
    /// let telemetry = Telemetry::builder().with_metrics(MetricSettings::new()).build()?;
    /// let meter = telemetry.meter_provider().unwrap().meter("shop");
    /// meter.u64_counter("orders").build().add(1, &[]);
    /// assert!(Telemetry::builder().build()?.meter_provider().is_none());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn meter_provider(&self) -> Option<&SdkMeterProvider> {
        Some(&self.meters.as_ref()?.provider)
    }

    /// A layer for the program's subscriber, which exports what is logged through `tracing`. `None`
    /// if logs are not [switched on](TelemetryBuilder::with_logs), or the telemetry is
    /// [disabled](TelemetryBuilder::with_sdk_disabled); a subscriber takes that, too, as a layer that
    /// does nothing.
    ///
    /// Without a [filter](crate::sdk::logs::LogLayer#what-is-exported) it exports everything.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
    /// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
    ///
    /// let telemetry = Telemetry::builder().with_logs(LogSettings::new()).build()?;
    /// let subscriber = tracing_subscriber::registry()
    ///     .with(telemetry.log_layer().with_filter(LevelFilter::INFO));
    /// // To be made the process's by `subscriber.init()`.
    /// # drop(subscriber);
    /// assert!(Telemetry::builder().build()?.log_layer().is_none());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "logs")]
    #[must_use]
    pub fn log_layer(&self) -> Option<LogLayer> {
        Some(LogLayer::new(self.logger_provider()?))
    }

    /// The logger provider, for log records of your own and for what bridges other loggers. `None`
    /// if logs are not [switched on](TelemetryBuilder::with_logs).
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// assert!(Telemetry::builder().build()?.logger_provider().is_none());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "logs")]
    #[must_use]
    pub fn logger_provider(&self) -> Option<&SdkLoggerProvider> {
        self.configuration.used.by_a_logger();
        self.logs.as_ref().map(|logs| &logs.provider)
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

    /// The sampler, by which it can be [changed](Sampler::update) what is sampled.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// What the environment said that could not be used.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where spans go, in words fit for a log: without credentials and query.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:4318")])
    ///     .build()?;
    /// let destinations: Vec<&str> = telemetry.destinations().collect();
    /// assert_eq!(destinations, ["OTLP to collector:4318/v1/traces"]);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.fan_out.names()
    }

    /// Where log records go, in the same words; nowhere if logs are not
    /// [switched on](TelemetryBuilder::with_logs).
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// assert_eq!(telemetry.log_destinations().next(), None);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[cfg(feature = "logs")]
    pub fn log_destinations(&self) -> impl Iterator<Item = &str> {
        let settings = self.logs.iter().flat_map(|logs| logs.fan_out.settings());
        settings.map(|(name, _)| name)
    }

    /// The configuration in force, as text, and hints: where to begin if no traces appear.
    ///
    /// Resource, sampler, limits, where spans go, who uses the telemetry, what the environment said
    /// that could not be used; no secrets. Then what may be the reason if no traces appear, each
    /// with what to do: nothing uses the telemetry, layers look for a global provider where there
    /// is none, the sampler samples nothing, the SDK is disabled. It is all as of now, so print it
    /// when a request or two have been served.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_environment([
    ///         ("OTEL_SERVICE_NAME", "shop"),
    ///         ("OTEL_TRACES_EXPORTER", "none"),
    ///         ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=secret"),
    ///     ])
    ///     .build()?;
    /// let description = telemetry.describe();
    /// println!("{description}");
    ///
    /// let text = description.to_string();
    /// assert!(text.contains("  service        shop\n"), "{text}");
    /// assert!(!text.contains("secret"));
    /// let mut hints = description.hints();
    /// assert!(hints.next().unwrap().starts_with("spans go nowhere: name an exporter in"));
    /// assert!(hints.next().unwrap().starts_with("nothing uses this telemetry so far"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// The first call in a process reads the program's own file, up to 256 MiB of it, for the
    /// versions of `opentelemetry` that are linked into it: by the paths that panics and log lines
    /// have in it. So nothing is seen of a crate that is patched, of a library that is linked at
    /// run time, or where paths were trimmed. It blocks the thread for 0.1 s in a debug build of
    /// 350 MB, if the file is in the system's cache, and for 5 ms in a stripped release build;
    /// `cargo test --lib linked` reads twice, and says how long it took.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description::of(self)
    }

    /// What [tail sampling](TelemetryBuilder::with_tail_sampling) has kept, discarded and given up
    /// so far; `None` if there is none.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::tail::TailSampling};
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// assert!(telemetry.tail_sampling().is_none());
    /// let telemetry = Telemetry::builder().with_tail_sampling(TailSampling::new()).build()?;
    /// assert_eq!(telemetry.tail_sampling().unwrap().held_traces(), 0);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    #[must_use]
    pub fn tail_sampling(&self) -> Option<TailSamplingCounts> {
        self.fan_out.tail_counts()
    }

    /// What became of the spans that have ended so far, of metrics and of log records: exported,
    /// lost and why, or still on their way. It takes a lock for a moment, so a look each second is
    /// fine, and one per request is not.
    ///
    /// ```
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder().build()?;
    /// // Worth an alert, if it grows.
    /// assert_eq!(telemetry.health().lost(), 0);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn health(&self) -> Health {
        let health = Health::of(self.fan_out.batches());
        #[cfg(feature = "metrics")]
        let health = match &self.meters {
            Some(meters) => health.and_of_metrics(meters.batches()),
            None => health,
        };
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            return health.and_of_logs(logs.fan_out.batches());
        }
        health
    }

    /// Has the [health](Self::health) collected as metrics, by the conventions' [names for an
    /// SDK][names]: `otel.sdk.processor.span.queue.size`, `….queue.capacity` and `….processed`,
    /// `otel.sdk.exporter.span.inflight` and `….exported`, with `error.type` where spans were lost.
    /// With logs there are the same of `log`.
    ///
    /// Call it once, and not on the [telemetry's own](Self::meter_provider) provider, which has
    /// them already. They are read when the provider collects, for as long as there is a telemetry,
    /// a layer or a tracer that holds on to the exporters.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    /// use tower_telemetry::Telemetry;
    ///
    /// let exporter = InMemoryMetricExporter::default();
    /// let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    /// let telemetry = Telemetry::builder().build()?;
    /// telemetry.register_metrics(&meters);
    /// meters.force_flush()?;
    /// assert_eq!(exporter.get_finished_metrics()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [names]: https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
    #[cfg(feature = "metrics")]
    pub fn register_metrics(&self, provider: &dyn MeterProvider) {
        self_metrics::register(&self.fan_out, provider);
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            self_metrics::register(&logs.fan_out, provider);
        }
    }

    /// Exports what has ended so far and waits for it until `timeout` has passed. Blocks the
    /// thread.
    ///
    /// What has not made it by then is still on its way, and may yet.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::Telemetry;
    ///
    /// let telemetry = Telemetry::builder().with_service_name("shop").build()?;
    /// // A platform that stops the process after each request wants this before the answer.
    /// telemetry.force_flush(Duration::from_secs(2))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Something could not be exported, now or since the last report, or not before the timeout.
    pub fn force_flush(&self, timeout: Duration) -> Result<(), ExportError> {
        ExportError::check(self.signals().flush(timeout))
    }

    /// Exports what has ended so far, waits for it until `timeout` has passed, and ends the
    /// exporters. Blocks the thread for that long at most, also if an exporter hangs.
    ///
    /// Exporters run on threads of their own, so it may be called where a runtime has no other
    /// thread; what that runtime has to do meanwhile waits. In async code
    /// [`shutdown_after`](Self::shutdown_after) does not make it wait.
    ///
    /// Spans that end later are lost, and [counted](crate::sdk::ExporterHealth::after_shutdown); no
    /// log tells of them.
    /// A second call waits for the first, as long as its own timeout lets it, and then has nothing
    /// left to do and to tell.
    ///
    /// # Errors
    ///
    /// Something could not be exported, now or since the last report, or not before the timeout.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ExportError> {
        ExportError::check(self.signals().shutdown(timeout))
    }

    /// Runs a server until it ends, and then [shuts down](Self::shutdown) within `timeout`, on a
    /// thread where that blocks nobody.
    ///
    /// The server is whatever can be awaited, such as `axum::serve` or tonic's
    /// `serve_with_shutdown`; its answer is given on.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::Telemetry;
    ///
    /// # async fn serve(
    /// #     telemetry: Telemetry,
    /// #     listener: tokio::net::TcpListener,
    /// #     app: axum::Router,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    /// let server = axum::serve(listener, app).with_graceful_shutdown(interrupted);
    /// telemetry.shutdown_after(server, Duration::from_secs(5)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The server's error, if it has failed: what could then not be exported is a warning in the
    /// log. Or else what could not be exported.
    pub async fn shutdown_after<S, T, E>(
        &self,
        server: S,
        timeout: Duration,
    ) -> Result<T, ServeError<E>>
    where
        S: IntoFuture<Output = Result<T, E>>,
    {
        let served = server.into_future().await;
        let exported = self.shut_down_aside(timeout).await;
        match (served, exported) {
            (Ok(served), Ok(())) => Ok(served),
            (Ok(_), Err(lost)) => Err(ServeError::Export(lost)),
            (Err(error), exported) => {
                log(exported);
                Err(ServeError::Server(error))
            }
        }
    }

    fn signals(&self) -> Signals {
        Signals {
            spans: Arc::clone(&self.fan_out),
            #[cfg(feature = "metrics")]
            metrics: self.meters.clone(),
            #[cfg(feature = "metrics")]
            ends_metrics: false,
            #[cfg(feature = "logs")]
            logs: self.logs.as_ref().map(|logs| Arc::clone(&logs.fan_out)),
        }
    }

    async fn shut_down_aside(&self, timeout: Duration) -> Result<(), ExportError> {
        let (tell, told) = oneshot::channel();
        let signals = self.signals();
        let work = move || {
            // If nobody waits any more, nobody wants to know.
            let _ = tell.send(signals.shutdown(timeout));
        };
        if thread::Builder::new().spawn(work).is_err() {
            // There is no thread to be had, so this one has to wait.
            return self.shutdown(timeout);
        }
        ExportError::check(told.await.unwrap_or_default())
    }
}

/// Exports what has ended so far, and waits for it for 5 seconds at most. The exporters go on for
/// whoever still has the provider: the process, if it is global, or a layer. When the last of them
/// lets go of it they are shut down, within another 5 seconds. Metrics end here, unless they are
/// global or a layer has them.
impl Drop for Telemetry {
    fn drop(&mut self) {
        let signals = self.signals();
        #[cfg(feature = "metrics")]
        let has_layers = self.meters.as_ref().is_some_and(|meters| meters.has_layers());
        #[cfg(feature = "metrics")]
        let signals = signals.ending_metrics(!self.configuration.used.is_global() && !has_layers);
        log(ExportError::check(signals.flush(AT_DROP)));
    }
}

/// There is nobody else to tell. Whoever writes the log may panic, which is not to be theirs who
/// let go of a telemetry.
fn log(exported: Result<(), ExportError>) {
    if let Err(lost) = exported {
        contained(|| warn!(target: env!("CARGO_PKG_NAME"), "{lost}"));
    }
}

/// How long a drop may take.
const AT_DROP: Duration = Duration::from_secs(5);

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("destinations", &self.destinations().collect::<Vec<_>>())
            .field("resource", &self.resource)
            .field("sampler", &self.sampler)
            .field("propagator", &self.propagator)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl From<&Telemetry> for Providers {
    fn from(telemetry: &Telemetry) -> Self {
        telemetry.configuration.used.by_a_layer();
        let tracer: Arc<dyn StartSpan> = if telemetry.configuration.disabled.is_some() {
            Arc::new(NoTracer)
        } else {
            let tracer = telemetry.provider.tracer_with_scope(scope());
            let sampler = telemetry.sampler.clone();
            let observed = telemetry.fan_out.has_foreign();
            Arc::new(KnownTracer { tracer, sampler, observed })
        };
        Self {
            tracer: TracerSource::Given {
                tracer,
                // The SDK's ids are random.
                known: Known { has_random_ids: true, follows_parents: false },
            },
            meter: telemetry.meter(),
            logger: telemetry.logger(),
            propagator: telemetry.propagator.clone(),
            instrumentation: telemetry.instrumentation.clone(),
            // They are the telemetry's, which has logged them.
            warnings: Vec::new(),
        }
    }
}

impl Telemetry {
    /// What layers measure with: without metrics of its own, the global provider's.
    fn meter(&self) -> MeterSource {
        #[cfg(feature = "metrics")]
        if let Some(meters) = &self.meters {
            return meters.for_layer();
        }
        MeterSource::Global
    }

    /// What layers record exceptions with.
    fn logger(&self) -> LoggerSource {
        #[cfg(feature = "logs")]
        if let Some(logs) = &self.logs {
            return LoggerSource::from_provider(&logs.provider);
        }
        LoggerSource::default()
    }
}

/// A tracer whose sampler is known, so that attributes are not built for nothing, and rules see the
/// request.
struct KnownTracer {
    tracer: SdkTracer,
    sampler: Sampler,
    /// Whether a processor that is not ours sees spans start.
    observed: bool,
}

impl StartSpan for KnownTracer {
    fn start(
        &self,
        mut builder: SpanBuilder,
        parent_cx: &Context,
        known: Known,
        request: &mut dyn Unstarted<'_>,
    ) -> Started {
        let kind = builder.span_kind.as_ref().unwrap_or(&SpanKind::Internal);
        let head = || request.head();
        let foreseen = self.sampler.foresee(parent_cx, kind, self.observed, head);
        if foreseen.wants_attributes {
            request.describe(&mut builder);
        }
        let known = Known { follows_parents: foreseen.follows_parents, ..known };
        foreseen.start(|| started(&self.tracer, builder, parent_cx, known))
    }
}
