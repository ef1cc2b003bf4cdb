//! What a telemetry with logs has of them.

use std::sync::Arc;

use opentelemetry_sdk::logs::SdkLoggerProvider;

use crate::sdk::{
    export::item::Items,
    logs::{fan_out::LogFanOut, limits::ResolvedLogLimits},
    processor::batch::settings::Resolved,
};

/// The provider, and what stands behind it.
#[derive(Debug)]
pub(in crate::sdk) struct Logs {
    pub(in crate::sdk) provider: SdkLoggerProvider,
    pub(in crate::sdk) fan_out: Arc<LogFanOut>,
    pub(super) batch: Resolved,
    pub(super) limits: ResolvedLogLimits,
}

impl Logs {
    /// What is in force, but for where they go.
    pub(in crate::sdk) fn describe(&self) -> [String; 2] {
        [self.limits.describe(), self.batch.describe(Items::LogRecords)]
    }
}
