//! Protobuf, span by span.
//!
//! A batch as a tree of messages is larger than the spans themselves, and to encode it is to measure
//! each message once for every level above it. So each span is made a message, encoded and let go of
//! before the next, which takes three quarters of the instructions (`scripts/cost`); the bytes are
//! the same.

use std::mem;

use opentelemetry::InstrumentationScope;
use opentelemetry_proto::{
    tonic::{
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use opentelemetry_sdk::trace::SpanData;
use prost::{Message, encode_length_delimiter, length_delimiter_len};

use crate::sdk::export::otlp::encode::{Encoded, LARGEST, too_large};

/// Field 1 of a request, field 2 of that, and field 2 of that, messages all three: the first byte of
/// each.
const RESOURCE_SPANS: u8 = 1 << 3 | 2;
const SCOPE_SPANS: u8 = 2 << 3 | 2;
const SPANS: u8 = 2 << 3 | 2;

/// The most that a first byte and a length take.
const FRAME: usize = 1 + 10;

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
        if body.spans > 0 && body.size + framed(size) + body.room_for(&scope) > large {
            encoded.push(mem::replace(&mut body, Body::new(resource)).finish());
        }
        body.push(&scope, &span, size);
    }
    if body.spans > 0 {
        encoded.push(body.finish());
    }
    encoded
}

/// A request in the making, of spans of one resource.
struct Body {
    /// `ResourceSpans.resource`, and what comes after the spans.
    resource: Vec<u8>,
    schema: Vec<u8>,
    scopes: Vec<Scope>,
    spans: u64,
    /// How large it is at most.
    size: usize,
}

/// The spans of one scope, one after the other.
struct Scope {
    of: InstrumentationScope,
    /// `ScopeSpans.scope`, and what comes after the spans.
    scope: Vec<u8>,
    schema: Vec<u8>,
    spans: Vec<u8>,
}

impl Body {
    fn new(resource: &ResourceAttributesWithSchema) -> Self {
        let attributes = resource.attributes.0.clone();
        let of_resource = Resource { attributes, ..Resource::default() };
        let schema_url = resource.schema_url.clone().unwrap_or_default();
        // A message is what its parts are, one after the other.
        let resource = ResourceSpans { resource: Some(of_resource), ..ResourceSpans::default() };
        let schema = ResourceSpans { schema_url, ..ResourceSpans::default() };
        let (resource, schema) = (resource.encode_to_vec(), schema.encode_to_vec());
        let size = resource.len() + schema.len() + FRAME;
        Self { resource, schema, scopes: Vec::new(), spans: 0, size }
    }

    /// How much larger a scope makes it.
    fn room_for(&self, scope: &InstrumentationScope) -> usize {
        if self.scopes.iter().any(|known| known.of == *scope) {
            return 0;
        }
        Scope::new(scope.clone()).size() + FRAME
    }

    fn push(&mut self, scope: &InstrumentationScope, span: &Span, size: usize) {
        let at = self.scopes.iter().position(|known| known.of == *scope).unwrap_or_else(|| {
            let scope = Scope::new(scope.clone());
            self.size += scope.size() + FRAME;
            self.scopes.push(scope);
            self.scopes.len() - 1
        });
        let spans = &mut self.scopes[at].spans;
        spans.reserve(framed(size));
        frame(SPANS, size, spans);
        span.encode_raw(spans);
        self.size += framed(size);
        self.spans += 1;
    }

    /// The whole request.
    fn finish(self) -> Encoded {
        let of_scopes: usize = self.scopes.iter().map(|it| framed(it.size())).sum();
        let size = self.resource.len() + of_scopes + self.schema.len();
        let mut body = Vec::with_capacity(framed(size));
        frame(RESOURCE_SPANS, size, &mut body);
        body.extend(self.resource);
        for scope in self.scopes {
            frame(SCOPE_SPANS, scope.size(), &mut body);
            body.extend(scope.scope);
            body.extend(scope.spans);
            body.extend(scope.schema);
        }
        body.extend(self.schema);
        Encoded { items: self.spans, bytes: Ok(body) }
    }
}

impl Scope {
    fn new(of: InstrumentationScope) -> Self {
        let schema_url = of.schema_url().map(ToOwned::to_owned).unwrap_or_default();
        let scope = ScopeSpans { scope: Some((&of, None).into()), ..ScopeSpans::default() };
        let schema = ScopeSpans { schema_url, ..ScopeSpans::default() };
        let (scope, schema) = (scope.encode_to_vec(), schema.encode_to_vec());
        Self { of, scope, schema, spans: Vec::new() }
    }

    fn size(&self) -> usize {
        self.scope.len() + self.spans.len() + self.schema.len()
    }
}

fn framed(size: usize) -> usize {
    1 + length_delimiter_len(size) + size
}

fn frame(tag: u8, size: usize, to: &mut Vec<u8>) {
    to.push(tag);
    // Room is made where it is lacking, so there is none that it can lack.
    let _ = encode_length_delimiter(size, to);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::{
        KeyValue,
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
