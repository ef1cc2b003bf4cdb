//! The attribute keys, as the conventions spell them, and who may write them when.

use crate::semconv::legacy;

pub(crate) const CLIENT_ADDRESS: &str = "client.address";
pub(crate) const CLIENT_PORT: &str = "client.port";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const EXCEPTION: &str = "exception";
pub(crate) const EXCEPTION_MESSAGE: &str = "exception.message";
pub(crate) const EXCEPTION_TYPE: &str = "exception.type";
pub(crate) const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(crate) const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub(crate) const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
pub(crate) const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub(crate) const HTTP_ROUTE: &str = "http.route";
pub(crate) const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
pub(crate) const NETWORK_LOCAL_PORT: &str = "network.local.port";
pub(crate) const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub(crate) const NETWORK_PEER_PORT: &str = "network.peer.port";
pub(crate) const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
pub(crate) const NETWORK_TRANSPORT: &str = "network.transport";
pub(crate) const RPC_METHOD: &str = "rpc.method";
pub(crate) const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
pub(crate) const RPC_STATUS_CODE: &str = "rpc.status_code";
pub(crate) const RPC_SYSTEM_NAME: &str = "rpc.system.name";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const URL_FULL: &str = "url.full";
pub(crate) const URL_PATH: &str = "url.path";
pub(crate) const URL_QUERY: &str = "url.query";
pub(crate) const URL_SCHEME: &str = "url.scheme";
pub(crate) const URL_TEMPLATE: &str = "url.template";
pub(crate) const USER_AGENT_ORIGINAL: &str = "user_agent.original";
pub(crate) const USER_AGENT_SYNTHETIC_TYPE: &str = "user_agent.synthetic.type";

/// What stands for a value that is [none of the known ones][other]: a method, a kind of error.
///
/// [other]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
pub(crate) const OTHER: &str = "_OTHER";

/// Before the name of a request's header that is captured.
pub(crate) const REQUEST_HEADER: &str = "http.request.header.";
/// Before the name of a response's header that is captured.
pub(crate) const RESPONSE_HEADER: &str = "http.response.header.";
/// Before the key of a call's metadata that is captured.
pub(crate) const RPC_REQUEST_METADATA: &str = "rpc.request.metadata.";
/// Before the key of a call's metadata that is captured, whether it came with the head or with the
/// trailers.
pub(crate) const RPC_RESPONSE_METADATA: &str = "rpc.response.metadata.";

/// What [`RPC_STATUS_CODE`] was called until version 1.44 of the conventions.
pub(crate) const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";

/// How long the service took to answer, in seconds, where the span goes on until the response has
/// ended. The conventions have no name for it, so it has ours.
pub(crate) const TIME_TO_HEAD: &str = "tower_telemetry.time_to_head";

/// What a span has before it starts, since a sampler [may look at it][sampling].
///
/// [sampling]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
const BEFORE_START: [&str; 13] = [
    CLIENT_ADDRESS,
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_REQUEST_RESEND_COUNT,
    SERVER_ADDRESS,
    SERVER_PORT,
    URL_FULL,
    URL_PATH,
    URL_QUERY,
    URL_SCHEME,
    URL_TEMPLATE,
    USER_AGENT_ORIGINAL,
    USER_AGENT_SYNTHETIC_TYPE,
];

/// What comes once the span records.
const LATE: [&str; 12] = [
    CLIENT_PORT,
    ERROR_TYPE,
    HTTP_REQUEST_BODY_SIZE,
    HTTP_RESPONSE_BODY_SIZE,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    NETWORK_LOCAL_ADDRESS,
    NETWORK_LOCAL_PORT,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_VERSION,
    NETWORK_TRANSPORT,
];

/// The same, of the span of a gRPC call.
const BEFORE_CALL: [&str; 5] =
    [RPC_METHOD, RPC_METHOD_ORIGINAL, RPC_SYSTEM_NAME, SERVER_ADDRESS, SERVER_PORT];

const LATE_IN_CALL: [&str; 9] = [
    ERROR_TYPE,
    HTTP_RESPONSE_STATUS_CODE,
    NETWORK_LOCAL_ADDRESS,
    NETWORK_LOCAL_PORT,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    NETWORK_TRANSPORT,
    RPC_RESPONSE_STATUS_CODE,
    RPC_STATUS_CODE,
];

/// Whose conventions a span follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convention {
    Http,
    Rpc,
}

impl Convention {
    /// Whether a layer writes `key` after the span's start, or may do so under an old name.
    pub(crate) fn is_written_late(self, key: &str) -> bool {
        let of_convention = match self {
            Self::Http => {
                LATE.contains(&key)
                    || key.starts_with(RESPONSE_HEADER)
                    || [legacy::TARGET, legacy::URL, legacy::HOST].contains(&key)
                    || legacy::RENAMED.iter().any(|(_, old)| *old == key)
            }
            Self::Rpc => LATE_IN_CALL.contains(&key) || key.starts_with(RPC_RESPONSE_METADATA),
        };
        of_convention || key == TIME_TO_HEAD
    }

    /// Whether a layer writes `key` at all.
    pub(crate) fn is_ours(self, key: &str) -> bool {
        let before_start = match self {
            Self::Http => BEFORE_START.contains(&key) || key.starts_with(REQUEST_HEADER),
            Self::Rpc => BEFORE_CALL.contains(&key) || key.starts_with(RPC_REQUEST_METADATA),
        };
        before_start || self.is_written_late(key)
    }
}
