//! Spans in protobuf.

use std::mem;

use opentelemetry_proto::{
    tonic::trace::v1::Span, transform::common::tonic::ResourceAttributesWithSchema,
};
use opentelemetry_sdk::trace::SpanData;
use prost::Message;

use crate::sdk::export::otlp::{
    body::Body,
    encode::{Encoded, LARGEST, too_large},
};

/// The batch in as few requests as it takes, if each is not to be larger than `large`.
pub(super) fn encode(
    batch: Vec<SpanData>,
    resource: &ResourceAttributesWithSchema,
    large: usize,
) -> Vec<Encoded> {
    let mut encoded = Vec::with_capacity(1);
    let mut body = Body::new(resource);
    for span in batch {
        let scope = span.instrumentation_scope.clone();
        let span = Span::from(span);
        let size = span.encoded_len();
        if size > LARGEST {
            encoded.push(Encoded { items: 1, bytes: Err(too_large("a span", size)) });
            continue;
        }
        if body.is_full(&scope, size, large) {
            encoded.push(mem::replace(&mut body, Body::new(resource)).finish());
        }
        body.push(&scope, &span, size);
    }
    if body.items > 0 {
        encoded.push(body.finish());
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::{
        InstrumentationScope, KeyValue,
        trace::{Event, Link, SpanContext, SpanKind, Status, Tracer, TracerProvider},
    };
    use opentelemetry_proto::{
        tonic::collector::trace::v1::ExportTraceServiceRequest,
        transform::trace::tonic::group_spans_by_resource_and_scope,
    };
    use opentelemetry_sdk::{
        Resource as SdkResource,
        trace::{InMemorySpanExporter, SdkTracerProvider},
    };

    use super::*;

    /// Spans of three scopes, with and without everything, and their resource.
    fn batch(spans: usize) -> (Vec<SpanData>, ResourceAttributesWithSchema) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let scope = |name: &'static str| InstrumentationScope::builder(name);
        let scopes = [
            scope("bare").build(),
            scope("whole")
                .with_version("1.2.3")
                .with_schema_url("https://schema.test/1")
                .with_attributes([KeyValue::new("at", true)])
                .build(),
            // Another one, for all that its name is the same.
            scope("bare").with_version("2").build(),
        ];
        for at in 0..spans {
            let tracer = provider.tracer_with_scope(scopes[at % 3].clone());
            let mut span = tracer.span_builder(format!("span {at}"));
            if at % 2 == 0 {
                span = span
                    .with_kind(SpanKind::Server)
                    .with_start_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
                    .with_attributes([KeyValue::new("text", "x".repeat(at)), KeyValue::new("n", 1)])
                    .with_events(vec![Event::with_name("event")])
                    .with_links(vec![Link::with_context(SpanContext::NONE)]);
            }
            let mut span = tracer.build(span);
            opentelemetry::trace::Span::set_status(&mut span, Status::error("it failed"));
        }
        let resource = SdkResource::builder_empty()
            .with_schema_url([KeyValue::new("service.name", "shop")], "https://schema.test/2")
            .build();
        (exporter.get_finished_spans().unwrap(), (&resource).into())
    }

    #[test]
    fn the_bytes_are_those_of_the_whole_request() {
        for spans in [1, 2, 3, 100] {
            let (batch, resource) = batch(spans);
            let resource_spans = group_spans_by_resource_and_scope(batch.clone(), &resource);
            let whole = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
            let [encoded] = &encode(batch, &resource, LARGEST)[..] else {
                panic!("one request was to come");
            };
            assert_eq!(encoded.items, spans as u64);
            assert_eq!(encoded.bytes.as_ref().unwrap(), &whole);
        }
        let (_, resource) = batch(0);
        assert!(encode(Vec::new(), &resource, LARGEST).is_empty());
    }

    #[test]
    fn a_batch_that_is_too_large_is_several_and_none_of_its_spans_is_missing() {
        let (batch, resource) = batch(100);
        let mut expected: Vec<String> = batch.iter().map(|span| span.name.to_string()).collect();
        let encoded = encode(batch, &resource, 1000);
        assert!(encoded.len() > 10);
        let mut names = Vec::new();
        for Encoded { items, bytes } in encoded {
            let bytes = bytes.unwrap();
            // A single span may be larger than is wished for.
            assert!(bytes.len() <= 1000 || items == 1, "{} bytes", bytes.len());
            let request = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
            let of_scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            let before = names.len();
            names.extend(of_scopes.flat_map(|it| it.spans).map(|span| span.name));
            assert_eq!((names.len() - before) as u64, items);
        }
        expected.sort();
        names.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_span_that_is_larger_than_any_request_takes_no_other_along() {
        let (mut batch, resource) = batch(3);
        batch[1].attributes.push(KeyValue::new("large", "x".repeat(LARGEST + 1)));
        let encoded = encode(batch, &resource, LARGEST);
        let spans: Vec<(u64, Option<&str>)> = encoded
            .iter()
            .map(|it| (it.items, it.bytes.as_ref().err().map(String::as_str)))
            .collect();
        assert_eq!(spans, [(1, Some("a span of 65 MiB is too large")), (2, None)]);
    }
}
