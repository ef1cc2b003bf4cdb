//! One place that spans go to, and what it does with them.

use std::{
    sync::{Mutex, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};

#[cfg(feature = "console")]
use crate::sdk::{export::ConsoleExporter, processor::tail::printed};
use crate::{
    contained::contained,
    sdk::{
        error::Failure,
        export::item::Item,
        processor::batch::{counts::Fate, processor::Batch},
        text::plain,
    },
};

/// A processor, and what it is called.
#[derive(Debug)]
pub(crate) struct Member<S = Stage> {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    pub(crate) stage: S,
    /// Held by the thread on which it does a job.
    at_work: Mutex<()>,
}

/// The kinds of processors that a signal has.
pub(crate) trait Stages: Send + Sync + 'static {
    type Item: Item;

    fn batch(&self) -> Option<&Batch<Self::Item>>;

    /// Whether it is called on the thread of whoever brings something, and may take any time.
    fn is_blocking(&self) -> bool {
        self.batch().is_none()
    }

    /// Has a queue begin a job, without waiting for it; what it gives is for [`left`](Self::left).
    fn begin(&self, job: Job, deadline: Instant) -> Option<u64> {
        let batch = self.batch()?;
        match job {
            Job::Flush => batch.begin_flush(),
            Job::Shutdown => {
                batch.begin_shutdown(deadline);
                None
            }
        }
    }

    /// How much is left of a queue's job, if it is not done by then.
    fn left(&self, job: Job, begun: Option<u64>, deadline: Instant) -> Option<u64> {
        let batch = self.batch()?;
        match (job, begun) {
            (Job::Flush, Some(flush)) => batch.wait_for_flush(flush, deadline).err(),
            (Job::Flush, None) => None,
            (Job::Shutdown, _) => batch.wait_for_shutdown(deadline).err(),
        }
    }

    /// For those that may block, as all that follows.
    fn force_flush(&self) -> OTelSdkResult;

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult;
}

/// What is to be said of its settings, without secrets.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// What it is, and where it stands if there is tail sampling.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The user's own. It sees every span that records, as soon as it ends.
    Foreign(Box<dyn SpanProcessor>),
    /// An exporter with its queue. It sees what is sampled or kept, and blocks nobody.
    Batch(Box<Batch>),
    /// The console sees the same, and prints what is kept at once as one tree.
    #[cfg(feature = "console")]
    Console(ConsoleExporter),
}

/// What all are asked to do together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Job {
    Flush,
    Shutdown,
}

impl Stage {
    /// What is called on the thread of whoever ends a span, and may take any time.
    fn blocking(&self) -> Option<&dyn SpanProcessor> {
        match self {
            Self::Foreign(processor) => Some(processor.as_ref()),
            Self::Batch(_) => None,
            #[cfg(feature = "console")]
            Self::Console(console) => Some(console),
        }
    }
}

impl Stages for Stage {
    type Item = SpanData;

    fn batch(&self) -> Option<&Batch> {
        match self {
            Self::Batch(batch) => Some(batch),
            _ => None,
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.blocking().map_or(Ok(()), SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.blocking().map_or(Ok(()), |processor| processor.shutdown_with_timeout(timeout))
    }
}

impl Member {
    /// Whether it is not ours, and may do anything with a span that starts.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.stage, Stage::Foreign(_))
    }

    pub(super) fn batch(&self) -> Option<&Batch> {
        self.stage.batch()
    }

    /// When one panics, neither the request whose span it was given nor the others are to suffer.
    pub(super) fn start(&self, span: &mut Span, cx: &Context) {
        if let Some(processor) = self.stage.blocking() {
            contained(|| processor.on_start(span, cx));
        }
    }

    pub(super) fn end(&self, span: SpanData) {
        match &self.stage {
            Stage::Batch(batch) => batch.end(span),
            _ => {
                if let Some(processor) = self.stage.blocking() {
                    contained(|| processor.on_end(span));
                }
            }
        }
    }

    /// Takes spans that tail sampling has held and kept.
    pub(super) fn keep(&self, spans: Vec<SpanData>) {
        match &self.stage {
            Stage::Foreign(_) => {}
            Stage::Batch(batch) => spans.into_iter().for_each(|span| batch.end(span)),
            #[cfg(feature = "console")]
            Stage::Console(console) => {
                contained(|| printed::print(console, spans));
            }
        }
    }
}

impl<S: Stages> Member<S> {
    pub(crate) fn new(name: String, settings: Settings, stage: S) -> Self {
        Self { name, settings, stage, at_work: Mutex::default() }
    }

    /// Whether it is still at a job that was not waited for. To ask it for another flush would be
    /// one more thread that waits.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(self.at_work.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Does the job, which may take longer than it should.
    pub(super) fn does(&self, job: Job, timeout: Duration) -> Result<(), OTelSdkError> {
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let does = || match job {
            Job::Flush => self.stage.force_flush(),
            Job::Shutdown => self.stage.shutdown_with_timeout(timeout),
        };
        contained(does)
            .unwrap_or_else(|| Err(OTelSdkError::InternalFailure("it panicked".to_owned())))
    }

    /// What there is to say of a job that was done, or was not in time.
    pub(super) fn report(&self, timeout: Duration, result: OTelSdkResult) -> Option<Failure> {
        match result {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
            Err(OTelSdkError::Timeout(_)) => {
                Some(self.failure(0, true, &format!("not done within {timeout:?}")))
            }
            Err(error) => Some(self.failure(0, false, &plain(&error))),
        }
    }

    pub(super) fn report_at_work(&self) -> Failure {
        self.failure(0, true, "still at work on what it was asked for before")
    }

    /// Waits for a queue's job until the deadline, and says what of it did not make it.
    pub(super) fn wait(
        &self,
        job: Job,
        begun: Option<u64>,
        timeout: Duration,
        deadline: Instant,
    ) -> Vec<Failure> {
        let Some(batch) = self.stage.batch() else {
            return Vec::new();
        };
        let late = self.stage.left(job, begun, deadline);
        let (lost, complaints) = batch.tell();
        let mut failures: Vec<Failure> = lost
            .into_iter()
            .map(|(fate, items, reason)| self.failure(items, false, &told(fate, &reason)))
            .collect();
        failures.extend(complaints.iter().map(|complaint| self.failure(0, false, complaint)));
        if let Some(left) = late {
            let to_go = match left {
                0 => String::new(),
                _ => format!(", with {} to go", <S::Item as Item>::ITEMS.count(left)),
            };
            // What waits after a flush may still make it.
            let lost = if job == Job::Shutdown { left } else { 0 };
            failures.push(self.failure(lost, true, &format!("not done within {timeout:?}{to_go}")));
        }
        failures
    }

    fn failure(&self, lost: u64, timed_out: bool, reason: &str) -> Failure {
        Failure {
            items: <S::Item as Item>::ITEMS,
            lost,
            timed_out,
            reason: format!("{}: {reason}", self.name),
        }
    }
}

fn told(fate: Fate, reason: &str) -> String {
    match fate {
        Fate::QueueFull | Fate::AfterShutdown => format!("dropped, for {reason}"),
        Fate::Failed(_) => reason.to_owned(),
    }
}
