//! A span that records and has not ended: what is known of its exchange by now.

use std::{
    borrow::Cow,
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
        head::ResponseHead,
        hooks::Ended,
        outcome::{Outcome, Side},
        settings::Settings,
        told::{Route, Told},
    },
    semconv::{keys, legacy, method::Folded},
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
    pub(crate) method: Folded,
    /// Whether the name was given by the user, so that a route does not change it.
    pub(crate) named: bool,
    pub(crate) route: Option<Route>,
    /// Whether it is on the span already, where it can only stay.
    pub(crate) route_is_written: bool,
    /// What hooks have set.
    pub(crate) hook_keys: Vec<Key>,
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
        let nothing = settings.response_headers.is_empty() && settings.hooks.response.is_empty();
        let Some(known) = self.known.as_ref().filter(|_| !nothing) else {
            return;
        };
        let mut list = Vec::new();
        settings.response_headers.capture(head.headers(), &settings.redaction, &mut list);
        self.with_hook_keys(known, &mut list, |list, taken| {
            settings.hooks.response(head, list, taken);
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
        let route = known.route(facts.and_then(|facts| facts.route.as_ref()));
        if let Some(name) = known.late_name(facts.and_then(|facts| facts.name.as_ref()), route) {
            span.update_name(name);
        }

        let status_code = self.status_code();
        let told = facts.and_then(|facts| facts.error_type(status_code.is_some()));
        let waited_for_body = outcome != Outcome::Answered;
        let error_type = outcome.error_type(settings.side, status_code, failed, told);
        let response_size = self.sent.load(Relaxed);
        let ended = Ended {
            status_code,
            error_type: error_type.as_deref(),
            route: route.map(|route| route.pattern.as_str()),
            duration,
            response_size,
        };

        let size = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        let has_response = status_code.is_some();
        let head_after = self.head_after.load(Relaxed);
        let sized = settings.response_size && has_response && waited_for_body;
        let time_to_head = Duration::from_nanos(head_after).as_secs_f64();
        let attributes = [
            route
                .filter(|_| !known.route_is_written)
                .map(|route| KeyValue::new(keys::HTTP_ROUTE, route.pattern.clone())),
            status_code.map(|status_code| {
                KeyValue::new(keys::HTTP_RESPONSE_STATUS_CODE, i64::from(status_code.as_u16()))
            }),
            error_type.clone().map(|error_type| KeyValue::new(keys::ERROR_TYPE, error_type)),
            (head_after != 0).then(|| KeyValue::new(keys::TIME_TO_HEAD, time_to_head)),
            self.told
                .request_size()
                .map(|bytes| KeyValue::new(keys::HTTP_REQUEST_BODY_SIZE, size(bytes))),
            sized.then(|| KeyValue::new(keys::HTTP_RESPONSE_BODY_SIZE, size(response_size))),
        ];
        let attributes = attributes.into_iter().flatten();
        if settings.legacy_names.is_none() && !settings.hooks.any_at_end() {
            span.set_attributes(attributes);
        } else {
            let mut list: Vec<_> = attributes.collect();
            if let Some(names) = settings.legacy_names {
                legacy::rename(&mut list, names);
            }
            self.with_hook_keys(known, &mut list, |list, taken| {
                settings.hooks.end(&ended, list, taken);
            });
            span.set_attributes(list);
        }
        error_type.is_some()
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
    fn route<'a>(&'a self, told: Option<&'a Route>) -> Option<&'a Route> {
        match (&self.route, told) {
            (Some(known), Some(told)) => Some(if told.beats(known) { told } else { known }),
            (known, told) => known.as_ref().or(told),
        }
    }

    /// The span's name, if it is another than at the start.
    fn late_name(
        &self,
        told: Option<&Cow<'static, str>>,
        route: Option<&Route>,
    ) -> Option<Cow<'static, str>> {
        if told.is_some() || self.named {
            return told.cloned();
        }
        let known = self.route.as_ref().map(|route| route.pattern.as_str());
        let route = route.map(|route| route.pattern.as_str());
        (route != known).then(|| self.method.span_name(route))
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
