//! The bodies of requests, and how large they may be.

use crate::sdk::export::otlp::protocol::Protocol;

/// The largest request [that is sent][limit], of what cannot be divided, before it is compressed.
///
/// [limit]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
pub(super) const LARGEST: usize = 64 * 1024 * 1024;
/// What receivers [take by default][http] over HTTP. Of what is larger, each half is sent by
/// itself.
///
/// [http]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
const LARGE_HTTP: usize = 20 * 1024 * 1024;
/// The same [over gRPC][grpc].
///
/// [grpc]: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-request
const LARGE_GRPC: usize = 4 * 1024 * 1024;

/// A request that is not compressed yet, or why there is none for these items.
pub(super) struct Encoded {
    /// Spans, data points or log records.
    pub(super) items: u64,
    pub(super) bytes: Result<Vec<u8>, String>,
}

/// What a request is not to be larger than, if it can be divided.
pub(super) fn large(protocol: Protocol) -> usize {
    if protocol == Protocol::Grpc { LARGE_GRPC } else { LARGE_HTTP }
}

/// Why there is no request for `what`, a span for one, if it has that size.
pub(super) fn too_large(what: &str, size: usize) -> String {
    format!("{what} of {} MiB is too large", size.div_ceil(1024 * 1024))
}
