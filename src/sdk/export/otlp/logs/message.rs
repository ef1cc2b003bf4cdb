//! A log record as a message.

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use crate::sdk::logs::record::LogData;

/// With what was left out counted, which the SDK's own records have no place for.
pub(super) fn message(data: &LogData) -> LogRecord {
    let mut message = LogRecord::from(&data.record);
    message.dropped_attributes_count = data.dropped_attributes;
    if is_made_up(&message.event_name) {
        message.event_name.clear();
    }
    message
}

/// What it is filed under: its target, which is a logger's name to OpenTelemetry.
pub(super) fn scope(data: &LogData) -> InstrumentationScope {
    let scope = &data.scope;
    let Some(target) = data.record.target() else {
        return scope.clone();
    };
    let mut of_target =
        InstrumentationScope::builder(target.clone()).with_attributes(scope.attributes().cloned());
    if let Some(version) = scope.version() {
        of_target = of_target.with_version(version.to_owned());
    }
    if let Some(schema_url) = scope.schema_url() {
        of_target = of_target.with_schema_url(schema_url.to_owned());
    }
    of_target.build()
}

/// Whether `tracing` has made the name of file and line, because nobody has given one. It [is to
/// say][name] what kind of event it is, and would be another with every line that is added above.
///
/// [name]: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-eventname
fn is_made_up(name: &str) -> bool {
    let line = name.strip_prefix("event ").and_then(|place| Some(place.rsplit_once(':')?.1));
    line.is_some_and(|line| !line.is_empty() && line.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_given_is_none() {
        for made_up in ["event src/main.rs:12", "event C:\\src\\main.rs:1"] {
            assert!(is_made_up(made_up), "{made_up}");
        }
        for given in ["", "event", "event:1", "event order placed", "event order:", "order.placed"]
        {
            assert!(!is_made_up(given), "{given}");
        }
    }
}
