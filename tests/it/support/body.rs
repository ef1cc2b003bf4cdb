//! Response bodies that do as they are told.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// What a body does when it is polled.
#[derive(Debug)]
pub(crate) enum Step {
    Pending,
    Data(&'static str),
    Trailers(HeaderMap),
    Error,
    Panic,
    /// Runs on the way, to look around.
    Look(fn()),
}

/// A body that takes a step with each poll, and has ended after the last.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// Whether it says beforehand that the last step is the last.
    pub(crate) tells_end: bool,
    pub(crate) size_hint: SizeHint,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn telling_its_end(mut self) -> Self {
        self.tells_end = true;
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Error) => Some(Err(io::Error::other("the disk is gone"))),
            Some(Step::Panic) => panic!("the body panics, as it was told to"),
            Some(Step::Look(look)) => {
                look();
                return self.poll_frame(cx);
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.tells_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.size_hint
    }
}

/// A body that gives the frames it is sent, and ends when nobody can send it any more.
#[derive(Debug)]
pub(crate) struct Fed(mpsc::UnboundedReceiver<Frame<Bytes>>);

/// The sending side of a [`Fed`] body.
pub(crate) type Feed = mpsc::UnboundedSender<Frame<Bytes>>;

/// A body, and what feeds it.
pub(crate) fn fed() -> (Feed, Fed) {
    let (feed, frames) = mpsc::unbounded_channel();
    (feed, Fed(frames))
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
