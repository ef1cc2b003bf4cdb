//! W3C Trace Context: the `traceparent` and `tracestate` headers.

use std::{str::FromStr, sync::LazyLock};

use http::HeaderMap;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{SpanContext, TraceContextExt, TraceState},
};

use crate::propagation::carrier::joined;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The flags that Level 2 of the recommendation defines: [sampled] and [random].
///
/// [sampled]: https://www.w3.org/TR/trace-context-2/#sampled-flag
/// [random]: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
const KNOWN_FLAGS: u8 = 0b11;

/// The [W3C Trace Context] format.
///
/// Fields must have [their exact length and be in lower case][format]; a `traceparent` that breaks
/// the format, or that comes more than once, counts as none. Several `tracestate` lines are
/// [one list][combined]; an empty one is never sent. A list with a key that OpenTelemetry's
/// `TraceState` cannot hold, of which Level 2 has some, is dropped.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context-2/
/// [format]: https://www.w3.org/TR/trace-context-2/#traceparent-header-field-values
/// [combined]: https://www.w3.org/TR/trace-context-2/#tracestate-header
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
#[derive(Clone, Debug, Default)]
pub struct TraceContext {
    _private: (),
}

impl TraceContext {
    /// The propagator; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }

    /// The remote span in `headers`, in `cx`; the same as through OpenTelemetry's extractor, but
    /// without the list that one makes.
    pub(super) fn extract_from(cx: &Context, headers: &HeaderMap) -> Context {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let remote = match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_str().ok().and_then(|line| {
                let states = headers.get_all(TRACESTATE).iter();
                remote_span(line, states.map(|state| state.to_str().unwrap_or_default()))
            }),
            _ => None,
        };
        remote.map_or_else(|| cx.clone(), |remote| cx.with_remote_span_context(remote))
    }
}

impl TextMapPropagator for TraceContext {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let flags = span.trace_flags().to_u8() & KNOWN_FLAGS;
        injector.set(TRACEPARENT, format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()));
        let state = span.trace_state().header();
        if !state.is_empty() {
            injector.set(TRACESTATE, state);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let lines = extractor.get_all(TRACEPARENT);
        let remote = match lines.as_deref() {
            Some([line]) => remote_span(line, extractor.get_all(TRACESTATE).into_iter().flatten()),
            _ => None,
        };
        remote.map_or_else(|| cx.clone(), |remote| cx.with_remote_span_context(remote))
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> =
            LazyLock::new(|| [TRACEPARENT.to_owned(), TRACESTATE.to_owned()]);
        FieldIter::new(FIELDS.as_slice())
    }
}

fn remote_span<'a>(
    traceparent: &str,
    states: impl Iterator<Item = &'a str>,
) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parse_traceparent(traceparent)?;
    Some(SpanContext::new(trace_id, span_id, flags, true, trace_state(states)))
}

/// Follows [the rules on versions][versions]: what a future version appends is ignored.
///
/// [versions]: https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
fn parse_traceparent(value: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    // Optional white space around a header's value is HTTP's, not the field's.
    let value = value.trim_matches([' ', '\t']).as_bytes();
    let version = lower_hex(value.get(..2)?)?;
    let known_fields = match (version, value.len(), value.get(55)) {
        (0xff, ..) => return None,
        (_, 55, _) => value,
        (1.., _, Some(b'-')) => &value[..55],
        _ => return None,
    };
    if [2, 35, 52].iter().any(|&at| known_fields[at] != b'-') {
        return None;
    }
    let trace_id = lower_hex(&known_fields[3..35])?;
    let span_id = u64::try_from(lower_hex(&known_fields[36..52])?).ok()?;
    let flags = u8::try_from(lower_hex(&known_fields[53..55])?).ok()?;
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(span_id));
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some((
        trace_id,
        span_id,
        TraceFlags::new(flags & KNOWN_FLAGS),
    ))
}

/// The number that up to 32 digits spell; `from_str_radix` would take `+` and capitals too.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// All lines as one list. A list that cannot be read is [dropped whole][invalid], the
/// `traceparent` beside it stays.
///
/// [invalid]: https://www.w3.org/TR/trace-context-2/#tracestate-header
fn trace_state<'a>(lines: impl Iterator<Item = &'a str>) -> TraceState {
    let state = joined(lines).map(|list| TraceState::from_str(&list));
    state.and_then(Result::ok).unwrap_or(TraceState::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_traceparent_in_the_format_is_read() {
        for (value, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("00-{TRACE}-{SPAN}-03"), 3),
            (format!("00-{TRACE}-{SPAN}-ff"), 3),
            (format!(" 00-{TRACE}-{SPAN}-01\t"), 1),
            (format!("01-{TRACE}-{SPAN}-01"), 1),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-holds"), 1),
            (format!("fe-{TRACE}-{SPAN}-01-"), 1),
        ] {
            let (trace_id, span_id, read) =
                parse_traceparent(&value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(trace_id.to_string(), TRACE, "{value}");
            assert_eq!(span_id.to_string(), SPAN, "{value}");
            assert_eq!(read.to_u8(), flags, "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_parent() {
        for value in [
            String::new(),
            "00".to_owned(),
            "garbage".to_owned(),
            "é".repeat(30),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("01-{TRACE}-{SPAN}-01.what"),
            format!("cc-{TRACE}-{SPAN}-01what"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!("CC-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            "01-12-3-4-5".to_owned(),
        ] {
            assert!(parse_traceparent(&value).is_none(), "{value}");
        }
    }
}
