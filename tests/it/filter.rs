//! What is filtered leaves no trace, and is left alone.

use std::convert::Infallible;

use http::{Request, Response};
use opentelemetry::{Context, trace::TraceContextExt};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{TraceLayer, propagation::ResponsePropagation, server::Verdict};

use crate::support::{
    exchange::{exchange, response},
    recorder::Recorder,
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).header("traceparent", TRACEPARENT).body(()).unwrap()
}

/// What the service sees: the current span's id, and whether it was left a handle.
fn seen(layer: &TraceLayer, request: Request<()>) -> (String, usize) {
    let inner = service_fn(|request: Request<()>| {
        let span_id = Context::current().span().span_context().span_id().to_string();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert((span_id, request.extensions().len()));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut response = tokio_test::block_on(layer.layer(inner).call(request)).unwrap();
    response.extensions_mut().remove().unwrap()
}

#[test]
fn a_filtered_request_has_no_span_no_context_and_nothing_in_it() {
    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .with_response_propagation(ResponsePropagation::none().with_traceresponse())
        .with_filter(|request| match request.path() {
            "/healthz" => Verdict::none(),
            _ => Verdict::all(),
        });
    assert_eq!(seen(&layer, request("/healthz")), ("0000000000000000".to_owned(), 0));
    assert!(exchange(&layer, request("/healthz?full"), response("")).headers().is_empty());
    assert!(recorder.spans().is_empty());
    exchange(&layer, request("/items"), response(""));
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_request_without_a_span_may_still_take_its_callers_along() {
    let recorder = Recorder::of_spans_alone();
    let layer = recorder.layer().with_filter(|_| Verdict::none());
    assert_eq!(seen(&layer, request("/")).0, "0000000000000000");
    let layer = recorder.layer().with_filter(|_| Verdict::all().without_span());
    assert_eq!(seen(&layer, request("/")), ("b7ad6b7169203331".to_owned(), 0));
    assert!(recorder.spans().is_empty());
}

#[test]
fn all_filters_have_to_agree_and_one_that_panics_has_no_objection() {
    let only = |path: &'static str| {
        move |request: &tower_telemetry::server::RequestHead<'_>| {
            if request.path().starts_with(path) { Verdict::all() } else { Verdict::none() }
        }
    };
    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .with_filter(only("/items"))
        .with_filter(only("/items/4"))
        .with_filter(|_| panic!("the predicate panics, as it was told to"));
    for path in ["/", "/items/5", "/items/42"] {
        exchange(&layer, request(path), response(""));
    }
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_verdict_in_the_request_is_that_of_its_route() {
    let recorder = Recorder::new();
    let mut filtered = request("/");
    filtered.extensions_mut().insert(Verdict::none());
    exchange(&recorder.layer(), filtered, response(""));
    assert!(recorder.spans().is_empty());
}
