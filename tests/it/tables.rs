//! The tables in the docs are generated from what the layer does.
//!
//! `UPDATE_TABLES=1 cargo test --test it tables` writes them anew.

use std::{
    collections::BTreeSet,
    env, fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider};
use tower_telemetry::{
    HeaderSelector, TraceLayer,
    server::{Connection, LegacyNames},
};

use crate::{
    routes::ROUTES,
    support::{
        exchange::{exchange, response},
        recorder::unique,
        sdk::Decides,
    },
};

/// What a request and its response are to be for an attribute to be there.
struct Case {
    layer: TraceLayer,
    request: Request<()>,
    response: Response<Full<Bytes>>,
}

/// The keys on the span, and those that the sampler was shown.
fn keys(change: impl FnOnce(Case) -> Case) -> (BTreeSet<String>, BTreeSet<String>) {
    let exporter = InMemorySpanExporter::default();
    let start = Arc::new(Mutex::new(BTreeSet::new()));
    let shown = Arc::clone(&start);
    let sampler = Decides::new(SamplingDecision::RecordAndSample, move |_, _, attributes| {
        shown.lock().unwrap().extend(attributes.iter().map(|attribute| attribute.key.to_string()));
    });
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_simple_exporter(exporter.clone())
        .build();
    let case = change(Case {
        layer: TraceLayer::new().with_tracer_provider(&provider),
        request: Request::new(()),
        response: response("hello"),
    });
    exchange(&case.layer, case.request, case.response);
    let span = exporter.get_finished_spans().unwrap().remove(0);
    let start = start.lock().unwrap().clone();
    (unique(span.attributes).into_keys().collect(), start)
}

struct Row {
    /// Several where one is never there without the other.
    keys: &'static [&'static str],
    /// Those of which the rest of the name is a header's.
    header: bool,
    level: &'static str,
    when: &'static str,
    value: &'static str,
    /// Brings it about; `None` if it is always there.
    case: Option<fn(Case) -> Case>,
}

const ALWAYS: &str = "always";

fn header(mut case: Case, name: &'static str, value: &'static str) -> Case {
    case.request.headers_mut().insert(name, HeaderValue::from_static(value));
    case
}

fn connected(mut case: Case) -> Case {
    let connection = Connection::new()
        .with_peer("192.0.2.1:5000".parse().unwrap())
        .with_local("192.0.2.2:443".parse().unwrap());
    case.request.extensions_mut().insert(connection);
    case
}

fn with(mut case: Case, change: impl FnOnce(TraceLayer) -> TraceLayer) -> Case {
    case.layer = change(case.layer);
    case
}

fn rows() -> Vec<Row> {
    let row =
        |keys, level, when, value, case| Row { keys, header: false, level, when, value, case };
    vec![
        row(&["http.request.method"], "required", ALWAYS, "the method, or `_OTHER`", None),
        row(
            &["http.request.method_original"],
            "required",
            "the method is not a known one",
            "the method as sent",
            Some(|mut case| {
                *case.request.method_mut() = Method::from_bytes(b"PURGE").unwrap();
                case
            }),
        ),
        row(&["url.path"], "required", ALWAYS, "as sent, also on a nested router; redacted", None),
        row(
            &["url.query"],
            "required",
            "there is one",
            "as sent; redacted",
            Some(|mut case| {
                *case.request.uri_mut() = "/?a=b".parse().unwrap();
                case
            }),
        ),
        row(
            &["url.scheme"],
            "required",
            ALWAYS,
            "by [trusted proxies](Forwarded), a [`Connection`] with TLS, the target, or else `http`",
            None,
        ),
        row(
            &["http.route"],
            "required",
            "it became known",
            "a pattern, `/items/{id}`",
            Some(|mut case| {
                use tower::Service;
                // What axum's router would do.
                let mut router = axum::Router::<()>::new().route(
                    "/",
                    axum::routing::get(|matched: axum::extract::MatchedPath| async move {
                        axum::Extension(matched)
                    }),
                );
                let request = Request::new(axum::body::Body::empty());
                let mut answer = tokio_test::block_on(router.call(request)).unwrap();
                let matched = answer.extensions_mut().remove::<axum::extract::MatchedPath>();
                case.request.extensions_mut().insert(matched.unwrap());
                case
            }),
        ),
        row(
            &["http.response.status_code"],
            "required",
            "there was a response",
            "an integer",
            // It is there with every response; where there is none is tested with the endings.
            None,
        ),
        row(
            &["error.type"],
            "required",
            "the span is an error",
            "see [what ends a span](#what-ends-a-span)",
            Some(|mut case| {
                *case.response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                case
            }),
        ),
        row(
            &["server.address"],
            "recommended",
            "known",
            "the host, by [trusted proxies](Forwarded), `:authority` or `Host`",
            Some(|case| header(case, "host", "shop.example")),
        ),
        row(
            &["server.port"],
            "required",
            "written beside that host",
            "an integer",
            Some(|case| header(case, "host", "shop.example:8080")),
        ),
        row(
            &["client.address"],
            "recommended",
            "known",
            "by [trusted proxies](Forwarded), or the peer's",
            Some(connected),
        ),
        row(
            &["network.peer.address", "network.peer.port"],
            "recommended",
            "axum's `ConnectInfo<SocketAddr>` or a [`Connection`] names it",
            "who is at the other end of the connection",
            Some(connected),
        ),
        row(&["network.protocol.version"], "recommended", ALWAYS, "`1.0`, `1.1`, `2`, `3`", None),
        row(
            &["user_agent.original"],
            "recommended",
            "sent",
            "as sent; redacted",
            Some(|case| header(case, "user-agent", "curl/8.0")),
        ),
        row(
            &["tower_telemetry.time_to_head"],
            "ours",
            "the span has waited for the body",
            "seconds",
            None,
        ),
        row(
            &["client.port"],
            "opt-in",
            "[asked for](TraceLayer::with_client_port), and known",
            "an integer",
            Some(|case| with(connected(case), TraceLayer::with_client_port)),
        ),
        row(
            &["network.local.address", "network.local.port"],
            "opt-in",
            "[asked for](TraceLayer::with_network_local), and a [`Connection`] names it",
            "which of our addresses was connected to",
            Some(|case| with(connected(case), TraceLayer::with_network_local)),
        ),
        row(
            &["network.transport"],
            "opt-in",
            "[asked for](TraceLayer::with_network_transport), and the peer is known",
            "`tcp`, or `quic` for HTTP/3",
            Some(|case| with(connected(case), TraceLayer::with_network_transport)),
        ),
        row(
            &["http.request.body.size"],
            "opt-in",
            "there is a [`RequestBodySizeLayer`]",
            "bytes that were read",
            Some(|case| case),
        ),
        row(
            &["http.response.body.size"],
            "opt-in",
            "[asked for](TraceLayer::with_response_body_size)",
            "bytes that were handed over",
            Some(|case| with(case, TraceLayer::with_response_body_size)),
        ),
        row(
            &["user_agent.synthetic.type"],
            "opt-in",
            "[asked for](TraceLayer::with_user_agent_synthetic_type), and it is",
            "`bot` or `test`",
            Some(|case| {
                let case = header(case, "user-agent", "Googlebot/2.1");
                with(case, TraceLayer::with_user_agent_synthetic_type)
            }),
        ),
        Row {
            header: true,
            ..row(
                &["http.request.header.x-mine"],
                "opt-in",
                "[asked for](TraceLayer::with_request_headers), and sent",
                "all its values; redacted",
                Some(|case| {
                    let case = header(case, "x-mine", "yes");
                    let mine = HeaderSelector::new(["x-mine"]).unwrap();
                    with(case, |layer| layer.with_request_headers(mine))
                }),
            )
        },
        Row {
            header: true,
            ..row(
                &["http.response.header.x-mine"],
                "opt-in",
                "[asked for](TraceLayer::with_response_headers), and sent",
                "all its values; redacted",
                Some(|mut case| {
                    case.response.headers_mut().insert("x-mine", HeaderValue::from_static("yes"));
                    let mine = HeaderSelector::new(["x-mine"]).unwrap();
                    with(case, |layer| layer.with_response_headers(mine))
                }),
            )
        },
    ]
}

/// The keys of a request whose body is counted, which takes another service.
fn keys_with_request_body_size() -> (BTreeSet<String>, BTreeSet<String>) {
    use tower::{Service, ServiceBuilder, service_fn};
    use tower_telemetry::server::RequestBodySizeLayer;

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let mut service = ServiceBuilder::new()
        .layer(TraceLayer::new().with_tracer_provider(&provider))
        .layer(RequestBodySizeLayer::new())
        .service(service_fn(|_: Request<_>| async {
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        }));
    tokio_test::block_on(service.call(Request::new(String::new()))).unwrap();
    let span = exporter.get_finished_spans().unwrap().remove(0);
    (unique(span.attributes).into_keys().collect(), BTreeSet::new())
}

#[test]
fn the_table_of_attributes_is_what_the_layer_does() {
    let (default, _) = keys(|case| case);
    let mut listed = BTreeSet::new();
    let mut table =
        String::from("| attribute | level | start | when | value |\n|---|---|---|---|---|\n");
    let mut seen = default.clone();
    for row in rows() {
        let (present, start) = match row.case {
            _ if row.keys == ["http.request.body.size"] => keys_with_request_body_size(),
            Some(case) => keys(case),
            None => keys(|case| case),
        };
        for key in row.keys {
            assert!(present.contains(*key), "{key} is not there when: {}", row.when);
            assert_eq!(default.contains(*key), row.case.is_none(), "{key} by default");
            assert!(listed.insert((*key).to_owned()), "{key} is listed twice");
        }
        let at_start = row.keys.iter().all(|key| start.contains(*key));
        assert!(at_start || row.keys.iter().all(|key| !start.contains(*key)), "{:?}", row.keys);
        let names: Vec<_> = row
            .keys
            .iter()
            .map(|key| match key.rsplit_once('.') {
                Some((prefix, _)) if row.header => format!("`{prefix}.{{name}}`"),
                _ => format!("`{key}`"),
            })
            .collect();
        let start = if at_start { "start" } else { "" };
        let Row { level, when, value, .. } = row;
        table += &format!("| {} | {level} | {start} | {when} | {value} |\n", names.join(", "));
        seen.extend(present);
    }
    assert_eq!(seen, listed, "what is seen is listed, and the other way round");
    assert_is_in_the_docs("attributes.md", &table);
}

/// What is written under which old name.
const LEGACY: [(&str, &str); 15] = [
    ("`http.request.method`, or `http.request.method_original`", "http.method"),
    ("`url.path`, `url.query`", "http.target"),
    ("scheme, host, port, path and query in one", "http.url"),
    ("`url.scheme`", "http.scheme"),
    ("`server.address`, `server.port`", "http.host"),
    ("`server.address`", "net.host.name"),
    ("`server.port`", "net.host.port"),
    ("`network.protocol.version`", "http.flavor"),
    ("`user_agent.original`", "http.user_agent"),
    ("`client.address`", "http.client_ip"),
    ("`network.peer.address`", "net.peer.ip"),
    ("`network.peer.port`", "net.peer.port"),
    ("`http.response.status_code`", "http.status_code"),
    ("`http.request.body.size`", "http.request_content_length"),
    ("`http.response.body.size`", "http.response_content_length"),
];

#[test]
fn the_table_of_old_names_is_what_the_layer_writes() {
    let full = |case: Case| {
        let case = header(connected(case), "host", "shop.example:8080");
        header(case, "user-agent", "curl/8.0")
    };
    let (stable, _) = keys(full);
    let (both, _) =
        keys(|case| with(full(case), |layer| layer.with_legacy_names(LegacyNames::Beside)));
    let old: BTreeSet<_> = both.difference(&stable).map(String::as_str).collect();
    let mut expected: BTreeSet<_> = LEGACY.iter().map(|(_, old)| *old).collect();
    // That one takes a layer of its own; the response's comes with the old names.
    expected.remove("http.request_content_length");
    expected.insert("http.response.body.size");
    assert_eq!(old, expected);

    let mut table = String::from("| stable | old |\n|---|---|\n");
    for (stable, old) in LEGACY {
        table += &format!("| {stable} | `{old}` |\n");
    }
    assert_is_in_the_docs("legacy.md", &table);
}

/// That these are the names is tested with the routes.
#[test]
fn the_table_of_routes_is_in_the_docs() {
    let mut table = String::from("| in axum | request | name |\n|---|---|---|\n");
    for (what, method, path, name) in ROUTES {
        table += &format!("| {what} | `{method} {path}` | `{name}` |\n");
    }
    assert_is_in_the_docs("routes.md", &table);
}

fn assert_is_in_the_docs(file: &str, table: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/server").join(file);
    if env::var_os("UPDATE_TABLES").is_some() {
        fs::write(&path, table).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), table, "{} is out of date", path.display());
}
