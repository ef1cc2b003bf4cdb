//! The description: what a span says of its request, before the start and after.

use std::{
    borrow::Cow,
    mem,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Version, header};
use opentelemetry::{Context, Key, KeyValue, trace::SpanRef};

use crate::{
    exchange::{
        attributes::{Server, push_server},
        begin::Describe,
        grpc::call::Call,
        http::HttpRequest,
        kind::Kind,
        metrics::{
            instruments::Instruments,
            measured::{Facts, Measured},
        },
        outcome::Side,
        recorded::Recorded,
        response::content_length,
        told::{Route, RouteSource},
    },
    head::RequestHead,
    intern,
    semconv::{
        host,
        keys::{self, Convention},
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
    kind: Kind,
    connection: Connection,
    seen: Seen<'a>,
    name: Cow<'static, str>,
    /// Whether the name is the user's: then a route does not change it any more.
    named: bool,
    attributes: Vec<KeyValue>,
    hook_keys: Vec<Key>,
}

impl<'a> Description<'a> {
    pub(super) fn new(config: &'a Config, head: &'a RequestHead<'a>) -> Self {
        let call = Call::of(head.headers(), || head.path(), &config.exchange);
        let kind = call.map_or_else(|| Kind::Http(plain(config, head)), Kind::Grpc);
        let connection = Connection::of(head.extensions());
        let seen = config.forwarded.read(head.headers(), connection.peer().map(|peer| peer.ip()));
        Self {
            config,
            head,
            kind,
            connection,
            seen,
            name: Cow::Borrowed(""),
            named: false,
            attributes: Vec::new(),
            hook_keys: Vec::new(),
        }
    }

    fn old_names(&self) -> Option<LegacyNames> {
        let of_http = self.kind.convention() == Convention::Http;
        self.config.exchange.legacy_names.filter(|_| of_http)
    }

    /// What a sampler may look at, in a vector with room for the rest.
    fn gathered(&mut self) -> Vec<KeyValue> {
        let server = self.server();
        let headers = self.head.headers();
        match &mut self.kind {
            Kind::Grpc(call) => call.attributes(server, headers, &self.config.exchange, ROOM),
            Kind::Http(request) => {
                let method = request.method.clone();
                self.of_http(&method, server)
            }
        }
    }

    fn of_http(&self, method: &Folded, server: Option<Server>) -> Vec<KeyValue> {
        let (headers, redaction) = (self.head.headers(), &self.config.exchange.redaction);
        let mut list = Vec::with_capacity(ROOM);

        list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, method.recorded()));
        if method.is_other() {
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
        let http = self.kind.convention() == Convention::Http;
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
    fn gather(&mut self, cx: &Context) {
        let (head, settings) = (self.head, &self.config.exchange);
        let given = self.config.span_name.as_ref().and_then(|name| name.of(head));
        self.named = given.is_some();
        self.name = given.unwrap_or_else(|| self.kind.span_name());
        self.attributes = self.gathered();
        let (list, convention) = (&mut self.attributes, self.kind.convention());
        let others = settings.baggage_keys.capture(cx, list);
        self.hook_keys = settings.hooks.request(|| *head, list, convention, others);
        if let Some(names) = self.old_names() {
            legacy::rename(&mut self.attributes, names);
        }
    }

    fn take_name(&mut self) -> Cow<'static, str> {
        mem::take(&mut self.name)
    }

    fn take_attributes(&mut self) -> Vec<KeyValue> {
        mem::take(&mut self.attributes)
    }

    fn record(&mut self, span: &SpanRef<'_>) -> Recorded {
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
        Recorded::new(self.named, mem::take(&mut self.hook_keys))
    }

    fn measure(&self, instruments: Arc<Instruments>) -> Measured {
        let (headers, convention) = (self.head.headers(), self.kind.convention());
        Measured::new(
            instruments,
            || *self.head,
            || content_length(headers),
            convention,
            |metrics| {
                let agent = metrics.wants_synthetic_type().then(|| headers.get(header::USER_AGENT));
                Facts {
                    scheme: Some(self.scheme().into()),
                    server: metrics.server(Side::Server, || self.server()),
                    synthetic_type: agent
                        .flatten()
                        .and_then(|agent| user_agent::synthetic_type(agent.as_bytes())),
                    version: Some(self.head.version()),
                }
            },
        )
    }

    fn into_kind(self) -> Kind {
        self.kind
    }
}

/// A request that is no call.
fn plain(config: &Config, head: &RequestHead<'_>) -> HttpRequest {
    let route = head
        .route()
        .map(|pattern| Route { source: RouteSource::Router, pattern: intern::shared(pattern) });
    HttpRequest {
        method: config.known_methods.fold(head.method()),
        route_is_written: config.route_before_start && route.is_some(),
        route,
    }
}
