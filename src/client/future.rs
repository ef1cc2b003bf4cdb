//! The future: from the call to the response's head.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    client::{IncomingResponse, failure, nested, response::Span},
    exchange::guard::Guard,
};

pin_project! {
    /// The response to come, of a [`ClientTrace`](crate::client::ClientTrace) service.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: Option<Guard>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, guard: Option<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: IncomingResponse,
    E: 'static,
{
    type Output = Result<T::Traced, E>;

    fn poll(self: Pin<&mut Self>, task_cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(match this.guard {
            Some(guard) => nested::run(guard, || this.inner.poll(task_cx)),
            // No span of ours, or polled again after it was ready, which is the inner future's
            // business.
            None => this.inner.poll(task_cx),
        });
        let guard = this.guard.take();
        Poll::Ready(match result {
            Ok(response) => Ok(response.traced(Span(guard))),
            Err(error) => {
                if let Some(mut guard) = guard {
                    let outcome = failure::of_request(&guard, &error);
                    guard.end(outcome);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("span", &self.guard).finish_non_exhaustive()
    }
}
