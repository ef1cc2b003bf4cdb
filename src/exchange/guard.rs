//! The guard: one clock, one end.

use std::{
    borrow::Cow,
    fmt, thread,
    time::{Instant, SystemTime},
};

use http::StatusCode;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, Status, TraceContextExt},
};

use crate::{exchange::outcome::Outcome, semconv::keys, tracer::TracerSource};

/// Holds one exchange's Context and ends its span, once.
///
/// It moves from the future to the body and costs them 32 bytes; what only a span that records
/// needs is behind a pointer, so that one that does not allocates nothing here.
pub(crate) struct Guard {
    cx: Context,
    live: Option<Box<Live>>,
}

/// A span that records and has not ended.
struct Live {
    /// Both read at the start: the one says when, the other how long. A wall clock that is set in
    /// between makes no span longer or shorter.
    started_at: SystemTime,
    clock: Instant,
    status_code: Option<StatusCode>,
    /// How many bytes of the response are still to come, where its head says how many there are.
    remaining: Option<u64>,
    /// Set while the inner service or body runs; left behind if that panics.
    inside: bool,
    /// Which status codes mean that no body follows; that depends on the request's method.
    ends_with_head: fn(StatusCode) -> bool,
}

impl Guard {
    /// Starts a span as a child of that in `parent_cx`, and its clock.
    pub(crate) fn start(tracer: &TracerSource, builder: SpanBuilder, parent_cx: &Context) -> Self {
        let started_at = SystemTime::now();
        let clock = Instant::now();
        let started = tracer.start(builder.with_start_time(started_at), parent_cx);
        let live = started.recording.then(|| {
            Box::new(Live {
                started_at,
                clock,
                status_code: None,
                remaining: None,
                inside: false,
                ends_with_head: |_| false,
            })
        });
        Self { cx: started.cx, live }
    }

    /// Whether what is set on the span goes anywhere.
    pub(crate) fn is_recording(&self) -> bool {
        self.live.is_some()
    }

    /// What came too late for the span's builder.
    pub(crate) fn describe(&self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        let span = self.cx.span();
        span.update_name(name);
        span.set_attributes(attributes);
    }

    /// After a head with a status code that `ends_with_head` no body will be asked for.
    pub(crate) fn expect(&mut self, ends_with_head: fn(StatusCode) -> bool) {
        if let Some(live) = &mut self.live {
            live.ends_with_head = ends_with_head;
        }
    }

    /// Runs a part of the inner service with this exchange's Context as the current one.
    pub(crate) fn run<T>(&mut self, inner: impl FnOnce() -> T) -> T {
        let _attached = self.cx.clone().attach();
        self.set_inside(true);
        let result = inner();
        self.set_inside(false);
        result
    }

    fn set_inside(&mut self, inside: bool) {
        if let Some(live) = &mut self.live {
            live.inside = inside;
        }
    }

    /// The response's head is there; `length` is how long its body will be, if it says so. Whether
    /// the head is all that is awaited.
    pub(crate) fn head(&mut self, status_code: StatusCode, length: Option<u64>) -> bool {
        let Some(live) = &mut self.live else {
            return false;
        };
        live.status_code = Some(status_code);
        live.remaining = length;
        (live.ends_with_head)(status_code)
    }

    /// Another `length` bytes of the response have been handed over.
    pub(crate) fn data(&mut self, length: u64) {
        if let Some(remaining) = self.live.as_mut().and_then(|live| live.remaining.as_mut()) {
            *remaining = remaining.saturating_sub(length);
        }
    }

    /// The exchange is over. Whatever of the service still runs does so in the same Context.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        let Some(live) = self.live.take() else {
            return;
        };
        let span = self.cx.span();
        if let Some(status_code) = live.status_code {
            let status_code = i64::from(status_code.as_u16());
            span.set_attribute(KeyValue::new(keys::HTTP_RESPONSE_STATUS_CODE, status_code));
        }
        if let Some(error_type) = outcome.server_error(live.status_code) {
            span.set_attribute(KeyValue::new(keys::ERROR_TYPE, error_type));
            // No description: `error.type` and the status code say all there is to say.
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(live.started_at + live.clock.elapsed());
    }

    /// What it means that the guard was let go of.
    fn outcome_of_drop(live: &Live) -> Outcome {
        if live.inside || thread::panicking() {
            Outcome::Panicked
        } else if live.remaining == Some(0) {
            // A server stops asking once it has sent as much as the head has announced.
            Outcome::Complete
        } else {
            Outcome::Cancelled
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("span_id", &self.cx.span().span_context().span_id())
            .field("open", &self.live.is_some())
            .finish()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            self.end(Self::outcome_of_drop(live));
        }
    }
}
