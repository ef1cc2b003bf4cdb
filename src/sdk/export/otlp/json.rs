//! Numbers that JSON does not have.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
};

/// Makes text of attributes that are no finite number. What is written for them otherwise is `null`,
/// and for that a receiver may refuse the whole batch.
pub(super) fn without_odd_numbers(request: &mut ExportTraceServiceRequest) {
    for of_resource in &mut request.resource_spans {
        if let Some(resource) = &mut of_resource.resource {
            all(&mut resource.attributes);
        }
        for of_scope in &mut of_resource.scope_spans {
            if let Some(scope) = &mut of_scope.scope {
                all(&mut scope.attributes);
            }
            for span in &mut of_scope.spans {
                all(&mut span.attributes);
                span.events.iter_mut().for_each(|event| all(&mut event.attributes));
                span.links.iter_mut().for_each(|link| all(&mut link.attributes));
            }
        }
    }
}

fn all(attributes: &mut [KeyValue]) {
    attributes.iter_mut().filter_map(|attribute| attribute.value.as_mut()).for_each(one);
}

fn one(value: &mut AnyValue) {
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
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(one),
        _ => {}
    }
}
