//! The layer: what is configured once and shared by every service it makes.

use std::{borrow::Cow, sync::Arc};

use http::Method;
use opentelemetry::{
    logs::LoggerProvider,
    metrics::MeterProvider,
    propagation::TextMapPropagator,
    trace::{Tracer, TracerProvider},
};
use tower::Layer;
use tower_http::classify::MakeClassifier;

use crate::{
    error::{BuildError, Warning},
    exchange::{
        attributes::Attributes, baggage::BaggageKeys, capture::HeaderSelector,
        classify::Classifier, exceptions::Exceptions, filter::Verdict, grpc::settings::Grpc,
        hooks::Ended, metrics::settings::Metrics, naming::Naming, redaction::Redaction,
        settings::Settings, span_end::SpanEnd,
    },
    head::{RequestHead, ResponseHead},
    propagation::ResponsePropagation,
    providers::Providers,
    semconv::{legacy::LegacyNames, method::KnownMethods},
    server::{
        Forwarded, RemoteParent, Trace,
        config::{Config, OptIn},
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
    ///
    /// ```
    /// use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    /// use tower_telemetry::TraceLayer;
    ///
    /// let exporter = InMemorySpanExporter::default();
    /// let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    /// let layer = TraceLayer::new().with_tracer_provider(&provider);
    /// # use http::{Request, Response};
    /// # use tower::{Layer, ServiceExt, service_fn};
    /// # let an_item = |_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(String::new())) };
    /// # tokio_test::block_on(layer.layer(service_fn(an_item)).oneshot(Request::new(())))?;
    /// // ... one request later:
    /// assert_eq!(exporter.get_finished_spans()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Reads the caller's span from the headers with `propagator`, one of [those of this
    /// crate](crate::propagation) or any other. Default: the global propagator.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::{Context, baggage::BaggageExt};
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, propagation::{Baggage, Propagator, TraceContext}};
    ///
    /// // Baggage, too.
    /// let layer = TraceLayer::new()
    ///     .with_propagator(Propagator::new(TraceContext::new()).and(Baggage::new()));
    /// let handler = service_fn(|_| async {
    ///     let cx = Context::current();
    ///     assert_eq!(cx.baggage().get("tenant").map(|tenant| tenant.as_str()), Some("acme"));
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// let request = Request::builder().header("baggage", "tenant=acme").body(String::new())?;
    /// # use tower::{Layer, ServiceExt};
    /// # tokio_test::block_on(layer.layer(handler).oneshot(request))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_propagator<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.with(|config| {
            config.providers = config.providers.clone().with_propagator(propagator);
        })
    }

    /// Records [exceptions](Exceptions) with `provider`, if they are to be in logs. Default: that
    /// of the
    /// [telemetry](Self::with_telemetry), or else none, as OpenTelemetry has no global one.
    pub fn with_logger_provider<P>(self, provider: &P) -> Self
    where
        P: LoggerProvider,
        P::Logger: Send + Sync + 'static,
    {
        self.with(|config| {
            let providers = config.providers.clone().with_logger_provider(provider);
            config.provide(providers);
        })
    }

    /// What the environment said of layers that could not be used, if this layer has read it: if it
    /// has been given no [telemetry](Self::with_telemetry) that has. Default: nothing.
    ///
    /// ```
    /// use tower_telemetry::TraceLayer;
    ///
    /// let layer = TraceLayer::new();
    /// for warning in layer.warnings() {
    ///     eprintln!("{warning}");
    /// }
    /// assert_eq!(layer.warnings(), []);
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.config.providers.warnings()
    }
}

/// Metrics beside the spans.
impl TraceLayer {
    /// Measures requests, too: what `metrics` asks for, from the clock that the span is of.
    /// Default: nothing is measured.
    ///
    /// A [`MetricsLayer`](crate::MetricsLayer) does the same without spans.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    /// use tower_telemetry::{Metrics, TraceLayer};
    /// # use http::{Request, Response};
    /// # use tower::{Layer, ServiceExt, service_fn};
    ///
    /// let exporter = InMemoryMetricExporter::default();
    /// let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    /// let layer = TraceLayer::new().with_metrics(Metrics::new()).with_meter_provider(&provider);
    /// # let an_item = |_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(String::new())) };
    /// # tokio_test::block_on(layer.layer(service_fn(an_item)).oneshot(Request::new(())))?;
    /// // ... one request later:
    /// provider.force_flush()?;
    /// let collected = exporter.get_finished_metrics()?;
    /// let metric = collected[0].scope_metrics().next().unwrap().metrics().next().unwrap();
    /// assert_eq!(metric.name(), "http.server.request.duration");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        self.with(|config| config.measure(metrics))
    }

    /// Measures with `provider`, if there is something to [measure](Self::with_metrics). Default:
    /// that of the [telemetry](Self::with_telemetry), or else the global one.
    ///
    /// The global meter provider is looked up when the layer serves, and again once a second: it
    /// may be set after the layer is built.
    pub fn with_meter_provider<P>(self, provider: &P) -> Self
    where
        P: MeterProvider + ?Sized,
    {
        self.with(|config| {
            let providers = config.providers.clone().with_meter_provider(provider);
            config.provide(providers);
        })
    }
}

/// Whether there is a span, whose child it is, and when it ends.
impl TraceLayer {
    /// Asks `predicate` what to do with each request. Default: everything. Of several predicates,
    /// and of a [`Verdict`] in the request's extensions, each may leave something out.
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
    /// Replaces a [choice](Self::with_remote_parent_by) by request.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::trace::SpanId;
    /// use tower_telemetry::{TraceLayer, server::RemoteParent};
    #[doc = include_str!("span_of.md")]
    ///
    /// let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// let request = Request::builder().header("traceparent", caller).body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_remote_parent(RemoteParent::Ignore), request);
    /// assert_eq!(span.parent_span_id, SpanId::INVALID);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// When a span ends. Default: [`SpanEnd::Body`], with the last frame of the response. Replaces
    /// a [choice](Self::with_span_end_by) by response. A [gRPC call](crate::server#grpc) waits for
    /// its trailers either way.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{TraceLayer, server::SpanEnd};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_span_end(SpanEnd::Head);
    /// let span = span_of(layer, Request::new(String::new()));
    /// // The span is the time to the head, and so has no attribute for it.
    /// let time_to_head = "tower_telemetry.time_to_head";
    /// assert!(span.attributes.iter().all(|attribute| attribute.key.as_str() != time_to_head));
    /// ```
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

    /// Where [exceptions](Exceptions) of requests are recorded. Default:
    /// `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`, or else in logs.
    ///
    /// ```
    /// use tower_telemetry::{Exceptions, TraceLayer};
    ///
    /// let layer = TraceLayer::new().with_exceptions(Exceptions::Both);
    /// # let _ = layer;
    /// ```
    pub fn with_exceptions(self, exceptions: Exceptions) -> Self {
        self.with(|config| config.give(|given| given.exceptions = Some(exceptions)))
    }

    /// Records the messages of [exceptions](Exceptions), too. Default: their types alone, since [a
    /// message may hold what should not leave the process][sensitive].
    ///
    /// [sensitive]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/exception/
    pub fn with_exception_messages(self) -> Self {
        self.with_settings(|settings| settings.exceptions.messages = true)
    }

    /// What counts as a failure, as a classifier of tower-http 0.7 says it. Default: 5xx.
    ///
    /// It is asked for the head and, if it wants to, the trailers of a response that was handed
    /// over to its end. An error of the service or the body, a panic and a client that goes away
    /// are failures without its being asked. If it panics, the default counts. Of [gRPC
    /// calls](crate::server#grpc) it is asked nothing.
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
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower_telemetry::{TraceLayer, propagation::ResponsePropagation};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new()
    ///     .with_response_propagation(ResponsePropagation::none().with_server_timing());
    /// # let handler = tower::service_fn(|_| async { Ok::<_, ()>(Response::new(String::new())) });
    /// # let (response, span) = exchange(layer, handler, Request::new(String::new()));
    /// # let response = response.unwrap();
    /// let timing = response.headers["server-timing"].to_str()?;
    /// assert!(timing.contains(&span.span_context.trace_id().to_string()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_response_propagation(self, headers: ResponsePropagation) -> Self {
        self.with_settings(|settings| settings.response_propagation = headers)
    }
}

/// What is on a span.
impl TraceLayer {
    /// The methods that are recorded as they are; every other one is `_OTHER`. Replaces the
    /// default, which is those of [RFC 9110], `PATCH` and `QUERY`. Variable:
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    ///
    /// ```
    /// use http::{Method, Request};
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let purge = Method::from_bytes(b"PURGE")?;
    /// let layer = TraceLayer::new().with_known_methods([Method::GET, Method::HEAD, purge]);
    /// let request = Request::builder().method("PURGE").body(String::new())?;
    /// assert_eq!(span_of(layer, request).name, "PURGE");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3
    pub fn with_known_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.with(|config| {
            config.give(|given| given.known_methods = Some(KnownMethods::of(methods)));
        })
    }

    /// The request's headers that are recorded, as `http.request.header.{name}`. Default: none.
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS`. Those of gRPC calls
    /// are
    /// [metadata](Grpc::with_request_metadata).
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{HeaderSelector, TraceLayer};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new()
    ///     .with_request_headers(HeaderSelector::new(["x-request-id", "x-shop-*"])?);
    /// let request = Request::builder().header("x-request-id", "1f3870be").body(String::new())?;
    /// let header = |attribute: &opentelemetry::KeyValue| {
    ///     attribute.key.as_str() == "http.request.header.x-request-id"
    ///         && attribute.value.to_string() == r#"["1f3870be"]"#
    /// };
    /// assert!(span_of(layer, request).attributes.iter().any(header));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_request_headers(self, headers: HeaderSelector) -> Self {
        self.with(|config| config.give(|given| given.request_headers = Some(headers)))
    }

    /// The response's headers that are recorded, as `http.response.header.{name}`. Default: none.
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS`. Those of gRPC calls
    /// are
    /// [metadata](Grpc::with_response_metadata).
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use http::Request;
    /// use tower_telemetry::{HeaderSelector, TraceLayer};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_response_headers(HeaderSelector::new(["content-type"])?);
    /// let app = Router::new().route("/", get(|| async { "an item" }));
    /// let span = span_by(layer, app, Request::new(String::new()));
    /// let header = |attribute: &opentelemetry::KeyValue| {
    ///     attribute.key.as_str() == "http.response.header.content-type"
    ///         && attribute.value.to_string() == r#"["text/plain; charset=utf-8"]"#
    /// };
    /// assert!(span.attributes.iter().any(header));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_response_headers(self, headers: HeaderSelector) -> Self {
        self.with(|config| config.give(|given| given.response_headers = Some(headers)))
    }

    /// Whose word counts for the client's address, the scheme and the host. Default: nobody's but
    /// the connection's and the request's own, [`Forwarded::never`].
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Forwarded};
    #[doc = include_str!("span_of.md")]
    ///
    /// let request = Request::builder().header("x-forwarded-proto", "https").body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_forwarded(Forwarded::from_proxies(1)), request);
    /// assert!(span.attributes.contains(&KeyValue::new("url.scheme", "https")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_forwarded(self, forwarded: Forwarded) -> Self {
        self.with(|config| config.forwarded = forwarded)
    }

    /// Records these entries of the baggage that comes with a request as attributes by the same
    /// names, also where a sampler sees them. Default: none. Replaces those of an earlier call.
    ///
    /// A value is what the caller says it is, of up to 8192 bytes in all: list what you know, and
    /// not at a [public edge](crate::server::RemoteParent). A hook that sets one of them wins.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_baggage_attributes(["tenant"])?;
    /// let request = Request::builder().header("baggage", "tenant=acme,cart=17").body(String::new())?;
    /// let span = span_of(layer, request);
    /// assert!(span.attributes.contains(&KeyValue::new("tenant", "acme")));
    /// assert!(span.attributes.iter().all(|attribute| attribute.key.as_str() != "cart"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A key is none that baggage can have, or an attribute that the layer writes itself.
    pub fn with_baggage_attributes<K: AsRef<str>>(
        self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, BuildError> {
        let keys = BaggageKeys::of(keys)?;
        Ok(self.with_settings(|settings| settings.baggage_keys = keys))
    }

    /// What is kept out of the spans. Default: [`Redaction::new`].
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{Redaction, TraceLayer};
    #[doc = include_str!("span_of.md")]
    ///
    /// let redaction = Redaction::new().with_path_patterns(["/reset/{token}"])?;
    /// let request = Request::builder().uri("/reset/1f3870be").body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_redaction(redaction), request);
    /// assert!(span.attributes.contains(&KeyValue::new("url.path", "/reset/REDACTED")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_redaction(self, redaction: Redaction) -> Self {
        self.with_settings(|settings| settings.redaction = redaction)
    }

    /// Records the size of the response's body, [`http.response.body.size`][http]: the bytes that
    /// were handed over. Default: not. A body that the span [does not wait for](SpanEnd::Head) has
    /// no size. The request's is counted by a [layer of its
    /// own](crate::server::RequestBodySizeLayer).
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_response_body_size();
    /// let span = span_of(layer, Request::new(String::new())); // answered with "an item"
    /// assert!(span.attributes.contains(&KeyValue::new("http.response.body.size", 7)));
    /// ```
    ///
    /// [http]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    pub fn with_response_body_size(self) -> Self {
        self.with_settings(|settings| settings.response_size = true)
    }

    /// Records [`client.port`][client], where whoever names the client's address names it, too.
    /// Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Connection};
    #[doc = include_str!("span_of.md")]
    ///
    /// let connection = Connection::new().with_peer("192.0.2.1:40000".parse()?);
    /// let request = Request::builder().extension(connection).body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_client_port(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("client.port", 40_000)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [client]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/client/
    pub fn with_client_port(self) -> Self {
        self.opt_in(|opt_in| opt_in.client_port = true)
    }

    /// Records [`network.local.address` and `network.local.port`][network], where a
    /// [`Connection`](crate::server::Connection) names them. Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Connection};
    #[doc = include_str!("span_of.md")]
    ///
    /// let connection = Connection::new().with_local("192.0.2.9:443".parse()?);
    /// let request = Request::builder().extension(connection).body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_network_local(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("network.local.port", 443)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [network]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
    pub fn with_network_local(self) -> Self {
        self.opt_in(|opt_in| opt_in.network_local = true)
    }

    /// Records [`network.transport`][network], where the peer is known: `tcp`, or `quic` for
    /// HTTP/3. Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Connection};
    #[doc = include_str!("span_of.md")]
    ///
    /// let connection = Connection::new().with_peer("192.0.2.1:40000".parse()?);
    /// let request = Request::builder().extension(connection).body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_network_transport(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("network.transport", "tcp")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [network]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
    pub fn with_network_transport(self) -> Self {
        self.opt_in(|opt_in| opt_in.network_transport = true)
    }

    /// Records [`user_agent.synthetic.type`][agent], `bot` or `test`, for user agents that are
    /// known to be one. Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let request = Request::builder().header("user-agent", "kube-probe/1.31").body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_user_agent_synthetic_type(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("user_agent.synthetic.type", "test")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [agent]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/
    pub fn with_user_agent_synthetic_type(self) -> Self {
        self.opt_in(|opt_in| opt_in.user_agent_synthetic = true)
    }

    /// Records `http.route` before the span starts, where the router has matched by then. Default:
    /// at the end, so that whoever [knows it best](crate::server::RouteSource) has the last word.
    ///
    /// For samplers that look at it; by default they find it in the span's name. OpenTelemetry
    /// cannot replace an attribute, so a better route that is told later changes the name alone.
    ///
    /// ```
    /// use tower_telemetry::TraceLayer;
    ///
    /// let layer = TraceLayer::new().with_route_before_start();
    /// # let _ = layer;
    /// ```
    pub fn with_route_before_start(self) -> Self {
        self.with(|config| config.route_before_start = true)
    }

    /// Uses the attribute names from before the conventions for HTTP were stable, too or instead.
    /// Default: the stable ones alone. For gRPC calls there is
    /// [`Grpc::with_legacy_names`].
    ///
    /// The [table](crate::server#legacy-names) has them. The sizes of the bodies are among them, so
    /// that of the response is recorded.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::LegacyNames};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_legacy_names(LegacyNames::Beside);
    /// let span = span_of(layer, Request::new(String::new()));
    /// for key in ["http.response.status_code", "http.status_code"] {
    ///     assert!(span.attributes.contains(&KeyValue::new(key, 200)));
    /// }
    /// ```
    pub fn with_legacy_names(self, names: LegacyNames) -> Self {
        self.with_settings(|settings| {
            settings.legacy_names = Some(names);
            settings.response_size = true;
        })
    }

    /// What is recorded of gRPC calls. Default: [`Grpc::new`].
    ///
    /// ```
    /// use tower_telemetry::{Grpc, TraceLayer};
    ///
    /// let layer = TraceLayer::new().with_grpc(Grpc::new().without_health_and_reflection());
    /// # let _ = layer;
    /// ```
    pub fn with_grpc(self, grpc: Grpc) -> Self {
        self.with(|config| config.give_grpc(grpc))
    }

    /// Names spans. Where `name` gives none, or panics, it is the default, `{method} {route}`. It
    /// should be [of low cardinality][name]. Only
    /// [`ServerSpan::set_name`](crate::server::ServerSpan::set_name) changes a name that was given.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().with_span_name(|request| {
    ///     request.headers().contains_key("x-webhook").then(|| "webhook".into())
    /// });
    /// let request = Request::builder().header("x-webhook", "1").body(String::new())?;
    /// assert_eq!(span_of(layer.clone(), request).name, "webhook");
    /// assert_eq!(span_of(layer, Request::new(String::new())).name, "GET");
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    pub fn with_span_name<F>(self, name: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.with(|config| config.span_name = Some(Naming(Arc::new(name))))
    }
}

/// Hooks. A layer has as many as are registered. None is called for a request that is filtered; of
/// one that is sampled out, at most `on_request`. One that panics breaks nothing: what it has set
/// by then stays. The span is not the current one in a hook, which sets what it has to say through
/// [`Attributes`].
impl TraceLayer {
    /// Calls `hook` before the span starts. A sampler sees what it sets, unless it is one of
    /// [`SamplerBuilder`](crate::SamplerBuilder)'s, which look at no attribute; then it is called
    /// when it is clear that the span records. Default: no hook.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().on_request(|request, attributes| {
    ///     if request.headers().contains_key("x-tenant") {
    ///         attributes.set("shop.tenant", true);
    ///     }
    /// });
    /// let request = Request::builder().header("x-tenant", "acme").body(String::new())?;
    /// assert!(span_of(layer, request).attributes.contains(&KeyValue::new("shop.tenant", true)));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn on_request<F>(self, hook: F) -> Self
    where
        F: Fn(&RequestHead<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.request.push(Arc::new(hook)))
    }

    /// Calls `hook` when the response's head is there. Default: no hook.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::KeyValue;
    /// use tower::service_fn;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// /// What the handler leaves among the response's extensions.
    /// #[derive(Clone)]
    /// struct CacheHit(bool);
    ///
    /// let layer = TraceLayer::new().on_response(|response, attributes| {
    ///     if let Some(CacheHit(hit)) = response.extensions().get() {
    ///         attributes.set("shop.cache_hit", *hit);
    ///     }
    /// });
    /// let handler = service_fn(|_| async {
    ///     Response::builder().extension(CacheHit(true)).body(String::new())
    /// });
    /// let span = span_by(layer, handler, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.cache_hit", true)));
    /// ```
    pub fn on_response<F>(self, hook: F) -> Self
    where
        F: Fn(&ResponseHead<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.response.push(Arc::new(hook)))
    }

    /// Calls `hook` when the exchange has ended and is an error, before those of
    /// [`on_end`](Self::on_end). Default: no hook.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::KeyValue;
    /// use tower::service_fn;
    /// use tower_telemetry::TraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = TraceLayer::new().on_error(|ended, attributes| {
    ///     attributes.set("shop.client_left", ended.error_type() == Some("cancelled"));
    /// });
    /// let handler = service_fn(|_| async { Response::builder().status(503).body(String::new()) });
    /// let span = span_by(layer, handler, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.client_left", false)));
    /// ```
    pub fn on_error<F>(self, hook: F) -> Self
    where
        F: Fn(&Ended<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.hooks.error.push(Arc::new(hook)))
    }

    /// Calls `hook` when the exchange has ended, whichever way, just before the span does. Default:
    /// no hook.
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
    /// The same, with metrics alone: durations, if nothing else was asked for.
    pub(super) fn without_spans(self) -> Self {
        self.with(Config::stop_tracing)
    }

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
