//! The sampler by itself: what it decides, and what that makes of `tracestate`.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use opentelemetry::{
    Context, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{
    Sampler as SdkSampler, SamplingDecision, SamplingResult, ShouldSample,
};
use proptest::prelude::*;
use tower_telemetry::{
    SamplerBuilder,
    propagation::{B3, Propagator},
    sdk::sampler::{RateLimit, Rule, Sampler},
};

use SamplingDecision::{Drop, RecordAndSample, RecordOnly};

/// A trace's id with these last 56 bits. The byte before them, which does not count, is full.
fn id(randomness: u64) -> TraceId {
    TraceId::from(0x0af7_6519_16cd_43dd_ff00_0000_0000_0000 | u128::from(randomness))
}

#[derive(Clone, Copy)]
enum From {
    Here,
    There,
}

fn below(from: From, sampled: bool, state: &[(&str, &str)], id: TraceId) -> Context {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let state = TraceState::from_key_value(state.iter().copied()).unwrap();
    let remote = matches!(from, From::There);
    let parent = SpanContext::new(id, SpanId::from(1), flags, remote, state);
    Context::new().with_remote_span_context(parent)
}

fn ask(sampler: &Sampler, cx: &Context, id: TraceId) -> SamplingResult {
    sampler.should_sample(Some(cx), id, "span", &SpanKind::Internal, &[], &[])
}

/// Whether a trace that starts here is sampled, and what `tracestate` says of that.
fn root(sampler: &Sampler, randomness: u64) -> (SamplingDecision, String) {
    let result = ask(sampler, &Context::new(), id(randomness));
    assert!(result.attributes.is_empty());
    (result.decision, result.trace_state.header())
}

fn ratio(ratio: f64) -> Sampler {
    SamplerBuilder::new().with_ratio(ratio).build().unwrap()
}

fn new() -> SamplerBuilder {
    SamplerBuilder::new()
}

/// Numbers that look random and are the same each time (`SplitMix64`).
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0_u64;
    std::iter::from_fn(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ mixed >> 31)
    })
}

fn ids() -> impl Iterator<Item = TraceId> {
    let mut halves = numbers();
    std::iter::from_fn(move || {
        let (left, right) = (halves.next()?, halves.next()?);
        Some(TraceId::from(u128::from(left) << 64 | u128::from(right)))
    })
}

#[test]
fn a_trace_at_the_threshold_is_sampled_and_one_below_is_not() {
    // The table of the specification: the digits, behind which all are zero.
    for (share, threshold, written) in [
        (1.0, 0, "ot=th:0"),
        (0.5, 0x0080_0000_0000_0000, "ot=th:8"),
        (1.0 / 3.0, 0x00aa_ab00_0000_0000, "ot=th:aaab"),
        (0.25, 0x00c0_0000_0000_0000, "ot=th:c"),
        (0.1, 0x00e6_6600_0000_0000, "ot=th:e666"),
        (0.01, 0x00fd_70a0_0000_0000, "ot=th:fd70a"),
        (0.001, 0x00ff_be77_0000_0000, "ot=th:ffbe77"),
        (1e-6, 0x00ff_ffef_3900_0000, "ot=th:ffffef39"),
    ] {
        let sampler = ratio(share);
        for randomness in [threshold, 0x00ff_ffff_ffff_ffff] {
            let expected = (RecordAndSample, written.to_owned());
            assert_eq!(root(&sampler, randomness), expected, "{share}: {randomness:x}");
        }
        // Below the lowest there is none.
        for randomness in
            u64::checked_sub(threshold, 1).into_iter().chain((threshold > 0).then_some(0))
        {
            assert_eq!(
                root(&sampler, randomness),
                (Drop, String::new()),
                "{share}: {randomness:x}"
            );
        }
    }
    assert_eq!(root(&ratio(0.0), 0x00ff_ffff_ffff_ffff), (Drop, String::new()));
}

#[test]
fn always_on_and_always_off_say_nothing_of_a_share() {
    assert_eq!(root(&new().build().unwrap(), 0), (RecordAndSample, String::new()));
    assert_eq!(root(&new().with_always_off().build().unwrap(), 0), (Drop, String::new()));
}

#[test]
fn of_a_million_traces_a_ratio_samples_its_share() {
    const TRACES: u32 = 1_000_000;
    let shares = [0.999, 0.5, 1.0 / 3.0, 0.1, 0.01, 0.001, 0.0001];
    let samplers = shares.map(ratio);
    let mut sampled = shares.map(|_| 0_u32);
    let cx = Context::new();
    for id in ids().take(TRACES as usize) {
        let mut before = true;
        for (sampler, sampled) in samplers.iter().zip(&mut sampled) {
            let is_sampled = ask(sampler, &cx, id).decision == RecordAndSample;
            *sampled += u32::from(is_sampled);
            // Whatever a service samples, one with a higher ratio does, too.
            assert!(before || !is_sampled, "{id}");
            before = is_sampled;
        }
    }
    for (share, sampled) in shares.into_iter().zip(sampled) {
        let expected = share * f64::from(TRACES);
        // Five standard deviations of a binomial distribution.
        let bound = 5.0 * (expected * (1.0 - share)).sqrt();
        assert!((f64::from(sampled) - expected).abs() < bound, "{share}: {sampled}");
    }
}

#[test]
fn services_agree_by_the_explicit_randomness_if_there_is_one() {
    let independent = |share| new().with_ratio(share).without_parent().build().unwrap();
    let (few, many) = (independent(0.2), independent(0.6));
    let mut sampled = [0, 0];
    for (number, id) in numbers().zip(ids()).take(10_000) {
        let rv = format!("rv:{:014x}", number >> 8);
        let cx = below(From::There, false, &[("ot", &rv)], id);
        let results = [&few, &many].map(|sampler| ask(sampler, &cx, id));
        let [by_few, by_many] = results.each_ref().map(|result| result.decision == RecordAndSample);
        assert!(by_many || !by_few, "{rv}");
        sampled[0] += u32::from(by_few);
        sampled[1] += u32::from(by_many);
        for (result, threshold) in results.iter().zip(["cccd", "6666"]) {
            // It stays as it was, whatever is decided.
            let expected = match result.decision {
                RecordAndSample => format!("ot={rv};th:{threshold}"),
                _ => format!("ot={rv}"),
            };
            assert_eq!(result.trace_state.header(), expected);
        }
    }
    assert!((1_800..2_200).contains(&sampled[0]), "{sampled:?}");
    assert!((5_750..6_250).contains(&sampled[1]), "{sampled:?}");
}

#[test]
fn the_older_arithmetic_is_the_sdks() {
    let ours = new().with_trace_id_ratio(0.3).build().unwrap();
    let theirs = SdkSampler::TraceIdRatioBased(0.3);
    let mut sampled = 0;
    for id in ids().take(10_000) {
        let result = ask(&ours, &Context::new(), id);
        let expected = theirs.should_sample(None, id, "span", &SpanKind::Internal, &[], &[]);
        assert_eq!(result, expected);
        sampled += u32::from(result.decision == RecordAndSample);
    }
    assert!((2_700..3_300).contains(&sampled), "{sampled}");
    // It does not know the share, so nobody else's stands.
    let ours = new().with_trace_id_ratio(1.0).without_parent().build().unwrap();
    let cx = below(From::There, true, &[("ot", "th:8")], id(u64::MAX >> 8));
    assert_eq!(ask(&ours, &cx, id(u64::MAX >> 8)).trace_state, TraceState::NONE);
}

#[test]
fn each_branch_below_a_parent_has_its_sampler() {
    type Branch = fn(SamplerBuilder, SdkSampler) -> SamplerBuilder;
    let builders: [(&str, Branch); 5] = [
        ("none", |builder, _| builder),
        ("remote sampled", SamplerBuilder::with_remote_parent_sampled),
        ("remote not sampled", SamplerBuilder::with_remote_parent_not_sampled),
        ("local sampled", SamplerBuilder::with_local_parent_sampled),
        ("local not sampled", SamplerBuilder::with_local_parent_not_sampled),
    ];
    let parents =
        [(From::There, true), (From::There, false), (From::Here, true), (From::Here, false)];
    for root_sampler in [SdkSampler::AlwaysOn, SdkSampler::AlwaysOff] {
        let of_root = match root_sampler {
            SdkSampler::AlwaysOn => RecordAndSample,
            _ => Drop,
        };
        for (at, (branch, with_branch)) in builders.iter().enumerate() {
            for (other, of_other) in
                [(SdkSampler::AlwaysOn, RecordAndSample), (SdkSampler::AlwaysOff, Drop)]
            {
                let sampler =
                    with_branch(new().with_root(root_sampler.clone()), other).build().unwrap();
                assert_eq!(ask(&sampler, &Context::new(), id(1)).decision, of_root, "{branch}");
                let invalid = Context::new().with_remote_span_context(SpanContext::NONE);
                assert_eq!(ask(&sampler, &invalid, id(1)).decision, of_root, "{branch}");
                for (parent, (from, sampled)) in parents.into_iter().enumerate() {
                    let as_parent = if sampled { RecordAndSample } else { Drop };
                    let expected = if at == parent + 1 { of_other.clone() } else { as_parent };
                    let cx = below(from, sampled, &[("a", "1")], id(1));
                    let result = ask(&sampler, &cx, id(1));
                    assert_eq!(result.decision, expected, "{branch}, parent {parent}");
                    assert_eq!(result.trace_state.header(), "a=1", "{branch}, parent {parent}");
                }
            }
        }
    }
}

#[test]
fn a_branch_may_be_a_sampler_with_a_ratio() {
    let own = new().with_ratio(0.5).without_parent().build().unwrap();
    let sampler = new()
        .with_always_off()
        .with_remote_parent_sampled(own.clone())
        .with_remote_parent_not_sampled(own)
        .build()
        .unwrap();
    let (low, high) = (id(0), id(0x00ff_ffff_ffff_ffff));
    for sampled in [true, false] {
        for (id, expected) in [(low, (Drop, "a=1")), (high, (RecordAndSample, "ot=th:8,a=1"))] {
            let cx = below(From::There, sampled, &[("a", "1"), ("ot", "th:c")], id);
            let result = ask(&sampler, &cx, id);
            let state = result.trace_state.header();
            assert_eq!((result.decision, state.as_str()), expected);
        }
    }
}

#[test]
fn a_parents_threshold_is_kept_corrected_or_erased() {
    const HALF: u64 = 0x0080_0000_0000_0000;
    let follows = new().build().unwrap();
    let on = new().without_parent().build().unwrap();
    let eighth = new().with_ratio(0.125).without_parent().build().unwrap();
    let limited = new()
        .without_parent()
        .with_rate_limit(RateLimit::per_second(1e6).with_burst(1000))
        .build()
        .unwrap();
    for (name, sampler, sampled, randomness, state, expected) in [
        // A decision that the threshold agrees with.
        ("follows", &follows, true, HALF, "th:8", (RecordAndSample, "a=1,ot=th:8")),
        ("follows", &follows, true, HALF, "th:80", (RecordAndSample, "a=1,ot=th:80")),
        ("follows", &follows, true, 0, "th:0", (RecordAndSample, "a=1,ot=th:0")),
        // By the explicit randomness, too.
        (
            "follows",
            &follows,
            true,
            0,
            "rv:80000000000000;th:8",
            (RecordAndSample, "a=1,ot=rv:80000000000000;th:8"),
        ),
        // One that it does not agree with, and one that nobody can read.
        ("follows", &follows, true, HALF - 1, "th:8", (RecordAndSample, "a=1")),
        (
            "follows",
            &follows,
            true,
            HALF,
            "rv:7fffffffffffff;th:8",
            (RecordAndSample, "ot=rv:7fffffffffffff,a=1"),
        ),
        ("follows", &follows, true, HALF, "th:x", (RecordAndSample, "a=1")),
        // What is said of other things stays as it is.
        ("follows", &follows, true, HALF, "p:8", (RecordAndSample, "a=1,ot=p:8")),
        ("follows", &follows, true, HALF, "nonsense", (RecordAndSample, "a=1,ot=nonsense")),
        // What is dropped has no threshold.
        ("follows", &follows, false, 0, "th:8", (Drop, "a=1")),
        ("follows", &follows, false, HALF, "th:8;p:8", (Drop, "ot=p:8,a=1")),
        // Whoever decides anew says so.
        ("on", &on, false, 0, "th:8", (RecordAndSample, "ot=th:0,a=1")),
        ("on", &on, true, HALF, "p:8", (RecordAndSample, "a=1,ot=p:8")),
        (
            "an eighth",
            &eighth,
            false,
            0x00e0_0000_0000_0000,
            "th:8;p:8",
            (RecordAndSample, "ot=p:8;th:e,a=1"),
        ),
        ("an eighth", &eighth, true, HALF, "th:8", (Drop, "a=1")),
        // Nobody knows how many a limit has dropped.
        ("limited", &limited, true, HALF, "th:8", (RecordAndSample, "a=1")),
    ] {
        for from in [From::Here, From::There] {
            let cx = below(from, sampled, &[("a", "1"), ("ot", state)], id(randomness));
            let result = ask(sampler, &cx, id(randomness));
            let written = result.trace_state.header();
            assert_eq!((result.decision, written.as_str()), expected, "{name} {state}");
        }
    }
}

#[test]
fn who_has_left_the_decision_to_others_is_no_parent() {
    let mut headers = http::HeaderMap::new();
    headers.insert("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331".parse().unwrap());
    let cx = Propagator::new(B3::new()).extract(&Context::new(), &headers);
    let id = cx.span().span_context().trace_id();
    // Its randomness is 48…, which is more than a quarter.
    for (share, decision, state) in [(0.75, RecordAndSample, "ot=th:4"), (0.7, Drop, "")] {
        let result = ask(&ratio(share), &cx, id);
        assert_eq!((result.decision, result.trace_state.header().as_str()), (decision, state));
    }
    let once = RateLimit::per_second(1e-6).with_burst(1);
    let limited = new().with_rate_limit(once).build().unwrap();
    assert_eq!(ask(&limited, &cx, id).decision, RecordAndSample);
    assert_eq!(ask(&limited, &cx, id).decision, Drop);
}

#[test]
fn a_limit_caps_what_is_decided_here_and_tells_no_share() {
    let three = RateLimit::per_second(1e-6).with_burst(3);
    let sampled = |sampler: &Sampler, cx: &Context| {
        let results: Vec<_> = ids().take(100).map(|id| ask(sampler, cx, id)).collect();
        assert!(results.iter().all(|result| result.trace_state == TraceState::NONE));
        results.iter().filter(|result| result.decision == RecordAndSample).count()
    };
    for (name, builder) in [
        ("alone", new()),
        ("over a ratio", new().with_ratio(0.9)),
        ("over the older one", new().with_trace_id_ratio(0.9)),
        ("over a rule", new().with_rule(Rule::keep()).with_always_off()),
        ("over another's", new().with_root(ratio(0.9))),
    ] {
        let sampler = builder.with_rate_limit(three).build().unwrap();
        assert_eq!(sampled(&sampler, &Context::new()), 3, "{name}");
        assert_eq!(sampled(&sampler, &Context::new()), 0, "{name}");
        // What a caller has decided is none of its business.
        assert_eq!(sampled(&sampler, &below(From::There, true, &[], id(1))), 100, "{name}");
    }
    // What the ratio drops takes no token.
    let sampler = new().with_ratio(0.5).with_rate_limit(three).build().unwrap();
    for _ in 0..10 {
        assert_eq!(root(&sampler, 0).0, Drop);
    }
    assert_eq!(sampled(&sampler, &Context::new()), 3);
}

#[test]
fn a_limit_counts_what_a_rule_has_sampled_against_its_parent_and_not_what_the_parent_would_have() {
    let sampler = new()
        .with_rule(Rule::keep().with_parent_overruled())
        .with_rate_limit(RateLimit::per_second(1e-6).with_burst(2))
        .build()
        .unwrap();
    let sampled = |cx: &Context| {
        (0..10).filter(|_| ask(&sampler, cx, id(1)).decision == RecordAndSample).count()
    };
    for from in [From::Here, From::There] {
        let cx = below(from, true, &[], id(1));
        assert_eq!(sampled(&cx), 10);
        // Others like it are dropped by the limit, so it stands for more than itself.
        assert_eq!(ask(&sampler, &cx, id(1)).trace_state, TraceState::NONE);
    }
    assert_eq!(sampled(&below(From::There, false, &[], id(1))), 2);
    assert_eq!(sampled(&below(From::Here, false, &[], id(1))), 0);
    assert_eq!(sampled(&Context::new()), 0);
}

#[test]
fn a_limit_does_not_count_what_a_branch_decides() {
    let on = SdkSampler::AlwaysOn;
    let sampler = new()
        .with_remote_parent_not_sampled(on)
        .with_rate_limit(RateLimit::per_second(1e-6).with_burst(1))
        .build()
        .unwrap();
    let cx = below(From::There, false, &[], id(1));
    assert!((0..10).all(|_| ask(&sampler, &cx, id(1)).decision == RecordAndSample));
}

#[test]
fn a_rule_with_a_ratio_of_0_samples_nothing_and_drops_nothing_for_good() {
    let sampler = new().with_rule(Rule::ratio(0.0)).with_always_record().build().unwrap();
    assert_eq!(root(&sampler, 0x00ff_ffff_ffff_ffff), (RecordOnly, String::new()));
}

/// Samples the first it is asked about, and no other.
#[derive(Debug, Default)]
struct Once(AtomicBool);

impl Clone for Once {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ShouldSample for Once {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        let decision = if self.0.swap(true, Ordering::Relaxed) { Drop } else { RecordAndSample };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

#[test]
fn a_change_of_something_else_leaves_a_sampler_of_the_users_as_it_is() {
    let sampler = new().with_root(Once::default()).build().unwrap();
    assert_eq!(root(&sampler, 0).0, RecordAndSample);
    sampler.update(|sampler| sampler.with_rule(Rule::drop().with_path("/x"))).unwrap();
    assert_eq!(root(&sampler, 0).0, Drop);
}

#[test]
fn always_record_has_what_is_dropped_on_record() {
    let everything = new().with_ratio(0.5).with_always_record().build().unwrap();
    assert_eq!(root(&everything, 0), (RecordOnly, String::new()));
    let high = 0x00ff_ffff_ffff_ffff;
    assert_eq!(root(&everything, high), (RecordAndSample, "ot=th:8".to_owned()));
    let cx = below(From::There, false, &[], id(1));
    assert_eq!(ask(&everything, &cx, id(1)).decision, RecordOnly);
    // Also below one that has ended, or that was never recorded.
    let cx = below(From::Here, false, &[], id(1));
    assert_eq!(ask(&everything, &cx, id(1)).decision, RecordOnly);

    let but = new().with_rule(Rule::drop()).with_always_record().build().unwrap();
    assert_eq!(root(&but, high).0, Drop);
    let not = new().with_ratio(0.5).with_always_record().without_always_record().build().unwrap();
    assert_eq!(root(&not, 0).0, Drop);
}

#[test]
fn a_span_of_anybody_is_compared_by_its_attributes() {
    let of = |name: &'static str, value: &str| vec![KeyValue::new(name, value.to_owned())];
    let header = vec![KeyValue::new(
        "http.request.header.x-debug",
        Value::Array(vec![StringValue::from("0"), StringValue::from("on")].into()),
    )];
    for (rule, attributes, holds) in [
        (Rule::drop(), Vec::<KeyValue>::new(), true),
        (Rule::drop().with_kind(SpanKind::Internal), vec![], true),
        (Rule::drop().with_kind(SpanKind::Server), vec![], false),
        (Rule::drop().with_method(http::Method::GET), of("http.request.method", "GET"), true),
        (Rule::drop().with_method(http::Method::GET), of("http.request.method", "POST"), false),
        (Rule::drop().with_method(http::Method::GET), vec![], false),
        (Rule::drop().with_path("/healthz"), of("url.path", "/healthz"), true),
        (Rule::drop().with_path("/healthz"), of("url.path", "/healthz/2"), false),
        (Rule::drop().with_path_prefix("/healthz"), of("url.path", "/healthz/2"), true),
        (Rule::drop().with_path_prefix("/healthz"), vec![], false),
        (Rule::drop().with_route("/items/{id}"), of("http.route", "/items/{id}"), true),
        (Rule::drop().with_route("/items/*"), of("http.route", "/items/{id}"), true),
        (Rule::drop().with_route("/items/*"), of("url.path", "/items/1"), false),
        (Rule::drop().with_header("X-Debug", "on"), header.clone(), true),
        (Rule::drop().with_header("x-debug", "*"), header.clone(), true),
        (Rule::drop().with_header("x-debug", "off"), header, false),
        (Rule::drop().with_header("x-debug", "*"), of("http.request.header.x-debug", "on"), false),
        (Rule::drop().with_predicate(|span| span.name() == Some("span")), vec![], true),
        (Rule::drop().with_predicate(|span| span.attribute("a").is_some()), of("a", "b"), true),
        (Rule::drop().with_predicate(|span| span.request().is_some()), vec![], false),
        (Rule::drop().with_predicate(|_| panic!("a user's mistake")), vec![], false),
        // All of them have to hold.
        (Rule::drop().with_path("/a").with_kind(SpanKind::Server), of("url.path", "/a"), false),
        (Rule::drop().with_path("/a").with_kind(SpanKind::Internal), of("url.path", "/a"), true),
        (Rule::drop().with_path("/a").with_path("/b"), of("url.path", "/a"), false),
    ] {
        let sampler = new().with_rule(rule.clone()).build().unwrap();
        let kind = SpanKind::Internal;
        let cx = Context::new();
        let result = sampler.should_sample(Some(&cx), id(1), "span", &kind, &attributes, &[]);
        assert_eq!(result.decision == Drop, holds, "{rule:?} {attributes:?}");
        // A Context is nothing that a sampler can rely on.
        let again = sampler.should_sample(None, id(1), "span", &kind, &attributes, &[]);
        assert_eq!(again, result, "{rule:?} {attributes:?}");
    }
}

#[test]
fn the_first_rule_that_holds_decides_and_a_parent_comes_before_unless_overruled() {
    let internal = || Rule::ratio(0.5).with_kind(SpanKind::Internal);
    let sampler = new()
        .with_rule(Rule::drop().with_kind(SpanKind::Client))
        .with_rule(internal())
        .with_rule(Rule::keep())
        .with_always_off()
        .build()
        .unwrap();
    let of = |kind, randomness| {
        let cx = Context::new();
        let result = sampler.should_sample(Some(&cx), id(randomness), "span", &kind, &[], &[]);
        (result.decision, result.trace_state.header())
    };
    let high = 0x00ff_ffff_ffff_ffff;
    assert_eq!(of(SpanKind::Client, high), (Drop, String::new()));
    assert_eq!(of(SpanKind::Internal, high), (RecordAndSample, "ot=th:8".to_owned()));
    assert_eq!(of(SpanKind::Internal, 0), (Drop, String::new()));
    // One that is kept because of a rule stands for itself.
    assert_eq!(of(SpanKind::Server, 0), (RecordAndSample, "ot=th:0".to_owned()));

    let parents =
        [(From::There, true), (From::There, false), (From::Here, true), (From::Here, false)];
    let overrules = new().with_rule(internal().with_parent_overruled()).build().unwrap();
    let ignores = new().with_rule(internal()).without_parent().build().unwrap();
    for (from, is_sampled) in parents {
        for (sampler, follows) in [(&sampler, true), (&overrules, false), (&ignores, false)] {
            for randomness in [0, high] {
                let cx = below(from, is_sampled, &[], id(randomness));
                let expected = if follows { is_sampled } else { randomness == high };
                let decision = ask(sampler, &cx, id(randomness)).decision;
                assert_eq!(decision == RecordAndSample, expected, "{sampler}");
            }
        }
    }
    assert_eq!(root(&new().with_rule(Rule::ratio(0.0)).build().unwrap(), high).0, Drop);
    let without = new().with_rule(Rule::drop()).without_rules().build().unwrap();
    assert_eq!(root(&without, 0).0, RecordAndSample);
}

#[test]
fn a_wrong_setting_is_an_error_that_names_it() {
    let limit = |rate| new().with_rate_limit(RateLimit::per_second(rate));
    let rule = |rule| new().with_rule(rule);
    for (builder, setting, value, must) in [
        (new().with_ratio(1.1), "sampling ratio", "1.1", "from 2⁻⁵⁶ to 1"),
        (new().with_ratio(1e-17), "sampling ratio", "0.00000000000000001", "from 2⁻⁵⁶ to 1"),
        (new().with_ratio(f64::NAN), "sampling ratio", "NaN", "from 2⁻⁵⁶ to 1"),
        (new().with_ratio(-0.1), "sampling ratio", "-0.1", "from 2⁻⁵⁶ to 1"),
        (new().with_trace_id_ratio(1.1), "sampling ratio", "1.1", "from 0 to 1"),
        (new().with_trace_id_ratio(f64::NAN), "sampling ratio", "NaN", "from 0 to 1"),
        (limit(0.0), "sampling rate limit", "0", "per second"),
        (rule(Rule::ratio(2.0)), "sampling rule's ratio", "2", "from 2⁻⁵⁶ to 1"),
        (rule(Rule::drop().with_path("healthz")), "sampling rule's path", "healthz", "`/` or `*`"),
        (rule(Rule::drop().with_path("")), "sampling rule's path", "", "`/` or `*`"),
        (rule(Rule::drop().with_route("items")), "sampling rule's route", "items", "`/` or `*`"),
        (rule(Rule::drop().with_path_prefix("*")), "sampling rule's path prefix", "*", "`/`"),
        (rule(Rule::drop().with_header("x y", "*")), "sampling rule's header", "x y", "name"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
        assert!(error.to_string().contains(must), "{error}");
    }
    for share in [0.0, -0.0, 1.0 / (1_u64 << 56) as f64, 1.0] {
        assert!(new().with_ratio(share).build().is_ok(), "{share}");
    }
    assert!(new().with_trace_id_ratio(1e-17).build().is_ok());
}

#[test]
fn descriptions_are_the_specifications() {
    let on = SdkSampler::AlwaysOn;
    let branches = ",remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
                    localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}";
    for (builder, expected) in [
        (new(), format!("ParentBased{{root:AlwaysOnSampler{branches}")),
        (new().with_always_off().without_parent(), "AlwaysOffSampler".to_owned()),
        (new().with_ratio(0.0001).without_parent(), "ProbabilitySampler{0.0001}".to_owned()),
        (new().with_trace_id_ratio(1e-4).without_parent(), "TraceIdRatioBased{0.0001}".to_owned()),
        (new().with_root(on.clone()).without_parent(), "AlwaysOn".to_owned()),
        (
            new().with_local_parent_not_sampled(on).with_always_record(),
            "AlwaysRecord{ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,\
             remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,\
             localParentNotSampled:AlwaysOn}}"
                .to_owned(),
        ),
        (
            new()
                .with_ratio(0.5)
                .without_parent()
                .with_rate_limit(RateLimit::per_second(2.5).with_burst(7))
                .with_rule(Rule::drop().with_path("/healthz").with_method(http::Method::GET))
                .with_rule(
                    Rule::ratio(0.1)
                        .with_header("authorization", "Bearer secret")
                        .with_kind(SpanKind::Server)
                        .with_route("/a")
                        .with_path_prefix("/b")
                        .with_predicate(|_| true)
                        .with_parent_overruled(),
                )
                .with_rule(Rule::keep()),
            "RateLimiting{2.5,RuleBased{drop{path=/healthz, method=GET},\
             ratio 0.1{header=authorization, kind=Server, route=/a, path prefix=/b, predicate} \
             over parents,keep{},ProbabilitySampler{0.5}}}"
                .to_owned(),
        ),
    ] {
        assert_eq!(builder.to_string(), expected);
        assert_eq!(format!("{builder:?}"), expected);
        let sampler = builder.build().unwrap();
        assert_eq!(sampler.to_string(), expected);
        assert_eq!(format!("{sampler:?}"), expected);
        assert_eq!(sampler.settings().to_string(), expected);
    }
}

#[test]
fn a_change_is_all_at_once_and_for_every_clone() {
    let sampler = new().with_always_off().build().unwrap();
    let clone: Box<dyn ShouldSample> = Box::new(sampler.clone());
    let decision = |sampler: &dyn ShouldSample| {
        sampler.should_sample(None, id(1), "span", &SpanKind::Internal, &[], &[]).decision
    };
    assert_eq!(decision(&*clone), Drop);
    sampler.update(SamplerBuilder::with_always_on).unwrap();
    assert_eq!(decision(&*clone), RecordAndSample);
    assert_eq!(decision(&sampler), RecordAndSample);
    // What cannot be is not.
    assert!(
        sampler.update(|sampler| sampler.with_always_off().with_rule(Rule::ratio(2.0))).is_err()
    );
    assert_eq!(decision(&*clone), RecordAndSample);
    sampler.replace(new().with_always_off()).unwrap();
    assert_eq!(decision(&*clone), Drop);
}

#[test]
fn whoever_decides_during_a_change_finds_the_old_or_the_new() {
    // Each has another answer to a server's span and to one that is not; a rule of one with the root
    // of another would make one that none of them has.
    let of_servers = |rule: Rule| rule.with_kind(SpanKind::Server);
    let settings = |at: usize| match at % 4 {
        0 => new().with_always_off(),
        1 => new().with_ratio(1.0),
        2 => new().with_rule(of_servers(Rule::drop())).with_ratio(0.5),
        _ => new().with_rule(of_servers(Rule::ratio(0.25))).with_always_on(),
    };
    let answer = |sampled: bool, state: &str| (sampled, state.to_owned());
    let to_servers = [answer(false, ""), answer(true, "ot=th:0"), answer(true, "ot=th:c")];
    let to_others =
        [answer(false, ""), answer(true, "ot=th:0"), answer(true, "ot=th:8"), answer(true, "")];
    let sampler = settings(0).build().unwrap();
    let done = AtomicBool::new(false);
    // Asks until all was seen, and for as long as there are changes.
    let sees = |kind: &SpanKind, all: &[(bool, String)]| {
        let high = id(0x00ff_ffff_ffff_ffff);
        let mut seen = vec![false; all.len()];
        while !done.load(Ordering::Relaxed) || seen.contains(&false) {
            let result = sampler.should_sample(None, high, "span", kind, &[], &[]);
            let answer = (result.decision == RecordAndSample, result.trace_state.header());
            let at = all.iter().position(|one| *one == answer);
            seen[at.unwrap_or_else(|| panic!("{answer:?} is of none of them"))] = true;
        }
    };
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| sees(&SpanKind::Server, &to_servers)),
            scope.spawn(|| sees(&SpanKind::Internal, &to_others)),
        ];
        let mut change = 0;
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            sampler.replace(settings(change)).unwrap();
            change += 1;
            done.store(change > 4_000, Ordering::Relaxed);
            if change % 16 == 0 {
                thread::yield_now();
            }
        }
    });
}

#[test]
fn changes_from_several_threads_add_up() {
    let sampler = new().build().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    sampler.update(|sampler| sampler.with_rule(Rule::drop())).unwrap();
                }
            });
        }
    });
    assert_eq!(sampler.to_string().matches("drop{}").count(), 200);
}

#[test]
fn a_change_is_no_new_burst_unless_it_is_of_the_limit() {
    let two = |rate| RateLimit::per_second(rate).with_burst(2);
    let sampler = new().with_rate_limit(two(1e-6)).build().unwrap();
    let sampled = |of: u32| (0..of).filter(|_| root(&sampler, 0).0 == RecordAndSample).count();
    assert_eq!(sampled(10), 2);
    sampler.update(|sampler| sampler.with_ratio(1.0)).unwrap();
    assert_eq!(sampled(10), 0);
    sampler.update(|sampler| sampler.with_rate_limit(two(2e-6))).unwrap();
    assert_eq!(sampled(10), 2);
    sampler.update(SamplerBuilder::without_rate_limit).unwrap();
    assert_eq!(sampled(10), 10);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn that_ids_are_taken_for_random_is_said_once_and_only_if_it_matters() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let lines = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().lines().count();
    tracing::subscriber::with_default(subscriber, || {
        let sampler = new().with_ratio(0.5).without_parent().build().unwrap();
        let random =
            SpanContext::new(id(1), SpanId::from(1), TraceFlags::new(0b10), true, TraceState::NONE);
        // They are said to be, or there is something better, or there is no caller.
        ask(&sampler, &Context::new().with_remote_span_context(random), id(1));
        ask(&sampler, &below(From::There, true, &[("ot", "rv:00000000000001")], id(1)), id(1));
        ask(&sampler, &Context::new(), id(1));
        ask(&sampler, &Context::new(), id(0x00ff_ffff_ffff_ffff));
        // It is nobody's but ours.
        ask(&sampler, &below(From::Here, true, &[], id(1)), id(1));
        let all = new().with_ratio(1.0).without_parent().build().unwrap();
        ask(&all, &below(From::There, true, &[], id(1)), id(1));
        let follows = ratio(0.5);
        ask(&follows, &below(From::There, true, &[], id(1)), id(1));
        assert_eq!(lines(), 0);
        for _ in 0..3 {
            ask(&sampler, &below(From::There, true, &[], id(1)), id(1));
            assert_eq!(lines(), 1);
        }
        sampler.update(|sampler| sampler.with_ratio(0.25)).unwrap();
        ask(&sampler, &below(From::There, true, &[], id(1)), id(1));
        assert_eq!(lines(), 1);
    });
}

/// Members as they may be, as they should be, and nearly so.
fn member() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        "[a-z][a-z0-9]{0,8}:[A-Za-z0-9._-]{0,20}",
        "rv:[0-9a-f]{14}",
        "rv:[0-9a-f]{12,16}",
        "th:[0-9a-f]{1,14}",
        "th:[0-9A-Fg]{0,16}",
        "[ -+\\--<>-~]{0,12}",
    ];
    prop::collection::vec(pair, 0..30).prop_map(|pairs| pairs.join(";"))
}

proptest! {
    /// Whatever comes, what goes on is a member of the format with our threshold, or as it was.
    #[test]
    fn a_member_of_any_kind_harms_nothing(list in member(), number: u64, sampled: bool) {
        let id = id(number >> 8);
        let Ok(state) = TraceState::from_key_value([("a", "1"), ("ot", &list), ("b", "2")]) else {
            return Ok(());
        };
        let flags = TraceFlags::NOT_SAMPLED.with_sampled(sampled);
        let parent = SpanContext::new(id, SpanId::from(1), flags, true, state);
        let cx = Context::new().with_remote_span_context(parent);
        let independent = new().with_ratio(0.5).without_parent().build().unwrap();
        for sampler in [independent, new().build().unwrap()] {
            let result = ask(&sampler, &cx, id);
            prop_assert_eq!(result.trace_state.get("a"), Some("1"));
            prop_assert_eq!(result.trace_state.get("b"), Some("2"));
            let written = result.trace_state.get("ot").unwrap_or_default();
            prop_assert!(written.len() <= 256, "{}", written);
            let of = |list: &str, wanted: &str| {
                let pairs = list.split(';').map(str::to_owned);
                pairs.filter(|pair| pair.starts_with(wanted)).collect::<Vec<_>>()
            };
            if written != list {
                // All others stay, if it was a list; if it was none, there are none.
                let others = |list: &str| {
                    let mut pairs = of(list, "");
                    pairs.retain(|pair| !pair.starts_with("th:") && !pair.is_empty());
                    pairs
                };
                let kept = others(written);
                prop_assert!(kept.is_empty() || kept == others(&list), "{} {}", list, written);
                prop_assert!(of(written, "th:").len() <= 1);
            }
        }
    }
}
