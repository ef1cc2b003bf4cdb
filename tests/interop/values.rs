//! Of which kind an attribute's value is, or a body.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};

pub(crate) fn kind(value: Option<&AnyValue>) -> &'static str {
    match inner(value) {
        Some(Value::StringValue(_)) => "string",
        Some(Value::BoolValue(_)) => "bool",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::BytesValue(_)) => "bytes",
        Some(Value::KvlistValue(_)) => "map",
        Some(Value::ArrayValue(array)) => match inner(array.values.first()) {
            Some(Value::StringValue(_)) => "array of string",
            Some(Value::BoolValue(_)) => "array of bool",
            Some(Value::IntValue(_)) => "array of int",
            Some(Value::DoubleValue(_)) => "array of double",
            Some(_) => "array of another type",
            None => "empty array",
        },
        _ => "another type",
    }
}

fn inner(value: Option<&AnyValue>) -> Option<&Value> {
    value.and_then(|value| value.value.as_ref())
}
