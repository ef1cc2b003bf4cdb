//! The layer: what is configured once and shared by every service it makes.

use std::{borrow::Cow, error::Error, sync::Arc};

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
    client::{
        ClientTrace, PropagationTargets,
        config::{Config, OptIn},
        grpc_target::GrpcTarget,
        origin::Origin,
    },
    error::{BuildError, Warning},
    exchange::{
        attributes::Attributes, baggage::BaggageKeys, capture::HeaderSelector,
        classify::Classifier, exceptions::Exceptions, filter::Verdict, grpc::settings::Grpc,
        hooks::Ended, metrics::settings::Metrics, naming::Naming, redaction::Redaction,
        settings::Settings, span_end::SpanEnd,
    },
    head::{RequestHead, ResponseHead},
    providers::Providers,
    semconv::method::KnownMethods,
};

/// Makes a client span for each request, and writes its context into the headers. See the [module
/// docs](crate::client) for what is on it and when it ends.
///
/// Cloning it is one reference count.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct ClientTraceLayer {
    config: Arc<Config>,
}

/// Where spans come from, and how their context is written.
impl ClientTraceLayer {
    /// A layer with the defaults: the global tracer provider, the global propagator, and the
    /// attributes of the [module docs](crate::client#attributes).
    ///
    /// The globals are looked up when a request is sent, so they may be set after the layer is
    /// built. The [environment's settings](crate::client#environment) of layers are read now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes tracer provider and propagator, and what the environment says of layers, from
    /// `telemetry`: a reference to a [`Telemetry`](crate::Telemetry), or [`Providers`] of your own.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, Telemetry};
    ///
    /// let telemetry = Telemetry::builder().with_service_name("shop").build()?;
    /// let layer = ClientTraceLayer::new().with_telemetry(&telemetry);
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
    /// use tower_telemetry::ClientTraceLayer;
    ///
    /// let exporter = InMemorySpanExporter::default();
    /// let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    /// let layer = ClientTraceLayer::new().with_tracer_provider(&provider);
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

    /// Writes the span's context into the headers with `propagator`. Default: the global
    /// propagator.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{ClientTraceLayer, propagation::TraceContext};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_propagator(TraceContext::new());
    /// let server = service_fn(|request: Request<String>| async move {
    ///     assert!(request.headers().contains_key("traceparent"));
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// span_by(layer, server, Request::new(String::new()));
    /// ```
    pub fn with_propagator<P>(self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.with(|config| {
            config.providers = config.providers.clone().with_propagator(propagator);
        })
    }

    /// Which requests may carry the span's context. Default: all,
    /// [`PropagationTargets::everywhere`]. From all others what the propagator would write is taken
    /// away; they have spans all the same.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, client::PropagationTargets};
    ///
    /// let layer = ClientTraceLayer::new()
    ///     .with_propagation_targets(PropagationTargets::hosts(["*.shop.internal"])?);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_propagation_targets(self, targets: PropagationTargets) -> Self {
        self.with(|config| config.propagation.context = targets)
    }

    /// Which of these requests may carry [baggage](opentelemetry::baggage), too, if the propagator
    /// writes any. Default: none, [`PropagationTargets::nowhere`], so that what is in there reaches
    /// no stranger by accident. A line of it that is there already is taken away, too.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, client::PropagationTargets};
    ///
    /// let layer = ClientTraceLayer::new()
    ///     .with_baggage_to(PropagationTargets::hosts(["*.shop.internal"])?);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_baggage_to(self, targets: PropagationTargets) -> Self {
        self.with(|config| config.propagation.baggage = targets)
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
    /// use tower_telemetry::ClientTraceLayer;
    ///
    /// assert_eq!(ClientTraceLayer::new().warnings(), []);
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.config.providers.warnings()
    }
}

/// Metrics beside the spans.
impl ClientTraceLayer {
    /// Measures requests, too: what `metrics` asks for, from the clock that the span is of.
    /// Default: nothing is measured.
    ///
    /// A [`ClientMetricsLayer`](crate::ClientMetricsLayer) does the same without spans.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    /// use tower_telemetry::{Metrics, ClientTraceLayer};
    /// # use http::{Request, Response};
    /// # use tower::{Layer, ServiceExt, service_fn};
    ///
    /// let exporter = InMemoryMetricExporter::default();
    /// let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    /// let layer = ClientTraceLayer::new().with_metrics(Metrics::new()).with_meter_provider(&provider);
    /// # let an_item = |_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(String::new())) };
    /// # tokio_test::block_on(layer.layer(service_fn(an_item)).oneshot(Request::new(())))?;
    /// // ... one request later:
    /// provider.force_flush()?;
    /// let collected = exporter.get_finished_metrics()?;
    /// let metric = collected[0].scope_metrics().next().unwrap().metrics().next().unwrap();
    /// assert_eq!(metric.name(), "http.client.request.duration");
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

/// Whether there is a span, when it ends, and whether it is an error.
impl ClientTraceLayer {
    /// Asks `predicate` what to do with each request. Default: everything. Of several predicates,
    /// and of a [`Verdict`] in the request's extensions, each may leave something out.
    ///
    /// A request without a span carries the caller's, unless propagation is left out, too.
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, client::Verdict};
    ///
    /// let layer = ClientTraceLayer::new().with_filter(|request| match request.path() {
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

    /// Makes a span only below another one: requests that are sent outside of any, such as those of
    /// a background task, begin no trace. Default: they do.
    ///
    /// ```
    /// use tower_telemetry::ClientTraceLayer;
    ///
    /// let layer = ClientTraceLayer::new().with_parent_required();
    /// # let _ = layer;
    /// ```
    pub fn with_parent_required(self) -> Self {
        self.with(|config| config.parent_required = true)
    }

    /// When a span ends. Default: [`SpanEnd::Head`], when the response's head is there. Replaces a
    /// [choice](Self::with_span_end_by) by response. A [gRPC call](crate::client#grpc) waits for its
    /// trailers either way.
    ///
    /// With [`SpanEnd::Body`] it ends with the last frame that the caller reads, or when the caller
    /// lets go of the body. Of a `reqwest::Response` that takes a box around its body.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{ClientTraceLayer, client::SpanEnd};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_span_end(SpanEnd::Body);
    /// let span = span_of(layer, Request::new(String::new()));
    /// // How much of it was waiting for the head.
    /// let time_to_head = "tower_telemetry.time_to_head";
    /// assert!(span.attributes.iter().any(|attribute| attribute.key.as_str() == time_to_head));
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
    /// use tower_telemetry::{ClientTraceLayer, client::SpanEnd};
    ///
    /// let layer = ClientTraceLayer::new().with_span_end_by(|response| {
    ///     match response.headers().get("content-type") {
    ///         Some(kind) if kind.as_bytes().starts_with(b"application/json") => SpanEnd::Body,
    ///         _ => SpanEnd::Head,
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

    /// Which responses are failures, for those who expect their 404s. Default: [4xx and
    /// 5xx][status]. Replaces a [classifier](Self::with_classifier). If it panics, the default
    /// counts. Of [gRPC calls](crate::client#grpc) it is asked nothing.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::trace::Status;
    /// use tower::service_fn;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// // In a cache, what is not there is an answer.
    /// let layer = ClientTraceLayer::new().with_failure_by(|response| {
    ///     response.status_code() != 404 && response.status_code().as_u16() >= 400
    /// });
    /// let cache = service_fn(|_| async { Response::builder().status(404).body(String::new()) });
    /// assert_eq!(span_by(layer, cache, Request::new(String::new())).status, Status::Unset);
    /// ```
    ///
    /// [status]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
    pub fn with_failure_by<F>(self, predicate: F) -> Self
    where
        F: Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.with(|config| config.classifier = Some(Classifier::by(predicate)))
    }

    /// Where [exceptions](Exceptions) of requests are recorded. Default:
    /// `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`, or else in logs.
    ///
    /// ```
    /// use tower_telemetry::{Exceptions, ClientTraceLayer};
    ///
    /// let layer = ClientTraceLayer::new().with_exceptions(Exceptions::Both);
    /// # let _ = layer;
    /// ```
    pub fn with_exceptions(self, exceptions: Exceptions) -> Self {
        self.with(|config| config.give(|given| given.exceptions = Some(exceptions)))
    }

    /// Records the messages of [exceptions](Exceptions), too. Default: their types alone, since [a
    /// message may hold what should not leave the process][sensitive], such as the URL that
    /// reqwest's errors have in theirs.
    ///
    /// [sensitive]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/exception/
    pub fn with_exception_messages(self) -> Self {
        self.with_settings(|settings| settings.exceptions.messages = true)
    }

    /// The same, as a classifier of tower-http 0.7 says it, which is shown the request, too, and,
    /// if the span [waits for the body](SpanEnd::Body), the trailers.
    ///
    /// ```
    /// use tower_http::classify::StatusInRangeAsFailures;
    /// use tower_telemetry::ClientTraceLayer;
    ///
    /// let server_errors = StatusInRangeAsFailures::new_for_client_and_server_errors();
    /// let layer = ClientTraceLayer::new().with_classifier(server_errors.into_make_classifier());
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

    /// What an error of type `E` is called in [`error.type`], where `name` gives something.
    /// Default: what the [table](crate::client#errors) says.
    ///
    /// It is asked for the service's error and for what caused that, nearest first. Of several
    /// functions for one of them the first that gives a name counts; if it panics, the error is
    /// called by its type. An error of a type that has a function is looked up in the table, too,
    /// where `name` gives nothing.
    ///
    /// ```
    /// use std::io;
    ///
    /// use http::{Request, Response};
    /// use opentelemetry::KeyValue;
    /// use tower::{BoxError, service_fn};
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_error_type(|error: &io::Error| {
    ///     (error.to_string() == "no route for this tenant").then(|| "no_route".into())
    /// });
    /// let client = service_fn(|_| async {
    ///     Err::<Response<String>, BoxError>(io::Error::other("no route for this tenant").into())
    /// });
    /// let span = span_by(layer, client, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("error.type", "no_route")));
    /// ```
    ///
    /// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
    pub fn with_error_type<E, F>(self, name: F) -> Self
    where
        E: Error + 'static,
        F: Fn(&E) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.with_settings(|settings| settings.error_names.push(name))
    }
}

/// What is on a span.
impl ClientTraceLayer {
    /// Where requests go whose URL does not say it, such as those to a connection:
    /// `http://inventory:3000`. Default: to what the `Host` header says. For a gRPC channel there
    /// is
    /// [`with_grpc_target`](Self::with_grpc_target).
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_origin("http://inventory:3000")?;
    /// let request = Request::get("/items/42").body(String::new())?;
    /// let span = span_of(layer, request);
    /// let url = "http://inventory:3000/items/42";
    /// assert!(span.attributes.contains(&KeyValue::new("url.full", url)));
    /// assert!(span.attributes.contains(&KeyValue::new("server.address", "inventory")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it has no scheme or no host, or if it has a path.
    pub fn with_origin(self, origin: impl AsRef<str>) -> Result<Self, BuildError> {
        let origin = Origin::parse(origin.as_ref())?;
        Ok(self.with(|config| config.origin = Some(origin)))
    }

    /// What a gRPC channel connects to: its [target], or what tonic's `Endpoint` was made of.
    /// Default: what the URL says, or [`with_origin`](Self::with_origin); a tonic client's URL says
    /// nothing unless the client has an origin.
    ///
    /// It is `server.address` and `server.port` of calls, [as the conventions want
    /// it][address]: the host and port behind `dns:`, `ipv4:`, `http:` and the like, the path of a
    /// socket behind `unix:`, and of what is no single server, such as a list of addresses, the
    /// whole target. A host is also an [origin](Self::with_origin), unless there is one. User and
    /// password of a URL are not recorded; no other kind of target has a place for secrets.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_grpc_target("dns:///inventory:50051")?;
    /// let request = Request::post("/shop.v1.Inventory/Get")
    ///     .header("content-type", "application/grpc")
    ///     .body(String::new())?;
    /// let span = span_of(layer, request);
    /// assert!(span.attributes.contains(&KeyValue::new("server.address", "inventory")));
    /// assert!(span.attributes.contains(&KeyValue::new("server.port", 50051)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is empty.
    ///
    /// [address]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
    /// [target]: https://github.com/grpc/grpc/blob/master/doc/naming.md
    pub fn with_grpc_target(self, target: impl AsRef<str>) -> Result<Self, BuildError> {
        let target = GrpcTarget::parse(target.as_ref())?;
        Ok(self.with(|config| config.grpc_target = Some(target)))
    }

    /// What is recorded of gRPC calls. Default: [`Grpc::new`].
    ///
    /// ```
    /// use tower_telemetry::{ClientTraceLayer, Grpc};
    ///
    /// let not_found_is_fine = |status: &str| !matches!(status, "OK" | "NOT_FOUND");
    /// let layer = ClientTraceLayer::new().with_grpc(Grpc::new().with_failure_by(not_found_is_fine));
    /// # let _ = layer;
    /// ```
    pub fn with_grpc(self, grpc: Grpc) -> Self {
        self.with(|config| config.give_grpc(grpc))
    }

    /// Gives URLs their [templates](crate::client::UrlTemplate), where the caller has given none.
    /// Default: no template. Where `template` gives none, or panics, there is none.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_url_template(|request| {
    ///     request.path().starts_with("/items/").then(|| "/items/{id}".into())
    /// });
    /// let request = Request::get("http://inventory/items/42").body(String::new())?;
    /// assert_eq!(span_of(layer, request).name, "GET /items/{id}");
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn with_url_template<F>(self, template: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    {
        self.with(|config| config.url_template = Some(Naming(Arc::new(template))))
    }

    /// Names spans. Where `name` gives none, or panics, it is the default, `{method} {template}` or
    /// `{method}`. It should be [of low cardinality][name].
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_span_name(|request| {
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

    /// The methods that are recorded as they are; every other one is `_OTHER`. Replaces the
    /// default, which is those of [RFC 9110], `PATCH` and `QUERY`. Variable:
    /// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    ///
    /// ```
    /// use http::{Method, Request};
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let purge = Method::from_bytes(b"PURGE")?;
    /// let layer = ClientTraceLayer::new().with_known_methods([Method::GET, purge]);
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
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS`. Those of gRPC calls
    /// are
    /// [metadata](Grpc::with_request_metadata).
    ///
    /// Of what a client adds further in nothing is known here.
    ///
    /// ```
    /// use http::Request;
    /// use tower_telemetry::{ClientTraceLayer, HeaderSelector};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new()
    ///     .with_request_headers(HeaderSelector::new(["x-request-id"])?);
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
    /// Variable: `OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS`. Those of gRPC calls
    /// are
    /// [metadata](Grpc::with_response_metadata).
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{ClientTraceLayer, HeaderSelector};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer =
    ///     ClientTraceLayer::new().with_response_headers(HeaderSelector::new(["x-cache"])?);
    /// let server = service_fn(|_| async {
    ///     Response::builder().header("x-cache", "hit").body(String::new())
    /// });
    /// let header = |attribute: &opentelemetry::KeyValue| {
    ///     attribute.key.as_str() == "http.response.header.x-cache"
    ///         && attribute.value.to_string() == r#"["hit"]"#
    /// };
    /// let span = span_by(layer, server, Request::new(String::new()));
    /// assert!(span.attributes.iter().any(header));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_response_headers(self, headers: HeaderSelector) -> Self {
        self.with(|config| config.give(|given| given.response_headers = Some(headers)))
    }

    /// Records these entries of the current baggage as attributes by the same names, also where a
    /// sampler sees them and whether or not baggage [goes along](Self::with_baggage_to). Default:
    /// none. Replaces those of an earlier call. A hook that sets one of them wins.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().with_baggage_attributes(["tenant"])?;
    /// let _cx = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
    /// let span = span_of(layer, Request::get("http://inventory/items").body(String::new())?);
    /// assert!(span.attributes.contains(&KeyValue::new("tenant", "acme")));
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
    /// use tower_telemetry::{ClientTraceLayer, Redaction};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new()
    ///     .with_redaction(Redaction::new().with_only_query_keys(["page"]));
    /// let request = Request::get("http://inventory/items?page=2&key=s3cret").body(String::new())?;
    /// let clean = "http://inventory/items?page=2&key=REDACTED";
    /// assert!(span_of(layer, request).attributes.contains(&KeyValue::new("url.full", clean)));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn with_redaction(self, redaction: Redaction) -> Self {
        self.with_settings(|settings| settings.redaction = redaction)
    }

    /// Records the size of the response's body, [`http.response.body.size`][http]: the bytes that
    /// were read. Default: not. It takes a span that [waits for the body](SpanEnd::Body).
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{ClientTraceLayer, client::SpanEnd};
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer =
    ///     ClientTraceLayer::new().with_span_end(SpanEnd::Body).with_response_body_size();
    /// let span = span_of(layer, Request::new(String::new())); // answered with "an item"
    /// assert!(span.attributes.contains(&KeyValue::new("http.response.body.size", 7)));
    /// ```
    ///
    /// [http]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    pub fn with_response_body_size(self) -> Self {
        self.with_settings(|settings| settings.response_size = true)
    }

    /// Records [`url.scheme`][url], which is a part of `url.full`. Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let request = Request::get("https://inventory/").body(String::new())?;
    /// let span = span_of(ClientTraceLayer::new().with_url_scheme(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("url.scheme", "https")));
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
    pub fn with_url_scheme(self) -> Self {
        self.opt_in(|opt_in| opt_in.url_scheme = true)
    }

    /// Records [`user_agent.original`][agent], where the request says it already. Default: not.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let request = Request::builder().header("user-agent", "shop/2.1").body(String::new())?;
    /// let span = span_of(ClientTraceLayer::new().with_user_agent(), request);
    /// assert!(span.attributes.contains(&KeyValue::new("user_agent.original", "shop/2.1")));
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// [agent]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/
    pub fn with_user_agent(self) -> Self {
        self.opt_in(|opt_in| opt_in.user_agent = true)
    }
}

/// Hooks. A layer has as many as are registered. None is called for a request that is filtered; of
/// one that is sampled out, at most `on_request`. One that panics breaks nothing: what it has set
/// by then stays. The span is not the current one in a hook, which sets what it has to say through
/// [`Attributes`].
impl ClientTraceLayer {
    /// Calls `hook` before the span starts. A sampler sees what it sets, unless it is one of
    /// [`SamplerBuilder`](crate::SamplerBuilder)'s, which look at no attribute; then it is called
    /// when it is clear that the span records. Default: no hook.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().on_request(|request, attributes| {
    ///     attributes.set("shop.idempotent", request.method().is_idempotent());
    /// });
    /// let span = span_of(layer, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.idempotent", true)));
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
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().on_response(|response, attributes| {
    ///     attributes.set("shop.stale", response.headers().contains_key("x-stale"));
    /// });
    /// let server = service_fn(|_| async {
    ///     Response::builder().header("x-stale", "1").body(String::new())
    /// });
    /// let span = span_by(layer, server, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.stale", true)));
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
    /// use tower_telemetry::ClientTraceLayer;
    #[doc = include_str!("span_of.md")]
    ///
    /// let layer = ClientTraceLayer::new().on_error(|ended, attributes| {
    ///     attributes.set("shop.worth_a_retry", ended.error_type() == Some("503"));
    /// });
    /// let server = service_fn(|_| async { Response::builder().status(503).body(String::new()) });
    /// let span = span_by(layer, server, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("shop.worth_a_retry", true)));
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
    /// use tower_telemetry::ClientTraceLayer;
    ///
    /// let layer = ClientTraceLayer::new().on_end(|ended, attributes| {
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

impl ClientTraceLayer {
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

impl<S> Layer<S> for ClientTraceLayer {
    type Service = ClientTrace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientTrace::new(inner, Arc::clone(&self.config))
    }
}
