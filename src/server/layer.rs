//! The layer: what is configured once and shared by every service it makes.

use std::sync::Arc;

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{Tracer, TracerProvider},
};
use tower::Layer;

use crate::{providers::Providers, server::Trace};

/// Makes a server span for each request. See the [module docs](crate::server) for what is on it
/// and when it ends.
///
/// Cloning it is one reference count.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    config: Arc<Config>,
}

/// What all services of a layer share.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) providers: Providers,
}

impl TraceLayer {
    /// A layer with the defaults: the global tracer provider, the global propagator, and the
    /// attributes of the [module docs](crate::server#attributes).
    ///
    /// The globals are looked up when the layer serves, so they may be set after it is built.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes tracer provider and propagator from `telemetry`: a reference to a
    /// [`Telemetry`](crate::Telemetry), or [`Providers`] of your own.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, TraceLayer};
    ///
    /// let telemetry = Telemetry::builder().with_service_name("shop").build()?;
    /// let layer = TraceLayer::new().with_telemetry(&telemetry);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_telemetry(self, telemetry: impl Into<Providers>) -> Self {
        self.with(|_| telemetry.into())
    }

    /// Takes spans from `provider`. Default: the global tracer provider.
    pub fn with_tracer_provider<P>(self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        self.with(|providers| providers.with_tracer_provider(provider))
    }

    /// Reads the caller's span from the headers with `propagator`. Default: the global propagator.
    pub fn with_propagator<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.with(|providers| providers.with_propagator(propagator))
    }

    fn with(mut self, change: impl FnOnce(Providers) -> Providers) -> Self {
        let config = Arc::make_mut(&mut self.config);
        config.providers = change(std::mem::take(&mut config.providers));
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace::new(inner, Arc::clone(&self.config))
    }
}
