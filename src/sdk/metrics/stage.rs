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

use crate::sdk::{
    metrics::{collected::Collected, reader::Reader},
    processor::{
        batch::processor::Batch,
        member::{Job, Stages},
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

/// The user's reader, of which we have to keep hold to flush it in time.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Arc<dyn MetricReader>);

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
