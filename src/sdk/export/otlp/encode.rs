//! From a batch to the bodies of requests.

use bytes::Bytes;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::{Resource, trace::SpanData};

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::json;
use crate::sdk::export::otlp::{compression::Compression, protobuf, protocol::Protocol};

/// The largest request [that is sent][limit], of one span, before it is compressed.
///
/// [limit]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
pub(super) const LARGEST: usize = 64 * 1024 * 1024;
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

/// A request that is not compressed yet, or why there is none for these spans.
pub(super) struct Encoded {
    pub(super) spans: u64,
    pub(super) bytes: Result<Vec<u8>, String>,
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
        let encoded = match self.protocol {
            #[cfg(feature = "otlp-json")]
            Protocol::HttpJson => json::encode(batch, &self.resource, self.large),
            _ => protobuf::encode(batch, &self.resource, self.large),
        };
        let part = |Encoded { spans, bytes }| Part {
            spans,
            body: bytes.and_then(|bytes| self.compressed(bytes)).map(Bytes::from),
        };
        encoded.into_iter().map(part).collect()
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

/// Why there is no request for a span of that size.
pub(super) fn too_large(size: usize) -> String {
    format!("a span of {} MiB is too large", size.div_ceil(1024 * 1024))
}
