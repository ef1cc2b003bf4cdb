//! One processor for all: each span to each, one deadline for the lot.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};

use crate::sdk::{
    error::{Failure, count, plain},
    export::ledger::Ledger,
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
    /// What the shutdown has found; the provider, which asks for it, makes text of errors.
    found: Mutex<Vec<Failure>>,
}

/// A processor, and what is known of it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) processor: Box<dyn SpanProcessor>,
    /// The account of its exporter, if it is behind a processor of ours.
    pub(crate) ledger: Option<Arc<Ledger>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Job {
    Flush,
    Shutdown,
}

impl FanOut {
    pub(crate) fn new(mut members: Vec<Member>, resource: &Resource) -> Arc<Self> {
        for member in &mut members {
            member.processor.set_resource(resource);
        }
        Arc::new(Self { members, found: Mutex::default() })
    }

    /// What its processors are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Whether one of them is not ours, and may do anything with a span that starts.
    pub(crate) fn has_foreign(&self) -> bool {
        self.members.iter().any(|member| member.ledger.is_none())
    }

    /// Has what has ended exported, and says what could not be since the last report.
    pub(crate) fn flush(self: &Arc<Self>) -> Vec<Failure> {
        self.all(Job::Flush, FLUSH)
    }

    /// What the shutdown has found.
    pub(crate) fn take_found(&self) -> Vec<Failure> {
        mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the job on all processors at once, each on a thread of its own: what one waits for does
    /// not take from another's time, and none keeps the caller longer than the timeout.
    fn all(self: &Arc<Self>, job: Job, timeout: Duration) -> Vec<Failure> {
        let timeout = timeout.min(LONGEST);
        let deadline = Instant::now() + timeout;
        let (done, results) = mpsc::channel();
        for at in 0..self.members.len() {
            let (fan_out, finished) = (Arc::clone(self), done.clone());
            let work = move || {
                let result = fan_out.members[at].does(job, timeout);
                // When the deadline has passed, nobody listens any more.
                let _ = finished.send((at, result));
            };
            // A thread that cannot be had is a deadline that cannot be kept.
            if thread::Builder::new().spawn(work).is_err() {
                let _ = done.send((at, self.members[at].does(job, timeout)));
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
    fn does(&self, job: Job, timeout: Duration) -> OTelSdkResult {
        let does = || match job {
            Job::Flush => self.processor.force_flush(),
            Job::Shutdown => self.processor.shutdown_with_timeout(timeout),
        };
        catch_unwind(AssertUnwindSafe(does))
            .unwrap_or_else(|_| Err(OTelSdkError::InternalFailure("it panicked".to_owned())))
    }

    fn report(&self, job: Job, timeout: Duration, result: OTelSdkResult) -> Vec<Failure> {
        let Self { name, ledger, .. } = self;
        let mut failures: Vec<Failure> = ledger.iter().filter_map(|ledger| ledger.take()).collect();
        let waiting = ledger.as_ref().map_or(0, |ledger| ledger.unsettled());
        match result {
            Err(OTelSdkError::Timeout(_)) => failures.push(Failure {
                spans: 0,
                timed_out: true,
                reason: match waiting {
                    0 => format!("{name}: not done within {timeout:?}"),
                    _ => {
                        let waiting = count(waiting);
                        format!("{name}: not done within {timeout:?}, with {waiting} to go")
                    }
                },
            }),
            // What the ledger tells is what the processor has made less of.
            Err(error)
                if failures.is_empty() && !matches!(error, OTelSdkError::AlreadyShutdown) =>
            {
                failures.push(Failure {
                    spans: 0,
                    timed_out: false,
                    reason: format!("{name}: {}", plain(&error)),
                });
            }
            _ if job == Job::Shutdown && waiting > 0 => failures.push(Failure {
                spans: waiting,
                timed_out: false,
                reason: format!("{name}: they found the queue full"),
            }),
            _ => {}
        }
        failures
    }
}

/// The one processor that the provider knows.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<FanOut>);

impl SpanProcessor for Handle {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        for member in &self.0.members {
            member.processor.on_start(span, cx);
        }
    }

    fn on_end(&self, span: SpanData) {
        let Some((last, others)) = self.0.members.split_last() else {
            return;
        };
        for member in others {
            member.processor.on_end(span.clone());
        }
        last.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        as_result(&self.0.flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let failures = self.0.all(Job::Shutdown, timeout);
        let result = as_result(&failures);
        *self.0.found.lock().unwrap_or_else(PoisonError::into_inner) = failures;
        result
    }

    // The members have been told before they were shared.
    fn set_resource(&mut self, _: &Resource) {}
}

/// For whoever asks the provider itself.
fn as_result(failures: &[Failure]) -> OTelSdkResult {
    if failures.is_empty() {
        return Ok(());
    }
    let reasons: Vec<&str> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    Err(OTelSdkError::InternalFailure(reasons.join("; ")))
}
