//! The description: what a span says of its request and its response.

use std::{borrow::Cow, mem, net::SocketAddr, sync::Arc};

use http::{Version, header};
use opentelemetry::{Context, Key, KeyValue, trace::SpanRef};

use crate::{
    client::{OutgoingRequest, config::Config, grpc_target::GrpcTarget, seen::Seen},
    exchange::{
        attributes::{Server, push_server},
        begin::Describe,
        grpc::call::Call,
        guard::Guard,
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
    intern,
    semconv::{keys, method::Folded, url},
};

/// How many attributes a span has room for at first: all that the defaults write.
const ROOM: usize = 8;

/// A request, and what the policies make of it.
pub(super) struct Description<'a, 'r, R> {
    config: &'a Config,
    seen: &'a Seen<'r, R>,
    kind: Kind,
    resend_count: Option<u32>,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    hook_keys: Vec<Key>,
}

impl<'a, 'r, R: OutgoingRequest> Description<'a, 'r, R> {
    pub(super) fn new(
        config: &'a Config,
        seen: &'a Seen<'r, R>,
        resend_count: Option<u32>,
    ) -> Self {
        let call = Call::of(seen.request.headers(), || seen.path(), &config.exchange);
        Self {
            config,
            seen,
            kind: call.map_or_else(|| Kind::Http(plain(config, seen)), Kind::Grpc),
            resend_count,
            name: Cow::Borrowed(""),
            attributes: Vec::new(),
            hook_keys: Vec::new(),
        }
    }

    /// What a sampler may look at.
    fn gathered(&mut self) -> Vec<KeyValue> {
        let server = self.asked();
        let headers = self.seen.request.headers();
        match &mut self.kind {
            Kind::Grpc(call) => call.attributes(server, headers, &self.config.exchange, ROOM),
            Kind::Http(request) => {
                let method = request.method.clone();
                self.of_http(&method, server)
            }
        }
    }

    /// The server that is asked.
    fn asked(&self) -> Option<Server> {
        match self.kind {
            Kind::Http(_) => self.server(),
            Kind::Grpc(_) => self.channel(),
        }
    }

    /// The server of a call: what the channel's target says, or else the URL.
    fn channel(&self) -> Option<Server> {
        let target = self.config.grpc_target.as_ref();
        target.map(GrpcTarget::server).or_else(|| self.server())
    }

    /// Host and port, which is the scheme's default where none is said.
    fn server(&self) -> Option<Server> {
        let origin = self.config.origin();
        let (address, port) = self.seen.server(origin)?;
        let port = port.or_else(|| url::default_port(self.seen.scheme(origin)));
        Some((intern::shared(address), port))
    }

    fn of_http(&self, method: &Folded, server: Option<Server>) -> Vec<KeyValue> {
        let Self { config, seen, .. } = self;
        let (origin, redaction) = (config.origin(), &config.exchange.redaction);
        let headers = seen.request.headers();
        let mut list = Vec::with_capacity(ROOM);

        list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, method.recorded()));
        if method.is_other() {
            let original = seen.request.method().as_str().to_owned();
            list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
        }
        list.push(KeyValue::new(keys::URL_FULL, seen.url(origin, redaction)));
        push_server(&mut list, server);
        if let Some(template) = seen.template() {
            list.push(KeyValue::new(keys::URL_TEMPLATE, intern::shared(template)));
        }
        if let Some(count) = self.resend_count {
            list.push(KeyValue::new(keys::HTTP_REQUEST_RESEND_COUNT, i64::from(count)));
        }
        let opt_in = config.opt_in;
        if opt_in.url_scheme {
            list.push(KeyValue::new(keys::URL_SCHEME, intern::shared(seen.scheme(origin))));
        }
        if opt_in.user_agent
            && let Some(agent) = headers.get(header::USER_AGENT)
        {
            let text = redaction.user_agent(agent);
            list.push(KeyValue::new(keys::USER_AGENT_ORIGINAL, intern::shared(&text)));
        }
        config.request_headers.capture(headers, redaction, &mut list);
        list
    }
}

impl<R: OutgoingRequest> Describe for Description<'_, '_, R> {
    fn gather(&mut self, cx: &Context) {
        let (seen, settings) = (self.seen, &self.config.exchange);
        let given = self.config.span_name.as_ref().and_then(|name| name.of(&seen.head()));
        self.name = given.unwrap_or_else(|| self.kind.span_name());
        self.attributes = self.gathered();
        let (list, convention) = (&mut self.attributes, self.kind.convention());
        let others = settings.baggage_keys.capture(cx, list);
        self.hook_keys = settings.hooks.request(|| seen.head(), list, convention, others);
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
        // The template is known from the start, and nobody knows a better one later.
        Recorded::new(true, mem::take(&mut self.hook_keys))
    }

    fn measure(&self, instruments: Arc<Instruments>) -> Measured {
        Measured::new(
            instruments,
            || self.seen.head(),
            || content_length(self.seen.request.headers()).or_else(|| self.seen.request.length()),
            self.kind.convention(),
            |metrics| {
                let scheme = || intern::shared(self.seen.scheme(self.config.origin()));
                Facts {
                    scheme: metrics.wants_url_scheme().then(scheme),
                    server: metrics.server(Side::Client, || self.asked()),
                    synthetic_type: None,
                    version: None,
                }
            },
        )
    }

    fn into_kind(self) -> Kind {
        self.kind
    }
}

/// A request that is no call.
fn plain<R: OutgoingRequest>(config: &Config, seen: &Seen<'_, R>) -> HttpRequest {
    let template = seen.template().map(intern::shared);
    HttpRequest {
        method: config.known_methods.fold(seen.request.method()),
        route: template.map(|pattern| Route { source: RouteSource::Handler, pattern }),
        route_is_written: true,
    }
}

/// What only the response tells of the connection: the version that both sides have settled on,
/// which goes without saying of a gRPC call, and whose address it was.
pub(super) fn of_connection(
    guard: &Guard,
    version: Version,
    peer: Option<SocketAddr>,
) -> impl Iterator<Item = KeyValue> {
    url::protocol_version(version)
        .filter(|_| !guard.is_call())
        .map(|version| KeyValue::new(keys::NETWORK_PROTOCOL_VERSION, version))
        .into_iter()
        .chain(of_peer(peer))
}

pub(super) fn of_peer(peer: Option<SocketAddr>) -> impl Iterator<Item = KeyValue> {
    let attributes = peer.map(|peer| {
        [
            KeyValue::new(keys::NETWORK_PEER_ADDRESS, intern::address(peer.ip())),
            KeyValue::new(keys::NETWORK_PEER_PORT, i64::from(peer.port())),
        ]
    });
    attributes.into_iter().flatten()
}
