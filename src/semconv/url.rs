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

/// The port that a URL of this scheme [means][default] where it names none.
///
/// [default]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

/// Writes host and port as a URL has them: an IPv6 address in brackets.
pub(crate) fn push_authority(url: &mut String, host: &str, port: Option<u16>) {
    if host.contains(':') {
        url.extend(["[", host, "]"]);
    } else {
        url.push_str(host);
    }
    if let Some(port) = port {
        url.extend([":", &port.to_string()]);
    }
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
    fn a_port_is_the_schemes_where_none_is_named() {
        assert_eq!(default_port("http"), Some(80));
        assert_eq!(default_port("https"), Some(443));
        assert_eq!(default_port("WSS"), Some(443));
        assert_eq!(default_port("gopher"), None);
    }

    #[test]
    fn an_address_is_written_in_brackets_if_it_has_colons() {
        for (host, port, written) in
            [("host", None, "host"), ("host", Some(1), "host:1"), ("::1", Some(1), "[::1]:1")]
        {
            let mut url = String::new();
            push_authority(&mut url, host, port);
            assert_eq!(url, written);
        }
    }

    #[test]
    fn versions_are_spelled_as_the_conventions_do() {
        assert_eq!(protocol_version(Version::HTTP_10), Some("1.0"));
        assert_eq!(protocol_version(Version::HTTP_11), Some("1.1"));
        assert_eq!(protocol_version(Version::HTTP_2), Some("2"));
        assert_eq!(protocol_version(Version::HTTP_3), Some("3"));
    }
}
