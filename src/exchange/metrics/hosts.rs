//! The hosts that metrics may name.

use std::sync::Arc;

use opentelemetry::StringValue;

use crate::{
    error::BuildError,
    exchange::attributes::Server,
    semconv::{host, keys::OTHER},
};

/// Hosts, and ports of some of them. Every other is [`OTHER`], without a port.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Arc<[Host]>);

#[derive(Clone, Debug)]
struct Host {
    /// Shared, so that a clone of it costs no allocation.
    name: StringValue,
    port: Option<u16>,
}

impl Hosts {
    pub(super) fn parse<H: AsRef<str>>(
        hosts: impl IntoIterator<Item = H>,
    ) -> Result<Self, BuildError> {
        let parse = |host: H| {
            let text = host.as_ref().trim();
            let parsed = host::parse(text).map(|(name, port)| Host {
                name: Arc::<str>::from(name.to_ascii_lowercase()).into(),
                port,
            });
            parsed.ok_or_else(|| {
                let reason = "must be a host, such as `shop.example`, or one with a port, such as `shop.example:8443`";
                BuildError::of_url("host of metrics", text, reason)
            })
        };
        hosts.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The host as metrics name it. The port is named where the list has it.
    pub(crate) fn named(&self, name: &str, port: Option<u16>) -> Server {
        let same_name = |host: &&Host| host.name.as_str().eq_ignore_ascii_case(name);
        let same = || self.0.iter().filter(same_name);
        let with_port = same().find(|host| host.port.is_some() && host.port == port);
        match with_port.or_else(|| same().find(|host| host.port.is_none())) {
            Some(host) => (host.name.clone(), host.port),
            None => (OTHER.into(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_if_it_is_listed_and_its_port_if_that_is() {
        let hosts = Hosts::parse(["Shop.example", "shop.example:8443", "[::1]:80"]).unwrap();
        for (name, port, named) in [
            ("shop.example", None, ("shop.example", None)),
            ("SHOP.example", Some(80), ("shop.example", None)),
            ("shop.example", Some(8443), ("shop.example", Some(8443))),
            ("::1", Some(80), ("::1", Some(80))),
            ("::1", None, ("_OTHER", None)),
            ("::1", Some(81), ("_OTHER", None)),
            ("evil.example", Some(8443), ("_OTHER", None)),
        ] {
            let (host, port) = hosts.named(name, port);
            assert_eq!((host.as_str(), port), named, "{name}");
        }
    }

    #[test]
    fn what_is_no_host_is_an_error_that_names_it() {
        for bad in ["", "a b", "host:port", "http://host/"] {
            let error = Hosts::parse([bad]).unwrap_err().to_string();
            assert!(error.contains("host of metrics"), "{error}");
        }
    }
}
