//! B3, Jaeger and X-Ray: what of them is read, and what is written.

use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use tower_telemetry::propagation::{B3, Jaeger, Propagator, TraceContext, XRay};

use crate::support::headers::{
    SPAN, TRACE, baggage, extract, extract_in, inject, lines, local, map,
};

const SINGLE: B3 = B3::new();
const MULTI: B3 = B3::new().with_multiple_headers();
const JAEGER: Jaeger = Jaeger::new();
const XRAY: XRay = XRay::new();

/// Ids and flags of what was found.
fn found(cx: &Context) -> Option<(String, String, u8)> {
    let span = cx.span().span_context().clone();
    assert_eq!(span.is_valid(), span.is_remote());
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string(), flags))
}

fn usual(flags: u8) -> Option<(String, String, u8)> {
    Some((TRACE.into(), SPAN.into(), flags))
}

/// A span that was started here below the one that was found.
fn below(cx: &Context, flags: TraceFlags) -> Context {
    let trace_id = cx.span().span_context().trace_id();
    cx.with_remote_span_context(SpanContext::new(
        trace_id,
        2_u64.into(),
        flags,
        false,
        TraceState::NONE,
    ))
}

#[test]
fn b3_is_read_in_both_its_encodings() {
    let single = |decision: &str| format!("{TRACE}-{SPAN}{decision}");
    for (decision, more, flags) in [
        ("", None, 0),
        ("-0", Some(("x-b3-sampled", "0")), 0),
        ("-1", Some(("x-b3-sampled", "1")), 1),
        ("-d", Some(("x-b3-flags", "1")), 1),
        ("-1-05e3ac9a4f6e3b90", Some(("X-B3-Sampled", "true")), 1),
        ("-0-05e3ac9a4f6e3b90", Some(("x-b3-sampled", "False")), 0),
    ] {
        for b3 in [SINGLE, MULTI] {
            assert_eq!(
                found(&extract(b3, &[("b3", &single(decision))])),
                usual(flags),
                "{decision}"
            );
            let mut several = vec![("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
            several.extend(more);
            assert_eq!(found(&extract(b3, &several)), usual(flags), "{more:?}");
        }
    }
    // A short trace id is padded.
    let short = found(&extract(SINGLE, &[("b3", &format!("{SPAN}-{SPAN}-1"))])).unwrap();
    assert_eq!(short.0, format!("0000000000000000{SPAN}"));
    // The single header first, unless it says nothing.
    let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")];
    for (single, span) in [
        (format!("{TRACE}-00000000000000aa-0"), "00000000000000aa"),
        ("0".to_owned(), SPAN),
        ("garbage".to_owned(), SPAN),
    ] {
        let mut both = vec![("b3", single.as_str())];
        both.extend(several);
        assert_eq!(found(&extract(SINGLE, &both)).unwrap().1, span, "{single}");
    }
}

#[test]
fn what_is_no_b3_names_no_parent() {
    let zeros = "0".repeat(32);
    for single in [
        "",
        "0",
        "1",
        "d",
        "-",
        "--",
        "garbage",
        TRACE,
        &format!("{TRACE}-"),
        &format!("{TRACE}-{}", &SPAN[1..]),
        &format!("{}-{SPAN}-1", &TRACE[1..]),
        &format!("{TRACE}-{SPAN}-2"),
        &format!("{TRACE}-{SPAN}-true"),
        &format!("{TRACE}-{SPAN}-"),
        &format!("{TRACE}-{SPAN}-1-"),
        &format!("{TRACE}-{SPAN}-1-5"),
        &format!("{TRACE}-{SPAN}-1-{SPAN}-"),
        &format!("{}-{SPAN}-1", TRACE.to_uppercase()),
        &format!("{zeros}-{SPAN}-1"),
        &format!("{TRACE}-{}-1", &zeros[..16]),
        &"a".repeat(65_536),
        &"-".repeat(65_536),
    ] {
        assert_eq!(found(&extract(SINGLE, &[("b3", single)])), None, "{single:.60}");
    }
    let good = format!("{TRACE}-{SPAN}-1");
    assert_eq!(found(&extract(SINGLE, &[("b3", &good), ("b3", &good)])), None);
    for several in [
        &[("x-b3-traceid", TRACE)][..],
        &[("x-b3-spanid", SPAN), ("x-b3-sampled", "1")],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "maybe")],
        &[("x-b3-traceid", TRACE), ("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)],
        &[
            ("x-b3-traceid", TRACE),
            ("x-b3-spanid", SPAN),
            ("x-b3-sampled", "1"),
            ("x-b3-sampled", "0"),
        ],
        &[("x-b3-traceid", "1"), ("x-b3-spanid", SPAN)],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1"), ("x-b3-flags", "1")],
    ] {
        assert_eq!(found(&extract(MULTI, several)), None, "{several:?}");
    }
}

#[test]
fn b3_is_written_as_it_was_asked_for_and_never_without_a_span() {
    for (b3, flags, expected) in [
        (SINGLE, 0, vec![format!("b3: {TRACE}-{SPAN}-0")]),
        (SINGLE, 1, vec![format!("b3: {TRACE}-{SPAN}-1")]),
        // Flags of W3C are not B3's.
        (SINGLE, 2, vec![format!("b3: {TRACE}-{SPAN}-0")]),
        (SINGLE, 3, vec![format!("b3: {TRACE}-{SPAN}-1")]),
        (
            MULTI,
            0,
            vec![
                "x-b3-sampled: 0".into(),
                format!("x-b3-spanid: {SPAN}"),
                format!("x-b3-traceid: {TRACE}"),
            ],
        ),
        (
            MULTI,
            1,
            vec![
                "x-b3-sampled: 1".into(),
                format!("x-b3-spanid: {SPAN}"),
                format!("x-b3-traceid: {TRACE}"),
            ],
        ),
    ] {
        assert_eq!(inject(b3, &local(flags, TraceState::NONE)), expected);
    }
    for b3 in [SINGLE, MULTI] {
        assert!(inject(b3, &Context::new()).is_empty());
        let invalid = Context::new().with_remote_span_context(SpanContext::NONE);
        assert!(inject(b3, &invalid).is_empty());
    }
    // Fields are those that are written.
    assert_eq!(SINGLE.fields().collect::<Vec<_>>(), ["b3"]);
    assert_eq!(
        MULTI.fields().collect::<Vec<_>>(),
        ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"]
    );
}

#[test]
fn what_else_of_b3_is_there_does_not_contradict() {
    let before = [
        ("b3", "0"),
        ("x-b3-traceid", "old"),
        ("x-b3-spanid", "old"),
        ("x-b3-parentspanid", "old"),
        ("x-b3-sampled", "0"),
        ("x-b3-flags", "1"),
    ];
    for (b3, left) in [(SINGLE, 1), (MULTI, 3)] {
        let mut headers = map(&before);
        Propagator::new(b3).inject(&local(1, TraceState::NONE), &mut headers);
        assert_eq!(headers.len(), left, "{headers:?}");
        assert_eq!(found(&Propagator::new(SINGLE).extract(&Context::new(), &headers)), usual(1));
    }
}

#[test]
fn debug_goes_along_with_the_whole_trace_and_with_no_other() {
    let debug = [
        extract(SINGLE, &[("b3", &format!("{TRACE}-{SPAN}-d"))]),
        extract(MULTI, &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-flags", "1")]),
        extract(JAEGER, &[("uber-trace-id", &format!("{TRACE}:{SPAN}:0:3"))]),
        extract(JAEGER, &[("uber-trace-id", &format!("{TRACE}:{SPAN}:0:2"))]),
    ];
    for cx in debug {
        assert!(cx.span().span_context().is_sampled());
        let child = below(&cx, TraceFlags::SAMPLED);
        assert!(inject(SINGLE, &child)[0].ends_with("-0000000000000002-d"));
        assert_eq!(inject(MULTI, &child)[0], "x-b3-flags: 1");
        assert!(inject(JAEGER, &child)[0].ends_with(":0000000000000002:0:3"));
        assert!(inject(XRAY, &child)[0].ends_with(";Sampled=1"));
        // A sampler's word is the last.
        let dropped = below(&cx, TraceFlags::NOT_SAMPLED);
        assert!(inject(SINGLE, &dropped)[0].ends_with("-0"));
        let other = SpanContext::new(
            7_u128.into(),
            7_u64.into(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        assert!(inject(SINGLE, &cx.with_remote_span_context(other))[0].ends_with("-1"));
    }
}

#[test]
fn a_decision_that_was_left_to_others_is_passed_on_and_one_that_was_made_is_said() {
    let ids = format!("{TRACE}-{SPAN}");
    let root = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331";
    for cx in [
        extract(SINGLE, &[("b3", &ids)]),
        extract(XRAY, &[("x-amzn-trace-id", root)]),
        extract(XRAY, &[("x-amzn-trace-id", &format!("{root};Sampled=?"))]),
    ] {
        assert_eq!(inject(SINGLE, &cx), [format!("b3: {ids}")]);
        assert_eq!(inject(MULTI, &cx).len(), 2);
        assert_eq!(inject(XRAY, &cx), [format!("x-amzn-trace-id: {root};Sampled=?")]);
        let dropped = below(&cx, TraceFlags::NOT_SAMPLED);
        assert!(inject(SINGLE, &dropped)[0].ends_with("-0"));
        assert!(inject(XRAY, &dropped)[0].ends_with("=0"));
        assert!(inject(SINGLE, &below(&cx, TraceFlags::SAMPLED))[0].ends_with("-1"));
    }
}

#[test]
fn jaegers_header_is_read_however_it_is_spelled() {
    for (line, flags) in [
        (format!("{TRACE}:{SPAN}:0:0"), 0),
        (format!("{TRACE}:{SPAN}:0:1"), 1),
        (format!("{TRACE}:{SPAN}:{SPAN}:01"), 1),
        // Without leading zeros, in capitals, percent-encoded; firehose is not ours.
        (format!("{}:{SPAN}::1", &TRACE[1..]), 1),
        (format!("{}:{}:0:1", TRACE.to_uppercase(), SPAN.to_uppercase()), 1),
        (format!("{TRACE}%3A{SPAN}%3a0%3A1"), 1),
        (format!("{TRACE}:{SPAN}:0:9"), 1),
        (format!("{TRACE}:{SPAN}:0:8"), 0),
    ] {
        assert_eq!(found(&extract(JAEGER, &[("uber-trace-id", &line)])), usual(flags), "{line}");
    }
    let short = found(&extract(JAEGER, &[("Uber-Trace-Id", "2a:b:0:1")])).unwrap();
    assert_eq!(short, (format!("{:0>32}", "2a"), format!("{:0>16}", "b"), 1));
    for line in [
        "",
        ":",
        ":::",
        "0:0:0:0",
        TRACE,
        &format!("{TRACE}:{SPAN}"),
        &format!("{TRACE}:{SPAN}:0"),
        &format!("{TRACE}:{SPAN}:0:"),
        &format!("{TRACE}:{SPAN}:0:100"),
        &format!("{TRACE}:{SPAN}:0:g"),
        &format!("{TRACE}:{SPAN}:0:1:"),
        &format!("0:{SPAN}:0:1"),
        &format!("{TRACE}:0:0:1"),
        &format!("0{TRACE}:{SPAN}:0:1"),
        &format!("{TRACE}:0{SPAN}:0:1"),
        &format!("+{}:{SPAN}:0:1", &TRACE[1..]),
        &":".repeat(65_536),
        &"%".repeat(65_536),
    ] {
        assert_eq!(found(&extract(JAEGER, &[("uber-trace-id", line)])), None, "{line:.60}");
    }
}

#[test]
fn jaegers_header_is_written_and_its_baggage_beside_it() {
    let cx = local(1, TraceState::NONE)
        .with_baggage([KeyValue::new("tenant", "a b, é%"), KeyValue::new("plan", "gold")]);
    let sent = inject(JAEGER, &cx);
    assert_eq!(
        sent,
        [
            format!("uber-trace-id: {TRACE}:{SPAN}:0:1"),
            "uberctx-plan: gold".to_owned(),
            "uberctx-tenant: a%20b%2C%20%C3%A9%25".to_owned(),
        ]
    );
    let received: Vec<_> = sent.iter().filter_map(|line| line.split_once(": ")).collect();
    let again = extract(JAEGER, &received);
    assert_eq!(found(&again), usual(1));
    assert_eq!(baggage(&again), baggage(&cx));

    // Entries of another trace that were there do not stay.
    let mut headers = map(&[("uberctx-old", "1"), ("uber-trace-id", "old"), ("x", "y")]);
    Propagator::new(JAEGER).inject(&cx, &mut headers);
    assert!(!headers.contains_key("uberctx-old"));
    assert_eq!(headers.len(), 4);
    // Without a span there is nobody to speak for.
    assert!(inject(JAEGER, &Context::new()).is_empty());
}

#[test]
fn jaegers_baggage_adds_to_what_is_there_and_has_a_limit() {
    let cx =
        Context::new().with_baggage([KeyValue::new("mine", "1"), KeyValue::new("tenant", "old")]);
    let cx = extract_in(
        JAEGER,
        &cx,
        &[
            ("uberctx-tenant", "acme"),
            ("uberctx-", "no name"),
            ("uberctx-twice", "1"),
            ("uberctx-twice", "2"),
        ],
    );
    let entries: Vec<_> = baggage(&cx).into_iter().map(|(key, value, _)| (key, value)).collect();
    assert_eq!(entries, [("mine".to_owned(), "1".to_owned()), ("tenant".into(), "acme".into())]);

    let names: Vec<_> = (0..500).map(|at| format!("uberctx-k{at}")).collect();
    let flood: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(baggage(&extract(JAEGER, &flood)).len(), 64);
    let long = "v".repeat(8192);
    assert_eq!(baggage(&extract(JAEGER, &[("uberctx-a", &long), ("uberctx-b", "1")])).len(), 1);
    // Some of Jaeger's clients write spaces like that.
    let cx = extract(JAEGER, &[("uberctx-a", "b+c%2Bd")]);
    assert_eq!(baggage(&cx)[0].1, "b c+d");

    // Encoded it is three times as long; and what fits is always the same.
    let entries = ["a", "b", "c"].map(|key| KeyValue::new(key, "é".repeat(700)));
    for _ in 0..20 {
        let cx = Context::new().with_baggage(entries.clone());
        let sent = inject(JAEGER, &cx);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].starts_with("uberctx-a: "));
    }
}

#[test]
fn x_rays_header_is_read_in_any_order() {
    let root = "Root=1-0af76519-16cd43dd8448eb211c80319c";
    let parent = "Parent=b7ad6b7169203331";
    for (line, flags) in [
        (format!("{root};{parent};Sampled=1"), 1),
        (format!("{root};{parent};Sampled=0"), 0),
        (format!("Sampled=1; {parent} ;{root}"), 1),
        (format!("Self=1-67891234-12456789abcdef012345678;{root};{parent};Sampled=1;Other"), 1),
    ] {
        assert_eq!(found(&extract(XRAY, &[("X-Amzn-Trace-Id", &line)])), usual(flags), "{line}");
    }
    for line in [
        "",
        ";",
        "=",
        "Root",
        root,
        parent,
        &format!("{root};Sampled=1"),
        &format!("{root};{parent};Sampled=2"),
        &format!("{root};Parent=b7ad6b716920333;Sampled=1"),
        &format!("{root};Parent=0000000000000000;Sampled=1"),
        &format!("Root=2-0af76519-16cd43dd8448eb211c80319c;{parent}"),
        &format!("Root=1-0af76519-16cd43dd8448eb211c80319;{parent}"),
        &format!("Root=1-0af7651-916cd43dd8448eb211c80319c;{parent}"),
        &format!("Root=1-0af76519-16cd43dd8448eb211c80319c-;{parent}"),
        &format!("Root=1-00000000-000000000000000000000000;{parent}"),
        &format!("Root=1-0AF76519-16cd43dd8448eb211c80319c;{parent}"),
        &format!("{root};{parent};{}", "a=b;".repeat(20_000)),
    ] {
        assert_eq!(found(&extract(XRAY, &[("x-amzn-trace-id", line)])), None, "{line:.80}");
    }
}

#[test]
fn x_rays_header_is_written_and_the_lineage_goes_along() {
    let line = format!(
        "x-amzn-trace-id: Root=1-0af76519-16cd43dd8448eb211c80319c;Parent={SPAN};Sampled=1"
    );
    assert_eq!(inject(XRAY, &local(1, TraceState::NONE)), std::slice::from_ref(&line));
    assert!(inject(XRAY, &Context::new()).is_empty());

    let lineage = "Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2";
    let received = format!("{};{lineage}", line.split_once(": ").unwrap().1);
    let cx = extract(XRAY, &[("x-amzn-trace-id", &received)]);
    assert!(
        inject(XRAY, &below(&cx, TraceFlags::SAMPLED))[0]
            .ends_with(&format!(";Sampled=1;{lineage}"))
    );
    for bad in ["Lineage=", "Lineage=a b", "Lineage=a,b", &format!("Lineage={}", "a".repeat(257))] {
        let received = received.replace(lineage, bad);
        let cx = extract(XRAY, &[("x-amzn-trace-id", &received)]);
        assert_eq!(inject(XRAY, &cx), std::slice::from_ref(&line), "{bad}");
    }
}

#[test]
fn of_two_formats_that_name_the_same_span_the_second_adds_to_the_first() {
    let both = Propagator::new(TraceContext::new()).and(SINGLE);
    let parent = format!("00-{TRACE}-{SPAN}-03");
    let single = format!("{TRACE}-{SPAN}-d");
    let headers =
        map(&[("traceparent", parent.as_str()), ("tracestate", "a=1,b@@c=2"), ("b3", &single)]);
    let cx = both.extract(&Context::new(), &headers);
    let mut sent = map(&[("", ""); 0]);
    both.inject(&cx, &mut sent);
    assert_eq!(lines(&sent), lines(&headers));
    // If they do not agree, the second counts.
    let headers = map(&[
        ("traceparent", parent.as_str()),
        ("tracestate", "a=1"),
        ("b3", &format!("{TRACE}-{}-0", "1".repeat(16))),
    ]);
    let cx = both.extract(&Context::new(), &headers);
    assert_eq!(found(&cx).unwrap(), (TRACE.to_owned(), "1".repeat(16), 0));
    assert_eq!(cx.span().span_context().trace_state(), &TraceState::NONE);
}

#[test]
fn whichever_comes_first_what_was_decided_stays_decided() {
    let ids = format!("{TRACE}-{SPAN}");
    let root = format!("Root=1-{}-{};Parent={SPAN}", &TRACE[..8], &TRACE[8..]);
    let lineage = format!("{root};Sampled=1;Lineage=a:1");
    let parent = |flags| format!("00-{TRACE}-{SPAN}-{flags}");
    for (first, second, sent) in [
        (("traceparent", parent("01")), ("b3", ids.clone()), vec![format!("b3: {ids}-1")]),
        (("traceparent", parent("00")), ("b3", ids.clone()), vec![format!("b3: {ids}-0")]),
        (
            ("traceparent", parent("01")),
            ("x-amzn-trace-id", root.clone()),
            vec![format!("b3: {ids}-1")],
        ),
        (
            ("b3", format!("{ids}-d")),
            ("x-amzn-trace-id", root.clone()),
            vec![format!("b3: {ids}-d")],
        ),
        (
            ("b3", format!("{ids}-d")),
            ("uber-trace-id", format!("{TRACE}:{SPAN}:0:1")),
            vec![format!("b3: {ids}-d")],
        ),
        (("b3", ids.clone()), ("x-amzn-trace-id", root.clone()), vec![format!("b3: {ids}")]),
        (
            ("x-amzn-trace-id", lineage.clone()),
            ("b3", format!("{ids}-1")),
            vec![format!("b3: {ids}-1"), format!("x-amzn-trace-id: {lineage}")],
        ),
    ] {
        let name = |header: &str| match header {
            "traceparent" => "tracecontext",
            "x-amzn-trace-id" => "xray",
            "uber-trace-id" => "jaeger",
            _ => "b3",
        };
        let headers = map(&[(first.0, &first.1), (second.0, &second.1)]);
        for order in [[first.0, second.0], [second.0, first.0]] {
            let both = Propagator::named(order.map(name)).unwrap();
            let cx = both.extract(&Context::new(), &headers);
            let written = [inject(B3::new(), &cx), inject(XRay::new(), &cx)].concat();
            for line in &sent {
                assert!(written.contains(line), "{order:?}: {line} is not among {written:?}");
            }
        }
    }
}

#[test]
fn what_was_left_open_of_one_span_is_not_left_open_of_another() {
    let cx = extract(SINGLE, &[("b3", &format!("{TRACE}-{SPAN}"))]);
    let other = SpanContext::new(
        cx.span().span_context().trace_id(),
        5_u64.into(),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::NONE,
    );
    let sent = inject(SINGLE, &cx.with_remote_span_context(other));
    assert_eq!(sent, [format!("b3: {TRACE}-0000000000000005-0")]);
}

#[test]
fn a_no_that_comes_later_is_a_no_to_debug_as_well() {
    let headers = map(&[
        ("b3", format!("{TRACE}-{SPAN}-d")),
        ("traceparent", format!("00-{TRACE}-{SPAN}-00")),
    ]);
    let both = Propagator::new(SINGLE).and(TraceContext::new());
    let cx = both.extract(&Context::new(), &headers);
    assert_eq!(inject(SINGLE, &cx), [format!("b3: {TRACE}-{SPAN}-0")]);
    assert!(inject(SINGLE, &below(&cx, TraceFlags::SAMPLED))[0].ends_with("-1"));
}
