//! What proxies say of a request: `Forwarded`, and the `X-Forwarded-*` headers.
//!
//! A proxy appends, so what is on the right of a list was written closest to us, and what is on its
//! left by whoever wanted to. All lists are therefore read from the right, and nothing on the left
//! can change how what is right of it is read. A line that somebody has marked as sensitive is as
//! long as it is and says nothing.

use std::{borrow::Cow, iter, net::IpAddr};

use http::{HeaderMap, HeaderName, header};

use crate::semconv::host;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The white space around elements.
const OWS: [char; 2] = [' ', '\t'];

/// Whom a proxy got a request from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// In its canonical form: an IPv4 address, if it is one in the guise of IPv6.
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

/// What one proxy wrote into [`Forwarded`][elements]: values as they stand there, without their
/// quotes.
///
/// [elements]: https://www.rfc-editor.org/rfc/rfc7239#section-4
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    client: Option<&'a str>,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Element<'a> {
    /// The `for` parameter, if it is an address.
    pub(crate) fn client(&self) -> Option<Node> {
        node(&unescape(self.client?))
    }

    /// The `proto` parameter, if it is a scheme that a server of ours can have.
    pub(crate) fn scheme(&self) -> Option<&'static str> {
        scheme(&unescape(self.scheme?))
    }

    /// The `host` parameter, if it is a host.
    pub(crate) fn host(&self) -> Option<(Cow<'a, str>, Option<u16>)> {
        match unescape(self.host?) {
            Cow::Borrowed(authority) => borrowed_host(authority),
            Cow::Owned(authority) => {
                host::parse(&authority).map(|(host, port)| (host.to_owned().into(), port))
            }
        }
    }
}

/// The elements of `Forwarded` from the right, all its lines being one list. One that is malformed
/// is there, as `None`: it stands for a proxy, too.
pub(crate) fn elements(headers: &HeaderMap) -> impl Iterator<Item = Option<Element<'_>>> {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    let elements = lines.flat_map(|line| {
        quoted_list(line.as_bytes()).map(|bytes| text(bytes).filter(|_| !line.is_sensitive()))
    });
    elements.map(|text| element(text?))
}

/// The addresses in `X-Forwarded-For` from the right; `None` is one that is none.
pub(crate) fn clients(headers: &HeaderMap) -> impl Iterator<Item = Option<Node>> {
    plain_list(headers, &X_FORWARDED_FOR).map(|value| node(value?))
}

/// The schemes in `X-Forwarded-Proto` from the right; `None` is one that is none.
pub(crate) fn schemes(headers: &HeaderMap) -> impl Iterator<Item = Option<&'static str>> {
    plain_list(headers, &X_FORWARDED_PROTO).map(|value| scheme(value?))
}

/// The hosts in `X-Forwarded-Host` from the right; `None` is one that is none.
pub(crate) fn hosts(
    headers: &HeaderMap,
) -> impl Iterator<Item = Option<(Cow<'_, str>, Option<u16>)>> {
    plain_list(headers, &X_FORWARDED_HOST).map(|value| borrowed_host(value?))
}

/// Splits at the commas outside quotes.
///
/// From the right, since a quote that a client has left open must not swallow what a proxy wrote
/// after it. A quote is escaped if the backslashes before it are odd in number.
fn quoted_list(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    let elements = iter::from_fn(move || {
        let line = rest?;
        let mut quoted = false;
        let comma = line.iter().enumerate().rposition(|(at, byte)| {
            let before = line.get(..at).unwrap_or_default();
            quoted ^= *byte == b'"' && !ends_with_escape(before);
            *byte == b',' && !quoted
        });
        let (before, element) = match comma.and_then(|at| line.split_at_checked(at)) {
            Some((before, element)) => (Some(before), element.get(1..).unwrap_or_default()),
            None => (None, line),
        };
        rest = before;
        Some(element)
    });
    elements.filter(|element| !is_empty(element))
}

/// The values of all lines from the right, `None` for one that is no text. There is no grammar that
/// these headers follow, so quotes protect nothing; around a whole value they are taken off.
fn plain_list<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    let values = lines.flat_map(|line| {
        let values = line.as_bytes().rsplit(|byte| *byte == b',').filter(|value| !is_empty(value));
        values.map(|value| text(value).filter(|_| !line.is_sensitive()))
    });
    values.map(|value| {
        let value = value?;
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Some(bare.unwrap_or(value))
    })
}

/// Lists may have [empty elements][empty], which count for nothing.
///
/// [empty]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
fn is_empty(element: &[u8]) -> bool {
    element.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

fn ends_with_escape(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn text(bytes: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(bytes).ok()?.trim_matches(OWS))
}

/// Parses `for=192.0.2.1;proto=https;host=example.com`, [names in any case][grammar]. A parameter
/// that is read must not be there twice; others are skipped.
///
/// More lenient than the grammar in two points that are common: white space around `;`, and a value
/// with a `:` that should have been quoted.
///
/// [grammar]: https://www.rfc-editor.org/rfc/rfc7239#section-4
fn element(mut rest: &str) -> Option<Element<'_>> {
    let mut element = Element::default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some(element);
        }
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let (value, after) = value(after)?;
        let place = [
            ("for", &mut element.client),
            ("proto", &mut element.scheme),
            ("host", &mut element.host),
        ];
        let mut place = place.into_iter().filter(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((_, place)) = place.next()
            && place.replace(value).is_some()
        {
            return None;
        }
        rest = after.trim_start_matches(OWS);
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
    }
}

/// A value without its quotes, and what comes after it.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at_checked(end)?;
        return (!value.is_empty() && !value.contains(['"', '\\'])).then_some((value, after));
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((quoted.get(..end)?, quoted.get(end + 1..)?))
}

/// Takes the backslashes out of what stood in quotes. Outside of them there are none.
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut chars = value.chars();
    iter::from_fn(|| match chars.next()? {
        '\\' => chars.next(),
        char => Some(char),
    })
    .collect()
}

/// [Address and port][node]. `unknown` and `_hidden` are no address; a port that is obfuscated
/// leaves the address what it is, one that is broken does not.
///
/// [node]: https://www.rfc-editor.org/rfc/rfc7239#section-6
fn node(text: &str) -> Option<Node> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (IpAddr::V6(address.parse().ok()?), port)
        }
        // Without brackets, what can be an IPv6 address is one to its end.
        None => match text.parse() {
            Ok(address) => (address, None),
            Err(_) => {
                let (address, port) = text.split_once(':')?;
                (IpAddr::V4(address.parse().ok()?), Some(port))
            }
        },
    };
    let port = match port {
        None => None,
        Some(port) if is_obfuscated(port) => None,
        // `parse` alone would take a sign.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    Some(Node { address: address.to_canonical(), port })
}

/// What a server of ours can be asked over. Any other scheme is a mistake or a lie.
fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https", "ws", "wss"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
}

fn borrowed_host(authority: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    host::parse(authority).map(|(host, port)| (host.into(), port))
}

fn is_obfuscated(port: &str) -> bool {
    port.strip_prefix('_').is_some_and(|rest| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !rest.is_empty() && rest.bytes().all(allowed)
    })
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap());
        lines.map(|line| (HeaderName::from_static(name), line)).collect()
    }

    fn first(line: &str) -> Option<Element<'_>> {
        quoted_list(line.as_bytes()).next().and_then(|bytes| element(text(bytes).unwrap()))
    }

    #[test]
    fn a_node_is_an_address_and_a_port() {
        for (text, expected) in [
            ("192.0.2.1", Some(("192.0.2.1", None))),
            ("192.0.2.1:80", Some(("192.0.2.1", Some(80)))),
            ("192.0.2.1:_port", Some(("192.0.2.1", None))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:80", Some(("2001:db8::1", Some(80)))),
            ("[2001:db8::1]:_p.-_", Some(("2001:db8::1", None))),
            ("2001:DB8::1", Some(("2001:db8::1", None))),
            ("::1:80", Some(("::1:80", None))),
            ("::ffff:192.0.2.1", Some(("192.0.2.1", None))),
            ("[::ffff:c000:201]:80", Some(("192.0.2.1", Some(80)))),
            ("", None),
            ("unknown", None),
            ("unknown:80", None),
            ("_hidden", None),
            ("_hidden:80", None),
            ("host", None),
            ("host:80", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:+80", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:80:80", None),
            ("192.0.2.1:_", None),
            ("192.0.2.1:_a b", None),
            ("192.0.2.256", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            (" 192.0.2.1", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("2001:db8::1]", None),
            ("[2001:db8::1]80", None),
            ("[2001:db8::1]:", None),
            ("[fe80::1%eth0]", None),
            ("[]", None),
            ("[", None),
            (":", None),
        ] {
            let expected =
                expected.map(|(address, port)| Node { address: address.parse().unwrap(), port });
            assert_eq!(node(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_element_has_each_parameter_once() {
        for (line, expected) in [
            ("for=192.0.2.1", Some([Some("192.0.2.1"), None, None])),
            ("for=\"192.0.2.1:80\"", Some([Some("192.0.2.1:80"), None, None])),
            ("for=192.0.2.1:80", Some([Some("192.0.2.1:80"), None, None])),
            ("for=[::1]", Some([Some("[::1]"), None, None])),
            ("For=a;PROTO=b;hOsT=c", Some([Some("a"), Some("b"), Some("c")])),
            ("host=c;by=x;proto=b;secret=y", Some([None, Some("b"), Some("c")])),
            (" for=a ;\tproto=b; ", Some([Some("a"), Some("b"), None])),
            (";;for=a;", Some([Some("a"), None, None])),
            ("for=\"a;proto=b,c\";host=d", Some([Some("a;proto=b,c"), None, Some("d")])),
            ("host=\"a\\\"b\\\\\"", Some([None, None, Some("a\\\"b\\\\")])),
            ("for=\"\"", Some([Some(""), None, None])),
            ("forx=a", Some([None, None, None])),
            ("for=a;for=a", None),
            ("for=a;FOR=b", None),
            ("proto=a;proto=a", None),
            ("host=a;host=a", None),
            ("for", None),
            ("for=", None),
            ("for=;proto=b", None),
            ("=a", None),
            ("for =a", None),
            ("for= a", None),
            ("for=a b", None),
            ("for=a proto=b", None),
            ("for=\"a\"b", None),
            ("for=\"a", None),
            ("for=a\"", None),
            ("for=\"a\\\"", None),
            ("for=a\\b", None),
            ("f\"o\"r=a", None),
            ("192.0.2.1", None),
        ] {
            let expected = expected.map(|[client, scheme, host]| Element { client, scheme, host });
            assert_eq!(first(line), expected, "{line:?}");
        }
    }

    #[test]
    fn values_are_unescaped_before_they_are_read() {
        let element = first(r#"for="\1\92.0.2.1";proto="HTTP\s";host="a\.example:80""#).unwrap();
        assert_eq!(element.client().unwrap().address.to_string(), "192.0.2.1");
        assert_eq!(element.scheme(), Some("https"));
        assert_eq!(element.host(), Some(("a.example".into(), Some(80))));
        assert!(matches!(first("host=\"[::1]:1\"").unwrap().host(), Some((Cow::Borrowed(_), _))));
    }

    #[test]
    fn several_lines_are_one_list_read_from_the_right() {
        let hidden = |at| Some(Element { client: Some(at), ..Element::default() });
        for (lines, expected) in [
            (&[&b"for=a, for=b"[..], b"for=c"][..], &[hidden("c"), hidden("b"), hidden("a")][..]),
            (&[b",for=a,, ,for=b,", b"", b" , "], &[hidden("b"), hidden("a")]),
            (&[b"for=\"a,b\",for=c"], &[hidden("c"), hidden("a,b")]),
            (&[b"for=\"a\\\",b\",for=c"], &[hidden("c"), hidden("a\\\",b")]),
            // Left open by a client; a proxy has appended.
            (&[b"for=\"a, for=b"], &[hidden("b"), None]),
            (&[b"for=\"a", b"for=b"], &[hidden("b"), None]),
            (&[b"for=\"a, for=\"b\""], &[hidden("b"), None]),
            (&[b"for=\"a\\, for=\"b\", for=c"], &[hidden("c"), hidden("b"), None]),
            (&[b"for=\xff, for=b"], &[hidden("b"), None]),
            (&[], &[]),
        ] {
            let headers = headers("forwarded", lines);
            assert_eq!(elements(&headers).collect::<Vec<_>>(), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_other_headers_are_plain_lists() {
        let of = headers("x-forwarded-for", &[b"192.0.2.1, \"[::1]:80\"", b"unknown,\xff,::2"]);
        let addresses = clients(&of).map(|node| node.map(|node| node.address.to_string()));
        let expected =
            [Some("::2".to_owned()), None, None, Some("::1".into()), Some("192.0.2.1".into())];
        assert_eq!(addresses.collect::<Vec<_>>(), expected);

        let of = headers("x-forwarded-proto", &[b"HTTP,wss, \"https\"", b"gopher, ws,"]);
        let expected = [Some("ws"), None, Some("https"), Some("wss"), Some("http")];
        assert_eq!(schemes(&of).collect::<Vec<_>>(), expected);

        let of = headers("x-forwarded-host", &[b"a:80 , \"b\"", b"[::1]:8080, a\"b, <>"]);
        let expected =
            [None, None, Some(("::1", Some(8080))), Some(("b", None)), Some(("a", Some(80)))];
        let expected = expected.map(|host| host.map(|(host, port)| (host.into(), port)));
        assert_eq!(hosts(&of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_input_panics() {
        // xorshift; the alphabet is what the grammar is made of, and some that is not.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let words: [&[u8]; 24] = [
            b"for",
            b"proto",
            b"host",
            b"=",
            b"\"",
            b"\\",
            b";",
            b",",
            b" ",
            b"[",
            b"]",
            b":",
            b"::",
            b"_",
            b"1",
            b"65536",
            b".",
            b"192.0.2.1",
            b"https",
            b"\t",
            b"\xc3",
            b"\xa4",
            b"@",
            b"%",
        ];
        for _ in 0..50_000 {
            let line: Vec<u8> =
                (0..random(20)).flat_map(|_| words[random(words.len())]).copied().collect();
            for element in elements(&headers("forwarded", &[&line])).flatten() {
                let _ = (element.client(), element.scheme(), element.host());
            }
            clients(&headers("x-forwarded-for", &[&line])).for_each(drop);
            schemes(&headers("x-forwarded-proto", &[&line])).for_each(drop);
            hosts(&headers("x-forwarded-host", &[&line])).for_each(drop);
        }
    }

    #[test]
    fn a_long_line_is_read_once() {
        for junk in ["\"", "\\", ",", ";", "=", "a", "for=\"\\\"", "for=a,", "[", ":", " ", "\\\""]
        {
            let line = junk.repeat(1_000_000 / junk.len());
            for name in ["forwarded", "x-forwarded-for"] {
                let headers = headers(name, &[line.as_bytes()]);
                let _ = (elements(&headers).count(), clients(&headers).count());
            }
        }
    }
}
