//! A channel's target: which server a client says that it calls.

use crate::semconv::{host, url};

/// What [`server.address` and `server.port`][address] are for a [target]: of one server its host
/// and port, or the path of its socket; of anything else the whole of it.
///
/// [address]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#client
/// [target]: https://github.com/grpc/grpc/blob/master/doc/naming.md
pub(crate) fn parse(target: &str) -> (&str, Option<u16>) {
    server(target).unwrap_or((target, None))
}

fn server(target: &str) -> Option<(&str, Option<u16>)> {
    let Some((scheme, rest)) = target.split_once(':') else {
        return host::parse(target);
    };
    let is = |names: &[&str]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    if is(&["http", "https"]) {
        let (host, port) = host::parse(authority(rest.strip_prefix("//")?))?;
        return Some((host, port.or_else(|| url::default_port(scheme))));
    }
    if is(&["unix", "unix-abstract"]) {
        let path = endpoint(rest);
        return (!path.is_empty()).then_some((path, None));
    }
    if is(&["dns", "passthrough", "xds"]) {
        return host::parse(endpoint(rest).trim_start_matches('/'));
    }
    if is(&["ipv4", "ipv6"]) {
        // Several addresses are no one server.
        let one = Some(rest).filter(|rest| !rest.contains(','))?;
        return host::parse(one).or_else(|| {
            let address = one.parse::<std::net::Ipv6Addr>().is_ok();
            address.then_some((one, None))
        });
    }
    // Without a scheme it is a host with a port.
    host::parse(target)
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

/// Up to the path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
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
            ("http:inventory", "http:inventory", None),
            ("bufconn", "bufconn", None),
            ("inventory:http", "inventory:http", None),
            ("a,b", "a,b", None),
            ("::1", "::1", None),
        ] {
            assert_eq!(parse(target), (address, port), "{target:?}");
        }
    }
}
