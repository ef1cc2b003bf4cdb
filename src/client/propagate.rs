//! Injection alone: the current span's context goes along, and no span is made.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::HeaderMap;
use opentelemetry::{Context, propagation::TextMapPropagator};
use tower::{Layer, Service};

use crate::{
    client::{OutgoingRequest, PropagationTargets, origin::Origin, seen::Seen},
    contained::contained,
    error::BuildError,
    propagation::Propagator,
    providers::Providers,
};

/// Writes what `cx` holds into the headers of a request, as a [`PropagationLayer`] does by default:
/// with the global propagator, in place of what was there, and without [baggage].
///
/// For clients that are no tower service. With another propagator, or with baggage,
/// [`Propagator::inject`] does it.
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::Context;
/// use tower_telemetry::client::inject;
///
/// // What is sent to somebody else's client:
/// let mut headers = HeaderMap::new();
/// inject(&Context::current(), &mut headers);
/// // Here there is neither a span nor a propagator.
/// assert!(headers.is_empty());
/// ```
///
/// [baggage]: opentelemetry::baggage
pub fn inject(cx: &Context, headers: &mut HeaderMap) {
    if !cx.is_telemetry_suppressed() {
        Permit { context: true, baggage: false }.inject(&Propagator::global(), cx, headers);
    }
}

/// Writes the current span's context into the headers of each request. See the
/// [module docs](crate::client#propagation-alone).
///
/// Cloning it is one reference count.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct PropagationLayer {
    config: Arc<Config>,
}

/// What all services of a layer share.
#[derive(Clone, Debug)]
struct Config {
    propagator: Propagator,
    policy: Policy,
    origin: Option<Origin>,
}

/// What may go where.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) context: PropagationTargets,
    pub(super) baggage: PropagationTargets,
}

/// What may go to one request's destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permit {
    pub(super) context: bool,
    baggage: bool,
}

impl PropagationLayer {
    /// A layer that uses the global propagator, looked up with each request.
    pub fn new() -> Self {
        Self::default()
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

    /// Which requests may carry the span's context. Default: all,
    /// [`PropagationTargets::everywhere`]. From all others what the propagator would write is taken
    /// away.
    ///
    /// [`PropagationTargets`] has an example.
    pub fn with_propagation_targets(self, targets: PropagationTargets) -> Self {
        self.with(|config| config.policy.context = targets)
    }

    /// Which of these requests may carry baggage, too, if the propagator writes any. Default: none,
    /// [`PropagationTargets::nowhere`], so that what is in there reaches no stranger by accident. A
    /// line of it that is there already is taken away, too.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
    /// use tower::{Layer, Service, service_fn};
    /// use tower_telemetry::{PropagationLayer, client::PropagationTargets, propagation::Baggage};
    ///
    /// # tokio_test::block_on(async {
    /// let layer = PropagationLayer::new()
    ///     .with_propagator(Baggage::new())
    ///     .with_baggage_to(PropagationTargets::hosts(["*.shop.internal"])?);
    /// let mut client = layer.layer(service_fn(|request: Request<()>| async move {
    ///     Ok::<_, std::io::Error>(Response::new(request.headers().contains_key("baggage")))
    /// }));
    ///
    /// let _cx = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
    /// let ours = Request::get("http://stock.shop.internal/items/42").body(())?;
    /// assert!(client.call(ours).await?.into_body());
    /// let theirs = Request::get("https://payments.example/charge").body(())?;
    /// assert!(!client.call(theirs).await?.into_body());
    /// # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn with_baggage_to(self, targets: PropagationTargets) -> Self {
        self.with(|config| config.policy.baggage = targets)
    }

    /// Where requests go whose URL does not say it, such as those to a tonic channel: what
    /// [targets by host](PropagationTargets::hosts) are asked for. Default: nowhere that is known.
    ///
    /// ```
    /// use tower_telemetry::{PropagationLayer, client::PropagationTargets};
    ///
    /// let layer = PropagationLayer::new()
    ///     .with_propagation_targets(PropagationTargets::hosts(["inventory"])?)
    ///     .with_origin("http://inventory:50051")?;
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it has no scheme or no host, or if it has a path.
    pub fn with_origin(self, origin: impl AsRef<str>) -> Result<Self, BuildError> {
        let origin = Origin::parse(origin.as_ref())?;
        Ok(self.with(|config| config.origin = Some(origin)))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for PropagationLayer {
    type Service = Propagation<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Propagation { inner, config: Arc::clone(&self.config) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { propagator: Propagator::global(), policy: Policy::default(), origin: None }
    }
}

/// Writes the current span's context into each request to `S`. See the
/// [module docs](crate::client#propagation-alone).
#[derive(Clone, Debug)]
pub struct Propagation<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Propagation<S> {
    /// The layer that makes this service.
    pub fn layer() -> PropagationLayer {
        PropagationLayer::new()
    }

    inner_accessors!();
}

impl<S, R> Service<R> for Propagation<S>
where
    S: Service<R>,
    R: OutgoingRequest,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let cx = Context::current();
        // An exporter's own request is nobody's child.
        if !cx.is_telemetry_suppressed() {
            let Config { propagator, policy, origin } = &*self.config;
            let permit = policy.permit(&Seen::new(&request, &cx, None), origin.as_ref());
            permit.inject(propagator, &cx, request.headers_mut());
        }
        self.inner.call(request)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { context: PropagationTargets::everywhere(), baggage: PropagationTargets::nowhere() }
    }
}

impl Policy {
    pub(super) fn permit<R: OutgoingRequest>(
        &self,
        request: &Seen<'_, R>,
        origin: Option<&Origin>,
    ) -> Permit {
        let context = self.context.include(request, origin);
        Permit { context, baggage: context && self.baggage.include(request, origin) }
    }
}

impl Permit {
    /// Whether there is anything to be written. Fields are a propagator's, which may panic.
    pub(super) fn writes(self, propagator: &Propagator) -> bool {
        self.context && contained(|| propagator.writes_spans()).unwrap_or_default()
    }

    /// Takes away from `headers` what may not be in there.
    pub(super) fn withhold(self, propagator: &Propagator, headers: &mut HeaderMap) {
        contained(|| match self {
            Self { context: false, .. } => propagator.clear(headers),
            Self { baggage: false, .. } => propagator.clear_baggage(headers),
            Self { .. } => (),
        });
    }

    /// Writes into `headers` what may be in there, and takes away what may not. A propagator that
    /// panics has written what it has by then.
    pub(super) fn inject(self, propagator: &Propagator, cx: &Context, headers: &mut HeaderMap) {
        contained(|| match self {
            Self { context: false, .. } => propagator.clear(headers),
            Self { baggage: false, .. } => propagator.inject_without_baggage(cx, headers),
            Self { .. } => propagator.inject(cx, headers),
        });
    }
}
