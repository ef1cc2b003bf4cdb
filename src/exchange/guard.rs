//! The guard: one clock, one end.

use std::{fmt, mem, sync::Arc, thread};

use bytes::Buf;
use http::{HeaderMap, Response, StatusCode, header};
use opentelemetry::{
    Context, KeyValue, SpanId,
    trace::{Status, TraceContextExt},
};

use crate::{
    contained::contained,
    exchange::{
        classify::Classification,
        exceptions::Exception,
        grpc::web::{Found, Trailers},
        live::Live,
        outcome::Outcome,
        settings::Settings,
        span_end::SpanEnd,
    },
    head::ResponseHead,
    semconv::grpc::{content_type::Encoding, status::Status as GrpcStatus},
};

/// Holds one exchange's Context and ends its span, once.
///
/// It moves from the future to the body and costs them 32 bytes. What only a span that records
/// needs is behind a pointer, so that one that does not allocates nothing here.
pub(crate) struct Guard(State);

enum State {
    /// Not recorded, or not any more: there is a Context, and nothing to end.
    Bare(Context),
    Open(Arc<Live>, Reader),
    /// It has ended, and nothing is to be current.
    Done,
}

/// Who looks at the response while it goes by.
pub(crate) enum Reader {
    Nobody,
    Classification(Box<dyn Classification>),
    Trailers(Box<Trailers>),
}

impl Guard {
    /// Of an exchange whose span does not record.
    pub(crate) fn bare(cx: Context) -> Self {
        Self(State::Bare(cx))
    }

    /// Of an exchange that is open until this guard ends it.
    pub(crate) fn open(live: Arc<Live>, classification: Option<Box<dyn Classification>>) -> Self {
        live.begin();
        Self(State::Open(live, classification.map_or(Reader::Nobody, Reader::Classification)))
    }

    /// The Context that is current while the service runs, if this guard has one.
    fn attached(&self) -> Option<&Context> {
        match &self.0 {
            State::Bare(cx) => Some(cx),
            State::Open(live, _) => live.attached(),
            State::Done => None,
        }
    }

    fn live(&self) -> Option<&Live> {
        match &self.0 {
            State::Bare(_) | State::Done => None,
            State::Open(live, _) => Some(live),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.live().is_some()
    }

    /// Whether it is that of a gRPC call that is recorded or measured.
    pub(crate) fn is_call(&self) -> bool {
        self.live().is_some_and(|live| live.call().is_some())
    }

    /// Which status the call has, as far as can be told from what it has failed with.
    pub(crate) fn set_grpc_status(&self, status: GrpcStatus) {
        if let Some(live) = self.live() {
            live.set_grpc_status(status);
        }
    }

    /// What the layer was told, if the span is open.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.live().map(Live::settings)
    }

    /// The span that the service runs in, if this guard has one.
    pub(crate) fn span_id(&self) -> Option<SpanId> {
        self.attached().map(|cx| cx.span().span_context().span_id())
    }

    /// Whether the exchange is measured; and if it has no span, what its request is known by.
    pub(crate) fn measured(&self) -> Option<u64> {
        self.live().filter(|live| live.is_measured()).map(Live::marked)
    }

    /// Says what the exchange has failed with, if that is to be recorded; with a message, if
    /// anybody wants to know it.
    pub(crate) fn except(&self, exception: impl FnOnce(bool) -> Exception) {
        if let Some(live) = self.live().filter(|live| live.excepts()) {
            let exception = exception(live.wants_message());
            live.told.change(|facts| facts.exception = Some(exception.clone()));
        }
    }

    /// Puts attributes on the span, if that goes anywhere.
    pub(crate) fn set_attributes<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        let span = self.live().filter(|live| live.is_recording()).and_then(Live::span);
        if let Some(span) = span {
            span.set_attributes(attributes());
        }
    }

    /// Runs a part of the inner service with this exchange's Context as the current one.
    pub(crate) fn run<T>(&self, inner: impl FnOnce() -> T) -> T {
        let _attached = self.attached().map(|cx| cx.clone().attach());
        let Some(live) = self.live() else {
            return inner();
        };
        live.set_inside(true);
        let result = inner();
        live.set_inside(false);
        result
    }

    /// The response's head is there; `length` is how long its body will be, if it says so. Ends the
    /// span if the head is all that it waits for.
    pub(crate) fn head(&mut self, response: &mut Response<()>, length: Option<u64>, empty: bool) {
        let State::Open(live, reader) = &mut self.0 else {
            return;
        };
        let after = live.elapsed();
        live.propagate(response.headers_mut());
        // After the messages of a call there are trailers to come, however long the messages are.
        let length = length.filter(|_| live.call().is_none() || !trailers_follow(response));
        live.answered(response.status(), length);
        if let Reader::Classification(classification) = reader {
            contained(|| classification.head(response));
        } else if live.call().is_some() {
            *reader = Trailers::in_body_of(response.headers())
                .map_or(Reader::Nobody, |trailers| Reader::Trailers(Box::new(trailers)));
        }
        let head = ResponseHead::new(response);
        live.describe_response(&head);
        if empty || live.ends_with_head(response.status()) {
            self.end(Outcome::Complete);
        } else if live.span_end(&head) == SpanEnd::Head {
            self.end(Outcome::Answered);
        } else {
            live.goes_on(after);
        }
    }

    /// Another part of the response has been handed over.
    pub(crate) fn data(&mut self, data: &impl Buf) {
        let State::Open(live, reader) = &mut self.0 else {
            return;
        };
        live.sent(u64::try_from(data.remaining()).unwrap_or(u64::MAX));
        let Reader::Trailers(body) = reader else {
            return;
        };
        match contained(|| body.read(data)).unwrap_or(Found::Unreadable) {
            Found::Nothing => {}
            Found::Trailers(trailers) => self.trailers(&trailers),
            Found::Unreadable => {
                if let Some(call) = live.call() {
                    call.set_unreadable();
                }
                *reader = Reader::Nobody;
            }
        }
    }

    /// The trailers are there, and with them the end.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some((live, call)) = self.live().and_then(|live| Some((live, live.call()?))) {
            call.trailers(trailers, live.settings());
        }
        self.end_with(Outcome::Complete, Some(trailers));
    }

    /// The exchange is over. Whatever of the service still runs does so in the same Context.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.end_with(outcome, None);
    }

    fn end_with(&mut self, outcome: Outcome, trailers: Option<&HeaderMap>) {
        let State::Open(live, reader) = &mut self.0 else {
            return;
        };
        let failed = match reader {
            // What broke a response off is a failure without its being asked.
            Reader::Classification(classification)
                if outcome.is_the_responses(live.settings().side) =>
            {
                contained(|| classification.failed(trailers)).flatten()
            }
            _ => None,
        };
        let after = live.attached().cloned().map_or(State::Done, State::Bare);
        let State::Open(live, _) = mem::replace(&mut self.0, after) else {
            return;
        };
        let duration = live.elapsed();
        let is_error = live.describe_end(outcome, failed, duration);
        let Some(span) = live.span() else {
            return;
        };
        if is_error {
            // No description: `error.type` and the status code say all there is to say.
            span.set_status(Status::error(""));
        }
        // A processor of the user's may panic; in a drop, while something else does, that would be
        // the end of the program.
        contained(|| span.end_with_timestamp(live.started_at() + duration));
    }
}

/// Whether a response to a call is one of gRPC over HTTP/2, as far as it says what it is.
fn trailers_follow(response: &Response<()>) -> bool {
    let headers = response.headers();
    let says_no_other = !headers.contains_key(header::CONTENT_TYPE)
        || Encoding::of(headers) == Some(Encoding::Http2);
    response.status() == StatusCode::OK && says_no_other
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("span_id", &self.span_id())
            .field("open", &self.is_open())
            .finish()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(live) = self.live() {
            self.end(live.outcome_of_drop(thread::panicking()));
        }
    }
}
