//! The layer: what is configured once and shared by every service it makes.

use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;
use tower::Layer;

use crate::{client::Propagation, propagation::Propagator, providers::Providers};

/// Writes the current span's context into the headers of each request. See the
/// [module docs](crate::client).
///
/// Cloning it is one reference count.
#[must_use]
#[derive(Clone, Debug)]
pub struct PropagationLayer {
    config: Arc<Config>,
}

/// What all services of a layer share.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) propagator: Propagator,
}

impl PropagationLayer {
    /// A layer that uses the global propagator, looked up with each request.
    pub fn new() -> Self {
        Self { config: Arc::new(Config { propagator: Propagator::global() }) }
    }

    /// Takes the propagator from `telemetry`: a reference to a [`Telemetry`](crate::Telemetry), or
    /// [`Providers`] of your own.
    ///
    /// ```
    /// use tower_telemetry::{PropagationLayer, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().with_service_name("shop").build()?;
    /// let layer = PropagationLayer::new().with_telemetry(&telemetry);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_telemetry(self, telemetry: impl Into<Providers>) -> Self {
        self.with(|config| config.propagator = telemetry.into().propagator)
    }

    /// Writes headers with `propagator`. Default: the global propagator.
    pub fn with_propagator<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.with(|config| config.propagator = Propagator::new(propagator))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl Default for PropagationLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PropagationLayer {
    type Service = Propagation<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Propagation::new(inner, Arc::clone(&self.config))
    }
}
