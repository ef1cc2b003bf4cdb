//! One processor for all: each span to each, one deadline for the lot.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context,
    trace::{Span as _, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};

use crate::sdk::{
    error::Failure,
    processor::{
        batch::processor::Batch,
        member::{Job, Member, Settings},
        tail::{TailSamplingCounts, holder::Holder},
        value_length::ValueLength,
    },
};

/// How long a flush may take that the provider is asked for, which has no timeout to give.
const FLUSH: Duration = Duration::from_secs(5);
/// Longer than anyone waits, and still a time that a clock can show.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// Hands spans on to several processors, in order.
///
/// The SDK's provider would give each of its processors the whole timeout, one after the other, and
/// wait for one that does not keep it. Here they share it, and one that blocks is left behind.
#[derive(Debug)]
pub(crate) struct FanOut {
    members: Vec<Member>,
    /// What stands in front of exporters and console.
    tail: Option<Holder>,
    /// Whether the processors that may block are to be left alone: they are shut down.
    closed: AtomicBool,
    state: Mutex<State>,
    /// Told whenever a job is done.
    done: Condvar,
}

/// Of processors that are not ours one job is asked at a time: the SDK's batch processor can take
/// only so many, and makes an error of a flush that meets a shutdown.
#[derive(Debug, Default)]
struct State {
    busy: bool,
    shutdown: Shutdown,
}

#[derive(Debug, Default, PartialEq)]
enum Shutdown {
    #[default]
    Not,
    Begun,
    Done,
}

impl FanOut {
    pub(crate) fn new(members: Vec<Member>, tail: Option<Holder>) -> Arc<Self> {
        Arc::new(Self {
            members,
            tail,
            closed: AtomicBool::new(false),
            state: Mutex::default(),
            done: Condvar::new(),
        })
    }

    /// What tail sampling has done so far, if there is any.
    pub(crate) fn tail_counts(&self) -> Option<TailSamplingCounts> {
        self.tail.as_ref().map(Holder::counts)
    }

    /// What its processors are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The same, with the settings of each.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &Settings)> {
        self.members.iter().map(|member| (member.name.as_str(), &member.settings))
    }

    /// Those of its processors that are an exporter with a queue.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.members.iter().filter_map(Member::batch)
    }

    /// Whether one of them is not ours, and may do anything with a span that starts.
    pub(crate) fn has_foreign(&self) -> bool {
        self.members.iter().any(Member::is_foreign)
    }

    /// Has what has ended exported, and says what could not be since the last report. A shutdown
    /// does the same, so one that has begun is waited for; after it there is nothing left to flush.
    pub(crate) fn flush(self: &Arc<Self>, timeout: Duration) -> Vec<Failure> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        if self.is_shut_down() {
            return self.wait_for_shutdown(timeout, deadline);
        }
        let released = self.tail.as_ref().map_or_else(Vec::new, Holder::age);
        self.job(Job::Flush, released, timeout, deadline)
    }

    /// Shuts the processors down, and says what did not make it. Who asks a second time waits for
    /// the first, and is told nothing.
    pub(crate) fn shutdown(self: &Arc<Self>, timeout: Duration) -> Vec<Failure> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        {
            let mut state = self.lock();
            if state.shutdown != Shutdown::Not {
                drop(state);
                return self.wait_for_shutdown(timeout, deadline);
            }
            state.shutdown = Shutdown::Begun;
        }
        let released = self.tail.as_ref().map_or_else(Vec::new, Holder::close);
        let failures = self.job(Job::Shutdown, released, timeout, deadline);
        self.lock().shutdown = Shutdown::Done;
        self.done.notify_all();
        failures
    }

    fn wait_for_shutdown(&self, timeout: Duration, deadline: Instant) -> Vec<Failure> {
        let begun = |state: &State| state.shutdown == Shutdown::Begun;
        if !begun(&self.wait_while(deadline, begun)) {
            return Vec::new();
        }
        vec![Failure {
            spans: 0,
            timed_out: true,
            reason: format!("another shutdown was not done within {timeout:?}"),
        }]
    }

    /// Whether a shutdown has begun.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.lock().shutdown != Shutdown::Not
    }

    /// Has all do the job at once, after they have got what tail sampling has released, and waits
    /// until the deadline for the lot. `timeout` is what the caller has called it.
    fn job(
        self: &Arc<Self>,
        job: Job,
        released: Vec<SpanData>,
        timeout: Duration,
        deadline: Instant,
    ) -> Vec<Failure> {
        let mut flushes = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let batch = member.batch();
            if let (Some(_), false) = (batch, released.is_empty()) {
                member.keep(released.clone());
            }
            flushes.push(match job {
                Job::Flush => batch.and_then(Batch::begin_flush),
                Job::Shutdown => {
                    batch.inspect(|batch| batch.begin_shutdown(deadline));
                    None
                }
            });
        }
        let mut failures = self.job_of_others(job, released, timeout, deadline);
        for (member, flush) in self.members.iter().zip(flushes) {
            failures.extend(member.wait(job, flush, timeout, deadline));
        }
        failures
    }

    /// Has those that may block do the job, each on a thread of its own: what one waits for does
    /// not take from another's time, and none keeps the caller longer than the deadline.
    fn job_of_others(
        self: &Arc<Self>,
        job: Job,
        released: Vec<SpanData>,
        timeout: Duration,
        deadline: Instant,
    ) -> Vec<Failure> {
        let others = self.members.iter().enumerate().filter(|(_, member)| member.is_blocking());
        let mut waiting: Vec<usize> = others.map(|(at, _)| at).collect();
        if waiting.is_empty() {
            return Vec::new();
        }
        {
            let mut state = self.wait_while(deadline, |state| state.busy);
            if state.busy && job == Job::Flush {
                return vec![Failure {
                    spans: 0,
                    timed_out: true,
                    reason: format!("another flush was not done within {timeout:?}"),
                }];
            }
            state.busy = true;
        }
        // Spans that end now are too late for them.
        self.closed.fetch_or(job == Job::Shutdown, Ordering::Relaxed);

        let mut failures = Vec::new();
        // A shutdown waits for its turn: it is the last that is asked.
        waiting.retain(|&at| {
            let member = &self.members[at];
            let is_asked = job == Job::Shutdown || !member.is_at_work();
            if !is_asked {
                failures.push(member.report_at_work());
            }
            is_asked
        });
        let left = deadline.saturating_duration_since(Instant::now());
        let released = Arc::new(released);
        let (done, results) = mpsc::channel();
        for &at in &waiting {
            let (fan_out, finished, spans) =
                (Arc::clone(self), done.clone(), Arc::clone(&released));
            let work = move || {
                let member = &fan_out.members[at];
                if !spans.is_empty() {
                    member.keep(spans.to_vec());
                }
                // When the deadline has passed, nobody listens any more.
                let _ = finished.send((at, member.does(job, left)));
            };
            // A thread that cannot be had is a deadline that cannot be kept.
            if thread::Builder::new().spawn(work).is_err() {
                let _ = done.send((at, self.members[at].does(job, left)));
            }
        }
        drop(done);

        while !waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, result)) = results.recv_timeout(left) else {
                break;
            };
            waiting.retain(|&other| other != at);
            failures.extend(self.members[at].report(timeout, result));
        }
        for at in waiting {
            let late = Err(OTelSdkError::Timeout(timeout));
            failures.extend(self.members[at].report(timeout, late));
        }
        self.lock().busy = false;
        self.done.notify_all();
        failures
    }

    /// Hands on what tail sampling has kept.
    fn keep(&self, spans: Vec<SpanData>) {
        if !spans.is_empty() {
            let behind = self.members.iter().filter(|member| !member.is_foreign());
            each(behind, spans, Member::keep);
        }
    }

    /// Those that take spans now.
    fn open(&self) -> impl Iterator<Item = &Member> {
        let closed = self.closed.load(Ordering::Relaxed);
        self.members.iter().filter(move |member| !closed || !member.is_blocking())
    }

    fn wait_while(
        &self,
        deadline: Instant,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.done.wait_timeout_while(self.lock(), left, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one processor that the provider knows.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) fan_out: Arc<FanOut>,
    /// What all of them see has no text that is longer.
    pub(crate) value_length: Option<ValueLength>,
}

impl SpanProcessor for Handle {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // First, since a processor may end the span.
        if let Some(tail) = &self.fan_out.tail {
            self.fan_out.keep(tail.start(span.span_context(), cx.span().span_context()));
        }
        for member in self.fan_out.open() {
            member.start(span, cx);
        }
    }

    fn on_end(&self, mut span: SpanData) {
        if let Some(value_length) = self.value_length {
            value_length.cut(&mut span);
        }
        let Some(tail) = self.fan_out.tail.as_ref().filter(|_| !span.span_context.is_sampled())
        else {
            each(self.fan_out.open(), span, Member::end);
            return;
        };
        for member in self.fan_out.open().filter(|member| member.is_foreign()) {
            member.end(span.clone());
        }
        self.fan_out.keep(tail.end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        as_result(&self.fan_out.flush(FLUSH))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        as_result(&self.fan_out.shutdown(timeout))
    }

    // The members have been told before they were shared.
    fn set_resource(&mut self, _: &Resource) {}
}

/// Gives each the same; the last one needs no copy of it.
fn each<'a, T: Clone>(
    members: impl Iterator<Item = &'a Member>,
    given: T,
    give: impl Fn(&Member, T),
) {
    let mut members = members.peekable();
    while let Some(member) = members.next() {
        if members.peek().is_none() {
            give(member, given);
            return;
        }
        give(member, given.clone());
    }
}

/// For whoever asks the provider itself.
fn as_result(failures: &[Failure]) -> OTelSdkResult {
    if failures.is_empty() {
        return Ok(());
    }
    let reasons: Vec<&str> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    Err(OTelSdkError::InternalFailure(reasons.join("; ")))
}
