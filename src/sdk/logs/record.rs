//! A log record on its way to an exporter.

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::logs::SdkLogRecord;

use crate::sdk::export::item::{Item, Items};

/// What an exporter is to know of a record.
#[derive(Clone, Debug)]
pub(crate) struct LogData {
    pub(crate) record: SdkLogRecord,
    pub(crate) scope: InstrumentationScope,
    /// How many attributes the [limits](crate::sdk::logs::limits) have left out.
    #[cfg_attr(
        not(any(feature = "otlp-http", feature = "otlp-grpc")),
        expect(dead_code, reason = "OTLP alone has a place for it")
    )]
    pub(crate) dropped_attributes: u32,
}

impl Item for LogData {
    const ITEMS: Items = Items::LogRecords;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
    use opentelemetry_sdk::logs::SdkLoggerProvider;

    use super::*;

    /// One that says nothing, of this scope.
    pub(crate) fn data(scope: &'static str) -> LogData {
        let logger = SdkLoggerProvider::builder().build().logger(scope);
        let mut record = logger.create_log_record();
        record.set_observed_timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        let scope = InstrumentationScope::builder(scope).build();
        LogData { record, scope, dropped_attributes: 0 }
    }

    #[test]
    fn a_record_has_the_size_that_the_docs_of_batches_say() {
        assert_eq!(size_of::<LogData>(), 544);
    }
}
