//! The response's body: from the head to the last frame.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use http_body::{Body, Frame};

use crate::exchange::{guard::Guard, outcome::Outcome};

type NextFrame<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// The next frame of a body, inside of its exchange, which ends with the last. `failed` is what an
/// error of the body makes of it.
pub(crate) fn poll_frame<B: Body>(
    mut inner: Pin<&mut B>,
    guard: &mut Option<Guard>,
    task_cx: &mut TaskContext<'_>,
    failed: impl FnOnce(&Guard, &B::Error) -> Outcome,
) -> Poll<NextFrame<B>> {
    let Some(guard) = guard else {
        return inner.poll_frame(task_cx);
    };
    let frame = ready!(guard.run(|| inner.as_mut().poll_frame(task_cx)));
    match &frame {
        Some(Ok(frame)) => {
            if let Some(data) = frame.data_ref() {
                guard.data(data);
            }
            if let Some(trailers) = frame.trailers_ref() {
                guard.trailers(trailers);
            } else if inner.is_end_stream() {
                // Whoever reads may not ask again once the body says that it has ended.
                guard.end(Outcome::Complete);
            }
        }
        Some(Err(error)) => {
            let outcome = failed(guard, error);
            guard.end(outcome);
        }
        None => guard.end(Outcome::Complete),
    }
    Poll::Ready(frame)
}
