//! An exchange that has not ended, and is recorded or measured: what is known of it by now.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, StatusCode};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanRef, TraceContextExt},
};

use crate::{
    exchange::{
        end::End,
        exceptions::{Exception, Place},
        grpc::call::Call,
        hooks::Ended,
        kind::Kind,
        metrics::measured::{Measured, Sizes, believed},
        outcome::{Outcome, Side},
        recorded::Recorded,
        settings::Settings,
        span_end::SpanEnd,
        told::{Facts, Told},
    },
    head::ResponseHead,
    semconv::{grpc::status::Status, keys},
};

/// The state of an exchange between its start and its end.
///
/// It is shared with the inside, which tells it things. What is not told is written by the guard
/// alone, wherever that is polled; it is atomic so that it can be in here at all, and of the two
/// one allocation.
pub(crate) struct Live {
    pub(crate) told: Told,
    start: Start,
    /// `None` if nothing is said of the end. Such an exchange has a span that may still be named to
    /// the caller.
    request: Option<Kind>,
    /// `None` if what is set on the span goes nowhere.
    recorded: Option<Recorded>,
    measured: Option<Measured>,
    /// 0 before there is one.
    status_code: AtomicU16,
    /// From the start to the response's head, in nanoseconds; 0 before that, and if the span ends
    /// with the head.
    head_after: AtomicU64,
    /// How many bytes of the response were handed over.
    sent: AtomicU64,
    /// How many there will be, where the head says it; else [`UNKNOWN`].
    length: AtomicU64,
    /// Set while the inner service or body runs; left behind if that panics.
    inside: AtomicBool,
    /// Set once by the end.
    ended: AtomicBool,
    /// What a request is known by where no span says which it is.
    mark: AtomicU64,
}

/// What is known from the start on.
pub(crate) struct Start {
    pub(crate) cx: Context,
    /// Whether that is current while the service runs. What only measures leaves it alone.
    pub(crate) attaches: bool,
    /// Whether its span is this exchange's own, recorded or not, and not that of a caller. With the
    /// span come its exceptions, which are of one layer then, too.
    pub(crate) owns_span: bool,
    pub(crate) settings: Arc<Settings>,
    /// Whether the caller may be told of the span.
    pub(crate) propagates: bool,
    /// Both read at the start: the one says when, the other how long. A wall clock that is set in
    /// between makes no span longer or shorter.
    pub(crate) started_at: SystemTime,
    pub(crate) clock: Instant,
    /// After a head with such a status code no body will be asked for; that depends on the method.
    pub(crate) ends_with_head: fn(StatusCode) -> bool,
    /// What another layer has opened for the same request, and is told the same.
    pub(crate) outer: Option<Arc<Live>>,
}

/// What is known of a request, and where that goes.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) request: Kind,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) measured: Option<Measured>,
}

const UNKNOWN: u64 = u64::MAX;

impl Live {
    pub(crate) fn new(start: Start, known: Option<Known>) -> Self {
        let (request, recorded, measured) = known.map_or((None, None, None), |known| {
            (Some(known.request), known.recorded, known.measured)
        });
        Self {
            told: Told::default(),
            start,
            request,
            recorded,
            measured,
            status_code: AtomicU16::new(0),
            head_after: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            length: AtomicU64::new(UNKNOWN),
            inside: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            mark: AtomicU64::new(0),
        }
    }

    /// The exchange's own span, if it has one.
    pub(crate) fn span(&self) -> Option<SpanRef<'_>> {
        self.start.owns_span.then(|| self.start.cx.span())
    }

    pub(crate) fn cx(&self) -> &Context {
        &self.start.cx
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.start.settings
    }

    /// The Context, if it is to be current while the service runs.
    pub(crate) fn attached(&self) -> Option<&Context> {
        self.start.attaches.then_some(&self.start.cx)
    }

    pub(crate) fn outer(&self) -> Option<&Self> {
        self.start.outer.as_deref()
    }

    /// Whether it was decided on a span, so that no layer further in makes one.
    pub(crate) fn is_traced(&self) -> bool {
        self.start.owns_span
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    /// Whether what is set on the span goes anywhere.
    pub(crate) fn is_recording(&self) -> bool {
        self.recorded.is_some() && !self.ended.load(Relaxed)
    }

    /// Whether anybody wants to know of an exception.
    pub(crate) fn excepts(&self) -> bool {
        self.start.owns_span && self.settings().exceptions.wants(self.is_recording())
    }

    /// Whether anybody wants to know its message.
    pub(crate) fn wants_message(&self) -> bool {
        self.start.owns_span && self.settings().exceptions.wants_message(self.is_recording())
    }

    /// Whether what is told goes anywhere: onto the span, or onto metrics.
    pub(crate) fn listens(&self) -> bool {
        self.request.is_some() && !self.ended.load(Relaxed)
    }

    pub(crate) fn mark(&self, mark: u64) {
        self.mark.store(mark, Relaxed);
    }

    /// By what the request is known, if no span says it.
    pub(crate) fn marked(&self) -> u64 {
        self.mark.load(Relaxed)
    }

    /// From here on it is under way, until its end.
    pub(crate) fn begin(&self) {
        if let Some((request, measured)) = self.request.as_ref().zip(self.measured.as_ref()) {
            measured.begin(request);
        }
    }

    /// Whether a classifier has a say. It is one of HTTP's responses; to many of them a call that
    /// has failed is a success.
    pub(crate) fn is_classified(&self) -> bool {
        self.listens() && self.call().is_none()
    }

    /// Tells the caller, who is to get `headers`, which span this is.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        if let Some(span) = self.span().filter(|_| self.start.propagates) {
            self.settings().response_propagation.write(span.span_context(), headers);
        }
    }

    pub(crate) fn started_at(&self) -> SystemTime {
        self.start.started_at
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.clock.elapsed()
    }

    pub(crate) fn set_inside(&self, inside: bool) {
        self.inside.store(inside, Relaxed);
    }

    pub(crate) fn answered(&self, status_code: StatusCode, length: Option<u64>) {
        self.status_code.store(status_code.as_u16(), Relaxed);
        self.length.store(length.unwrap_or(UNKNOWN), Relaxed);
    }

    /// The head, which was there `after` so long, is not the end.
    pub(crate) fn goes_on(&self, after: Duration) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.head_after.store(after.max(1), Relaxed);
    }

    pub(crate) fn sent(&self, length: u64) {
        self.sent.fetch_add(length, Relaxed);
    }

    pub(crate) fn ends_with_head(&self, status_code: StatusCode) -> bool {
        (self.start.ends_with_head)(status_code)
    }

    /// What the span waits for. The status of a call is in its trailers, so there only who knows
    /// this very response can say that it need not be waited for.
    pub(crate) fn span_end(&self, head: &ResponseHead<'_>) -> SpanEnd {
        match self.call() {
            Some(_) => head.extensions().get().copied().unwrap_or(SpanEnd::Body),
            None => self.settings().span_end.of(head),
        }
    }

    /// The call that it is, if it is one and listens.
    pub(crate) fn call(&self) -> Option<&Call> {
        self.request.as_ref()?.call()
    }

    fn is_ok(&self) -> bool {
        self.status_code() == Some(StatusCode::OK)
    }

    /// Which status the call has, as far as can be told from what it has failed with, unless the
    /// server has said it, or has said something else than is said to calls.
    pub(crate) fn set_grpc_status(&self, status: Status) {
        let Some(call) = self.call() else {
            return;
        };
        let may_imply = self.status_code().is_none() || self.is_ok();
        if may_imply && call.status().is_none() {
            call.set_status(status);
        }
    }

    fn status_code(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status_code.load(Relaxed)).ok()
    }

    /// What it means that the guard was let go of.
    pub(crate) fn outcome_of_drop(&self, panicking: bool) -> Outcome {
        let length = self.length.load(Relaxed);
        if self.inside.load(Relaxed) {
            Outcome::Panicked
        } else if length != UNKNOWN && self.sent.load(Relaxed) >= length {
            // A server stops asking once it has sent as much as the head has announced.
            Outcome::Complete
        } else if panicking && self.settings().side == Side::Server {
            // What unwinds further out has cut off the response. A client's caller has let go of
            // it, which is no panic of the client.
            Outcome::Panicked
        } else {
            Outcome::Cancelled
        }
    }

    /// Says what there is to say of the response's head.
    pub(crate) fn describe_response(&self, head: &ResponseHead<'_>) {
        let Some(request) = &self.request else {
            return;
        };
        let settings = self.settings();
        if let Some(call) = request.call() {
            call.head(head.headers(), settings);
        }
        if let Some(measured) = &self.measured {
            measured.head(request, head);
        }
        if let Some((recorded, span)) = self.recorded.as_ref().zip(self.span()) {
            recorded.response(&span, head, settings, request.convention());
        }
    }

    /// Records and measures what is known at the end. Whether it is an error.
    pub(crate) fn describe_end(
        &self,
        outcome: Outcome,
        failed: Option<bool>,
        duration: Duration,
    ) -> bool {
        self.ended.store(true, Relaxed);
        let Some(request) = &self.request else {
            return false;
        };
        let settings = self.settings();
        let facts = self.told.facts();
        let facts = facts.as_deref();
        let (status_code, sent) = (self.status_code(), self.sent.load(Relaxed));
        let told_name = facts.and_then(|facts| facts.name.clone());
        let named = self.recorded.as_ref().is_none_or(|recorded| recorded.named);
        let sizes = Sizes {
            request: self.told.request_size(),
            response: status_code.and_then(|_| self.response_size(&outcome)),
        };
        let exception = self.exception(&outcome, facts, status_code.is_some());
        let ending = request.end(
            End {
                named: named || told_name.is_some(),
                side: settings.side,
                outcome,
                failed,
                status_code,
                duration,
                facts,
                request_size: sizes.request,
                response_size: sent,
            },
            settings,
        );
        let ended = Ended {
            status_code,
            error_type: ending.error_type.as_deref(),
            route: ending.route.map(|route| route.pattern.as_str()),
            grpc_status: ending.grpc_status,
            duration,
            response_size: sent,
        };
        if let Some(measured) = &self.measured {
            measured.end(request, &ended, &ending, settings.legacy_grpc_names, &sizes);
        }
        if let Some(exception) = exception {
            let span = self.cx().span();
            let place = Place {
                side: settings.side,
                convention: request.convention(),
                at: self.started_at() + duration,
                span: span.span_context(),
            };
            let recording = self.recorded.as_ref().map(|_| &span);
            settings.exceptions.record(&exception, &place, recording);
        }
        if let Some((recorded, span)) = self.recorded.as_ref().zip(self.span()) {
            let head_after = self.head_after.load(Relaxed);
            let time_to_head = (head_after != 0).then(|| {
                KeyValue::new(keys::TIME_TO_HEAD, Duration::from_nanos(head_after).as_secs_f64())
            });
            let error_type =
                ending.error_type.clone().map(|name| KeyValue::new(keys::ERROR_TYPE, name));
            let attributes = ending.attributes.into_iter().chain([error_type, time_to_head]);
            let attributes = attributes.flatten().chain(ending.more);
            let name = told_name.or(ending.name);
            recorded.end(&span, name, attributes, &ended, settings, request.convention());
        }
        ended.error_type.is_some()
    }

    /// What it has failed with, if that is to be recorded.
    fn exception<'a>(
        &self,
        outcome: &Outcome,
        facts: Option<&'a Facts>,
        responded: bool,
    ) -> Option<Cow<'a, Exception>> {
        if !self.start.owns_span || matches!(outcome, Outcome::Status) {
            return None;
        }
        // What was told of an attempt before is none of a request that went on and then ended
        // otherwise.
        let of_service = matches!(outcome, Outcome::Failed(_)) && !responded;
        let told = facts.and_then(|facts| facts.exception(of_service));
        match (told, Exception::of_end(outcome)) {
            // A box has no name, and the end may have a word.
            (Some(told), Some(end)) if told.type_name == keys::OTHER => {
                Some(Cow::Owned(Exception { message: told.message.clone(), ..end }))
            }
            (Some(told), _) => Some(Cow::Borrowed(told)),
            (None, end) => end.map(Cow::Owned),
        }
    }

    /// How large the response's body is, as far as that is known when it ends so.
    fn response_size(&self, outcome: &Outcome) -> Option<u64> {
        match outcome {
            Outcome::Answered => believed(self.length.load(Relaxed)),
            _ => Some(self.sent.load(Relaxed)),
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("span_id", &self.span().map(|span| span.span_context().span_id()))
            .field("status_code", &self.status_code())
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
