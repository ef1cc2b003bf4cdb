//! Whatever is put into headers comes out of them, and whatever comes in, what we emit we accept.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    baggage::{BaggageExt, KeyValueMetadata},
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_http::HeaderExtractor;
use proptest::{collection::vec, prelude::*};
use tower_telemetry::propagation::{Environment, Propagator};

use crate::support::headers::{NAMES, baggage, lines};

const FORMATS: [&str; 6] = ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray"];

fn settings() -> ProptestConfig {
    // A case that failed belongs into a test of its own, not into a file beside this one.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn named(name: &str) -> Propagator {
    Propagator::named([name]).unwrap()
}

fn written(propagator: &Propagator, cx: &Context) -> HeaderMap {
    let mut headers = HeaderMap::new();
    propagator.inject(cx, &mut headers);
    headers
}

/// The part of a span that goes along.
fn span(cx: &Context) -> (TraceId, SpanId, bool) {
    let span = cx.span().span_context().clone();
    (span.trace_id(), span.span_id(), span.is_sampled())
}

fn local_span() -> impl Strategy<Value = SpanContext> {
    (1_u128.., 1_u64.., 0..4_u8).prop_map(|(trace_id, span_id, flags)| {
        let flags = TraceFlags::new(flags);
        SpanContext::new(trace_id.into(), span_id.into(), flags, false, TraceState::NONE)
    })
}

/// Members by the grammar of Level 2, each key once.
fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = "[a-z0-9][a-z0-9_*/@-]{0,20}";
    let value = "[ -+\\--<>-~]{0,20}[!-+\\--<>-~]";
    vec((key, value), 0..=32).prop_map(|mut members| {
        let mut keys = std::collections::HashSet::new();
        members.retain(|(key, _)| keys.insert(key.clone()));
        members
    })
}

/// What comes near to a header of one of the formats.
fn nearly() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop::sample::select(NAMES.as_slice());
    let value = prop_oneof![
        "[0f][0-9a-f]-[0-9a-f]{31,33}-[0-9a-f]{15,17}-0[0-3](-.{0,5})?",
        "([ \t]{0,2}[a-z0-9@*]{0,4}=[ -~]{0,5}[ \t]{0,2},){0,40}[a-z]=[a-z]",
        "([a-z!]{1,3} ?= ?([!-~]|%[0-9A-F]{2}){0,8}(;[a-z]{1,3}(=[a-z%0-9]{0,4})?){0,3},){0,5}",
        "[0-9a-f]{16}([0-9a-f]{16})?-[0-9a-f]{16}(-[01d])?",
        "[0-9a-fA-F]{1,33}(:|%3A)[0-9a-f]{1,17}:0:[0-9a-f]{0,3}",
        "(Root=1-[0-9a-f]{8}-[0-9a-f]{24};?|Parent=[0-9a-f]{16};?|Sampled=[01?];?|Lineage=[ -~]{0,9};?){0,5}",
        "[0-9a-f]{16}([0-9a-f]{16})?|[01]|true|false",
        "[\t -~\u{80}-\u{ff}]{0,40}",
    ];
    (name, value).prop_filter_map("no header's value", |(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).ok()?))
    })
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn a_span_comes_out_of_every_format_as_it_went_in(span_context in local_span()) {
        let cx = Context::new().with_remote_span_context(span_context);
        for name in ["tracecontext", "b3", "b3multi", "jaeger", "xray"] {
            let propagator = named(name);
            let headers = written(&propagator, &cx);
            let found = propagator.extract(&Context::new(), &headers);
            prop_assert_eq!(span(&found), span(&cx), "{}", name);
            prop_assert!(found.span().span_context().is_remote());
            prop_assert_eq!(written(&propagator, &found), headers, "{}", name);
            if name == "tracecontext" {
                prop_assert_eq!(found.span().span_context().trace_flags(), cx.span().span_context().trace_flags());
            }
            // And through the environment of a program.
            let mut environment = Environment::default();
            propagator.inject_context(&cx, &mut environment);
            prop_assert_eq!(span(&environment.extract(&propagator, &Context::new())), span(&cx));
        }
    }

    #[test]
    fn a_list_comes_out_byte_for_byte(members in members(), cuts in vec(any::<prop::sample::Index>(), 0..3)) {
        let list: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut headers = HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02";
        headers.insert("traceparent", HeaderValue::from_static(parent));
        // In several lines, wherever they were cut.
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(list.len() + 1)).collect();
        cuts.sort_unstable();
        let mut start = 0;
        for end in cuts.into_iter().chain([list.len()]) {
            let line = list[start..end].join(" ,\t");
            headers.append("tracestate", HeaderValue::from_str(&line).unwrap());
            start = end;
        }
        let w3c = named("tracecontext");
        let cx = w3c.extract(&Context::new(), &headers);
        let sent = written(&w3c, &cx);
        prop_assert_eq!(&sent["traceparent"], parent);
        let state = sent.get("tracestate").map(|state| state.to_str().unwrap().to_owned());
        prop_assert_eq!(state.unwrap_or_default(), list.join(","));
    }

    #[test]
    fn baggage_of_any_text_comes_out_as_it_went_in(
        entries in vec(("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", any::<String>(), "([a-z]{1,4}(=[a-z0-9%]{0,4})?(;[a-z]{1,3})?)?"), 0..20)
    ) {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(key, value, properties)| KeyValueMetadata::new(key, value, properties))
            .collect();
        let cx = Context::new().with_baggage(entries);
        let propagator = named("baggage");
        let headers = written(&propagator, &cx);
        let found = propagator.extract(&Context::new(), &headers);
        prop_assert_eq!(baggage(&found), baggage(&cx));
        prop_assert_eq!(written(&propagator, &found), headers);
    }

    #[test]
    fn jaegers_baggage_comes_out_as_it_went_in(
        entries in prop::collection::hash_map("[!#$%&'*+.^_`|~0-9a-z-]{1,12}", any::<String>(), 0..20)
    ) {
        let entries = entries.into_iter().map(|(key, value)| KeyValueMetadata::new(key, value, ""));
        let cx = Context::new().with_baggage(entries.collect::<Vec<_>>());
        let propagator = named("jaeger");
        let found = propagator.extract(&Context::new(), &written(&propagator, &cx));
        let short = baggage(&cx).iter().map(|(key, value, _)| key.len() + 3 * value.len()).sum::<usize>() < 8192;
        prop_assume!(short);
        prop_assert_eq!(baggage(&found), baggage(&cx));
    }

    #[test]
    fn what_we_emit_we_accept_whatever_came_in(headers in vec(nearly(), 0..8)) {
        let received: HeaderMap = headers.iter().cloned().fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        });
        for name in FORMATS {
            let propagator = named(name);
            let cx = propagator.extract(&Context::new(), &received);
            let sent = written(&propagator, &cx);
            for value in sent.values() {
                prop_assert!(value.to_str().is_ok_and(|value| !value.is_empty() || name == "jaeger"));
            }
            let again = propagator.extract(&Context::new(), &sent);
            prop_assert_eq!(span(&again), span(&cx), "{}: {:?}", name, &sent);
            prop_assert_eq!(baggage(&again), baggage(&cx), "{}: {:?}", name, &sent);
            prop_assert_eq!(lines(&written(&propagator, &again)), lines(&sent), "{}", name);
            // Through somebody else's carrier it is the same.
            if received.values().all(|value| value.to_str().is_ok()) {
                let foreign = propagator.extract_with_context(&Context::new(), &HeaderExtractor(&received));
                prop_assert_eq!(span(&foreign), span(&cx), "{}", name);
                prop_assert_eq!(baggage(&foreign), baggage(&cx), "{}", name);
            }
        }
        // And all of them at once.
        let all = Propagator::named(FORMATS).unwrap();
        let cx = all.extract(&Context::new(), &received);
        let again = all.extract(&Context::new(), &written(&all, &cx));
        prop_assert_eq!(span(&again), span(&cx));
    }
}
