//! The span's beginning: its name, and what is known of the request.

use std::borrow::Cow;

use http::{Request, header};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind},
};

use crate::{
    exchange::guard::Guard,
    semconv::{host, keys, method, redact, url},
    server::{
        layer::Config,
        response::ends_with_head,
        route::{matched_route, target},
    },
};

/// How many attributes a span has at most, with the two that come at its end.
const MOST_ATTRIBUTES: usize = 12;

/// Starts the server span of `request`.
///
/// What a sampler may look at is there before the start, unless the tracer knows that its sampler
/// does not look: then a request that is not recorded builds nothing.
pub(super) fn make_span<B>(config: &Config, request: &Request<B>, parent_cx: &Context) -> Guard {
    let tracer = &config.providers.tracer;
    let mut guard = if tracer.wants_start_attributes(parent_cx) {
        let builder = SpanBuilder::from_name(name(request)).with_attributes(attributes(request));
        Guard::start(tracer, builder.with_kind(SpanKind::Server), parent_cx)
    } else {
        let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
        let guard = Guard::start(tracer, builder, parent_cx);
        if guard.is_recording() {
            guard.describe(name(request), attributes(request));
        }
        guard
    };
    guard.expect(ends_with_head(request.method()));
    guard
}

/// [`{method} {route}`][name], or `{method}` where no route is known; never the path.
///
/// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
fn name<B>(request: &Request<B>) -> Cow<'static, str> {
    let method = method::in_span_name(method::known(request.method()));
    match matched_route(request.extensions()) {
        Some(route) => format!("{method} {route}").into(),
        None => method.into(),
    }
}

/// The attributes of [an HTTP server span][table] that the request tells.
///
/// [table]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
fn attributes<B>(request: &Request<B>) -> Vec<KeyValue> {
    let (uri, headers) = (target(request), request.headers());
    let mut attributes = Vec::with_capacity(MOST_ATTRIBUTES);

    let method = method::known(request.method());
    attributes.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, method));
    if method == method::OTHER {
        let original = request.method().as_str().to_owned();
        attributes.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
    }
    if let Some(route) = matched_route(request.extensions()) {
        attributes.push(KeyValue::new(keys::HTTP_ROUTE, route.to_owned()));
    }
    attributes.push(KeyValue::new(keys::URL_PATH, uri.path().to_owned()));
    if let Some(query) = uri.query() {
        attributes.push(KeyValue::new(keys::URL_QUERY, redact::query(query).into_owned()));
    }
    attributes.push(KeyValue::new(keys::URL_SCHEME, url::scheme(uri)));
    if let Some((address, port)) = host::server(uri, headers) {
        attributes.push(KeyValue::new(keys::SERVER_ADDRESS, address.to_owned()));
        if let Some(port) = port {
            attributes.push(KeyValue::new(keys::SERVER_PORT, i64::from(port)));
        }
    }
    if let Some(version) = url::protocol_version(request.version()) {
        attributes.push(KeyValue::new(keys::NETWORK_PROTOCOL_VERSION, version));
    }
    if let Some(agent) = headers.get(header::USER_AGENT) {
        let agent = String::from_utf8_lossy(agent.as_bytes()).into_owned();
        attributes.push(KeyValue::new(keys::USER_AGENT_ORIGINAL, agent));
    }
    attributes
}
