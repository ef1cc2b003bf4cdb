//! Jaeger's own format: the `uber-trace-id` header, and `uberctx-` headers for baggage.

use std::borrow::Cow;

use http::HeaderName;
use opentelemetry::{
    Context, SpanId, TraceId,
    baggage::{BaggageExt, KeyValueMetadata},
    trace::{TraceContextExt, TraceState},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use crate::propagation::{
    baggage::{ENTRIES, LONGEST},
    carrier::{Source, Target},
    hex,
    received::{Decision, Received, with_remote},
};

/// The [format of Jaeger's clients][jaeger], which have been [replaced by OpenTelemetry's][retired].
/// For services that still have them.
///
/// `uber-trace-id` is read with ids of any length, in either case and percent-encoded or not, and
/// written with ids of full length and `0` for the deprecated parent. Debug is kept for the whole
/// trace and means sampled.
///
/// Each `uberctx-` header is an entry of the Context's baggage, beside those that are in there; so
/// among several propagators this one goes behind [`Baggage`](crate::propagation::Baggage), whose
/// entries replace what is there. Of a header that came twice there is no entry. HTTP's names know no
/// capitals, so neither do keys. At most 64 entries and 8192 bytes are read, and as many written, one
/// that does not fit being left out whole; a client layer [writes
/// none](crate::PropagationLayer::with_baggage_to) unless it was told to whom.
///
/// [jaeger]: https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format
/// [retired]: https://www.jaegertracing.io/docs/1.76/client-libraries/
///
/// # Example
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, baggage::BaggageExt};
/// use tower_telemetry::propagation::{Jaeger, Propagator};
///
/// let jaeger = Propagator::new(Jaeger::new());
/// let mut headers = HeaderMap::new();
/// headers.insert("uber-trace-id", "8448eb211c80319c:b7ad6b7169203331:0:1".parse()?);
/// headers.insert("uberctx-tenant", "acme%20inc".parse()?);
/// let cx = jaeger.extract(&Context::new(), &headers);
/// assert_eq!(cx.baggage().get("tenant").unwrap().as_str(), "acme inc");
///
/// let mut outgoing = HeaderMap::new();
/// jaeger.inject(&cx, &mut outgoing);
/// assert_eq!(outgoing["uber-trace-id"], "00000000000000008448eb211c80319c:b7ad6b7169203331:0:1");
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Jaeger {
    _private: (),
}

static TRACE_ID: HeaderName = HeaderName::from_static("uber-trace-id");

pub(super) static FIELDS: [&HeaderName; 1] = [&TRACE_ID];

const BAGGAGE_PREFIX: &str = "uberctx-";

/// How long a span is spelled, with a parent and with colons that are percent-encoded.
const LONGEST_ID: usize = 32 + 3 + 16 + 3 + 16 + 3 + 2;

const SAMPLED: u8 = 0b01;
const DEBUG: u8 = 0b10;

impl Jaeger {
    /// The propagator; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

pub(super) fn extract(cx: &Context, from: &impl Source) -> Option<Context> {
    let entries = entries(from);
    let with_baggage = (!entries.is_empty()).then(|| {
        let known = cx.baggage().iter().map(|(key, (value, metadata))| {
            KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
        });
        cx.with_baggage(known.chain(entries))
    });
    let Some((trace_id, span_id, decision)) = from.only_line(&TRACE_ID).and_then(read) else {
        return with_baggage;
    };
    let cx = with_baggage.as_ref().unwrap_or(cx);
    let received = Received::decided(decision);
    Some(with_remote(cx, (trace_id, span_id), decision.flags(), TraceState::NONE, received))
}

pub(super) fn inject(cx: &Context, to: &mut impl Target, baggage: bool) {
    let span = cx.span();
    let span = span.span_context();
    if !baggage || span.is_valid() {
        clear_baggage(to);
    }
    if span.is_valid() {
        let mut value = Vec::with_capacity(53);
        hex::push(&mut value, &span.trace_id().to_bytes());
        value.push(b':');
        hex::push(&mut value, &span.span_id().to_bytes());
        value.extend(b":0:");
        value.push(match Decision::of(cx, span) {
            Decision::Undecided | Decision::No => b'0',
            Decision::Yes => b'1',
            Decision::Debug => b'3',
        });
        to.set(&TRACE_ID, value);
    }
    if !baggage {
        return;
    }
    let mut left = LONGEST;
    let mut entries: Vec<_> = cx.baggage().iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    for (key, (value, _)) in entries {
        let value = utf8_percent_encode(value.as_str(), NON_ALPHANUMERIC).to_string();
        if let Some(rest) = left.checked_sub(key.as_str().len() + value.len()) {
            left = rest;
            to.set_named(format!("{BAGGAGE_PREFIX}{key}"), value.into_bytes());
        }
    }
}

pub(super) fn clear_baggage(to: &mut impl Target) {
    to.remove_prefixed(BAGGAGE_PREFIX);
}

/// `{trace id}:{span id}:{parent's span id}:{flags}`, without leading zeros if it likes.
fn read(value: &[u8]) -> Option<(TraceId, SpanId, Decision)> {
    if value.len() > LONGEST_ID {
        return None;
    }
    let value: Cow<'_, [u8]> = percent_decode(value).into();
    let mut parts = value.split(|&byte| byte == b':');
    let trace_id = hex::trace_id(hex::any_case(parts.next()?)?)?;
    let span_id = parts.next().filter(|digits| digits.len() <= 16).and_then(hex::any_case)?;
    let span_id = hex::span_id(u64::try_from(span_id).ok()?)?;
    let _deprecated = parts.next()?;
    let flags = parts.next().filter(|flags| flags.len() <= 2).and_then(hex::any_case)?;
    let flags = u8::try_from(flags).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let decision = match (flags & DEBUG != 0, flags & SAMPLED != 0) {
        (true, _) => Decision::Debug,
        (false, true) => Decision::Yes,
        (false, false) => Decision::No,
    };
    Some((trace_id, span_id, decision))
}

/// Whether an entry has this name. Somebody else's carrier may keep the case.
pub(super) fn is_baggage(name: &str) -> bool {
    let prefix = name.get(..BAGGAGE_PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(BAGGAGE_PREFIX))
}

fn entries(from: &impl Source) -> Vec<KeyValueMetadata> {
    let mut entries = Vec::new();
    let mut left = LONGEST;
    // Somebody else's carrier may be slow to look at.
    for name in from.names().filter(|name| is_baggage(name)).take(2 * ENTRIES) {
        if entries.len() == ENTRIES {
            break;
        }
        let key = &name[BAGGAGE_PREFIX.len()..];
        let Some(value) = from.only_line_of(name) else { continue };
        let Some(rest) = left.checked_sub(key.len() + value.len()) else { continue };
        left = rest;
        // Some of Jaeger's clients write spaces like that, and all of them encode a plus sign.
        let value: Vec<_> =
            value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        let value = percent_decode(&value).decode_utf8_lossy().into_owned();
        entries.push(KeyValueMetadata::new(key.to_owned(), value, ""));
    }
    entries
}
