//! The layer that measures and makes no spans.

use opentelemetry::metrics::MeterProvider;
use tower::Layer;

use crate::{
    client::{ClientTrace, ClientTraceLayer},
    exchange::metrics::settings::Metrics,
    providers::Providers,
};

/// Measures each request, and makes no span for it: for programs whose spans are made elsewhere, or
/// not at all.
///
/// Headers and Context are left alone. What is measured is as if a [`ClientTraceLayer`] did it [with
/// metrics](ClientTraceLayer::with_metrics); inside or outside of one that does, nothing is measured twice. Beside
/// one that does not, each has its own clock: for a duration that is the span's, that one measures.
///
/// Without a span, two layers know a request that comes through both by its method and its URL. So
/// one that is sent to the same URL because of it, inside of both, is not measured, and one whose
/// URL a layer between them changes is measured by both.
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_telemetry::ClientMetricsLayer;
///
/// # tokio_test::block_on(async {
/// let exporter = InMemoryMetricExporter::default();
/// let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
/// let service = ServiceBuilder::new()
///     .layer(ClientMetricsLayer::new().with_meter_provider(&provider))
///     .service(service_fn(|_: Request<String>| async {
///         Ok::<_, std::io::Error>(Response::new(String::new()))
///     }));
/// service.oneshot(Request::new(String::new())).await?;
///
/// provider.force_flush()?;
/// let collected = exporter.get_finished_metrics()?;
/// let metric = collected[0].scope_metrics().next().unwrap().metrics().next().unwrap();
/// assert_eq!(metric.name(), "http.client.request.duration");
/// # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// Whatever else of a `ClientTraceLayer`'s settings says how a request is measured, such as its
/// filter, its known methods or what counts as a failure, is set on one that this is then made
/// from:
///
/// ```
/// use tower_telemetry::{ClientMetricsLayer, ClientTraceLayer};
///
/// let layer = ClientTraceLayer::new().with_failure_by(|response| response.status_code().as_u16() >= 500);
/// let layer = ClientMetricsLayer::from(layer);
/// # let _ = layer;
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct ClientMetricsLayer {
    layer: ClientTraceLayer,
}

impl ClientMetricsLayer {
    /// A layer with the defaults: [durations](Metrics::new), on the global meter provider, looked
    /// up when the layer serves.
    pub fn new() -> Self {
        Self::from(ClientTraceLayer::new())
    }

    /// Takes the meter provider, and what the environment says of layers, from `telemetry`; see
    /// [`ClientTraceLayer::with_telemetry`].
    pub fn with_telemetry(self, telemetry: impl Into<Providers>) -> Self {
        Self { layer: self.layer.with_telemetry(telemetry) }
    }

    /// Measures with `provider`. Default: the global meter provider.
    pub fn with_meter_provider<P>(self, provider: &P) -> Self
    where
        P: MeterProvider + ?Sized,
    {
        Self { layer: self.layer.with_meter_provider(provider) }
    }

    /// Sets what is measured. Default: [durations](Metrics::new).
    ///
    /// ```
    /// use tower_telemetry::{Metrics, ClientMetricsLayer};
    ///
    /// let layer = ClientMetricsLayer::new().with_metrics(Metrics::new().with_active_requests());
    /// # let _ = layer;
    /// ```
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { layer: self.layer.with_metrics(metrics) }
    }
}

/// Without the spans.
impl From<ClientTraceLayer> for ClientMetricsLayer {
    fn from(layer: ClientTraceLayer) -> Self {
        Self { layer: layer.without_spans() }
    }
}

impl Default for ClientMetricsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ClientMetricsLayer {
    type Service = ClientTrace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}
