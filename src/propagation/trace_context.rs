//! W3C Trace Context: the `traceparent` and `tracestate` headers.

use http::HeaderName;
use opentelemetry::{Context, trace::TraceContextExt};

use crate::propagation::{
    carrier::{Source, Target},
    received::{Received, with_remote},
    traceparent, tracestate,
};

/// The [W3C Trace Context] format, Level 2.
///
/// What is received:
///
/// * `traceparent`: fields have [their exact length and are in lower case][format], of a version
///   that is not `ff`; of a [later version][versions] the fields that are known. One that breaks
///   the format, or that comes more than once, counts as none.
/// * `tracestate`: all lines as [one list][list] of up to 32 members, empty ones aside, in the
///   order in which they came. Keys may be all that Level 2 allows, values are carried along byte
///   for byte; of several with one key the first one counts. A list that breaks the format, or that
///   is longer than 32 KiB, which is twice what the longest members come to, [is dropped
///   whole][invalid]; the `traceparent` stays.
///
/// What is sent is always of version `00`, with the flags [sampled] and [random] and no other. A
/// `tracestate` that is empty is not sent.
///
/// OpenTelemetry's `TraceState` does not hold every key of Level 2, and a span that is sampled out
/// loses the random flag; both travel beside the span in the Context. What somebody changes in the
/// span's `TraceState` counts for all that: it comes first, and what was taken out is not sent.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context-2/
/// [format]: https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values
/// [versions]: https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
/// [list]: https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
/// [invalid]: https://www.w3.org/TR/trace-context-2/#tracestate-header
/// [sampled]: https://www.w3.org/TR/trace-context-2/#sampled-flag
/// [random]: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
///
/// # Example
///
/// ```
/// use opentelemetry::{Context, trace::TraceContextExt};
/// use tower_telemetry::propagation::{Propagator, TraceContext};
///
/// let w3c = Propagator::new(TraceContext::new());
/// let mut headers = http::HeaderMap::new();
/// // Upper case is not the format, so the request has no parent.
/// headers.insert(
///     "traceparent",
///     "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01".parse()?,
/// );
/// assert!(!w3c.extract(&Context::new(), &headers).has_active_span());
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContext {
    _private: (),
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

pub(super) static FIELDS: [&HeaderName; 2] = [&TRACEPARENT, &TRACESTATE];

impl TraceContext {
    /// The propagator; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

#[inline]
pub(super) fn extract(cx: &Context, from: &impl Source) -> Option<Context> {
    let (trace_id, span_id, flags) = traceparent::parse(from.only_line(&TRACEPARENT)?)?;
    let (state, tracestate) = tracestate::read(from.lines(&TRACESTATE));
    let mut received = Received::default();
    received.tracestate = tracestate;
    Some(with_remote(cx, (trace_id, span_id), flags, state, received))
}

pub(super) fn inject(cx: &Context, to: &mut impl Target) {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    to.set(&TRACEPARENT, traceparent::write(span, Received::random(cx, span)));
    let received = Received::of(cx, span).and_then(|received| received.tracestate.as_deref());
    match tracestate::write(span.trace_state(), received) {
        Some(list) => to.set(&TRACESTATE, list),
        None => to.remove(&TRACESTATE),
    }
}
