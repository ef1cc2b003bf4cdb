//! B3, which Zipkin and many meshes speak: the `b3` header, or the `x-b3-` headers.

use http::HeaderName;
use opentelemetry::{
    Context, SpanId, TraceId,
    trace::{TraceContextExt, TraceState},
};

use crate::propagation::{
    carrier::{Source, Target},
    hex,
    received::{Decision, Received, with_remote},
};

/// The [B3] format of Zipkin, as [OpenTelemetry][otel] wants it.
///
/// Both encodings are read, the single header first. Written is the single one, unless
/// [the other](Self::with_multiple_headers) was asked for; what else of B3 is in the headers is
/// taken away, so that there are not two truths. Without a span nothing is written.
///
/// Ids are in lower case; a trace id of 16 digits is [padded with zeros][64]. Debug is kept for the
/// whole trace and means sampled. Where the caller has left the decision to others, the sampler of a
/// [`SamplerBuilder`](crate::SamplerBuilder) makes it, as for a trace that begins here; any other
/// takes it for not sampled, since OpenTelemetry has no word for it. A span that is only passed on
/// goes without a decision again. A decision without ids names no parent. The caller's parent is
/// neither read nor written.
///
/// [B3]: https://github.com/openzipkin/b3-propagation
/// [otel]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#b3-requirements
/// [64]: https://github.com/openzipkin/b3-propagation#traceid-1
///
/// # Example
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::Context;
/// use tower_telemetry::propagation::{B3, Propagator};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-b3-traceid", "0af7651916cd43dd8448eb211c80319c".parse()?);
/// headers.insert("x-b3-spanid", "b7ad6b7169203331".parse()?);
/// headers.insert("x-b3-sampled", "1".parse()?);
/// let cx = Propagator::new(B3::new()).extract(&Context::new(), &headers);
///
/// let mut outgoing = HeaderMap::new();
/// Propagator::new(B3::new()).inject(&cx, &mut outgoing);
/// assert_eq!(outgoing["b3"], "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1");
///
/// Propagator::new(B3::new().with_multiple_headers()).inject(&cx, &mut outgoing);
/// assert_eq!(outgoing, headers);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct B3 {
    pub(super) multiple_headers: bool,
}

static SINGLE: HeaderName = HeaderName::from_static("b3");
static TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
static SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
static SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
static FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");
static PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");

pub(super) static SINGLE_FIELDS: [&HeaderName; 1] = [&SINGLE];
pub(super) static MULTIPLE_FIELDS: [&HeaderName; 4] = [&TRACE_ID, &SPAN_ID, &SAMPLED, &FLAGS];

/// All there is of both encodings.
pub(super) static NAMES: [&HeaderName; 6] =
    [&SINGLE, &TRACE_ID, &SPAN_ID, &SAMPLED, &FLAGS, &PARENT_SPAN_ID];

impl B3 {
    /// Reads both encodings and writes the single header.
    pub const fn new() -> Self {
        Self { multiple_headers: false }
    }

    /// Writes the headers `x-b3-traceid`, `x-b3-spanid`, and `x-b3-sampled` or, for debug,
    /// `x-b3-flags`. Default: the one header `b3`.
    pub const fn with_multiple_headers(mut self) -> Self {
        self.multiple_headers = true;
        self
    }
}

pub(super) fn extract(cx: &Context, from: &impl Source) -> Option<Context> {
    let single = from.only_line(&SINGLE).and_then(read_single);
    let (trace_id, span_id, decision) = single.or_else(|| read_multiple(from))?;
    let received = Received::decided(decision);
    Some(with_remote(cx, (trace_id, span_id), decision.flags(), TraceState::NONE, received))
}

pub(super) fn inject(cx: &Context, to: &mut impl Target, multiple_headers: bool) {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let decision = Decision::of(cx, span);
    let mut trace_id = Vec::with_capacity(51);
    hex::push(&mut trace_id, &span.trace_id().to_bytes());
    if multiple_headers {
        let mut span_id = Vec::with_capacity(16);
        hex::push(&mut span_id, &span.span_id().to_bytes());
        to.set(&TRACE_ID, trace_id);
        to.set(&SPAN_ID, span_id);
        match decision {
            Decision::Undecided => {}
            Decision::No => to.set(&SAMPLED, b"0".to_vec()),
            Decision::Yes => to.set(&SAMPLED, b"1".to_vec()),
            Decision::Debug => to.set(&FLAGS, b"1".to_vec()),
        }
        return;
    }
    let mut value = trace_id;
    value.push(b'-');
    hex::push(&mut value, &span.span_id().to_bytes());
    value.extend::<&[u8]>(match decision {
        Decision::Undecided => b"",
        Decision::No => b"-0",
        Decision::Yes => b"-1",
        Decision::Debug => b"-d",
    });
    to.set(&SINGLE, value);
}

type Found = (TraceId, SpanId, Decision);

/// `{trace id}-{span id}`, and if they are known `-{decision}` and `-{parent's span id}`.
fn read_single(value: &[u8]) -> Option<Found> {
    let mut parts = value.split(|&byte| byte == b'-');
    let ids = ids(parts.next()?, parts.next()?)?;
    let decision = match parts.next() {
        None => Decision::Undecided,
        Some(b"0") => Decision::No,
        Some(b"1") => Decision::Yes,
        Some(b"d") => Decision::Debug,
        Some(_) => return None,
    };
    if let Some(parent) = parts.next() {
        hex::span_id_of(parent)?;
    }
    parts.next().is_none().then_some((ids.0, ids.1, decision))
}

fn read_multiple(from: &impl Source) -> Option<Found> {
    let ids = ids(from.only_line(&TRACE_ID)?, from.only_line(&SPAN_ID)?)?;
    let flags = optional(from, &FLAGS)?;
    let decision = match optional(from, &SAMPLED)? {
        _ if flags == Some(b"1") => Decision::Debug,
        None => Decision::Undecided,
        Some(b"0") => Decision::No,
        Some(b"1") => Decision::Yes,
        // As old tracers have it.
        Some(word) if word.eq_ignore_ascii_case(b"false") => Decision::No,
        Some(word) if word.eq_ignore_ascii_case(b"true") => Decision::Yes,
        Some(_) => return None,
    };
    Some((ids.0, ids.1, decision))
}

/// A header that may be missing, and may not be there twice.
fn optional<'a>(from: &'a impl Source, name: &'static HeaderName) -> Option<Option<&'a [u8]>> {
    if from.lines(name).next().is_none() { Some(None) } else { from.only_line(name).map(Some) }
}

fn ids(trace: &[u8], span: &[u8]) -> Option<(TraceId, SpanId)> {
    let number = hex::lower(trace).filter(|_| matches!(trace.len(), 16 | 32))?;
    Some((hex::trace_id(number)?, hex::span_id_of(span)?))
}
