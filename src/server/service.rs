//! The service: the whole way of a request on one screen.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower::Service;

use crate::server::{
    ResponseBody, ResponseFuture, TraceLayer, config::Config, make_span::make_span,
};

/// Makes a server span for each request to `S`. See the [module docs](crate::server).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Trace<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The layer that makes this service.
    pub fn layer() -> TraceLayer {
        TraceLayer::new()
    }

    inner_accessors!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Trace<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mut head = Request::from_parts(parts, ());
        let guard = make_span(&self.config, &mut head);
        let request = head.map(|()| body);
        let inner = match &guard {
            Some(guard) => guard.run(|| self.inner.call(request)),
            None => self.inner.call(request),
        };
        ResponseFuture::new(inner, guard)
    }
}
