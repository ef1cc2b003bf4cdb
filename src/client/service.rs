//! The service: the whole way of a request on one screen.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use tower::Service;

use crate::client::{
    ClientTraceLayer, IncomingResponse, OutgoingRequest, ResponseFuture, config::Config,
    make_span::make_span, nested,
};

/// Makes a client span for each request to `S`. See the [module docs](crate::client).
#[derive(Clone, Debug)]
pub struct ClientTrace<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> ClientTrace<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The layer that makes this service.
    pub fn layer() -> ClientTraceLayer {
        ClientTraceLayer::new()
    }

    inner_accessors!();
}

impl<S, R> Service<R> for ClientTrace<S>
where
    S: Service<R>,
    S::Response: IncomingResponse,
    // So that what kind of error it is can be found out.
    S::Error: 'static,
    R: OutgoingRequest,
{
    type Response = <S::Response as IncomingResponse>::Traced;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let guard = make_span(&self.config, &mut request);
        let inner = match &guard {
            Some(guard) => nested::run(guard, || self.inner.call(request)),
            None => self.inner.call(request),
        };
        ResponseFuture::new(inner, guard)
    }
}
