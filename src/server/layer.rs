//! The layer: what is configured once and shared by every service it makes.

use std::{borrow::Cow, sync::Arc};

use http::Method;
use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{Tracer, TracerProvider},
};
use tower::Layer;
use tower_http::classify::MakeClassifier;

use crate::{
    error::Warning,
    exchange::{
        attributes::Attributes,
        capture::HeaderSelector,
        classify::Classifier,
        head::{RequestHead, ResponseHead},
        hooks::Ended,
        redaction::Redaction,
        settings::Settings,
        span_end::SpanEnd,
    },
    propagation::ResponsePropagation,
    providers::Providers,
    semconv::{legacy::LegacyNames, method::KnownMethods},
    server::{
        Forwarded, RemoteParent, Trace, Verdict,
        config::{Config, OptIn, SpanName},
    },
};

/// Makes a server span for each request. See the [module docs](crate::server) for what is on it
/// and when it ends.
///
/// Cloning it is one reference count. Every setting has a default that suits a service among
/// services of one's own; what a public edge needs is [over there](crate::server#trust).
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct TraceLayer {
    config: Arc<Config>,
}

/// Where spans come from.
impl TraceLayer {
    /// A layer with the defaults: the global tracer provider, the global propagator, and the
    /// attributes of the [module docs](crate::server#attributes).
    ///
    /// The globals are looked up when the layer serves, so they may be set after it is built. The
    /// [environment's settings](crate::server#environment) of layers are read now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes tracer provider and propagator, and what the environment says of layers, from
    /// `telemetry`: a reference to a [`Telemetry`](crate::Telemetry), or [`Providers`] of your own.
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
        self.with(|config| config.provide(telemetry.into()))
    }

    /// Takes spans from `provider`. Default: the global tracer provider.
    pub fn with_tracer_provider<P>(self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        self.with(|config| {
            config.providers = config.providers.clone().with_tracer_provider(provider);
        })
    }

    /// Reads the caller's span from the headers with `propagator`. Default: the global propagator.
    pub fn with_propagator<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.with(|config| {
            config.providers = config.providers.clone().with_propagator(propagator);
        })
    }

    /// What the environment said of layers that could not be used, if this layer has read it.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.config.providers.warnings()
    }
}

/// Whether there is a span, whose child it is, and when it ends.
impl TraceLayer {
    /// Asks `predicate` what to do with each request. Default: everything. Of several predicates, and
    /// of a [`Verdict`] in the request's extensions, each may leave something out.
    ///
    /// It is asked before anything else is done; one that panics has no objection.
    ///
    /// ```
    /// use tower_telemetry::{TraceLayer, server::Verdict};
    ///
    /// let layer = TraceLayer::new().with_filter(|request| match request.path() {
    ///     "/healthz" => Verdict::none(),
    ///     _ => Verdict::all(),
    /// });
    /// # let _ = layer;
    /// ```
    pub fn with_filter<F>(self, predicate: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Verdict + Send + Sync + 'static,
    {
        self.with(|config| config.filter.and(Arc::new(predicate)))
    }

    /// What becomes of the span that a request's headers name. Default: [`RemoteParent::Continue`].
    pub fn with_remote_parent(self, policy: RemoteParent) -> Self {
        self.with(|config| {
            config.remote_parent.always = policy;
            config.remote_parent.by = None;
        })
    }

    /// The same, asked of `choose` for each request. If it panics, the headers are ignored.
    ///
    /// ```
    /// use tower_telemetry::{TraceLayer, server::RemoteParent};
    ///
    /// let layer = TraceLayer::new().with_remote_parent_by(|request| {
    ///     if request.headers().contains_key("x-internal") {
    ///         RemoteParent::Continue
    ///     } else {
    ///         RemoteParent::Link
    ///     }
    /// });
    /// # let _ = layer;
    /// ```
    pub fn with_remote_parent_by<F>(self, choose: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> RemoteParent + Send + Sync + 'static,
    {
        self.with(|config| config.remote_parent.by = Some(Arc::new(choose)))
    }

    /// When a span ends. Default: [`SpanEnd::Body`], with the last frame of the response.
    pub fn with_span_end(self, end: SpanEnd) -> Self {
        self.with_settings(|settings| {
            settings.span_end.always = end;
            settings.span_end.by = None;
        })
    }

    /// The same, asked of `choose` for each response. If it panics, what
    /// [`with_span_end`](Self::with_span_end) has set before counts.
    ///
    /// ```
    /// use tower_telemetry::{TraceLayer, server::SpanEnd};
    ///
    /// let layer = TraceLayer::new().with_span_end_by(|response| {
    ///     match response.headers().get("content-type") {
    ///         Some(kind) if kind.as_bytes().starts_with(b"text/event-stream") => SpanEnd::Head,
    ///         _ => SpanEnd::Body,
    ///     }
    /// });
    /// # let _ = layer;
    /// ```
    pub fn with_span_end_by<F>(self, choose: F) -> Self
    where
        F: Fn(&ResponseHead<'_>) -> SpanEnd + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.span_end.by = Some(Arc::new(choose)))
    }

    /// What counts as a failure, as a classifier of tower-http 0.7 says it. Default: 5xx.
    ///
    /// It is asked for the head and, if it wants to, the trailers of a response that was handed over
    /// to its end. An error of the service or the body, a panic and a client that goes away are
    /// failures without its being asked. If it panics, the default counts.
    ///
    /// ```
    /// use tower_http::classify::StatusInRangeAsFailures;
    /// use tower_telemetry::TraceLayer;
    ///
    /// let client_errors_too = StatusInRangeAsFailures::new(400..=599).into_make_classifier();
    /// let layer = TraceLayer::new().with_classifier(client_errors_too);
    /// # let _ = layer;
    /// ```
    pub fn with_classifier<M>(self, classifier: M) -> Self
    where
        M: MakeClassifier + Send + Sync + 'static,
        M::Classifier: Send + Sync + 'static,
        M::ClassifyEos: Send + Sync + 'static,
    {
        self.with(|config| config.classifier = Some(Classifier::new(classifier)))
    }

    /// In which headers a response names its span. Default: in none.
    pub fn with_response_propagation(self, headers: ResponsePropagation) -> Self {
        self.with_settings(|settings| settings.response_propagation = headers)
    }
}

/// What is on a span.
impl TraceLayer {
    /// The methods that are recorded as they are; every other one is `_OTHER`. Replaces the default,
    /// which is those of [RFC 9110], `PATCH` and `QUERY`. Variable:
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    ///
    /// ```
    /// use http::Method;
    /// use tower_telemetry::TraceLayer;
    ///
    /// let purge = Method::from_bytes(b"PURGE")?;
    /// let layer = TraceLayer::new().with_known_methods([Method::GET, Method::HEAD, purge]);
    /// # let _ = layer;
    /// # Ok::<(), http::method::InvalidMethod>(())
    /// ```
    ///
    /// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3
    pub fn with_known_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.with(|config| {
            config.give(|given| given.known_methods = Some(KnownMethods::of(methods)));
        })
    }

    /// The request's headers that are recorded, as `http.request.header.{name}`. Default: none.
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS`.
    ///
    /// ```
    /// use tower_telemetry::{HeaderSelector, TraceLayer};
    ///
    /// let layer = TraceLayer::new()
    ///     .with_request_headers(HeaderSelector::new(["x-request-id", "x-shop-*"])?);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_request_headers(self, headers: HeaderSelector) -> Self {
        self.with(|config| config.give(|given| given.request_headers = Some(headers)))
    }

    /// The response's headers that are recorded, as `http.response.header.{name}`. Default: none.
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS`.
    pub fn with_response_headers(self, headers: HeaderSelector) -> Self {
        self.with(|config| config.give(|given| given.response_headers = Some(headers)))
    }

    /// Whose word counts for the client's address, the scheme and the host. Default: nobody's but the
    /// connection's and the request's own.
    pub fn with_forwarded(self, forwarded: Forwarded) -> Self {
        self.with(|config| config.forwarded = forwarded)
    }

    /// What is kept out of the spans. Default: [`Redaction::new`].
    pub fn with_redaction(self, redaction: Redaction) -> Self {
        self.with_settings(|settings| settings.redaction = redaction)
    }

    /// Records the size of the response's body, `http.response.body.size`: the bytes that were handed
    /// over. Default: not. The request's is counted by a
    /// [layer of its own](crate::server::RequestBodySizeLayer).
    pub fn with_response_body_size(self) -> Self {
        self.with_settings(|settings| settings.response_size = true)
    }

    /// Records `client.port`, where the client's address is known. Default: not.
    pub fn with_client_port(self) -> Self {
        self.opt_in(|opt_in| opt_in.client_port = true)
    }

    /// Records `network.local.address` and `network.local.port`, where a
    /// [`Connection`](crate::server::Connection) names them. Default: not.
    pub fn with_network_local(self) -> Self {
        self.opt_in(|opt_in| opt_in.network_local = true)
    }

    /// Records `network.transport`, where the connection is known: `tcp`, or `quic` for HTTP/3.
    /// Default: not.
    pub fn with_network_transport(self) -> Self {
        self.opt_in(|opt_in| opt_in.network_transport = true)
    }

    /// Records `user_agent.synthetic.type`, `bot` or `test`, for user agents that are known to be
    /// one. Default: not.
    pub fn with_user_agent_synthetic_type(self) -> Self {
        self.opt_in(|opt_in| opt_in.user_agent_synthetic = true)
    }

    /// Uses the attribute names from before the conventions were stable, too or instead. Default: the
    /// stable ones alone.
    ///
    /// The [table](crate::server#legacy-names) has them. The sizes of the bodies are among them, so
    /// that of the response is recorded.
    pub fn with_legacy_names(self, names: LegacyNames) -> Self {
        self.with_settings(|settings| {
            settings.legacy_names = Some(names);
            settings.response_size = true;
        })
    }

    /// Names spans. Where `name` gives none, it is the default, `{method} {route}`. It should be [of
    /// low cardinality][name]. Only [`ServerSpan::set_name`](crate::server::ServerSpan::set_name)
    /// changes a name that was given.
    ///
    /// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    pub fn with_span_name<F>(self, name: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.with(|config| config.span_name = Some(SpanName(Arc::new(name))))
    }
}

/// Hooks. A layer has as many as are registered. None is called for a request that is filtered; of
/// one that is sampled out, none but `on_request`. One that panics breaks nothing: what it has set by
/// then stays. The span is not the current one in a hook, which sets what it has to say through
/// [`Attributes`].
impl TraceLayer {
    /// Calls `hook` before the span starts. A sampler sees what it sets, unless it is one of
    /// [`SamplerBuilder`](crate::SamplerBuilder)'s, which look at no attribute; then it is called when
    /// it is clear that the span records.
    ///
    /// ```
    /// use tower_telemetry::TraceLayer;
    ///
    /// let layer = TraceLayer::new().on_request(|request, attributes| {
    ///     if request.headers().contains_key("x-tenant") {
    ///         attributes.set("shop.tenant", true);
    ///     }
    /// });
    /// # let _ = layer;
    /// ```
    pub fn on_request<F>(self, hook: F) -> Self
    where
        F: Fn(&RequestHead<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.request.push(Arc::new(hook)))
    }

    /// Calls `hook` when the response's head is there.
    pub fn on_response<F>(self, hook: F) -> Self
    where
        F: Fn(&ResponseHead<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.response.push(Arc::new(hook)))
    }

    /// Calls `hook` when the exchange has ended and is an error, before those of
    /// [`on_end`](Self::on_end).
    pub fn on_error<F>(self, hook: F) -> Self
    where
        F: Fn(&Ended<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.error.push(Arc::new(hook)))
    }

    /// Calls `hook` when the exchange has ended, whichever way, just before the span does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_telemetry::TraceLayer;
    ///
    /// let layer = TraceLayer::new().on_end(|ended, attributes| {
    ///     attributes.set("shop.slow", ended.duration() > Duration::from_secs(1));
    /// });
    /// # let _ = layer;
    /// ```
    pub fn on_end<F>(self, hook: F) -> Self
    where
        F: Fn(&Ended<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.end.push(Arc::new(hook)))
    }
}

impl TraceLayer {
    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    fn with_settings(self, change: impl FnOnce(&mut Settings)) -> Self {
        self.with(|config| change(Arc::make_mut(&mut config.exchange)))
    }

    fn opt_in(self, change: impl FnOnce(&mut OptIn)) -> Self {
        self.with(|config| change(&mut config.opt_in))
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace::new(inner, Arc::clone(&self.config))
    }
}
