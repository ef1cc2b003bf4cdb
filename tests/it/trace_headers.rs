//! W3C Trace Context, line by line: what of it is believed, and what is sent on.

use opentelemetry::{
    Context, TraceFlags,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tower_telemetry::propagation::{Propagator, TraceContext};

use crate::support::headers::{SPAN, TRACE, extract, extract_in, inject, lines, local, map};

const W3C: TraceContext = TraceContext::new();
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What becomes of the lines of a `tracestate` on its way through a service that adds nothing.
fn through(states: &[&str]) -> Option<String> {
    let mut sent = vec![("traceparent", PARENT)];
    sent.extend(states.iter().map(|state| ("tracestate", *state)));
    let cx = extract(W3C, &sent);
    assert_eq!(cx.span().span_context().span_id().to_string(), SPAN, "{states:?}");
    let sent = inject(W3C, &cx);
    assert!(sent.contains(&format!("traceparent: {PARENT}")), "{states:?}");
    let state = sent.iter().find_map(|line| line.strip_prefix("tracestate: "));
    state.map(str::to_owned)
}

#[test]
fn a_traceparent_names_the_remote_parent() {
    for (line, flags) in [
        (PARENT.to_owned(), 1),
        (format!("00-{TRACE}-{SPAN}-00"), 0),
        (format!("00-{TRACE}-{SPAN}-02"), 2),
        (format!("00-{TRACE}-{SPAN}-03"), 3),
        // Flags that are not known yet are not sent on.
        (format!("00-{TRACE}-{SPAN}-fc"), 0),
        // White space around it is HTTP's.
        (format!(" \t00-{TRACE}-{SPAN}-01\t "), 1),
        // Later versions.
        (format!("01-{TRACE}-{SPAN}-01"), 1),
        (format!("fe-{TRACE}-{SPAN}-01-more-{TRACE}"), 1),
    ] {
        let cx = extract(W3C, &[("traceparent", &line)]);
        let span = cx.span().span_context().clone();
        assert_eq!(
            (span.trace_id().to_string(), span.span_id().to_string()),
            (TRACE.into(), SPAN.into()),
            "{line}"
        );
        assert_eq!(span.trace_flags().to_u8(), flags, "{line}");
        assert!(span.is_remote(), "{line}");
        assert_eq!(inject(W3C, &cx), [format!("traceparent: 00-{TRACE}-{SPAN}-{flags:02x}")]);
    }
}

#[test]
fn what_breaks_the_format_names_none() {
    let long = format!("00-{TRACE}-{SPAN}-01-{}", "a".repeat(65_536));
    for line in [
        "",
        "00",
        &format!("00-{TRACE}-{SPAN}-1"),
        &format!("00-{TRACE}-{SPAN}-001"),
        &format!("00-{TRACE}-{SPAN}-0A"),
        &format!("00-{TRACE}-{SPAN}-01-"),
        &format!("00-{TRACE}-{SPAN}-01."),
        &format!("00-{}-{SPAN}-01", &TRACE[1..]),
        &format!("00-0{TRACE}-{SPAN}-01"),
        &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        &format!("00-{TRACE}-{}-01", &SPAN[1..]),
        &format!("00-{}-{SPAN}-01", "0".repeat(32)),
        &format!("00-{TRACE}-{}-01", "0".repeat(16)),
        &format!("ff-{TRACE}-{SPAN}-01"),
        &format!("FE-{TRACE}-{SPAN}-01"),
        &format!("cc-{TRACE}-{SPAN}-01.more"),
        &format!("0-{TRACE}-{SPAN}-01"),
        &format!("{PARENT},{PARENT}"),
        &long,
    ] {
        let cx = extract(W3C, &[("traceparent", line), ("tracestate", "a=1")]);
        assert!(!cx.has_active_span(), "{line}");
        // And the list beside it is nobody's.
        assert!(inject(W3C, &cx).is_empty(), "{line}");
    }
    // Several lines are as good as none, whatever is in them.
    for other in [PARENT, "garbage", "", "\u{e9}"] {
        let headers = map(&[("traceparent", PARENT), ("traceparent", other)]);
        assert!(!Propagator::new(W3C).extract(&Context::new(), &headers).has_active_span());
    }
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    assert!(!extract(W3C, &twice).has_active_span());
}

#[test]
fn what_was_found_stays_if_the_headers_say_nothing_better() {
    let cx = local(1, TraceState::NONE);
    for lines in [&[][..], &[("traceparent", "garbage")], &[("tracestate", "a=1")]] {
        let cx = extract_in(W3C, &cx, lines);
        assert_eq!(cx.span().span_context().span_id().to_string(), SPAN);
    }
}

#[test]
fn a_list_is_carried_along_as_it_came() {
    let key = |length| "k".repeat(length);
    let value = |length| "v".repeat(length);
    let longest = format!("{}={}", key(256), value(256));
    let printable: String = (' '..='~').filter(|char| !",=".contains(*char)).collect();
    let all_printable = format!("a={printable}");
    let every_key = format!("{}=1", "abcdefghijklmnopqrstuvwxyz0123456789_-*/");
    for list in [
        "a=1",
        "b=2,a=1",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "fw529a3039@dt=FfffffffA,1234@nr=x,0=0",
        &longest,
        &all_printable,
        &every_key,
        "a=  leading spaces are a part of it",
        // Of Level 2, and not of OpenTelemetry's type.
        "a@0123456789abcdef=1",
        "foo@@bar=1,b=2",
        "z=0,foo@bar@baz=1,b=2,tail@=3,c=4",
        &format!("{}@{}=1,a=2", key(100), key(155)),
        &format!("{}@a=1", key(254)),
    ] {
        assert_eq!(through(&[list]).as_deref(), Some(list));
    }
}

#[test]
fn several_lines_are_one_list_in_their_order() {
    assert_eq!(through(&["a=1", "b=2,c=3", "d=4"]).unwrap(), "a=1,b=2,c=3,d=4");
    assert_eq!(through(&["", "a=1", " \t", ",", "b=2"]).unwrap(), "a=1,b=2");
}

#[test]
fn white_space_and_empty_members_go() {
    assert_eq!(through(&[" a=1 ,\t, b=2\t,,"]).unwrap(), "a=1,b=2");
    assert_eq!(through(&["a=1 \t , \t b=2"]).unwrap(), "a=1,b=2");
    for nothing in [&[""][..], &["", ""], &[",,"], &[" \t ,"]] {
        assert_eq!(through(nothing), None, "{nothing:?}");
    }
}

#[test]
fn a_list_has_32_members_and_no_more() {
    let members = |count| (0..count).map(|at| format!("k{at}={at}")).collect::<Vec<_>>();
    let full = members(32).join(",");
    assert_eq!(through(&[&full]).unwrap(), full);
    assert_eq!(through(&[&members(33).join(",")]), None);
    let lines = members(33);
    assert_eq!(through(&lines.iter().map(String::as_str).collect::<Vec<_>>()), None);
    // Empty ones do not count.
    let full_of_holes = members(32).join(",,");
    assert_eq!(through(&["", &full_of_holes, ""]).unwrap(), full);
    // The longest of all.
    let longest: Vec<_> = (0..32).map(|at| format!("{at:0>256}={}", "v".repeat(256))).collect();
    assert_eq!(through(&[&longest.join(",")]).unwrap(), longest.join(","));
}

#[test]
fn of_several_members_with_one_key_the_first_counts() {
    assert_eq!(through(&["a=1,a=2"]).unwrap(), "a=1");
    assert_eq!(through(&["a=1,b=2,a=1", "c=3,b=4"]).unwrap(), "a=1,b=2,c=3");
    assert_eq!(through(&["a@@b=1,c=1,a@@b=2"]).unwrap(), "a@@b=1,c=1");
}

#[test]
fn a_list_that_breaks_the_format_is_dropped_and_the_parent_is_not() {
    let too_long = |length: usize| "x".repeat(length);
    for list in [
        "foo",
        "foo=",
        "=1",
        "foo=bar=baz",
        "foo =1",
        "foo= ",
        "FOO=1",
        "foo.bar=1",
        "@foo=1",
        "_foo=1",
        "-=1",
        "föö=1",
        "foo=ö",
        "foo=a\tb",
        "foo;bar=1",
        "a=1,b",
        &format!("{}=1", too_long(257)),
        &format!("a={}", too_long(257)),
        &too_long(65_536),
        &"a=1 ,".repeat(20_000),
        &",".repeat(65_536),
        &" ".repeat(40_000),
    ] {
        assert_eq!(through(&[list]), None, "{list:.40}");
        assert_eq!(through(&["ok=1", list]), None, "{list:.40}");
    }
    let headers = map(&[("traceparent", PARENT.as_bytes()), ("tracestate", b"a=1,b=\xff")]);
    let cx = Propagator::new(W3C).extract(&Context::new(), &headers);
    assert_eq!(cx.span().span_context().trace_state(), &TraceState::NONE);
    assert!(cx.has_active_span());
}

/// A span in a Context that a span was extracted into, with the list that a sampler gives it.
fn resumed(cx: &Context, state: TraceState) -> Context {
    let span = cx.span().span_context().clone();
    cx.with_remote_span_context(SpanContext::new(
        span.trace_id(),
        99_u64.into(),
        TraceFlags::SAMPLED,
        false,
        state,
    ))
}

#[test]
fn what_was_changed_on_the_way_comes_first_and_the_rest_stays_in_its_order() {
    for received in ["a=1,b@@c=2,d=3", "a=1,b=2,d=3"] {
        let cx = extract(W3C, &[("traceparent", PARENT), ("tracestate", received)]);
        let state = cx.span().span_context().trace_state().clone();
        let sent = |state| {
            let sent = inject(W3C, &resumed(&cx, state));
            sent.iter().find_map(|line| line.strip_prefix("tracestate: ")).map(str::to_owned)
        };
        let middle = received.split(',').nth(1).unwrap();
        let added = state.insert("ot", "th:8").unwrap();
        assert_eq!(sent(state.clone()).unwrap(), received);
        assert_eq!(sent(added.clone()).unwrap(), format!("ot=th:8,a=1,{middle},d=3"));
        assert_eq!(sent(state.insert("d", "4").unwrap()).unwrap(), format!("d=4,a=1,{middle}"));
        assert_eq!(
            sent(added.insert("d", "4").unwrap()).unwrap(),
            format!("d=4,ot=th:8,a=1,{middle}")
        );
        assert_eq!(sent(state.delete("a").unwrap()).unwrap(), format!("{middle},d=3"));
    }
    // To a full list one is added, and the last goes.
    let full: Vec<_> = (0..32).map(|at| format!("k@@{at}={at}")).collect();
    let cx = extract(W3C, &[("traceparent", PARENT), ("tracestate", &full.join(","))]);
    let sent = inject(W3C, &resumed(&cx, TraceState::from_key_value([("ot", "th:8")]).unwrap()));
    assert_eq!(sent[1], format!("tracestate: ot=th:8,{}", full[..31].join(",")));
}

#[test]
fn what_a_program_has_put_into_a_list_is_sent_as_far_as_it_may_be() {
    let state = TraceState::from_key_value([
        ("a", "1"),
        ("b", "not ascii: é"),
        ("c", "line\nbreak"),
        ("d", ""),
        ("e", "space "),
        ("a", "again"),
        ("f", "2"),
    ])
    .unwrap();
    assert_eq!(inject(W3C, &local(1, state))[1], "tracestate: a=1,f=2");
    let state = TraceState::from_key_value([("b", "é")]).unwrap();
    assert_eq!(inject(W3C, &local(1, state)).len(), 1);
}

#[test]
fn what_another_trace_came_with_is_not_sent_with_this_one() {
    let random = PARENT.replace("-01", "-02");
    let cx = extract(W3C, &[("traceparent", &random), ("tracestate", "a@@b=1")]);
    assert!(inject(W3C, &cx).contains(&"tracestate: a@@b=1".to_owned()));
    let other = SpanContext::new(
        7_u128.into(),
        9_u64.into(),
        TraceFlags::NOT_SAMPLED,
        false,
        TraceState::NONE,
    );
    let sent = inject(W3C, &cx.with_remote_span_context(other));
    assert_eq!(sent, ["traceparent: 00-00000000000000000000000000000007-0000000000000009-00"]);

    // Nor with another part of the same one.
    let part = format!("00-{TRACE}-00000000000000ff-01");
    let again = extract_in(W3C, &cx, &[("traceparent", &part), ("tracestate", "c=1")]);
    assert_eq!(inject(W3C, &again), [format!("traceparent: {part}"), "tracestate: c=1".into()]);
    let again = extract_in(W3C, &cx, &[("traceparent", &part)]);
    assert_eq!(inject(W3C, &again), [format!("traceparent: {part}")]);
}

#[test]
fn what_was_there_is_replaced_and_an_empty_list_is_not_sent() {
    let w3c = Propagator::new(W3C);
    let mut headers = map(&[
        ("traceparent", "old"),
        ("traceparent", "older"),
        ("tracestate", "old=1"),
        ("x", "y"),
    ]);
    w3c.inject(&Context::new(), &mut headers);
    assert_eq!(lines(&headers).len(), 4);
    w3c.inject(&local(1, TraceState::NONE), &mut headers);
    assert_eq!(lines(&headers), [format!("traceparent: {PARENT}"), "x: y".into()]);
}
