//! Which server the client meant: host and port of the request.

use std::net::Ipv6Addr;

use http::{HeaderMap, Uri, header};

/// A name is at most 253 characters; what is longer names no host.
const LONGEST_HOST: usize = 255;

/// Host and port that the request was sent to, [both from the same place][same]: the target's
/// authority (`:authority` in HTTP/2 and 3, the absolute form in HTTP/1) or else the `Host` header.
///
/// The port is there if it is written down; an IPv6 address comes without its brackets. What is
/// no host is none, and so are [two `Host` headers][two].
///
/// [two]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2-6
/// [same]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes
pub(crate) fn server<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<(&'a str, Option<u16>)> {
    match uri.authority() {
        Some(authority) => parse(authority.as_str()),
        None => of_header(headers),
    }
}

/// The same, of the `Host` header alone.
pub(crate) fn of_header(headers: &HeaderMap) -> Option<(&str, Option<u16>)> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, None) = (hosts.next()?, hosts.next()) else {
        return None;
    };
    parse(host.to_str().ok().filter(|_| !host.is_sensitive())?)
}

/// Host and port of an authority, by the same rules wherever it was found.
///
/// `http::uri::Authority` parses this too, but only into a copy.
pub(crate) fn parse(authority: &str) -> Option<(&str, Option<u16>)> {
    // Userinfo is nobody's business. It ends at the last `@`.
    let authority = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            // Nothing else is written in brackets. A zone is no part of the address.
            let address = host.split_once('%').map_or(host, |(address, _)| address);
            address.parse::<Ipv6Addr>().ok()?;
            (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = match port? {
        "" => None,
        // `parse` alone would take a sign.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    is_host(host).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= LONGEST_HOST
        && host.bytes().all(|byte| {
            // Most are letters and digits.
            byte.is_ascii_alphanumeric()
                || byte.is_ascii_graphic() && !b"/?#@[]<>\"\\^`{|}".contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_told_apart() {
        for (authority, expected) in [
            ("host", Some(("host", None))),
            ("host:80", Some(("host", Some(80)))),
            ("host:", Some(("host", None))),
            ("Example.COM:8080", Some(("Example.COM", Some(8080)))),
            ("127.0.0.1:3000", Some(("127.0.0.1", Some(3000)))),
            ("[::1]", Some(("::1", None))),
            ("[::1]:80", Some(("::1", Some(80)))),
            ("[fe80::1%25eth0]:80", Some(("fe80::1%25eth0", Some(80)))),
            ("user:secret@host:80", Some(("host", Some(80)))),
            ("", None),
            (":8080", None),
            ("[]", None),
            ("[]:80", None),
            ("[::1", None),
            ("[host]", None),
            ("[127.0.0.1]:80", None),
            ("[%eth0]", None),
            ("[::1]80", None),
            ("::1", None),
            ("host:port", None),
            ("host:+80", None),
            ("host:65536", None),
            ("host:80:80", None),
            ("ho st", None),
            ("host/path", None),
            ("<script>", None),
            ("ho]st", None),
            ("[::[1]", None),
        ] {
            assert_eq!(parse(authority), expected, "{authority:?}");
        }
        assert_eq!(parse(&"h".repeat(LONGEST_HOST + 1)), None);
    }

    #[test]
    fn the_authority_is_asked_before_the_host_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "header:1".parse().unwrap());
        let absolute = Uri::from_static("http://target:2/");
        assert_eq!(server(&absolute, &headers), Some(("target", Some(2))));
        assert_eq!(server(&Uri::from_static("/"), &headers), Some(("header", Some(1))));
        assert_eq!(server(&Uri::from_static("/"), &HeaderMap::new()), None);
        headers.append(header::HOST, "header:1".parse().unwrap());
        assert_eq!(server(&Uri::from_static("/"), &headers), None);
        assert_eq!(server(&absolute, &headers), Some(("target", Some(2))));
    }
}
