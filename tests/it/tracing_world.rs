//! Spans of `tracing` above and below ours: one trace, whoever has made which span.

use std::{
    collections::BTreeMap, convert::Infallible, fmt::Debug, net::SocketAddr, time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    routing::get,
};
use futures_util::{StreamExt, future::join, stream};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use opentelemetry::{
    SpanId,
    trace::{FutureExt, TracerProvider},
};
use opentelemetry_sdk::trace::SpanData;
use tokio::{net::TcpListener, sync::mpsc::UnboundedReceiver, task::yield_now, time::timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_telemetry::{ClientTraceLayer, PropagationLayer, client::ClientTrace};
use tracing::{Instrument, Span, info_span, instrument, subscriber::DefaultGuard};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::support::{client, recorder::Recorder};

/// Makes spans of `tracing` spans of the recorder's, on this thread.
fn subscribe(recorder: &Recorder) -> DefaultGuard {
    subscribe_with_activation(recorder, true)
}

fn subscribe_with_activation(recorder: &Recorder, activation: bool) -> DefaultGuard {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(recorder.provider.tracer("tracing"))
        .with_context_activation(activation);
    tracing::subscriber::set_default(Registry::default().with(layer))
}

/// Client spans that are named after their path, so that each name is there once.
fn client_layer(recorder: &Recorder) -> ClientTraceLayer {
    recorder
        .client_layer()
        .with_span_name(|request| Some(format!("client {}", request.path()).into()))
}

/// Whose child each span is, by name.
fn tree(recorder: &Recorder) -> BTreeMap<String, Option<String>> {
    let spans = recorder.spans();
    let of = |id| {
        let found = spans.iter().find(|span| span.span_context.span_id() == id);
        found.map(|span| span.name.to_string())
    };
    let parents = spans.iter().map(|span| {
        let parent = match span.parent_span_id {
            SpanId::INVALID => None,
            id => Some(of(id).unwrap_or_else(|| panic!("{} has lost its parent", span.name))),
        };
        (span.name.to_string(), parent)
    });
    let parents: BTreeMap<_, _> = parents.collect();
    assert_eq!(parents.len(), spans.len(), "a name is there twice: {spans:#?}");
    parents
}

fn parents<const N: usize>(
    expected: [(&str, Option<&str>); N],
) -> BTreeMap<String, Option<String>> {
    expected.map(|(name, parent)| (name.to_owned(), parent.map(str::to_owned))).into()
}

/// What a request carries that is sent in the span of this name.
fn traceparent(recorder: &Recorder, name: &str) -> String {
    let spans = recorder.spans();
    let span = spans.iter().find(|span| span.name == name).expect(name);
    let cx = &span.span_context;
    format!("00-{}-{}-01", cx.trace_id(), cx.span_id())
}

/// What `request` carries.
fn carried<B>(request: &Request<B>) -> String {
    request.headers()["traceparent"].to_str().unwrap().to_owned()
}

/// A server that answers with the `traceparent` it was sent, and makes no span.
async fn echo() -> SocketAddr {
    let echo = async |request: axum::extract::Request| carried(&request);
    serve(Router::new().fallback(echo)).await
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn ask(mut client: ClientTrace<reqwest::Client>, url: String) -> String {
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    client.call(request).await.unwrap().text().await.unwrap()
}

async fn text<B: http_body::Body<Data: Debug, Error: Debug>>(response: Response<B>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

/// Waits until so many spans have ended. A server lets go of a handler's future, and of what that
/// holds, when it pleases.
async fn ended(ended: &mut UnboundedReceiver<SpanData>, count: usize) {
    for _ in 0..count {
        timeout(Duration::from_secs(30), ended.recv()).await.unwrap().unwrap();
    }
}

/// Asks before an await, inside of another such function, and after that.
#[instrument(skip_all)]
async fn outer(ask: impl AsyncFn(&'static str) -> String) -> [String; 3] {
    let first = ask("/first").await;
    yield_now().await;
    let nested = inner(&ask).await;
    yield_now().await;
    [first, nested, ask("/last").await]
}

#[instrument(skip_all)]
async fn inner(ask: impl AsyncFn(&'static str) -> String) -> String {
    yield_now().await;
    ask("/nested").await
}

/// What of the program runs inside of a client.
#[instrument(skip_all)]
async fn transport(request: Request<()>) -> Result<Response<String>, Infallible> {
    yield_now().await;
    Ok(Response::new(carried(&request)))
}

#[tokio::test]
async fn a_client_span_is_a_child_of_the_tracing_span_and_its_context_is_what_is_sent() {
    const OF_CLIENTS: [(&str, Option<&str>); 5] = [
        ("outer", None),
        ("client /first", Some("outer")),
        ("inner", Some("outer")),
        ("client /nested", Some("inner")),
        ("client /last", Some("outer")),
    ];

    async fn check(recorder: &Recorder, ask: impl AsyncFn(&'static str) -> String) {
        let sent = {
            let _subscribed = subscribe(recorder);
            outer(ask).await
        };
        assert_eq!(tree(recorder), parents(OF_CLIENTS));
        assert_eq!(recorder.traces(), 1);
        let of_clients = ["client /first", "client /nested", "client /last"];
        assert_eq!(sent, of_clients.map(|name| traceparent(recorder, name)));
    }

    // In this process.
    let recorder = Recorder::new();
    let service = client_layer(&recorder).layer(service_fn(async |request: Request<()>| {
        yield_now().await;
        Ok::<_, Infallible>(Response::new(carried(&request)))
    }));
    check(&recorder, async |path| {
        let request = Request::get(format!("http://inventory{path}")).body(()).unwrap();
        text(service.clone().oneshot(request).await.unwrap()).await
    })
    .await;

    // Over a socket.
    let recorder = Recorder::new();
    let address = echo().await;
    let client = client_layer(&recorder).layer(client::local());
    check(&recorder, async |path| ask(client.clone(), format!("http://{address}{path}")).await)
        .await;
}

#[tokio::test]
async fn a_tracing_span_inside_of_a_client_is_a_child_of_the_client_span() {
    let recorder = Recorder::new();
    let _subscribed = subscribe(&recorder);
    let client = client_layer(&recorder).layer(service_fn(transport));
    let request = Request::get("http://inventory/item").body(()).unwrap();
    client.oneshot(request).instrument(info_span!("program")).await.unwrap();

    let expected = parents([
        ("program", None),
        ("client /item", Some("program")),
        ("transport", Some("client /item")),
    ]);
    assert_eq!(tree(&recorder), expected);
}

#[tokio::test]
async fn two_tracing_spans_whose_requests_interleave_have_each_their_own() {
    let recorder = Recorder::new();
    let _subscribed = subscribe(&recorder);
    let address = echo().await;
    let client = client_layer(&recorder).layer(client::local());
    let ask = async |path| {
        yield_now().await;
        let sent = ask(client.clone(), format!("http://{address}{path}")).await;
        yield_now().await;
        sent
    };
    let (left, right) = join(
        ask("/left").instrument(info_span!("left")),
        ask("/right").instrument(info_span!("right")),
    )
    .await;

    let expected = parents([
        ("left", None),
        ("right", None),
        ("client /left", Some("left")),
        ("client /right", Some("right")),
    ]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(recorder.traces(), 2);
    assert_eq!(left, traceparent(&recorder, "client /left"));
    assert_eq!(right, traceparent(&recorder, "client /right"));
}

/// A handler whose span is as old as its future; the rest is its own, or the stream's.
#[instrument]
async fn handler() -> Body {
    drop(info_span!("at once").entered());
    yield_now().await;
    drop(info_span!("later").entered());
    async { yield_now().await }.instrument(info_span!("nested")).await;
    let frames = stream::iter(["frame 1", "frame 2"]).then(|frame| async move {
        yield_now().await;
        drop(info_span!("frame", otel.name = frame).entered());
        Ok::<_, Infallible>(Bytes::from(frame))
    });
    Body::from_stream(frames)
}

#[tokio::test]
async fn a_tracing_span_of_a_handler_or_a_streamed_body_is_a_child_of_the_server_span() {
    let (recorder, mut spans) = Recorder::telling();
    let _subscribed = subscribe(&recorder);
    let plain = async || {
        drop(info_span!("plain").entered());
        yield_now().await;
        drop(info_span!("plain later").entered());
    };
    let app = Router::new()
        .route("/instrumented", get(handler))
        .route("/plain", get(plain))
        .layer(recorder.layer());
    let address = serve(app).await;

    for path in ["instrumented", "plain"] {
        let answer = client::local().get(format!("http://{address}/{path}")).send().await.unwrap();
        answer.bytes().await.unwrap();
    }
    ended(&mut spans, 10).await;

    let expected = parents([
        ("GET /instrumented", None),
        ("handler", Some("GET /instrumented")),
        ("at once", Some("handler")),
        ("later", Some("handler")),
        ("nested", Some("handler")),
        // By then the handler has answered, and its span is over.
        ("frame 1", Some("GET /instrumented")),
        ("frame 2", Some("GET /instrumented")),
        ("GET /plain", None),
        ("plain", Some("GET /plain")),
        ("plain later", Some("GET /plain")),
    ]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(recorder.traces(), 2);
}

/// A handler that asks the next service.
#[instrument(skip_all)]
async fn front(State((client, next)): State<(ClientTrace<reqwest::Client>, SocketAddr)>) -> String {
    yield_now().await;
    ask(client, format!("http://{next}/back")).await
}

#[instrument(skip_all)]
async fn back(request: axum::extract::Request) -> String {
    yield_now().await;
    carried(&request)
}

/// A request to `front`, which asks `back`, both under a `TraceLayer`. Gives what the latter was
/// sent.
async fn ask_front(recorder: &Recorder) -> String {
    let app = Router::new().route("/back", get(back)).layer(recorder.layer());
    let next = serve(app).await;
    let client = client_layer(recorder).layer(client::local());
    let app = Router::new()
        .route("/front", get(front))
        .layer(recorder.layer())
        .with_state((client, next));
    let address = serve(app).await;
    client::local()
        .get(format!("http://{address}/front"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

#[tokio::test]
async fn two_services_that_use_tracing_are_one_trace_with_every_span_in_its_place() {
    let (recorder, mut spans) = Recorder::telling();
    let _subscribed = subscribe(&recorder);
    let sent = ask_front(&recorder).await;
    ended(&mut spans, 5).await;

    let expected = parents([
        ("GET /front", None),
        ("front", Some("GET /front")),
        ("client /back", Some("front")),
        ("GET /back", Some("client /back")),
        ("back", Some("GET /back")),
    ]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(recorder.traces(), 1);
    assert_eq!(sent, traceparent(&recorder, "client /back"));
}

#[tokio::test]
async fn propagation_alone_sends_the_tracing_spans_context() {
    let recorder = Recorder::new();
    let _subscribed = subscribe(&recorder);
    let layer = PropagationLayer::new().with_telemetry(&recorder);

    let address = echo().await;
    let mut client = layer.clone().layer(client::local());
    let url = format!("http://{address}/").parse().unwrap();
    let request = reqwest::Request::new(Method::GET, url);
    let over_a_socket = async {
        yield_now().await;
        client.call(request).await.unwrap().text().await.unwrap()
    };
    let over_a_socket = over_a_socket.instrument(info_span!("over a socket")).await;

    let service = layer.layer(service_fn(async |request: Request<()>| {
        Ok::<_, Infallible>(Response::new(carried(&request)))
    }));
    let in_process = service.oneshot(Request::new(()));
    let in_process = in_process.instrument(info_span!("in process")).await.unwrap().into_body();

    assert_eq!(over_a_socket, traceparent(&recorder, "over a socket"));
    assert_eq!(in_process, traceparent(&recorder, "in process"));
}

#[tokio::test]
async fn a_tracing_span_between_two_client_layers_gives_each_its_span() {
    // What is in between could be a server that passes the request on with all of its headers.
    let recorder = Recorder::new();
    let _subscribed = subscribe(&recorder);
    let inner = client_layer(&recorder)
        .with_span_name(|_| Some("further in".into()))
        .layer(service_fn(transport));
    let between =
        service_fn(|request| inner.clone().oneshot(request).instrument(info_span!("between")));
    let request = Request::get("http://inventory/item").body(()).unwrap();
    client_layer(&recorder).layer(between).oneshot(request).await.unwrap();
    let expected = parents([
        ("client /item", None),
        ("between", Some("client /item")),
        ("further in", Some("between")),
        ("transport", Some("further in")),
    ]);
    assert_eq!(tree(&recorder), expected);
}

#[tokio::test]
async fn without_context_activation_our_spans_know_nothing_of_tracings() {
    // In a handler the current span is the server's, so that is whose child a client span is.
    let (recorder, mut spans) = Recorder::telling();
    let subscribed = subscribe_with_activation(&recorder, false);
    let sent = ask_front(&recorder).await;
    ended(&mut spans, 5).await;
    let expected = parents([
        ("GET /front", None),
        ("front", Some("GET /front")),
        ("client /back", Some("GET /front")),
        ("GET /back", Some("client /back")),
        ("back", Some("GET /back")),
    ]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(recorder.traces(), 1);
    assert_eq!(sent, traceparent(&recorder, "client /back"));
    drop(subscribed);

    // Elsewhere there is none, and it begins a trace. Nor do those of `tracing` know of ours, where
    // they have one of their own.
    let recorder = Recorder::new();
    let _subscribed = subscribe_with_activation(&recorder, false);
    let client = client_layer(&recorder).layer(service_fn(transport));
    let request = Request::get("http://inventory/item").body(()).unwrap();
    client.oneshot(request).instrument(info_span!("program")).await.unwrap();
    let expected =
        parents([("program", None), ("client /item", None), ("transport", Some("program"))]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(recorder.traces(), 2);
}

#[tokio::test]
async fn without_context_activation_the_caller_takes_the_tracing_spans_context_along() {
    let recorder = Recorder::new();
    let _subscribed = subscribe_with_activation(&recorder, false);
    let client = client_layer(&recorder).layer(service_fn(transport));
    let sent = async {
        let request = Request::get("http://inventory/item").body(()).unwrap();
        let cx = Span::current().context();
        text(async { client.oneshot(request).await }.with_context(cx).await.unwrap()).await
    };
    let sent = sent.instrument(info_span!("program")).await;

    let expected = parents([
        ("program", None),
        ("client /item", Some("program")),
        ("transport", Some("program")),
    ]);
    assert_eq!(tree(&recorder), expected);
    assert_eq!(sent, traceparent(&recorder, "client /item"));
}
