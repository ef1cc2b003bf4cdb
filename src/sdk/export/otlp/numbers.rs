//! Numbers that JSON does not have.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

/// Makes text of attributes that are no finite number. What is written for them otherwise is
/// `null`, and for that a receiver may refuse the whole batch.
pub(super) fn name_odd_numbers(attributes: &mut [KeyValue]) {
    attributes.iter_mut().filter_map(|attribute| attribute.value.as_mut()).for_each(name_if_odd);
}

/// The same of one value.
pub(super) fn name_if_odd(value: &mut AnyValue) {
    match &mut value.value {
        Some(Value::DoubleValue(number)) if !number.is_finite() => {
            // As protobuf's own mapping to JSON spells them.
            let name = match *number {
                f64::INFINITY => "Infinity",
                f64::NEG_INFINITY => "-Infinity",
                _ => "NaN",
            };
            value.value = Some(Value::StringValue(name.to_owned()));
        }
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(name_if_odd),
        Some(Value::KvlistValue(list)) => name_odd_numbers(&mut list.values),
        _ => {}
    }
}
