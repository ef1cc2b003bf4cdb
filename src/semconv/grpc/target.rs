//! A channel's target: which server a client says that it calls.

use std::net::Ipv6Addr;

use crate::semconv::{host, url};

/// What a target says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The host, the path of a socket, or the whole target.
    pub(crate) address: &'a str,
    pub(crate) port: Option<u16>,
    /// The scheme of its URLs, if the address is a host.
    pub(crate) scheme: Option<&'static str>,
}

/// What [`server.address` and `server.port`][address] are for a [target]: of one server its host
/// and port, or the path of its socket; of anything else the whole of it.
///
/// [address]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
/// [target]: https://github.com/grpc/grpc/blob/master/doc/naming.md
pub(crate) fn parse(target: &str) -> Target<'_> {
    let whole = Target { address: target, port: None, scheme: None };
    server(target).unwrap_or(whole)
}

fn server(target: &str) -> Option<Target<'_>> {
    let host = |authority, scheme| {
        let (address, port) = host::parse(authority)?;
        Some(Target { address, port, scheme: Some(scheme) })
    };
    let Some((scheme, rest)) = target.split_once(':') else {
        return host(target, "http");
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => host(authority(rest)?, "http").map(with_default_port),
        "https" => host(authority(rest)?, "https").map(with_default_port),
        "unix" | "unix-abstract" => {
            let address = endpoint(rest);
            (!address.is_empty()).then_some(Target { address, port: None, scheme: None })
        }
        "dns" | "passthrough" | "xds" => host(endpoint(rest).trim_start_matches('/'), "http"),
        // Several addresses are no one server.
        "ipv4" | "ipv6" if rest.contains(',') => None,
        "ipv4" | "ipv6" if rest.parse::<Ipv6Addr>().is_ok() => {
            Some(Target { address: rest, port: None, scheme: Some("http") })
        }
        "ipv4" | "ipv6" => host(rest, "http"),
        "vsock" => None,
        // Without a scheme it is a host with a port.
        _ => host(target, "http"),
    }
}

fn with_default_port(target: Target<'_>) -> Target<'_> {
    let port = target.port.or_else(|| target.scheme.and_then(url::default_port));
    Target { port, ..target }
}

/// What comes after the scheme, without the [authority] that is to resolve it.
///
/// [authority]: https://github.com/grpc/grpc/blob/master/doc/naming.md#detailed-design
fn endpoint(rest: &str) -> &str {
    match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
        None => rest,
    }
}

/// From after the `//` up to the path.
fn authority(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")?.split(['/', '?', '#']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_a_socket_or_itself() {
        for (target, address, port) in [
            ("inventory", "inventory", None),
            ("inventory:50051", "inventory", Some(50051)),
            ("127.0.0.1:50051", "127.0.0.1", Some(50051)),
            ("[::1]:50051", "::1", Some(50051)),
            ("[::1]", "::1", None),
            ("http://inventory:50051", "inventory", Some(50051)),
            ("http://inventory", "inventory", Some(80)),
            ("https://inventory/", "inventory", Some(443)),
            ("http://inventory?x=y", "inventory", Some(80)),
            ("http://inventory#x", "inventory", Some(80)),
            ("HTTPS://[::1]", "::1", Some(443)),
            ("http://user:secret@inventory:1/path?query", "inventory", Some(1)),
            ("dns:inventory:50051", "inventory", Some(50051)),
            ("dns:///inventory:50051", "inventory", Some(50051)),
            ("dns:///inventory", "inventory", None),
            ("dns://1.2.3.4/grpc.io:50051", "grpc.io", Some(50051)),
            ("dns://[::1]:53/grpc.io", "grpc.io", None),
            ("dns:[::1]:50051", "::1", Some(50051)),
            ("DNS:///inventory:1", "inventory", Some(1)),
            ("passthrough:///inventory:50051", "inventory", Some(50051)),
            ("passthrough:inventory:50051", "inventory", Some(50051)),
            ("xds:///inventory.prod", "inventory.prod", None),
            ("xds://authority/inventory:1", "inventory", Some(1)),
            ("unix:run/inventory.sock", "run/inventory.sock", None),
            ("unix:/run/inventory.sock", "/run/inventory.sock", None),
            ("unix:///run/inventory.sock", "/run/inventory.sock", None),
            ("unix-abstract:inventory", "inventory", None),
            ("ipv4:192.0.2.1:50051", "192.0.2.1", Some(50051)),
            ("ipv4:192.0.2.1", "192.0.2.1", None),
            ("ipv4:192.0.2.1:1,192.0.2.2:2", "ipv4:192.0.2.1:1,192.0.2.2:2", None),
            ("ipv6:[2001:db8::1]:50051", "2001:db8::1", Some(50051)),
            ("ipv6:2001:db8::1", "2001:db8::1", None),
            ("ipv6:[::1]:1,[::2]:2", "ipv6:[::1]:1,[::2]:2", None),
            // What is not understood is repeated.
            ("dns:///", "dns:///", None),
            ("dns://1.2.3.4", "dns://1.2.3.4", None),
            ("dns:///inventory:port", "dns:///inventory:port", None),
            ("dns:///a b", "dns:///a b", None),
            ("unix:", "unix:", None),
            ("unix://host", "unix://host", None),
            ("vsock:2:50051", "vsock:2:50051", None),
            ("vsock:2", "vsock:2", None),
            ("http:inventory", "http:inventory", None),
            ("bufconn", "bufconn", None),
            ("inventory:http", "inventory:http", None),
            ("a,b", "a,b", None),
            ("::1", "::1", None),
        ] {
            let parsed = parse(target);
            assert_eq!((parsed.address, parsed.port), (address, port), "{target:?}");
        }
    }

    #[test]
    fn a_host_is_one_that_could_be_asked_for_something_else() {
        for (target, scheme) in [
            ("inventory", Some("http")),
            ("dns:///inventory:443", Some("http")),
            ("http://inventory", Some("http")),
            ("Https://inventory", Some("https")),
            ("ipv6:2001:db8::1", Some("http")),
            ("unix:inventory", None),
            ("unix-abstract:inventory", None),
            ("vsock:2", None),
            ("ipv4:192.0.2.1,192.0.2.2", None),
        ] {
            assert_eq!(parse(target).scheme, scheme, "{target}");
        }
    }
}
