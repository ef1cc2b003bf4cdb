//! Log records in JSON: the whole request at once.

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::{
    tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};

use crate::sdk::{
    export::otlp::{
        encode::{Encoded, LARGEST, too_large},
        logs::message::{message, scope},
        numbers::{name_if_odd, name_odd_numbers},
    },
    logs::record::LogData,
};

/// The batch in as few requests as it takes, if each is not to be larger than `large`.
pub(super) fn encode(
    batch: &[LogData],
    resource: &ResourceAttributesWithSchema,
    large: usize,
) -> Vec<Encoded> {
    let mut encoded = Vec::with_capacity(1);
    encode_all(batch, resource, large, &mut encoded);
    encoded
}

fn encode_all(
    batch: &[LogData],
    resource: &ResourceAttributesWithSchema,
    large: usize,
    encoded: &mut Vec<Encoded>,
) {
    let items = u64::try_from(batch.len()).unwrap_or(u64::MAX);
    if items == 0 {
        return;
    }
    let most = if items > 1 { large } else { LARGEST };
    let request = request(batch, resource);
    let bytes = serde_json::to_vec(&request).map_err(|error| format!("not encoded: {error}"));
    let size = bytes.as_ref().map_or(0, Vec::len);
    if size <= most {
        encoded.push(Encoded { items, bytes });
    } else if items > 1 {
        let (first, second) = batch.split_at(batch.len() / 2);
        encode_all(first, resource, large, encoded);
        encode_all(second, resource, large, encoded);
    } else {
        encoded.push(Encoded { items, bytes: Err(too_large("a log record", size)) });
    }
}

fn request(batch: &[LogData], resource: &ResourceAttributesWithSchema) -> ExportLogsServiceRequest {
    let mut scopes: Vec<(InstrumentationScope, Vec<LogRecord>)> = Vec::new();
    for data in batch {
        let (scope, mut record) = (scope(data), message(data));
        name_odd_numbers(&mut record.attributes);
        record.body.iter_mut().for_each(name_if_odd);
        match scopes.iter_mut().find(|(known, _)| *known == scope) {
            Some((_, records)) => records.push(record),
            None => scopes.push((scope, vec![record])),
        }
    }
    let mut attributes = resource.attributes.0.clone();
    name_odd_numbers(&mut attributes);
    let of_resource = ResourceLogs {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_logs: scopes.into_iter().map(|(scope, records)| of_scope(&scope, records)).collect(),
        schema_url: resource.schema_url.clone().unwrap_or_default(),
    };
    ExportLogsServiceRequest { resource_logs: vec![of_resource] }
}

fn of_scope(scope: &InstrumentationScope, log_records: Vec<LogRecord>) -> ScopeLogs {
    let schema_url = scope.schema_url().map(ToOwned::to_owned).unwrap_or_default();
    let mut scope =
        opentelemetry_proto::tonic::common::v1::InstrumentationScope::from((scope, None));
    name_odd_numbers(&mut scope.attributes);
    ScopeLogs { scope: Some(scope), log_records, schema_url }
}

#[cfg(test)]
mod tests {
    use opentelemetry::logs::{AnyValue, LogRecord as _};
    use opentelemetry_sdk::Resource as SdkResource;

    use super::*;
    use crate::sdk::logs::record::tests::data;

    #[test]
    fn a_batch_that_is_too_large_is_sent_in_halves() {
        let resource = (&SdkResource::builder_empty().build()).into();
        let mut batch: Vec<LogData> = (0..8).map(|_| data("mine")).collect();
        batch[0].record.set_body("x".repeat(LARGEST).into());
        let encoded = encode(&batch, &resource, 1000);
        assert!(encoded.len() > 3, "{}", encoded.len());
        let error = encoded[0].bytes.as_ref().unwrap_err();
        assert_eq!((encoded[0].items, &**error), (1, "a log record of 65 MiB is too large"));
        let items: u64 = encoded.iter().map(|it| it.items).sum();
        assert_eq!(items, 8);
        for it in &encoded[1..] {
            assert!(it.bytes.as_ref().unwrap().len() <= 1000 || it.items == 1);
        }
        assert!(encode(&[], &resource, 1000).is_empty());
    }

    #[test]
    fn numbers_that_json_does_not_have_are_named() {
        let resource = (&SdkResource::builder_empty().build()).into();
        let mut data = data("mine");
        data.record.set_body(f64::NAN.into());
        data.record.add_attribute("list", AnyValue::ListAny(Box::new(vec![f64::INFINITY.into()])));
        let [Encoded { bytes: Ok(bytes), .. }] = &encode(&[data], &resource, LARGEST)[..] else {
            panic!("one request was to come");
        };
        let json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["body"]["stringValue"], "NaN");
        let listed = &record["attributes"][0]["value"]["arrayValue"]["values"][0];
        assert_eq!(listed["stringValue"], "Infinity");
    }
}
