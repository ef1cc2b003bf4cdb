//! The scheme, and the protocol's version.

use http::{Uri, Version, uri::Scheme};

/// The [scheme] that the target names. In HTTP/1's origin form it names none: such a request says
/// nothing about encryption.
///
/// [scheme]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
pub(crate) fn scheme(uri: &Uri) -> Option<&'static str> {
    let scheme = uri.scheme()?;
    Some(if *scheme == Scheme::HTTPS { "https" } else { "http" })
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
    fn the_scheme_is_the_targets() {
        assert_eq!(scheme(&Uri::from_static("https://host/")), Some("https"));
        assert_eq!(scheme(&Uri::from_static("http://host/")), Some("http"));
        assert_eq!(scheme(&Uri::from_static("gopher://host/")), Some("http"));
        assert_eq!(scheme(&Uri::from_static("/path")), None);
    }

    #[test]
    fn versions_are_spelled_as_the_conventions_do() {
        assert_eq!(protocol_version(Version::HTTP_10), Some("1.0"));
        assert_eq!(protocol_version(Version::HTTP_11), Some("1.1"));
        assert_eq!(protocol_version(Version::HTTP_2), Some("2"));
        assert_eq!(protocol_version(Version::HTTP_3), Some("3"));
    }
}
