//! HTTP/2 over a socket: many streams on one connection, each a request of its own.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, Method, Request, Response, StatusCode, Version},
    routing::{any, get},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tower::{Layer, ServiceBuilder, service_fn};
use tower_telemetry::server::RequestBodySizeLayer;

use crate::support::{
    body::{Feed, Script, Step, fed},
    meeting,
    recorder::{Described, Recorder},
    wire::{Closed, HOST, Server, http2, panics},
};

/// A request for `HOST`.
fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://{HOST}{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .version(Version::HTTP_2)
        .body(Full::default())
        .unwrap()
}

async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    client.ready().await?;
    client.send_request(request).await
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The next frame, which has data.
async fn data(body: &mut Incoming) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

fn served(name: &str, path: &str, status_code: i64) -> Described {
    Described::served(name, path, status_code).with("network.protocol.version", "2")
}

fn by_path(mut spans: Vec<Described>) -> Vec<Described> {
    spans.sort_by_key(|span| span.attributes["url.path"].to_string());
    spans
}

/// Streams to a client until the test wants no more; answers never; panics; or says hello.
fn app(feeds: mpsc::UnboundedSender<Feed>, asked: mpsc::UnboundedSender<()>) -> Router {
    let news = get(async move || {
        let (feed, body) = fed();
        feeds.send(feed).unwrap();
        Body::new(body)
    });
    let never = get(async move || {
        asked.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    Router::new()
        .route("/news/{id}", news)
        .route("/slow/{id}", never)
        .route("/panics", get(panics))
        .route("/hello", any(async || "hello"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_streams_at_once_are_each_below_its_own_caller() {
    let recorder = Recorder::new();
    let server = Server::http2(meeting::service(&recorder, 100)).await;
    let (client, _socket) = http2(&server).await;
    let mut streams = Vec::new();
    for id in 1..=100 {
        let mut client = client.clone();
        streams.push(tokio::spawn(async move {
            let mut request = request(Method::GET, &format!("/meet/{id}"));
            let traceparent = meeting::traceparent(id).parse().unwrap();
            request.headers_mut().insert("traceparent", traceparent);
            let response = send(&mut client, request).await.unwrap();
            assert_eq!(text(response).await, id.to_string());
        }));
    }
    for stream in streams {
        stream.await.unwrap();
    }
    meeting::assert_each_is_below_its_own_caller(&recorder, 100);
}

#[tokio::test]
async fn streams_of_one_connection_are_traces_of_their_own() {
    let recorder = Recorder::new();
    let app = Router::new().route("/items/{id}", get(async |Path(id): Path<String>| id));
    let server = Server::http2(app.layer(recorder.layer())).await;
    let (mut client, _socket) = http2(&server).await;
    for id in 0..50 {
        let response = send(&mut client, request(Method::GET, &format!("/items/{id}"))).await;
        assert_eq!(text(response.unwrap()).await, id.to_string());
    }
    let expected: Vec<_> =
        (0..50).map(|id| served("GET /items/{id}", &format!("/items/{id}"), 200)).collect();
    assert_eq!(recorder.served(), expected);
    assert_eq!(recorder.traces(), 50);
}

#[tokio::test]
async fn the_authority_names_the_server_whatever_the_host_header_says() {
    let (feeds, asked) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
    let recorder = Recorder::new();
    let server = Server::http2(app(feeds, asked).layer(recorder.layer())).await;
    let (mut client, _socket) = http2(&server).await;
    for scheme in ["http", "https"] {
        let mut request = request(Method::GET, "/hello?a=b");
        *request.uri_mut() = format!("{scheme}://{HOST}/hello?a=b").parse().unwrap();
        request.headers_mut().insert("host", "elsewhere.example:1".parse().unwrap());
        assert_eq!(text(send(&mut client, request).await.unwrap()).await, "hello");
        let expected =
            served("GET /hello", "/hello", 200).with("url.query", "a=b").with("url.scheme", scheme);
        assert_eq!(recorder.served().pop(), Some(expected));
    }
}

#[tokio::test]
async fn trailers_end_the_span_and_not_what_came_before() {
    let recorder = Recorder::new();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = app(feeds, mpsc::unbounded_channel().0);
    let server = Server::http2(app.layer(recorder.layer().with_response_body_size())).await;
    let (mut client, _socket) = http2(&server).await;
    let response = send(&mut client, request(Method::GET, "/news/1")).await.unwrap();
    let mut body = response.into_body();
    let feed = feed.recv().await.unwrap();
    for text in ["hello", "", "world"] {
        feed.send(Frame::data(Bytes::from(text))).unwrap();
    }
    let mut read = Vec::new();
    while read.len() < 10 {
        read.extend(data(&mut body).await);
    }
    assert_eq!(read, b"helloworld");
    assert!(recorder.spans().is_empty());

    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "42".parse().unwrap())]);
    feed.send(Frame::trailers(trailers.clone())).unwrap();
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_trailers() {
            Ok(read) => assert_eq!(read, trailers),
            Err(frame) => assert!(frame.into_data().unwrap().is_empty()),
        }
    }
    let expected = served("GET /news/{id}", "/news/1", 200).with("http.response.body.size", 10);
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_stream_that_its_client_resets_in_mid_body_is_cancelled_with_its_status_code() {
    let (recorder, mut ended) = Recorder::telling();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let app = app(feeds, mpsc::unbounded_channel().0);
    let mut server = Server::http2(app.layer(recorder.layer())).await;
    let (mut client, socket) = http2(&server).await;
    let response = send(&mut client, request(Method::GET, "/news/1")).await.unwrap();
    let mut body = response.into_body();
    let feed = feed.recv().await.unwrap();
    feed.send(Frame::data(Bytes::from("hello"))).unwrap();
    assert_eq!(data(&mut body).await, "hello");
    assert!(recorder.spans().is_empty());
    drop(body);
    let expected = served("GET /news/{id}", "/news/1", 200).failed("cancelled");
    assert_eq!(Described::from(ended.recv().await.unwrap()), expected);

    // The connection is none the worse for it.
    let response = send(&mut client, request(Method::GET, "/hello")).await.unwrap();
    assert_eq!(text(response).await, "hello");
    drop((client, socket));
    assert_eq!(server.closed().await, Closed::Fine);
    assert_eq!(recorder.served(), [expected, served("GET /hello", "/hello", 200)]);
}

#[tokio::test]
async fn a_stream_that_its_client_resets_before_the_head_is_cancelled_without_a_status_code() {
    let (recorder, mut ended) = Recorder::telling();
    let (asked, mut asks) = mpsc::unbounded_channel();
    let app = app(mpsc::unbounded_channel().0, asked);
    let server = Server::http2(app.layer(recorder.layer())).await;
    let (mut client, _socket) = http2(&server).await;
    client.ready().await.unwrap();
    let response = client.send_request(request(Method::GET, "/slow/1"));
    let response = tokio::spawn(response);
    asks.recv().await.unwrap();
    response.abort();
    let expected = served("GET /slow/{id}", "/slow/1", 200)
        .without("http.response.status_code")
        .failed("cancelled");
    assert_eq!(Described::from(ended.recv().await.unwrap()), expected);
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test]
async fn a_stream_that_fails_does_not_disturb_its_neighbours() {
    let (recorder, mut ended) = Recorder::telling();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let (asked, mut asks) = mpsc::unbounded_channel();
    let app = app(feeds, asked).route(
        "/broken",
        get(async || Body::new(Script::new([Step::Data("a"), Step::Pending, Step::Error]))),
    );
    let server = Server::http2(app.layer(recorder.layer())).await;
    let (mut client, _socket) = http2(&server).await;

    let mut survivor =
        send(&mut client, request(Method::GET, "/news/1")).await.unwrap().into_body();
    let feed = feed.recv().await.unwrap();
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move {
        let _ = send(&mut waiting, request(Method::GET, "/slow/1")).await;
    });
    asks.recv().await.unwrap();

    send(&mut client, request(Method::GET, "/panics")).await.unwrap_err();
    let expected =
        served("GET /panics", "/panics", 200).without("http.response.status_code").failed("panic");
    assert_eq!(Described::from(ended.recv().await.unwrap()), expected);

    let broken = send(&mut client, request(Method::GET, "/broken")).await.unwrap();
    broken.into_body().collect().await.unwrap_err();
    let expected = served("GET /broken", "/broken", 200).failed("axum_core::error::Error");
    assert_eq!(Described::from(ended.recv().await.unwrap()), expected);

    waiting.abort();
    let expected = served("GET /slow/{id}", "/slow/1", 200)
        .without("http.response.status_code")
        .failed("cancelled");
    assert_eq!(Described::from(ended.recv().await.unwrap()), expected);

    feed.send(Frame::data(Bytes::from("still here"))).unwrap();
    assert_eq!(data(&mut survivor).await, "still here");
    drop(feed);
    assert!(survivor.collect().await.unwrap().to_bytes().is_empty());
    assert_eq!(
        Described::from(ended.recv().await.unwrap()),
        served("GET /news/{id}", "/news/1", 200)
    );
    assert_eq!(recorder.spans().len(), 4);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_all_that_is_open_each_once() {
    let (recorder, mut ended) = Recorder::telling();
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let (asked, mut asks) = mpsc::unbounded_channel();
    let server = Server::http2(app(feeds, asked).layer(recorder.layer())).await;
    let (mut client, socket) = http2(&server).await;
    let (mut bodies, mut kept) = (Vec::new(), Vec::new());
    for id in 0..10 {
        let request = request(Method::GET, &format!("/news/{id}"));
        bodies.push(send(&mut client, request).await.unwrap());
        kept.push(feed.recv().await.unwrap());
    }
    for id in 0..10 {
        let mut client = client.clone();
        let request = request(Method::GET, &format!("/slow/{id}"));
        tokio::spawn(async move { send(&mut client, request).await });
        asks.recv().await.unwrap();
    }
    assert!(recorder.spans().is_empty());
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    for _ in 0..20 {
        ended.recv().await.unwrap();
    }
    drop((bodies, kept));
    let news =
        (0..10).map(|id| served("GET /news/{id}", &format!("/news/{id}"), 200).failed("cancelled"));
    let slow = (0..10).map(|id| {
        served("GET /slow/{id}", &format!("/slow/{id}"), 200)
            .without("http.response.status_code")
            .failed("cancelled")
    });
    assert_eq!(by_path(recorder.served()), news.chain(slow).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_without_content_is_complete() {
    let (feeds, asked) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
    let recorder = Recorder::new();
    let app = app(feeds, asked)
        .route("/204", get(async || StatusCode::NO_CONTENT))
        .route("/304", get(async || StatusCode::NOT_MODIFIED));
    let server = Server::http2(app.layer(recorder.layer())).await;
    let (mut client, _socket) = http2(&server).await;
    for (method, path, status_code) in
        [(Method::HEAD, "/hello", 200), (Method::GET, "/204", 204), (Method::GET, "/304", 304)]
    {
        let response = send(&mut client, request(method.clone(), path)).await.unwrap();
        assert_eq!(i64::from(response.status().as_u16()), status_code);
        assert_eq!(text(response).await, "");
        let expected = served(&format!("{method} {path}"), path, status_code);
        assert_eq!(recorder.served().pop(), Some(expected));
    }
    assert_eq!(recorder.spans().len(), 3);
}

#[tokio::test]
async fn an_answer_before_the_request_has_ended_is_complete_and_counts_what_was_read() {
    let recorder = Recorder::new();
    let layers = ServiceBuilder::new().layer(recorder.layer()).layer(RequestBodySizeLayer::new());
    let (feeds, asked) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
    let server = Server::http2(app(feeds, asked).layer(layers)).await;
    let (mut client, _socket) = http2(&server).await;
    // More than a window has room for, so that the request cannot end before the answer.
    let post = request(Method::POST, "/hello").map(|_| Full::from(vec![b'x'; 1 << 22]));
    let response = send(&mut client, post).await.unwrap();
    assert_eq!(text(response).await, "hello");
    let expected = served("POST /hello", "/hello", 200).with("http.request.body.size", 0);
    assert_eq!(recorder.served(), [expected]);
}

#[tokio::test]
async fn a_tunnel_is_untouched_and_the_span_has_ended_with_the_head() {
    let recorder = Recorder::new();
    let service = recorder.layer().layer(service_fn(async |request: Request<Incoming>| {
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut four = [0; 4];
            while io.read_exact(&mut four).await.is_ok() {
                io.write_all(&four).await.unwrap();
            }
        });
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let server = Server::http2(service).await;
    let (mut client, _socket) = http2(&server).await;
    let connect = Request::connect("db.example:5432").body(Full::default()).unwrap();
    let response = send(&mut client, connect).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let expected = || {
        served("CONNECT", "", 200).with("server.address", "db.example").with("server.port", 5432)
    };
    assert_eq!(recorder.served(), [expected()]);

    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for word in [b"ping", b"pong"] {
        io.write_all(word).await.unwrap();
        let mut four = [0; 4];
        io.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, word);
    }
    drop(io);
    assert_eq!(recorder.served(), [expected()]);
}
