//! The scheme, and the protocol's version.

use http::{Uri, Version, uri::Scheme};

/// The [scheme] the client used: the target's if it has one, else `http`. A request in HTTP/1's
/// origin form says nothing about encryption.
///
/// [scheme]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
pub(crate) fn scheme(uri: &Uri) -> &'static str {
    if uri.scheme() == Some(&Scheme::HTTPS) { "https" } else { "http" }
}

/// The [version] as the conventions write it: `1.1`, but `2`.
///
/// [version]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_the_targets_or_http() {
        assert_eq!(scheme(&Uri::from_static("https://host/")), "https");
        assert_eq!(scheme(&Uri::from_static("http://host/")), "http");
        assert_eq!(scheme(&Uri::from_static("gopher://host/")), "http");
        assert_eq!(scheme(&Uri::from_static("/path")), "http");
    }

    #[test]
    fn versions_are_spelled_as_the_conventions_do() {
        assert_eq!(protocol_version(Version::HTTP_10), Some("1.0"));
        assert_eq!(protocol_version(Version::HTTP_11), Some("1.1"));
        assert_eq!(protocol_version(Version::HTTP_2), Some("2"));
        assert_eq!(protocol_version(Version::HTTP_3), Some("3"));
    }
}
