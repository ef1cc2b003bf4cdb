//! A span that records and has not ended: what is known of its exchange by now.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, StatusCode};
use opentelemetry::{Context, Key, KeyValue, trace::TraceContextExt};

use crate::{
    exchange::{
        end::End,
        grpc::call::Call,
        hooks::Ended,
        http::HttpRequest,
        outcome::{Outcome, Side},
        settings::Settings,
        span_end::SpanEnd,
        told::Told,
    },
    head::ResponseHead,
    semconv::{
        grpc::status::Status,
        keys::{self, Convention},
        legacy,
    },
};

/// The state of an exchange between its start and its end.
///
/// It is shared with the inside, which tells it things. What is not told is written by the guard
/// alone, wherever that is polled; it is atomic so that it can be in here at all, and of the two
/// one allocation.
pub(crate) struct Live {
    pub(crate) told: Told,
    start: Start,
    /// `None` if what is set on the span goes nowhere. Such a span may still be named to the
    /// caller.
    known: Option<Known>,
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
    /// What hooks have set, once one has done so after the start.
    hook_keys: ArcSwapOption<Vec<Key>>,
}

/// What is known from the start on.
pub(crate) struct Start {
    pub(crate) cx: Context,
    pub(crate) settings: Arc<Settings>,
    /// Whether the caller may be told of the span.
    pub(crate) propagates: bool,
    /// Both read at the start: the one says when, the other how long. A wall clock that is set in
    /// between makes no span longer or shorter.
    pub(crate) started_at: SystemTime,
    pub(crate) clock: Instant,
    /// After a head with such a status code no body will be asked for; that depends on the method.
    pub(crate) ends_with_head: fn(StatusCode) -> bool,
}

/// What is known of the request of a span that records.
pub(crate) struct Known {
    pub(crate) request: Kind,
    /// Whether the name was given by the user, so that a route does not change it.
    pub(crate) named: bool,
    /// What hooks have set.
    pub(crate) hook_keys: Vec<Key>,
}

/// What kind of request it is.
#[derive(Debug)]
pub(crate) enum Kind {
    Http(HttpRequest),
    Grpc(Call),
}

const UNKNOWN: u64 = u64::MAX;

impl Live {
    pub(crate) fn new(start: Start, known: Option<Known>) -> Self {
        Self {
            told: Told::default(),
            start,
            known,
            status_code: AtomicU16::new(0),
            head_after: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            length: AtomicU64::new(UNKNOWN),
            inside: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            hook_keys: ArcSwapOption::const_empty(),
        }
    }

    pub(crate) fn cx(&self) -> &Context {
        &self.start.cx
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.start.settings
    }

    /// Whether what is told goes anywhere.
    pub(crate) fn is_recording(&self) -> bool {
        self.known.is_some() && !self.ended.load(Relaxed)
    }

    /// Whether a classifier has a say. It is one of HTTP's responses; to many of them a call that has
    /// failed is a success.
    pub(crate) fn is_classified(&self) -> bool {
        self.is_recording() && self.call().is_none()
    }

    /// Tells the caller, who is to get `headers`, which span this is.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        if self.start.propagates {
            self.settings().response_propagation.write(self.cx().span().span_context(), headers);
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

    /// The call that it is, if it is one and records.
    pub(crate) fn call(&self) -> Option<&Call> {
        match &self.known.as_ref()?.request {
            Kind::Grpc(call) => Some(call),
            Kind::Http(_) => None,
        }
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

    /// Puts on the span what was asked for of the response's head.
    pub(crate) fn describe_response(&self, head: &ResponseHead<'_>) {
        let settings = self.settings();
        if let Some(call) = self.call() {
            call.head(head.headers(), settings);
        }
        let nothing = settings.response_headers.is_empty() && settings.hooks.response.is_empty();
        let Some(known) = self.known.as_ref().filter(|_| !nothing) else {
            return;
        };
        let mut list = Vec::new();
        if known.convention() == Convention::Http {
            settings.response_headers.capture(head.headers(), &settings.redaction, &mut list);
        }
        self.with_hook_keys(known, &mut list, |list, taken| {
            settings.hooks.response(head, list, taken, known.convention());
        });
        self.cx().span().set_attributes(list);
    }

    /// Puts on the span what is known at its end. Whether it is an error.
    pub(crate) fn describe_end(
        &self,
        outcome: Outcome,
        failed: Option<bool>,
        duration: Duration,
    ) -> bool {
        self.ended.store(true, Relaxed);
        let Some(known) = &self.known else {
            return false;
        };
        let settings = self.settings();
        let span = self.cx().span();
        let facts = self.told.facts();
        let facts = facts.as_deref();
        let (status_code, response_size) = (self.status_code(), self.sent.load(Relaxed));
        let told_name = facts.and_then(|facts| facts.name.clone());
        let end = End {
            named: known.named || told_name.is_some(),
            side: settings.side,
            outcome,
            failed,
            status_code,
            duration,
            facts,
            request_size: self.told.request_size(),
            response_size,
        };
        let ending = match &known.request {
            Kind::Http(request) => request.end(end, settings),
            Kind::Grpc(call) => call.end(end, settings),
        };
        if let Some(name) = told_name.or(ending.name) {
            span.update_name(name);
        }

        let head_after = self.head_after.load(Relaxed);
        let time_to_head = (head_after != 0).then(|| {
            KeyValue::new(keys::TIME_TO_HEAD, Duration::from_nanos(head_after).as_secs_f64())
        });
        let error_type =
            ending.error_type.clone().map(|name| KeyValue::new(keys::ERROR_TYPE, name));
        let attributes = ending.attributes.into_iter().chain([error_type, time_to_head]);
        let attributes = attributes.flatten().chain(ending.more);
        let convention = known.convention();
        let old_names = settings.legacy_names.filter(|_| convention == Convention::Http);
        if old_names.is_none() && !settings.hooks.any_at_end() {
            span.set_attributes(attributes);
        } else {
            let mut list: Vec<_> = attributes.collect();
            if let Some(names) = old_names {
                legacy::rename(&mut list, names);
            }
            let ended = Ended {
                status_code,
                error_type: ending.error_type.as_deref(),
                route: ending.route.map(|route| route.pattern.as_str()),
                grpc_status: ending.grpc_status,
                duration,
                response_size,
            };
            self.with_hook_keys(known, &mut list, |list, taken| {
                settings.hooks.end(&ended, list, taken, convention);
            });
            span.set_attributes(list);
        }
        ending.error_type.is_some()
    }

    /// Lets hooks add to the list, and remembers what they have added.
    fn with_hook_keys(
        &self,
        known: &Known,
        list: &mut Vec<KeyValue>,
        hooks: impl FnOnce(&mut Vec<KeyValue>, &[Key]),
    ) {
        let before = list.len();
        let since = self.hook_keys.load_full();
        let taken = since.as_deref().unwrap_or(&known.hook_keys);
        hooks(list, taken);
        if list.len() > before {
            let added = list[before..].iter().map(|attribute| attribute.key.clone());
            let keys = taken.iter().cloned().chain(added).collect();
            self.hook_keys.store(Some(Arc::new(keys)));
        }
    }
}

impl Known {
    pub(crate) fn convention(&self) -> Convention {
        match self.request {
            Kind::Http(_) => Convention::Http,
            Kind::Grpc(_) => Convention::Rpc,
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("span_id", &self.cx().span().span_context().span_id())
            .field("status_code", &self.status_code())
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
