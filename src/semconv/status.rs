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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_fails_with_5xx_alone() {
        for (status_code, error) in [
            (100, false),
            (101, false),
            (200, false),
            (304, false),
            (400, false),
            (404, false),
            (429, false),
            (499, false),
            (500, true),
            (503, true),
            (599, true),
            (600, true),
            (999, true),
        ] {
            let status_code = StatusCode::from_u16(status_code).unwrap();
            assert_eq!(is_server_error(status_code), error, "{status_code}");
        }
    }
}
