//! One processor for all: each log record to each, one deadline for the lot.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context, InstrumentationScope,
    logs::{LogRecord, Logger, Severity},
    time::now,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogProcessor, SdkLogRecord, SdkLogger},
};

use crate::{
    contained::contained,
    sdk::{
        error::{Failure, as_result},
        logs::{limits::ResolvedLogLimits, record::LogData},
        processor::{
            batch::processor::Batch,
            jobs::Jobs,
            member::{Member, Settings, Stages},
        },
    },
};

/// How long a flush may take that the provider is asked for, which has no timeout to give.
const FLUSH: Duration = Duration::from_secs(5);

/// Hands log records on to several processors, in order.
#[derive(Debug)]
pub(crate) struct LogFanOut {
    jobs: Arc<Jobs<LogStage>>,
}

/// What takes them.
#[derive(Debug)]
pub(crate) enum LogStage {
    /// The user's own. What it changes, those after it see changed.
    Foreign(Box<dyn LogProcessor>),
    /// An exporter with its queue.
    Batch(Box<Batch<LogData>>),
}

impl LogFanOut {
    pub(super) fn new(members: Vec<Member<LogStage>>) -> Arc<Self> {
        Arc::new(Self { jobs: Jobs::new(members) })
    }

    /// What its processors are called, with the settings of each.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &Settings)> {
        self.jobs.members().iter().map(|member| (member.name.as_str(), &member.settings))
    }

    /// Those of its processors that are an exporter with a queue.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch<LogData>> {
        self.jobs.members().iter().filter_map(|member| member.stage.batch())
    }

    /// Has what was emitted exported, and says what could not be since the last report.
    /// `timeout` is what the caller has called it, and so much is `left` of it.
    pub(crate) fn flush(&self, timeout: Duration, left: Duration) -> Vec<Failure> {
        self.jobs.flush(timeout, left, || None)
    }

    /// Shuts the processors down, and says what did not make it.
    pub(crate) fn shutdown(&self, timeout: Duration, left: Duration) -> Vec<Failure> {
        self.jobs.shutdown(timeout, left, || None)
    }
}

impl Stages for LogStage {
    type Item = LogData;

    fn batch(&self) -> Option<&Batch<LogData>> {
        match self {
            Self::Foreign(_) => None,
            Self::Batch(batch) => Some(batch),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self {
            Self::Foreign(processor) => processor.force_flush(),
            Self::Batch(_) => Ok(()),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self {
            Self::Foreign(processor) => processor.shutdown_with_timeout(timeout),
            Self::Batch(_) => Ok(()),
        }
    }
}

/// The one processor that the provider knows.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) fan_out: Arc<LogFanOut>,
    pub(super) limits: ResolvedLogLimits,
    /// Makes records that say nothing, for want of another way to have one.
    pub(super) blank: SdkLogger,
}

impl LogProcessor for Handle {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let dropped_attributes = self.limits.apply(record, || self.blank.create_log_record());
        let mut members = self.fan_out.jobs.open().peekable();
        while let Some(member) = members.next() {
            match &member.stage {
                LogStage::Foreign(processor) => {
                    // What it logs is not to come back to it.
                    let _suppressed = Context::enter_telemetry_suppressed_scope();
                    contained(|| processor.emit(record, scope));
                }
                LogStage::Batch(batch) => {
                    // What is encoded has a time at which it was seen, and a processor may have
                    // given another record for this one.
                    if record.observed_timestamp().is_none() {
                        record.set_observed_timestamp(now());
                    }
                    // The last one needs no copy.
                    let record = if members.peek().is_none() {
                        std::mem::replace(record, self.blank.create_log_record())
                    } else {
                        record.clone()
                    };
                    let scope = scope.clone();
                    batch.push(LogData { record, scope, dropped_attributes });
                }
            }
        }
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.fan_out.jobs.open().any(|member| match &member.stage {
            LogStage::Foreign(processor) => {
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                contained(|| processor.event_enabled(level, target, name)).unwrap_or(false)
            }
            LogStage::Batch(_) => true,
        })
    }

    fn force_flush(&self) -> OTelSdkResult {
        as_result(&self.fan_out.flush(FLUSH, FLUSH))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        as_result(&self.fan_out.shutdown(timeout, timeout))
    }

    // The members have been told before they were shared.
    fn set_resource(&mut self, _: &Resource) {}
}
