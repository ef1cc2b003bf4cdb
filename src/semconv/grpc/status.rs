//! The status of a call: one of seventeen, and which of them are errors.

use http::{HeaderMap, StatusCode};

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u8);

/// By code, as [gRPC spells them][codes].
///
/// [codes]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Status {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const DATA_LOSS: Self = Self(15);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    /// The status that `headers` or trailers [say][trailers]. What is no code that there is means
    /// as much as [unknown].
    ///
    /// [trailers]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    /// [unknown]: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let digits = headers.get("grpc-status")?.as_bytes();
        Some(match *digits {
            [digit @ b'0'..=b'9'] => Self(digit - b'0'),
            [b'1', digit @ b'0'..=b'6'] => Self(10 + digit - b'0'),
            _ => Self::UNKNOWN,
        })
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        (usize::from(code) < NAMES.len()).then_some(Self(code))
    }

    pub(crate) fn code(self) -> u8 {
        self.0
    }

    /// What a response [without a status][mapping] is taken for: somebody on the way has answered,
    /// or the server does not know what a call is.
    ///
    /// [mapping]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    pub(crate) fn of_http(status_code: StatusCode) -> Self {
        match status_code.as_u16() {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Whether a *server* that gives this status [has failed][server].
    ///
    /// [server]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server
    pub(crate) fn is_server_error(self) -> bool {
        matches!(
            self,
            Self::UNKNOWN
                | Self::DEADLINE_EXCEEDED
                | Self::UNIMPLEMENTED
                | Self::INTERNAL
                | Self::UNAVAILABLE
                | Self::DATA_LOSS
        )
    }

    /// Whether a *client* that gets this status [has failed][client].
    ///
    /// [client]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
    pub(crate) fn is_client_error(self) -> bool {
        self != Self::OK
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(value: &[u8]) -> Option<Status> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_bytes(value).unwrap());
        Status::of(&headers)
    }

    #[test]
    fn the_code_is_what_tonic_reads() {
        for code in 0..=255_u8 {
            let text = code.to_string();
            let tonics = tonic::Code::from_bytes(text.as_bytes());
            let ours = of(text.as_bytes()).unwrap();
            assert_eq!(i32::from(ours.code()), tonics as i32, "{text}");
            assert_eq!(ours.name().replace('_', ""), format!("{tonics:?}").to_uppercase());
        }
        for text in ["", " 0", "+0", "00", "01", "0x1", "OK", "-1", "1\u{e9}"] {
            assert_eq!(of(text.as_bytes()), Some(Status::UNKNOWN), "{text:?}");
        }
        assert_eq!(Status::of(&HeaderMap::new()), None);
        assert_eq!(Status::from_code(16), Some(Status::UNAUTHENTICATED));
        assert_eq!(Status::from_code(17), None);
    }

    #[test]
    fn a_server_fails_with_six_and_a_client_with_all_but_one() {
        let all = || (0..17).map(|code| Status::from_code(code).unwrap());
        let of_servers: Vec<_> =
            all().filter(|status| status.is_server_error()).map(Status::name).collect();
        assert_eq!(
            of_servers,
            [
                "UNKNOWN",
                "DEADLINE_EXCEEDED",
                "UNIMPLEMENTED",
                "INTERNAL",
                "UNAVAILABLE",
                "DATA_LOSS"
            ]
        );
        let fine: Vec<_> =
            all().filter(|status| !status.is_client_error()).map(Status::name).collect();
        assert_eq!(fine, ["OK"]);
    }

    #[test]
    fn what_only_http_says_is_taken_for_a_status() {
        for (status_code, name) in [
            (200, "UNKNOWN"),
            (204, "UNKNOWN"),
            (302, "UNKNOWN"),
            (400, "INTERNAL"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "UNIMPLEMENTED"),
            (405, "UNKNOWN"),
            (415, "UNKNOWN"),
            (429, "UNAVAILABLE"),
            (500, "UNKNOWN"),
            (502, "UNAVAILABLE"),
            (503, "UNAVAILABLE"),
            (504, "UNAVAILABLE"),
        ] {
            let status_code = StatusCode::from_u16(status_code).unwrap();
            assert_eq!(Status::of_http(status_code).name(), name, "{status_code}");
        }
    }
}
