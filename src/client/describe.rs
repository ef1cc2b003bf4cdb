//! The description: what a span says of its request and its response.

use std::{borrow::Cow, mem, net::SocketAddr};

use http::{Version, header};
use opentelemetry::{Key, KeyValue, trace::SpanRef};

use crate::{
    client::{OutgoingRequest, config::Config, seen::Seen},
    exchange::{
        begin::Describe,
        live::Known,
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
    ) -> Self {
        let method = config.known_methods.fold(seen.request.method());
        let named = config.span_name.as_ref().and_then(|name| name.of(&seen.head()));
        let name = named.unwrap_or_else(|| method.span_name(seen.template()));
        let mut description =
            Self { config, seen, method, name, attributes: Vec::new(), hook_keys: Vec::new() };
        description.attributes = description.gathered(resend_count);
        description.hook_keys =
            config.exchange.hooks.request(|| seen.head(), &mut description.attributes);
        description
    }

    fn gathered(&self, resend_count: Option<u32>) -> Vec<KeyValue> {
        let Self { config, seen, .. } = self;
        let (origin, redaction) = (config.origin.as_ref(), &config.exchange.redaction);
        let headers = seen.request.headers();
        let mut list = Vec::with_capacity(ROOM);

        list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, self.method.recorded()));
        if self.method.is_other() {
            let original = seen.request.method().as_str().to_owned();
            list.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
        }
        list.push(KeyValue::new(keys::URL_FULL, seen.url(origin, redaction)));
        let scheme = seen.scheme(origin);
        if let Some((address, port)) = seen.server(origin) {
            list.push(KeyValue::new(keys::SERVER_ADDRESS, intern::shared(address)));
            if let Some(port) = port.or_else(|| url::default_port(scheme)) {
                list.push(KeyValue::new(keys::SERVER_PORT, i64::from(port)));
            }
        }
        if let Some(template) = seen.template() {
            list.push(KeyValue::new(keys::URL_TEMPLATE, intern::shared(template)));
        }
        if let Some(count) = resend_count {
            list.push(KeyValue::new(keys::HTTP_REQUEST_RESEND_COUNT, i64::from(count)));
        }
        let opt_in = config.opt_in;
        if opt_in.url_scheme {
            list.push(KeyValue::new(keys::URL_SCHEME, intern::shared(scheme)));
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
        let template = self.seen.template().map(intern::shared);
        Known {
            method: self.method,
            // The template is known from the start, and nobody knows a better one later.
            named: true,
            route: template.map(|pattern| Route { source: RouteSource::Handler, pattern }),
            route_is_written: true,
            hook_keys: self.hook_keys,
        }
    }
}

/// What only the response tells of the connection: the version that both sides have settled on, and
/// whose address it was.
pub(super) fn of_connection(
    version: Version,
    peer: Option<SocketAddr>,
) -> impl Iterator<Item = KeyValue> {
    url::protocol_version(version)
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
