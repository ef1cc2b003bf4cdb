//! Which responses are streams, whose duration says nothing of how long anybody waits.

use std::{fmt, sync::Arc};

use http::{StatusCode, header};

use crate::{contained::contained, head::ResponseHead};

/// What tells streams from other responses.
#[derive(Clone)]
pub(crate) enum Streams {
    /// Events that a server sends, and what switches to another protocol.
    Known,
    By(Predicate),
}

type Predicate = Arc<dyn Fn(&ResponseHead<'_>) -> bool + Send + Sync>;

impl Streams {
    /// Whether that response is one, to a request of this method. A predicate that panics says no.
    pub(super) fn has(&self, method: Option<&str>, head: &ResponseHead<'_>) -> bool {
        let status_code = head.status_code();
        match self {
            Self::Known => {
                status_code == StatusCode::SWITCHING_PROTOCOLS
                    || method == Some("CONNECT") && status_code.is_success()
                    || has_events(head)
            }
            Self::By(is_stream) => contained(|| is_stream(head)).unwrap_or(false),
        }
    }
}

/// Whether it is an [event stream].
///
/// [event stream]: https://html.spec.whatwg.org/multipage/server-sent-events.html#text/event-stream
fn has_events(head: &ResponseHead<'_>) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let Some(content_type) = head.headers().get(header::CONTENT_TYPE) else {
        return false;
    };
    let content_type = content_type.as_bytes();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(EVENTS)
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known => "known",
            Self::By(_) => "by predicate",
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    #[test]
    fn events_and_upgrades_are_streams_and_what_only_looks_like_them_is_none() {
        for (method, status_code, content_type, is_stream) in [
            ("GET", 200, Some("text/event-stream"), true),
            ("POST", 200, Some("Text/Event-Stream; charset=utf-8"), true),
            ("GET", 200, Some("text/event-streams"), false),
            ("GET", 200, Some("text/plain; a=text/event-stream"), false),
            ("GET", 200, None, false),
            ("GET", 101, None, true),
            ("CONNECT", 200, None, true),
            ("CONNECT", 502, None, false),
        ] {
            let mut response = Response::builder().status(status_code);
            if let Some(content_type) = content_type {
                response = response.header(header::CONTENT_TYPE, content_type);
            }
            let response = response.body(()).unwrap();
            let found = Streams::Known.has(Some(method), &ResponseHead::new(&response));
            assert_eq!(found, is_stream, "{method} {status_code} {content_type:?}");
        }
    }

    #[test]
    fn a_predicate_alone_decides_and_one_that_panics_says_no() {
        let response = Response::builder().status(101).body(()).unwrap();
        let head = ResponseHead::new(&response);
        assert!(Streams::By(Arc::new(|_| true)).has(None, &head));
        assert!(!Streams::By(Arc::new(|_| false)).has(None, &head));
        assert!(!Streams::By(Arc::new(|_| panic!("of the user's"))).has(None, &head));
    }
}
