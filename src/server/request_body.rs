//! The request's body: how much of it was read.

use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Buf;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::server::ServerSpan;

/// Counts the bytes of the request's body that the service reads, for the `TraceLayer` further out:
/// [`http.request.body.size`].
///
/// It is a layer of its own since it changes the type of the body that the service is given, to
/// [`RequestBody`]; an axum router takes any. What passes through is otherwise unchanged. If the
/// request is neither recorded nor measured, nothing is counted. Default: without this layer, there
/// is no such size.
///
/// ```
/// use axum::{Router, routing::post};
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{TraceLayer, server::RequestBodySizeLayer};
#[doc = include_str!("span_of.md")]
///
/// let app = Router::new()
///     .route("/upload", post(|body: String| async move { body.len().to_string() }))
///     .layer(RequestBodySizeLayer::new());
/// let request = Request::post("/upload").body("an item".to_owned())?;
/// let span = span_by(TraceLayer::new(), app, request);
/// assert!(span.attributes.contains(&KeyValue::new("http.request.body.size", 7)));
/// # Ok::<(), http::Error>(())
/// ```
///
/// [`http.request.body.size`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestBodySizeLayer {
    _private: (),
}

impl RequestBodySizeLayer {
    /// The layer; it has no settings.
    ///
    /// ```
    /// use tower::ServiceBuilder;
    /// use tower_telemetry::{TraceLayer, server::RequestBodySizeLayer};
    ///
    /// // Inside of the layer that it counts for.
    /// let layers = ServiceBuilder::new()
    ///     .layer(TraceLayer::new().with_response_body_size())
    ///     .layer(RequestBodySizeLayer::new());
    /// # let _ = layers;
    /// ```
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<S> Layer<S> for RequestBodySizeLayer {
    type Service = RequestBodySize<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestBodySize { inner }
    }
}

/// Counts the bytes of each request to `S`. See [`RequestBodySizeLayer`].
#[derive(Clone, Debug)]
pub struct RequestBodySize<S> {
    inner: S,
}

impl<S> RequestBodySize<S> {
    inner_accessors!();
}

impl<S, B> Service<Request<B>> for RequestBodySize<S>
where
    S: Service<Request<RequestBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = request.extensions().get::<ServerSpan>().cloned().unwrap_or_default();
        // Of two such layers each counts for those that are inside of the other.
        let counts_for = span.count_request();
        let span = if counts_for > 0 { span } else { ServerSpan::default() };
        self.inner.call(request.map(|inner| RequestBody { inner, span, counts_for }))
    }
}

pin_project! {
    /// The body of a request whose bytes are counted as they are read.
    #[derive(Default)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        span: ServerSpan,
        counts_for: usize,
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task_cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(task_cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let length = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
            this.span.request_data(*this.counts_for, length);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("span", &self.span).finish_non_exhaustive()
    }
}
