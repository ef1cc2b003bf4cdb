//! The response's head: what it says of the body to come.

use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Body;

use crate::exchange::guard::Guard;

/// Tells the guard of the response's head; it ends the span here where the head is all there is.
pub(crate) fn answered<B: Body>(response: Response<B>, guard: &mut Guard) -> Response<B> {
    let (parts, body) = response.into_parts();
    let mut head = Response::from_parts(parts, ());
    let length = content_length(head.headers()).or_else(|| body.size_hint().exact());
    guard.head(&mut head, length, body.is_end_stream());
    head.map(|()| body)
}

/// With which status codes a response to `method` [has no content][content], whatever its body
/// holds: a server does not ask for it, and a client finds nothing there.
///
/// [content]: https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
pub(crate) fn ends_with_head(method: &Method) -> fn(StatusCode) -> bool {
    fn never_has_content(status_code: StatusCode) -> bool {
        status_code.is_informational()
            || matches!(status_code, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
    match *method {
        Method::HEAD => |_| true,
        // What follows is the tunnel.
        Method::CONNECT => |status_code| status_code.is_success() || never_has_content(status_code),
        _ => never_has_content,
    }
}

/// How long the body will be, if a header says so.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let digits = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    // `parse` alone would take a sign.
    if digits.bytes().all(|digit| digit.is_ascii_digit()) { digits.parse().ok() } else { None }
}
