//! Requests that are decided over when they have ended, through whole providers.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use http::{Request, StatusCode};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        FutureExt, Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt,
        TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{
        InMemorySpanExporter, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider,
        ShouldSample, SimpleSpanProcessor, Span, SpanData, SpanProcessor,
    },
};
use proptest::prelude::*;
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, SamplerBuilder, Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{
        export::ConsoleExporter,
        sampler::Rule,
        tail::{TailProcessor, TailSampling, TailSamplingCounts, TailWatch},
    },
};

use crate::support::{
    exchange::{Answers, response},
    sdk::Hooks,
};

const LONG: Duration = Duration::from_secs(30);

/// Samples what is called `sampled` and what is below a span that is sampled, drops what is called
/// `dropped`, and only records the rest.
#[derive(Clone, Debug)]
struct ByName;

impl ShouldSample for ByName {
    fn should_sample(
        &self,
        parent_cx: Option<&Context>,
        _: TraceId,
        name: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent_cx.map(|cx| cx.span().span_context().clone());
        let parent = parent.unwrap_or(SpanContext::NONE);
        let decision = match name {
            "sampled" => SamplingDecision::RecordAndSample,
            "dropped" => SamplingDecision::Drop,
            "recorded" => SamplingDecision::RecordOnly,
            _ if parent.is_sampled() => SamplingDecision::RecordAndSample,
            _ => SamplingDecision::RecordOnly,
        };
        let trace_state = parent.trace_state().clone();
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}

/// A provider with tail sampling in front of one exporter.
struct World {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    exporter: InMemorySpanExporter,
    watch: TailWatch,
}

impl World {
    fn new(sampling: TailSampling) -> Self {
        let exporter = InMemorySpanExporter::default();
        let processor = SimpleSpanProcessor::new(exporter.clone());
        let processor = sampling.in_front_of(processor).unwrap();
        let (provider, watch) = provider(processor);
        Self { tracer: provider.tracer("test"), provider, exporter, watch }
    }

    fn start(&self, name: &'static str, parent_cx: &Context) -> Context {
        let builder = SpanBuilder::from_name(name);
        parent_cx.with_span(self.tracer.build_with_context(builder, parent_cx))
    }

    fn root(&self, name: &'static str) -> Context {
        self.start(name, &Context::new())
    }

    /// One that has been open for so long.
    fn old_root(&self, name: &'static str, age: Duration) -> Context {
        let builder = SpanBuilder::from_name(name).with_start_time(SystemTime::now() - age);
        Context::new().with_span(self.tracer.build_with_context(builder, &Context::new()))
    }

    /// The names of what was exported, in the order in which it was.
    fn exported(&self) -> Vec<String> {
        let spans = self.exporter.get_finished_spans().unwrap();
        assert!(spans.iter().all(|span| span.span_context.is_sampled()));
        spans.into_iter().map(|span| span.name.into_owned()).collect()
    }

    fn counts(&self) -> TailSamplingCounts {
        self.watch.counts()
    }
}

/// A processor that does the one when a span starts, and the other when it ends.
struct Does<S, E>(S, E);

impl<S, E> SpanProcessor for Does<S, E>
where
    S: Fn() + Send + Sync,
    E: Fn(SpanData) + Send + Sync,
{
    fn on_start(&self, _: &mut Span, _: &Context) {
        (self.0)();
    }

    fn on_end(&self, span: SpanData) {
        (self.1)(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl<S, E> fmt::Debug for Does<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Does")
    }
}

fn provider<P: SpanProcessor + 'static>(
    processor: TailProcessor<P>,
) -> (SdkTracerProvider, TailWatch) {
    let watch = processor.watch();
    let provider =
        SdkTracerProvider::builder().with_sampler(ByName).with_span_processor(processor).build();
    (provider, watch)
}

fn end(cx: &Context) {
    cx.span().end();
}

fn fail(cx: &Context) {
    cx.span().set_status(Status::error("the disk is gone"));
    end(cx);
}

/// Kept, discarded, given up and held spans.
fn spans(counts: TailSamplingCounts) -> [u64; 4] {
    [counts.kept_spans(), counts.discarded_spans(), counts.given_up_spans(), counts.held_spans()]
}

fn remote(flags: u8, span_id: u64, state: &TraceState) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(0xab),
        SpanId::from(span_id),
        TraceFlags::new(flags),
        true,
        state.clone(),
    ))
}

#[test]
fn what_has_failed_is_kept_children_first_and_what_has_not_is_discarded() {
    let world = World::new(TailSampling::new());
    let good = world.root("good");
    end(&world.start("of the good one", &good));
    end(&good);
    assert_eq!(world.exported(), [""; 0]);

    let bad = world.root("bad");
    let first = world.start("first", &bad);
    let second = world.start("second", &first);
    end(&first);
    end(&second);
    assert_eq!(world.exported(), [""; 0]);
    assert_eq!((world.counts().held_traces(), world.counts().held_spans()), (1, 2));
    fail(&bad);
    assert_eq!(world.exported(), ["first", "second", "bad"]);
    assert_eq!(spans(world.counts()), [3, 2, 0, 0]);
    assert_eq!((world.counts().kept_traces(), world.counts().discarded_traces()), (1, 1));
}

#[test]
fn that_something_below_the_root_has_failed_is_no_failure_of_the_request() {
    let world = World::new(TailSampling::new());
    let root = world.root("recovers");
    fail(&world.start("fails", &root));
    root.span().set_status(Status::Ok);
    end(&root);
    assert_eq!(world.exported(), [""; 0]);
}

#[test]
fn failures_may_be_of_no_interest() {
    let world = World::new(TailSampling::new().without_failed());
    fail(&world.root("bad"));
    assert_eq!(world.exported(), [""; 0]);
    let world = World::new(TailSampling::new().without_failed().with_failed());
    fail(&world.root("bad"));
    assert_eq!(world.exported(), ["bad"]);
}

#[test]
fn what_is_slower_than_a_limit_is_kept() {
    let world = World::new(TailSampling::new().with_slower_than(Duration::from_secs(2)));
    let age = Duration::from_secs(10);
    let slow = world.old_root("slow", age);
    end(&world.start("of the slow one", &slow));
    end(&slow);
    let fast = world.root("fast");
    // A child is no request.
    let child = SpanBuilder::from_name("slow child").with_start_time(SystemTime::now() - age);
    drop(world.tracer.build_with_context(child, &fast));
    end(&fast);
    assert_eq!(world.exported(), ["of the slow one", "slow"]);
}

#[test]
fn one_predicate_that_says_yes_is_enough_and_sees_the_whole_trace() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let sampling = TailSampling::new()
        .with_predicate(|trace| trace.root().name == "wanted")
        .with_predicate(move |trace| {
            let names = trace.spans().map(|span| span.name.to_string()).collect::<Vec<_>>();
            sees.lock().unwrap().push((names, trace.duration()));
            trace.spans().count() > 2
        });
    let world = World::new(sampling);
    end(&world.root("wanted"));
    assert_eq!(seen.lock().unwrap().len(), 0, "nobody else was asked");

    let start = SystemTime::UNIX_EPOCH;
    for children in [1, 2] {
        let builder = SpanBuilder::from_name("root").with_start_time(start);
        let span = world.tracer.build_with_context(builder, &Context::new());
        let root = Context::new().with_span(span);
        let open: Vec<_> = (0..children).map(|_| world.start("child", &root)).collect();
        open.iter().for_each(end);
        root.span().end_with_timestamp(start + Duration::from_millis(5));
    }
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let ms = Duration::from_millis(5);
    assert_eq!(
        *seen.lock().unwrap(),
        [(names(&["child", "root"]), ms), (names(&["child", "child", "root"]), ms)]
    );
    assert_eq!(world.exported(), ["wanted", "child", "child", "root"]);
}

#[test]
fn what_is_sampled_goes_on_at_once_as_it_is_and_is_counted_nowhere() {
    let (raw, behind) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
    let keeps = |spans: &Arc<Mutex<Vec<SpanData>>>| {
        let spans = Arc::clone(spans);
        Does(|| {}, move |span| spans.lock().unwrap().push(span))
    };
    let tail = TailSampling::new().in_front_of(keeps(&behind)).unwrap();
    let watch = tail.watch();
    let provider = SdkTracerProvider::builder()
        .with_sampler(ByName)
        .with_span_processor(keeps(&raw))
        .with_span_processor(tail)
        .build();
    let tracer = provider.tracer("test");
    let root = Context::new().with_span(tracer.start("sampled"));
    drop(tracer.start_with_context("child", &root));
    assert_eq!(behind.lock().unwrap().len(), 1, "it waits for no root");
    end(&root);
    assert_eq!(behind.lock().unwrap().len(), 2);
    assert_eq!(*behind.lock().unwrap(), *raw.lock().unwrap());
    assert_eq!(watch.counts(), TailSamplingCounts::default());
}

#[test]
fn what_is_kept_differs_from_what_was_recorded_in_one_flag() {
    let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
    let world = World::new(TailSampling::new());
    let root = world.start("root", &remote(0b10, 7, &state));
    let before = root.span().span_context().clone();
    assert!(!before.is_sampled());
    fail(&root);
    let [span] = &world.exporter.get_finished_spans().unwrap()[..] else {
        panic!("there was to be one span");
    };
    let after = &span.span_context;
    assert_eq!(after.trace_flags().to_u8(), 0b11);
    assert_eq!((after.trace_id(), after.span_id()), (before.trace_id(), before.span_id()));
    assert_eq!((after.is_remote(), after.trace_state()), (false, &state));
    assert_eq!((span.parent_span_id, span.parent_span_is_remote), (SpanId::from(7), true));
    assert_eq!(span.status, Status::error("the disk is gone"));
}

#[test]
fn what_ends_after_its_root_shares_its_fate() {
    for fails in [true, false] {
        let world = World::new(TailSampling::new());
        let root = world.root("root");
        let (early, late) = (world.start("early", &root), world.start("late", &root));
        let below = world.start("below", &late);
        end(&early);
        if fails {
            root.span().set_status(Status::error(""));
        }
        end(&root);
        assert_eq!(world.counts().held_traces(), 0);
        fail(&late);
        // It has not even started when the root has ended.
        let later = world.start("later", &below);
        end(&below);
        end(&later);
        let all = ["early", "root", "late", "below", "later"];
        assert_eq!(world.exported(), if fails { &all[..] } else { &[] });
        let ended = if fails { [5, 0, 0, 0] } else { [0, 5, 0, 0] };
        assert_eq!(spans(world.counts()), ended);
    }
}

#[test]
fn two_requests_of_one_trace_are_two_local_traces() {
    let world = World::new(TailSampling::new());
    let caller = remote(0, 7, &TraceState::NONE);
    let (good, bad) = (world.start("good", &caller), world.start("bad", &caller));
    let (of_good, of_bad) = (world.start("of good", &good), world.start("of bad", &bad));
    assert_eq!(good.span().span_context().trace_id(), bad.span().span_context().trace_id());
    end(&of_good);
    end(&of_bad);
    // One asks the other, by way of a header.
    let itself = good.span().span_context().clone();
    let itself = SpanContext::new(
        itself.trace_id(),
        itself.span_id(),
        itself.trace_flags(),
        true,
        TraceState::NONE,
    );
    let nested = world.start("nested", &Context::new().with_remote_span_context(itself));
    assert_eq!(world.counts().held_traces(), 3);
    fail(&bad);
    assert_eq!(world.exported(), ["of bad", "bad"]);
    end(&nested);
    end(&good);
    assert_eq!(world.exported(), ["of bad", "bad"]);
    assert_eq!(world.counts().discarded_traces(), 2);
}

#[test]
fn spans_of_one_request_may_come_from_several_threads() {
    let world = World::new(TailSampling::new());
    let root = world.root("root");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut parent = world.start("outer", &root);
                for _ in 0..20 {
                    let child = world.start("inner", &parent);
                    end(&parent);
                    parent = child;
                }
                end(&parent);
            });
        }
    });
    fail(&root);
    let spans = world.exporter.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 4 * 21 + 1);
    let ids: Vec<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
    let connected = spans.iter().filter(|span| ids.contains(&span.parent_span_id)).count();
    assert_eq!(connected, 4 * 21, "all but the root");
}

#[test]
fn what_is_below_a_local_span_that_is_not_held_is_given_up() {
    let world = World::new(TailSampling::new());
    for name in ["dropped", "sampled"] {
        let outer = world.root(name);
        let inner = world.start("recorded", &outer);
        fail(&world.start("recorded", &inner));
        fail(&inner);
        end(&outer);
    }
    // As this crate's layers carry on a span that does not record.
    let bare = world.root("dropped").span().span_context().clone();
    assert!(!bare.is_remote());
    fail(&world.start("recorded", &Context::new().with_remote_span_context(bare)));
    assert_eq!(world.exported(), ["sampled"]);
    assert_eq!(spans(world.counts()), [0, 0, 5, 0]);
}

#[test]
fn a_sampled_span_below_one_that_is_held_does_not_wait_for_it() {
    let world = World::new(TailSampling::new());
    let root = world.root("root");
    end(&world.start("sampled", &root));
    assert_eq!(world.exported(), ["sampled"]);
    fail(&root);
    assert_eq!(world.exported(), ["sampled", "root"]);
    assert_eq!(spans(world.counts()), [1, 0, 0, 0]);
}

#[test]
fn a_predicate_that_panics_has_not_said_yes() {
    let sampling = TailSampling::new()
        .with_predicate(|_| panic!("the predicate panics, as it was told to"))
        .with_predicate(|trace| trace.root().name == "wanted");
    let world = World::new(sampling);
    end(&world.root("unwanted"));
    end(&world.root("wanted"));
    fail(&world.root("bad"));
    assert_eq!(world.exported(), ["wanted", "bad"]);
    assert_eq!(spans(world.counts()), [2, 1, 0, 0]);
}

#[test]
fn a_predicate_may_start_spans_which_are_not_decided_over() {
    let tracer = Arc::new(OnceLock::<SdkTracer>::new());
    let starts = Arc::clone(&tracer);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let world = World::new(TailSampling::new().with_predicate(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        drop(
            starts.get().unwrap().build_with_context(SpanBuilder::from_name("x"), &Context::new()),
        );
        true
    }));
    assert!(tracer.set(world.tracer.clone()).is_ok());
    end(&world.root("root"));
    assert_eq!(world.exported(), ["root"]);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(spans(world.counts()), [1, 0, 1, 0]);
    assert_eq!(world.counts().refused_traces(), 1);
    // The next request is one like any other.
    end(&world.root("root"));
    assert_eq!(world.exported().len(), 2);
}

#[test]
fn a_span_that_ends_as_it_starts_is_accounted_for() {
    let ends = || Hooks { on_start: Some(Span::end), ..Hooks::default() };
    let (provider, watch) = provider(TailSampling::new().in_front_of(ends()).unwrap());
    drop(provider.tracer("test").start("short"));
    let telemetry = telemetry(TailSampling::new()).with_span_processor(ends()).build().unwrap();
    drop(telemetry.tracer_provider().tracer("test").start("short"));
    for counts in [watch.counts(), telemetry.tail_sampling().unwrap()] {
        assert_eq!(spans(counts), [0, 1, 0, 0]);
        assert_eq!(counts.held_traces(), 0);
    }
}

#[test]
fn a_processor_behind_that_panics_harms_no_request_and_loses_no_other_span() {
    let (starts, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (started, ended) = (Arc::clone(&starts), Arc::clone(&ends));
    let panics = Does(
        move || {
            started.fetch_add(1, Ordering::Relaxed);
            panic!("the start panics, as it was told to");
        },
        move |_| {
            ended.fetch_add(1, Ordering::Relaxed);
            panic!("the end panics, as it was told to");
        },
    );
    let (provider, watch) = provider(TailSampling::new().in_front_of(panics).unwrap());
    let tracer = provider.tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    drop(tracer.start_with_context("child", &root));
    fail(&root);
    drop(tracer.start("sampled"));
    assert_eq!(starts.load(Ordering::Relaxed), 3);
    assert_eq!(ends.load(Ordering::Relaxed), 3);
    assert_eq!(spans(watch.counts()), [2, 0, 0, 0]);
}

#[test]
fn at_the_shutdown_the_rest_is_accounted_for() {
    let world = World::new(TailSampling::new());
    let root = world.root("root");
    fail(&world.start("child", &root));
    world.provider.shutdown().unwrap();
    assert_eq!(spans(world.counts()), [0, 0, 1, 0]);
    assert_eq!((world.counts().unfinished_traces(), world.counts().held_traces()), (1, 0));
}

/// Notes what it is asked for.
#[derive(Clone, Debug, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl SpanProcessor for Asked {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        let parent = cx.span().span_context().is_valid();
        self.note(format!("start, parent: {parent}"));
        span.update_name("renamed");
    }

    fn on_end(&self, span: SpanData) {
        self.note(format!("end of {}", span.name));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.note("flush");
        Err(OTelSdkError::InternalFailure("it cannot flush".to_owned()))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        assert!(timeout <= LONG && timeout > LONG / 2, "{timeout:?}");
        self.note("shutdown");
        Err(OTelSdkError::Timeout(LONG))
    }

    fn set_resource(&mut self, resource: &Resource) {
        let name = resource.get(&"service.name".into()).unwrap();
        self.note(format!("resource of {name}"));
    }
}

#[test]
fn the_processor_behind_is_asked_for_everything_else_as_before() {
    let asked = Asked::default();
    let processor = TailSampling::new().in_front_of(asked.clone()).unwrap();
    let provider = SdkTracerProvider::builder()
        .with_sampler(ByName)
        .with_span_processor(processor)
        .with_resource(Resource::builder_empty().with_service_name("shop").build())
        .build();
    let tracer = provider.tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    drop(tracer.start_with_context("child", &root));
    fail(&root);
    let error = provider.force_flush().unwrap_err();
    assert!(error.to_string().contains("it cannot flush"), "{error}");
    assert!(provider.shutdown_with_timeout(LONG).is_err());
    assert_eq!(
        *asked.0.lock().unwrap(),
        [
            "resource of shop",
            "start, parent: false",
            "start, parent: true",
            "end of renamed",
            "end of renamed",
            "flush",
            "shutdown",
        ]
    );
}

#[test]
fn a_flood_of_requests_from_four_threads_adds_up_exactly() {
    const EACH: u64 = 25_000;
    let sampling = TailSampling::new().with_max_traces(5).with_max_spans_per_trace(4);
    let exported = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&exported);
    let counts = move |span: SpanData| {
        assert!(span.span_context.is_sampled());
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let (provider, watch) = provider(sampling.in_front_of(Does(|| {}, counts)).unwrap());

    let tracer = provider.tracer("test");
    thread::scope(|scope| {
        for thread in 0..4 {
            let (tracer, watch) = (&tracer, &watch);
            scope.spawn(move || {
                let mut open = Vec::new();
                for at in 0..EACH {
                    let root = Context::new().with_span(tracer.start("root"));
                    for _ in 0..at % 5 {
                        drop(tracer.start_with_context("child", &root));
                    }
                    if at % 7 == 0 {
                        root.span().set_status(Status::error(""));
                    }
                    // Some stay open for long.
                    open.push(root);
                    if open.len() > thread {
                        open.remove(0);
                    }
                    if at % 100 == 0 {
                        let counts = watch.counts();
                        assert!(counts.held_spans() <= (5 + 3) * 4, "{counts:?}");
                    }
                }
            });
        }
    });
    let counts = watch.counts();
    let traces = [
        counts.kept_traces(),
        counts.discarded_traces(),
        counts.refused_traces(),
        counts.aged_traces(),
        counts.unfinished_traces(),
        counts.held_traces(),
    ];
    assert_eq!(traces.iter().sum::<u64>(), 4 * EACH);
    assert_eq!(spans(counts).iter().sum::<u64>(), 4 * (EACH + EACH / 5 * 10));
    assert_eq!((counts.held_spans(), counts.held_traces()), (0, 0));
    assert_eq!(counts.kept_spans(), exported.load(Ordering::Relaxed));
    assert!(counts.refused_traces() > 0 && counts.oversized_traces() > 0, "{counts:?}");
    assert!(counts.kept_traces() > 0 && counts.discarded_traces() > 0, "{counts:?}");
}

fn telemetry(sampling: TailSampling) -> TelemetryBuilder {
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_service_name("shop")
        .with_sampler(SamplerBuilder::new().with_root(ByName).without_parent())
        .with_tail_sampling(sampling)
}

/// A request to a service that makes two of its own, one after the other, and answers with this.
fn request(telemetry: &Telemetry, status_code: StatusCode) {
    serve(telemetry, Request::new(()), status_code);
}

fn serve(telemetry: &Telemetry, asked: Request<()>, status_code: StatusCode) {
    let tracer = telemetry.tracer_provider().tracer("handler");
    let client = ClientTraceLayer::new().with_telemetry(telemetry);
    let inner = service_fn(move |_: Request<()>| {
        let (tracer, mut client) = (tracer.clone(), client.layer(Answers(response(""))));
        async move {
            let asked = || Request::get("http://inventory:3000/").body(()).unwrap();
            let work = Context::current_with_span(tracer.start("work"));
            async { client.call(asked()).await.unwrap() }.with_context(work).await;
            client.call(asked()).await.unwrap();
            let mut answer = response("");
            *answer.status_mut() = status_code;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut service = TraceLayer::new().with_telemetry(telemetry).layer(inner);
    drop(tokio_test::block_on(service.call(asked)).unwrap());
}

#[test]
fn a_failed_request_is_exported_with_all_that_was_done_for_it_and_a_good_one_is_not() {
    let (exporter, another) = (InMemorySpanExporter::default(), InMemorySpanExporter::default());
    let raw = InMemorySpanExporter::default();
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ended);
    let counts = move |span: SpanData| {
        assert!(!span.span_context.is_sampled());
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let telemetry = telemetry(TailSampling::new())
        .with_span_exporter(exporter.clone())
        .with_span_processor(Does(|| {}, counts))
        .with_span_processor(SimpleSpanProcessor::new(raw.clone()))
        .with_span_exporter(another.clone())
        .build()
        .unwrap();
    request(&telemetry, StatusCode::OK);
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap(), []);

    request(&telemetry, StatusCode::SERVICE_UNAVAILABLE);
    telemetry.force_flush(LONG).unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(another.get_finished_spans().unwrap(), spans);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["GET", "work", "GET", "GET"]);
    let [asked, work, asked_too, server] = &spans[..] else {
        panic!("there were to be four spans");
    };
    assert_eq!(server.span_kind, SpanKind::Server);
    assert_eq!(server.parent_span_id, SpanId::INVALID);
    assert_eq!(asked.parent_span_id, work.span_context.span_id());
    for below in [work, asked_too] {
        assert_eq!(below.parent_span_id, server.span_context.span_id());
    }
    assert!(spans.iter().all(|span| span.span_context.is_sampled()));

    // Who is not behind it sees every span as it was.
    assert_eq!(ended.load(Ordering::Relaxed), 8);
    assert_eq!(raw.get_finished_spans().unwrap(), []);
    let counts = telemetry.tail_sampling().unwrap();
    assert_eq!((counts.kept_spans(), counts.discarded_spans()), (4, 4));
    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn whatever_the_sampler_drops_may_be_kept_but_for_what_a_rule_drops() {
    const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let health = || Rule::drop().with_path("/healthz");
    let exporter = InMemorySpanExporter::default();
    let telemetry = telemetry(TailSampling::new())
        .with_sampler(SamplerBuilder::new().with_ratio(0.0).with_rule(health()))
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let fails = |path: &str, traceparent: Option<&str>| {
        let mut asked = Request::new(());
        *asked.uri_mut() = path.parse().unwrap();
        if let Some(traceparent) = traceparent {
            asked.headers_mut().insert("traceparent", traceparent.parse().unwrap());
        }
        serve(&telemetry, asked, StatusCode::SERVICE_UNAVAILABLE);
        telemetry.force_flush(LONG).unwrap();
        let spans = exporter.get_finished_spans().unwrap();
        exporter.reset();
        // Nobody can say for how many it stands.
        assert!(spans.iter().all(|span| span.span_context.trace_state().header().is_empty()));
        spans.len()
    };
    assert_eq!(fails("/", None), 4);
    assert_eq!(fails("/", Some(NOT_SAMPLED)), 4);
    assert_eq!(fails("/healthz", None), 0);
    // Nobody has recorded anything that would have to be given up.
    assert_eq!(spans(telemetry.tail_sampling().unwrap()), [8, 0, 0, 0]);
    assert!(telemetry.sampler().to_string().starts_with("AlwaysRecord{ParentBased{"));
    assert!(telemetry.sampler().settings().to_string().starts_with("ParentBased{"));
    // A change of the sampler does not change that.
    telemetry.sampler().replace(SamplerBuilder::new().with_always_off()).unwrap();
    assert_eq!(fails("/healthz", None), 4);
}

#[test]
fn what_starts_below_a_failed_request_when_that_is_over_goes_on_with_it() {
    let exporter = InMemorySpanExporter::default();
    let telemetry = telemetry(TailSampling::new())
        .with_sampler(SamplerBuilder::new().with_always_off())
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let start = |name: &'static str, cx: &Context| {
        cx.with_span(tracer.build_with_context(SpanBuilder::from_name(name), cx))
    };
    let root = start("root", &Context::new());
    let open = start("open", &root);
    fail(&root);
    let late = start("late", &root);
    end(&late);
    end(&open);
    telemetry.force_flush(LONG).unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["root", "late", "open"]);
}

#[test]
fn a_telemetry_hands_sampled_spans_on_at_once_and_to_everybody() {
    let exporter = InMemorySpanExporter::default();
    let raw = InMemorySpanExporter::default();
    let telemetry = telemetry(TailSampling::new())
        .with_span_processor(SimpleSpanProcessor::new(raw.clone()))
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let root = Context::new().with_span(tracer.start("sampled"));
    drop(tracer.start_with_context("child", &root));
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    end(&root);
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 2);
    assert_eq!(raw.get_finished_spans().unwrap().len(), 2);
    assert_eq!(telemetry.tail_sampling(), Some(TailSamplingCounts::default()));
}

#[test]
fn without_tail_sampling_there_is_none() {
    let telemetry = Telemetry::builder().with_environment([("", ""); 0]).build().unwrap();
    assert_eq!(telemetry.tail_sampling(), None);
}

#[test]
fn a_bad_limit_is_an_error_before_anything_starts() {
    let error = telemetry(TailSampling::new().with_max_traces(0)).build().unwrap_err();
    assert_eq!((error.setting(), error.value()), ("tail sampling's max_traces", "0"));
    let behind = Hooks::default();
    let error = TailSampling::new().with_max_age(Duration::ZERO).in_front_of(behind).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid tail sampling's max_age `0ns`: must be above 0 and up to a day"
    );
}

#[test]
fn a_telemetry_that_is_shut_down_accounts_for_what_was_held() {
    let telemetry =
        telemetry(TailSampling::new()).with_span_exporter(InMemorySpanExporter::default());
    let telemetry = telemetry.build().unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    drop(tracer.start_with_context("child", &root));
    telemetry.shutdown(LONG).unwrap();
    let counts = telemetry.tail_sampling().unwrap();
    assert_eq!(spans(counts), [0, 0, 1, 0]);
    assert_eq!(counts.unfinished_traces(), 1);
}

/// What was printed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_console_prints_what_is_kept_as_one_tree() {
    let screen = Screen::default();
    let telemetry = telemetry(TailSampling::new())
        .with_console(ConsoleExporter::new(screen.clone()))
        .build()
        .unwrap();
    request(&telemetry, StatusCode::OK);
    assert_eq!(screen.0.lock().unwrap().len(), 0);
    request(&telemetry, StatusCode::INTERNAL_SERVER_ERROR);
    let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("trace ").count(), 1, "{text}");
    assert!(text.contains("  4 spans  "), "{text}");
    assert!(text.contains("└ shop  GET"), "{text}");
    assert!(text.contains("├ shop  work") && text.contains("└ shop  GET"), "{text}");
    let tracer = telemetry.tracer_provider().tracer("test");
    drop(tracer.start("sampled"));
    let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("└ shop  sampled"), "{text}");
}

#[test]
fn what_it_is_made_of_can_be_looked_at() {
    let sampling = TailSampling::new().with_predicate(|_| true);
    assert_eq!(
        format!("{sampling:?}"),
        "TailSampling { failed: true, slower_than: None, predicates: 1, max_traces: 1000, \
         max_spans_per_trace: 256, max_age: 60s }"
    );
    let processor = sampling.in_front_of(Hooks::default()).unwrap();
    assert!(format!("{:?}", processor.watch()).contains("held_spans: 0"));
    let text = format!("{processor:?}");
    assert!(text.contains("inner: Hooks") && text.contains("predicates: 1"), "{text}");
}

/// A tree of spans: the parent of each but the root, as a number below its own, and in which order
/// they end.
fn tree() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, bool)> {
    (0..40_usize, any::<bool>()).prop_flat_map(|(children, fails)| {
        let parents = (1..=children).map(|at| (0..at).boxed()).collect::<Vec<_>>();
        let order = Just((0..=children).collect::<Vec<_>>()).prop_shuffle();
        (parents, order, Just(fails))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_that_end_in_any_order_are_kept_or_discarded_as_a_whole(
        trees in prop::collection::vec(tree(), 1..4),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let world = World::new(TailSampling::new());
        let open = |(parents, order, fails): &(Vec<usize>, Vec<usize>, bool)| {
            let mut spans = vec![world.root("root")];
            for &parent in parents {
                let span = world.start("child", &spans[parent]);
                spans.push(span);
            }
            if *fails {
                spans[0].span().set_status(Status::error(""));
            }
            (spans, order.clone().into_iter(), *fails)
        };
        let mut all: Vec<_> = trees.iter().map(open).collect();
        // They end in turns.
        for turn in turns {
            let (spans, order, _) = &mut all[turn.index(trees.len())];
            if let Some(at) = order.next() {
                end(&spans[at]);
            }
        }
        for (spans, order, _) in &mut all {
            order.for_each(|at| end(&spans[at]));
        }
        let kept = |fails: bool| {
            let of = all.iter().filter(|(.., failed)| *failed == fails);
            of.map(|(spans, ..)| spans.len() as u64).sum::<u64>()
        };
        prop_assert_eq!(spans(world.counts()), [kept(true), kept(false), 0, 0]);
        let exported = world.exporter.get_finished_spans().unwrap();
        for (spans, _, fails) in &all {
            for cx in spans {
                let id = cx.span().span_context().span_id();
                let times = exported.iter().filter(|span| span.span_context.span_id() == id);
                prop_assert_eq!(times.count(), usize::from(*fails));
            }
        }
    }
}
