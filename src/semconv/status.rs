//! Which status codes are errors, on which side.

use std::borrow::Cow;

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

/// The code as `error.type` has it. Those of failures are not written out anew each time.
pub(crate) fn text(status_code: StatusCode) -> Cow<'static, str> {
    let at = usize::from(status_code.as_u16()).checked_sub(FIRST).map(|offset| 3 * offset);
    match at.and_then(|at| FAILURES.get(at..at + 3)) {
        Some(text) => text.into(),
        None => status_code.as_str().to_owned().into(),
    }
}

const FIRST: usize = 400;

/// `400401402` and so on, to 599.
static FAILURES: &str = {
    const DIGITS: [u8; 600] = {
        let mut digits = [0; 600];
        let mut code = 0;
        while code < 200 {
            let number = FIRST + code;
            digits[3 * code] = b'0' + (number / 100) as u8;
            digits[3 * code + 1] = b'0' + (number / 10 % 10) as u8;
            digits[3 * code + 2] = b'0' + (number % 10) as u8;
            code += 1;
        }
        digits
    };
    match str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_it_always_is() {
        for code in 100..1000 {
            let status_code = StatusCode::from_u16(code).unwrap();
            let text = text(status_code);
            assert_eq!(text, code.to_string());
            assert_eq!(matches!(text, Cow::Borrowed(_)), (400..600).contains(&code), "{code}");
        }
    }

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
