//! What a span says of its request, compared as a whole.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{Router, routing::get};
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::{SamplingDecision, SdkTracerProvider};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_telemetry::TraceLayer;

use crate::support::{
    recorder::{Described, Recorder},
    sdk::Decides,
};

/// The span of a request to a service that answers 200.
fn described(request: Request<()>) -> Described {
    let recorder = Recorder::new();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut service = recorder.layer().layer(inner);
    tokio_test::block_on(service.call(request)).unwrap();
    recorder.span().into()
}

#[test]
fn a_request_in_full() {
    let request = Request::builder()
        .uri("/items/42?q=a&sig=s3cret")
        .header("host", "shop.example:8080")
        .header("user-agent", "curl/8.0")
        .header("authorization", "Bearer s3cret")
        .header("cookie", "session=s3cret")
        .body(())
        .unwrap();
    let span = described(request);
    assert_eq!(
        span,
        Described::server(
            "GET",
            [
                ("http.request.method", "GET".into()),
                ("url.path", "/items/42".into()),
                ("url.query", "q=a&sig=REDACTED".into()),
                ("url.scheme", "http".into()),
                ("server.address", "shop.example".into()),
                ("server.port", 8080.into()),
                ("network.protocol.version", "1.1".into()),
                ("user_agent.original", "curl/8.0".into()),
                ("http.response.status_code", 200.into()),
            ]
        )
    );
}

#[test]
fn a_request_that_says_little() {
    assert_eq!(described(Request::new(())), Described::of_a_plain_request());
}

#[test]
fn a_request_over_http_2_with_a_method_of_its_own() {
    let request = Request::builder()
        .method("PURGE")
        .uri("https://[::1]:8443/cache?")
        .version(Version::HTTP_2)
        .header("host", "ignored.example")
        .body(())
        .unwrap();
    assert_eq!(
        described(request),
        Described::server(
            "HTTP",
            [
                ("http.request.method", "_OTHER".into()),
                ("http.request.method_original", "PURGE".into()),
                ("url.path", "/cache".into()),
                ("url.query", "".into()),
                ("url.scheme", "https".into()),
                ("server.address", "::1".into()),
                ("server.port", 8443.into()),
                ("network.protocol.version", "2".into()),
                ("http.response.status_code", 200.into()),
            ]
        )
    );
}

#[test]
fn a_request_full_of_junk() {
    let request = Request::builder()
        .uri("/%00%ff?%&&=")
        .header("host", "<>:99999999")
        .header("user-agent", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap())
        .body(())
        .unwrap();
    assert_eq!(
        described(request),
        Described::server(
            "GET",
            [
                ("http.request.method", "GET".into()),
                ("url.path", "/%00%ff".into()),
                ("url.query", "%&&=".into()),
                ("url.scheme", "http".into()),
                ("network.protocol.version", "1.1".into()),
                ("user_agent.original", "\u{fffd}\u{fffd}".into()),
                ("http.response.status_code", 200.into()),
            ]
        )
    );
}

/// Name and route of a request to an axum router under the layer.
async fn routed(app: Router, path: &str) -> (String, Option<String>) {
    let recorder = Recorder::new();
    let app = app.layer(recorder.layer());
    let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let span = Described::from(recorder.span());
    let route = span.attributes.get("http.route").map(ToString::to_string);
    (span.name, route)
}

#[tokio::test]
async fn the_route_is_axums_matched_path() {
    let items = Router::new().route("/{id}", get(|| async { "an item" }));
    let app = Router::new().nest("/items", items).route("/", get(|| async { "hello" }));
    for (path, name, route) in [
        ("/", "GET /", Some("/")),
        ("/items/42", "GET /items/{id}", Some("/items/{id}")),
        ("/nowhere", "GET", None),
        ("/items/42/43", "GET", None),
    ] {
        let expected = (name.to_owned(), route.map(str::to_owned));
        assert_eq!(routed(app.clone(), path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_nested_router_has_the_whole_path() {
    let recorder = Recorder::new();
    let items = Router::new().route("/{id}", get(|| async { "an item" })).layer(recorder.layer());
    let app = Router::new().nest("/items", items);
    let request = Request::builder().uri("/items/42?a=b").body(axum::body::Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let span = Described::from(recorder.span());
    assert_eq!(span.name, "GET /items/{id}");
    assert_eq!(span.attributes["http.route"], "/items/{id}".into());
    assert_eq!(span.attributes["url.path"], "/items/42".into());
    assert_eq!(span.attributes["url.query"], "a=b".into());
}

#[test]
fn a_foreign_sampler_sees_the_attributes() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let looked = Arc::clone(&shown);
    // It asserts nothing itself: a sampler's panic is contained.
    let looks = Decides::new(SamplingDecision::Drop, move |name, kind, attributes| {
        let keys: Vec<_> = attributes.iter().map(|attribute| attribute.key.to_string()).collect();
        looked.lock().unwrap().push((name.to_owned(), kind.clone(), keys));
    });
    let provider = SdkTracerProvider::builder().with_sampler(looks).build();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut service = TraceLayer::new().with_tracer_provider(&provider).layer(inner);
    tokio_test::block_on(service.call(Request::new(()))).unwrap();
    let keys = ["http.request.method", "url.path", "url.scheme"].map(str::to_owned).to_vec();
    assert_eq!(*shown.lock().unwrap(), [("GET".to_owned(), SpanKind::Server, keys)]);
}
