//! What it costs to read and write trace headers, beside OpenTelemetry's propagators with
//! opentelemetry-http's carriers.
//!
//! `cargo bench --bench propagation` prints the time of each case. `scripts/cost` counts
//! instructions: it runs `propagation CASE ours|theirs TIMES` under callgrind.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{env, hint::black_box, time::Instant};

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tower_telemetry::propagation::{Baggage, Propagator, TraceContext};

const TRACEPARENT: (&str, &str) =
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
const TRACESTATE: (&str, &str) = ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");

/// `held` is no propagator: it is what OpenTelemetry's types take to hold a span with two members
/// of `tracestate` whose parts are known. Below that nobody can go who extracts one.
const CASES: [&str; 7] =
    ["absent", "present", "tracestate", "held", "inject", "inject tracestate", "default absent"];

/// What a browser sends, and these.
fn headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
    let usual = [
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate, br"),
        ("content-type", "application/json"),
    ];
    let fields = usual.iter().chain(more);
    fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn repeat(times: u32, mut operation: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        operation();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

/// Nanoseconds per operation.
fn run(case: &str, ours: bool, times: u32) -> f64 {
    let of_default = case == "default absent";
    let our = Propagator::new(TraceContext::new());
    let our = if of_default { our.and(Baggage::new()) } else { our };
    let their: Box<dyn TextMapPropagator> = if of_default {
        Box::new(TextMapCompositePropagator::new(vec![
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]))
    } else {
        Box::new(TraceContextPropagator::new())
    };
    let state = case == "inject tracestate";
    let headers = match case {
        "present" => headers(&[TRACEPARENT]),
        "tracestate" | "held" => headers(&[TRACEPARENT, TRACESTATE]),
        _ => headers(&[]),
    };
    let cx = black_box(Context::new());
    if case == "held" && ours {
        return repeat(times, || {
            let members = [("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")];
            let state = TraceState::from_key_value(black_box(members)).unwrap();
            let ids = (42_u128.into(), 11_u64.into());
            let span = SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, true, state);
            drop(black_box(cx.with_remote_span_context(span)));
        });
    }
    if !case.starts_with("inject") {
        return if ours {
            repeat(times, || drop(black_box(our.extract(&cx, black_box(&headers)))))
        } else {
            let their = black_box(their);
            repeat(times, || {
                let extractor = HeaderExtractor(black_box(&headers));
                drop(black_box(their.extract_with_context(&cx, &extractor)));
            })
        };
    }
    let state: TraceState = if state { TRACESTATE.1.parse().unwrap() } else { TraceState::NONE };
    let span = SpanContext::new(42_u128.into(), 11_u64.into(), TraceFlags::SAMPLED, false, state);
    let cx = black_box(cx.with_remote_span_context(span));
    let mut headers = headers;
    // There is room for the names from the first time on.
    our.inject(&cx, &mut headers);
    if ours {
        repeat(times, || our.inject(&cx, black_box(&mut headers)))
    } else {
        let their = black_box(their);
        repeat(times, || {
            their.inject_context(&cx, &mut HeaderInjector(black_box(&mut headers)));
        })
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [case, whose, times] = &arguments[..] {
        run(case, whose == "ours", times.parse().unwrap());
        return;
    }
    println!("{:<20} {:>9} {:>9} {:>6}", "ns per operation", "ours", "theirs", "ratio");
    for case in CASES {
        // The best of several: whatever else runs here only makes it slower.
        let best = |ours| (0..20).map(|_| run(case, ours, 20_000)).fold(f64::MAX, f64::min);
        let (ours, theirs) = (best(true), best(false));
        println!("{case:<20} {ours:>9.1} {theirs:>9.1} {:>6.2}", ours / theirs);
    }
}
