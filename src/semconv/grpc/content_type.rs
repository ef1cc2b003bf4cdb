//! The content type, which is what a call is known by.

use http::{HeaderMap, header};

/// How the messages of a call are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are; the status is in HTTP's trailers.
    Http2,
    /// gRPC-Web: the trailers are the last message.
    Web,
    /// gRPC-Web, and all of it in base64.
    WebText,
}

impl Encoding {
    /// That of the message with these headers, if it is [one of gRPC's][content].
    ///
    /// [content]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let rest = after(value, b"application/grpc")?;
        [(&b"-web-text"[..], Self::WebText), (b"-web", Self::Web), (b"", Self::Http2)]
            .into_iter()
            .find_map(|(kind, encoding)| {
                after(rest, kind).filter(|rest| ends(rest)).map(|_| encoding)
            })
    }
}

/// What comes after a prefix in any case, as a media type may be written.
fn after<'a>(value: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether only the messages' format can follow, or a parameter.
fn ends(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        use Encoding::{Http2, Web, WebText};
        for (content_type, encoding) in [
            (&b"application/grpc"[..], Some(Http2)),
            (b"application/grpc+proto", Some(Http2)),
            (b"application/grpc+json", Some(Http2)),
            (b"Application/gRPC+proto", Some(Http2)),
            (b"application/grpc; charset=utf-8", Some(Http2)),
            (b"application/grpc ;a=b", Some(Http2)),
            (b"application/grpc-web", Some(Web)),
            (b"application/grpc-web+proto", Some(Web)),
            (b"application/grpc-web-text", Some(WebText)),
            (b"application/grpc-web-text+proto", Some(WebText)),
            (b"", None),
            (b"application/grp", None),
            (b"application/grpcx", None),
            (b"application/grpc-webby", None),
            (b"application/grpc-web-textual", None),
            (b"application/grpc-\xff", None),
            (b" application/grpc", None),
            (b"application/json", None),
            (b"text/application/grpc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(content_type).unwrap());
            let shown = String::from_utf8_lossy(content_type);
            assert_eq!(Encoding::of(&headers), encoding, "{shown:?}");
        }
        assert_eq!(Encoding::of(&HeaderMap::new()), None);
    }
}
