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
use http_body_util::{Empty, Full};
use hyper_util::rt::TokioExecutor;
use opentelemetry::Context;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_telemetry::{
    ClientTraceLayer, Grpc, GrpcMethods, TraceLayer,
    client::{ResendCount, SpanEnd, UrlTemplate},
    server::{Connection, LegacyNames, RequestBodySizeLayer},
};

use crate::{
    routes::ROUTES,
    support::{
        exchange::{Answers, exchange, headers, response},
        recorder::unique,
        sdk::Decides,
        wire::Server,
    },
};

/// The keys on a span.
struct Keys {
    all: BTreeSet<String>,
    /// Those that the sampler was shown.
    start: BTreeSet<String>,
}

impl Keys {
    /// Of the last span that comes of this.
    fn of(job: impl FnOnce(&SdkTracerProvider)) -> Self {
        let exporter = InMemorySpanExporter::default();
        let start = Arc::new(Mutex::new(BTreeSet::new()));
        let shown = Arc::clone(&start);
        let looks = Decides::new(SamplingDecision::RecordAndSample, move |_, _, attributes| {
            let keys = attributes.iter().map(|attribute| attribute.key.to_string());
            *shown.lock().unwrap() = keys.collect();
        });
        let provider = SdkTracerProvider::builder()
            .with_sampler(looks)
            .with_simple_exporter(exporter.clone())
            .build();
        job(&provider);
        let span = exporter.get_finished_spans().unwrap().pop().unwrap();
        let all = unique(span.attributes).into_keys().collect();
        Self { all, start: start.lock().unwrap().clone() }
    }
}

/// What a request and its response are to be for an attribute to be there.
struct Case<L> {
    layer: L,
    request: Request<()>,
    response: Response<Full<Bytes>>,
}

/// A layer of either side.
trait Traces: Sized {
    fn on(provider: &SdkTracerProvider) -> Self;

    fn exchange(&self, request: Request<()>, response: Response<Full<Bytes>>);

    fn keys(change: impl FnOnce(Case<Self>) -> Case<Self>) -> Keys {
        Keys::of(|provider| {
            let (request, response) = (Request::new(()), response("hello"));
            let case = change(Case { layer: Self::on(provider), request, response });
            case.layer.exchange(case.request, case.response);
        })
    }
}

impl Traces for TraceLayer {
    fn on(provider: &SdkTracerProvider) -> Self {
        Self::new().with_tracer_provider(provider)
    }

    fn exchange(&self, request: Request<()>, response: Response<Full<Bytes>>) {
        exchange(self, request, response);
    }
}

impl Traces for ClientTraceLayer {
    fn on(provider: &SdkTracerProvider) -> Self {
        Self::new().with_tracer_provider(provider)
    }

    fn exchange(&self, request: Request<()>, response: Response<Full<Bytes>>) {
        exchange(self, request, response);
    }
}

struct Row<L> {
    /// Several where one is never there without the other.
    keys: &'static [&'static str],
    level: &'static str,
    when: &'static str,
    value: &'static str,
    how: How<L>,
}

/// What brings an attribute about.
enum How<L> {
    /// It is always there.
    Always,
    If(fn(Case<L>) -> Case<L>),
    /// More than a layer, a request and its response.
    By(fn() -> Keys),
}

use How::{Always, By, If};

fn row<L>(
    keys: &'static [&'static str],
    level: &'static str,
    when: &'static str,
    value: &'static str,
    how: How<L>,
) -> Row<L> {
    Row { keys, level, when, value, how }
}

/// The table of what the layer does with requests that are `prepared` like this; fails if the rows
/// do not say that.
fn table<L: Traces>(rows: Vec<Row<L>>, prepared: fn(Case<L>) -> Case<L>) -> String {
    let default = L::keys(prepared).all;
    let mut listed = BTreeSet::new();
    let mut table =
        String::from("| attribute | level | start | when | value |\n|---|---|---|---|---|\n");
    let mut seen = default.clone();
    for Row { keys, level, when, value, how } in rows {
        let is_always = matches!(how, Always);
        let Keys { all, start } = match how {
            Always => L::keys(prepared),
            If(case) => L::keys(|plain| case(prepared(plain))),
            By(keys) => keys(),
        };
        for key in keys {
            assert!(all.contains(*key), "{key} is not there when: {when}");
            assert_eq!(default.contains(*key), is_always, "{key} by default");
            assert!(listed.insert((*key).to_owned()), "{key} is listed twice");
        }
        let at_start = keys.iter().all(|key| start.contains(*key));
        assert!(at_start || keys.iter().all(|key| !start.contains(*key)), "{keys:?}");
        let names: Vec<_> = keys
            .iter()
            .map(|key| match key.strip_suffix(MINE) {
                Some(prefix) => format!("`{prefix}{{name}}`"),
                None => format!("`{key}`"),
            })
            .collect();
        let start = if at_start { "start" } else { "" };
        table += &format!("| {} | {level} | {start} | {when} | {value} |\n", names.join(", "));
        seen.extend(all);
    }
    assert_eq!(seen, listed, "what is seen is listed, and the other way round");
    table
}

/// The header that stands for all headers.
const MINE: &str = "x-mine";

const ALWAYS: &str = "always";

fn header<L>(mut case: Case<L>, name: &'static str, value: &'static str) -> Case<L> {
    case.request.headers_mut().insert(name, HeaderValue::from_static(value));
    case
}

fn connected(mut case: Case<TraceLayer>) -> Case<TraceLayer> {
    let connection = Connection::new()
        .with_peer("192.0.2.1:5000".parse().unwrap())
        .with_local("192.0.2.2:443".parse().unwrap());
    case.request.extensions_mut().insert(connection);
    case
}

fn with<L>(mut case: Case<L>, change: impl FnOnce(L) -> L) -> Case<L> {
    case.layer = change(case.layer);
    case
}

fn answered<L>(mut case: Case<L>, status_code: StatusCode) -> Case<L> {
    *case.response.status_mut() = status_code;
    case
}

fn with_mine_in_the_response<L>(mut case: Case<L>) -> Case<L> {
    case.response.headers_mut().insert(MINE, HeaderValue::from_static("yes"));
    case
}

fn purge<L>(mut case: Case<L>) -> Case<L> {
    *case.request.method_mut() = Method::from_bytes(b"PURGE").unwrap();
    case
}

fn of_server() -> Vec<Row<TraceLayer>> {
    vec![
        row(&["http.request.method"], "required", ALWAYS, "the method, or `_OTHER`", Always),
        row(
            &["http.request.method_original"],
            "required",
            "the method is not a known one",
            "the method as sent",
            If(purge),
        ),
        row(
            &["url.path"],
            "required",
            ALWAYS,
            "as sent, also on a nested router; redacted",
            Always,
        ),
        row(
            &["url.query"],
            "required",
            "there is one",
            "as sent; redacted",
            If(|mut case| {
                *case.request.uri_mut() = "/?a=b".parse().unwrap();
                case
            }),
        ),
        row(
            &["url.scheme"],
            "required",
            ALWAYS,
            "by [trusted proxies](Forwarded), a [`Connection`] with TLS, the target, or else `http`",
            Always,
        ),
        row(
            &["http.route"],
            "required",
            "it became known",
            "a pattern, `/items/{id}`",
            If(|mut case| {
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
            Always,
        ),
        row(
            &["error.type"],
            "required",
            "the span is an error",
            "see [what ends a span](#what-ends-a-span)",
            If(|case| answered(case, StatusCode::INTERNAL_SERVER_ERROR)),
        ),
        row(
            &["server.address"],
            "recommended",
            "known",
            "the host, by [trusted proxies](Forwarded), `:authority` or `Host`",
            If(|case| header(case, "host", "shop.example")),
        ),
        row(
            &["server.port"],
            "required",
            "written beside that host",
            "an integer",
            If(|case| header(case, "host", "shop.example:8080")),
        ),
        row(
            &["client.address"],
            "recommended",
            "known",
            "by [trusted proxies](Forwarded), or the peer's",
            If(connected),
        ),
        row(
            &["network.peer.address", "network.peer.port"],
            "recommended",
            "axum's `ConnectInfo<SocketAddr>` or a [`Connection`] names it",
            "who is at the other end of the connection",
            If(connected),
        ),
        row(&["network.protocol.version"], "recommended", ALWAYS, "`1.0`, `1.1`, `2`, `3`", Always),
        row(
            &["user_agent.original"],
            "recommended",
            "sent",
            "as sent; redacted",
            If(|case| header(case, "user-agent", "curl/8.0")),
        ),
        row(
            &["tower_telemetry.time_to_head"],
            "ours",
            "the span has waited for the body",
            "seconds",
            Always,
        ),
        row(
            &["client.port"],
            "opt-in",
            "[asked for](TraceLayer::with_client_port), and known",
            "an integer",
            If(|case| with(connected(case), TraceLayer::with_client_port)),
        ),
        row(
            &["network.local.address", "network.local.port"],
            "opt-in",
            "[asked for](TraceLayer::with_network_local), and a [`Connection`] names it",
            "which of our addresses was connected to",
            If(|case| with(connected(case), TraceLayer::with_network_local)),
        ),
        row(
            &["network.transport"],
            "opt-in",
            "[asked for](TraceLayer::with_network_transport), and the peer is known",
            "`tcp`, or `quic` for HTTP/3",
            If(|case| with(connected(case), TraceLayer::with_network_transport)),
        ),
        row(
            &["http.request.body.size"],
            "opt-in",
            "there is a [`RequestBodySizeLayer`]",
            "bytes that were read",
            By(with_a_counted_request),
        ),
        row(
            &["http.response.body.size"],
            "opt-in",
            "[asked for](TraceLayer::with_response_body_size)",
            "bytes that were handed over",
            If(|case| with(case, TraceLayer::with_response_body_size)),
        ),
        row(
            &["user_agent.synthetic.type"],
            "opt-in",
            "[asked for](TraceLayer::with_user_agent_synthetic_type), and it is",
            "`bot` or `test`",
            If(|case| {
                let case = header(case, "user-agent", "Googlebot/2.1");
                with(case, TraceLayer::with_user_agent_synthetic_type)
            }),
        ),
        row(
            &["http.request.header.x-mine"],
            "opt-in",
            "[asked for](TraceLayer::with_request_headers), and sent",
            "all its values; redacted",
            If(|case| {
                let case = header(case, MINE, "yes");
                with(case, |layer| layer.with_request_headers(headers(&[MINE])))
            }),
        ),
        row(
            &["http.response.header.x-mine"],
            "opt-in",
            "[asked for](TraceLayer::with_response_headers), and sent",
            "all its values; redacted",
            If(|case| {
                let case = with_mine_in_the_response(case);
                with(case, |layer| layer.with_response_headers(headers(&[MINE])))
            }),
        ),
    ]
}

fn with_a_counted_request() -> Keys {
    Keys::of(|provider| {
        let mut service = ServiceBuilder::new()
            .layer(TraceLayer::on(provider))
            .layer(RequestBodySizeLayer::new())
            .service(Answers(response("")));
        tokio_test::block_on(service.call(Request::new(String::new()))).unwrap();
    })
}

fn of_client() -> Vec<Row<ClientTraceLayer>> {
    vec![
        row(&["http.request.method"], "required", ALWAYS, "the method, or `_OTHER`", Always),
        row(
            &["http.request.method_original"],
            "required",
            "the method is not a known one",
            "the method as sent",
            If(purge),
        ),
        row(
            &["url.full"],
            "required",
            ALWAYS,
            "the whole URL, as far as it is known; redacted",
            Always,
        ),
        row(
            &["server.address"],
            "required",
            "the URL, the layer's [origin](ClientTraceLayer::with_origin) or `Host` says it",
            "the host",
            If(|case| header(case, "host", "inventory")),
        ),
        row(
            &["server.port"],
            "required",
            "written beside that host, or the scheme's default",
            "an integer",
            If(|case| header(case, "host", "inventory")),
        ),
        row(
            &["http.response.status_code"],
            "required",
            "there was a response",
            "an integer",
            // It is there with every response; where there is none is tested with the endings.
            Always,
        ),
        row(
            &["error.type"],
            "required",
            "the span is an error",
            "see [errors](#errors)",
            If(|case| answered(case, StatusCode::NOT_FOUND)),
        ),
        row(
            &["http.request.resend_count"],
            "recommended",
            "a [`ResendCountLayer`] or [`ResendCount`] counts, and it was sent before",
            "how often",
            By(sent_again),
        ),
        row(
            &["network.peer.address", "network.peer.port"],
            "recommended",
            "hyper-util's client or reqwest's names it",
            "who is at the other end of the connection, which may be a proxy",
            By(over_a_socket),
        ),
        row(
            &["network.protocol.version"],
            "recommended",
            "there was a response",
            "the one that was spoken: `1.0`, `1.1`, `2`, `3`",
            Always,
        ),
        row(
            &["tower_telemetry.time_to_head"],
            "ours",
            "the span has [waited for the body](SpanEnd::Body)",
            "seconds",
            If(|case| with(case, |layer| layer.with_span_end(SpanEnd::Body))),
        ),
        row(
            &["url.template"],
            "opt-in",
            "[given](UrlTemplate)",
            "a pattern, `/items/{id}`",
            If(|mut case| {
                case.request.extensions_mut().insert(UrlTemplate::new("/items/{id}"));
                case
            }),
        ),
        row(
            &["url.scheme"],
            "opt-in",
            "[asked for](ClientTraceLayer::with_url_scheme)",
            "the URL's, the layer's [origin's](ClientTraceLayer::with_origin), or else `http`",
            If(|case| with(case, ClientTraceLayer::with_url_scheme)),
        ),
        row(
            &["user_agent.original"],
            "opt-in",
            "[asked for](ClientTraceLayer::with_user_agent), and in the request already",
            "as sent; redacted",
            If(|case| {
                let case = header(case, "user-agent", "shop/2.1");
                with(case, ClientTraceLayer::with_user_agent)
            }),
        ),
        row(
            &["http.response.body.size"],
            "opt-in",
            "[asked for](ClientTraceLayer::with_response_body_size), and the span has waited for \
             the body",
            "bytes that were read",
            If(|case| {
                let case = with(case, |layer| layer.with_span_end(SpanEnd::Body));
                with(case, ClientTraceLayer::with_response_body_size)
            }),
        ),
        row(
            &["http.request.header.x-mine"],
            "opt-in",
            "[asked for](ClientTraceLayer::with_request_headers), and in the request already",
            "all its values; redacted",
            If(|case| {
                let case = header(case, MINE, "yes");
                with(case, |layer| layer.with_request_headers(headers(&[MINE])))
            }),
        ),
        row(
            &["http.response.header.x-mine"],
            "opt-in",
            "[asked for](ClientTraceLayer::with_response_headers), and sent",
            "all its values; redacted",
            If(|case| {
                let case = with_mine_in_the_response(case);
                with(case, |layer| layer.with_response_headers(headers(&[MINE])))
            }),
        ),
    ]
}

fn sent_again() -> Keys {
    Keys::of(|provider| {
        let layer = ClientTraceLayer::on(provider);
        let _attached = Context::current_with_value(ResendCount::new()).attach();
        for _ in 0..2 {
            exchange(&layer, Request::new(()), response(""));
        }
    })
}

/// Nothing but hyper-util's client itself can say who has answered.
fn over_a_socket() -> Keys {
    Keys::of(|provider| {
        tokio_test::block_on(async {
            let server = Server::http1(Answers(response(""))).await;
            let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .build_http::<Empty<Bytes>>();
            let client = ClientTraceLayer::on(provider).layer(client);
            let url = format!("http://{}/", server.address);
            client.oneshot(Request::get(url).body(Empty::new()).unwrap()).await.unwrap();
        });
    })
}

#[test]
fn the_tables_of_attributes_are_what_the_layers_do() {
    assert_is_in_the_docs("server/attributes.md", &table(of_server(), |case| case));
    assert_is_in_the_docs("client/attributes.md", &table(of_client(), |case| case));
    assert_is_in_the_docs("server/grpc.md", &table(of_called_server(), call));
    assert_is_in_the_docs("client/grpc.md", &table(of_calling_client(), call));
}

/// Makes a gRPC call of a request.
fn call<L>(case: Case<L>) -> Case<L> {
    let mut case = header(case, "content-type", "application/grpc");
    *case.request.uri_mut() = "/shop.v1.Inventory/Get".parse().unwrap();
    case.response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
    case
}

/// A layer that is told of calls.
trait Calls: Traces {
    fn grpc(self, grpc: Grpc) -> Self;
}

impl Calls for TraceLayer {
    fn grpc(self, grpc: Grpc) -> Self {
        self.with_grpc(grpc)
    }
}

impl Calls for ClientTraceLayer {
    fn grpc(self, grpc: Grpc) -> Self {
        self.with_grpc(grpc)
    }
}

/// The rows before a side's own, and those after them.
fn of_call<L: Calls>(own: Vec<Row<L>>) -> Vec<Row<L>> {
    let mut rows = vec![
        row(&["rpc.system.name"], "required", ALWAYS, "`grpc`", Always),
        row(&["rpc.method"], "required", ALWAYS, "`shop.v1.Inventory/Get`, or `_OTHER`", Always),
        row(
            &["rpc.method_original"],
            "required",
            "the method is not a [known one](crate::Grpc::with_methods)",
            "what was asked for; redacted",
            If(|case| {
                with(case, |layer: L| layer.grpc(Grpc::new().with_methods(GrpcMethods::default())))
            }),
        ),
        row(
            &["rpc.status_code"],
            "required",
            "always, but where [nobody can know it](#how-a-call-ends)",
            "`OK`, `NOT_FOUND`; see [how a call ends](#how-a-call-ends)",
            Always,
        ),
        row(
            &["error.type"],
            "required",
            "the span is an error",
            "see [how a call ends](#how-a-call-ends)",
            If(|mut case| {
                case.response.headers_mut().insert("grpc-status", HeaderValue::from_static("13"));
                case
            }),
        ),
    ];
    rows.extend(own);
    rows.extend([
        row(
            &["http.response.status_code"],
            "ours",
            "the response has no `grpc-status`, and is over or no answer to a call",
            "an integer, which `rpc.status_code` was made of",
            If(|mut case| {
                case.response.headers_mut().remove("grpc-status");
                case
            }),
        ),
        row(
            &["tower_telemetry.time_to_head"],
            "ours",
            "the span has waited for the body",
            "seconds",
            Always,
        ),
        row(
            &["rpc.response.status_code"],
            "opt-in",
            "[asked for](crate::Grpc::with_legacy_names)",
            "the same as `rpc.status_code`",
            If(|case| {
                let old = Grpc::new().with_legacy_names(LegacyNames::Beside);
                with(case, |layer: L| layer.grpc(old))
            }),
        ),
        row(
            &["rpc.request.metadata.x-mine"],
            "opt-in",
            "[asked for](crate::Grpc::with_request_metadata), and sent",
            "all its values; redacted",
            If(|case| {
                let mine = Grpc::new().with_request_metadata(headers(&[MINE]));
                with(header(case, MINE, "yes"), |layer: L| layer.grpc(mine))
            }),
        ),
        row(
            &["rpc.response.metadata.x-mine"],
            "opt-in",
            "[asked for](crate::Grpc::with_response_metadata), and sent with the head or the trailers",
            "all its values; redacted",
            If(|case| {
                let mine = Grpc::new().with_response_metadata(headers(&[MINE]));
                with(with_mine_in_the_response(case), |layer: L| layer.grpc(mine))
            }),
        ),
    ]);
    rows
}

fn of_called_server() -> Vec<Row<TraceLayer>> {
    of_call(vec![
        row(
            &["server.address"],
            "recommended",
            "known",
            "the host, by [trusted proxies](Forwarded), `:authority` or `Host`",
            If(|case| header(case, "host", "inventory")),
        ),
        row(
            &["server.port"],
            "required",
            "written beside that host",
            "an integer",
            If(|case| header(case, "host", "inventory:50051")),
        ),
        row(
            &["network.peer.address", "network.peer.port"],
            "recommended",
            "tonic's or axum's server or a [`Connection`] names it",
            "who is at the other end of the connection",
            If(connected),
        ),
        row(
            &["network.local.address", "network.local.port"],
            "opt-in",
            "[asked for](TraceLayer::with_network_local), and named in the same way",
            "which of our addresses was connected to",
            If(|case| with(connected(case), TraceLayer::with_network_local)),
        ),
        row(
            &["network.transport"],
            "opt-in",
            "[asked for](TraceLayer::with_network_transport), and the peer is known",
            "`tcp`, or `quic` for HTTP/3",
            If(|case| with(connected(case), TraceLayer::with_network_transport)),
        ),
    ])
}

fn of_calling_client() -> Vec<Row<ClientTraceLayer>> {
    of_call(vec![
        row(
            &["server.address"],
            "required",
            "the channel's [target](ClientTraceLayer::with_grpc_target), the URL, the layer's [origin](ClientTraceLayer::with_origin) or `Host` says it",
            "the host, the path of a socket, or the whole target",
            If(|case| with(case, |layer| layer.with_grpc_target("unix:/run/a.sock").unwrap())),
        ),
        row(
            &["server.port"],
            "required",
            "written beside that host, or the scheme's default",
            "an integer",
            If(|case| with(case, |layer| layer.with_grpc_target("inventory:50051").unwrap())),
        ),
        row(
            &["network.peer.address", "network.peer.port"],
            "recommended",
            "hyper-util's client or reqwest's names it; a tonic channel does not",
            "who has answered",
            By(call_over_a_socket),
        ),
    ])
}

/// Nothing but hyper-util's client itself can say who has answered.
fn call_over_a_socket() -> Keys {
    Keys::of(|provider| {
        tokio_test::block_on(async {
            let mut answer = response("");
            answer.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
            let server = Server::http1(Answers(answer)).await;
            let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .build_http::<Empty<Bytes>>();
            let client = ClientTraceLayer::on(provider).layer(client);
            let url = format!("http://{}/shop.v1.Inventory/Get", server.address);
            let request = Request::post(url).header("content-type", "application/grpc");
            client.oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
        });
    })
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
    let full = |case| {
        let case = header(connected(case), "host", "shop.example:8080");
        header(case, "user-agent", "curl/8.0")
    };
    let beside = |layer: TraceLayer| layer.with_legacy_names(LegacyNames::Beside);
    let stable = TraceLayer::keys(full).all;
    let both = TraceLayer::keys(|case| with(full(case), beside)).all;
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
    assert_is_in_the_docs("server/legacy.md", &table);
}

/// That these are the names is tested with the routes.
#[test]
fn the_table_of_routes_is_in_the_docs() {
    let mut table = String::from("| in axum | request | name |\n|---|---|---|\n");
    for (what, method, path, name) in ROUTES {
        table += &format!("| {what} | `{method} {path}` | `{name}` |\n");
    }
    assert_is_in_the_docs("server/routes.md", &table);
}

fn assert_is_in_the_docs(file: &str, table: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    if env::var_os("UPDATE_TABLES").is_some() {
        fs::write(&path, table).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), table, "{} is out of date", path.display());
}
