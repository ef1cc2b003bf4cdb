//! How much a log record may hold.

use opentelemetry::logs::{AnyValue, LogRecord};
use opentelemetry_sdk::logs::SdkLogRecord;

use crate::sdk::{env::Env, limits::limit, processor::value_length::ValueLength};

/// What the limit is unless somebody says otherwise.
const DEFAULT: u32 = 128;

/// What the code has said of the limits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogLimits {
    pub(super) attribute_count: Option<u32>,
    /// Outside: whether it was set. Inside: whether there is one.
    pub(super) attribute_value_length: Option<Option<u32>>,
}

impl LogLimits {
    /// With what the [environment] says where the code says nothing. The SDK has no such limits.
    ///
    /// [environment]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#logrecord-limits
    pub(super) fn resolve(self, env: &mut Env) -> ResolvedLogLimits {
        let attribute_count = self.attribute_count.unwrap_or_else(|| {
            let general = limit(env, "OTEL_ATTRIBUTE_COUNT_LIMIT");
            limit(env, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT").or(general).unwrap_or(DEFAULT)
        });
        let value_length = self.attribute_value_length.unwrap_or_else(|| {
            let general = limit(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
            limit(env, "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(general)
        });
        ResolvedLogLimits { attribute_count, value_length: value_length.map(ValueLength) }
    }
}

/// The limits in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedLogLimits {
    attribute_count: u32,
    value_length: Option<ValueLength>,
}

impl ResolvedLogLimits {
    /// Leaves out what is too much and cuts what is too long, and gives how many attributes were
    /// left out. A record lets go of nothing, so it is made anew of a `blank` one, if it has to be.
    pub(super) fn apply(
        self,
        record: &mut SdkLogRecord,
        blank: impl FnOnce() -> SdkLogRecord,
    ) -> u32 {
        let most = usize::try_from(self.attribute_count).unwrap_or(usize::MAX);
        let too_many = record.attributes_iter().count().saturating_sub(most);
        let is_too_long = |(_, value): &(_, AnyValue)| self.is_too_long(value);
        if too_many > 0 || record.attributes_iter().any(is_too_long) {
            *record = self.within(record, most, blank());
        }
        u32::try_from(too_many).unwrap_or(u32::MAX)
    }

    pub(super) fn describe(self) -> String {
        let texts = match self.value_length {
            None => "texts of any length".to_owned(),
            Some(most) => format!("texts of {} characters", most.0),
        };
        format!("{} attributes a log record; {texts}", self.attribute_count)
    }

    fn within(self, record: &SdkLogRecord, most: usize, mut within: SdkLogRecord) -> SdkLogRecord {
        record.event_name().into_iter().for_each(|name| within.set_event_name(name));
        record.target().into_iter().for_each(|target| within.set_target(target.clone()));
        record.timestamp().into_iter().for_each(|time| within.set_timestamp(time));
        record
            .observed_timestamp()
            .into_iter()
            .for_each(|time| within.set_observed_timestamp(time));
        record.severity_text().into_iter().for_each(|text| within.set_severity_text(text));
        record.severity_number().into_iter().for_each(|number| within.set_severity_number(number));
        record.body().into_iter().for_each(|body| within.set_body(body.clone()));
        if let Some(of) = record.trace_context() {
            within.set_trace_context(of.trace_id, of.span_id, of.trace_flags);
        }
        for (key, value) in record.attributes_iter().take(most) {
            within.add_attribute(key.clone(), self.cut(value));
        }
        within
    }

    fn is_too_long(self, value: &AnyValue) -> bool {
        let Some(length) = self.value_length else {
            return false;
        };
        match value {
            AnyValue::String(text) => length.end_of(text.as_str()).is_some(),
            AnyValue::Bytes(bytes) => bytes.len() > length.most(),
            AnyValue::ListAny(values) => values.iter().any(|value| self.is_too_long(value)),
            AnyValue::Map(values) => values.values().any(|value| self.is_too_long(value)),
            _ => false,
        }
    }

    /// [Also inside][values] of lists and maps, and bytes as texts are.
    ///
    /// [values]: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits
    fn cut(self, value: &AnyValue) -> AnyValue {
        let Some(length) = self.value_length else {
            return value.clone();
        };
        match value {
            AnyValue::String(text) => match length.end_of(text.as_str()) {
                Some(end) => text.as_str()[..end].to_owned().into(),
                None => value.clone(),
            },
            AnyValue::Bytes(bytes) => {
                AnyValue::Bytes(Box::new(bytes[..bytes.len().min(length.most())].to_vec()))
            }
            AnyValue::ListAny(values) => {
                AnyValue::ListAny(Box::new(values.iter().map(|value| self.cut(value)).collect()))
            }
            AnyValue::Map(values) => {
                let values = values.iter().map(|(key, value)| (key.clone(), self.cut(value)));
                AnyValue::Map(Box::new(values.collect()))
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::SystemTime};

    use opentelemetry::{Key, SpanId, TraceFlags, TraceId, logs::Severity};

    use super::*;
    use crate::sdk::logs::record::tests::data;

    fn blank() -> SdkLogRecord {
        data("any").record
    }

    fn limits(count: u32, length: Option<u32>) -> ResolvedLogLimits {
        ResolvedLogLimits { attribute_count: count, value_length: length.map(ValueLength) }
    }

    fn of(code: LogLimits, variables: &[(&str, &str)]) -> ResolvedLogLimits {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        code.resolve(&mut Env::fixed(variables.collect()))
    }

    #[test]
    fn a_records_own_variables_win_over_the_general_ones_and_code_over_both() {
        let none = LogLimits::default();
        assert_eq!(of(none, &[]), limits(128, None));
        let general =
            [("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "70")];
        assert_eq!(of(none, &general), limits(7, Some(70)));
        let own = [
            ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "8"),
            ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "80"),
        ];
        assert_eq!(of(none, &[general, own].concat()), limits(8, Some(80)));
        let code = LogLimits { attribute_count: Some(0), attribute_value_length: Some(None) };
        assert_eq!(of(code, &[general, own].concat()), limits(0, None));
    }

    #[test]
    fn all_of_a_record_is_kept_but_what_is_beyond() {
        let text = |text: &'static str| AnyValue::from(text);
        let list = |values: Vec<AnyValue>| AnyValue::ListAny(Box::new(values));
        let map = |value| AnyValue::Map(Box::new(HashMap::from([(Key::new("key"), value)])));
        let mut record = blank();
        record.set_event_name("name");
        record.set_target("target");
        record.set_timestamp(SystemTime::UNIX_EPOCH);
        record.set_severity_text("WARN");
        record.set_severity_number(Severity::Warn);
        record.set_body(text("as long as it is"));
        record.set_trace_context(TraceId::from(1), SpanId::from(2), Some(TraceFlags::SAMPLED));
        let mut expected = record.clone();
        for (key, value, cut) in [
            ("text", text("crème brûlée"), text("crèm")),
            ("short", text("crèm"), text("crèm")),
            ("bytes", AnyValue::from(&b"12345"[..]), AnyValue::from(&b"1234"[..])),
            ("list", list(vec![text("12345"), 1.into()]), list(vec![text("1234"), 1.into()])),
            ("map", map(text("12345")), map(text("1234"))),
            ("number", 12345.into(), 12345.into()),
        ] {
            record.add_attribute(key, value);
            expected.add_attribute(key, cut);
        }
        record.add_attribute("one", 1);
        record.add_attribute("two", 2);
        assert_eq!(limits(6, Some(4)).apply(&mut record, blank), 2);
        assert_eq!(record, expected);
        // And nothing is made anew for what is within.
        let panics = || panic!("no blank record is needed");
        assert_eq!(limits(6, Some(4)).apply(&mut record, panics), 0);
        assert_eq!(record, expected);
    }
}
