//! The response's head: what it says of the body to come.

use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;

use crate::{
    exchange::{guard::Guard, outcome::Outcome},
    server::ResponseBody,
};

/// Puts the body into a wrapper that holds the guard; ends the span here where the head is all
/// there is.
pub(super) fn wrap<B: Body>(
    response: Response<B>,
    guard: Option<Guard>,
) -> Response<ResponseBody<B>> {
    let Some(mut guard) = guard else {
        return response.map(|body| ResponseBody::new(body, None));
    };
    let status_code = response.status();
    let length = content_length(response.headers()).or_else(|| response.body().size_hint().exact());
    guard.head(status_code, length);
    if guard.expects_head_only() || has_no_content(status_code) || response.body().is_end_stream() {
        guard.end(Outcome::Complete);
        return response.map(|body| ResponseBody::new(body, None));
    }
    response.map(|body| ResponseBody::new(body, Some(guard)))
}

/// Whether a response with this status [never has content], whatever its body holds.
///
/// [never has content]: https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
fn has_no_content(status_code: StatusCode) -> bool {
    status_code.is_informational()
        || matches!(status_code, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
