//! From a batch to the bodies of requests.

use bytes::Bytes;
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
use opentelemetry_sdk::{Resource, trace::SpanData};
use prost::Message;

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::json;
use crate::sdk::export::otlp::{compression::Compression, protocol::Protocol};

/// The largest request [that is sent][limit], of one span, before it is compressed.
///
/// [limit]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
const LARGEST: usize = 64 * 1024 * 1024;
/// What receivers [take by default][http] over HTTP. Of what is larger, each half is sent by itself.
///
/// [http]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
const LARGE_HTTP: usize = 20 * 1024 * 1024;
/// The same [over gRPC][grpc].
///
/// [grpc]: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-request
const LARGE_GRPC: usize = 4 * 1024 * 1024;

/// Makes requests of spans of one resource.
pub(super) struct Encoder {
    resource: ResourceAttributesWithSchema,
    protocol: Protocol,
    compression: Compression,
    large: usize,
}

/// Some of a batch's spans, all of them as a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) spans: u64,
    /// The request's body, or why there is none.
    pub(super) body: Result<Bytes, String>,
}

impl Encoder {
    pub(super) fn new(resource: &Resource, protocol: Protocol, compression: Compression) -> Self {
        let large = if protocol == Protocol::Grpc { LARGE_GRPC } else { LARGE_HTTP };
        Self { resource: resource.into(), protocol, compression, large }
    }

    /// The batch in as few requests as it takes.
    pub(super) fn parts(&self, batch: Vec<SpanData>) -> Vec<Part> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        #[cfg_attr(not(feature = "otlp-json"), expect(unused_mut))]
        let mut request = ExportTraceServiceRequest { resource_spans };
        #[cfg(feature = "otlp-json")]
        if self.protocol == Protocol::HttpJson {
            json::without_odd_numbers(&mut request);
        }
        let mut parts = Vec::with_capacity(1);
        self.encode(request, &mut parts);
        parts
    }

    fn encode(&self, request: ExportTraceServiceRequest, parts: &mut Vec<Part>) {
        let spans = spans(&request);
        let large = if spans > 1 { self.large } else { LARGEST };
        // Protobuf knows its size before there is any.
        let known = if self.protocol == Protocol::HttpJson { 0 } else { request.encoded_len() };
        let encoded = if known > large { Ok(Vec::new()) } else { self.bytes(&request, known) };
        let size = encoded.as_ref().map_or(0, Vec::len).max(known);
        if size <= large {
            let body = encoded.and_then(|bytes| self.compressed(bytes)).map(Bytes::from);
            parts.push(Part { spans, body });
        } else if spans > 1 {
            let (first, second) = halves(request);
            self.encode(first, parts);
            self.encode(second, parts);
        } else {
            let mebibytes = size.div_ceil(1024 * 1024);
            parts
                .push(Part { spans, body: Err(format!("a span of {mebibytes} MiB is too large")) });
        }
    }

    fn bytes(&self, request: &ExportTraceServiceRequest, known: usize) -> Result<Vec<u8>, String> {
        #[cfg(feature = "otlp-json")]
        if self.protocol == Protocol::HttpJson {
            return serde_json::to_vec(request).map_err(|error| format!("not encoded: {error}"));
        }
        let mut bytes = Vec::with_capacity(known);
        // It grows, so it cannot be too small.
        request.encode(&mut bytes).map_err(|error| format!("not encoded: {error}"))?;
        Ok(bytes)
    }

    /// Over HTTP; a message of gRPC is compressed where it is framed.
    fn compressed(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.protocol == Protocol::Grpc {
            return Ok(bytes);
        }
        match self.compression {
            Compression::None => Ok(bytes),
            #[cfg(feature = "gzip")]
            Compression::Gzip => gzip(&bytes).map_err(|error| format!("not compressed: {error}")),
            #[cfg(feature = "zstd")]
            Compression::Zstd => zstd::bulk::compress(&bytes, zstd::DEFAULT_COMPRESSION_LEVEL)
                .map_err(|error| format!("not compressed: {error}")),
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            _ => Ok(bytes),
        }
    }
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
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
