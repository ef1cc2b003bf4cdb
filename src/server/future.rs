//! The future: from the call to the response's head.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    exchange::{guard::Guard, outcome::Outcome, response::answered},
    server::ResponseBody,
};

pin_project! {
    /// The response to come, of a [`Trace`](crate::server::Trace) service.
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

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, task_cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(match this.guard {
            Some(guard) => guard.run(|| this.inner.poll(task_cx)),
            // Filtered, or polled again after it was ready, which is the inner future's business.
            None => this.inner.poll(task_cx),
        });
        let guard = this.guard.take();
        Poll::Ready(match (result, guard) {
            (Ok(response), Some(mut guard)) => {
                let response = answered(response, &mut guard);
                Ok(response.map(|body| ResponseBody::new(body, Some(guard))))
            }
            (Ok(response), None) => Ok(response.map(|body| ResponseBody::new(body, None))),
            (Err(error), guard) => {
                if let Some(mut guard) = guard {
                    guard.end(Outcome::error::<E>());
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
