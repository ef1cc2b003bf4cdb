//! HTTP/1.1 over a socket, byte by byte: connections that are kept, pipelines, upgrades, and
//! clients that are gone or mean harm.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::Path,
    http::{Request, Response, StatusCode, header},
    response::IntoResponse,
    routing::{any, get, post},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    trace::{FutureExt, TraceContextExt, Tracer, TracerProvider},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Barrier, mpsc, oneshot},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, timeout::TimeoutLayer};
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tower_telemetry::{
    RouteLayer,
    server::{RequestBodySizeLayer, ServerSpan},
};

use crate::support::{
    body::{Feed, Script, Step, fed},
    client, meeting,
    recorder::{Described, Recorder, attribute},
    wire::{Closed, HOST, Server, Wire, ask, panics},
};

/// A Context with a new span below the current one.
fn below(recorder: &Recorder, name: &'static str) -> Context {
    Context::current_with_span(recorder.provider.tracer("handler").start(name))
}

/// A POST whose body comes in chunks, which `rest` has.
fn chunked(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{rest}")
}

/// What is sent, in chunks of one byte up to seven.
fn in_chunks(text: &str) -> String {
    let (mut chunks, mut rest, mut length) = (String::new(), text, 1);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(length.min(rest.len()));
        chunks.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        (rest, length) = (after, length % 7 + 1);
    }
    chunks + "0\r\n\r\n"
}

/// Answers never, and tells when it was asked.
fn never(asked: mpsc::UnboundedSender<()>) -> axum::routing::MethodRouter {
    get(async move || {
        asked.send(()).unwrap();
        std::future::pending::<()>().await;
    })
}

/// Answers with a body that the test feeds.
fn fed_by(feeds: mpsc::UnboundedSender<Feed>) -> axum::routing::MethodRouter {
    get(async move || {
        let (feed, body) = fed();
        feeds.send(feed).unwrap();
        Body::new(body)
    })
}

fn items() -> Router {
    Router::new().route("/items/{id}", get(async |Path(id): Path<String>| id))
}

#[tokio::test]
async fn requests_on_a_connection_that_is_kept_are_traces_of_their_own() {
    for count in [1, 4, 50] {
        let recorder = Recorder::new();
        let inner = recorder.clone();
        let app = Router::new().route(
            "/items/{id}",
            get(async move |Path(id): Path<String>| {
                below(&inner, "handler").span().end();
                id
            }),
        );
        let server = Server::http1(app.layer(recorder.layer())).await;
        let mut client = Wire::connect(&server).await;
        for id in 0..count {
            let reply = client.exchange(ask(&format!("/items/{id}"))).await;
            assert_eq!((reply.status_code, reply.body), (200, id.to_string()));
        }

        let expected: Vec<_> = (0..count)
            .map(|id| Described::served("GET /items/{id}", &format!("/items/{id}"), 200))
            .collect();
        assert_eq!(recorder.served(), expected);
        let spans = recorder.spans();
        assert_eq!(spans.len(), 2 * count);
        assert_eq!(recorder.traces(), count);
        for pair in spans.chunks(2) {
            assert_eq!(pair[0].parent_span_id, pair[1].span_context.span_id());
            assert_eq!(pair[1].parent_span_id, SpanId::INVALID);
        }
    }
}

#[tokio::test]
async fn pipelined_requests_are_traces_of_their_own_and_answered_in_order() {
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let requests: String = (0..10).map(|id| ask(&format!("/items/{id}"))).collect();
    client.send(requests).await;
    for id in 0..10 {
        assert_eq!(client.reply().await.body, id.to_string());
    }
    let expected: Vec<_> = (0..10)
        .map(|id| Described::served("GET /items/{id}", &format!("/items/{id}"), 200))
        .collect();
    assert_eq!(recorder.served(), expected);
    let spans = recorder.spans();
    assert_eq!(recorder.traces(), 10);
    assert!(spans.iter().all(|span| span.parent_span_id == SpanId::INVALID));
}

#[tokio::test]
async fn what_reads_a_pipelined_body_is_below_the_span_of_its_own_request() {
    let recorder = Recorder::new();
    let inner = recorder.clone();
    let app = Router::new().route(
        "/read",
        post(async move |body: Body| {
            let cx = below(&inner, "read");
            let read = async {
                let bytes = body.collect().await.unwrap().to_bytes();
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                Context::current().span().set_attribute(KeyValue::new("id", text.clone()));
                text
            };
            let text = read.with_context(cx.clone()).await;
            cx.span().end();
            text
        }),
    );
    let server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let ids: Vec<_> = (0..10).map(|id| format!("the-id-of-number-{id}")).collect();
    client.send(ids.iter().map(|id| chunked("/read", &in_chunks(id))).collect::<String>()).await;
    for id in &ids {
        assert_eq!(client.reply().await.body, *id);
    }

    let spans = recorder.spans();
    assert_eq!((spans.len(), recorder.traces()), (20, 10));
    for (pair, id) in spans.chunks(2).zip(&ids) {
        let (read, server) = (&pair[0], &pair[1]);
        assert_eq!(attribute(read, "id").as_ref(), Some(id));
        assert_eq!(read.parent_span_id, server.span_context.span_id());
        assert_eq!(read.span_context.trace_id(), server.span_context.trace_id());
        assert_eq!(Described::from(server.clone()), Described::served("POST /read", "/read", 200));
    }
}

#[tokio::test]
async fn chunks_and_trailers_go_both_ways_and_every_byte_is_counted() {
    let recorder = Recorder::new();
    let app = Router::new().route(
        "/sum",
        post(async |body: Body| {
            let body = body.collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["x-sum"], "42");
            assert_eq!(body.to_bytes(), "hello world");
            let trailers =
                http::HeaderMap::from_iter([("x-sum".parse().unwrap(), "43".parse().unwrap())]);
            let script = Script::new([
                Step::Data("abc"),
                Step::Pending,
                Step::Data("defg"),
                Step::Trailers(trailers),
            ]);
            ([("trailer", "x-sum")], Body::new(script))
        }),
    );
    let layers = ServiceBuilder::new()
        .layer(recorder.layer().with_response_body_size())
        .layer(RequestBodySizeLayer::new());
    let server = Server::http1(app.layer(layers)).await;
    let mut client = Wire::connect(&server).await;
    let request = format!(
        "POST /sum HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nTrailer: x-sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 42\r\n\r\n"
    );
    let reply = client.exchange(request).await;
    assert_eq!((reply.body.as_str(), reply.trailers.as_str()), ("abcdefg", "x-sum: 43\r\n"));
    let expected = Described::served("POST /sum", "/sum", 200)
        .with("http.request.body.size", 11)
        .with("http.response.body.size", 7);
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn bodies_that_come_in_at_once_are_counted_each_by_itself() {
    let recorder = Recorder::new();
    let arrived = Arc::new(Barrier::new(20));
    let app = Router::new().route(
        "/upload/{id}",
        post(async move |mut body: Body| {
            let _ = body.frame().await.unwrap();
            // All have begun before one ends.
            arrived.wait().await;
            let rest = body.collect().await.unwrap().to_bytes();
            rest.slice(..rest.len() / 2)
        }),
    );
    let layers = ServiceBuilder::new()
        .layer(recorder.layer().with_response_body_size())
        .layer(RequestBodySizeLayer::new());
    let server = Server::http1(app.layer(layers)).await;
    let mut clients = Vec::new();
    for id in 0..20 {
        let mut client = Wire::connect(&server).await;
        clients.push(tokio::spawn(async move {
            client.send(chunked(&format!("/upload/{id}"), "")).await;
            client.send(in_chunks(&"x".repeat(1000 * (id + 1) + id))).await;
            client.reply().await.body.len()
        }));
    }
    let mut lengths = Vec::new();
    for client in clients {
        lengths.push(client.await.unwrap());
    }
    for (id, length) in lengths.iter().enumerate() {
        let path = format!("/upload/{id}");
        let spans = recorder.served();
        let span = spans.iter().find(|span| span.attributes["url.path"] == path.clone().into());
        let request_size = i64::try_from(1000 * (id + 1) + id).unwrap();
        let expected = Described::served("POST /upload/{id}", &path, 200)
            .with("http.request.body.size", request_size)
            .with("http.response.body.size", i64::try_from(*length).unwrap());
        assert_eq!(span, Some(&expected));
    }
}

#[tokio::test]
async fn of_a_body_that_was_not_read_to_its_end_what_was_read_is_counted() {
    let recorder = Recorder::new();
    let (read, mut reads) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/upload",
        post(async move |mut body: Body| {
            let frame = body.frame().await.unwrap().unwrap();
            read.send(()).unwrap();
            (StatusCode::PAYLOAD_TOO_LARGE, frame.into_data().unwrap())
        }),
    );
    let layers = ServiceBuilder::new().layer(recorder.layer()).layer(RequestBodySizeLayer::new());
    let server = Server::http1(app.layer(layers)).await;
    let mut client = Wire::connect(&server).await;
    client.send(chunked("/upload", "5\r\nhello\r\n")).await;
    reads.recv().await.unwrap();
    let reply = client.reply().await;
    assert_eq!((reply.status_code, reply.body.as_str()), (413, "hello"));
    let expected =
        Described::served("POST /upload", "/upload", 413).with("http.request.body.size", 5);
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_100_is_not_the_status_code() {
    let recorder = Recorder::new();
    let app = Router::new().route("/upload", post(async |body: String| body));
    let server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    for _ in 0..2 {
        let request = format!(
            "POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        client.send(request).await;
        assert_eq!(client.head().await.status_code, 100);
        assert_eq!(client.exchange("hello").await.body, "hello");
    }
    let expected = || Described::served("POST /upload", "/upload", 200);
    assert_eq!(recorder.served(), [expected(), expected()]);
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_asked_for() {
    let recorder = Recorder::new();
    let app = Router::new().route("/upload", post(async || StatusCode::EXPECTATION_FAILED));
    let layers = ServiceBuilder::new().layer(recorder.layer()).layer(RequestBodySizeLayer::new());
    let mut server = Server::http1(app.layer(layers)).await;
    let mut client = Wire::connect(&server).await;
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    assert_eq!(client.exchange(request).await.status_code, 417);
    drop(client);
    server.closed().await;
    let expected =
        Described::served("POST /upload", "/upload", 417).with("http.request.body.size", 0);
    assert_eq!(recorder.served(), [expected]);
}

/// Says what it was told, twice, until the other end closes.
async fn echo_twice<B>(request: Request<B>, ended: oneshot::Sender<SpanId>) {
    let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
    let mut four = [0; 4];
    while io.read_exact(&mut four).await.is_ok() {
        io.write_all(&four).await.unwrap();
        io.write_all(&four).await.unwrap();
    }
    io.shutdown().await.unwrap();
    let _ = ended.send(Context::current().span().span_context().span_id());
}

#[tokio::test]
async fn an_upgraded_connection_is_untouched_and_the_span_has_ended_with_the_101() {
    let recorder = Recorder::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/chat",
        any(async move |request: axum::extract::Request| {
            let (ended, end) = oneshot::channel();
            tell.send(end).unwrap();
            tokio::spawn(echo_twice(request, ended));
            (
                StatusCode::SWITCHING_PROTOCOLS,
                [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")],
            )
        }),
    );
    let layers = ServiceBuilder::new().layer(recorder.layer()).layer(RequestBodySizeLayer::new());
    let mut server = Server::http1(app.layer(layers)).await;
    let mut client = Wire::connect(&server).await;
    // The first word is there before the upgrade is.
    let request = format!(
        "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nping"
    );
    client.send(request).await;
    let head = client.head().await;
    assert_eq!((head.status_code, head.header("upgrade")), (101, Some("echo")));
    let expected =
        || Described::served("GET /chat", "/chat", 101).with("http.request.body.size", 0);
    assert_eq!(recorder.served(), [expected()]);

    assert_eq!(client.exactly(8).await, "pingping");
    client.send("\r\n\0\x7f").await;
    assert_eq!(client.exactly(8).await, "\r\n\0\x7f\r\n\0\x7f");
    client.0.get_mut().shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    assert_eq!(told.recv().await.unwrap().await.unwrap(), SpanId::INVALID);
    assert_eq!(server.closed().await, Closed::Fine);
    assert_eq!(recorder.served(), [expected()]);
}

#[tokio::test]
async fn a_tunnel_is_untouched_and_the_span_has_ended_with_the_head() {
    let recorder = Recorder::new();
    let service = recorder.layer().layer(service_fn(async |request: Request<Incoming>| {
        if request.uri().host() == Some("db.example") {
            tokio::spawn(echo_twice(request, oneshot::channel().0));
            return Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()));
        }
        let mut refused = Response::new(Full::from("no such host"));
        *refused.status_mut() = StatusCode::FORBIDDEN;
        Ok(refused)
    }));
    let mut server = Server::http1(service).await;
    let connect = |host: &str| format!("CONNECT {host}:5432 HTTP/1.1\r\nHost: {host}:5432\r\n\r\n");
    let mut client = Wire::connect(&server).await;
    let refused = client.exchange(connect("elsewhere.example")).await;
    assert_eq!((refused.status_code, refused.body.as_str()), (403, "no such host"));
    client.send(connect("db.example")).await;
    assert_eq!(client.head().await.status_code, 200);
    let expected = |host: &str, status_code| {
        Described::served("CONNECT", "", status_code)
            .with("server.address", host.to_owned())
            .with("server.port", 5432)
    };
    let expected = [expected("elsewhere.example", 403), expected("db.example", 200)];
    assert_eq!(recorder.served(), expected);
    client.send("ping").await;
    assert_eq!(client.exactly(8).await, "pingping");
    drop(client);
    assert_eq!(server.closed().await, Closed::Fine);
    assert_eq!(recorder.served(), expected);
}

#[tokio::test]
async fn an_answer_without_content_is_complete_though_its_body_is_not_asked_for() {
    let recorder = Recorder::new();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/{status_code}",
        any(async move |Path(status_code): Path<u16>| {
            let (feed, body) = fed();
            feeds.send(feed).unwrap();
            (StatusCode::from_u16(status_code).unwrap(), Body::new(body))
        }),
    );
    let server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    for (method, status_code) in [("HEAD", 200), ("HEAD", 500), ("GET", 204), ("GET", 304)] {
        let path = format!("/{status_code}");
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(i64::from(head.status_code), status_code);
        // Nobody asks for the body.
        feed.recv().await.unwrap().closed().await;
        let expected = Described::served(&format!("{method} /{{status_code}}"), &path, status_code);
        assert_eq!(recorder.served().pop(), Some(expected));
    }
    assert_eq!(recorder.spans().len(), 4);
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_head_is_a_cancellation_without_a_status_code() {
    let recorder = Recorder::new();
    let (asked, mut asks) = mpsc::unbounded_channel();
    let app = Router::new().route("/slow/{id}", never(asked));
    let mut server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    client.send(ask("/slow/1")).await;
    asks.recv().await.unwrap();
    assert!(recorder.spans().is_empty());
    drop(client);
    assert_eq!(server.closed().await, Closed::Broken);
    let expected = Described::served("GET /slow/{id}", "/slow/1", 200)
        .without("http.response.status_code")
        .failed("cancelled");
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_client_that_goes_away_while_nothing_is_sent_is_noticed_and_the_status_code_is_kept() {
    let recorder = Recorder::new();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = Router::new().route("/news", fed_by(feeds));
    let mut server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    client.send(ask("/news")).await;
    let feed = feed.recv().await.unwrap();
    feed.send(Frame::data(Bytes::from("hello"))).unwrap();
    assert_eq!(client.head().await.status_code, 200);
    assert_eq!(client.chunk().await.as_deref(), Some("hello"));
    assert!(recorder.spans().is_empty());
    drop(client);
    assert_eq!(server.closed().await, Closed::Broken);
    assert!(feed.is_closed());
    let expected = Described::served("GET /news", "/news", 200).failed("cancelled");
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_request_leaves_one_span() {
    for (head, sent) in
        [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhel")]
    {
        let recorder = Recorder::new();
        let (asked, mut asks) = mpsc::unbounded_channel();
        let (failed, mut failures) = mpsc::unbounded_channel();
        let app = Router::new().route(
            "/upload",
            post(async move |mut body: Body| {
                body.frame().await.unwrap().unwrap();
                asked.send(()).unwrap();
                let error = loop {
                    match body.frame().await {
                        Some(Ok(_)) => {}
                        Some(Err(error)) => break error,
                        None => panic!("the body has not ended"),
                    }
                };
                failed.send(error.to_string()).unwrap();
                StatusCode::BAD_REQUEST
            }),
        );
        let layers =
            ServiceBuilder::new().layer(recorder.layer()).layer(RequestBodySizeLayer::new());
        let mut server = Server::http1(app.layer(layers)).await;
        let mut client = Wire::connect(&server).await;
        client.send(format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n\r\n{sent}")).await;
        asks.recv().await.unwrap();
        drop(client);
        server.closed().await;
        // The handler is told, and what it answers is on the span, whoever gets it.
        failures.try_recv().unwrap();
        let size = i64::try_from(sent.trim_start_matches("5\r\n").len()).unwrap();
        let expected =
            Described::served("POST /upload", "/upload", 400).with("http.request.body.size", size);
        assert_eq!(recorder.served(), [expected]);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_after_the_whole_answer_is_no_cancellation() {
    let recorder = Recorder::new();
    let app = Router::new().route(
        "/whole",
        // The body does not know that it ends.
        get(async || {
            let script = Script::new([Step::Data("hello "), Step::Pending, Step::Data("world")]);
            ([(header::CONTENT_LENGTH, "11")], Body::new(script))
        }),
    );
    let mut server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    assert_eq!(client.exchange(ask("/whole")).await.body, "hello world");
    drop(client);
    assert_eq!(server.closed().await, Closed::Fine);
    assert_eq!(recorder.served(), [Described::served("GET /whole", "/whole", 200)]);
}

#[tokio::test]
async fn an_answer_that_a_shutdown_waits_for_is_no_cancellation() {
    let recorder = Recorder::new();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = Router::new().route("/news", fed_by(feeds)).layer(recorder.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
        stopped.await.unwrap();
    });
    let serving = tokio::spawn(serving.into_future());
    let mut response = client::local().get(format!("http://{address}/news")).send().await.unwrap();
    let feed = feed.recv().await.unwrap();
    feed.send(Frame::data(Bytes::from("hello "))).unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "hello ");
    stop.send(()).unwrap();
    feed.send(Frame::data(Bytes::from("world"))).unwrap();
    drop(feed);
    assert_eq!(response.text().await.unwrap(), "world");
    serving.await.unwrap().unwrap();
    let expected = Described::served("GET /news", "/news", 200)
        .with("server.address", "127.0.0.1")
        .with("server.port", i64::from(address.port()));
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn the_peer_that_axum_names_is_the_clients_end_of_the_connection() {
    let recorder = Recorder::new();
    let app = items().layer(recorder.layer().with_client_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    let mut client = Wire::connect_to(address).await;
    let port = i64::from(client.0.get_ref().local_addr().unwrap().port());
    // Nobody has said that this is a proxy to be believed.
    let request = ask("/items/1").replace("\r\n\r\n", "\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n");
    assert_eq!(client.exchange(request).await.body, "1");
    let expected = Described::served("GET /items/{id}", "/items/1", 200)
        .with("client.address", "127.0.0.1")
        .with("client.port", port)
        .with("network.peer.address", "127.0.0.1")
        .with("network.peer.port", port);
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn of_a_compressed_answer_the_size_is_that_on_the_wire() {
    for head in [false, true] {
        let recorder = Recorder::new();
        let app = Router::new().route("/", get(async || "all the same ".repeat(1000)));
        let layers = ServiceBuilder::new()
            .layer(recorder.layer().with_response_body_size())
            .layer(CompressionLayer::new());
        let server = Server::http1(app.layer(layers)).await;
        let url = format!("http://{}/", server.address);
        let client = client::local();
        let request = if head { client.head(url) } else { client.get(url) };
        let response = request.header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let size = response.bytes().await.unwrap().len();
        assert_eq!(size == 0, head);
        assert!(size < 1000);
        let method = if head { "HEAD" } else { "GET" };
        let expected = Described::served(&format!("{method} /"), "/", 200)
            .with("server.address", "127.0.0.1")
            .with("server.port", i64::from(server.address.port()))
            .with("http.response.body.size", i64::try_from(size).unwrap());
        assert_eq!(recorder.served(), [expected]);
    }
}

#[tokio::test]
async fn a_client_that_wants_no_second_answer_gets_the_first_to_its_end() {
    for request in [
        format!("GET /items/1 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        format!("GET /items/1 HTTP/1.0\r\nHost: {HOST}\r\n\r\n"),
    ] {
        let recorder = Recorder::new();
        let mut server = Server::http1(items().layer(recorder.layer())).await;
        let mut client = Wire::connect(&server).await;
        client.send(&request).await;
        let all = client.rest().await;
        assert!(all.ends_with("\r\n\r\n1"), "{all}");
        assert_eq!(server.closed().await, Closed::Fine);
        let version = if request.contains("1.0") { "1.0" } else { "1.1" };
        let expected = Described::served("GET /items/{id}", "/items/1", 200)
            .with("network.protocol.version", version);
        assert_eq!(recorder.served(), [expected]);
    }
}

#[tokio::test]
async fn a_body_that_fails_breaks_the_connection_and_keeps_the_status_code() {
    let recorder = Recorder::new();
    let app = Router::new().route(
        "/",
        get(async || Body::new(Script::new([Step::Data("hello"), Step::Pending, Step::Error]))),
    );
    let mut server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    client.send(ask("/")).await;
    let all = client.rest().await;
    assert!(!all.ends_with("0\r\n\r\n"), "{all}");
    assert_eq!(server.closed().await, Closed::Broken);
    let expected = Described::served("GET /", "/", 200).failed("axum_core::error::Error");
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_timeout_inside_is_its_answer_and_one_outside_is_a_cancellation() {
    async fn too_late(error: tower::BoxError) -> StatusCode {
        assert!(error.is::<tower::timeout::error::Elapsed>());
        StatusCode::GATEWAY_TIMEOUT
    }

    for inside in [true, false] {
        let recorder = Recorder::new();
        let (asked, mut asks) = mpsc::unbounded_channel();
        let app = Router::new().route("/slow/{id}", never(asked));
        // Handlers that never answer are late, however little time they have.
        let timeout = ServiceBuilder::new()
            .layer(HandleErrorLayer::new(too_late))
            .layer(TimeoutLayer::new(Duration::ZERO));
        let app = if inside {
            app.layer(timeout).layer(recorder.layer())
        } else {
            app.layer(recorder.layer()).layer(timeout)
        };
        let server = Server::http1(app).await;
        let mut client = Wire::connect(&server).await;
        assert_eq!(client.exchange(ask("/slow/1")).await.status_code, 504);
        asks.recv().await.unwrap();
        let answered = Described::served("GET /slow/{id}", "/slow/1", 504);
        let expected = if inside {
            answered
        } else {
            answered.without("http.response.status_code").failed("cancelled")
        };
        assert_eq!(recorder.served(), [expected]);
    }
}

#[tokio::test]
async fn a_timeout_that_nobody_answers_for_breaks_the_connection_and_is_an_error() {
    let recorder = Recorder::new();
    let service = ServiceBuilder::new()
        .layer(recorder.layer())
        .layer(RouteLayer::of("/slow"))
        .layer(TimeoutLayer::new(Duration::ZERO))
        .service(service_fn(async |_: Request<Incoming>| {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
    let mut server = Server::http1(service).await;
    let mut client = Wire::connect(&server).await;
    client.send(ask("/slow")).await;
    assert_eq!(client.rest().await, "");
    assert_eq!(server.closed().await, Closed::Broken);
    let expected = Described::served("GET /slow", "/slow", 200)
        .without("http.response.status_code")
        .failed("_OTHER");
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_panic_caught_inside_is_a_500_and_one_caught_outside_is_a_panic() {
    for inside in [true, false] {
        let recorder = Recorder::new();
        let app = Router::new().route("/panics/{id}", get(panics));
        let app = if inside {
            app.layer(CatchPanicLayer::new()).layer(recorder.layer())
        } else {
            app.layer(recorder.layer()).layer(CatchPanicLayer::new())
        };
        let server = Server::http1(app).await;
        let mut client = Wire::connect(&server).await;
        // The connection lives on, and what is on it next is not below what has panicked.
        for _ in 0..2 {
            assert_eq!(client.exchange(ask("/panics/1")).await.status_code, 500);
            assert!(!Context::current().has_active_span());
        }
        let expected = || {
            let answered = Described::served("GET /panics/{id}", "/panics/1", 500);
            if inside {
                answered
            } else {
                answered.without("http.response.status_code").failed("panic")
            }
        };
        assert_eq!(recorder.served(), [expected(), expected()]);
        let spans = recorder.spans();
        assert_eq!(recorder.traces(), 2);
        assert!(spans.iter().all(|span| span.parent_span_id == SpanId::INVALID));
    }
}

#[tokio::test]
async fn a_panic_that_nobody_catches_ends_the_connection_and_leaves_one_span() {
    let recorder = Recorder::new();
    let app = Router::new().route("/panics/{id}", get(panics)).route(
        "/late",
        get(async || Body::new(Script::new([Step::Data("a"), Step::Pending, Step::Panic]))),
    );
    let mut server = Server::http1(app.layer(recorder.layer())).await;
    for path in ["/panics/1", "/late"] {
        let mut client = Wire::connect(&server).await;
        client.send(ask(path)).await;
        let _ = client.rest().await;
        assert_eq!(server.closed().await, Closed::Panicked);
        assert!(!Context::current().has_active_span());
    }
    let expected = [
        Described::served("GET /panics/{id}", "/panics/1", 200)
            .without("http.response.status_code")
            .failed("panic"),
        Described::served("GET /late", "/late", 200).failed("panic"),
    ];
    assert_eq!(recorder.served(), expected);
}

#[tokio::test]
async fn a_target_in_absolute_form_names_the_server_and_gives_no_secret_away() {
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let request = "GET http://user:s3cret@shop.example:8080/items/1?a=b HTTP/1.1\r\n\
                   Host: user:s3cret@elsewhere.example\r\n\r\n";
    let reply = client.exchange(request).await;
    assert_eq!((reply.status_code, reply.body.as_str()), (200, "1"));
    assert!(!format!("{:?}", recorder.spans()).contains("s3cret"));
    let expected = Described::served("GET /items/{id}", "/items/1", 200).with("url.query", "a=b");
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_target_that_is_no_path_is_recorded_as_it_is() {
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let reply = client.exchange(format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    let status_code = i64::from(reply.status_code);
    assert_eq!(recorder.served(), [Described::served("OPTIONS", "*", status_code)]);
    // The absolute form may leave the path out; it is `/` then.
    client.exchange(format!("GET http://{HOST} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(recorder.served().pop(), Some(Described::served("GET", "/", 404)));
}

#[tokio::test]
async fn a_host_header_that_names_no_host_is_left_out() {
    let too_long = "h".repeat(300);
    for hosts in [
        &[][..],
        &[""],
        &["<script>alert(1)</script>"],
        &["shop example"],
        &["shop.example:http"],
        &["shop.example:99999"],
        &["[::1"],
        &["b\u{fc}cher.example"],
        &["user@"],
        &[too_long.as_str()],
        // Of two that differ neither is to be believed.
        &["shop.example:8080", "elsewhere.example"],
    ] {
        let recorder = Recorder::new();
        let server = Server::http1(items().layer(recorder.layer())).await;
        let mut client = Wire::connect(&server).await;
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let reply = client.exchange(format!("GET /items/1 HTTP/1.1\r\n{hosts}\r\n")).await;
        assert_eq!(reply.status_code, 200, "{hosts}");
        let expected = Described::served("GET /items/{id}", "/items/1", 200)
            .without("server.address")
            .without("server.port");
        assert_eq!(recorder.served(), [expected], "{hosts}");
    }
}

#[tokio::test]
async fn a_path_is_recorded_as_it_was_sent_however_long_and_in_whichever_script() {
    let long = format!("/items/{}", "x".repeat(8 * 1024));
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let paths =
        ["/items/%D0%BF%D1%80%D0%B8", "/items/\u{43f}\u{440}\u{438}", "/items/a%2Fb%00", &long];
    for path in paths {
        assert_eq!(client.exchange(ask(path)).await.status_code, 200, "{path}");
        let expected = Described::served("GET /items/{id}", path, 200);
        assert_eq!(recorder.served().pop(), Some(expected));
    }
    // What is not percent-encoded UTF-8 is none for axum; the span has it as it came.
    assert_eq!(client.exchange(ask("/items/%FF")).await.status_code, 400);
    let expected = Described::served("GET /items/{id}", "/items/%FF", 400);
    assert_eq!(recorder.served().pop(), Some(expected));
    assert_eq!(recorder.spans().len(), paths.len() + 1);
}

#[tokio::test]
async fn many_headers_change_nothing_and_too_many_never_arrive() {
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let headers = |count| (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>();
    let request =
        |count| ask("/items/1").replace("\r\n\r\n", &format!("\r\n{}\r\n", headers(count)));
    let mut client = Wire::connect(&server).await;
    assert_eq!(client.exchange(request(99)).await.status_code, 200);
    assert_eq!(client.exchange(request(101)).await.status_code, 431);
    assert_eq!(recorder.served(), [Described::served("GET /items/{id}", "/items/1", 200)]);
}

#[tokio::test]
async fn what_is_no_http_makes_no_span() {
    let recorder = Recorder::new();
    let mut server = Server::http1(items().layer(recorder.layer())).await;
    for junk in
        ["\x16\x03\x01\0\0", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GE T / HTTP/1.1\r\n\r\n"]
    {
        let mut client = Wire::connect(&server).await;
        client.send(junk).await;
        client.0.get_mut().shutdown().await.unwrap();
        let _ = client.rest().await;
        assert_eq!(server.closed().await, Closed::Broken);
    }
    assert!(recorder.spans().is_empty());
}

#[tokio::test]
async fn a_traceparent_counts_in_whichever_case_and_only_if_there_is_one() {
    let recorder = Recorder::new();
    let server = Server::http1(items().layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    let value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let other = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-01";
    for (headers, parent) in [
        (format!("tracePARENT: {value}\r\n"), true),
        (format!("TRACEPARENT: {value}\r\n"), true),
        (format!("TraceParent:\t{value} \t\r\n"), true),
        (format!("traceparent: {value}\r\nTRACEPARENT: {other}\r\n"), false),
        (format!("traceparent: {value}, {other}\r\n"), false),
        (format!("traceparent: {}\r\n", value.to_uppercase()), false),
    ] {
        let request = ask("/items/1").replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
        assert_eq!(client.exchange(request).await.status_code, 200);
        let span = recorder.spans().pop().unwrap();
        let expected = if parent { 0xb7ad_6b71_6920_3331_u64 } else { 0 };
        assert_eq!(span.parent_span_id, SpanId::from(expected), "{headers}");
        let trace_id = TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128);
        assert_eq!(span.span_context.trace_id() == trace_id, parent, "{headers}");
        assert_eq!(span.parent_span_is_remote, parent, "{headers}");
    }
}

#[tokio::test]
async fn a_method_of_the_clients_own_is_other() {
    let recorder = Recorder::new();
    let app = items().route("/any/{id}", any(async || "anything"));
    let server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    for (method, path, route, status_code) in [
        ("TEST", "/any/1", "/any/{id}", 200),
        ("TEST", "/items/1", "/items/{id}", 405),
        ("get", "/any/1", "/any/{id}", 200),
    ] {
        let reply = client.exchange(ask(path).replace("GET", method)).await;
        assert_eq!(reply.status_code, status_code);
        let expected = Described::served(&format!("HTTP {route}"), path, i64::from(status_code))
            .with("http.request.method", "_OTHER")
            .with("http.request.method_original", method);
        assert_eq!(recorder.served().pop(), Some(expected));
    }
}

#[tokio::test]
async fn a_redirect_is_no_error_and_its_location_is_intact() {
    let recorder = Recorder::new();
    let app = Router::new()
        .route("/redirect", get(async || (StatusCode::FOUND, [("location", "/redirected?a=b#c")])));
    let server = Server::http1(app.layer(recorder.layer())).await;
    let reply = Wire::connect(&server).await.exchange(ask("/redirect")).await;
    assert_eq!((reply.status_code, reply.header("location")), (302, Some("/redirected?a=b#c")));
    assert_eq!(recorder.served(), [Described::served("GET /redirect", "/redirect", 302)]);
}

#[tokio::test]
async fn nothing_is_added_to_an_answer_and_nothing_taken_away() {
    // The date is the server's.
    let app = || {
        Router::new().route(
            "/{kind}",
            get(async |Path(kind): Path<String>| match kind.as_str() {
                "empty" => ().into_response(),
                "error" => {
                    (StatusCode::INTERNAL_SERVER_ERROR, "the shop is closed").into_response()
                }
                "stream" => {
                    Body::new(Script::new([Step::Data("a"), Step::Data(""), Step::Data("bc")]))
                        .into_response()
                }
                _ => (StatusCode::NO_CONTENT, [("x-a", "1"), ("x-a", "2")]).into_response(),
            }),
        )
    };
    let traced = Server::http1(app().layer(Recorder::new().layer())).await;
    let bare = Server::http1(app()).await;
    for path in ["/empty", "/error", "/stream", "/nothing", "/no/where"] {
        for method in ["GET", "HEAD", "POST"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
            let mut answers = Vec::new();
            for server in [&bare, &traced] {
                let mut client = Wire::connect(server).await;
                client.send(&request).await;
                let answer = client.rest().await;
                let dateless = answer.split("\r\n").filter(|line| !line.starts_with("date: "));
                answers.push(dateless.collect::<Vec<_>>().join("\r\n"));
            }
            assert_eq!(answers[0], answers[1], "{request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_requests_at_once_are_each_below_its_own_caller() {
    let recorder = Recorder::new();
    let server = Server::http1(meeting::service(&recorder, 100)).await;
    let mut clients = Vec::new();
    for id in 1..=100_u64 {
        let mut client = Wire::connect(&server).await;
        clients.push(tokio::spawn(async move {
            let traceparent = meeting::traceparent(id);
            let headers = format!("\r\ntraceparent: {traceparent}\r\n\r\n");
            let request = ask(&format!("/meet/{id}")).replace("\r\n\r\n", &headers);
            assert_eq!(client.exchange(request).await.body, id.to_string());
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    meeting::assert_each_is_below_its_own_caller(&recorder, 100);
}

#[tokio::test]
async fn a_task_that_holds_the_context_does_not_make_the_span_longer() {
    let (recorder, mut ended) = Recorder::telling();
    let inner = recorder.clone();
    let (hold, mut held) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        get(async move || {
            let (go, gone) = oneshot::channel::<()>();
            hold.send(go).unwrap();
            let inner = inner.clone();
            let late = async move {
                gone.await.unwrap();
                below(&inner, "late").span().end();
            };
            tokio::spawn(late.with_current_context());
            "done"
        }),
    );
    let server = Server::http1(app.layer(recorder.layer())).await;
    let reply = Wire::connect(&server).await.exchange(ask("/")).await;
    assert_eq!(reply.body, "done");
    assert_eq!(recorder.served(), [Described::served("GET /", "/", 200)]);
    let server_span = ended.recv().await.unwrap();

    held.recv().await.unwrap().send(()).unwrap();
    let late = ended.recv().await.unwrap();
    assert_eq!(late.parent_span_id, server_span.span_context.span_id());
    assert!(late.start_time >= server_span.end_time);
    assert_eq!(recorder.spans()[0].end_time, server_span.end_time);
}

#[tokio::test]
async fn a_span_ends_no_earlier_than_those_that_handler_and_body_made() {
    let recorder = Recorder::new();
    let inner = recorder.clone();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        get(async move || {
            below(&inner, "handler").span().end();
            let (feed, body) = fed();
            feeds.send(feed).unwrap();
            let cx = below(&inner, "body");
            let inner = inner.clone();
            Body::new(body.map_frame(move |frame| {
                // The handler's guards are gone; the layer's Context is there still.
                below(&inner, "frame").span().end();
                let last = frame.data_ref().is_some_and(|data| data == "last");
                if last {
                    cx.span().end();
                }
                frame
            }))
        }),
    );
    let server = Server::http1(app.layer(recorder.layer())).await;
    let mut client = Wire::connect(&server).await;
    client.send(ask("/")).await;
    client.head().await;
    let feed = feed.recv().await.unwrap();
    for data in ["first", "last"] {
        assert!(recorder.servers().is_empty());
        feed.send(Frame::data(Bytes::from(data))).unwrap();
        assert_eq!(client.chunk().await.as_deref(), Some(data));
    }
    drop(feed);
    assert_eq!(client.chunk().await, None);

    let spans = recorder.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["handler", "frame", "frame", "body", "GET /"]);
    let server_span = &spans[4];
    for child in &spans[..4] {
        assert_eq!(child.parent_span_id, server_span.span_context.span_id(), "{}", child.name);
        assert!(child.start_time >= server_span.start_time, "{}", child.name);
        assert!(child.end_time <= server_span.end_time, "{}", child.name);
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_request_that_is_over() {
    /// Is in the Context that the span's is made of, and so is held by whatever holds that.
    struct Held(#[expect(dead_code, reason = "it is its count that is looked at")] Arc<()>);

    let recorder = Recorder::new();
    let token = Arc::new(());
    let (asked, mut asks) = mpsc::unbounded_channel();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = Router::new()
        .route(
            "/kept",
            // What is told of the span and kept in the answer may not make a circle.
            any(async |span: ServerSpan, Extension(token): Extension<Arc<()>>, body: String| {
                assert!(Context::current().get::<Held>().is_some());
                span.set_route("/kept");
                span.set_name("kept");
                span.set_error_type("none");
                (Extension(span), Extension(token), Extension(Context::current()), body)
            }),
        )
        .route("/panics", get(panics))
        .route("/late", get(async || Body::new(Script::new([Step::Data("a"), Step::Panic]))))
        .route("/slow", never(asked))
        .route("/news", fed_by(feeds));
    let layers = ServiceBuilder::new()
        .layer(recorder.layer().with_response_body_size())
        .layer(RequestBodySizeLayer::new());
    let (traced, inside) = (app.layer(layers), Arc::clone(&token));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&inside));
        let cx = Context::new().with_value(Held(Arc::clone(&inside)));
        // The layer takes the Context that is current where axum calls it, which is in a poll.
        traced.clone().oneshot(request).with_context(cx)
    });
    let mut server = Server::http1(service).await;
    let idle = Arc::strong_count(&token);

    for _ in 0..20 {
        let mut client = Wire::connect(&server).await;
        for id in 0..5 {
            let request = chunked("/kept", &in_chunks(&id.to_string()));
            assert_eq!(client.exchange(request).await.body, id.to_string());
        }
        drop(client);
        for path in ["/panics", "/late"] {
            let mut client = Wire::connect(&server).await;
            client.send(ask(path)).await;
            let _ = client.rest().await;
        }
        let mut client = Wire::connect(&server).await;
        client.send(ask("/slow")).await;
        asks.recv().await.unwrap();
        drop(client);
        let mut client = Wire::connect(&server).await;
        client.send(ask("/news")).await;
        client.head().await;
        drop(feed.recv().await.unwrap());
        drop(client);
        for _ in 0..5 {
            server.closed().await;
        }
    }
    assert_eq!(Arc::strong_count(&token), idle);
    assert_eq!(recorder.spans().len(), 20 * 9);
    assert!(Context::current().get::<Held>().is_none());
}
