//! One processor for all: each span to each, one deadline for the lot.

use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
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

#[cfg(feature = "console")]
use crate::sdk::{export::ConsoleExporter, processor::tail::printed};
use crate::{
    contained::contained,
    sdk::{
        error::Failure,
        export::ledger::Ledger,
        processor::tail::{TailSamplingCounts, holder::Holder},
        text::{count, plain},
    },
};

/// How long the SDK's batch processor lets a flush take.
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
    /// What stands in front of those that are [behind](Stage::Behind) it.
    tail: Option<Holder>,
    state: Mutex<State>,
    /// Told whenever a job is done.
    done: Condvar,
}

/// One job is done at a time: the SDK's batch processor can take only so many, and makes an error
/// of a flush that meets a shutdown.
#[derive(Debug, Default)]
struct State {
    busy: bool,
    shut_down: bool,
    /// What the shutdown has found; the provider, which asks for it, makes text of errors.
    found: Vec<Failure>,
}

/// A processor, and what is known of it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    /// The account of its exporter, if it is behind a processor of ours.
    pub(crate) ledger: Option<Arc<Ledger>>,
}

/// Where a processor stands, if there is tail sampling.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It sees every span that records, as soon as it ends.
    Raw(Box<dyn SpanProcessor>),
    /// It sees what is sampled or kept.
    Behind(Box<dyn SpanProcessor>),
    /// So does the console, and prints what is kept at once as one tree.
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
}

#[derive(Clone, Copy, PartialEq)]
enum Job {
    Flush,
    Shutdown,
}

impl FanOut {
    pub(crate) fn new(
        mut members: Vec<Member>,
        tail: Option<Holder>,
        resource: &Resource,
    ) -> Arc<Self> {
        for member in &mut members {
            member.set_resource(resource);
        }
        Arc::new(Self { members, tail, state: Mutex::default(), done: Condvar::new() })
    }

    /// What tail sampling has done so far, if there is any.
    pub(crate) fn tail_counts(&self) -> Option<TailSamplingCounts> {
        self.tail.as_ref().map(Holder::counts)
    }

    /// What its processors are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Whether one of them is not ours, and may do anything with a span that starts.
    pub(crate) fn has_foreign(&self) -> bool {
        self.members.iter().any(|member| member.ledger.is_none())
    }

    /// Has what has ended exported, and says what could not be since the last report. After a
    /// shutdown there is nothing left to flush.
    pub(crate) fn flush(self: &Arc<Self>) -> Vec<Failure> {
        let deadline = Instant::now() + FLUSH;
        {
            let mut state = self.wait_while(deadline, |state| state.busy && !state.shut_down);
            if state.shut_down {
                return Vec::new();
            }
            if state.busy {
                return vec![Failure {
                    spans: 0,
                    timed_out: true,
                    reason: format!("another flush was not done within {FLUSH:?}"),
                }];
            }
            state.busy = true;
        }
        let failures = self.all(Job::Flush, FLUSH, deadline);
        self.lock().busy = false;
        self.done.notify_all();
        failures
    }

    /// Shuts the processors down, once a flush that goes on is done or the deadline has passed.
    fn shutdown(self: &Arc<Self>, timeout: Duration) -> OTelSdkResult {
        let deadline = Instant::now() + timeout.min(LONGEST);
        self.wait_while(deadline, |state| state.busy).busy = true;
        let failures = self.all(Job::Shutdown, timeout, deadline);
        let result = as_result(&failures);
        let mut state = self.lock();
        state.busy = false;
        state.shut_down = true;
        state.found = failures;
        drop(state);
        self.done.notify_all();
        result
    }

    /// What the shutdown has found, for the one who has asked for it.
    pub(crate) fn take_found(&self) -> Vec<Failure> {
        mem::take(&mut self.lock().found)
    }

    /// Waits for a shutdown that another has asked for, and who is told what it finds. `timeout` is
    /// what the caller has called it.
    pub(crate) fn wait_for_shutdown(&self, left: Duration, timeout: Duration) -> Vec<Failure> {
        let deadline = Instant::now() + left.min(LONGEST);
        if self.wait_while(deadline, |state| !state.shut_down).shut_down {
            return Vec::new();
        }
        vec![Failure {
            spans: 0,
            timed_out: true,
            reason: format!("another shutdown was not done within {timeout:?}"),
        }]
    }

    /// Hands on what tail sampling has kept.
    fn keep(&self, spans: Vec<SpanData>) {
        if !spans.is_empty() {
            let behind = self.members.iter().filter(|member| !member.is_raw());
            each(behind, spans, Member::keep);
        }
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

    /// Does the job on all processors at once, each on a thread of its own: what one waits for does
    /// not take from another's time, and none keeps the caller longer than the deadline.
    /// `timeout` is what the caller has called it.
    fn all(self: &Arc<Self>, job: Job, timeout: Duration, deadline: Instant) -> Vec<Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        let released = Arc::new(self.tail.as_ref().map_or_else(Vec::new, |tail| match job {
            Job::Flush => tail.age(),
            Job::Shutdown => tail.close(),
        }));
        let (done, results) = mpsc::channel();
        for at in 0..self.members.len() {
            let (fan_out, finished) = (Arc::clone(self), done.clone());
            let spans = Arc::clone(&released);
            let work = move || {
                let result = fan_out.members[at].does(job, &spans, left);
                // When the deadline has passed, nobody listens any more.
                let _ = finished.send((at, result));
            };
            // A thread that cannot be had is a deadline that cannot be kept.
            if thread::Builder::new().spawn(work).is_err() {
                let _ = done.send((at, self.members[at].does(job, &released, left)));
            }
        }
        drop(done);

        let mut failures = Vec::new();
        let mut waiting: Vec<usize> = (0..self.members.len()).collect();
        while !waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, result)) = results.recv_timeout(left) else {
                break;
            };
            waiting.retain(|&other| other != at);
            failures.extend(self.members[at].report(job, timeout, result));
        }
        for at in waiting {
            let late = Err(OTelSdkError::Timeout(timeout));
            failures.extend(self.members[at].report(job, timeout, late));
        }
        failures
    }
}

impl Member {
    fn processor(&self) -> &dyn SpanProcessor {
        match &self.stage {
            Stage::Raw(processor) | Stage::Behind(processor) => processor.as_ref(),
            #[cfg(feature = "console")]
            Stage::Console(console) => console,
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        match &mut self.stage {
            Stage::Raw(processor) | Stage::Behind(processor) => processor.set_resource(resource),
            #[cfg(feature = "console")]
            Stage::Console(console) => SpanProcessor::set_resource(console, resource),
        }
    }

    fn is_raw(&self) -> bool {
        matches!(self.stage, Stage::Raw(_))
    }

    fn end(&self, span: SpanData) {
        contained(|| self.processor().on_end(span));
    }

    /// Takes spans that tail sampling has held and kept.
    fn keep(&self, spans: Vec<SpanData>) {
        match &self.stage {
            Stage::Raw(_) => {}
            Stage::Behind(_) => spans.into_iter().for_each(|span| self.end(span)),
            #[cfg(feature = "console")]
            Stage::Console(console) => {
                contained(|| printed::print(console, spans));
            }
        }
    }

    /// Takes what tail sampling has released for it, and does the job.
    fn does(&self, job: Job, released: &[SpanData], timeout: Duration) -> OTelSdkResult {
        if !released.is_empty() && !self.is_raw() {
            self.keep(released.to_vec());
        }
        let does = || match job {
            Job::Flush => self.processor().force_flush(),
            Job::Shutdown => self.processor().shutdown_with_timeout(timeout),
        };
        contained(does)
            .unwrap_or_else(|| Err(OTelSdkError::InternalFailure("it panicked".to_owned())))
    }

    fn report(&self, job: Job, timeout: Duration, result: OTelSdkResult) -> Vec<Failure> {
        let Self { name, ledger, .. } = self;
        let mut failures: Vec<Failure> = ledger.iter().filter_map(|ledger| ledger.take()).collect();
        let waiting = ledger.as_ref().map_or(0, |ledger| ledger.unsettled());
        // What waits after a shutdown waits for nobody.
        let lost = if job == Job::Shutdown { waiting } else { 0 };
        let (spans, timed_out, reason) = match result {
            Err(OTelSdkError::Timeout(_)) => {
                let to_go = match waiting {
                    0 => String::new(),
                    _ => format!(", with {} to go", count(waiting)),
                };
                (0, true, format!("not done within {timeout:?}{to_go}"))
            }
            Err(OTelSdkError::AlreadyShutdown) | Ok(()) if lost == 0 => return failures,
            Err(OTelSdkError::AlreadyShutdown) | Ok(()) => (lost, false, DROPPED.to_owned()),
            // What the ledger tells is what the processor has made less of.
            Err(_) if lost == 0 && !failures.is_empty() => return failures,
            Err(error) => (lost, false, plain(&error)),
        };
        failures.push(Failure { spans, timed_out, reason: format!("{name}: {reason}") });
        failures
    }
}

/// Why a span that has ended can have got to no exporter. Which it was, the SDK does not say.
const DROPPED: &str =
    "dropped, for the queue was full, the exporter panicked, or they ended during the shutdown";

/// The one processor that the provider knows. When one of the members panics, neither the request
/// whose span it was given nor the other members are to suffer for it.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<FanOut>);

impl SpanProcessor for Handle {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // First, since a processor may end the span.
        if let Some(tail) = &self.0.tail {
            self.0.keep(tail.start(span.span_context(), cx.span().span_context()));
        }
        for member in &self.0.members {
            contained(|| member.processor().on_start(span, cx));
        }
    }

    fn on_end(&self, span: SpanData) {
        let members = &self.0.members;
        let Some(tail) = self.0.tail.as_ref().filter(|_| !span.span_context.is_sampled()) else {
            each(members.iter(), span, Member::end);
            return;
        };
        for member in members.iter().filter(|member| member.is_raw()) {
            member.end(span.clone());
        }
        self.0.keep(tail.end(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        as_result(&self.0.flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown(timeout)
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
