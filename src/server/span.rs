//! The span as the inside sees it: what a handler can say of its own request.

use std::{any::type_name, borrow::Cow, error::Error, iter, sync::Arc};

use http::Extensions;
use opentelemetry::StringValue;

use crate::{
    contained::contained,
    exchange::{
        exceptions::Exception,
        live::Live,
        outcome::name_of_type,
        told::{Route, RouteSource},
    },
    intern,
};

/// The server span of a request, as far as those inside have a say in it: its route, its name, what
/// kind of error it ended in.
///
/// A [`TraceLayer`](crate::TraceLayer) leaves it among the request's extensions, where
/// [`of`](Self::of) finds it. With the feature `axum` a handler can take it as an argument. What it is
/// told of route and error goes onto [metrics](crate::Metrics), too, and onto these alone if the
/// request is only measured. If it is not even that, either gives one all the same, and what that
/// is told goes nowhere. All else (attributes, events) is set on the current span through
/// OpenTelemetry's API.
///
/// ```
/// use axum::{Router, extract::Path, http::StatusCode, routing::get};
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{TraceLayer, server::ServerSpan};
#[doc = include_str!("span_of.md")]
///
/// async fn file(span: ServerSpan, Path(path): Path<String>) -> Result<String, StatusCode> {
///     // axum matched `/files/{*path}`; the handler knows better.
///     span.set_route("/files/{bucket}/{name}");
///     if path.starts_with("lost+found/") {
///         span.set_error_type("disk_corrupt");
///         return Err(StatusCode::INTERNAL_SERVER_ERROR);
///     }
///     Ok(path)
/// }
///
/// let app = Router::new().route("/files/{*path}", get(file));
/// let request = Request::builder().uri("/files/lost+found/1").body(String::new())?;
/// let span = span_by(TraceLayer::new(), app, request);
/// assert_eq!(span.name, "GET /files/{bucket}/{name}");
/// assert!(span.attributes.contains(&KeyValue::new("error.type", "disk_corrupt")));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerSpan(Option<Arc<Live>>);

impl ServerSpan {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self(Some(live))
    }

    /// What the layer that has left it knows.
    pub(super) fn into_live(self) -> Option<Arc<Live>> {
        self.0
    }
}

impl ServerSpan {
    /// The span of the request that these extensions are of. Default, where no layer has left one:
    /// one that [is not recording](Self::is_recording).
    ///
    /// ```
    /// use http::Extensions;
    /// use tower_telemetry::server::ServerSpan;
    ///
    /// let nobodys = ServerSpan::of(&Extensions::new());
    /// nobodys.set_name("heard by nobody");
    /// assert!(!nobodys.is_recording());
    /// ```
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Whether there is a span that records and has not ended. To be asked before something that is
    /// costly to find out and only of use on a span, such as its [name](Self::set_name): route and
    /// kind of error go onto [metrics](crate::Metrics) of requests that are not recorded, too, and
    /// [exceptions](crate::Exceptions) into logs.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, server::ServerSpan};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     let span = ServerSpan::of(request.extensions());
    ///     if span.is_recording() {
    ///         let operation = request.body().split(" {").next().unwrap_or_default();
    ///         span.set_name(operation.to_owned());
    ///     }
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// let request = Request::new("query Items { id }".to_owned());
    /// assert_eq!(span_by(TraceLayer::new(), handler, request).name, "query Items");
    /// ```
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording().next().is_some()
    }

    /// The request's route, `http.route`, and with it the span's name. It should be [of low
    /// cardinality][route]: a pattern, never the path.
    ///
    /// Counts as said by the handler: before what the router has matched, and only the first time.
    /// An empty one says nothing. Default: what the router has matched.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, server::ServerSpan};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     ServerSpan::of(request.extensions()).set_route("/reports/{year}");
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// let span = span_by(TraceLayer::new(), handler, Request::new(String::new()));
    /// assert_eq!(span.name, "GET /reports/{year}");
    /// ```
    ///
    /// [route]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    pub fn set_route(&self, route: impl Into<Cow<'static, str>>) {
        self.set_route_from(RouteSource::Handler, route);
    }

    /// The same as [`set_route`](Self::set_route), as said by somebody else; see [`RouteSource`]
    /// for who is believed.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, server::{RouteSource, ServerSpan}};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     let span = ServerSpan::of(request.extensions());
    ///     span.set_route_from(RouteSource::Router, "/reports/{year}");
    ///     span.set_route_from(RouteSource::Middleware, "/reports");
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// let span = span_by(TraceLayer::new(), handler, Request::new(String::new()));
    /// assert_eq!(span.name, "GET /reports/{year}");
    /// ```
    pub fn set_route_from(&self, source: RouteSource, route: impl Into<Cow<'static, str>>) {
        let route = route.into();
        if self.listens() && !route.is_empty() {
            self.tell_route(source, shared(route));
        }
    }

    pub(super) fn tell_route(&self, source: RouteSource, pattern: StringValue) {
        let route = Route { source, pattern };
        self.listening().for_each(|live| live.told.route(&route));
    }

    /// The span's name, whatever the route says, [of low cardinality][name]. Of several the last
    /// counts; an empty one says nothing. Default: `{method} {route}`, or what
    /// [`with_span_name`](crate::TraceLayer::with_span_name) gives.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, server::ServerSpan};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     ServerSpan::of(request.extensions()).set_name("graphql query");
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// });
    /// let span = span_by(TraceLayer::new(), handler, Request::new(String::new()));
    /// assert_eq!(span.name, "graphql query");
    /// ```
    ///
    /// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
    pub fn set_name(&self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        for live in self.recording().filter(|_| !name.is_empty()) {
            live.told.change(|facts| facts.name = Some(name.clone()));
        }
    }

    /// What kind of error the request has failed with, [`error.type`]. It should be one of a few
    /// words, of which the last counts. Default: the status code, or the name of the error's type.
    ///
    /// It says why a request failed and not that it did: on the span of a response that is no error
    /// it does not appear. A client that went away remains `cancelled` and a panic `panic`, and of
    /// an error of the service an [`ErrorTypeLayer`](crate::server::ErrorTypeLayer) has the last
    /// word.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use opentelemetry::KeyValue;
    /// use tower::service_fn;
    /// use tower_telemetry::{TraceLayer, server::ServerSpan};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     ServerSpan::of(request.extensions()).set_error_type("out_of_stock");
    ///     Response::builder().status(503).body(String::new())
    /// });
    /// let span = span_by(TraceLayer::new(), handler, Request::new(String::new()));
    /// assert!(span.attributes.contains(&KeyValue::new("error.type", "out_of_stock")));
    /// ```
    ///
    /// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
    pub fn set_error_type(&self, error_type: impl Into<Cow<'static, str>>) {
        let error_type = error_type.into();
        for live in self.listening().filter(|_| !error_type.is_empty()) {
            live.told.change(|facts| facts.error_type = Some(error_type.clone()));
        }
    }

    /// What has made the handler give up: the [exception](crate::Exceptions) that is recorded when
    /// the request ends, in place of the service's error, if that fails, too. Of several the first
    /// counts.
    ///
    /// An error that was made good is none, so it is to be told what the response is a failure for.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::service_fn;
    /// use tower_telemetry::{Exceptions, TraceLayer, server::ServerSpan};
    #[doc = include_str!("span_of.md")]
    ///
    /// let handler = service_fn(|request: Request<String>| async move {
    ///     if let Err(error) = request.body().parse::<u32>() {
    ///         ServerSpan::of(request.extensions()).record_exception(&error);
    ///     }
    ///     Response::builder().status(500).body(String::new())
    /// });
    /// let layer = TraceLayer::new().with_exceptions(Exceptions::SpanEvent);
    /// let span = span_by(layer, handler, Request::new("many".to_owned()));
    /// let said = &span.events[0].attributes[0];
    /// assert_eq!(said.value.as_str(), "core::num::error::ParseIntError");
    /// ```
    pub fn record_exception<E: Error + ?Sized>(&self, error: &E) {
        let Some(live) = self.listening().find(|live| live.excepts()) else {
            return;
        };
        let message = || contained(|| error.to_string());
        let exception = Exception {
            type_name: name_of_type(type_name::<E>()).into(),
            message: live.wants_message().then(message).flatten(),
        };
        live.told.change(|facts| {
            facts.exception.get_or_insert_with(|| exception.clone());
        });
    }

    /// What the service's error is called.
    pub(super) fn set_service_error(&self, error_type: impl Into<Cow<'static, str>>) {
        let error_type = error_type.into();
        for live in self.listening() {
            live.told.change(|facts| facts.service_error = Some(error_type.clone()));
        }
    }

    /// What the service's error is, as far as it is known.
    pub(super) fn set_service_exception(&self, exception: impl FnOnce(bool) -> Exception) {
        let Some(live) = self.listening().find(|live| live.excepts()) else {
            return;
        };
        let exception = exception(live.wants_message());
        live.told.change(|facts| facts.service_exception = Some(exception.clone()));
    }

    /// The exchanges that layers of this request have opened, from the inside out: there are two
    /// where one has the span and another measures.
    fn exchanges(&self) -> impl Iterator<Item = &Live> {
        iter::successors(self.0.as_deref(), |live| live.outer())
    }

    /// Those whose span can be written on.
    fn recording(&self) -> impl Iterator<Item = &Live> {
        self.exchanges().filter(|live| live.is_recording())
    }

    /// Those that can be told something.
    fn listening(&self) -> impl Iterator<Item = &Live> {
        self.exchanges().filter(|live| live.listens())
    }

    /// Whether what it is told goes onto a span or a metric.
    pub(super) fn listens(&self) -> bool {
        self.listening().next().is_some()
    }

    /// Whether a layer has decided on a span.
    pub(super) fn is_traced(&self) -> bool {
        self.exchanges().any(Live::is_traced)
    }

    /// Whether a layer measures the request.
    pub(super) fn is_measured(&self) -> bool {
        self.exchanges().any(Live::is_measured)
    }

    /// From here on the bytes of the request's body are counted. Of how many exchanges, from the
    /// inside out, nobody else counts them.
    pub(super) fn count_request(&self) -> usize {
        let counting = self.exchanges().take_while(|live| live.told.count_request());
        if self.listens() { counting.count() } else { 0 }
    }

    /// Another `length` bytes were read, for so many exchanges.
    pub(super) fn request_data(&self, exchanges: usize, length: u64) {
        self.exchanges().take(exchanges).for_each(|live| live.told.request_data(length));
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for ServerSpan {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

fn shared(text: Cow<'static, str>) -> StringValue {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => intern::shared(&text),
    }
}
