//! One trace across two services, from the client to the collector, compared as a whole.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{Method, Request, StatusCode},
    routing::get,
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{
    Context,
    trace::{FutureExt, SpanBuilder, SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};
use tower_telemetry::{
    PropagationLayer, ResourceBuilder, SCHEMA_URL, Telemetry, TraceLayer, client::Propagation,
    sdk::export::Otlp,
};

use crate::support::{
    client,
    collector::{Collector, Received},
};

const SERVER: i32 = 2;
const INTERNAL: i32 = 1;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: whether the parent is remote is known.
const KNOWN: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`
const REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

fn telemetry(service: &'static str, collector: &Collector) -> Telemetry {
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_resource(
            ResourceBuilder::new()
                .with_service_name(service)
                .with_service_version("1.2.3")
                .with_service_instance_id("0"),
        )
        .with_otlp(Otlp::new().with_endpoint(collector.url()))
        .build()
        .unwrap()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn inventory(telemetry: &Telemetry) -> Router {
    async fn stock(Path(id): Path<u32>) -> Result<String, StatusCode> {
        if id == 42 { Ok("7".to_owned()) } else { Err(StatusCode::NOT_FOUND) }
    }
    Router::new()
        .route("/stock/{id}", get(stock))
        .layer(TraceLayer::new().with_telemetry(telemetry))
}

#[derive(Clone)]
struct Inventory {
    client: Propagation<reqwest::Client>,
    at: SocketAddr,
}

fn gateway(telemetry: &Telemetry, at: SocketAddr) -> Router {
    async fn item(
        State(Inventory { mut client, at }): State<Inventory>,
        Path(id): Path<u32>,
    ) -> (StatusCode, String) {
        let url = format!("http://{at}/stock/{id}").parse().unwrap();
        let response = client.call(reqwest::Request::new(Method::GET, url)).await.unwrap();
        (response.status(), response.text().await.unwrap())
    }
    let client = PropagationLayer::new().with_telemetry(telemetry).layer(client::local());
    Router::new()
        .route("/items/{id}", get(item))
        .route("/report", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(TraceLayer::new().with_telemetry(telemetry))
        .with_state(Inventory { client, at })
}

/// Sends a request from within a span of the client's own.
async fn ask(
    telemetry: &Telemetry,
    client: &Propagation<Client<HttpConnector, Body>>,
    url: String,
) -> StatusCode {
    let tracer = telemetry.tracer_provider().tracer("the client's own");
    let builder = SpanBuilder::from_name("ask").with_kind(SpanKind::Internal);
    let cx = Context::new().with_span(tracer.build_with_context(builder, &Context::new()));
    let request = Request::get(url).header("user-agent", "test/1").body(Body::empty()).unwrap();
    let client = client.clone();
    let exchange = async move {
        let response = client.oneshot(request).await.unwrap();
        let status_code = response.status();
        response.into_body().collect().await.unwrap();
        status_code
    };
    let status_code = exchange.with_context(cx.clone()).await;
    cx.span().end();
    status_code
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A span as it should arrive; ids are those of `actual`, which are compared where they link.
fn expected(
    actual: &Received,
    service: &str,
    scope: [&str; 3],
    name: &str,
    kind: i32,
    parent: Option<&Received>,
    mut attributes: BTreeMap<String, String>,
) -> Received {
    // The one attribute that is a time.
    let key = "tower_telemetry.time_to_head";
    attributes.extend(actual.attributes.get(key).map(|time| (key.to_owned(), time.clone())));
    let remote = if kind == SERVER { REMOTE } else { 0 };
    let failed = attributes.contains_key("error.type");
    Received {
        resource: map([
            ("service.instance.id", "0"),
            ("service.name", service),
            ("service.version", "1.2.3"),
            ("telemetry.distro.name", "tower-telemetry"),
            ("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.version", "0.33.1"),
        ]),
        resource_schema: SCHEMA_URL.to_owned(),
        scope: scope.map(str::to_owned),
        trace_id: parent.map_or_else(|| actual.trace_id.clone(), |parent| parent.trace_id.clone()),
        span_id: actual.span_id.clone(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span_id.clone()),
        flags: SAMPLED | KNOWN | remote,
        name: name.to_owned(),
        kind,
        status: (if failed { 2 } else { 0 }, String::new()),
        attributes,
        events: 0,
        links: 0,
    }
}

fn server_attributes(
    address: SocketAddr,
    path: &str,
    route: Option<&str>,
    status_code: u16,
    agent: Option<&str>,
) -> BTreeMap<String, String> {
    let mut attributes = map([
        ("http.request.method", "GET"),
        ("url.path", path),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", &format!("{}i", address.port())),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", &format!("{status_code}i")),
    ]);
    let further = [("http.route", route), ("user_agent.original", agent)];
    for (key, value) in further {
        attributes.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    }
    if status_code >= 500 {
        attributes.insert("error.type".to_owned(), status_code.to_string());
    }
    attributes
}

#[tokio::test]
async fn a_request_is_one_trace_from_the_client_through_gateway_and_inventory() {
    const OURS: [&str; 3] = ["tower-telemetry", env!("CARGO_PKG_VERSION"), SCHEMA_URL];
    const THEIRS: [&str; 3] = ["the client's own", "", ""];

    let collector = Collector::start([]);
    let services = ["client", "gateway", "inventory"].map(|name| telemetry(name, &collector));
    let [of_client, of_gateway, of_inventory] = &services;
    let inventory_at = serve(inventory(of_inventory)).await;
    let gateway_at = serve(gateway(of_gateway, inventory_at)).await;
    let client = PropagationLayer::new()
        .with_telemetry(of_client)
        .layer(Client::builder(TokioExecutor::new()).build_http());

    for (path, status_code) in
        [("/items/42?sig=s3cret", 200), ("/items/7", 404), ("/report", 500), ("/nowhere", 404)]
    {
        let answered = ask(of_client, &client, format!("http://{gateway_at}{path}")).await;
        assert_eq!(answered, status_code, "{path}");
    }
    for telemetry in &services {
        telemetry.shutdown(Duration::from_secs(30)).unwrap();
    }

    let spans = collector.spans();
    let of = |service: &str| -> Vec<&Received> {
        spans.iter().filter(|span| span.resource["service.name"] == service).collect()
    };
    let (asks, items, stocks) = (of("client"), of("gateway"), of("inventory"));
    assert_eq!((asks.len(), items.len(), stocks.len()), (4, 4, 2), "{spans:#?}");

    for ask in &asks {
        let attributes = BTreeMap::new();
        assert_eq!(**ask, expected(ask, "client", THEIRS, "ask", INTERNAL, None, attributes));
        assert_eq!(asks.iter().filter(|other| other.trace_id == ask.trace_id).count(), 1);
    }

    let agent = Some("test/1");
    for (at, (name, path, route, status_code)) in [
        ("GET /items/{id}", "/items/42", Some("/items/{id}"), 200),
        ("GET /items/{id}", "/items/7", Some("/items/{id}"), 404),
        ("GET /report", "/report", Some("/report"), 500),
        ("GET", "/nowhere", None, 404),
    ]
    .into_iter()
    .enumerate()
    {
        let mut attributes = server_attributes(gateway_at, path, route, status_code, agent);
        if at == 0 {
            attributes.insert("url.query".to_owned(), "sig=REDACTED".to_owned());
        }
        let parent = Some(asks[at]);
        let expected = expected(items[at], "gateway", OURS, name, SERVER, parent, attributes);
        assert_eq!(*items[at], expected);
    }

    for (at, path, status_code) in [(0, "/stock/42", 200), (1, "/stock/7", 404)] {
        let route = Some("/stock/{id}");
        let attributes = server_attributes(inventory_at, path, route, status_code, None);
        let name = "GET /stock/{id}";
        let parent = Some(items[at]);
        let expected = expected(stocks[at], "inventory", OURS, name, SERVER, parent, attributes);
        assert_eq!(*stocks[at], expected);
    }
}
