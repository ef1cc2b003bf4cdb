//! Beside the layers of tower-http that ours is stacked with, on either side of them.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, error_handling::HandleErrorLayer, routing::get, routing::post};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry::{Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;
use tokio::net::TcpListener;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    sensitive_headers::{
        SetSensitiveHeadersLayer, SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
    },
    timeout::TimeoutLayer,
    trace::TraceLayer as LogLayer,
};
use tower_telemetry::{
    Redaction, RouteLayer, TraceLayer,
    propagation::ResponsePropagation,
    server::{RequestBodySizeLayer, Trace},
};

use crate::support::{
    body::{Script, Step},
    client,
    exchange::headers,
    recorder::{Described, Recorder, attribute, strings},
};

/// What comes out of the app, to the end of the body.
#[derive(Debug, PartialEq)]
struct Answer {
    status_code: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn answer(app: Router, request: Request<Body>) -> Answer {
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status_code: parts.status, headers: parts.headers, body }
}

fn request(method: &Method, path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn get_item(headers: &[(&'static str, &str)]) -> Request<Body> {
    request(&Method::GET, "/items/1", headers)
}

/// A text that is worth compressing.
const ITEM: &str =
    "an item, an item, an item, an item, an item, an item, an item, an item, an item";

async fn panics() -> &'static str {
    panic!("the handler panics, as it was told to")
}

fn items() -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { ITEM }))
        .route("/panics", get(panics))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/upload", post(|body: String| async move { body }))
}

/// The app with the layer around all of it, where it is not told the route by itself.
fn around(layer: &TraceLayer, app: Router) -> Router {
    Router::new().fallback_service(layer.layer(app.layer(RouteLayer::new())))
}

/// The span of such a request, with these attributes besides.
fn described<const N: usize>(
    name: &str,
    path: &str,
    status_code: Option<u16>,
    more: [(&str, Value); N],
) -> Described {
    let (method, route) = name.split_once(' ').unwrap();
    let mut span = Described::server(name, more);
    let mut add = |key: &str, value: Value| {
        assert_eq!(span.attributes.insert(key.to_owned(), value), None);
    };
    add("http.request.method", method.to_owned().into());
    add("http.route", route.to_owned().into());
    add("url.path", path.to_owned().into());
    add("url.scheme", "http".into());
    add("network.protocol.version", "1.1".into());
    if let Some(status_code) = status_code {
        add("http.response.status_code", i64::from(status_code).into());
    }
    if span.attributes.contains_key("error.type") {
        span.status = Status::error("");
    }
    span
}

fn of_item<const N: usize>(more: [(&str, Value); N]) -> Described {
    described("GET /items/{id}", "/items/1", Some(200), more)
}

fn size(length: usize) -> Value {
    i64::try_from(length).unwrap().into()
}

#[tokio::test]
async fn outside_of_compression_the_size_is_that_of_the_wire_and_inside_that_of_the_handler() {
    let recorder = Recorder::new();
    let layer = recorder.layer().with_response_body_size();
    let gzip = &[("accept-encoding", "gzip")];
    let bare = answer(items().layer(CompressionLayer::new()), get_item(gzip)).await;
    assert_eq!(bare.headers[header::CONTENT_ENCODING], "gzip");
    assert!(bare.body.len() < ITEM.len());

    let outside = items().layer(CompressionLayer::new()).layer(layer.clone());
    let inside = items().layer(layer).layer(CompressionLayer::new());
    for (app, expected) in [(outside, bare.body.len()), (inside, ITEM.len())] {
        assert_eq!(answer(app, get_item(gzip)).await, bare);
        let span = Described::from(recorder.spans().pop().unwrap());
        assert_eq!(span, of_item([("http.response.body.size", size(expected))]));
    }
    assert_eq!(recorder.spans().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_is_the_answer_that_it_gives() {
    for (status_code, error) in [(408, None), (504, Some("504"))] {
        let recorder = Recorder::new();
        let code = StatusCode::from_u16(status_code).unwrap();
        let timeout = TimeoutLayer::with_status_code(code, Duration::from_secs(1));
        let bare = answer(items().layer(timeout), request(&Method::GET, "/hangs", &[])).await;
        let app = items().layer(timeout).layer(recorder.layer());
        assert_eq!(answer(app, request(&Method::GET, "/hangs", &[])).await, bare);
        let mut expected = described("GET /hangs", "/hangs", Some(status_code), []);
        if let Some(error) = error {
            expected.attributes.insert("error.type".to_owned(), error.into());
            expected.status = Status::error("");
        }
        assert_eq!(Described::from(recorder.span()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_is_a_cancellation() {
    let recorder = Recorder::new();
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let app = items().layer(recorder.layer()).layer(timeout);
    assert_eq!(answer(app, request(&Method::GET, "/hangs", &[])).await.status_code, 408);
    let cancelled = ("error.type", "cancelled".into());
    assert_eq!(
        Described::from(recorder.span()),
        described("GET /hangs", "/hangs", None, [cancelled])
    );
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_tower_is_an_error_inside_and_a_cancellation_outside() {
    let recorder = Recorder::new();
    let error = || {
        HandleErrorLayer::new(|error: BoxError| async move {
            assert!(error.is::<tower::timeout::error::Elapsed>());
            StatusCode::SERVICE_UNAVAILABLE
        })
    };
    let second = Duration::from_secs(1);
    let inside = ServiceBuilder::new().layer(error()).layer(recorder.layer()).timeout(second);
    let outside = ServiceBuilder::new().layer(error()).timeout(second).layer(recorder.layer());
    for (app, error_type) in
        [(items().layer(inside), "_OTHER"), (items().layer(outside), "cancelled")]
    {
        assert_eq!(answer(app, request(&Method::GET, "/hangs", &[])).await.status_code, 503);
        let expected = described("GET /hangs", "/hangs", None, [("error.type", error_type.into())]);
        assert_eq!(Described::from(recorder.spans().pop().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_panic_that_is_caught_inside_is_a_500_and_outside_a_panic() {
    let recorder = Recorder::new();
    let panics = || request(&Method::GET, "/panics", &[]);
    let bare = answer(items().layer(CatchPanicLayer::new()), panics()).await;
    assert_eq!(bare.status_code, 500);
    let inside = items().layer(CatchPanicLayer::new()).layer(recorder.layer());
    let outside = items().layer(recorder.layer()).layer(CatchPanicLayer::new());
    for (app, status_code, error_type) in [(inside, Some(500), "500"), (outside, None, "panic")] {
        assert_eq!(answer(app, panics()).await, bare);
        let error_type = ("error.type", error_type.into());
        let expected = described("GET /panics", "/panics", status_code, [error_type]);
        assert_eq!(Described::from(recorder.spans().pop().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_request_that_announces_too_much_is_turned_away_with_its_route_on_the_span() {
    let recorder = Recorder::new();
    let upload = || {
        let mut request = request(&Method::POST, "/upload", &[("content-length", "11")]);
        *request.body_mut() = Body::from("hello world");
        request
    };
    let limited = || items().layer(RequestBodyLimitLayer::new(8));
    let bare = answer(limited(), upload()).await;
    assert_eq!(bare.status_code, 413);
    assert_eq!(answer(around(&recorder.layer(), limited()), upload()).await, bare);
    assert_eq!(
        Described::from(recorder.span()),
        described("POST /upload", "/upload", Some(413), [])
    );
}

#[tokio::test]
async fn the_size_of_a_request_is_what_came_through_the_limit_or_up_to_it() {
    let upload = || {
        let body = Body::new(Script::new(["hello", " ", "world"].map(Step::Data)));
        Request::builder().method("POST").uri("/upload").body(body).unwrap()
    };
    for (limit, status_code, counted_outside, counted_inside) in
        [(8, 413, 11, 6), (16, 200, 11, 11)]
    {
        let limit = || RequestBodyLimitLayer::new(limit);
        let bare = answer(items().layer(limit()), upload()).await;
        let recorder = Recorder::new();
        let outside = ServiceBuilder::new()
            .layer(recorder.layer())
            .layer(RequestBodySizeLayer::new())
            .layer(limit());
        let inside = ServiceBuilder::new()
            .layer(recorder.layer())
            .layer(limit())
            .layer(RequestBodySizeLayer::new());
        for (app, counted) in
            [(items().layer(outside), counted_outside), (items().layer(inside), counted_inside)]
        {
            assert_eq!(answer(app, upload()).await, bare);
            let counted = ("http.request.body.size", size(counted));
            let expected = described("POST /upload", "/upload", Some(status_code), [counted]);
            assert_eq!(Described::from(recorder.spans().pop().unwrap()), expected);
        }
    }
}

/// Every request has this one.
#[derive(Clone, Copy)]
struct AlwaysTheSame;

impl MakeRequestId for AlwaysTheSame {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        Some(RequestId::new(HeaderValue::from_static("request-1")))
    }
}

#[tokio::test]
async fn a_request_id_that_is_set_outside_is_recorded_and_one_that_is_sent_stays() {
    for (sent, id) in [(&[][..], "request-1"), (&[("x-request-id", "theirs")], "theirs")] {
        let recorder = Recorder::new();
        let layer = recorder
            .layer()
            .with_request_headers(headers(&["x-request-id"]))
            .with_response_headers(headers(&["x-request-id"]));
        let app = items().layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(AlwaysTheSame))
                .layer(layer)
                .layer(PropagateRequestIdLayer::x_request_id()),
        );
        let answer = answer(app, get_item(sent)).await;
        assert_eq!(answer.headers["x-request-id"], id);
        assert_eq!(answer.body, ITEM);
        let expected = of_item([
            ("http.request.header.x-request-id", strings(&[id])),
            ("http.response.header.x-request-id", strings(&[id])),
        ]);
        assert_eq!(Described::from(recorder.span()), expected);
    }
}

#[tokio::test]
async fn a_header_that_is_marked_before_it_gets_to_the_layer_is_redacted_whatever_the_policy() {
    const NAME: HeaderName = HeaderName::from_static("x-session");
    let app = || {
        Router::new().route(
            "/items/{id}",
            get(|| async { ([("x-session", "s3cret"), ("x-other", "known")], ITEM) }),
        )
    };
    let sent = &[("x-session", "s3cret"), ("x-other", "known")];
    for policy in [Redaction::new(), Redaction::off()] {
        let recorder = Recorder::new();
        let layer = || {
            recorder
                .layer()
                .with_redaction(policy.clone())
                .with_request_headers(headers(&["x-session", "x-o*"]))
                .with_response_headers(headers(&["x-session", "x-o*"]))
        };
        let apart = ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new([NAME]))
            .layer(layer())
            .layer(SetSensitiveResponseHeadersLayer::new([NAME]));
        // The response's are marked on the way out: for a layer inside that is too late.
        let together = ServiceBuilder::new()
            .layer(SetSensitiveHeadersLayer::new([NAME]))
            .layer(layer())
            .layer(SetSensitiveHeadersLayer::new([NAME]));
        for app in [app().layer(apart), app().layer(together)] {
            let answer = answer(app, get_item(sent)).await;
            assert_eq!(answer.headers["x-session"], "s3cret");
            let expected = of_item([
                ("http.request.header.x-session", strings(&["REDACTED"])),
                ("http.request.header.x-other", strings(&["known"])),
                ("http.response.header.x-session", strings(&["REDACTED"])),
                ("http.response.header.x-other", strings(&["known"])),
            ]);
            assert_eq!(Described::from(recorder.spans().pop().unwrap()), expected);
        }
    }
}

/// The exposed headers of an answer, sorted.
fn exposed(answer: &Answer) -> Vec<String> {
    let lines = answer.headers.get_all(header::ACCESS_CONTROL_EXPOSE_HEADERS).iter();
    let mut names: Vec<_> = lines
        .flat_map(|line| line.to_str().unwrap().split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn scripts_of_other_origins_may_see_which_span_it_was_on_either_side_of_cors() {
    let traceresponse = HeaderName::from_static("traceresponse");
    let origin = HeaderValue::from_static("https://shop.example");
    let cors = || CorsLayer::new().allow_origin(origin.clone());
    let mine = || cors().expose_headers([HeaderName::from_static("x-mine")]);
    let both = || cors().expose_headers([HeaderName::from_static("x-mine"), traceresponse.clone()]);
    let recorder = Recorder::new();
    let propagation = ResponsePropagation::none().with_traceresponse();
    let layer = || recorder.layer().with_response_propagation(propagation);
    for (app, expected) in [
        (items().layer(cors()).layer(layer()), &["traceresponse"][..]),
        (items().layer(layer()).layer(cors()), &["traceresponse"]),
        (items().layer(mine()).layer(layer()), &["traceresponse", "x-mine"]),
        (items().layer(both()).layer(layer()), &["traceresponse", "x-mine"]),
        // Its own list takes the place of what comes from inside, so it has to have the name.
        (items().layer(layer()).layer(both()), &["traceresponse", "x-mine"]),
    ] {
        let answer = answer(app, get_item(&[("origin", "https://shop.example")])).await;
        assert_eq!(exposed(&answer), expected);
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        assert_eq!(answer.body, ITEM);
        let span = recorder.spans().pop().unwrap();
        assert_eq!(answer.headers["traceresponse"], traceresponse_of(&span));
        assert_eq!(Described::from(span), of_item([]));
    }
}

fn traceresponse_of(span: &SpanData) -> String {
    let span = &span.span_context;
    format!("00-{}-{}-01", span.trace_id(), span.span_id())
}

#[tokio::test]
async fn a_preflight_is_answered_by_cors_and_on_a_span_if_that_is_inside() {
    let preflight = || {
        request(
            &Method::OPTIONS,
            "/items/1",
            &[("origin", "https://shop.example"), ("access-control-request-method", "GET")],
        )
    };
    let cors = || CorsLayer::new().allow_methods([Method::GET]);
    let recorder = Recorder::new();
    let bare = answer(items().layer(cors()), preflight()).await;
    let outside = items().layer(recorder.layer()).layer(cors());
    assert_eq!(answer(outside, preflight()).await, bare);
    assert!(recorder.spans().is_empty());
    let inside = items().layer(cors()).layer(recorder.layer());
    assert_eq!(answer(inside, preflight()).await, bare);
    assert_eq!(
        Described::from(recorder.span()),
        described("OPTIONS /items/{id}", "/items/1", Some(200), [])
    );
}

#[tokio::test]
async fn the_trace_layer_of_tower_http_changes_nothing_on_either_side() {
    let recorder = Recorder::new();
    let bare = answer(items(), get_item(&[])).await;
    let outside = items().layer(recorder.layer()).layer(LogLayer::new_for_http());
    let inside = items().layer(LogLayer::new_for_http()).layer(recorder.layer());
    for app in [outside, inside] {
        assert_eq!(answer(app, get_item(&[])).await, bare);
        assert_eq!(Described::from(recorder.spans().pop().unwrap()), of_item([]));
    }
}

#[tokio::test]
async fn layers_of_tower_http_are_put_around_a_service_that_is_no_router_too() {
    let recorder = Recorder::new();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(CompressionLayer::new())
        .layer(LogLayer::new_for_http())
        .layer(recorder.layer())
        .service(service_fn(|_: Request<String>| async {
            Ok::<_, Infallible>(Response::new(String::from(ITEM)))
        }));
    let response = service.oneshot(Request::new(String::new())).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, ITEM);
    assert_eq!(Described::from(recorder.span()), Described::of_a_plain_request());
    // A compile-time check: what these layers give is a service that ours goes around.
    let _: Trace<tower_http::compression::Compression<Router>> =
        recorder.layer().layer(CompressionLayer::new().layer(items()));
}

#[tokio::test]
async fn the_whole_stack_serves_over_a_socket() {
    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .with_response_body_size()
        .with_request_headers(headers(&["x-request-id"]))
        .with_response_propagation(ResponsePropagation::none().with_traceresponse());
    let inside = items().layer(
        ServiceBuilder::new()
            .layer(RouteLayer::new())
            .layer(CorsLayer::permissive())
            .layer(RequestBodyLimitLayer::new(8))
            .layer(CatchPanicLayer::new())
            .layer(TimeoutLayer::with_status_code(
                StatusCode::REQUEST_TIMEOUT,
                Duration::from_secs(60),
            ))
            .layer(CompressionLayer::new()),
    );
    let around = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(AlwaysTheSame))
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))
        .layer(layer)
        .layer(LogLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .service(inside);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback_service(around);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let url = |path: &str| format!("http://{address}{path}");
    let get = client::local().get(url("/items/1")).header("accept-encoding", "gzip");
    let response = get.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["x-request-id"], "request-1");
    let traceresponse = response.headers()["traceresponse"].to_str().unwrap().to_owned();
    let length = response.bytes().await.unwrap().len();
    let post = client::local().post(url("/upload")).body("hello world");
    assert_eq!(post.send().await.unwrap().status(), 413);
    let panics = client::local().get(url("/panics"));
    assert_eq!(panics.send().await.unwrap().status(), 500);

    let spans = recorder.spans();
    assert_eq!(traceresponse_of(&spans[0]), traceresponse);
    assert_eq!(attribute(&spans[0], "http.response.body.size"), Some(length.to_string()));
    let seen: Vec<_> = spans
        .iter()
        .map(|span| {
            let error_type = attribute(span, "error.type");
            let id = attribute(span, "http.request.header.x-request-id").unwrap();
            (&*span.name, attribute(span, "http.response.status_code").unwrap(), error_type, id)
        })
        .collect();
    let row = |name, status_code: &str, error_type: Option<&str>| {
        (name, status_code.to_owned(), error_type.map(str::to_owned), "[\"request-1\"]".to_owned())
    };
    assert_eq!(
        seen,
        [
            row("GET /items/{id}", "200", None),
            row("POST /upload", "413", None),
            row("GET /panics", "500", Some("500")),
        ]
    );
}
