//! AWS X-Ray: the `x-amzn-trace-id` header.

use std::str;

use http::HeaderName;
use opentelemetry::{
    Context, TraceId,
    trace::{TraceContextExt, TraceState},
};

use crate::propagation::{
    carrier::{Source, Target, trimmed},
    hex,
    received::{Decision, Received, with_remote},
};

/// The [format of AWS X-Ray][xray]: `Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled=1`.
///
/// Fields may come in any order. `Sampled=?`, and none, leave the decision to others: the sampler of
/// a [`SamplerBuilder`](crate::SamplerBuilder) makes it, any other takes it for not sampled, and a
/// span that is only passed on goes on with `?`. `Lineage`, by which Lambda finds loops, goes along
/// with the trace, up to 256 characters of it. Other fields, `Self` among them, do not. A root
/// without a parent, as a load balancer begins a trace, names no span, so the trace begins here. A
/// header of more than 1024 characters is not looked at.
///
/// Ids are OpenTelemetry's, of which [X-Ray takes any][w3c].
///
/// [xray]: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
/// [w3c]: https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids
///
/// # Example
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, trace::TraceContextExt};
/// use tower_telemetry::propagation::{Propagator, XRay};
///
/// let xray = Propagator::new(XRay::new());
/// let mut headers = HeaderMap::new();
/// let line = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
/// headers.insert("x-amzn-trace-id", line.parse()?);
/// let cx = xray.extract(&Context::new(), &headers);
/// assert!(cx.span().span_context().is_sampled());
///
/// let mut outgoing = HeaderMap::new();
/// xray.inject(&cx, &mut outgoing);
/// assert_eq!(outgoing["x-amzn-trace-id"], line);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct XRay {
    _private: (),
}

static TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

pub(super) static FIELDS: [&HeaderName; 1] = [&TRACE_ID];

/// How long a header is that is looked at, and a lineage that is kept.
const LONGEST: usize = 1024;
const LONGEST_LINEAGE: usize = 256;

impl XRay {
    /// The propagator; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

pub(super) fn extract(cx: &Context, from: &impl Source) -> Option<Context> {
    let line = from.only_line(&TRACE_ID).filter(|line| line.len() <= LONGEST)?;
    let (mut root, mut parent, mut lineage) = (None, None, None);
    let mut decision = Decision::Undecided;
    for field in line.split(|&byte| byte == b';') {
        let mut halves = field.splitn(2, |&byte| byte == b'=').map(trimmed);
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
        match name {
            b"Root" => root = Some(trace_id(value)?),
            b"Parent" => parent = Some(hex::span_id_of(value)?),
            b"Sampled" => decision = sampled(value)?,
            b"Lineage" => lineage = self::lineage(value),
            _ => {}
        }
    }
    let mut received = Received::decided(decision);
    received.lineage = lineage;
    Some(with_remote(cx, (root?, parent?), decision.flags(), TraceState::NONE, received))
}

pub(super) fn inject(cx: &Context, to: &mut impl Target) {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let trace_id = span.trace_id().to_bytes();
    let lineage = Received::of(cx, span).and_then(|received| received.lineage.as_deref());
    let mut value = Vec::with_capacity(74 + lineage.map_or(0, |lineage| lineage.len() + 9));
    value.extend(b"Root=1-");
    hex::push(&mut value, &trace_id[..4]);
    value.push(b'-');
    hex::push(&mut value, &trace_id[4..]);
    value.extend(b";Parent=");
    hex::push(&mut value, &span.span_id().to_bytes());
    value.extend(b";Sampled=");
    value.push(match Decision::of(cx, span) {
        Decision::Undecided => b'?',
        Decision::No => b'0',
        Decision::Yes | Decision::Debug => b'1',
    });
    if let Some(lineage) = lineage {
        value.extend(b";Lineage=");
        value.extend(lineage.as_bytes());
    }
    to.set(&TRACE_ID, value);
}

/// `1-{8 digits}-{24 digits}`.
fn trace_id(value: &[u8]) -> Option<TraceId> {
    let mut parts = value.split(|&byte| byte == b'-');
    let (version, time, rest) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || (version, time.len(), rest.len()) != (b"1", 8, 24) {
        return None;
    }
    hex::trace_id(hex::lower(time)? << 96 | hex::lower(rest)?)
}

fn sampled(value: &[u8]) -> Option<Decision> {
    match value {
        b"?" => Some(Decision::Undecided),
        b"0" => Some(Decision::No),
        b"1" => Some(Decision::Yes),
        _ => None,
    }
}

fn lineage(value: &[u8]) -> Option<Box<str>> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b'=' | b',');
    let fits = !value.is_empty() && value.len() <= LONGEST_LINEAGE && value.iter().all(is_plain);
    fits.then(|| str::from_utf8(value).ok().map(Box::from))?
}
