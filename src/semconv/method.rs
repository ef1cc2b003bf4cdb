//! The request method, folded to a known one.

use http::Method;

/// What a method outside the known ones is recorded as.
pub(crate) const OTHER: &str = "_OTHER";

/// The name under which `method` is recorded: itself if it is [known], [`OTHER`] if not. Case
/// matters, so `get` is not known.
///
/// [known]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes
pub(crate) fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "QUERY" => "QUERY",
        "TRACE" => "TRACE",
        _ => OTHER,
    }
}

/// The method's part of [the span's name]: a stranger's method could be anything, so it is `HTTP`.
///
/// [the span's name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
pub(crate) fn in_span_name(known: &'static str) -> &'static str {
    if known == OTHER { "HTTP" } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_conventions_methods_are_known() {
        for (method, recorded, named) in [
            (&b"GET"[..], "GET", "GET"),
            (b"PATCH", "PATCH", "PATCH"),
            (b"QUERY", "QUERY", "QUERY"),
            (b"get", OTHER, "HTTP"),
            (b"Get", OTHER, "HTTP"),
            (b"PURGE", OTHER, "HTTP"),
            (b"HTTP", OTHER, "HTTP"),
            (b"_OTHER", OTHER, "HTTP"),
        ] {
            let method = known(&Method::from_bytes(method).unwrap());
            assert_eq!((method, in_span_name(method)), (recorded, named));
        }
    }
}
