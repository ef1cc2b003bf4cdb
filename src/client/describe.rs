//! The description: what a span says of its request and its response.

use std::{borrow::Cow, mem, net::SocketAddr};

use http::{Version, header};
use opentelemetry::{Context, Key, KeyValue, trace::SpanRef};

use crate::{
    client::{OutgoingRequest, config::Config, grpc_target::GrpcTarget, seen::Seen},
    exchange::{
        attributes::{Server, push_server},
        begin::Describe,
        grpc::call::{Call, convention},
        guard::Guard,
        http::HttpRequest,
        live::{Kind, Known},
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
    method: Folded,
    /// The call that it is, if it is one.
    call: Option<Call>,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    hook_keys: Vec<Key>,
}

impl<'a, 'r, R: OutgoingRequest> Description<'a, 'r, R> {
    /// What a sampler may look at.
    pub(super) fn before_start(
        config: &'a Config,
        seen: &'a Seen<'r, R>,
        resend_count: Option<u32>,
        cx: &Context,
    ) -> Self {
        let method = config.known_methods.fold(seen.request.method());
        let call = Call::of(seen.request.headers(), || seen.path(), &config.exchange);
        let named = config.span_name.as_ref().and_then(|name| name.of(&seen.head()));
        let name = named.unwrap_or_else(|| match &call {
            Some(call) => call.span_name(),
            None => method.span_name(seen.template()),
        });
        let convention = convention(call.as_ref());
        let mut description = Self {
            config,
            seen,
            method,
            call,
            name,
            attributes: Vec::new(),
            hook_keys: Vec::new(),
        };
        let server = description.call.is_some().then(|| description.channel()).flatten();
        description.attributes = match &mut description.call {
            Some(call) => call.attributes(server, seen.request.headers(), &config.exchange, ROOM),
            None => description.gathered(resend_count),
        };
        let list = &mut description.attributes;
        let others = config.exchange.baggage_keys.capture(cx, list);
        let hooks = &config.exchange.hooks;
        description.hook_keys = hooks.request(|| seen.head(), list, convention, others);
        description
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

    fn gathered(&self, resend_count: Option<u32>) -> Vec<KeyValue> {
        let Self { config, seen, .. } = self;
        let (origin, redaction) = (config.origin(), &config.exchange.redaction);
        let headers = seen.request.headers();
        let mut list = Vec::with_capacity(ROOM);

        list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, self.method.recorded()));
        if self.method.is_other() {
            let original = seen.request.method().as_str().to_owned();
            list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
        }
        list.push(KeyValue::new(keys::URL_FULL, seen.url(origin, redaction)));
        push_server(&mut list, self.server());
        if let Some(template) = seen.template() {
            list.push(KeyValue::new(keys::URL_TEMPLATE, intern::shared(template)));
        }
        if let Some(count) = resend_count {
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
        let request = match self.call {
            Some(call) => Kind::Grpc(call),
            None => {
                let template = self.seen.template().map(intern::shared);
                Kind::Http(HttpRequest {
                    method: self.method,
                    route: template.map(|pattern| Route { source: RouteSource::Handler, pattern }),
                    route_is_written: true,
                })
            }
        };
        // The template is known from the start, and nobody knows a better one later.
        Known { request, named: true, hook_keys: self.hook_keys }
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
