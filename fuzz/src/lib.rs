//! What must hold of a propagator whatever comes in: no panic, and what we emit we accept.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Context, SpanId, TraceId, baggage::BaggageExt, trace::TraceContextExt};
use tower_telemetry::propagation::Propagator;

/// A traceparent for what is nothing without one.
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02";

/// Headers of this name, one for each line of the input that a header can hold.
pub fn lines(headers: &mut HeaderMap, name: &'static str, input: &[u8]) {
    for line in input.split(|&byte| byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

/// Reads the headers, writes what was found, and reads that; gives what was written.
pub fn round_trip(names: &[&str], received: &HeaderMap) -> HeaderMap {
    let propagator = Propagator::named(names).expect("the names are known");
    let found = propagator.extract(&Context::new(), received);
    let sent = written(&propagator, &found);
    let again = propagator.extract(&Context::new(), &sent);
    assert_eq!(span(&again), span(&found), "{sent:?}");
    assert_eq!(baggage(&again), baggage(&found), "{sent:?}");
    assert_eq!(written(&propagator, &again), sent);
    for value in sent.values() {
        assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')), "{sent:?}");
    }
    sent
}

fn written(propagator: &Propagator, cx: &Context) -> HeaderMap {
    let mut headers = HeaderMap::new();
    propagator.inject(cx, &mut headers);
    headers
}

fn span(cx: &Context) -> (TraceId, SpanId, bool) {
    let span = cx.span().span_context().clone();
    (span.trace_id(), span.span_id(), span.is_sampled())
}

fn baggage(cx: &Context) -> Vec<(String, String, String)> {
    let entries = cx.baggage().iter().map(|(key, (value, metadata))| {
        (key.to_string(), value.to_string(), metadata.as_str().to_owned())
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}
