//! The description: what a span says of its request, before the start and after.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use http::{Version, header};
use opentelemetry::{Key, KeyValue};

use crate::{
    exchange::head::RequestHead,
    intern,
    semconv::{host, keys, method::Folded, url, user_agent},
    server::{Connection, config::Config, forwarded::Seen},
};

/// How many attributes a span has room for at first: all that the defaults write.
const ROOM: usize = 16;

/// A request, and what the policies make of it.
pub(super) struct Description<'a> {
    config: &'a Config,
    head: &'a RequestHead<'a>,
    method: Folded,
    connection: Connection,
    seen: Seen<'a>,
}

impl<'a> Description<'a> {
    pub(super) fn new(config: &'a Config, head: &'a RequestHead<'a>) -> Self {
        let connection = Connection::of(head.extensions());
        let peer = connection.peer().map(|peer| peer.ip());
        Self {
            config,
            head,
            method: config.known_methods.fold(head.method()),
            connection,
            seen: config.forwarded.read(head.headers(), peer),
        }
    }

    /// The span's name, and whether it is the user's: then a route does not change it any more.
    pub(super) fn name(&self) -> (Cow<'static, str>, bool) {
        let named = self.config.span_name.as_ref().and_then(|name| name.of(self.head));
        match named {
            Some(name) => (name, true),
            None => (self.method.span_name(self.head.route()), false),
        }
    }

    pub(super) fn into_method(self) -> Folded {
        self.method
    }

    /// What a sampler may look at, in a vector with room for the rest; and the keys that are hooks'.
    pub(super) fn before_start(&self) -> (Vec<KeyValue>, Vec<Key>) {
        let (headers, redaction) = (self.head.headers(), &self.config.exchange.redaction);
        let mut list = Vec::with_capacity(ROOM);

        list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, self.method.recorded()));
        if self.method.is_other() {
            let original = self.head.method().as_str().to_owned();
            list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
        }
        let uri = self.head.uri();
        list.push(KeyValue::new(keys::URL_PATH, redaction.path(uri.path()).into_owned()));
        if let Some(query) = uri.query() {
            list.push(KeyValue::new(keys::URL_QUERY, redaction.query(query).into_owned()));
        }
        list.push(KeyValue::new(keys::URL_SCHEME, self.scheme()));
        let asked_for = || host::server(uri, headers);
        let forwarded = self.seen.host.as_ref().map(|(host, port)| (host.as_ref(), *port));
        if let Some((address, port)) = forwarded.or_else(asked_for) {
            list.push(KeyValue::new(keys::SERVER_ADDRESS, intern::shared(address)));
            if let Some(port) = port {
                list.push(KeyValue::new(keys::SERVER_PORT, i64::from(port)));
            }
        }
        if let Some((address, _)) = self.client() {
            list.push(KeyValue::new(keys::CLIENT_ADDRESS, intern::address(address)));
        }
        if let Some(agent) = headers.get(header::USER_AGENT) {
            let text = String::from_utf8_lossy(agent.as_bytes());
            list.push(KeyValue::new(keys::USER_AGENT_ORIGINAL, intern::shared(&text)));
            if self.config.opt_in.user_agent_synthetic
                && let Some(synthetic) = user_agent::synthetic_type(agent.as_bytes())
            {
                list.push(KeyValue::new(keys::USER_AGENT_SYNTHETIC_TYPE, synthetic));
            }
        }
        self.config.request_headers.capture(headers, redaction, &mut list);

        let hooks = &self.config.exchange.hooks;
        let mut hook_keys = Vec::new();
        if !hooks.request.is_empty() {
            hooks.request(self.head, &mut list);
            let keys = list.iter().map(|attribute| &attribute.key);
            hook_keys.extend(keys.filter(|key| !keys::is_ours(key.as_str())).cloned());
        }
        (list, hook_keys)
    }

    /// Who asked, and from which port.
    fn client(&self) -> Option<(IpAddr, Option<u16>)> {
        let forwarded = self.seen.client.map(|node| (node.address, node.port));
        forwarded.or_else(|| self.connection.peer().map(|peer| (peer.ip(), Some(peer.port()))))
    }

    fn scheme(&self) -> &'static str {
        let encrypted = || self.connection.is_tls().then_some("https");
        self.seen
            .scheme
            .or_else(|| url::scheme(self.head.uri()))
            .or_else(encrypted)
            .unwrap_or("http")
    }

    /// What is of use only on a span that records.
    pub(super) fn once_recording(&self) -> impl Iterator<Item = KeyValue> {
        let opt_in = self.config.opt_in;
        let (peer, local) = (self.connection.peer(), self.connection.local());
        let local = local.filter(|_| opt_in.network_local);
        let address = |key, address: SocketAddr| KeyValue::new(key, intern::address(address.ip()));
        let port = |key, port: u16| KeyValue::new(key, i64::from(port));
        let client_port = self.client().and_then(|(_, port)| port).filter(|_| opt_in.client_port);
        let transport = (opt_in.network_transport && peer.is_some()).then(|| {
            let quic = self.head.version() == Version::HTTP_3;
            KeyValue::new(keys::NETWORK_TRANSPORT, if quic { "quic" } else { "tcp" })
        });
        [
            url::protocol_version(self.head.version())
                .map(|version| KeyValue::new(keys::NETWORK_PROTOCOL_VERSION, version)),
            peer.map(|peer| address(keys::NETWORK_PEER_ADDRESS, peer)),
            peer.map(|peer| port(keys::NETWORK_PEER_PORT, peer.port())),
            client_port.map(|client| port(keys::CLIENT_PORT, client)),
            local.map(|local| address(keys::NETWORK_LOCAL_ADDRESS, local)),
            local.map(|local| port(keys::NETWORK_LOCAL_PORT, local.port())),
            transport,
        ]
        .into_iter()
        .flatten()
    }
}
