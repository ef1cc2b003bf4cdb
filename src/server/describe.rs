//! The description: what a span says of its request, before the start and after.

use std::{
    borrow::Cow,
    mem,
    net::{IpAddr, SocketAddr},
};

use http::{Version, header};
use opentelemetry::{Context, Key, KeyValue, trace::SpanRef};

use crate::{
    exchange::{
        attributes::{Server, push_server},
        begin::Describe,
        grpc::call::{Call, convention},
        http::HttpRequest,
        live::{Kind, Known},
        told::{Route, RouteSource},
    },
    head::RequestHead,
    intern,
    semconv::{
        host, keys,
        legacy::{self, LegacyNames},
        method::Folded,
        url, user_agent,
    },
    server::{Connection, config::Config, forwarded::Seen},
};

/// How many attributes a span has room for at first: all that the defaults write.
const ROOM: usize = 16;

/// A request, and what the policies make of it.
pub(super) struct Description<'a> {
    config: &'a Config,
    head: &'a RequestHead<'a>,
    method: Folded,
    /// The call that it is, if it is one.
    call: Option<Call>,
    connection: Connection,
    seen: Seen<'a>,
    name: Cow<'static, str>,
    /// Whether the name is the user's: then a route does not change it any more.
    named: bool,
    attributes: Vec<KeyValue>,
    hook_keys: Vec<Key>,
}

impl<'a> Description<'a> {
    /// What a sampler may look at, in a vector with room for the rest.
    pub(super) fn before_start(
        config: &'a Config,
        head: &'a RequestHead<'a>,
        cx: &Context,
    ) -> Self {
        let method = config.known_methods.fold(head.method());
        let connection = Connection::of(head.extensions());
        let seen = config.forwarded.read(head.headers(), connection.peer().map(|peer| peer.ip()));
        let call = Call::of(head.headers(), || head.path(), &config.exchange);
        let given = config.span_name.as_ref().and_then(|name| name.of(head));
        let named = given.is_some();
        let name = given.unwrap_or_else(|| match &call {
            Some(call) => call.span_name(),
            None => method.span_name(head.route()),
        });
        let mut description = Self {
            config,
            head,
            method,
            call,
            connection,
            seen,
            name,
            named,
            attributes: Vec::new(),
            hook_keys: Vec::new(),
        };
        let server = description.server();
        description.attributes = match &mut description.call {
            Some(call) => call.attributes(server, head.headers(), &config.exchange, ROOM),
            None => description.gathered(server),
        };
        let convention = convention(description.call.as_ref());
        let list = &mut description.attributes;
        let others = config.exchange.baggage_keys.capture(cx, list);
        description.hook_keys = config.exchange.hooks.request(|| *head, list, convention, others);
        if let Some(names) = description.old_names() {
            legacy::rename(&mut description.attributes, names);
        }
        description
    }

    fn old_names(&self) -> Option<LegacyNames> {
        self.config.exchange.legacy_names.filter(|_| self.call.is_none())
    }

    fn gathered(&self, server: Option<Server>) -> Vec<KeyValue> {
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
        push_server(&mut list, server);
        if let Some((address, _)) = self.client() {
            list.push(KeyValue::new(keys::CLIENT_ADDRESS, intern::address(address)));
        }
        if let Some(agent) = headers.get(header::USER_AGENT) {
            let text = redaction.user_agent(agent);
            list.push(KeyValue::new(keys::USER_AGENT_ORIGINAL, intern::shared(&text)));
            if self.config.opt_in.user_agent_synthetic
                && let Some(synthetic) = user_agent::synthetic_type(agent.as_bytes())
            {
                list.push(KeyValue::new(keys::USER_AGENT_SYNTHETIC_TYPE, synthetic));
            }
        }
        if self.config.route_before_start
            && let Some(route) = self.head.route()
        {
            list.push(KeyValue::new(keys::HTTP_ROUTE, intern::shared(route)));
        }
        self.config.request_headers.capture(headers, redaction, &mut list);
        list
    }

    /// Who was asked, and on which port.
    fn server(&self) -> Option<Server> {
        let asked_for = || host::server(self.head.uri(), self.head.headers());
        let forwarded = self.seen.host.as_ref().map(|(host, port)| (host.as_ref(), *port));
        let (address, port) = forwarded.or_else(asked_for)?;
        Some((intern::shared(address), port))
    }

    /// Who asked, and from which port.
    fn client(&self) -> Option<(IpAddr, Option<u16>)> {
        let forwarded = self.seen.client.map(|node| (node.address, node.port));
        forwarded.or_else(|| self.connection.peer().map(|peer| (peer.ip(), Some(peer.port()))))
    }

    fn scheme(&self) -> &'static str {
        let encrypted = || self.connection.is_tls().then_some("https");
        // What the connection is known to be, no target can deny.
        self.seen
            .scheme
            .or_else(encrypted)
            .or_else(|| url::scheme(self.head.uri()))
            .unwrap_or("http")
    }

    /// What is of use only on a span that records.
    fn late(&self) -> impl Iterator<Item = KeyValue> + use<> {
        let opt_in = self.config.opt_in;
        let (peer, local) = (self.connection.peer(), self.connection.local());
        let local = local.filter(|_| opt_in.network_local);
        let address = |key, address: SocketAddr| KeyValue::new(key, intern::address(address.ip()));
        let port = |key, port: u16| KeyValue::new(key, i64::from(port));
        // Of neither do the conventions for RPC know.
        let http = self.call.is_none();
        let version = url::protocol_version(self.head.version()).filter(|_| http);
        let client_port = self.client().and_then(|(_, port)| port);
        let client_port = client_port.filter(|_| http && opt_in.client_port);
        let transport = (opt_in.network_transport && peer.is_some()).then(|| {
            let quic = self.head.version() == Version::HTTP_3;
            KeyValue::new(keys::NETWORK_TRANSPORT, if quic { "quic" } else { "tcp" })
        });
        [
            version.map(|version| KeyValue::new(keys::NETWORK_PROTOCOL_VERSION, version)),
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

impl Describe for Description<'_> {
    fn take_name(&mut self) -> Cow<'static, str> {
        mem::take(&mut self.name)
    }

    fn take_attributes(&mut self) -> Vec<KeyValue> {
        mem::take(&mut self.attributes)
    }

    fn once_recording(mut self, span: &SpanRef<'_>) -> Known {
        if !self.attributes.is_empty() {
            span.set_attributes(self.take_attributes());
        }
        let late = self.late();
        match self.old_names() {
            None => span.set_attributes(late),
            Some(names) => {
                let mut late = late.collect();
                legacy::rename(&mut late, names);
                span.set_attributes(late);
            }
        }
        let request = match self.call {
            Some(call) => Kind::Grpc(call),
            None => {
                let route = self.head.route().map(|pattern| Route {
                    source: RouteSource::Router,
                    pattern: intern::shared(pattern),
                });
                Kind::Http(HttpRequest {
                    method: self.method,
                    route_is_written: self.config.route_before_start && route.is_some(),
                    route,
                })
            }
        };
        Known { request, named: self.named, hook_keys: self.hook_keys }
    }
}
