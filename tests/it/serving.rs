//! The layer where it is used: on routers, around routers, in hyper, over real sockets.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, routing::get};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use opentelemetry::trace::Status;
use tokio::{net::TcpListener, sync::mpsc};
use tower::{Layer, ServiceBuilder, service_fn};

use crate::support::{
    client,
    recorder::{Described, Recorder},
};

/// Serves `app` on a free port for as long as the test's runtime lives.
async fn serve_axum(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn app() -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { "an item" }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
}

async fn send(url: String) -> (StatusCode, String) {
    let response = client::local().get(url).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

fn expected(name: &str, path: &str, address: SocketAddr, status_code: i64) -> Described {
    let mut span = Described::server(
        name,
        [
            ("http.request.method", "GET".into()),
            ("url.path", path.to_owned().into()),
            ("url.scheme", "http".into()),
            ("server.address", "127.0.0.1".into()),
            ("server.port", i64::from(address.port()).into()),
            ("network.protocol.version", "1.1".into()),
            ("http.response.status_code", status_code.into()),
        ],
    );
    if let Some(route) = name.strip_prefix("GET ") {
        span.attributes.insert("http.route".to_owned(), route.to_owned().into());
    }
    if status_code >= 500 {
        span.status = Status::error("");
        span.attributes.insert("error.type".to_owned(), status_code.to_string().into());
    }
    span
}

fn described(recorder: &Recorder) -> Vec<Described> {
    recorder.spans().into_iter().map(Described::from).collect()
}

#[tokio::test]
async fn on_an_axum_router() {
    let recorder = Recorder::new();
    let address = serve_axum(app().layer(recorder.layer())).await;
    assert_eq!(send(format!("http://{address}/items/42")).await.1, "an item");
    assert_eq!(send(format!("http://{address}/nowhere")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(send(format!("http://{address}/broken")).await.0, 500);
    assert_eq!(
        described(&recorder),
        [
            expected("GET /items/{id}", "/items/42", address, 200),
            expected("GET", "/nowhere", address, 404),
            expected("GET /broken", "/broken", address, 500),
        ]
    );
}

#[tokio::test]
async fn around_a_whole_axum_router() {
    let recorder = Recorder::new();
    let whole = Router::new().fallback_service(recorder.layer().layer(app()));
    let address = serve_axum(whole).await;
    assert_eq!(send(format!("http://{address}/items/42")).await.1, "an item");
    assert_eq!(described(&recorder), [expected("GET", "/items/42", address, 200)]);
}

#[tokio::test]
async fn with_axums_connect_info_the_span_says_who_is_connected() {
    let recorder = Recorder::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app().layer(recorder.layer());
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    assert_eq!(send(format!("http://{address}/items/42")).await.1, "an item");
    let span = Described::from(recorder.span());
    assert_eq!(span.attributes["client.address"], "127.0.0.1".into());
    assert_eq!(span.attributes["network.peer.address"], "127.0.0.1".into());
    let port = &span.attributes["network.peer.port"];
    assert_ne!(port, &i64::from(address.port()).into());
}

#[tokio::test]
async fn in_hyper_over_http_1_and_http_2() {
    for (http2, version, scheme) in [(false, "1.1", "http"), (true, "2", "http")] {
        let recorder = Recorder::new();
        let service = ServiceBuilder::new().layer(recorder.layer()).service(service_fn(
            |_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from("hello from hyper")))
            },
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .await
        });

        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http::<Empty<bytes::Bytes>>();
        let uri = format!("http://{address}/hello").parse().unwrap();
        let response = client.get(uri).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello from hyper");

        let mut span = expected("GET", "/hello", address, 200);
        span.attributes.insert("network.protocol.version".to_owned(), version.into());
        span.attributes.insert("url.scheme".to_owned(), scheme.into());
        assert_eq!(described(&recorder), [span]);
    }
}

#[tokio::test]
async fn a_head_request_is_no_cancellation() {
    let recorder = Recorder::new();
    let address = serve_axum(app().layer(recorder.layer())).await;
    let url = format!("http://{address}/items/42");
    let response = client::local().head(url).send().await.unwrap();
    assert_eq!(response.headers()["content-length"], "7");
    let mut span = expected("GET /items/{id}", "/items/42", address, 200);
    span.name = "HEAD /items/{id}".to_owned();
    span.attributes.insert("http.request.method".to_owned(), "HEAD".into());
    assert_eq!(described(&recorder), [span]);
}

#[tokio::test]
async fn a_stream_that_announces_its_length_is_no_cancellation() {
    use crate::support::body::{Script, Step};

    let recorder = Recorder::new();
    let app = Router::new().route(
        "/",
        get(|| async {
            // The body does not know that it ends; hyper counts, and asks it no further.
            let body = axum::body::Body::new(Script::new([Step::Data("abc"), Step::Data("de")]));
            ([("content-length", "5")], body)
        }),
    );
    let address = serve_axum(app.layer(recorder.layer())).await;
    assert_eq!(send(format!("http://{address}/")).await.1, "abcde");
    assert_eq!(described(&recorder), [expected("GET /", "/", address, 200)]);
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_body_is_a_cancellation() {
    // A body that lasts until it is dropped, and tells when it was.
    struct Endless(mpsc::UnboundedSender<()>);

    impl http_body::Body for Endless {
        type Data = bytes::Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Infallible>>> {
            let data = bytes::Bytes::from_static(&[b'x'; 1024]);
            std::task::Poll::Ready(Some(Ok(http_body::Frame::data(data))))
        }
    }

    impl Drop for Endless {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    let recorder = Recorder::new();
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let app = Router::new()
        .route("/", get(move || async move { axum::body::Body::new(Endless(dropped.clone())) }));
    // What is inside the layer's body is dropped before the layer's guard: a body around that one
    // would be needed to wait for the guard. So the connection's task is waited for.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.layer(recorder.layer());
    let connection = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .await
            .map_err(|error| error.to_string())
    });

    let mut response = client::local().get(format!("http://{address}/")).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    drops.recv().await.unwrap();
    assert!(connection.await.unwrap().is_err());

    let mut span = expected("GET /", "/", address, 200);
    span.status = Status::error("");
    span.attributes.insert("error.type".to_owned(), "cancelled".into());
    assert_eq!(described(&recorder), [span]);
}
