//! A request that goes out takes the current span's context along.

use std::convert::Infallible;

use axum::{Router, routing::get};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use opentelemetry::{
    Context,
    trace::{FutureExt, SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_telemetry::{PropagationLayer, propagation::TraceContext};

use crate::support::client;

const TRACEPARENT: &str = "00-0000000000000000000000000000002a-000000000000000b-01";

fn layer() -> PropagationLayer {
    PropagationLayer::new().with_propagator(TraceContext::new())
}

fn traced(flags: TraceFlags, state: &str) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        42_u128.into(),
        11_u64.into(),
        flags,
        false,
        state.parse::<TraceState>().unwrap(),
    ))
}

/// What a service under the layer gets to see of the trace headers.
fn received(cx: Context, request: Request<()>) -> HeaderMap {
    let inner =
        service_fn(
            |request: Request<()>| async move { Ok::<_, Infallible>(request.into_parts().0) },
        );
    let _attached = cx.attach();
    tokio_test::block_on(layer().layer(inner).call(request)).unwrap().headers
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn the_current_span_is_written_also_if_it_is_not_sampled() {
    let headers = received(traced(TraceFlags::SAMPLED, "a=1,b=2"), Request::new(()));
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT]);
    assert_eq!(lines(&headers, "tracestate"), ["a=1,b=2"]);

    let headers = received(traced(TraceFlags::NOT_SAMPLED, ""), Request::new(()));
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT.replace("-01", "-00")]);
    assert!(lines(&headers, "tracestate").is_empty());
}

#[test]
fn flags_that_no_recommendation_knows_are_not_sent() {
    let headers = received(traced(TraceFlags::new(0xff), ""), Request::new(()));
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT.replace("-01", "-03")]);
}

#[test]
fn what_was_there_is_replaced() {
    let request = Request::builder()
        .header("traceparent", "old")
        .header("traceparent", "older")
        .header("other", "stays")
        .body(())
        .unwrap();
    let headers = received(traced(TraceFlags::SAMPLED, ""), request);
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT]);
    assert_eq!(lines(&headers, "other"), ["stays"]);

    // A list that was sent to us is not ours to send on in the name of a trace of our own.
    let request = Request::builder().header("tracestate", "foreign=1").body(()).unwrap();
    let headers = received(traced(TraceFlags::SAMPLED, ""), request);
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT]);
    assert!(lines(&headers, "tracestate").is_empty());
}

#[test]
fn without_a_span_nothing_is_written_and_nothing_taken_away() {
    assert!(received(Context::new(), Request::new(())).is_empty());
    let request = Request::builder().header("traceparent", "old").body(()).unwrap();
    assert_eq!(lines(&received(Context::new(), request), "traceparent"), ["old"]);
}

#[test]
fn the_span_is_that_of_the_call_not_of_the_layer() {
    let inner = service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(Response::new(request.into_parts().0.headers))
    });
    let mut service = layer().layer(inner);
    let future = {
        let _attached = traced(TraceFlags::SAMPLED, "").attach();
        service.call(Request::new(()))
    };
    let headers = tokio_test::block_on(future).unwrap().into_body();
    assert_eq!(lines(&headers, "traceparent"), [TRACEPARENT]);
}

/// A server that answers with the `traceparent` it was sent.
async fn echo() -> String {
    let app = Router::new().route(
        "/",
        get(|headers: HeaderMap| async move { lines(&headers, "traceparent").join(" and ") }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn around_a_reqwest_client() {
    let url = echo().await;
    let client = client::local();
    let request = client.get(&url).build().unwrap();
    let again = request.try_clone().unwrap();
    let mut traced_client = layer().layer(client);
    let current = traced(TraceFlags::SAMPLED, "");
    for request in [request, again] {
        let response = traced_client.call(request).with_context(current.clone()).await.unwrap();
        // The call was made outside of the Context, where there is no span.
        assert_eq!(response.text().await.unwrap(), "");
    }
    for _ in 0..2 {
        let request = traced_client.get_ref().get(&url).build().unwrap();
        let mut client = traced_client.clone();
        let call = async move { client.call(request).await };
        let response = call.with_context(current.clone()).await.unwrap();
        assert_eq!(response.text().await.unwrap(), TRACEPARENT);
    }
}

#[tokio::test]
async fn around_a_hyper_client() {
    let url = echo().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let request = Request::get(&url).body(Empty::new()).unwrap();
    let client = layer().layer(client);
    let call = async move { client.oneshot(request).await };
    let response = call.with_context(traced(TraceFlags::SAMPLED, "")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, TRACEPARENT);
}
