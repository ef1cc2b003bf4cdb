//! Many requests of one client over sockets, at once and one after the other: nothing of one is on
//! the spans of another.

use std::{collections::HashMap, sync::Arc};

use axum::{Router, routing::get as route};
use http::{HeaderMap, Request};
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{FutureExt, Span, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SpanData;
use reqwest::Body;
use tokio::sync::Barrier;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tower_telemetry::{ClientTraceLayer, client::SpanEnd};

use crate::support::{
    exchange::headers,
    far_side::{lines, traceparent_of},
    recorder::{Described, Recorder, attribute},
    upstream::{Act, Asked, Upstream, answer},
    way::{Client, Spans, Way, assert_below, assert_root, each_way, get, send, text},
};

const COUNT: usize = 50;

/// What tells requests apart.
const ID: &str = "test-request-id";

/// On the spans.
const ID_ATTRIBUTE: &str = "http.request.header.test-request-id";

fn numbered(url: &str, id: usize) -> Request<Body> {
    let mut request = get(url);
    request.headers_mut().insert(ID, id.into());
    request
}

/// Says in its answer which request it was asked with, when as many have come.
fn app(recorder: &Recorder, count: usize) -> Router {
    let all = Arc::new(Barrier::new(count));
    let meet = route(async move |headers: HeaderMap| {
        all.wait().await;
        headers[ID].to_str().unwrap().to_owned()
    });
    let layer = recorder.layer().with_request_headers(headers(&[ID]));
    Router::new().route("/meet", meet).layer(layer)
}

/// The span of a request that has this number.
fn of(span: Described, id: usize) -> Described {
    let values = vec![StringValue::from(id.to_string())];
    span.with(ID_ATTRIBUTE, Value::Array(Array::String(values)))
}

fn layer(recorder: &Recorder, end: SpanEnd) -> ClientTraceLayer {
    recorder.client_layer().with_request_headers(headers(&[ID])).with_span_end(end)
}

/// The spans by the request that they are of.
fn by_id(spans: &[SpanData]) -> HashMap<usize, &SpanData> {
    let id = |span| {
        let id = attribute(span, ID_ATTRIBUTE).unwrap();
        id.trim_matches(['[', ']', '"']).parse().unwrap()
    };
    let by_id: HashMap<_, _> = spans.iter().map(|span| (id(span), span)).collect();
    assert_eq!(by_id.len(), spans.len());
    by_id
}

/// Runs as many tasks at once, each with its number.
async fn crowd<F>(task: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> = (0..COUNT).map(|id| tokio::spawn(task(id))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Two clients, one of which has spans that wait for the body, take turns.
fn clients(way: Way, recorder: &Recorder, root: Option<&CertificateDer<'static>>) -> [Client; 2] {
    [SpanEnd::Head, SpanEnd::Body].map(|end| way.client(&layer(recorder, end), root))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_once_are_each_between_its_own_caller_and_its_own_server() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(&spans.recorder, COUNT)).await;
        let clients = clients(way, &spans.recorder, server.root.as_ref());
        let url = server.url("/meet");
        let tracer = spans.recorder.provider.tracer("the caller's own");
        crowd(|id| {
            let (client, request) = (clients[id % 2].clone(), numbered(&url, id));
            let tracer = tracer.clone();
            async move {
                let of_this = KeyValue::new(ID_ATTRIBUTE, id.to_string());
                let mut caller = tracer.start_with_context("caller", &Context::new());
                caller.set_attribute(of_this.clone());
                let cx = Context::new().with_span(caller);
                let call = async {
                    assert_eq!(text(send(&client, request).await).await, id.to_string());
                    tracer.start("goes on").set_attribute(of_this);
                };
                call.with_context(cx.clone()).await;
                cx.span().end();
            }
        })
        .await;

        let mut internal = spans.next_of(4 * COUNT).await;
        let mut clients = internal.split_off(2 * COUNT);
        let servers = clients.split_off(COUNT);
        let (callers, goes_on): (Vec<_>, Vec<_>) =
            internal.into_iter().partition(|span| span.name == "caller");
        let [callers, goes_on, clients, servers] =
            [&callers, &goes_on, &clients, &servers].map(|spans| by_id(spans));
        for id in 0..COUNT {
            assert_root(callers[&id]);
            assert_below(goes_on[&id], callers[&id]);
            assert_below(clients[&id], callers[&id]);
            assert_below(servers[&id], clients[&id]);
            let expected = of(way.asked("GET", &url, 200), id);
            assert_eq!(Described::from(clients[&id].clone()), expected);
            let expected = of(way.served("GET /meet", &url, 200), id);
            assert_eq!(Described::from(servers[&id].clone()), expected);
        }
        spans.assert_no_more();
    })
    .await;
}

/// Each request came on the first connection, and named its own span, of its own trace.
fn assert_each_has_named_its_own_span(recorder: &Recorder, way: Way, upstream: &mut Upstream) {
    let (spans, url) = (recorder.clients(), upstream.url("/"));
    let mut spans = by_id(&spans);
    for Asked { connection, request } in upstream.requests() {
        assert_eq!(connection, 0);
        let id = request.headers()[ID].to_str().unwrap().parse().unwrap();
        let span = spans.remove(&id).unwrap();
        assert_root(span);
        assert_eq!(lines(request.headers(), "traceparent"), [traceparent_of(span)]);
        assert_eq!(Described::from(span.clone()), of(way.asked("GET", &url, 200), id));
    }
    assert!(spans.is_empty());
    assert_eq!((recorder.spans().len(), recorder.traces()), (1 + COUNT, 1 + COUNT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_once_on_one_connection_each_name_their_own_span() {
    each_way(async |way: Way| {
        if !way.is_http2() {
            return;
        }
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let recorder = Recorder::new();
            let mut meet = vec![Act::Meet(Arc::new(Barrier::new(COUNT)))];
            meet.extend(answer(200, "met"));
            let mut upstream = way.upstream([answer(200, "first"), meet]).await;
            let client = way.client(&layer(&recorder, end), upstream.root.as_ref());
            let url = upstream.url("/");
            // Now there is a connection.
            assert_eq!(text(send(&client, numbered(&url, COUNT)).await).await, "first");
            crowd(|id| {
                let (client, request) = (client.clone(), numbered(&url, id));
                async move {
                    assert_eq!(text(send(&client, request).await).await, "met");
                }
            })
            .await;
            assert_each_has_named_its_own_span(&recorder, way, &mut upstream);
        }
    })
    .await;
}

#[tokio::test]
async fn requests_one_after_the_other_on_one_connection_each_name_their_own_span() {
    each_way(async |way: Way| {
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let recorder = Recorder::new();
            let mut upstream = way.upstream([answer(200, "hello")]).await;
            let client = way.client(&layer(&recorder, end), upstream.root.as_ref());
            for id in 0..=COUNT {
                let response = send(&client, numbered(&upstream.url("/"), id)).await;
                assert_eq!(text(response).await, "hello");
                // Over HTTP/1.1 a client has its connection back when tasks of its own have run.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            assert_each_has_named_its_own_span(&recorder, way, &mut upstream);
        }
    })
    .await;
}
