//! Several propagators as one, ours and others', by code and by name.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    propagation::{
        Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
        text_map_propagator::FieldIter,
    },
    trace::{TraceContextExt, TraceState},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tower_telemetry::propagation::{
    B3, Baggage, Environment, Jaeger, Propagator, TraceContext, XRay,
};

use crate::support::headers::{NAMES, SPAN, TRACE, baggage, inject, lines, local, map};

fn names(propagator: &Propagator) -> String {
    format!("{propagator:?}")
}

fn everything() -> Propagator {
    Propagator::named(["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray"]).unwrap()
}

#[test]
fn several_are_used_in_the_order_given_and_none_twice() {
    let all = Propagator::new(TraceContext::new())
        .and(Baggage::new())
        .and(B3::new())
        .and(B3::new().with_multiple_headers())
        .and(Jaeger::new())
        .and(XRay::new());
    assert_eq!(names(&all), "[tracecontext, baggage, b3, b3multi, jaeger, xray]");
    assert_eq!(names(&everything()), names(&all));
    let twice = Propagator::new(B3::new()).and(TraceContext::new()).and(B3::new()).and(all.clone());
    assert_eq!(names(&twice), "[b3, tracecontext, baggage, b3multi, jaeger, xray]");
    assert_eq!(names(&Propagator::none()), "[]");
    assert_eq!(
        all.fields().collect::<Vec<_>>(),
        NAMES.into_iter().filter(|name| !name.starts_with("uberctx-")).collect::<Vec<_>>()
    );
}

#[test]
fn names_are_those_of_the_specification_in_any_case() {
    for (given, expected) in [
        (&["tracecontext", "baggage"][..], "[tracecontext, baggage]"),
        (&["B3Multi", "b3", "XRAY", "xray"], "[b3multi, b3, xray]"),
        (&["none"], "[]"),
        (&["None"], "[]"),
        (&[], "[]"),
    ] {
        assert_eq!(names(&Propagator::named(given).unwrap()), expected);
    }
    for (given, value) in [
        (&["b3", "ottrace"][..], "ottrace"),
        (&["tracecontext,baggage"], "tracecontext,baggage"),
        (&[""], ""),
        (&[" b3"], " b3"),
        (&["none", "b3"], "none"),
        (&["b3", "NONE"], "NONE"),
    ] {
        let error = Propagator::named(given).unwrap_err();
        assert_eq!((error.setting(), error.value()), ("propagator", value));
    }
}

#[test]
fn what_is_written_by_all_is_read_by_each() {
    let cx = local(1, TraceState::from_key_value([("a", "1")]).unwrap())
        .with_baggage([KeyValue::new("tenant", "acme")]);
    let mut headers = map(&[("", ""); 0]);
    everything().inject(&cx, &mut headers);
    assert_eq!(
        lines(&headers),
        [
            format!("b3: {TRACE}-{SPAN}-1"),
            "baggage: tenant=acme".into(),
            format!("traceparent: 00-{TRACE}-{SPAN}-01"),
            "tracestate: a=1".into(),
            format!("uber-trace-id: {TRACE}:{SPAN}:0:1"),
            "uberctx-tenant: acme".into(),
            format!(
                "x-amzn-trace-id: Root=1-{}-{};Parent={SPAN};Sampled=1",
                &TRACE[..8],
                &TRACE[8..]
            ),
            "x-b3-sampled: 1".into(),
            format!("x-b3-spanid: {SPAN}"),
            format!("x-b3-traceid: {TRACE}"),
        ]
    );
    for name in ["tracecontext", "b3", "jaeger", "xray"] {
        let found = Propagator::named([name]).unwrap().extract(&Context::new(), &headers);
        let span = found.span().span_context().clone();
        assert_eq!(
            (span.trace_id().to_string(), span.span_id().to_string()),
            (TRACE.into(), SPAN.into())
        );
        assert!(span.is_sampled() && span.is_remote(), "{name}");
    }
}

/// Somebody's format of one header, and one that carries itself along.
#[derive(Clone, Debug)]
struct Theirs(Arc<Vec<String>>);

impl Theirs {
    fn new() -> Self {
        Self(Arc::new(vec!["x-theirs".to_owned()]))
    }
}

#[derive(Debug, PartialEq)]
struct Their(String);

impl TextMapPropagator for Theirs {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if let Some(Their(value)) = cx.get() {
            injector.set("x-theirs", value.clone());
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        extractor
            .get("x-theirs")
            .map_or_else(|| cx.clone(), |value| cx.with_value(Their(value.into())))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}

#[test]
fn any_other_propagator_can_be_among_ours() {
    let propagator =
        Propagator::new(TraceContext::new()).and(Theirs::new()).and(BaggagePropagator::new());
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = map(&[
        ("traceparent", parent.as_str()),
        ("x-theirs", "1"),
        ("baggage", "a=1"),
        ("baggage", "b=2"),
    ]);
    let cx = propagator.extract(&Context::new(), &headers);
    assert_eq!(cx.get(), Some(&Their("1".into())));
    assert_eq!(cx.span().span_context().span_id().to_string(), SPAN);
    // Also theirs sees all lines.
    assert_eq!(baggage(&cx).len(), 2);

    let mut sent = map(&[("x-theirs", "old"), ("tracestate", "old=1")]);
    propagator.inject(&cx, &mut sent);
    assert_eq!(sent.len(), 3);
    assert_eq!(
        (&sent["traceparent"], &sent["x-theirs"]),
        (&headers["traceparent"], &headers["x-theirs"])
    );
}

#[test]
fn an_empty_tracestate_is_not_sent_whoever_writes_it() {
    let theirs = Propagator::new(TraceContextPropagator::new());
    let mut headers = map(&[("tracestate", "old=1")]);
    theirs.inject(&local(1, TraceState::NONE), &mut headers);
    assert_eq!(lines(&headers), [format!("traceparent: 00-{TRACE}-{SPAN}-01")]);
}

#[test]
fn ours_can_be_among_any_others() {
    let theirs = TextMapCompositePropagator::new(vec![
        Box::new(TraceContext::new()),
        Box::new(Baggage::new()),
        Box::new(B3::new()),
        Box::new(Propagator::new(XRay::new())),
    ]);
    let cx = local(1, TraceState::NONE).with_baggage([KeyValue::new("a", "1")]);
    let mut carrier = std::collections::HashMap::new();
    theirs.inject_context(&cx, &mut carrier);
    assert_eq!(carrier.len(), 4);
    let found = theirs.extract(&carrier);
    assert_eq!(found.span().span_context().span_id().to_string(), SPAN);
    assert_eq!(baggage(&found), baggage(&cx));
}

#[test]
fn none_reads_and_writes_nothing() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = map(&[("traceparent", parent.as_str()), ("baggage", "a=1")]);
    let cx = Propagator::none().extract(&Context::new(), &headers);
    assert!(!cx.has_active_span() && cx.baggage().is_empty());
    assert!(inject(Propagator::none(), &local(1, TraceState::NONE)).is_empty());
}

#[test]
fn a_program_hears_of_its_span_from_its_environment() {
    let line = format!("00-{TRACE}-{SPAN}-03");
    let environment = Environment::from_iter([
        ("TRACEPARENT", line.as_str()),
        ("TRACESTATE", "a=1,b@@c=2"),
        ("BAGGAGE", "tenant=acme"),
        ("X_AMZN_TRACE_ID", "garbage"),
        ("UBERCTX_TENANT", "nobody asked"),
        // In any other case it is another variable.
        ("b3", "0"),
        ("PATH", "/bin"),
    ]);
    let cx = environment.extract(&everything(), &Context::new());
    let span = cx.span().span_context().clone();
    assert!(span.is_remote());
    assert_eq!(
        inject(TraceContext::new(), &cx),
        [format!("traceparent: {line}"), "tracestate: a=1,b@@c=2".into()]
    );
    assert_eq!(baggage(&cx), [("tenant".into(), "acme".into(), String::new())]);
    // Nothing in there, nothing found.
    let nothing = Environment::default().extract(&everything(), &Context::new());
    assert!(!nothing.has_active_span());
}

#[test]
fn a_program_that_is_started_gets_its_span_in_its_environment() {
    let cx = local(1, TraceState::NONE).with_baggage([KeyValue::new("tenant", "a b")]);
    let mut child = Command::new("env");
    child.env_clear().env("TRACESTATE", "old=1").env("OTHER", "stays");
    Environment::inject(&everything(), &cx, &mut child);
    let output = child.output().unwrap();
    let mut variables: Vec<_> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    variables.sort_unstable();
    let root =
        format!("X_AMZN_TRACE_ID=Root=1-{}-{};Parent={SPAN};Sampled=1", &TRACE[..8], &TRACE[8..]);
    assert_eq!(
        variables,
        [
            &format!("B3={TRACE}-{SPAN}-1"),
            "BAGGAGE=tenant=a%20b",
            "OTHER=stays",
            &format!("TRACEPARENT=00-{TRACE}-{SPAN}-01"),
            &format!("UBER_TRACE_ID={TRACE}:{SPAN}:0:1"),
            "X_AMZN_TRACE_ID=",
            "X_B3_SAMPLED=1",
            &format!("X_B3_SPANID={SPAN}"),
            &format!("X_B3_TRACEID={TRACE}"),
        ]
        .map(|line| if line == "X_AMZN_TRACE_ID=" { root.as_str() } else { line })
    );
    // And reads it again.
    let read: Environment = variables.iter().filter_map(|line| line.split_once('=')).collect();
    let w3c = Propagator::named(["tracecontext", "baggage"]).unwrap();
    let found = read.extract(&w3c, &Context::new());
    assert_eq!(found.span().span_context().span_id().to_string(), SPAN);
    assert_eq!(baggage(&found), baggage(&cx));
}

#[test]
fn nothing_of_another_trace_stays_in_the_environment() {
    let parent = format!("00-{}-{}-00", "2".repeat(32), "2".repeat(16));
    let single = format!("{}-{}-0", "2".repeat(32), "2".repeat(16));
    let removed = |propagator: &Propagator| {
        let mut child = Command::new("env");
        child.env_clear().env("TRACEPARENT", &parent).env("TRACESTATE", "old=1");
        child.env("BAGGAGE", "old=1").env("B3", &single).env("X_B3_PARENTSPANID", "2");
        Environment::inject(propagator, &local(1, TraceState::NONE), &mut child);
        let output = child.output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> =
            output.lines().map(|line| line.split_once('=').unwrap().0.to_owned()).collect();
        names.sort();
        assert!(
            !output.contains("TRACEPARENT=00-22")
                || propagator.fields().all(|field| field != "traceparent")
        );
        names
    };
    let w3c = ["tracecontext", "baggage"];
    let of_b3 = ["B3", "X_B3_PARENTSPANID"];
    assert_eq!(removed(&Propagator::named(w3c).unwrap()), [of_b3[0], "TRACEPARENT", of_b3[1]]);
    let foreign = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    assert_eq!(removed(&Propagator::new(foreign)), [of_b3[0], "TRACEPARENT", of_b3[1]]);
    let several = removed(&Propagator::named(["b3multi"]).unwrap());
    let of_w3c = ["BAGGAGE", "TRACEPARENT", "TRACESTATE"];
    assert_eq!(several[..3], of_w3c);
    assert_eq!(several[3..], ["X_B3_SAMPLED", "X_B3_SPANID", "X_B3_TRACEID"]);
}

#[test]
fn names_are_those_that_a_variable_may_have() {
    let mut environment = Environment::default();
    for field in ["traceparent", "x-b3-traceid", "1st", "a.b c", "é", "", "_ok_2"] {
        environment.set(field, format!("of {field}"));
        assert_eq!(environment.get(field), Some(format!("of {field}").as_str()));
    }
    // An empty variable is an unset one.
    environment.set("tracestate", String::new());
    assert_eq!(environment.get("tracestate"), None);
    let names: Vec<_> = environment.clone().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["TRACEPARENT", "X_B3_TRACEID", "A_B_C", "_", "_1ST", "_OK_2"]
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    let mixed = Environment::from_iter([("TRACEPARENT", "s3cret"), ("traceparent", "2")]);
    assert_eq!(mixed.keys(), ["TRACEPARENT"]);
    assert_eq!(format!("{mixed:?}"), r#"{"TRACEPARENT", "traceparent"}"#);
}

/// How many events `tracing` is told of in the meantime.
fn events(job: impl FnOnce()) -> usize {
    struct Counts(Arc<AtomicUsize>);

    impl tracing::Subscriber for Counts {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Relaxed);
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    let count = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Counts(Arc::clone(&count)), job);
    count.load(Relaxed)
}

#[test]
fn whatever_comes_in_nothing_is_logged() {
    let long = "x".repeat(65_536);
    let hostile = ["", "garbage", "=", ",", "%", ":::", ";;;", "\u{e9}", "\t", &long];
    let read = |propagator: &Propagator| {
        for value in hostile {
            let lines: Vec<_> = NAMES.iter().map(|name| (*name, value)).collect();
            let cx = propagator.extract(&Context::new(), &map(&lines));
            assert!(!cx.has_active_span());
            propagator.inject(&cx, &mut map(&lines));
        }
    };
    assert_eq!(events(|| read(&everything())), 0);
    // Others do log, and what is in there with it.
    assert_ne!(events(|| read(&Propagator::new(BaggagePropagator::new()))), 0);
}

#[test]
fn a_map_that_is_full_stays_as_it_is() {
    let mut headers = HeaderMap::new();
    for at in 0.. {
        let name: HeaderName = format!("x{at}").parse().unwrap();
        if headers.try_insert(name, HeaderValue::from_static("y")).is_err() {
            break;
        }
    }
    let before = headers.len();
    let cx = local(1, TraceState::NONE).with_baggage([KeyValue::new("a", "1")]);
    everything().inject(&cx, &mut headers);
    assert_eq!(headers.len(), before);
    let foreign = TextMapCompositePropagator::new(vec![Box::new(everything())]);
    Propagator::new(foreign).inject(&cx, &mut headers);
    assert_eq!(headers.len(), before);

    // But for what would speak for another span.
    headers.remove("x0");
    headers.insert("traceparent", HeaderValue::from_static("stale"));
    Propagator::new(TraceContext::new()).inject(&cx, &mut headers);
    assert!(headers.get("traceparent").is_none_or(|parent| parent != "stale"));
}

#[test]
fn a_line_that_is_no_text_hides_behind_no_carrier() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let in_a_box = TextMapCompositePropagator::new(vec![Box::new(TraceContext::new())]);
    for propagator in [Propagator::new(TraceContext::new()), Propagator::new(in_a_box)] {
        let twice = map(&[("traceparent", parent.as_bytes()), ("traceparent", b"\xff")]);
        assert!(!propagator.extract(&Context::new(), &twice).has_active_span());
        let broken = map(&[
            ("traceparent", parent.as_bytes()),
            ("tracestate", b"a=1"),
            ("tracestate", b"b=\xff"),
        ]);
        let cx = propagator.extract(&Context::new(), &broken);
        assert_eq!(cx.span().span_context().trace_state(), &TraceState::NONE);
    }
}

#[test]
fn what_others_write_is_known_by_its_fields_however_they_spell_them() {
    #[derive(Debug)]
    struct Shouts(Vec<String>);

    impl TextMapPropagator for Shouts {
        fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

        fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&self.0)
        }
    }

    let fields = ["X-B3-TraceId", "Uber-Trace-Id", "X-Theirs"].map(str::to_owned).to_vec();
    let shouts =
        Propagator::new(Shouts(fields)).and(TraceContext::new()).and(TraceContextPropagator::new());
    assert_eq!(
        shouts.fields().collect::<Vec<_>>(),
        ["X-B3-TraceId", "Uber-Trace-Id", "X-Theirs", "traceparent", "tracestate"]
    );
    let stale = [
        ("b3", "0"),
        ("x-b3-sampled", "0"),
        ("uber-trace-id", "old"),
        ("uberctx-old", "1"),
        ("x-theirs", "old"),
        ("x-ours", "stays"),
    ];
    let mut headers = map(&stale);
    shouts.inject(&local(1, TraceState::NONE), &mut headers);
    assert_eq!(
        lines(&headers),
        [format!("traceparent: 00-{TRACE}-{SPAN}-01"), "x-ours: stays".into()]
    );

    let mut child = Command::new("env");
    child.env_clear();
    for (name, value) in stale {
        child.env(name.to_uppercase().replace('-', "_"), value);
    }
    Environment::inject(&shouts, &local(1, TraceState::NONE), &mut child);
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    let mut left: Vec<_> = output.lines().map(|line| line.split_once('=').unwrap().0).collect();
    left.sort_unstable();
    assert_eq!(left, ["TRACEPARENT", "UBERCTX_OLD", "X_OURS"]);
}

#[test]
fn what_somebody_else_has_found_another_span_for_does_not_hold_for_that() {
    let headers = map(&[
        ("b3", format!("{TRACE}-{SPAN}-d")),
        ("traceparent", format!("00-{TRACE}-00000000000000aa-01")),
    ]);
    let both = Propagator::new(B3::new()).and(TraceContextPropagator::new());
    let cx = both.extract(&Context::new(), &headers);
    let child = cx.with_remote_span_context(opentelemetry::trace::SpanContext::new(
        cx.span().span_context().trace_id(),
        9_u64.into(),
        opentelemetry::TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    ));
    assert_eq!(inject(B3::new(), &child), [format!("b3: {TRACE}-0000000000000009-1")]);
}
