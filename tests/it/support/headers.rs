//! What a propagator reads and writes: on a header map, and the same with everybody else's carrier.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use tower_telemetry::propagation::Propagator;

/// The ids of most tests.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const SPAN: &str = "b7ad6b7169203331";

/// What all formats read, with one of Jaeger's for baggage.
pub(crate) const NAMES: [&str; 12] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "uberctx-a",
    "uberctx-b",
    "x-amzn-trace-id",
];

pub(crate) fn map<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: &[(N, V)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_ref()).unwrap(),
            HeaderValue::from_bytes(value.as_ref()).unwrap(),
        );
    }
    headers
}

/// What is found in the lines.
pub(crate) fn extract<P>(propagator: P, lines: &[(&str, &str)]) -> Context
where
    P: TextMapPropagator + Clone + Send + Sync + 'static,
{
    extract_in(propagator, &Context::new(), lines)
}

/// The same, in a Context that holds something already.
pub(crate) fn extract_in<P>(propagator: P, cx: &Context, lines: &[(&str, &str)]) -> Context
where
    P: TextMapPropagator + Clone + Send + Sync + 'static,
{
    let headers = map(lines);
    let foreign = propagator.extract_with_context(cx, &HeaderExtractor(&headers));
    let cx = Propagator::new(propagator).extract(cx, &headers);
    if !lines.iter().all(|(_, value)| value.is_ascii()) {
        // What is no text, opentelemetry-http's carrier does not show.
        return cx;
    }
    assert_eq!(foreign.span().span_context(), cx.span().span_context(), "{lines:?}");
    assert_eq!(baggage(&foreign), baggage(&cx), "{lines:?}");
    cx
}

/// What is written, as sorted lines.
pub(crate) fn inject<P>(propagator: P, cx: &Context) -> Vec<String>
where
    P: TextMapPropagator + Clone + Send + Sync + 'static,
{
    let mut foreign = HeaderMap::new();
    propagator.inject_context(cx, &mut HeaderInjector(&mut foreign));
    let mut headers = HeaderMap::new();
    Propagator::new(propagator).inject(cx, &mut headers);
    assert_eq!(foreign, headers);
    lines(&headers)
}

pub(crate) fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

/// The entries with their properties, sorted.
pub(crate) fn baggage(cx: &Context) -> Vec<(String, String, String)> {
    let entries = cx.baggage().iter().map(|(key, (value, metadata))| {
        (key.to_string(), value.to_string(), metadata.as_str().to_owned())
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}

/// A Context with a span that was started here.
pub(crate) fn local(flags: u8, state: TraceState) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        opentelemetry::TraceId::from_hex(TRACE).unwrap(),
        opentelemetry::SpanId::from_hex(SPAN).unwrap(),
        TraceFlags::new(flags),
        false,
        state,
    ))
}
