//! The `traceparent` field: one span.

use opentelemetry::{SpanId, TraceFlags, TraceId, trace::SpanContext};

use crate::propagation::{hex, received::RANDOM};

/// How long the field is, and in a later version at least.
const LENGTH: usize = 55;

/// Follows [the rules on versions][versions]: what a later version appends is ignored.
///
/// [versions]: https://www.w3.org/TR/trace-context-2/#versioning-of-traceparent
#[inline]
pub(super) fn parse(value: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (fields, more) = value.split_first_chunk::<LENGTH>()?;
    let [v1, v2, b'-', rest @ .., b'-', f1, f2] = fields else { return None };
    let (trace_id, rest) = rest.split_first_chunk()?;
    let (b'-', span_id) = rest.split_first().map(|(dash, rest)| (*dash, rest))? else {
        return None;
    };
    match (hex::lower_2([*v1, *v2])?, more) {
        (0xff, _) => return None,
        (_, []) | (1.., [b'-', ..]) => {}
        _ => return None,
    }
    let trace_id = hex::trace_id(hex::lower_32(trace_id)?)?;
    let flags = TraceFlags::new(hex::lower_2([*f1, *f2])?);
    Some((trace_id, hex::span_id_of(span_id)?, known(flags)))
}

/// The field for a span, with these flags added.
pub(super) fn write(span: &SpanContext, more: TraceFlags) -> Vec<u8> {
    let flags = known(span.trace_flags() | more);
    let mut value = *b"00-________________________________-________________-__";
    let rest = hex::write(&mut value[3..], &span.trace_id().to_bytes());
    let rest = hex::write(&mut rest[1..], &span.span_id().to_bytes());
    hex::write(&mut rest[1..], &[flags.to_u8()]);
    value.to_vec()
}

/// The flags that Level 2 defines. Others [are not sent on][other].
///
/// [other]: https://www.w3.org/TR/trace-context-2/#other-flags
fn known(flags: TraceFlags) -> TraceFlags {
    flags & (TraceFlags::SAMPLED | RANDOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_field_in_the_format_is_read() {
        for (value, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("00-{TRACE}-{SPAN}-03"), 3),
            (format!("00-{TRACE}-{SPAN}-ff"), 3),
            (format!("01-{TRACE}-{SPAN}-01"), 1),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-holds"), 1),
            (format!("fe-{TRACE}-{SPAN}-01-"), 1),
            (format!("fe-{TRACE}-{SPAN}-01-{}", "x".repeat(65_536)), 1),
        ] {
            let (trace_id, span_id, read) =
                parse(value.as_bytes()).unwrap_or_else(|| panic!("{value}"));
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
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
            format!("01-{TRACE}-{SPAN}-01.what"),
            format!("cc-{TRACE}-{SPAN}-01what"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01-more"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
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
            assert!(parse(value.as_bytes()).is_none(), "{value}");
        }
    }
}
