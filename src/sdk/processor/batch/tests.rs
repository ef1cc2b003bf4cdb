//! The processor before exporters that do as they are told.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;
use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use proptest::prelude::*;
use tokio::sync::Semaphore;

use crate::sdk::{
    env::Env,
    export::{
        exporter::{Exporter, Loss, Outcome, Running, Target},
        item::Items,
    },
    processor::batch::{
        BatchSettings,
        alarm::Alarm,
        counts::Fate,
        processor::Batch,
        queue::{Queue, Step, Ticket},
    },
};

const LONG: Duration = Duration::from_secs(30);

fn span(flags: TraceFlags) -> SpanData {
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            flags,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Server,
        name: Cow::Borrowed("span"),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// What an export is to do.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Once it is let.
    Export,
    Lose(u64, Loss),
    Panic,
    Hang,
}

/// An exporter that tells what it gets, and waits until it is let.
struct Told {
    does: Mutex<VecDeque<Does>>,
    /// How many exports may come to an end.
    let_go: Semaphore,
    began: mpsc::Sender<usize>,
    running: AtomicUsize,
    complains: Option<&'static str>,
    calls: Mutex<Vec<&'static str>>,
}

impl Exporter for Told {
    fn export(self: Arc<Self>, batch: Vec<SpanData>, _: tokio::time::Instant) -> Running<Outcome> {
        let does = self.does.lock().unwrap().pop_front().unwrap_or(Does::Export);
        self.running.fetch_add(1, Ordering::Relaxed);
        let _ = self.began.send(batch.len());
        Box::pin(async move {
            match does {
                Does::Panic => panic!("the exporter panics, as it was told to"),
                Does::Hang => std::future::pending().await,
                Does::Export | Does::Lose(..) => self.let_go.acquire().await.unwrap().forget(),
            }
            self.running.fetch_sub(1, Ordering::Relaxed);
            match does {
                Does::Lose(spans, loss) => Outcome::lost(spans, loss, "as it was told to"),
                _ => Outcome::exported(),
            }
        })
    }

    fn flush(self: Arc<Self>) -> Running<Result<(), String>> {
        self.calls.lock().unwrap().push("flush");
        Box::pin(async move { self.complains.map_or(Ok(()), |why| Err(why.to_owned())) })
    }

    fn shutdown(self: Arc<Self>, _: Duration) -> Running<Result<(), String>> {
        self.calls.lock().unwrap().push("shutdown");
        Box::pin(async move { self.complains.map_or(Ok(()), |why| Err(why.to_owned())) })
    }
}

struct World {
    batch: Batch,
    told: Arc<Told>,
    began: Mutex<mpsc::Receiver<usize>>,
}

/// Batches of 2, a queue for 8, three exports at once, and no export because it is time.
fn settings() -> BatchSettings {
    BatchSettings::new()
        .with_max_queue_size(8)
        .with_max_export_batch_size(2)
        .with_max_concurrent_exports(3)
        .with_schedule_delay(Duration::from_secs(3600))
}

fn world(settings: &BatchSettings, does: impl IntoIterator<Item = Does>) -> World {
    world_that(settings, does, None)
}

fn world_that(
    settings: &BatchSettings,
    does: impl IntoIterator<Item = Does>,
    complains: Option<&'static str>,
) -> World {
    let (began, begun) = mpsc::channel();
    let told = Arc::new(Told {
        does: Mutex::new(does.into_iter().collect()),
        let_go: Semaphore::new(0),
        began,
        running: AtomicUsize::new(0),
        complains,
        calls: Mutex::default(),
    });
    // Once it is made, it is the thread's and the test's.
    let made = Mutex::new(Some(Arc::clone(&told)));
    let target = Target {
        name: "told".to_owned(),
        component_type: "told",
        concurrency: 16,
        server_address: None,
        server_port: None,
        make: Box::new(move |_| made.lock().unwrap().take().unwrap() as Arc<dyn Exporter>),
    };
    let settings = settings.resolve(Items::Spans, &mut Env::fixed(Default::default())).unwrap();
    let batch = Batch::start(target, settings, &Resource::builder_empty().build()).unwrap();
    World { batch, told, began: Mutex::new(begun) }
}

impl World {
    fn end(&self, spans: usize) {
        for _ in 0..spans {
            self.batch.end(span(TraceFlags::SAMPLED));
        }
    }

    /// The size of the next batch.
    fn next(&self) -> usize {
        self.began.lock().unwrap().recv_timeout(LONG).unwrap()
    }

    fn let_go(&self, exports: usize) {
        self.told.let_go.add_permits(exports);
    }

    /// Flushes, and lets everything go.
    fn flush(&self) {
        self.let_go(1000);
        let flush = self.batch.begin_flush().unwrap();
        self.batch.wait_for_flush(flush, Instant::now() + LONG).unwrap();
    }

    fn shut_down(&self, timeout: Duration) -> Result<(), u64> {
        let deadline = Instant::now() + timeout;
        self.batch.begin_shutdown(deadline);
        self.batch.wait_for_shutdown(deadline)
    }

    /// Ended, exported, queued, in an export.
    fn counts(&self) -> [u64; 4] {
        let counts = self.batch.counts();
        assert_eq!(
            counts.ended,
            counts.exported + counts.all_lost() + counts.waiting + counts.exporting,
            "{counts:?}"
        );
        [counts.ended, counts.exported, counts.waiting, counts.exporting]
    }

    fn lost(&self, fate: Fate) -> u64 {
        self.batch.counts().lost(fate)
    }
}

#[test]
fn several_exports_run_at_once_and_no_more_than_that() {
    let world = world(&settings(), []);
    world.end(8);
    assert_eq!([world.next(), world.next(), world.next()], [2, 2, 2]);
    assert_eq!(world.counts(), [8, 0, 2, 6]);
    // A fourth begins when one has come to its end.
    world.let_go(1);
    assert_eq!(world.next(), 2);
    assert_eq!(world.told.running.load(Ordering::Relaxed), 3);
    assert_eq!(world.counts(), [8, 2, 0, 6]);
    world.flush();
    assert_eq!(world.counts(), [8, 8, 0, 0]);
}

#[test]
fn what_finds_the_queue_full_is_dropped_and_counted_and_what_is_held_is_bounded() {
    let world = world(&settings(), []);
    world.end(6);
    for _ in 0..3 {
        assert_eq!(world.next(), 2);
    }
    world.end(1000);
    // Three batches on their way, and a queue that is full.
    assert_eq!(world.counts(), [1006, 0, 8, 6]);
    assert_eq!(world.lost(Fate::QueueFull), 992);
    world.flush();
    assert_eq!(world.counts(), [1006, 14, 0, 0]);
    world.end(1);
    world.flush();
    assert_eq!(world.counts(), [1007, 15, 0, 0]);
}

#[test]
fn the_books_balance_at_any_moment() {
    let settings = BatchSettings::new().with_max_queue_size(64).with_max_export_batch_size(16);
    let does = (0..5000).map(|at| match at % 7 {
        0 => Does::Lose(3, Loss::Rejected),
        1 => Does::Lose(u64::MAX, Loss::GivenUp),
        2 => Does::Panic,
        _ => Does::Export,
    });
    let world = world(&settings, does);
    world.let_go(1_000_000);
    let done = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                world.counts();
                looks += 1;
            }
            looks
        });
        let ends: Vec<_> = (0..4).map(|_| scope.spawn(|| world.end(20_000))).collect();
        for end in ends {
            end.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        looks.join().unwrap()
    });
    assert!(looks > 0);
    world.flush();
    let [ended, exported, waiting, exporting] = world.counts();
    assert_eq!((ended, waiting, exporting), (80_000, 0, 0));
    assert!(exported > 0);
    for loss in [Loss::Rejected, Loss::GivenUp, Loss::Panicked] {
        assert!(world.lost(Fate::Failed(loss)) > 0, "{loss:?}");
    }
}

#[test]
fn a_span_does_not_wait_for_others_for_ever() {
    let world = world(&settings().with_schedule_delay(Duration::from_millis(1)), []);
    world.let_go(1000);
    for _ in 0..3 {
        world.end(1);
        assert_eq!(world.next(), 1);
    }
}

#[test]
fn spans_that_only_record_are_not_for_exporters() {
    let world = world(&settings(), []);
    world.batch.end(span(TraceFlags::default()));
    assert_eq!(world.counts(), [0; 4]);
    world.flush();
    assert!(world.began.lock().unwrap().try_recv().is_err());
}

#[test]
fn an_exporter_that_panics_loses_its_batch_and_goes_on() {
    let world = world(&settings(), [Does::Panic]);
    world.end(4);
    world.flush();
    assert_eq!(world.counts(), [4, 2, 0, 0]);
    assert_eq!(world.lost(Fate::Failed(Loss::Panicked)), 2);
    let told = vec![(Fate::Failed(Loss::Panicked), 2, "the exporter panicked".to_owned())];
    assert_eq!(world.batch.tell(), (told, vec![]));
    // It is told once.
    assert_eq!(world.batch.tell(), (vec![], vec![]));
}

#[test]
fn what_was_lost_of_a_batch_is_never_more_than_was_in_it() {
    let lose = |spans| Does::Lose(spans, Loss::Rejected);
    let world = world(&settings(), [lose(1), lose(u64::MAX), lose(0)]);
    world.end(6);
    world.flush();
    assert_eq!(world.counts(), [6, 3, 0, 0]);
    assert_eq!(world.lost(Fate::Failed(Loss::Rejected)), 3);
}

#[test]
fn an_export_that_hangs_is_given_up_and_holds_up_no_other() {
    let timeout = Duration::from_millis(100);
    let world = world(&settings().with_export_timeout(timeout), [Does::Hang]);
    let started = Instant::now();
    world.end(4);
    world.flush();
    assert!(started.elapsed() >= timeout);
    assert_eq!(world.counts(), [4, 2, 0, 0]);
    let (lost, _) = world.batch.tell();
    let why = "the export was not done within 100ms".to_owned();
    assert_eq!(lost, [(Fate::Failed(Loss::TimedOut), 2, why)]);
}

#[test]
fn a_flush_waits_for_what_ended_before_it_and_for_nothing_else() {
    let world = world(&settings(), []);
    world.end(3);
    let flush = world.batch.begin_flush().unwrap();
    // The one that would have to wait for others is wanted now.
    assert_eq!([world.next(), world.next()], [2, 1]);
    assert_eq!(world.batch.wait_for_flush(flush, Instant::now()), Err(3));

    let flush = world.batch.begin_flush().unwrap();
    world.end(2);
    assert_eq!(world.next(), 2);
    // The semaphore is fair: the first two are let go, not the third.
    world.let_go(2);
    world.batch.wait_for_flush(flush, Instant::now() + LONG).unwrap();
    assert_eq!(world.counts(), [5, 3, 0, 2]);
    assert_eq!(*world.told.calls.lock().unwrap(), ["flush"]);
}

#[test]
fn a_shutdown_exports_what_is_there_and_ends_the_exporter() {
    let world = world_that(&settings(), [], Some("the disk is full"));
    world.let_go(1000);
    world.end(5);
    world.shut_down(LONG).unwrap();
    assert_eq!(world.counts(), [5, 5, 0, 0]);
    assert_eq!(*world.told.calls.lock().unwrap(), ["shutdown"]);
    assert_eq!(world.batch.tell(), (vec![], vec!["the disk is full".to_owned()]));

    // What ends later is lost, and is not waited for.
    world.end(2);
    assert_eq!(world.counts(), [7, 5, 0, 0]);
    assert_eq!(world.lost(Fate::AfterShutdown), 2);
    assert_eq!(world.batch.begin_flush(), None);
    world.shut_down(LONG).unwrap();
}

#[test]
fn a_shutdown_that_runs_out_of_time_says_how_many_did_not_make_it() {
    let world = world(&settings(), [Does::Hang, Does::Hang, Does::Hang]);
    world.end(8);
    for _ in 0..3 {
        world.next();
    }
    let started = Instant::now();
    assert_eq!(world.shut_down(Duration::from_millis(50)), Err(8));
    assert!(started.elapsed() < Duration::from_secs(5));
    // At rest, whatever the exporter yet does.
    assert_eq!(world.counts(), [8, 0, 0, 0]);
    assert_eq!(world.lost(Fate::Failed(Loss::TimedOut)), 8);
    // That was the answer.
    assert_eq!(world.batch.tell(), (vec![], vec![]));
}

#[test]
fn an_answer_that_comes_after_the_deadline_changes_nothing() {
    let world = world(&settings(), []);
    world.end(2);
    world.next();
    assert_eq!(world.shut_down(Duration::ZERO), Err(2));
    world.let_go(1000);
    // The thread has ended when it has let go of the exporter.
    let World { batch, told, began } = world;
    drop(told);
    let began = began.into_inner().unwrap();
    assert_eq!(began.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    assert_eq!((batch.counts().exported, batch.counts().exporting), (0, 0));
}

#[test]
fn an_exporter_that_cannot_be_made_is_an_error_and_not_a_panic() {
    let target: Target = Target {
        name: "unmade".to_owned(),
        component_type: "unmade",
        concurrency: 1,
        server_address: None,
        server_port: None,
        make: Box::new(|_| panic!("it is not made, as it was told to")),
    };
    let settings = settings().resolve(Items::Spans, &mut Env::fixed(Default::default())).unwrap();
    let error = Batch::start(target, settings, &Resource::builder_empty().build()).unwrap_err();
    assert_eq!((error.setting(), error.value()), ("exporter", "unmade"));
    assert!(error.to_string().contains("the exporter panicked"), "{error}");
}

#[test]
fn a_processor_that_is_let_go_of_ends_its_thread() {
    let World { batch, told, began } = world(&settings(), []);
    told.let_go.add_permits(1000);
    batch.end(span(TraceFlags::SAMPLED));
    let weak = Arc::downgrade(&told);
    drop(told);
    drop(batch);
    // What waited was exported, and then the sender went with the exporter.
    let began = began.into_inner().unwrap();
    assert_eq!(began.recv_timeout(LONG), Ok(1));
    assert_eq!(began.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_was_lost_before_is_told_by_a_shutdown_that_runs_out_of_time() {
    let world = world(&settings(), [Does::Lose(1, Loss::Rejected), Does::Hang]);
    world.let_go(1);
    world.end(4);
    assert_eq!([world.next(), world.next()], [2, 2]);
    while world.lost(Fate::Failed(Loss::Rejected)) == 0 {
        thread::yield_now();
    }
    assert_eq!(world.shut_down(Duration::from_millis(50)), Err(2));
    let told = vec![(Fate::Failed(Loss::Rejected), 1, "as it was told to".to_owned())];
    assert_eq!(world.batch.tell(), (told, vec![]));
}

/// Polls it once.
fn is_woken(queue: &Queue<SpanData>) -> bool {
    queue.woken().now_or_never().is_some()
}

fn queue(settings: &BatchSettings) -> Arc<Queue<SpanData>> {
    let settings = settings.resolve(Items::Spans, &mut Env::fixed(Default::default())).unwrap();
    Arc::new(Queue::new(settings, settings.exports))
}

#[test]
fn a_queue_that_stays_full_wakes_the_worker_once() {
    let queue = queue(&settings());
    let end = |spans| (0..spans).for_each(|_| drop(queue.push(span(TraceFlags::SAMPLED))));
    let mut alarm = Alarm::new(LONG);
    let now = tokio::time::Instant::now();
    end(14);
    while let Step::Export(ticket, _) = queue.next() {
        std::mem::forget(ticket);
    }
    assert!(is_woken(&queue));
    end(1);
    assert!(is_woken(&queue));
    assert!(queue.look(&mut alarm, now).is_some());
    end(1000);
    assert!(!is_woken(&queue));
    // It is not told of them, and still finds them when it looks.
    assert_eq!(queue.look(&mut alarm, now + LONG), None);
    assert_eq!(alarm.until(now + LONG), Some(now + LONG * 2));
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Flush,
    Tick,
    Step,
    Settle(u8),
    Flushed,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..5u8).prop_map(Op::Push),
        1 => Just(Op::Flush),
        1 => Just(Op::Tick),
        4 => Just(Op::Step),
        3 => any::<u8>().prop_map(Op::Settle),
        1 => Just(Op::Flushed),
    ]
}

/// A worker that is only woken when it is told to be.
struct Model {
    queue: Arc<Queue<SpanData>>,
    tickets: Vec<(Ticket<SpanData>, usize)>,
    asked: Vec<Vec<u64>>,
    /// It waits, with a tick to come or not.
    waits: Option<bool>,
    concurrency: usize,
    stopped: bool,
}

impl Model {
    /// Steps until there is nothing to do; only if it was woken.
    fn run(&mut self) {
        if self.waits.is_some() && !is_woken(&self.queue) {
            return;
        }
        self.waits = None;
        loop {
            match self.queue.next() {
                Step::Export(ticket, batch) => self.tickets.push((ticket, batch.len())),
                Step::Flush(numbers) => self.asked.push(numbers),
                Step::Shutdown(_) | Step::Stop => {
                    self.stopped = true;
                    self.queue.stopped();
                    return;
                }
                Step::Wait { armed } => {
                    self.waits = Some(armed);
                    assert!(self.tickets.len() <= self.concurrency);
                    return;
                }
            }
        }
    }

    fn tick(&mut self) {
        if self.waits == Some(true) {
            self.queue.tick();
            self.waits = None;
            self.run();
        }
    }

    fn check(&self) {
        let counts = self.queue.counts();
        assert_eq!(
            counts.ended,
            counts.exported + counts.all_lost() + counts.waiting + counts.exporting
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_span_waits_for_ever(
        ops in proptest::collection::vec(op(), 0..200),
        queue_size in 1..8usize,
        batch_size in 1..8usize,
        concurrency in 1..4usize,
    ) {
        let settings = BatchSettings::new()
            .with_max_queue_size(queue_size)
            .with_max_export_batch_size(batch_size.min(queue_size))
            .with_max_concurrent_exports(concurrency);
        let queue = queue(&settings);
        let mut model = Model {
            queue: Arc::clone(&queue),
            tickets: vec![],
            asked: vec![],
            waits: None,
            concurrency,
            stopped: false,
        };
        let mut flushes = Vec::new();
        for op in ops {
            match op {
                Op::Push(n) => (0..n).for_each(|_| drop(queue.push(span(TraceFlags::SAMPLED)))),
                Op::Flush => flushes.extend(queue.begin_flush()),
                Op::Tick => model.tick(),
                Op::Step => model.run(),
                Op::Settle(at) if !model.tickets.is_empty() => {
                    let at = usize::from(at) % model.tickets.len();
                    model.tickets.swap_remove(at).0.settle(Outcome::exported());
                }
                Op::Flushed if !model.asked.is_empty() => {
                    queue.flushed(&model.asked.remove(0), Ok(()));
                }
                Op::Settle(_) | Op::Flushed => {}
            }
            model.check();
        }
        // Nothing ends any more: what is there goes, by wakes and ticks alone.
        for _ in 0..300 {
            model.run();
            model.tick();
            if !model.tickets.is_empty() {
                model.tickets.remove(0).0.settle(Outcome::exported());
            } else if !model.asked.is_empty() {
                queue.flushed(&model.asked.remove(0), Ok(()));
            }
            model.check();
        }
        let counts = queue.counts();
        prop_assert_eq!((counts.waiting, counts.exporting), (0, 0));
        for flush in flushes {
            prop_assert_eq!(queue.wait_for_flush(flush, Instant::now()), Ok(()));
        }
        queue.begin_shutdown(Instant::now());
        model.run();
        prop_assert!(model.stopped);
    }
}
