//! What all processors of a signal are asked to do together: one deadline for the lot.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use opentelemetry_sdk::error::OTelSdkError;

use crate::sdk::{
    error::Failure,
    export::item::Item,
    processor::member::{Job, Member, Stages},
};

/// Longer than anyone waits, and still a time that a clock can show.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The processors of one signal.
///
/// The SDK's provider would give each of its processors the whole timeout, one after the other, and
/// wait for one that does not keep it. Here they share it, and one that blocks is left behind.
#[derive(Debug)]
pub(crate) struct Jobs<S> {
    members: Vec<Member<S>>,
    /// Whether the processors that may block are to be left alone: they are shut down.
    closed: AtomicBool,
    state: Mutex<State>,
    /// Told whenever a job is done.
    done: Condvar,
}

/// What a member is given before it does the job.
pub(crate) type Before<S> = Arc<dyn Fn(&Member<S>) + Send + Sync>;

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

impl<S: Stages> Jobs<S> {
    pub(in crate::sdk) fn new(members: Vec<Member<S>>) -> Arc<Self> {
        let (closed, state, done) = (AtomicBool::new(false), Mutex::default(), Condvar::new());
        Arc::new(Self { members, closed, state, done })
    }

    pub(in crate::sdk) fn members(&self) -> &[Member<S>] {
        &self.members
    }

    /// Those that take what comes now.
    pub(in crate::sdk) fn open(&self) -> impl Iterator<Item = &Member<S>> {
        let closed = self.closed.load(Ordering::Relaxed);
        self.members.iter().filter(move |member| !closed || !member.stage.is_blocking())
    }

    /// Has what has come exported, and says what could not be since the last report. A shutdown
    /// does the same, so one that has begun is waited for; after it there is nothing left to flush.
    /// `timeout` is what the caller has called it, and may have begun before.
    pub(in crate::sdk) fn flush(
        self: &Arc<Self>,
        timeout: Duration,
        left: Duration,
        before: impl FnOnce() -> Option<Before<S>>,
    ) -> Vec<Failure> {
        let deadline = Instant::now() + left.min(LONGEST);
        if self.is_shut_down() {
            return self.wait_for_shutdown(timeout, deadline);
        }
        self.job(Job::Flush, before().as_ref(), timeout, deadline)
    }

    /// Shuts the processors down, and says what did not make it. Who asks a second time waits for
    /// the first, and is told nothing.
    pub(in crate::sdk) fn shutdown(
        self: &Arc<Self>,
        timeout: Duration,
        left: Duration,
        before: impl FnOnce() -> Option<Before<S>>,
    ) -> Vec<Failure> {
        let deadline = Instant::now() + left.min(LONGEST);
        {
            let mut state = self.lock();
            if state.shutdown != Shutdown::Not {
                drop(state);
                return self.wait_for_shutdown(timeout, deadline);
            }
            state.shutdown = Shutdown::Begun;
        }
        let failures = self.job(Job::Shutdown, before().as_ref(), timeout, deadline);
        self.lock().shutdown = Shutdown::Done;
        self.done.notify_all();
        failures
    }

    fn wait_for_shutdown(&self, timeout: Duration, deadline: Instant) -> Vec<Failure> {
        let begun = |state: &State| state.shutdown == Shutdown::Begun;
        if !begun(&self.wait_while(deadline, begun)) {
            return Vec::new();
        }
        vec![late::<S>(format!("another shutdown was not done within {timeout:?}"))]
    }

    /// Whether a shutdown has begun.
    pub(in crate::sdk) fn is_shut_down(&self) -> bool {
        self.lock().shutdown != Shutdown::Not
    }

    /// Has all do the job at once, and waits until the deadline for the lot.
    fn job(
        self: &Arc<Self>,
        job: Job,
        before: Option<&Before<S>>,
        timeout: Duration,
        deadline: Instant,
    ) -> Vec<Failure> {
        let mut begun = Vec::with_capacity(self.members.len());
        for member in &self.members {
            if let (Some(_), Some(before)) = (member.stage.batch(), before) {
                before(member);
            }
            begun.push(member.stage.begin(job, deadline));
        }
        let mut failures = self.job_of_others(job, before, timeout, deadline);
        for (member, begun) in self.members.iter().zip(begun) {
            failures.extend(member.wait(job, begun, timeout, deadline));
        }
        failures
    }

    /// Has those that may block do the job, each on a thread of its own: what one waits for does
    /// not take from another's time, and none keeps the caller longer than the deadline.
    fn job_of_others(
        self: &Arc<Self>,
        job: Job,
        before: Option<&Before<S>>,
        timeout: Duration,
        deadline: Instant,
    ) -> Vec<Failure> {
        let others = self.members.iter().enumerate();
        let others = others.filter(|(_, member)| member.stage.is_blocking());
        let mut waiting: Vec<usize> = others.map(|(at, _)| at).collect();
        if waiting.is_empty() {
            return Vec::new();
        }
        {
            let mut state = self.wait_while(deadline, |state| state.busy);
            if state.busy && job == Job::Flush {
                return vec![late::<S>(format!("another flush was not done within {timeout:?}"))];
            }
            state.busy = true;
        }
        // What comes now is too late for them.
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
        let (done, results) = mpsc::channel();
        for &at in &waiting {
            let (jobs, finished, before) = (Arc::clone(self), done.clone(), before.cloned());
            let work = move || {
                let member = &jobs.members[at];
                if let Some(before) = before {
                    before(member);
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

/// What there was to wait for has taken too long.
fn late<S: Stages>(reason: String) -> Failure {
    Failure { items: <S::Item as Item>::ITEMS, lost: 0, timed_out: true, reason }
}
