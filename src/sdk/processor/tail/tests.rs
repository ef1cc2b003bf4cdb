//! What takes a clock that is moved by hand, or a look at what is really held.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Link, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample,
    SimpleSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks,
};
use proptest::prelude::*;

use crate::sdk::processor::tail::{clock::Clock, holder::Holder};
use crate::sdk::tail::{TailSampling, TailSamplingCounts};
use crate::sdk::{SamplerBuilder, Telemetry};

const SECOND: Duration = Duration::from_secs(1);
/// Milliseconds are plenty for what nobody waits for.
const BLINK: Duration = Duration::from_millis(1);

/// A holder, a clock, and ids that none has twice.
struct World {
    holder: Arc<Holder>,
    clock: Clock,
    last_id: AtomicU64,
}

impl World {
    fn new(sampling: TailSampling) -> Self {
        let clock = Clock::by_hand();
        let holder = Arc::new(sampling.with_clock(clock.clone()).build().unwrap());
        Self { holder, clock, last_id: AtomicU64::new(0) }
    }

    fn context(&self, trace: u128) -> SpanContext {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        context(trace, id)
    }

    /// Starts a local root of this trace, which must make nothing go on.
    fn root(&self, trace: u128) -> SpanContext {
        let root = self.context(trace);
        assert_eq!(self.holder.start(&root, &SpanContext::NONE), []);
        root
    }

    fn child(&self, parent: &SpanContext) -> SpanContext {
        let child = self.context(u128::from_be_bytes(parent.trace_id().to_bytes()));
        assert_eq!(self.holder.start(&child, parent), []);
        child
    }

    /// Ends a span, and gives the ids of those that go on.
    fn end(&self, span: &SpanContext) -> Vec<SpanId> {
        ids(&self.holder.end(data(span, Status::Unset)))
    }

    fn fail(&self, span: &SpanContext) -> Vec<SpanId> {
        ids(&self.holder.end(data(span, Status::error(""))))
    }

    fn counts(&self) -> TailSamplingCounts {
        self.holder.counts()
    }
}

fn context(trace: u128, span: u64) -> SpanContext {
    let (trace, span) = (TraceId::from(trace), SpanId::from(span));
    SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, false, TraceState::NONE)
}

fn data(span: &SpanContext, status: Status) -> SpanData {
    SpanData {
        span_context: span.clone(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "span".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// All that goes on has to be sampled.
fn ids(spans: &[SpanData]) -> Vec<SpanId> {
    assert!(spans.iter().all(|span| span.span_context.is_sampled()));
    spans.iter().map(|span| span.span_context.span_id()).collect()
}

fn ids_of<const N: usize>(spans: [&SpanContext; N]) -> Vec<SpanId> {
    spans.map(SpanContext::span_id).to_vec()
}

/// Held, kept, discarded and given up spans, which are all that have ended.
fn spans(counts: TailSamplingCounts) -> [u64; 4] {
    [counts.held_spans(), counts.kept_spans(), counts.discarded_spans(), counts.given_up_spans()]
}

/// The same of traces; those that are given up are refused, aged and unfinished ones.
fn traces(counts: TailSamplingCounts) -> [u64; 6] {
    [
        counts.held_traces(),
        counts.kept_traces(),
        counts.discarded_traces(),
        counts.refused_traces(),
        counts.aged_traces(),
        counts.unfinished_traces(),
    ]
}

#[test]
fn what_is_open_for_too_long_is_given_up_and_so_is_what_ends_later() {
    let world = World::new(TailSampling::new().with_max_age(SECOND));
    let root = world.root(1);
    let (early, late) = (world.child(&root), world.child(&root));
    assert_eq!(world.fail(&early), []);
    world.clock.advance(SECOND);
    assert_eq!(world.holder.age(), [], "it is as old as it may be");
    assert_eq!(spans(world.counts()), [1, 0, 0, 0]);

    world.clock.advance(BLINK);
    // Another trace, of the same shard.
    let other = world.root(1);
    assert_eq!(spans(world.counts()), [0, 0, 0, 1]);
    assert_eq!(traces(world.counts()), [1, 0, 0, 0, 1, 0]);
    assert_eq!(world.fail(&late), []);
    assert_eq!(world.fail(&root), []);
    assert_eq!(spans(world.counts()), [0, 0, 0, 3]);
    assert_eq!(world.fail(&other), ids_of([&other]));
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn what_hangs_is_slow_and_kept_and_so_is_what_ends_later() {
    let sampling = TailSampling::new().with_max_age(SECOND).with_slower_than(SECOND / 2);
    let world = World::new(sampling);
    let root = world.root(1);
    let (first, second, open) = (world.child(&root), world.child(&root), world.child(&root));
    assert_eq!(world.end(&second), []);
    assert_eq!(world.end(&first), []);
    world.clock.advance(SECOND + BLINK);
    // Whatever ends next finds out. It is of another trace and is over at once.
    let other = world.context(1);
    assert_eq!(ids(&world.holder.start(&other, &SpanContext::NONE)), ids_of([&second, &first]));
    assert_eq!(world.end(&other), []);

    let late = world.child(&root);
    assert_eq!(world.end(&late), ids_of([&late]));
    assert_eq!(world.end(&root), ids_of([&root]));
    // The root is over, and still known to what starts below it.
    let later = world.child(&root);
    assert_eq!(world.end(&later), ids_of([&later]));
    assert_eq!(world.end(&open), ids_of([&open]));
    assert_eq!(spans(world.counts()), [0, 6, 1, 0]);
    assert_eq!(traces(world.counts()), [0, 1, 1, 0, 0, 0]);
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn a_span_that_ends_finds_what_is_too_old_too() {
    let sampling = TailSampling::new().with_max_age(SECOND).with_slower_than(SECOND / 2);
    let world = World::new(sampling);
    let hangs = world.root(1);
    let child = world.child(&hangs);
    world.end(&child);
    world.clock.advance(SECOND / 2);
    let other = world.root(1);
    world.clock.advance(SECOND / 2 + BLINK);
    assert_eq!(world.fail(&other), ids_of([&child, &other]));
}

#[test]
fn a_root_that_ends_is_decided_over_however_old_it_is() {
    let world = World::new(TailSampling::new().with_max_age(SECOND));
    let root = world.root(1);
    let child = world.child(&root);
    assert_eq!(world.end(&child), []);
    world.clock.advance(1000 * SECOND);
    assert_eq!(world.fail(&root), ids_of([&child, &root]));
    assert_eq!(traces(world.counts()), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn a_few_are_found_too_old_at_once_and_a_flush_finds_them_all() {
    let world = World::new(TailSampling::new().with_max_age(SECOND));
    for trace in 1..=100 {
        world.root(trace);
    }
    for _ in 0..40 {
        world.root(1);
    }
    assert_eq!(traces(world.counts()), [140, 0, 0, 0, 0, 0]);
    world.clock.advance(2 * SECOND);
    world.root(1);
    assert_eq!(traces(world.counts()), [137, 0, 0, 0, 4, 0]);
    assert_eq!(world.holder.age(), []);
    assert_eq!(traces(world.counts()), [1, 0, 0, 0, 140, 0]);
    // They are decided over, and still open.
    assert_eq!(world.holder.sizes(), [141, 1, 140]);
}

#[test]
fn a_request_is_as_slow_as_its_span_says_or_else_the_clock() {
    let world = World::new(TailSampling::new().with_slower_than(SECOND));
    for (start, end, elapsed, is_kept) in [
        (0, 1000, 5000, false),
        (0, 1001, 0, true),
        // The system's clock was set back meanwhile.
        (5000, 0, 1000, false),
        (5000, 0, 1001, true),
    ] {
        let root = world.root(1);
        world.clock.advance(Duration::from_millis(elapsed));
        let mut span = data(&root, Status::Unset);
        span.start_time += Duration::from_millis(start);
        span.end_time += Duration::from_millis(end);
        assert_eq!(world.holder.end(span).len(), usize::from(is_kept), "{start} to {end}");
    }
}

#[test]
fn what_ends_while_a_predicate_thinks_shares_the_fate() {
    for keeps in [true, false] {
        // No lock is held meanwhile, or this would hang.
        let world = Arc::new(OnceLock::<(World, SpanContext)>::new());
        let seen = Arc::clone(&world);
        let world = {
            let sampling = TailSampling::new().with_max_age(SECOND).with_predicate(move |trace| {
                let (world, open) = seen.get().unwrap();
                assert_eq!(trace.spans().count(), 2);
                assert_eq!(world.end(open), []);
                let later = world.child(open);
                assert_eq!(world.end(&later), []);
                // It is neither too old nor unfinished: somebody is about to decide.
                world.clock.advance(2 * SECOND);
                assert_eq!(world.holder.age(), []);
                assert_eq!(spans(world.counts()), [4, 0, 0, 0]);
                keeps
            });
            let new = World::new(sampling);
            let root = new.root(1);
            let (ended, open) = (new.child(&root), new.child(&root));
            assert_eq!(new.end(&ended), []);
            assert!(world.set((new, open)).is_ok());
            let (world, _) = world.get().unwrap();
            let kept = world.end(&root);
            assert_eq!(kept.len(), if keeps { 4 } else { 0 });
            assert_eq!(kept.last(), keeps.then_some(&root.span_id()));
            world
        };
        let fates = if keeps { [0, 4, 0, 0] } else { [0, 0, 4, 0] };
        assert_eq!(spans(world.counts()), fates);
        assert_eq!(world.holder.sizes(), [0; 3]);
        assert_eq!(world.holder.places(), [0; 2]);
    }
}

#[test]
fn what_a_predicate_says_after_the_shutdown_comes_too_late() {
    let world = Arc::new(OnceLock::<World>::new());
    let seen = Arc::clone(&world);
    let sampling = TailSampling::new().with_predicate(move |_| {
        let world = seen.get().unwrap();
        assert_eq!(world.holder.close(), []);
        assert_eq!(spans(world.counts()), [2, 0, 0, 0]);
        true
    });
    assert!(world.set(World::new(sampling)).is_ok());
    let world = world.get().unwrap();
    let root = world.root(1);
    let (ended, open) = (world.child(&root), world.child(&root));
    assert_eq!(world.end(&ended), []);
    // Nobody takes it any more.
    assert_eq!(world.end(&root), []);
    assert_eq!(world.end(&open), []);
    assert_eq!(spans(world.counts()), [0, 0, 0, 3]);
    assert_eq!(traces(world.counts()), [0, 0, 0, 0, 0, 1]);
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn what_ends_after_the_shutdown_is_given_up_whatever_its_trace_was() {
    let world = World::new(TailSampling::new());
    let root = world.root(1);
    let open = world.child(&root);
    assert_eq!(world.fail(&root), ids_of([&root]));
    assert_eq!(world.holder.close(), []);
    assert_eq!(world.end(&open), []);
    assert_eq!(spans(world.counts()), [0, 1, 0, 1]);
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn at_the_shutdown_what_is_slow_by_then_is_kept_and_the_rest_is_given_up() {
    let world = World::new(TailSampling::new().with_slower_than(SECOND));
    let slow = world.root(1);
    let held = world.child(&slow);
    assert_eq!(world.end(&held), []);
    world.clock.advance(SECOND + BLINK);
    let young = world.root(2);
    let lost = world.child(&young);
    assert_eq!(world.end(&lost), []);

    assert_eq!(ids(&world.holder.close()), ids_of([&held]));
    assert_eq!(world.holder.close(), []);
    assert_eq!(traces(world.counts()), [0, 1, 0, 0, 0, 1]);
    assert_eq!(world.fail(&slow), []);
    assert_eq!(world.fail(&young), []);
    // Nothing is held any more.
    let later = world.root(1);
    assert_eq!(world.fail(&later), []);
    assert_eq!(spans(world.counts()), [0, 1, 0, 4]);
    assert_eq!(traces(world.counts()), [0, 1, 0, 1, 0, 1]);
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn below_a_span_that_has_ended_others_may_start_for_as_long_as_its_trace_is_known() {
    let world = World::new(TailSampling::new());
    let root = world.root(1);
    let ended = world.child(&root);
    assert_eq!(world.end(&ended), []);
    let below = world.child(&ended);
    assert_eq!(world.end(&below), []);
    let open = world.child(&root);
    assert_eq!(world.fail(&root), ids_of([&ended, &below, &root]));
    // What has started below the root is known by it.
    let late = world.child(&root);
    assert_eq!(world.end(&late), ids_of([&late]));
    assert_eq!(world.end(&open), ids_of([&open]));
    // Now nothing is.
    let orphan = world.child(&root);
    assert_eq!(world.end(&orphan), []);
    assert_eq!(spans(world.counts()), [0, 5, 0, 1]);
    assert_eq!(world.holder.sizes(), [0; 3]);
}

#[test]
fn there_is_room_for_so_many_traces_and_for_more_once_they_are_over() {
    let world = World::new(TailSampling::new().with_max_traces(2));
    let (first, second, refused) = (world.root(1), world.root(2), world.root(3));
    let below = world.child(&refused);
    assert_eq!(world.fail(&below), []);
    assert_eq!(world.fail(&refused), []);
    assert_eq!(traces(world.counts()), [2, 0, 0, 1, 0, 0]);
    assert_eq!(spans(world.counts()), [0, 0, 0, 2]);
    assert_eq!(world.fail(&first), ids_of([&first]));
    let third = world.root(3);
    assert_eq!(world.fail(&third), ids_of([&third]));
    assert_eq!(world.fail(&second), ids_of([&second]));
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn places_of_what_is_too_old_are_given_to_others_wherever_it_is() {
    let world = World::new(TailSampling::new().with_max_traces(3));
    for trace in 1..=3 {
        world.root(trace);
    }
    world.clock.advance(Duration::from_secs(600));
    // All of another sixteenth; one after the other looks at the next.
    for trace in 1..=48 {
        world.root(16 * trace);
    }
    assert_eq!(traces(world.counts()), [3, 0, 0, 45, 3, 0]);
}

#[test]
fn there_is_room_for_so_many_spans_and_the_rest_is_decided_over_without_the_others() {
    let world = World::new(TailSampling::new().with_max_spans_per_trace(3));
    let root = world.root(1);
    let (ended, open, refused) = (world.child(&root), world.child(&root), world.child(&root));
    for span in [&ended, &refused] {
        assert_eq!(world.end(span), []);
    }
    // What has ended takes up room as well.
    let refused_too = world.child(&root);
    assert_eq!(world.end(&refused_too), []);
    assert_eq!(world.counts().oversized_traces(), 1);
    assert_eq!(spans(world.counts()), [1, 0, 0, 2]);
    assert_eq!(world.fail(&root), ids_of([&ended, &root]));
    // Now that it is gone there is room.
    let late = world.child(&root);
    let refused = world.child(&root);
    assert_eq!(world.end(&late), ids_of([&late]));
    assert_eq!(world.end(&refused), []);
    assert_eq!(world.end(&open), ids_of([&open]));
    assert_eq!(world.counts().oversized_traces(), 1);
    assert_eq!(spans(world.counts()), [0, 4, 0, 3]);
    assert_eq!(world.holder.sizes(), [0; 3]);
}

#[test]
fn spans_that_never_end_are_forgotten_and_keep_no_request_out() {
    let world = World::new(TailSampling::new().with_max_traces(4));
    let mut open = Vec::new();
    for _ in 0..1_000 {
        let root = world.root(1);
        open.push(world.child(&root));
        assert_eq!(world.fail(&root), ids_of([&root]));
    }
    assert_eq!(world.holder.sizes(), [8, 0, 4]);
    assert_eq!(world.holder.places(), [0, 4]);
    // In another shard there is no other to forget.
    let root = world.root(2);
    let below = world.child(&root);
    assert_eq!(world.fail(&root), ids_of([&root]));
    assert_eq!(world.end(&below), []);
    for (at, span) in open.iter().enumerate() {
        assert_eq!(world.end(span).len(), usize::from(at >= 996), "{at}");
    }
    assert_eq!(spans(world.counts()), [0, 1_005, 0, 997]);
    assert_eq!(world.holder.sizes(), [0; 3]);
    assert_eq!(world.holder.places(), [0; 2]);
}

#[test]
fn a_flood_that_never_ends_takes_no_more_than_its_places() {
    let sampling =
        TailSampling::new().with_max_traces(100).with_max_spans_per_trace(10).with_max_age(SECOND);
    let world = World::new(sampling);
    for trace in 1..=100_000 {
        let root = world.context(trace);
        world.holder.start(&root, &SpanContext::NONE);
        for at in 0..3 {
            let child = world.context(trace);
            world.holder.start(&child, &root);
            if at == 0 {
                world.end(&child);
            }
        }
        world.clock.advance(BLINK);
        let [known, waiting, decided] = world.holder.sizes();
        assert!(waiting <= 100 && decided <= 100 && known <= 2 * 100 * 4, "at {trace}");
    }
    let counts = world.counts();
    assert_eq!(traces(counts).iter().sum::<u64>(), 100_000);
    assert_eq!(spans(counts).iter().sum::<u64>(), 100_000);
    assert!(counts.refused_traces() > 0 && counts.aged_traces() > 0, "{counts:?}");
}

#[test]
fn huge_traces_from_four_threads_stay_within_the_bounds_and_add_up() {
    const TRACES: u64 = 60;
    const SPANS: u64 = 400;
    let sampling = TailSampling::new().with_max_traces(3).with_max_spans_per_trace(50);
    let world = World::new(sampling);
    let one = |at: u64| {
        // All in one shard, so that what is looked at is of one moment.
        let trace = 16 * at;
        let root = world.context(trace.into());
        world.holder.start(&root, &SpanContext::NONE);
        let mut kept = 0;
        let mut parent = root.clone();
        for number in 0..SPANS {
            let child = world.context(trace.into());
            world.holder.start(&child, &parent);
            if number % 3 == 0 {
                kept += world.end(&child).len();
            } else {
                parent = child;
            }
            let [known, waiting, decided] = world.holder.sizes();
            assert!(waiting <= 3 && decided <= 3 && known <= 2 * 3 * 50, "{known} are known");
            assert!(world.counts().held_spans() <= 3 * 50);
        }
        kept + if at.is_multiple_of(2) { world.fail(&root).len() } else { world.end(&root).len() }
    };
    let kept: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let one = &one;
                scope.spawn(move || (1..=TRACES).map(|at| one(4 * at + thread)).sum::<usize>())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let counts = world.counts();
    assert_eq!(counts.kept_spans(), kept as u64);
    assert_eq!(traces(counts).iter().sum::<u64>(), 4 * TRACES);
    assert_eq!(spans(counts).iter().sum::<u64>(), 4 * TRACES * (SPANS.div_ceil(3) + 1));
    assert_eq!((counts.held_spans(), counts.held_traces()), (0, 0));
    assert!(counts.oversized_traces() > 0 && counts.kept_traces() > 0, "{counts:?}");
}

#[test]
fn ids_that_come_twice_are_accounted_for() {
    let world = World::new(TailSampling::new());
    let root = world.root(1);
    for _ in 0..3 {
        world.holder.start(&root, &SpanContext::NONE);
        world.holder.start(&root, &root);
    }
    let child = world.child(&root);
    world.holder.start(&child, &root);
    assert_eq!(world.end(&child), []);
    assert_eq!(world.end(&child), []);
    assert_eq!(world.fail(&root), ids_of([&child, &root]));
    assert_eq!(world.fail(&root), []);
    assert_eq!(spans(world.counts()), [0, 2, 0, 2]);
    assert_eq!(traces(world.counts()), [0, 1, 0, 3, 0, 0]);
    assert_eq!(world.holder.sizes(), [0; 3]);

    // Also after the decision.
    let root = world.root(1);
    let open = world.child(&root);
    assert_eq!(world.fail(&root), ids_of([&root]));
    assert_eq!(world.fail(&root), []);
    assert_eq!(world.end(&open), ids_of([&open]));
    assert_eq!(spans(world.counts()), [0, 4, 0, 3]);
    assert_eq!(world.holder.sizes(), [0; 3]);
}

/// Records everything and samples nothing.
#[derive(Clone, Debug)]
struct RecordsOnly;

impl ShouldSample for RecordsOnly {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        SamplingResult {
            decision: SamplingDecision::RecordOnly,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// Opens a root, ends a child of it, and waits until that is both slow and old.
fn hang(tracer: &SdkTracer, clock: &Clock) -> Context {
    let root = Context::new().with_span(tracer.start("root"));
    drop(tracer.start_with_context("child", &root));
    clock.advance(2 * SECOND);
    root
}

fn slow(clock: &Clock) -> TailSampling {
    let sampling = TailSampling::new().with_slower_than(SECOND / 2).with_max_age(SECOND);
    sampling.with_clock(clock.clone())
}

/// Exports the names. A shutdown does not make it forget them.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl SpanExporter for Names {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        assert!(batch.iter().all(|span| span.span_context.is_sampled()));
        self.0.lock().unwrap().extend(batch.into_iter().map(|span| span.name.into_owned()));
        Ok(())
    }
}

#[test]
fn a_flush_and_a_shutdown_hand_on_what_is_slow_by_then() {
    let clock = Clock::by_hand();
    let exporter = Names::default();
    let processor = slow(&clock).in_front_of(SimpleSpanProcessor::new(exporter.clone())).unwrap();
    let watch = processor.watch();
    let provider = SdkTracerProvider::builder()
        .with_sampler(RecordsOnly)
        .with_span_processor(processor)
        .build();
    let tracer = provider.tracer("test");
    let first = hang(&tracer, &clock);
    provider.force_flush().unwrap();
    assert_eq!(exporter.get(), ["child"]);
    drop(first);
    let _second = hang(&tracer, &clock);
    assert_eq!(watch.counts().kept_traces(), 1);
    provider.shutdown().unwrap();
    assert_eq!(watch.counts().kept_traces(), 2);
    assert_eq!(exporter.get(), ["child", "root", "child"]);
}

#[test]
fn a_telemetrys_flush_and_shutdown_hand_it_on_to_each_exporter_and_to_nobody_else() {
    let clock = Clock::by_hand();
    let exporters = [Names::default(), Names::default()];
    let [one, another] = exporters.clone();
    let raw = Names::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_sampler(SamplerBuilder::new().with_root(RecordsOnly).without_parent())
        .with_tail_sampling(slow(&clock))
        .with_span_exporter(one)
        .with_span_processor(SimpleSpanProcessor::new(raw.clone()))
        .with_span_exporter(another)
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let first = hang(&tracer, &clock);
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    for exporter in &exporters {
        assert_eq!(exporter.get(), ["child"]);
    }
    drop(first);
    let second = hang(&tracer, &clock);
    telemetry.shutdown(30 * SECOND).unwrap();
    for exporter in &exporters {
        assert_eq!(exporter.get(), ["child", "root", "child"]);
    }
    assert_eq!(raw.get(), [""; 0]);
    drop(second);
    let counts = telemetry.tail_sampling().unwrap();
    assert_eq!((counts.kept_traces(), counts.kept_spans()), (2, 3));
}

#[test]
fn a_start_hands_on_what_it_finds_too_old() {
    let clock = Clock::by_hand();
    let exporter = Names::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_sampler(SamplerBuilder::new().with_root(RecordsOnly).without_parent())
        .with_tail_sampling(slow(&clock))
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let root = hang(&tracer, &clock);
    // Of the same trace, so it is in the same shard.
    let _child = tracer.start_with_context("another", &root);
    assert_eq!(telemetry.tail_sampling().unwrap().kept_traces(), 1);
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    assert_eq!(exporter.get(), ["child"]);

    let exporter = Names::default();
    let processor = slow(&clock).in_front_of(SimpleSpanProcessor::new(exporter.clone())).unwrap();
    let provider = SdkTracerProvider::builder()
        .with_sampler(RecordsOnly)
        .with_span_processor(processor)
        .build();
    let tracer = provider.tracer("test");
    let root = hang(&tracer, &clock);
    let _child = tracer.start_with_context("another", &root);
    assert_eq!(exporter.get(), ["child"]);
}

/// Something that happens to spans of a few traces.
#[derive(Clone, Debug)]
enum Event {
    Root {
        trace: u8,
    },
    /// Below one of those that have started, whether it has ended or not.
    Child {
        below: usize,
    },
    /// One of those that are open.
    End {
        which: usize,
        fails: bool,
    },
    Pass {
        millis: u64,
    },
    Flush,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1..4_u8).prop_map(|trace| Event::Root { trace }),
        4 => any::<usize>().prop_map(|below| Event::Child { below }),
        5 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, fails)| Event::End { which, fails }),
        1 => (0..700_u64).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_adds_up_and_stays_within_the_bounds(
        events in prop::collection::vec(event(), 0..300),
        is_slow in any::<bool>(),
    ) {
        let mut sampling = TailSampling::new()
            .with_max_traces(3)
            .with_max_spans_per_trace(4)
            .with_max_age(SECOND);
        if is_slow {
            sampling = sampling.with_slower_than(SECOND / 2);
        }
        let world = World::new(sampling);
        let (mut started, mut open) = (Vec::<SpanContext>::new(), Vec::<SpanContext>::new());
        let (mut roots, mut ended, mut kept) = (0, 0, 0);
        for event in events {
            kept += match event {
                Event::Root { trace } => {
                    let root = world.context(trace.into());
                    roots += 1;
                    started.push(root.clone());
                    open.push(root.clone());
                    world.holder.start(&root, &SpanContext::NONE).len()
                }
                Event::Child { below } => {
                    if started.is_empty() {
                        continue;
                    }
                    let parent = started[below % started.len()].clone();
                    let child = world.context(u128::from_be_bytes(parent.trace_id().to_bytes()));
                    started.push(child.clone());
                    open.push(child.clone());
                    world.holder.start(&child, &parent).len()
                }
                Event::End { which, fails } => {
                    if open.is_empty() {
                        continue;
                    }
                    let span = open.swap_remove(which % open.len());
                    ended += 1;
                    if fails { world.fail(&span).len() } else { world.end(&span).len() }
                }
                Event::Pass { millis } => {
                    world.clock.advance(Duration::from_millis(millis));
                    0
                }
                Event::Flush => world.holder.age().len(),
            };
            let counts = world.counts();
            prop_assert_eq!(spans(counts).iter().sum::<u64>(), ended);
            prop_assert_eq!(traces(counts).iter().sum::<u64>(), roots);
            prop_assert_eq!(counts.kept_spans(), kept as u64);
            let [known, waiting, decided] = world.holder.sizes();
            prop_assert!(waiting <= 3 && decided <= 3 && known <= (waiting + decided) * 4);
            prop_assert_eq!(world.holder.places(), [waiting, decided]);
            prop_assert_eq!(counts.held_traces(), waiting as u64);
            prop_assert!(counts.held_spans() <= 3 * 3);
        }
        kept += world.holder.close().len();
        for span in open {
            kept += world.end(&span).len();
            ended += 1;
        }
        let counts = world.counts();
        prop_assert_eq!(spans(counts).iter().sum::<u64>(), ended);
        prop_assert_eq!(counts.kept_spans(), kept as u64);
        prop_assert_eq!((counts.held_spans(), counts.held_traces()), (0, 0));
        prop_assert_eq!(world.holder.sizes(), [0; 3]);
        prop_assert_eq!(world.holder.places(), [0; 2]);
    }
}
