//! What a layer takes from the outside: a tracer, a meter, a logger and a propagator, given or
//! global.

use opentelemetry::{
    logs::LoggerProvider,
    metrics::MeterProvider,
    propagation::TextMapPropagator,
    trace::{Tracer, TracerProvider},
};

use crate::{
    error::Warning, instrumentation::Instrumentation, logger::LoggerSource, meter::MeterSource,
    propagation::Propagator, tracer::TracerSource,
};

/// The tracer, meter and logger providers and the propagator that a layer works with.
///
/// By default they are the global ones, looked up when the layer serves and not when it is built,
/// so that the order of set-up does not matter. A `Telemetry` turns into one with its own parts;
/// so does anything else that implements `Into<Providers>`, which is how a set-up of your own can
/// be handed to `with_telemetry`:
///
/// ```
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tower_telemetry::{Providers, TraceLayer, propagation::TraceContext};
///
/// struct OurTelemetry {
///     traces: SdkTracerProvider,
/// }
///
/// impl From<&OurTelemetry> for Providers {
///     fn from(ours: &OurTelemetry) -> Self {
///         Providers::global()
///             .with_tracer_provider(&ours.traces)
///             .with_propagator(TraceContext::new())
///     }
/// }
///
/// let ours = OurTelemetry { traces: SdkTracerProvider::builder().build() };
/// let layer = TraceLayer::new().with_telemetry(&ours);
/// # let _ = layer;
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Providers {
    pub(crate) tracer: TracerSource,
    pub(crate) meter: MeterSource,
    pub(crate) logger: LoggerSource,
    pub(crate) propagator: Propagator,
    pub(crate) instrumentation: Instrumentation,
    pub(crate) warnings: Vec<Warning>,
}

impl Providers {
    /// The global tracer provider, meter provider and propagator, looked up when a request comes.
    /// The first tracer provider that is found to make spans is kept; for another meter provider it
    /// is looked once a second.
    ///
    /// What the environment says of layers is read now: which methods are known, which headers are
    /// recorded. The docs of [both](crate::server#environment)
    /// [sides](crate::client#environment) have the variables.
    pub fn global() -> Self {
        let (instrumentation, warnings) = Instrumentation::of_process();
        Self {
            tracer: TracerSource::global(),
            meter: MeterSource::Global,
            logger: LoggerSource::default(),
            propagator: Propagator::global(),
            instrumentation,
            warnings,
        }
    }

    /// What the environment said of layers that could not be used. Default: nothing. A `Telemetry`
    /// keeps these among its own warnings, and hands none on.
    ///
    /// ```
    /// use tower_telemetry::Providers;
    ///
    /// assert_eq!(Providers::global().warnings(), []);
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Takes spans from `provider`. Default: the global tracer provider.
    pub fn with_tracer_provider<P>(mut self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        self.tracer = TracerSource::from_provider(provider);
        self
    }

    /// Measures with `provider`, where a layer [measures](crate::TraceLayer::with_metrics).
    /// Default: the global meter provider.
    pub fn with_meter_provider<P>(mut self, provider: &P) -> Self
    where
        P: MeterProvider + ?Sized,
    {
        self.meter = MeterSource::from_provider(provider);
        self
    }

    /// Records [exceptions](crate::Exceptions) with `provider`. Default: none, as there is no
    /// global one.
    pub fn with_logger_provider<P>(mut self, provider: &P) -> Self
    where
        P: LoggerProvider,
        P::Logger: Send + Sync + 'static,
    {
        self.logger = LoggerSource::from_provider(provider);
        self
    }

    /// Reads and writes headers with `propagator`. Default: the global propagator.
    pub fn with_propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.propagator = Propagator::new(propagator);
        self
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self::global()
    }
}
