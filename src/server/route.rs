//! The route: the pattern that the router matched, and the layer that tells it from the inside.

use std::{
    borrow::Cow,
    task::{Context as TaskContext, Poll},
};

use http::{Extensions, Request, Uri};
use opentelemetry::StringValue;
use tower::{Layer, Service};

use crate::{
    intern,
    server::{RouteSource, ServerSpan},
};

/// axum's matched path, where there is one. A layer around the whole router comes too early for
/// it.
#[cfg(feature = "axum")]
pub(super) fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

/// Without a router's help no route is known.
#[cfg(not(feature = "axum"))]
pub(super) fn matched_route(_: &Extensions) -> Option<&str> {
    None
}

/// The target as it was sent: axum takes the prefix off a nested router's.
#[cfg(feature = "axum")]
pub(super) fn target<B>(request: &Request<B>) -> &Uri {
    let original = request.extensions().get::<axum::extract::OriginalUri>();
    original.map_or_else(|| request.uri(), |original| &original.0)
}

/// The target as it was sent.
#[cfg(not(feature = "axum"))]
pub(super) fn target<B>(request: &Request<B>) -> &Uri {
    request.uri()
}

/// Tells the `TraceLayer` further out which route was matched.
///
/// A [`TraceLayer`](crate::TraceLayer) around a whole router sees what never reaches a route: what
/// a layer for authentication or a limit on the body has turned away, a 404. It comes too early to
/// know the route. With this layer on the router it knows it all the same; how to serve the two is
/// [over there](crate::server#where-to-put-it).
///
/// ```
/// use axum::{Router, routing::get};
/// use http::Request;
/// use tower_telemetry::{RouteLayer, TraceLayer};
#[doc = include_str!("span_of.md")]
///
/// let app = Router::new()
///     .route("/items/{id}", get(|| async { "an item" }))
///     .layer(RouteLayer::new());
/// let request = Request::builder().uri("/items/7").body(String::new())?;
/// assert_eq!(span_by(TraceLayer::new(), app, request).name, "GET /items/{id}");
/// # Ok::<(), http::Error>(())
/// ```
///
/// It goes onto the router last. A layer that is added after it is outside of it, and what that
/// turns away (for want of authentication, say) gets no route:
///
/// ```
/// use axum::{Router, http::StatusCode, middleware::from_fn, routing::get};
/// use http::Request;
/// use tower_telemetry::{RouteLayer, TraceLayer};
#[doc = include_str!("span_of.md")]
///
/// let app = Router::new()
///     .route("/items/{id}", get(|| async { "an item" }))
///     .layer(from_fn(|_: axum::extract::Request, _| async { StatusCode::UNAUTHORIZED }))
///     .layer(RouteLayer::new());
/// let request = Request::builder().uri("/items/7").body(String::new())?;
/// assert_eq!(span_by(TraceLayer::new(), app, request).name, "GET /items/{id}");
/// # Ok::<(), http::Error>(())
/// ```
///
/// On a router that is mounted with `nest_service`, where axum tells those outside nothing, it does
/// the same. Without a `TraceLayer` further out it does nothing. The request passes through as it
/// is.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct RouteLayer {
    pattern: Option<StringValue>,
}

impl RouteLayer {
    /// The route is axum's `MatchedPath` (feature `axum`), where there is one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The route is this one, and axum is not asked: for routers other than axum's, and for
    /// services that are one route. Of this and what a layer further out was told by axum, the
    /// [longer](crate::server::RouteSource) wins.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, service_fn};
    /// use tower_telemetry::{RouteLayer, TraceLayer};
    #[doc = include_str!("span_of.md")]
    ///
    /// let report = ServiceBuilder::new().layer(RouteLayer::of("/report")).service(service_fn(|_| async {
    ///     Ok::<_, std::io::Error>(Response::new(String::new()))
    /// }));
    /// let span = span_by(TraceLayer::new(), report, Request::new(String::new()));
    /// assert_eq!(span.name, "GET /report");
    /// ```
    pub fn of(route: impl Into<Cow<'static, str>>) -> Self {
        Self { pattern: Some(StringValue::from(route.into())) }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Routed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Routed { inner, pattern: self.pattern.clone() }
    }
}

/// Tells the route of each request to `S`. See [`RouteLayer`].
#[derive(Clone, Debug)]
pub struct Routed<S> {
    inner: S,
    pattern: Option<StringValue>,
}

impl<S> Routed<S> {
    inner_accessors!();
}

impl<S, B> Service<Request<B>> for Routed<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        tell(request.extensions(), self.pattern.as_ref());
        self.inner.call(request)
    }
}

/// Tells the span of the request its route, as the router knows it.
pub(super) fn tell(extensions: &Extensions, pattern: Option<&StringValue>) {
    let Some(span) = extensions.get::<ServerSpan>().filter(|span| span.listens()) else {
        return;
    };
    let matched = || matched_route(extensions).map(intern::shared);
    if let Some(pattern) = pattern.cloned().or_else(matched) {
        span.tell_route(RouteSource::Router, pattern);
    }
}
