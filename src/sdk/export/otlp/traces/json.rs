//! JSON: the whole request at once, and numbers that it does not have.

use opentelemetry_proto::{
    tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        trace::v1::{ResourceSpans, ScopeSpans},
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::trace::SpanData;

use crate::sdk::export::otlp::{
    encode::{Encoded, LARGEST, too_large},
    numbers::name_odd_numbers,
};

/// The batch in as few requests as it takes, if each is not to be larger than `large`.
pub(super) fn encode(
    batch: Vec<SpanData>,
    resource: &ResourceAttributesWithSchema,
    large: usize,
) -> Vec<Encoded> {
    let resource_spans = group_spans_by_resource_and_scope(batch, resource);
    let mut request = ExportTraceServiceRequest { resource_spans };
    without_odd_numbers(&mut request);
    let mut encoded = Vec::with_capacity(1);
    encode_all(request, large, &mut encoded);
    encoded
}

fn encode_all(request: ExportTraceServiceRequest, large: usize, encoded: &mut Vec<Encoded>) {
    let spans = spans(&request);
    let most = if spans > 1 { large } else { LARGEST };
    let bytes = serde_json::to_vec(&request).map_err(|error| format!("not encoded: {error}"));
    let size = bytes.as_ref().map_or(0, Vec::len);
    if size <= most {
        encoded.push(Encoded { items: spans, bytes });
    } else if spans > 1 {
        let (first, second) = halves(request);
        encode_all(first, large, encoded);
        encode_all(second, large, encoded);
    } else {
        encoded.push(Encoded { items: spans, bytes: Err(too_large("a span", size)) });
    }
}

fn spans(request: &ExportTraceServiceRequest) -> u64 {
    let of_scopes = request.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
    let spans: usize = of_scopes.map(|of_scope| of_scope.spans.len()).sum();
    u64::try_from(spans).unwrap_or(u64::MAX)
}

/// The first half of a request's spans, and the rest of them.
fn halves(
    request: ExportTraceServiceRequest,
) -> (ExportTraceServiceRequest, ExportTraceServiceRequest) {
    let mut left = usize::try_from(spans(&request) / 2).unwrap_or(usize::MAX);
    let mut first = ExportTraceServiceRequest::default();
    let mut second = ExportTraceServiceRequest::default();
    for mut of_resource in request.resource_spans {
        let mut scopes = (Vec::new(), Vec::new());
        for mut of_scope in of_resource.scope_spans {
            let rest = of_scope.spans.split_off(left.min(of_scope.spans.len()));
            left -= of_scope.spans.len();
            if !rest.is_empty() {
                let (scope, schema_url) = (of_scope.scope.clone(), of_scope.schema_url.clone());
                scopes.1.push(ScopeSpans { scope, spans: rest, schema_url });
            }
            if !of_scope.spans.is_empty() {
                scopes.0.push(of_scope);
            }
        }
        of_resource.scope_spans = Vec::new();
        for (half, scope_spans) in [(&mut first, scopes.0), (&mut second, scopes.1)] {
            if !scope_spans.is_empty() {
                half.resource_spans.push(ResourceSpans { scope_spans, ..of_resource.clone() });
            }
        }
    }
    (first, second)
}

fn without_odd_numbers(request: &mut ExportTraceServiceRequest) {
    for of_resource in &mut request.resource_spans {
        if let Some(resource) = &mut of_resource.resource {
            name_odd_numbers(&mut resource.attributes);
        }
        for of_scope in &mut of_resource.scope_spans {
            if let Some(scope) = &mut of_scope.scope {
                name_odd_numbers(&mut scope.attributes);
            }
            for span in &mut of_scope.spans {
                name_odd_numbers(&mut span.attributes);
                span.events.iter_mut().for_each(|event| name_odd_numbers(&mut event.attributes));
                span.links.iter_mut().for_each(|link| name_odd_numbers(&mut link.attributes));
            }
        }
    }
}
