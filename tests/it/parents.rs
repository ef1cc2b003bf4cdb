//! Whose child a server span is.

use std::convert::Infallible;

use http::{HeaderMap, Request, Response};
use opentelemetry::{
    Context, SpanId, TraceId,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, Service, service_fn};
use tower_telemetry::TraceLayer;

use crate::support::recorder::Recorder;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn serve(layer: &TraceLayer, headers: &[(&'static str, &str)]) -> Context {
    let inner = service_fn(|_: Request<()>| async {
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(Context::current());
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let mut response = tokio_test::block_on(layer.layer(inner).call(request)).unwrap();
    response.extensions_mut().remove().unwrap()
}

fn span(headers: &[(&'static str, &str)]) -> SpanData {
    let recorder = Recorder::new();
    serve(&recorder.layer(), headers);
    recorder.span()
}

#[test]
fn a_traceparent_makes_the_callers_span_the_parent() {
    let span = span(&[("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    assert_eq!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_context.trace_state().header(), "a=1,b=2");
    assert!(!span.span_context.is_remote());
}

#[test]
fn without_a_traceparent_or_with_a_malformed_one_the_span_is_a_root() {
    for headers in [
        &[][..],
        &[("traceparent", "")],
        &[("traceparent", "junk")],
        &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")],
        &[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")],
        &[("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
        &[("tracestate", "a=1")],
    ] {
        let span = span(headers);
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{headers:?}");
        assert!(!span.parent_span_is_remote);
        assert_ne!(span.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.span_context.trace_state(), &TraceState::NONE);
    }
}

#[test]
fn a_traceparent_sent_twice_is_none_also_if_one_of_them_is_no_text() {
    let recorder = Recorder::new();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut request = Request::new(());
    request.headers_mut().append("traceparent", TRACEPARENT.parse().unwrap());
    let junk = http::HeaderValue::from_bytes(b"\xff").unwrap();
    request.headers_mut().append("traceparent", junk);
    tokio_test::block_on(recorder.layer().layer(inner).call(request)).unwrap();
    assert_eq!(recorder.span().parent_span_id, SpanId::INVALID);
}

#[test]
fn a_malformed_tracestate_leaves_the_parent_as_it_is() {
    let span = span(&[("traceparent", TRACEPARENT), ("tracestate", "not a list")]);
    assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(span.span_context.trace_state(), &TraceState::NONE);
}

#[test]
fn the_ambient_span_is_the_parent_if_the_headers_name_none() {
    let ambient = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let recorder = Recorder::new();
    {
        let _attached = Context::new().with_remote_span_context(ambient).attach();
        serve(&recorder.layer(), &[]);
        serve(&recorder.layer(), &[("traceparent", TRACEPARENT)]);
    }
    let parents: Vec<_> = recorder.spans().iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [SpanId::from(2), SpanId::from_hex("b7ad6b7169203331").unwrap()]);
}

#[test]
fn a_parent_that_is_not_sampled_is_followed() {
    let recorder = Recorder::new();
    let not_sampled = TRACEPARENT.replace("-01", "-00");
    let cx = serve(&recorder.layer(), &[("traceparent", &not_sampled)]);
    assert!(recorder.spans().is_empty());
    // What the handler calls is still a part of the trace.
    let span = cx.span().span_context().clone();
    assert_eq!(span.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(span.span_id().to_string(), "b7ad6b7169203331");
    assert!(!span.is_sampled());
}

#[test]
fn where_no_span_can_be_made_the_callers_stays_the_parent_of_what_is_called() {
    // No provider at all, one that is shut down, and a Context in which nothing may be traced.
    let no_provider =
        TraceLayer::new().with_propagator(tower_telemetry::propagation::TraceContext::new());
    let shut_down = Recorder::new();
    let layer = shut_down.layer();
    shut_down.provider.shutdown().unwrap();
    let suppressed = Recorder::new();

    let of = |cx: Context| cx.span().span_context().span_id().to_string();
    let headers = [("traceparent", TRACEPARENT)];
    assert_eq!(of(serve(&no_provider, &headers)), "b7ad6b7169203331");
    assert_eq!(of(serve(&layer, &headers)), "b7ad6b7169203331");
    let _quiet = Context::enter_telemetry_suppressed_scope();
    assert_eq!(of(serve(&suppressed.layer(), &headers)), "b7ad6b7169203331");
    assert!(suppressed.spans().is_empty());
}

#[test]
fn a_flood_of_trace_headers_is_no_parent_and_no_panic() {
    let recorder = Recorder::new();
    let long = "a".repeat(60_000);
    let many: Vec<(&'static str, &str)> =
        (0..200).map(|_| ("tracestate", "k=v")).chain([("traceparent", TRACEPARENT)]).collect();
    serve(&recorder.layer(), &[("traceparent", &long), ("tracestate", &long)]);
    serve(&recorder.layer(), &many);
    assert_eq!(recorder.spans().len(), 2);
    let mut headers = HeaderMap::new();
    tower_telemetry::propagation::Propagator::new(
        tower_telemetry::propagation::TraceContext::new(),
    )
    .inject(
        &Context::new().with_remote_span_context(recorder.spans()[1].span_context.clone()),
        &mut headers,
    );
    assert_eq!(headers.get("tracestate"), None);
}
