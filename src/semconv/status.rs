//! Which status codes are errors, on which side.

use http::StatusCode;

/// Whether a *server* that answers `status_code` [has failed]: with 5xx it has, with 4xx the
/// client has.
///
/// [has failed]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
pub(crate) fn is_server_error(status_code: StatusCode) -> bool {
    // The codes above 599 mean nothing in HTTP, so nothing says they are fine.
    status_code.as_u16() >= 500
}

/// Whether a *client* that was answered `status_code` [has failed]: whoever's fault it is, it has
/// not got what it asked for.
///
/// [has failed]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
pub(crate) fn is_client_error(status_code: StatusCode) -> bool {
    status_code.as_u16() >= 400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_fails_with_5xx_alone_and_a_client_with_4xx_too() {
        for (status_code, server, client) in [
            (100, false, false),
            (101, false, false),
            (200, false, false),
            (304, false, false),
            (399, false, false),
            (400, false, true),
            (404, false, true),
            (429, false, true),
            (499, false, true),
            (500, true, true),
            (503, true, true),
            (599, true, true),
            (600, true, true),
            (999, true, true),
        ] {
            let status_code = StatusCode::from_u16(status_code).unwrap();
            assert_eq!(is_server_error(status_code), server, "{status_code}");
            assert_eq!(is_client_error(status_code), client, "{status_code}");
        }
    }
}
