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
/// Whoever may look at it finds the description before the start. Where the tracer knows that nobody
/// looks, it waits until the span is known to record: then a request that does not builds nothing.
pub(super) fn make_span<B>(config: &Config, request: &Request<B>, parent_cx: &Context) -> Guard {
    let tracer = &config.providers.tracer;
    let mut guard = if tracer.wants_start_attributes(parent_cx) {
        let (name, attributes) = describe(request);
        let builder = SpanBuilder::from_name(name).with_attributes(attributes);
        Guard::start(tracer, builder.with_kind(SpanKind::Server), parent_cx)
    } else {
        let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
        let guard = Guard::start(tracer, builder, parent_cx);
        if guard.is_recording() {
            let (name, attributes) = describe(request);
            guard.describe(name, attributes);
        }
        guard
    };
    guard.expect(ends_with_head(request.method()));
    guard
}

/// The span's name, and its attributes as far as the request tells them.
fn describe<B>(request: &Request<B>) -> (Cow<'static, str>, Vec<KeyValue>) {
    let method = method::known(request.method());
    let route = matched_route(request.extensions());
    (name(method, route), attributes(request, method, route))
}

/// [`{method} {route}`][name], or `{method}` where no route is known; never the path.
///
/// [name]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name
fn name(method: &'static str, route: Option<&str>) -> Cow<'static, str> {
    let method = method::in_span_name(method);
    match route {
        Some(route) => format!("{method} {route}").into(),
        None => method.into(),
    }
}

/// The attributes of [an HTTP server span][table] that the request tells.
///
/// [table]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
fn attributes<B>(request: &Request<B>, method: &'static str, route: Option<&str>) -> Vec<KeyValue> {
    let (uri, headers) = (target(request), request.headers());
    let mut attributes = Vec::with_capacity(MOST_ATTRIBUTES);

    attributes.push(KeyValue::new(keys::HTTP_REQUEST_METHOD, method));
    if method == method::OTHER {
        let original = request.method().as_str().to_owned();
        attributes.push(KeyValue::new(keys::HTTP_REQUEST_METHOD_ORIGINAL, original));
    }
    if let Some(route) = route {
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
