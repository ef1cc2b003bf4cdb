//! The service: injects, then calls.

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use opentelemetry::Context;
use tower::Service;

use crate::client::{OutgoingRequest, PropagationLayer, layer::Config};

/// Writes the current span's context into each request to `S`. See the
/// [module docs](crate::client).
#[derive(Clone, Debug)]
pub struct Propagation<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> Propagation<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

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
        self.config.propagator.inject(&Context::current(), request.headers_mut());
        self.inner.call(request)
    }
}
