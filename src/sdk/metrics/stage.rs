//! The readers that a provider has, as they are flushed and shut down.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{InstrumentKind, Pipeline, Temporality, data::ResourceMetrics, reader::MetricReader},
};

use crate::{
    contained::contained,
    sdk::{
        error::as_result,
        metrics::{collected::Collected, reader::Reader},
        processor::{
            batch::processor::Batch,
            jobs::Jobs,
            member::{Job, Stages},
        },
    },
};

/// A reader, and whose it is.
pub(crate) enum Stage {
    /// It has an exporter, and blocks nobody.
    Ours(Arc<Reader>),
    /// The user's own. It may take any time.
    Foreign(Arc<dyn MetricReader>),
}

impl Stages for Stage {
    type Item = Collected;

    fn batch(&self) -> Option<&Batch<Collected>> {
        match self {
            Self::Ours(reader) => Some(reader.batch()),
            Self::Foreign(_) => None,
        }
    }

    fn begin(&self, job: Job, deadline: Instant) -> Option<u64> {
        match (self, job) {
            (Self::Ours(reader), Job::Flush) => reader.begin_flush(),
            (Self::Ours(reader), Job::Shutdown) => {
                reader.begin_shutdown(deadline);
                None
            }
            (Self::Foreign(_), _) => None,
        }
    }

    fn left(&self, job: Job, begun: Option<u64>, deadline: Instant) -> Option<u64> {
        match (self, job, begun) {
            (Self::Ours(reader), Job::Shutdown, _) => reader.wait_for_shutdown(deadline).err(),
            (Self::Ours(reader), Job::Flush, Some(number)) => {
                reader.wait_for_flush(number, deadline).err()
            }
            _ => None,
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self {
            Self::Ours(_) => Ok(()),
            Self::Foreign(reader) => reader.force_flush(),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self {
            Self::Ours(_) => Ok(()),
            Self::Foreign(reader) => reader.shutdown_with_timeout(timeout),
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(reader) => reader.fmt(f),
            Self::Foreign(reader) => reader.fmt(f),
        }
    }
}

/// What the provider knows of a reader.
///
/// Who lets go of the provider last has it shut down, and it would wait for a reader without a
/// limit, and panic with it. So that is a job as any other, and done once.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) jobs: Arc<Jobs<Stage>>,
    pub(super) at: usize,
}

impl Handle {
    fn stage(&self) -> &Stage {
        &self.jobs.members()[self.at].stage
    }
}

impl MetricReader for Handle {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        match self.stage() {
            Stage::Ours(reader) => reader.register(pipeline),
            Stage::Foreign(reader) => reader.register_pipeline(pipeline),
        }
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        match self.stage() {
            Stage::Ours(reader) => reader.collect_now(metrics),
            Stage::Foreign(reader) => reader.collect(metrics),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self.stage() {
            Stage::Ours(reader) => reader.flush(),
            Stage::Foreign(reader) => reader.force_flush(),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        as_result(&self.jobs.shutdown(timeout, timeout, || None))
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        match self.stage() {
            Stage::Ours(reader) => reader.temporality(kind),
            // Instruments are made where requests are served.
            Stage::Foreign(reader) => contained(|| reader.temporality(kind)).unwrap_or_default(),
        }
    }
}
