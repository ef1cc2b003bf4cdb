//! Whose word is taken on what came before the connection: the policy for forwarded headers.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net};

use crate::{
    error::BuildError,
    semconv::forwarded::{self, Element, Node},
};

/// How many leading bits of an IPv6 address say that there is an IPv4 address in it.
const MAPPED_PREFIX: u8 = 96;

/// Which proxies are believed when they say who the client is, and what it asked for.
///
/// Behind a proxy, the connection's peer is the proxy, and scheme and host are those of the proxy's
/// request. What the client's were, [the conventions][address] look up in `Forwarded`, then in
/// `X-Forwarded-For`, `-Proto` and `-Host`, then in what connection and request say themselves. But
/// any client can send these headers. This says from where on they can be believed. Default:
/// [`never`](Self::never).
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{
///     TraceLayer,
///     server::{Connection, Forwarded},
/// };
#[doc = include_str!("span_of.md")]
///
/// // Proxies that can be told by their addresses, and that write `X-Forwarded-*` alone.
/// let proxies = Forwarded::from_networks(["10.0.0.0/8"])?.with_only_x_forwarded();
///
/// let request = Request::builder()
///     .header("forwarded", "for=203.0.113.66") // the client's own
///     .header("x-forwarded-for", "203.0.113.66, 192.0.2.1, 10.0.0.7")
///     .extension(Connection::new().with_peer("10.0.0.8:40000".parse()?))
///     .body(String::new())?;
/// let span = span_of(TraceLayer::new().with_forwarded(proxies), request);
/// assert!(span.attributes.contains(&KeyValue::new("client.address", "192.0.2.1")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What your proxies must do
///
/// * **Overwrite the header, or append to it.** A header that a proxy passes on as it came is the
///   client's.
/// * **Do so with both kinds, or you say which kind they write**:
///   [`with_only_x_forwarded`](Self::with_only_x_forwarded) or
///   [`with_only_forwarded`](Self::with_only_forwarded). Most proxies write `X-Forwarded-For` and
///   let a client's own `Forwarded` through, which would be asked first. In the same way, a proxy
///   that writes `X-Forwarded-For` but neither `-Proto` nor `-Host` lets a client choose those two.
///
/// # Which hop
///
/// A proxy appends the address it was called from, so a list is read from the right, and what a
/// client has written is on the left of what our proxies wrote. The hop that tells the client's
/// address tells scheme and host, too: in `Forwarded` that is the same element, in
/// `X-Forwarded-Proto` and `-Host` the value as far from the right, or the leftmost of a shorter
/// list. All lines of a header are one list.
///
/// What is malformed there, `unknown` or an obfuscated identifier counts as if it was not said, and
/// the next source is asked for it.
///
/// [address]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    trust: Trust,
    written: Written,
}

/// Who is a proxy of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Trust {
    #[default]
    Nobody,
    Proxies(usize),
    Networks(Arc<[IpNet]>),
}

/// The headers that our proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Written {
    #[default]
    Both,
    OnlyForwarded,
    OnlyXForwarded,
}

/// What the headers say that are believed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    pub(super) client: Option<Node>,
    pub(super) scheme: Option<&'static str>,
    /// Owned only if it was written with escapes, which no host needs.
    pub(super) host: Option<(Cow<'a, str>, Option<u16>)>,
}

impl Forwarded {
    /// Believes no one: the headers are ignored, and the client is the connection's peer. This is
    /// the default.
    ///
    /// ```
    /// use tower_telemetry::server::Forwarded;
    ///
    /// assert_eq!(Forwarded::never(), Forwarded::default());
    /// ```
    pub fn never() -> Self {
        Self::default()
    }

    /// Believes the last `count` hops, whatever their addresses: for servers that cannot be reached
    /// but through that many proxies.
    ///
    /// The client is then the `count`th element from the right, or the leftmost if there are fewer.
    /// Zero proxies is [`never`](Self::never). **One too many, and a client chooses its own
    /// address**; so it can if it reaches the server past a proxy.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Forwarded};
    #[doc = include_str!("span_of.md")]
    ///
    /// // A content delivery network in front of a load balancer.
    /// let forwarded = Forwarded::from_proxies(2);
    /// let request = Request::builder()
    ///     .header("x-forwarded-for", "203.0.113.66, 192.0.2.1, 198.51.100.7")
    ///     .body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_forwarded(forwarded), request);
    /// assert!(span.attributes.contains(&KeyValue::new("client.address", "192.0.2.1")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_proxies(count: usize) -> Self {
        let trust = if count == 0 { Trust::Nobody } else { Trust::Proxies(count) };
        Self { trust, ..Self::default() }
    }

    /// Believes proxies in these networks: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    ///
    /// The headers count if the connection's peer is in one of the networks. Where the peer is not
    /// known, they are ignored; [`Connection`](crate::server::Connection) makes it known. From the
    /// right, each element in one of the networks is a further proxy of ours, and the first that is
    /// not is the client. If all are, the leftmost is. An element that is no address is no proxy of
    /// ours.
    ///
    /// No network at all is nobody. A network of IPv4 addresses holds them in the guise of IPv6,
    /// too.
    ///
    /// # Errors
    ///
    /// If an entry is neither a network nor an address; the error names it.
    ///
    /// ```
    /// use tower_telemetry::server::Forwarded;
    ///
    /// assert!(Forwarded::from_networks(["10.0.0.0/8", "192.0.2.1", "::1/128"]).is_ok());
    ///
    /// let error = Forwarded::from_networks(["10.0.0.0/33"]).unwrap_err();
    /// assert_eq!(error.setting(), "trusted proxy network");
    /// assert_eq!(error.value(), "10.0.0.0/33");
    /// ```
    pub fn from_networks<I>(networks: I) -> Result<Self, BuildError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks = networks.into_iter().map(|entry| network(entry.as_ref()));
        let trust = Trust::Networks(networks.collect::<Result<_, _>>()?);
        Ok(Self { trust, ..Self::default() })
    }

    /// Says that the proxies write [`Forwarded`][rfc] alone, so that `X-Forwarded-*` is ignored.
    /// Default: they write both.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Forwarded};
    #[doc = include_str!("span_of.md")]
    ///
    /// let forwarded = Forwarded::from_proxies(1).with_only_forwarded();
    /// let request = Request::builder()
    ///     .header("forwarded", "for=192.0.2.1")
    ///     .header("x-forwarded-proto", "https") // the client's own
    ///     .body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_forwarded(forwarded), request);
    /// assert!(span.attributes.contains(&KeyValue::new("url.scheme", "http")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [rfc]: https://www.rfc-editor.org/rfc/rfc7239#section-4
    pub fn with_only_forwarded(mut self) -> Self {
        self.written = Written::OnlyForwarded;
        self
    }

    /// Says that the proxies write `X-Forwarded-*` alone, as most do, so that `Forwarded` is
    /// ignored. Default: they write both.
    ///
    /// ```
    /// use http::Request;
    /// use opentelemetry::KeyValue;
    /// use tower_telemetry::{TraceLayer, server::Forwarded};
    #[doc = include_str!("span_of.md")]
    ///
    /// let forwarded = Forwarded::from_proxies(1).with_only_x_forwarded();
    /// let request = Request::builder()
    ///     .header("forwarded", "for=203.0.113.66") // the client's own
    ///     .header("x-forwarded-for", "192.0.2.1")
    ///     .body(String::new())?;
    /// let span = span_of(TraceLayer::new().with_forwarded(forwarded), request);
    /// assert!(span.attributes.contains(&KeyValue::new("client.address", "192.0.2.1")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_only_x_forwarded(mut self) -> Self {
        self.written = Written::OnlyXForwarded;
        self
    }

    /// What the headers of a request say that came from `peer`, as far as they are believed.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap, peer: Option<IpAddr>) -> Seen<'a> {
        let mut seen = Seen::default();
        // Where no list tells how many of ours a request came through, it was so many.
        let mut hop = match &self.trust {
            Trust::Nobody => return seen,
            Trust::Proxies(count) => *count,
            Trust::Networks(networks) => match peer {
                Some(peer) if is_in(networks, peer) => 1,
                _ => return seen,
            },
        };
        if self.written != Written::OnlyXForwarded {
            let client = |element: &Option<Element<'_>>| element.as_ref()?.client();
            if let Some((element, at)) = self.decisive(forwarded::elements(headers), client) {
                hop = at;
                seen.client = client(&element);
                seen.scheme = element.and_then(|element| element.scheme());
                seen.host = element.and_then(|element| element.host());
            }
        }
        if self.written != Written::OnlyForwarded {
            if seen.client.is_none()
                && let Some((client, at)) = self.decisive(forwarded::clients(headers), |node| *node)
            {
                hop = at;
                seen.client = client;
            }
            if seen.scheme.is_none() {
                seen.scheme = forwarded::schemes(headers).take(hop).last().flatten();
            }
            if seen.host.is_none() {
                seen.host = forwarded::hosts(headers).take(hop).last().flatten();
            }
        }
        seen
    }

    /// The element that the outermost of our proxies wrote, in a list from the right, and which one
    /// it is, counted from one.
    fn decisive<T>(
        &self,
        list: impl Iterator<Item = T>,
        client: impl Fn(&T) -> Option<Node>,
    ) -> Option<(T, usize)> {
        let mut outermost = None;
        for (element, at) in list.zip(1..) {
            let ends = match &self.trust {
                Trust::Nobody => true,
                Trust::Proxies(count) => at >= *count,
                Trust::Networks(networks) => {
                    !client(&element).is_some_and(|node| is_in(networks, node.address))
                }
            };
            outermost = Some((element, at));
            if ends {
                break;
            }
        }
        outermost
    }
}

fn network(entry: &str) -> Result<IpNet, BuildError> {
    let network = match entry.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => entry.parse::<IpNet>().map_err(|_| {
            let reason = "must be a network such as `10.0.0.0/8`, or an address such as `::1`";
            BuildError::new("trusted proxy network", entry, reason)
        })?,
    };
    Ok(canonical(network))
}

/// The network as its addresses are compared: of IPv4, if it holds nothing else.
fn canonical(network: IpNet) -> IpNet {
    let bits = network.prefix_len().checked_sub(MAPPED_PREFIX);
    match (network, network.addr().to_canonical(), bits) {
        (IpNet::V6(_), IpAddr::V4(address), Some(bits)) => {
            Ipv4Net::new(address, bits).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// The client that we look for, and its proxies.
    const CLIENT: &str = "192.0.2.1";
    const PEER: &str = "10.0.0.1";

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn headers(lines: Lines<'_>) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            let name = match *name {
                "f" => "forwarded",
                "for" => "x-forwarded-for",
                "proto" => "x-forwarded-proto",
                "host" => "x-forwarded-host",
                other => unreachable!("{other}"),
            };
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    /// What is seen, as `client scheme host`.
    fn seen(policy: &Forwarded, lines: Lines<'_>, peer: Option<&str>) -> String {
        let headers = headers(lines);
        let seen = policy.read(&headers, peer.map(|peer| peer.parse().unwrap()));
        let client = seen.client.map(|node| match node.port {
            Some(port) => format!("{}#{port}", node.address),
            None => node.address.to_string(),
        });
        let host = seen.host.map(|(host, port)| match port {
            Some(port) => format!("{host}#{port}"),
            None => host.into_owned(),
        });
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        format!("{} {} {}", or_none(client), seen.scheme.unwrap_or("-"), or_none(host))
    }

    fn ours() -> Forwarded {
        Forwarded::from_networks(["10.0.0.0/8", "2001:db8::/32"]).unwrap()
    }

    #[test]
    fn each_value_is_of_the_first_source_that_has_it() {
        for (lines, expected) in [
            (&[][..], "- - -"),
            (&[("f", "for=192.0.2.1;proto=https;host=a")], "192.0.2.1 https a"),
            (&[("f", "For=\"192.0.2.1:80\";Proto=HTTPS;Host=\"a:80\"")], "192.0.2.1#80 https a#80"),
            (&[("f", "for=\"[2001:500::1]:80\";host=\"[::1]:1\"")], "2001:500::1#80 - ::1#1"),
            (&[("f", "for=\"192.0.2.1:_p\"")], "192.0.2.1 - -"),
            (&[("f", "for=\"::ffff:192.0.2.1\"")], "192.0.2.1 - -"),
            (&[("f", "proto=https;host=a")], "- https a"),
            (&[("f", "for=_hidden;proto=https")], "- https -"),
            (&[("f", "for=unknown;proto=gopher;host=\"<>\"")], "- - -"),
            (&[("f", "for=192.0.2.1;proto=https;for=192.0.2.2")], "- - -"),
            (&[("f", "for=192.0.2.1;host=\"a")], "- - -"),
            (&[("for", "192.0.2.1")], "192.0.2.1 - -"),
            (&[("for", "192.0.2.1:80"), ("host", "a:80")], "192.0.2.1#80 - a#80"),
            (&[("for", "2001:500::1"), ("proto", "wss")], "2001:500::1 wss -"),
            (&[("for", "\"[2001:500::1]:80\"")], "2001:500::1#80 - -"),
            (&[("for", "unknown"), ("proto", "x"), ("host", ":80")], "- - -"),
            (&[("proto", "https"), ("host", "a")], "- https a"),
            (
                &[
                    ("f", "for=192.0.2.1;proto=https;host=a"),
                    ("for", "192.0.2.2"),
                    ("proto", "http"),
                    ("host", "b"),
                ],
                "192.0.2.1 https a",
            ),
            (
                &[("f", "for=192.0.2.1"), ("for", "192.0.2.2"), ("proto", "http"), ("host", "b")],
                "192.0.2.1 http b",
            ),
            (&[("f", "for=_hidden;proto=https"), ("for", "192.0.2.2")], "192.0.2.2 https -"),
            (&[("f", "host=\"/\""), ("host", "b")], "- - b"),
            (
                &[("f", "for=\"192.0.2.1;proto=https"), ("for", "192.0.2.2"), ("proto", "http")],
                "192.0.2.2 http -",
            ),
        ] {
            for policy in [Forwarded::from_proxies(1), ours()] {
                assert_eq!(seen(&policy, lines, Some(PEER)), expected, "{policy:?} {lines:?}");
            }
            assert_eq!(seen(&Forwarded::never(), lines, Some(PEER)), "- - -");
        }
    }

    #[test]
    fn so_many_proxies_are_counted_from_the_right() {
        for (proxies, lines, expected) in [
            (1, &[("for", "192.0.2.9, 192.0.2.1")][..], "192.0.2.1 - -"),
            (2, &[("for", "192.0.2.9, 192.0.2.1, 10.0.0.2")], "192.0.2.1 - -"),
            (
                2,
                &[("for", "192.0.2.9"), ("for", "192.0.2.1"), ("for", "10.0.0.2")],
                "192.0.2.1 - -",
            ),
            (2, &[("for", "192.0.2.9,, 192.0.2.1, ,10.0.0.2,")], "192.0.2.1 - -"),
            (2, &[("for", "192.0.2.9, unknown, 10.0.0.2")], "- - -"),
            (2, &[("for", "192.0.2.9, 192.0.2.1, junk")], "192.0.2.1 - -"),
            (3, &[("for", "192.0.2.1, 10.0.0.2")], "192.0.2.1 - -"),
            (usize::MAX, &[("for", "192.0.2.1, 10.0.0.2")], "192.0.2.1 - -"),
            (
                2,
                &[(
                    "f",
                    "for=192.0.2.9;proto=ws, for=192.0.2.1;proto=https;host=a, for=10.0.0.2;host=b",
                )],
                "192.0.2.1 https a",
            ),
            // The same hop in all lists, the leftmost of those that are shorter.
            (
                2,
                &[
                    ("for", "192.0.2.9, 192.0.2.1, 10.0.0.2"),
                    ("proto", "ws, https, http"),
                    ("host", "a"),
                ],
                "192.0.2.1 https a",
            ),
            (
                2,
                &[
                    ("f", "for=192.0.2.1, for=10.0.0.2"),
                    ("proto", "ws, https, http"),
                    ("host", "x, a, b"),
                ],
                "192.0.2.1 https a",
            ),
            (2, &[("proto", "ws, https, http"), ("host", "x, a, b")], "- https a"),
            // The list that tells the client says how many there were.
            (2, &[("for", "192.0.2.1"), ("proto", "ws, https")], "192.0.2.1 https -"),
            (0, &[("f", "for=192.0.2.1"), ("for", "192.0.2.1")], "- - -"),
        ] {
            let policy = Forwarded::from_proxies(proxies);
            for peer in [None, Some("203.0.113.1")] {
                assert_eq!(seen(&policy, lines, peer), expected, "{proxies} {lines:?}");
            }
        }
    }

    #[test]
    fn proxies_in_our_networks_are_walked_past() {
        for (lines, expected) in [
            (&[("for", "192.0.2.9, 192.0.2.1")][..], "192.0.2.1 - -"),
            (&[("for", "192.0.2.9, 192.0.2.1, 10.0.0.3, 10.0.0.2:80")], "192.0.2.1 - -"),
            (
                &[("for", "192.0.2.9"), ("for", "192.0.2.1,10.1.2.3"), ("for", "::ffff:10.0.0.2")],
                "192.0.2.1 - -",
            ),
            (&[("for", "192.0.2.1, 2001:db8::7")], "192.0.2.1 - -"),
            (&[("for", "10.0.0.4, 10.0.0.3")], "10.0.0.4 - -"),
            // What is no address is no proxy of ours.
            (&[("for", "192.0.2.9, junk, 10.0.0.3")], "- - -"),
            (&[("for", "192.0.2.9, unknown")], "- - -"),
            (&[("f", "for=192.0.2.9, for=_a;proto=https, for=10.0.0.3;proto=http")], "- https -"),
            (
                &[("f", "for=192.0.2.9, for=192.0.2.1;proto=https;host=a, for=10.0.0.3;host=b")],
                "192.0.2.1 https a",
            ),
            (
                &[
                    ("for", "192.0.2.1, 10.0.0.3"),
                    ("proto", "ws, https, http"),
                    ("host", "x, a, b"),
                ],
                "192.0.2.1 https a",
            ),
            (&[("for", "192.0.2.9, junk, 10.0.0.3"), ("proto", "ws, https, http")], "- https -"),
            // No list tells how many there were: only the nearest is known.
            (&[("proto", "ws, https")], "- https -"),
        ] {
            for peer in [PEER, "::ffff:10.0.0.1", "2001:db8::1"] {
                assert_eq!(seen(&ours(), lines, Some(peer)), expected, "{lines:?}");
            }
            for peer in [None, Some("203.0.113.1"), Some("11.0.0.1"), Some("::a00:1")] {
                assert_eq!(seen(&ours(), lines, peer), "- - -", "{peer:?} {lines:?}");
            }
        }
    }

    #[test]
    fn a_client_changes_nothing_by_what_it_writes_first() {
        let hostile = [
            "for=\"",
            "for=\"a\\",
            "\"",
            "\\",
            ",,,,",
            ";",
            "for=10.0.0.9",
            "for=192.0.2.9;proto=ws",
            "=",
        ];
        for junk in hostile {
            for junk in [junk.to_owned(), junk.repeat(5_000), [junk; 1_000].join(",")] {
                let appended = format!("{junk}, for={CLIENT};proto=https;host=\"a\"");
                let x_appended = format!("{junk}, {CLIENT}");
                for policy in [Forwarded::from_proxies(1), ours()] {
                    for lines in [
                        &[("f", &*appended)][..],
                        &[("f", &*junk), ("f", "for=192.0.2.1;proto=https;host=a")],
                        &[("for", &*x_appended), ("proto", "https"), ("host", "a")],
                    ] {
                        let policy = policy.clone();
                        let policy = match lines {
                            [("for", _), ..] => policy.with_only_x_forwarded(),
                            _ => policy.with_only_forwarded(),
                        };
                        assert_eq!(seen(&policy, lines, Some(PEER)), "192.0.2.1 https a");
                    }
                }
            }
        }
        let ours_only = "10.0.0.9,".repeat(50_000);
        assert_eq!(seen(&ours(), &[("for", &ours_only)], Some(PEER)), "10.0.0.9 - -");
    }

    #[test]
    fn a_kind_that_the_proxies_do_not_write_is_ignored() {
        let lines: Lines<'_> = &[
            ("f", "for=192.0.2.1;proto=https"),
            ("for", "192.0.2.2"),
            ("proto", "ws"),
            ("host", "b"),
        ];
        for policy in [Forwarded::from_proxies(1), ours()] {
            assert_eq!(seen(&policy, lines, Some(PEER)), "192.0.2.1 https b");
            let forwarded = policy.clone().with_only_forwarded();
            assert_eq!(seen(&forwarded, lines, Some(PEER)), "192.0.2.1 https -");
            let x_forwarded = policy.with_only_x_forwarded();
            assert_eq!(seen(&x_forwarded, lines, Some(PEER)), "192.0.2.2 ws b");
        }
        let never = Forwarded::never().with_only_x_forwarded();
        assert_eq!(seen(&never, lines, Some(PEER)), "- - -");
    }

    #[test]
    fn a_network_is_a_range_or_an_address() {
        for (entry, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.0"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8:1::", "2001:db9::"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.0"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ] {
            let networks = [network(entry).unwrap()];
            assert!(is_in(&networks, inside.parse().unwrap()), "{entry} {inside}");
            assert!(!is_in(&networks, outside.parse().unwrap()), "{entry} {outside}");
        }
        for entry in
            ["", " ", "host", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1"]
        {
            let error = Forwarded::from_networks(["::1", entry]).unwrap_err();
            assert_eq!(error.value(), entry);
            assert!(error.to_string().contains("`10.0.0.0/8`"), "{error}");
        }
        let nobody = Forwarded::from_networks(Vec::<String>::new()).unwrap();
        assert_eq!(seen(&nobody, &[("for", CLIENT)], Some(PEER)), "- - -");
    }
}
