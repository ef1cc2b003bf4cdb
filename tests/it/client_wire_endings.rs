//! When a client's span ends over a socket, and what passes through the layer: bodies, trailers,
//! heads that are not the last one, and upgraded connections.

use std::pin::pin;

use axum::{
    Router,
    body::Body,
    extract::Request as Incoming,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{any, get as route, post},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use opentelemetry_sdk::trace::SpanData;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tower::{Layer, Service};
use tower_telemetry::{TraceLayer, client::SpanEnd};

use crate::support::{
    body::fed,
    recorder::{Described, Recorder, attribute},
    upstream::{Act, Gate, answer, head},
    way::{Spans, Way, assert_below, bare, each_way, get, send, sent, text, with_body},
};

const ENDS: [SpanEnd; 2] = [SpanEnd::Head, SpanEnd::Body];

/// Whether a span has waited for the body.
fn has_waited(span: &SpanData) -> bool {
    attribute(span, "tower_telemetry.time_to_head").is_some()
}

/// The next frame of a body, which is data.
async fn data(body: &mut reqwest::Body) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn a_span_ends_with_the_head_or_waits_for_the_body_that_comes_later() {
    each_way(async |way: Way| {
        for end in ENDS {
            let recorder = Recorder::new();
            let gate = Gate::new();
            let script = [head(200, &[]), Act::Data("first".into()), Act::Wait(gate.clone())];
            let script = script.into_iter().chain([Act::Data("last".into()), Act::End]);
            let upstream = way.upstream([script.collect()]).await;
            let layer = recorder.client_layer().with_span_end(end).with_response_body_size();
            let client = way.client(&layer, upstream.root.as_ref());
            let url = upstream.url("/");
            let expected = way.asked("GET", &url, 200);

            let mut body = send(&client, get(&url)).await.into_body();
            if end == SpanEnd::Head {
                assert_eq!(Described::from(recorder.span()), expected);
            }
            assert_eq!(data(&mut body).await, "first");
            assert_eq!(recorder.spans().len(), usize::from(end == SpanEnd::Head));
            gate.open();
            assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
            let span = recorder.span();
            assert_eq!(has_waited(&span), end == SpanEnd::Body);
            if end == SpanEnd::Body {
                let expected = expected.with("http.response.body.size", 9);
                assert_eq!(Described::from(span), expected);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_nobody_wants_has_ended_its_span_once_and_the_client_goes_on() {
    each_way(async |way: Way| {
        for end in ENDS {
            for read in [false, true] {
                let recorder = Recorder::new();
                let length = [("content-length", "10")];
                let half = vec![head(200, &length), Act::Data("first".into()), Act::Hang];
                let mut upstream = way.upstream([half, answer(200, "hello")]).await;
                let layer = recorder.client_layer().with_span_end(end);
                let client = way.client(&layer, upstream.root.as_ref());
                let url = upstream.url("/");

                let mut response = send(&client, get(&url)).await;
                if read {
                    assert_eq!(data(response.body_mut()).await, "first");
                }
                assert_eq!(recorder.spans().len(), usize::from(end == SpanEnd::Head));
                drop(response);
                let span = recorder.span();
                assert_eq!(has_waited(&span), end == SpanEnd::Body);
                assert_eq!(Described::from(span), way.asked("GET", &url, 200));

                // What is left of it is in nobody's way.
                assert_eq!(text(send(&client, get(&url)).await).await, "hello");
                let connections: Vec<_> =
                    upstream.requests().iter().map(|asked| asked.connection).collect();
                assert_eq!(connections, if way.is_http2() { [0, 0] } else { [0, 1] });
                assert_eq!(recorder.spans().len(), 2);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_before_the_answer_has_not_failed_and_the_server_sees_it_go() {
    each_way(async |way: Way| {
        for end in ENDS {
            let mut spans = Spans::new();
            let (tell, mut asked) = mpsc::unbounded_channel();
            let never = route(async move || {
                tell.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            let app = Router::new().route("/never", never).layer(spans.recorder.layer());
            let server = way.server(app).await;
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, server.root.as_ref());
            let url = server.url("/never");
            {
                let mut call = pin!(send(&client, get(&url)));
                tokio::select! {
                    biased;
                    asked = asked.recv() => assert!(asked.is_some()),
                    response = &mut call => panic!("{response:?}"),
                }
                assert!(spans.recorder.spans().is_empty());
            }
            assert_eq!(spans.recorder.clients().len(), 1);
            let [client, server] = spans.next().await;
            assert_below(&server, &client);
            assert_eq!(Described::from(client), sent("GET", &url));
            let expected = way.served("GET /never", &url, 200);
            let expected = expected.without("http.response.status_code").failed("cancelled");
            assert_eq!(Described::from(server), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn where_there_is_no_body_the_span_waits_for_none() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let app = Router::new()
            .route("/204", route(async || StatusCode::NO_CONTENT))
            .route("/304", route(async || StatusCode::NOT_MODIFIED))
            .route("/hello", route(async || "hello"));
        let server = way.server(app.layer(spans.recorder.layer())).await;
        for end in ENDS {
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, server.root.as_ref());
            for (method, path, status_code) in
                [("HEAD", "/hello", 200), ("GET", "/204", 204), ("GET", "/304", 304)]
            {
                let url = server.url(path);
                let response = send(&client, bare(method, &url)).await;
                assert_eq!(i64::from(response.status().as_u16()), status_code);
                if method == "HEAD" {
                    assert_eq!(response.headers()[header::CONTENT_LENGTH], "5");
                }
                let [client, server] = spans.next().await;
                assert_eq!(text(response).await, "");
                assert_below(&server, &client);
                assert!(!has_waited(&client));
                assert_eq!(Described::from(client), way.asked(method, &url, status_code));
                let expected = way.served(&format!("{method} {path}"), &url, status_code);
                assert_eq!(Described::from(server), expected);
            }
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn trailers_come_through_and_end_a_span_that_waits() {
    each_way(async |way: Way| {
        for end in ENDS {
            let recorder = Recorder::new();
            let script = [head(200, &[]), Act::Data("hello".into()), Act::Trailer("x-sum", "42")];
            let upstream = way.upstream([script.into()]).await;
            let layer = recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, upstream.root.as_ref());
            let mut body = send(&client, get(&upstream.url("/"))).await.into_body();
            assert_eq!(data(&mut body).await, "hello");
            assert_eq!(recorder.spans().len(), usize::from(end == SpanEnd::Head));
            let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
            assert_eq!(trailers["x-sum"], "42");
            // There is nothing to come, and nobody has to ask for that.
            let span = recorder.span();
            assert_eq!(has_waited(&span), end == SpanEnd::Body);
            assert_eq!(Described::from(span), way.asked("GET", &upstream.url("/"), 200));
        }
    })
    .await;
}

#[tokio::test]
async fn heads_that_are_not_the_last_are_on_no_span() {
    each_way(async |way: Way| {
        let recorder = Recorder::new();
        let mut script = vec![head(100, &[]), head(103, &[("link", "</style.css>")])];
        script.extend(answer(201, "hello"));
        let upstream = way.upstream([script]).await;
        for end in ENDS {
            let layer = recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, upstream.root.as_ref());
            let url = upstream.url("/");
            let mut request = with_body("PUT", &url, "some");
            request.headers_mut().insert(header::EXPECT, "100-continue".parse().unwrap());
            let response = send(&client, request).await;
            assert!(!response.headers().contains_key(header::LINK));
            assert_eq!(text(response).await, "hello");
            let span = recorder.spans().pop().unwrap();
            assert_eq!(Described::from(span), way.asked("PUT", &url, 201));
        }
        assert_eq!(recorder.spans().len(), 2);
    })
    .await;
}

/// Echoes what comes over an upgraded connection.
fn echoes(layer: TraceLayer) -> Router {
    async fn upgrade(request: Incoming) -> impl IntoResponse {
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut four = [0; 4];
            while io.read_exact(&mut four).await.is_ok() {
                io.write_all(&four).await.unwrap();
            }
        });
        let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
        (StatusCode::SWITCHING_PROTOCOLS, headers)
    }
    Router::new().route("/echo", route(upgrade)).layer(layer)
}

async fn assert_echoes(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    for word in [b"ping", b"pong"] {
        io.write_all(word).await.unwrap();
        let mut four = [0; 4];
        io.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, word);
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_untouched_and_the_spans_have_ended_with_the_head() {
    each_way(async |way: Way| {
        if way.is_http2() {
            // Which has no upgrades.
            return;
        }
        let mut spans = Spans::new();
        let server = way.server(echoes(spans.recorder.layer())).await;
        let url = server.url("/echo");
        let request = || {
            let mut request = get(&url);
            request.headers_mut().insert(header::CONNECTION, "upgrade".parse().unwrap());
            request.headers_mut().insert(header::UPGRADE, "echo".parse().unwrap());
            request
        };
        for end in ENDS {
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, server.root.as_ref());
            let mut response = send(&client, request()).await;
            let [client, server] = spans.next().await;
            assert_below(&server, &client);
            assert_eq!(Described::from(client), way.asked("GET", &url, 101));
            assert_eq!(Described::from(server), way.served("GET /echo", &url, 101));
            assert_eq!(response.headers()[header::UPGRADE], "echo");
            assert_echoes(TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap())).await;
        }

        // The way of reqwest itself.
        for end in ENDS {
            let client = way.reqwest(server.root.as_ref()).build().unwrap();
            let mut client = spans.recorder.client_layer().with_span_end(end).layer(client);
            let response = client.call(request().try_into().unwrap()).await.unwrap();
            let [client, _] = spans.next().await;
            assert_eq!(Described::from(client), way.asked("GET", &url, 101));
            assert_echoes(response.upgrade().await.unwrap()).await;
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn large_bodies_pass_byte_for_byte_in_both_directions() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        // The server's default limit is for its own readers, and there is none here.
        let app = Router::new().route("/echo", post(async |body: Body| body));
        let server = way.server(app.layer(spans.recorder.layer())).await;
        let large: Bytes = (0_u32..1 << 18).flat_map(u32::to_be_bytes).collect();
        let url = server.url("/echo");
        for end in ENDS {
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer.with_response_body_size(), server.root.as_ref());
            let response = send(&client, with_body("POST", &url, large.clone())).await;
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body == large, "{} bytes came back", body.len());
            let [client, server] = spans.next().await;
            assert_below(&server, &client);
            let expected = way.asked("POST", &url, 200);
            let expected = match end {
                SpanEnd::Body => expected.with("http.response.body.size", 1 << 20),
                _ => expected,
            };
            assert_eq!(Described::from(client), expected);
            assert_eq!(Described::from(server), way.served("POST /echo", &url, 200));
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_streamed_is_answered_on_the_way() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let app = Router::new().route("/echo", any(async |body: Body| body));
        let server = way.server(app.layer(spans.recorder.layer())).await;
        let url = server.url("/echo");
        for end in ENDS {
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, server.root.as_ref());
            let (feed, body) = fed();
            let before = spans.recorder.clients().len();
            let request = with_body("POST", &url, reqwest::Body::wrap(body));
            feed.send(Frame::data("one".into())).unwrap();
            let mut body = send(&client, request).await.into_body();
            // The span of what is sent still has ended already, where it does with the head.
            let ended = spans.recorder.clients().len() - before;
            for frame in ["two", "three"] {
                assert!(!data(&mut body).await.is_empty());
                feed.send(Frame::data(frame.into())).unwrap();
            }
            drop(feed);
            let rest = body.collect().await.unwrap().to_bytes();
            assert!(rest.ends_with(b"three"), "{rest:?}");
            let [client, server] = spans.next().await;
            assert_eq!(has_waited(&client), end == SpanEnd::Body);
            assert_eq!(ended, usize::from(end == SpanEnd::Head));
            assert_below(&server, &client);
            assert_eq!(Described::from(client), way.asked("POST", &url, 200));
            assert_eq!(Described::from(server), way.served("POST /echo", &url, 200));
        }
        spans.assert_no_more();
    })
    .await;
}
