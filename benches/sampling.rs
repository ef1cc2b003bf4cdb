//! What a decision costs, beside the SDK's matching sampler.
//!
//! `cargo bench --bench sampling` has Criterion print the time of each case. `scripts/cost` counts
//! instructions: it runs `sampling CASE ours|theirs TIMES` under callgrind.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::{env, hint::black_box};

use criterion::Criterion;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, ShouldSample};
use tower_telemetry::{
    SamplerBuilder,
    sdk::sampler::{RateLimit, Rule},
};

/// What was never sampled and what always is, by whatever ratio: the SDK keeps the low ids, and the
/// specification the high ones.
const LOW: u128 = 0x0af7_6519_16cd_43dd_0000_0000_0000_0001;
const HIGH: u128 = 0x0af7_6519_16cd_43dd_ffff_ffff_ffff_ffff;

/// One decision: whose sampler it is, over which trace, below which parent.
struct Case {
    name: &'static str,
    ours: SamplerBuilder,
    theirs: Box<dyn ShouldSample>,
    /// Ours and theirs.
    ids: [u128; 2],
    parent: Option<TraceFlags>,
}

fn cases() -> Vec<Case> {
    let new = SamplerBuilder::new;
    let of = |name, ours, theirs| {
        // The one with all branches; the enum's has none, and takes an invalid parent for one.
        let theirs = Box::new(Sampler::parent_based(theirs));
        Case { name, ours, theirs, ids: [LOW; 2], parent: None }
    };
    let (sampled, not) = (TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED);
    let on = || of("", new(), Sampler::AlwaysOn);
    let ratio = |name, ours| of(name, ours, Sampler::TraceIdRatioBased(0.1));
    let limit = RateLimit::per_second(1e-6).with_burst(1);
    vec![
        of("on", new(), Sampler::AlwaysOn),
        of("off", new().with_always_off(), Sampler::AlwaysOff),
        Case { name: "sampled parent", parent: Some(sampled), ..on() },
        Case { name: "dropped parent", parent: Some(not), ..on() },
        Case { ids: [LOW, HIGH], ..ratio("ratio dropped", new().with_ratio(0.1)) },
        // Has to say its share, which the SDK's does not.
        Case { ids: [HIGH, LOW], ..ratio("ratio sampled", new().with_ratio(0.1)) },
        Case { ids: [HIGH; 2], ..ratio("older dropped", new().with_trace_id_ratio(0.1)) },
        ratio("older sampled", new().with_trace_id_ratio(0.1)),
        // The SDK has neither.
        of("rule", new().with_rule(Rule::drop().with_path("/healthz")), Sampler::AlwaysOff),
        of("limit", new().with_rate_limit(limit), Sampler::AlwaysOff),
    ]
}

impl Case {
    /// The decision, to be made again and again.
    fn decision(&self, ours: bool) -> impl FnMut() + use<> {
        let sampler: Box<dyn ShouldSample> =
            if ours { Box::new(self.ours.clone().build().unwrap()) } else { self.theirs.clone() };
        let id = TraceId::from(self.ids[usize::from(!ours)]);
        let cx = match self.parent {
            None => Context::new(),
            Some(flags) => Context::new().with_remote_span_context(SpanContext::new(
                id,
                SpanId::from(1),
                flags,
                true,
                TraceState::NONE,
            )),
        };
        let attributes = [KeyValue::new("url.path", "/healthz")];
        move || {
            let (sampler, cx) = (black_box(&sampler), black_box(&cx));
            let kind = SpanKind::Server;
            let result =
                sampler.should_sample(Some(cx), black_box(id), "GET", &kind, &attributes, &[]);
            drop(black_box(result));
        }
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let [name, whose @ ("ours" | "theirs"), times] = &arguments[..] {
        let case = cases().into_iter().find(|case| case.name == *name);
        let mut decision = case.unwrap().decision(*whose == "ours");
        (0..times.parse::<u32>().unwrap()).for_each(|_| decision());
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for case in cases() {
        let mut group = criterion.benchmark_group(case.name);
        group.bench_function("ours", |bench| bench.iter(case.decision(true)));
        group.bench_function("SDK", |bench| bench.iter(case.decision(false)));
        group.finish();
    }
    criterion.final_summary();
}
