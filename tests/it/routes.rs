//! Which route a request had, and what its span is called: inside the router, outside, and by what
//! the handler says.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::StatusCode,
    middleware,
    response::IntoResponse,
    routing::{any, get, post},
};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_telemetry::{
    RouteLayer, TraceLayer,
    server::{RouteSource, ServerSpan},
};

use crate::support::{
    recorder::{Described, Recorder},
    sdk::Decides,
};

/// Name and route of a request to `app`, which has the recorder's layer somewhere.
async fn named(
    recorder: &Recorder,
    app: Router,
    method: &str,
    path: &str,
) -> (String, Option<String>) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let span = Described::from(recorder.span());
    let route = span.attributes.get("http.route").map(ToString::to_string);
    (span.name, route)
}

fn as_expected(name: &str) -> (String, Option<String>) {
    (name.to_owned(), name.split_once(' ').map(|(_, route)| route.to_owned()))
}

/// A router with a bit of everything that axum has.
fn app() -> Router {
    let leaf = || get(|| async { "leaf" });
    let deep = Router::new().route("/{c}", leaf()).route("/", leaf());
    let nested = Router::new().route("/{b}", leaf()).nest("/deep", deep);
    let service = Router::new().route("/{b}", leaf()).layer(RouteLayer::new());
    let fallback = Router::new().route("/known", leaf()).fallback(|| async { "fallback" });
    Router::new()
        .route("/", leaf())
        .route("/a/{a}", leaf())
        .route("/files/{*path}", leaf())
        .route("/post", post(|| async { "posted" }))
        .nest("/nested/{a}", nested)
        .nest("/with-fallback", fallback)
        .nest_service("/service", service)
        .route_service(
            "/one",
            service_fn(|_: Request<Body>| async {
                Ok::<_, Infallible>(Response::new(Body::from("one")))
            }),
        )
        .merge(Router::new().route("/merged", leaf()))
}

/// What it is in axum, a request to it, and what its span is called.
pub(crate) const ROUTES: [(&str, &str, &str, &str); 15] = [
    ("`route(\"/\", ..)`", "GET", "/", "GET /"),
    ("`route(\"/a/{a}\", ..)`", "GET", "/a/1", "GET /a/{a}"),
    ("the same, by another method", "HEAD", "/a/1", "HEAD /a/{a}"),
    ("the same, by a method that is not known", "PURGE", "/a/1", "HTTP /a/{a}"),
    ("a route that has no such method (405)", "GET", "/post", "GET /post"),
    ("`route(\"/files/{*path}\", ..)`", "GET", "/files/x/y", "GET /files/{*path}"),
    ("`route_service(\"/one\", ..)`", "GET", "/one", "GET /one"),
    ("`merge(..)`", "GET", "/merged", "GET /merged"),
    ("`nest(\"/nested/{a}\", ..)`", "GET", "/nested/1/2", "GET /nested/{a}/{b}"),
    ("`nest` in `nest`", "GET", "/nested/1/deep/3", "GET /nested/{a}/deep/{c}"),
    ("its `/`", "GET", "/nested/1/deep", "GET /nested/{a}/deep"),
    (
        "`nest` of a router with a fallback",
        "GET",
        "/with-fallback/known",
        "GET /with-fallback/known",
    ),
    ("that fallback", "GET", "/with-fallback/unknown", "GET"),
    ("`nest_service` of a router with a `RouteLayer`", "GET", "/service/1", "GET /service/{b}"),
    ("no route (404), and any other fallback", "GET", "/nowhere", "GET"),
];

#[tokio::test]
async fn a_layer_on_the_router_knows_the_route() {
    for (_, method, path, name) in ROUTES {
        let recorder = Recorder::new();
        let named = named(&recorder, app().layer(recorder.layer()), method, path).await;
        assert_eq!(named, as_expected(name), "{method} {path}");
    }
}

#[tokio::test]
async fn a_layer_around_the_router_is_told_by_a_route_layer_on_it() {
    for (_, method, path, name) in ROUTES {
        let recorder = Recorder::new();
        let inside = app().layer(RouteLayer::new());
        let outside = Router::new().fallback_service(recorder.layer().layer(inside));
        let named = named(&recorder, outside, method, path).await;
        assert_eq!(named, as_expected(name), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_turned_away_before_its_handler_is_seen_from_outside_with_its_route() {
    let recorder = Recorder::new();
    let reject =
        middleware::from_fn(|request: axum::extract::Request, next: middleware::Next| async {
            if request.headers().contains_key("authorization") {
                next.run(request).await
            } else {
                StatusCode::UNAUTHORIZED.into_response()
            }
        });
    let app = app().layer(reject).layer(RouteLayer::new());
    let app = Router::new().fallback_service(recorder.layer().layer(app));
    assert_eq!(named(&recorder, app, "GET", "/a/1").await, as_expected("GET /a/{a}"));
    let span = Described::from(recorder.span());
    assert_eq!(span.attributes["http.response.status_code"], 401.into());
}

#[tokio::test]
async fn two_layers_make_one_span_and_the_inner_one_tells_the_route() {
    for (_, method, path, name) in ROUTES {
        let recorder = Recorder::new();
        let inside = app().layer(recorder.layer());
        let outside = Router::new().fallback_service(recorder.layer().layer(inside));
        let named = named(&recorder, outside, method, path).await;
        assert_eq!(named, as_expected(name), "{method} {path}");
    }
}

/// The span of a request that is answered by `tell`, inside a router that matched `/a/{*rest}`.
async fn told(
    set_up: impl FnOnce(TraceLayer) -> TraceLayer,
    tell: fn(ServerSpan),
) -> (String, Option<String>) {
    let recorder = Recorder::new();
    let app = Router::new()
        .route("/a/{*rest}", any(move |span: ServerSpan| async move { tell(span) }))
        .layer(set_up(recorder.layer()));
    named(&recorder, app, "GET", "/a/1").await
}

#[tokio::test]
async fn a_handler_knows_better_than_the_router() {
    let same = |layer| layer;
    let pair = |name: &str, route: &str| (name.to_owned(), Some(route.to_owned()));
    assert_eq!(told(same, |_| ()).await, pair("GET /a/{*rest}", "/a/{*rest}"));
    assert_eq!(told(same, |span| span.set_route("/a/{id}")).await, pair("GET /a/{id}", "/a/{id}"));
    // The first of two, and of an equal or worse source none.
    let twice = |span: ServerSpan| {
        span.set_route("/a/{id}");
        span.set_route(String::from("/a/{id}/more"));
        span.set_route_from(RouteSource::Middleware, "/a/{id}/and/more");
    };
    assert_eq!(told(same, twice).await, pair("GET /a/{id}", "/a/{id}"));
    let middleware = |span: ServerSpan| span.set_route_from(RouteSource::Middleware, "/a/long/one");
    assert_eq!(told(same, middleware).await, pair("GET /a/{*rest}", "/a/{*rest}"));
    let longer = |span: ServerSpan| span.set_route_from(RouteSource::Router, "/a/{*rest}/{more}");
    assert_eq!(told(same, longer).await, pair("GET /a/{*rest}/{more}", "/a/{*rest}/{more}"));
    // What is empty says nothing.
    let empty = |span: ServerSpan| {
        span.set_route("");
        span.set_name("");
    };
    assert_eq!(told(same, empty).await, pair("GET /a/{*rest}", "/a/{*rest}"));
    // A name is a name, whatever the route.
    let name = |span: ServerSpan| {
        span.set_name("an a");
        span.set_route("/a/{id}");
    };
    assert_eq!(told(same, name).await, pair("an a", "/a/{id}"));
}

#[tokio::test]
async fn a_route_before_the_start_is_seen_by_the_sampler_and_stays() {
    let looks = Decides::new(SamplingDecision::RecordAndSample, |name, _, attributes| {
        assert_eq!(name, "GET /a/{*rest}");
        assert!(attributes.contains(&KeyValue::new("http.route", "/a/{*rest}")));
    });
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(looks)
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = TraceLayer::new().with_tracer_provider(&provider).with_route_before_start();
    let app: Router = Router::new()
        .route("/a/{*rest}", get(|span: ServerSpan| async move { span.set_route("/a/{id}") }))
        .layer(layer);
    let request = Request::builder().uri("/a/1").body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let span = Described::from(exporter.get_finished_spans().unwrap().remove(0));
    assert_eq!(span.name, "GET /a/{id}");
    assert_eq!(span.attributes["http.route"], "/a/{*rest}".into());
}

#[tokio::test]
async fn a_name_that_the_layer_was_given_stays_but_for_one_that_the_handler_gives() {
    let given = |layer: TraceLayer| {
        layer.with_span_name(|request| Some(format!("{} mine", request.method()).into()))
    };
    let none = |layer: TraceLayer| layer.with_span_name(|_| None);
    let panics =
        |layer: TraceLayer| layer.with_span_name(|_| panic!("the hook panics, as it was told to"));
    let pair = |name: &str, route: &str| (name.to_owned(), Some(route.to_owned()));
    assert_eq!(told(given, |_| ()).await, pair("GET mine", "/a/{*rest}"));
    assert_eq!(told(given, |span| span.set_route("/b")).await, pair("GET mine", "/b"));
    assert_eq!(told(given, |span| span.set_name("its")).await, pair("its", "/a/{*rest}"));
    assert_eq!(told(none, |_| ()).await, pair("GET /a/{*rest}", "/a/{*rest}"));
    assert_eq!(told(panics, |_| ()).await, pair("GET /a/{*rest}", "/a/{*rest}"));
}

#[tokio::test]
async fn a_name_that_is_set_through_opentelemetry_stays_where_the_route_was_known_from_the_start() {
    use opentelemetry::trace::TraceContextExt;

    let rename = |_| opentelemetry::Context::current().span().update_name("renamed");
    let pair = |name: &str, route: &str| (name.to_owned(), Some(route.to_owned()));
    assert_eq!(told(|layer| layer, rename).await, pair("renamed", "/a/{*rest}"));
}

#[tokio::test]
async fn a_route_is_told_without_a_router_too() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(recorder.layer())
        .layer(RouteLayer::of("/report"))
        .service(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    service.call(Request::builder().method(Method::POST).body(()).unwrap()).await.unwrap();
    assert_eq!(recorder.span().name, "POST /report");
}

#[tokio::test]
async fn a_route_of_ones_own_is_told_in_place_of_axums() {
    let recorder = Recorder::new();
    let inside = app().layer(RouteLayer::of("/mine"));
    let outside = Router::new().fallback_service(recorder.layer().layer(inside));
    assert_eq!(named(&recorder, outside, "GET", "/a/1").await, as_expected("GET /mine"));
}

#[tokio::test]
async fn a_route_is_on_a_span_whose_handler_panicked_or_was_cancelled() {
    for panics in [true, false] {
        let recorder = Recorder::new();
        let app: Router = Router::new()
            .route(
                "/a/{id}",
                get(move || async move {
                    assert!(!panics, "the handler panics, as it was told to");
                    std::future::pending::<()>().await;
                }),
            )
            .layer(RouteLayer::new());
        let app = recorder.layer().layer(app);
        let request = Request::builder().uri("/a/1").body(Body::empty()).unwrap();
        let task = tokio::spawn(app.oneshot(request));
        if panics {
            assert!(task.await.unwrap_err().is_panic());
        } else {
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        let span = Described::from(recorder.span());
        assert_eq!(span.name, "GET /a/{id}");
        assert_eq!(span.attributes["http.route"], "/a/{id}".into());
        let error = if panics { "panic" } else { "cancelled" };
        assert_eq!(span.attributes["error.type"], error.into());
    }
}

#[tokio::test]
async fn a_request_of_the_handlers_own_is_one_of_its_own() {
    let recorder = Recorder::new();
    let inner = Router::new().route("/inner", get(|| async { "inner" })).layer(recorder.layer());
    let app = Router::new()
        .route(
            "/outer",
            get(move || async move {
                let request = Request::builder().uri("/inner").body(Body::empty()).unwrap();
                inner.oneshot(request).await.unwrap()
            }),
        )
        .layer(recorder.layer());
    let request = Request::builder().uri("/outer").body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let spans = recorder.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["GET /inner", "GET /outer"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
}
