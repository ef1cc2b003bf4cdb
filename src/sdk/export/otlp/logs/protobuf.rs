//! Log records in protobuf.

use std::mem;

use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use prost::Message;

use crate::sdk::{
    export::otlp::{
        body::Body,
        encode::{Encoded, LARGEST, too_large},
        logs::message::{message, scope},
    },
    logs::record::LogData,
};

/// The batch in as few requests as it takes, if each is not to be larger than `large`.
pub(super) fn encode(
    batch: Vec<LogData>,
    resource: &ResourceAttributesWithSchema,
    large: usize,
) -> Vec<Encoded> {
    let mut encoded = Vec::with_capacity(1);
    let mut body = Body::new(resource);
    for data in batch {
        let (scope, message) = (scope(&data), message(&data));
        drop(data);
        let size = message.encoded_len();
        if size > LARGEST {
            encoded.push(Encoded { items: 1, bytes: Err(too_large("a log record", size)) });
            continue;
        }
        if body.is_full(&scope, size, large) {
            encoded.push(mem::replace(&mut body, Body::new(resource)).finish());
        }
        body.push(&scope, &message, size);
    }
    if body.items > 0 {
        encoded.push(body.finish());
    }
    encoded
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        KeyValue,
        logs::{AnyValue, LogRecord as _, Severity},
    };
    use opentelemetry_proto::{
        tonic::{collector::logs::v1::ExportLogsServiceRequest, logs::v1::LogRecord},
        transform::logs::tonic::group_logs_by_resource_and_scope,
    };
    use opentelemetry_sdk::{Resource, logs::LogBatch};

    use super::*;
    use crate::sdk::logs::record::tests::data;

    /// Records of two scopes and three targets, and their resource.
    fn batch(records: usize) -> (Vec<LogData>, ResourceAttributesWithSchema) {
        let record = |at: usize| {
            let mut data = data(["mine", "yours"][at % 2]);
            let target = [None, Some("shop"), Some("cart")][at % 3];
            target.into_iter().for_each(|target| data.record.set_target(target));
            data.record.set_event_name("order.placed");
            data.record.set_severity_number(Severity::Warn2);
            data.record.set_severity_text("WARN");
            data.record.set_body(AnyValue::from(format!("order {at}")));
            data.record.add_attribute("bytes", AnyValue::from(&[0_u8, 255][..]));
            let at = i64::try_from(at).unwrap();
            data.record.add_attribute("list", AnyValue::ListAny(Box::new(vec![at.into()])));
            data
        };
        let resource = Resource::builder_empty()
            .with_schema_url([KeyValue::new("service.name", "shop")], "https://schema.test/2")
            .build();
        ((0..records).map(record).collect(), (&resource).into())
    }

    /// The records of a request by their scopes' names, in an order of its own.
    fn sorted(request: ExportLogsServiceRequest) -> Vec<(String, Vec<LogRecord>)> {
        let of_resources = request.resource_logs.into_iter();
        let mut scopes: Vec<_> = of_resources
            .flat_map(|of_resource| of_resource.scope_logs)
            .map(|it| (it.scope.unwrap().name, it.log_records))
            .collect();
        scopes.sort_by(|one, other| one.0.cmp(&other.0));
        scopes
    }

    #[test]
    fn the_request_says_what_the_sdks_own_would_say() {
        for records in [1, 2, 3, 100] {
            let (batch, resource) = batch(records);
            let borrowed: Vec<_> = batch.iter().map(|data| (&data.record, &data.scope)).collect();
            let resource_logs =
                group_logs_by_resource_and_scope(&LogBatch::new(&borrowed), &resource);
            let whole = ExportLogsServiceRequest { resource_logs };
            let [encoded] = &encode(batch, &resource, LARGEST)[..] else {
                panic!("one request was to come");
            };
            assert_eq!(encoded.items, records as u64);
            let bytes = encoded.bytes.as_ref().unwrap();
            let decoded = ExportLogsServiceRequest::decode(&bytes[..]).unwrap();
            assert_eq!(decoded.resource_logs[0].resource, whole.resource_logs[0].resource);
            assert_eq!(decoded.resource_logs[0].schema_url, "https://schema.test/2");
            assert_eq!(decoded.encode_to_vec(), *bytes);
            assert_eq!(sorted(decoded), sorted(whole));
        }
        let (_, resource) = batch(0);
        assert!(encode(Vec::new(), &resource, LARGEST).is_empty());
    }

    #[test]
    fn a_batch_that_is_too_large_is_several_and_none_of_its_records_is_missing() {
        let (batch, resource) = batch(100);
        let encoded = encode(batch, &resource, 1000);
        assert!(encoded.len() > 5);
        let mut records = 0;
        for Encoded { items, bytes } in encoded {
            let bytes = bytes.unwrap();
            assert!(bytes.len() <= 1000 || items == 1, "{} bytes", bytes.len());
            let request = ExportLogsServiceRequest::decode(&bytes[..]).unwrap();
            let received: usize = sorted(request).iter().map(|(_, records)| records.len()).sum();
            assert_eq!(received as u64, items);
            records += received;
        }
        assert_eq!(records, 100);
    }

    #[test]
    fn a_record_that_is_larger_than_any_request_takes_no_other_along() {
        let (mut batch, resource) = batch(3);
        batch[1].record.set_body("x".repeat(LARGEST + 1).into());
        let encoded = encode(batch, &resource, LARGEST);
        let records: Vec<(u64, Option<&str>)> = encoded
            .iter()
            .map(|it| (it.items, it.bytes.as_ref().err().map(String::as_str)))
            .collect();
        assert_eq!(records, [(1, Some("a log record of 65 MiB is too large")), (2, None)]);
    }
}
