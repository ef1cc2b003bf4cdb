//! The ids in a line: where in there, and in which form.

use crate::{
    logs::{names::TraceIdNames, object::Object},
    trace_ids::TraceIds,
};

/// Appends a line with the ids in it; the line may be several, with a line break at the end or
/// without. `has_field` is whether the event has a field of one of their names.
pub(super) fn add(
    to: &mut Vec<u8>,
    line: &[u8],
    ids: &TraceIds,
    names: &TraceIdNames,
    has_field: bool,
) {
    let object = match line.first() {
        Some(b'{') => Object::read(line, |name| names.has(name)),
        _ => None,
    };
    match object {
        Some(Object { has_name: true, .. }) => to.extend_from_slice(line),
        // At the end, so that what a line begins with, its time, is what it was.
        Some(Object { end, is_empty, has_name: false }) => {
            let (members, rest) = line.split_at(end);
            to.extend_from_slice(members);
            let separator = if is_empty { "" } else { "," };
            push(to, ids, names, &Form { before: separator, between: ",", quote: "\"", is: ":" });
            to.extend_from_slice(rest);
        }
        None if has_field => to.extend_from_slice(line),
        None => {
            let (text, breaks) = line.split_at(without_breaks(line).len());
            to.extend_from_slice(text);
            let before = match (text, breaks) {
                ([], _) => "",
                // Several lines and an empty one, as the pretty formatter has it.
                (_, [.., b'\n', b'\n']) => "\n    ",
                _ => " ",
            };
            push(to, ids, names, &Form { before, between: " ", quote: "", is: "=" });
            to.extend_from_slice(breaks);
        }
    }
}

struct Form {
    before: &'static str,
    between: &'static str,
    quote: &'static str,
    is: &'static str,
}

fn push(to: &mut Vec<u8>, ids: &TraceIds, names: &TraceIdNames, form: &Form) {
    let Form { mut before, between, quote, is } = *form;
    let flags = names.trace_flags().map(|name| (name, ids.trace_flags()));
    let ids = [(names.trace_id(), ids.trace_id()), (names.span_id(), ids.span_id())];
    for (name, value) in ids.into_iter().chain(flags) {
        for part in [before, quote, name, quote, is, quote, value, quote] {
            to.extend_from_slice(part.as_bytes());
        }
        before = between;
    }
}

fn without_breaks(mut line: &[u8]) -> &[u8] {
    while let [text @ .., b'\n' | b'\r'] = line {
        line = text;
    }
    line
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        Context, SpanId, TraceFlags, TraceId,
        trace::{SpanContext, TraceContextExt, TraceState},
    };

    use super::*;

    fn added(line: &str, names: &TraceIdNames, has_field: bool) -> String {
        let span = SpanContext::new(
            TraceId::from(1),
            SpanId::from(2),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let ids = TraceIds::of(&Context::new().with_remote_span_context(span)).unwrap();
        let mut to = Vec::new();
        add(&mut to, line.as_bytes(), &ids, names, has_field);
        let added = String::from_utf8(to).unwrap();
        added.replace(ids.trace_id(), "T").replace(ids.span_id(), "S").replace("01", "F")
    }

    #[test]
    fn an_object_gets_members_and_keeps_its_own() {
        let names = TraceIdNames::default();
        for (line, expected) in [
            ("{}\n", "{\"trace_id\":\"T\",\"span_id\":\"S\",\"trace_flags\":\"F\"}\n"),
            ("{\"a\":1}", "{\"a\":1,\"trace_id\":\"T\",\"span_id\":\"S\",\"trace_flags\":\"F\"}"),
            (
                "{\"a\":{\"trace_id\":1}}\r\n",
                "{\"a\":{\"trace_id\":1},\"trace_id\":\"T\",\"span_id\":\"S\",\
                 \"trace_flags\":\"F\"}\r\n",
            ),
        ] {
            // What is a field of the event can be anywhere in there.
            assert_eq!(added(line, &names, false), expected);
            assert_eq!(added(line, &names, true), expected);
        }
        for name in ["trace_id", "span_id", "trace_flags"] {
            let line = format!("{{\"a\":1,\"{name}\":2}}\n");
            assert_eq!(added(&line, &names, false), line);
        }
    }

    #[test]
    fn text_gets_them_at_its_end() {
        let names = TraceIdNames::default();
        const IDS: &str = "trace_id=T span_id=S trace_flags=F";
        for (line, expected) in [
            ("", IDS.to_owned()),
            ("\n", format!("{IDS}\n")),
            ("a", format!("a {IDS}")),
            ("a b=1\n", format!("a b=1 {IDS}\n")),
            ("a\nb\r\n", format!("a\nb {IDS}\r\n")),
            ("  a\n    at b\n\n", format!("  a\n    at b\n    {IDS}\n\n")),
            ("{a}\n", format!("{{a}} {IDS}\n")),
            ("{\"a\":1} b\n", format!("{{\"a\":1}} b {IDS}\n")),
        ] {
            assert_eq!(added(line, &names, false), expected);
            assert_eq!(added(line, &names, true), line);
        }
    }

    #[test]
    fn they_have_the_names_that_were_set() {
        let names = TraceIdNames::new("trace.id", "span.id").unwrap();
        assert_eq!(added("{}", &names, false), r#"{"trace.id":"T","span.id":"S"}"#);
        assert_eq!(added("a", &names, false), "a trace.id=T span.id=S");
        let line = r#"{"trace.id":1}"#;
        assert_eq!(added(line, &names, false), line);
        let line = r#"{"trace_id":1}"#;
        assert_eq!(added(line, &names, false), r#"{"trace_id":1,"trace.id":"T","span.id":"S"}"#);
    }
}
