//! What a request allocates, over the bare service. In a binary of its own, with an allocator that
//! counts.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    fmt::Write,
    future::{self, Ready},
    io,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use axum::extract::{ConnectInfo, MatchedPath};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use opentelemetry::{
    Context as Cx, KeyValue, SpanId, TraceId,
    propagation::TextMapPropagator,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::{
    metrics::{InMemoryMetricExporter, SdkMeterProvider},
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, ShouldSample},
};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, Grpc, Metrics, MetricsLayer, PropagationLayer, SamplerBuilder, Telemetry,
    TraceIds, TraceLayer,
    logs::{TraceIdNames, WithTraceIds},
    propagation::{Propagator, TraceContext},
    sdk::{
        sampler::{RateLimit, Rule},
        tail::TailSampling,
    },
    server::Verdict,
};
use tracing::Dispatch;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const RANDOM: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A body of so many frames, with a `Pending` before each.
struct Frames {
    left: u32,
    ready: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ready = !self.ready;
        if self.ready {
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data")))))
    }
}

type Answer = Ready<Result<Response<Frames>, Infallible>>;

fn bare(
    frames: u32,
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future = Answer> + Clone
{
    service_fn(move |_: Request<()>| {
        future::ready(Ok(Response::new(Frames { left: frames, ready: false })))
    })
}

/// What axum leaves in the extensions of a request.
fn left_by_axum() -> Extensions {
    async fn handler(matched: MatchedPath) -> axum::Extension<MatchedPath> {
        axum::Extension(matched)
    }
    let mut router = axum::Router::<()>::new().route("/users/{id}", axum::routing::get(handler));
    let request = Request::builder().uri("/users/42").body(axum::body::Body::empty()).unwrap();
    let mut response = tokio_test::block_on(router.call(request)).unwrap();
    let matched: MatchedPath = response.extensions_mut().remove().unwrap();
    let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    let mut extensions = Extensions::new();
    extensions.insert(matched);
    extensions.insert(ConnectInfo(peer));
    extensions
}

fn request(traceparent: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri("/users/42")
        .header("host", "shop.example:8080")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let mut request = request.body(()).unwrap();
    *request.extensions_mut() = left_by_axum();
    request
}

/// Serves a request to the end of its body and counts the allocations.
fn count<S, B>(service: &mut S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut request = Some(request);
    measure(|| {
        let mut future = pin!(service.call(request.take().unwrap()));
        let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
            panic!("the service answers at once");
        };
        let mut body = pin!(response.into_body());
        loop {
            match body.as_mut().poll_frame(&mut cx) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(_)) | Poll::Pending => {}
            }
        }
    })
    .count_total
}

/// Allocations of a request under the layer, over those of the bare service.
fn over_bare(sampler: &SamplerBuilder, traceparent: Option<&str>, frames: u32) -> u64 {
    over_bare_with(|layer| layer, sampler, traceparent, frames)
}

fn over_bare_with(
    set_up: fn(TraceLayer) -> TraceLayer,
    sampler: &SamplerBuilder,
    traceparent: Option<&str>,
    frames: u32,
) -> u64 {
    let telemetry = telemetry(sampler.clone());
    let mut service = set_up(TraceLayer::new().with_telemetry(&telemetry)).layer(bare(frames));
    // What is made once, such as a thread's random numbers, is made by the first.
    count(&mut service, request(traceparent));
    let layered = count(&mut service, request(traceparent));
    layered - count(&mut bare(frames), request(traceparent))
}

#[test]
fn a_request_allocates_what_its_span_needs() {
    let on = SamplerBuilder::new();
    let off = SamplerBuilder::new().with_always_off();
    for (name, sampler, traceparent, most) in [
        // Name and path, and the vector of attributes; two for a span in a Context, which are
        // OpenTelemetry's; one for what is known of the exchange, one to leave it with the request.
        ("recorded, no parent", &on, None, 7),
        // The parent in a Context of its own.
        ("recorded, with a parent", &on, Some(SAMPLED), 8),
        ("recorded, with a parent whose id is random", &on, Some(RANDOM), 8),
        // The new ids have to be in the Context.
        ("dropped, no parent", &off, None, 1),
        ("dropped, with a parent", &on, Some(NOT_SAMPLED), 2),
    ] {
        let allocations = over_bare(sampler, traceparent, 1);
        assert!(allocations <= most, "{name}: {allocations}");
    }
}

#[test]
fn a_request_that_a_rule_drops_allocates_what_any_dropped_one_does() {
    let off = SamplerBuilder::new().with_always_off();
    let rules = || {
        SamplerBuilder::new()
            .with_rule(Rule::keep().with_header("x-debug", "*").with_path("/admin/*"))
            .with_rule(Rule::drop().with_path("/users/*"))
    };
    let limit = RateLimit::per_second(1e-6).with_burst(1);
    for (name, sampler) in [
        ("a rule", rules()),
        ("over parents", rules().with_rule(Rule::drop().with_parent_overruled())),
        ("a limit", SamplerBuilder::new().with_rate_limit(limit)),
    ] {
        for traceparent in [None, Some(NOT_SAMPLED)] {
            let any = over_bare(&off, traceparent, 1);
            assert_eq!(over_bare(&sampler, traceparent, 1), any, "{name}, {traceparent:?}");
        }
    }
    // Where everything is on record, what is below a dropped request has to know: a value in its
    // Context.
    let everything = rules().with_always_record();
    assert_eq!(over_bare(&everything, None, 1), over_bare(&off, None, 1) + 3);
}

/// The last of these is what OpenTelemetry's `TraceState` is made of: a list, a key and a value.
#[test]
fn a_decision_allocates_nothing_but_the_state_that_says_it() {
    let new = SamplerBuilder::new;
    let (low, high) = (TraceId::from(1), TraceId::from(u128::MAX));
    for (name, builder, id, traceparent, most) in [
        ("on", new(), low, None, 0),
        ("off", new().with_always_off(), low, None, 0),
        ("parent", new(), low, Some(SAMPLED), 0),
        ("dropped parent", new(), low, Some(NOT_SAMPLED), 0),
        ("ratio", new().with_ratio(0.1), low, None, 0),
        ("older ratio", new().with_trace_id_ratio(0.1), low, None, 0),
        ("rule", new().with_rule(Rule::drop().with_path("/*")), low, None, 0),
        ("limit", new().with_rate_limit(RateLimit::per_second(1e6)), low, None, 0),
        ("always record", new().with_ratio(0.1).with_always_record(), low, None, 0),
        ("sampled ratio", new().with_ratio(0.1), high, None, 3),
    ] {
        let sampler = builder.build().unwrap();
        let headers = traceparent.map(|value| ("traceparent", value));
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        let cx = Propagator::new(TraceContext::new()).extract(&Cx::new(), &headers);
        let attributes = [KeyValue::new("url.path", "/healthz")];
        let decide =
            || sampler.should_sample(Some(&cx), id, "GET", &SpanKind::Server, &attributes, &[]);
        // What is made once for a thread is made by the first.
        drop(decide());
        assert_eq!(measure(|| drop(decide())).count_total, most, "{name}");
    }
}

#[test]
fn a_request_that_is_filtered_allocates_nothing() {
    let filtered = |layer: TraceLayer| layer.with_filter(|_| Verdict::none());
    assert_eq!(over_bare_with(filtered, &SamplerBuilder::new(), Some(SAMPLED), 1), 0);
}

#[test]
fn a_layer_without_a_provider_allocates_next_to_nothing() {
    // The span that OpenTelemetry makes where there is none, in a box.
    let mut service = TraceLayer::new().layer(bare(1));
    count(&mut service, request(Some(SAMPLED)));
    let layered = count(&mut service, request(Some(SAMPLED)));
    assert!(layered - count(&mut bare(1), request(None)) <= 1, "{layered}");
}

/// So that the figures above are of what they say.
#[test]
fn what_is_counted_is_a_span_with_these_attributes() {
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(bare(1));
    count(&mut service, request(None));
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(spans[0].name, "GET /users/{id}");
    let keys: Vec<_> = spans[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "http.request.method",
            "url.path",
            "url.scheme",
            "server.address",
            "server.port",
            "client.address",
            "user_agent.original",
            "network.protocol.version",
            "network.peer.address",
            "network.peer.port",
            "http.route",
            "http.response.status_code",
            "tower_telemetry.time_to_head",
        ]
    );
}

#[test]
fn a_poll_or_a_frame_allocates_nothing() {
    for sampler in [SamplerBuilder::new(), SamplerBuilder::new().with_always_off()] {
        for traceparent in [None, Some(SAMPLED)] {
            let one = over_bare(&sampler, traceparent, 1);
            assert_eq!(over_bare(&sampler, traceparent, 100), one);
        }
    }
}

/// What a caller sends to `bare`.
fn outgoing() -> Request<()> {
    Request::builder()
        .uri("http://inventory.shop.internal:8080/items/42?detail=full")
        .header("accept", "application/json")
        .header("user-agent", "shop/2.1")
        .body(())
        .unwrap()
}

/// Sends a request through the layer, below a parent; gives the allocations over those of one that
/// is sent without.
fn sent_over_bare<S, B>(client: &mut S, parent: Option<&str>) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Error = Infallible>,
{
    let _parent = parent.map(|parent| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", parent.parse().unwrap());
        Propagator::new(TraceContext::new()).extract(&Cx::new(), &headers).attach()
    });
    count(client, outgoing());
    count(client, outgoing()) - count(&mut bare(1), outgoing())
}

fn telemetry(sampler: SamplerBuilder) -> Telemetry {
    Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_sampler(sampler)
        .build()
        .unwrap()
}

#[test]
fn a_request_that_is_sent_allocates_what_its_span_and_its_header_need() {
    let on = telemetry(SamplerBuilder::new());
    let layer = PropagationLayer::new().with_telemetry(&on);
    let header = sent_over_bare(&mut layer.layer(bare(1)), Some(SAMPLED));
    // Its value.
    assert_eq!(header, 1);

    let off = telemetry(SamplerBuilder::new().with_always_off());
    for (name, telemetry, parent, most) in [
        // The URL, the vector of attributes, here and in the span; two for a span in a Context; one
        // for what is known of the exchange.
        ("recorded, no parent", &on, None, 6),
        ("recorded, with a parent", &on, Some(SAMPLED), 6),
        // The new ids have to be in the Context.
        ("dropped, no parent", &off, None, 1),
        ("dropped, with a parent", &off, Some(NOT_SAMPLED), 1),
    ] {
        let layer = ClientTraceLayer::new().with_telemetry(telemetry);
        let allocations = sent_over_bare(&mut layer.layer(bare(1)), parent) - header;
        assert!(allocations <= most, "{name}: {allocations}");
    }
}

#[test]
fn a_client_that_is_not_to_trace_allocates_nothing() {
    let filtered = ClientTraceLayer::new()
        .with_telemetry(&telemetry(SamplerBuilder::new()))
        .with_filter(|_| Verdict::none());
    assert_eq!(sent_over_bare(&mut filtered.layer(bare(1)), Some(SAMPLED)), 0);
    // The span that OpenTelemetry makes where there is no provider, in a box.
    let allocations = sent_over_bare(&mut ClientTraceLayer::new().layer(bare(1)), Some(SAMPLED));
    assert!(allocations <= 1, "{allocations}");
}

/// A service that answers calls of this content type with so many frames.
fn answers(
    frames: u32,
    content_type: &'static str,
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future = Answer> + Clone
{
    service_fn(move |_: Request<()>| {
        let mut response = Response::new(Frames { left: frames, ready: false });
        response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        future::ready(Ok(response))
    })
}

/// Allocations of such a call, from a server's layer and from a client's.
fn of_calls(frames: u32, content_type: &'static str) -> [u64; 2] {
    let call = || {
        Request::post("http://inventory:50051/shop.v1.Inventory/Get")
            .header("content-type", content_type)
            .header("grpc-timeout", "1S")
            .body(())
            .unwrap()
    };
    let telemetry = telemetry(SamplerBuilder::new());
    let bare = count(&mut answers(frames, content_type), call());
    let mut server =
        TraceLayer::new().with_telemetry(&telemetry).layer(answers(frames, content_type));
    count(&mut server, call());
    let mut client =
        ClientTraceLayer::new().with_telemetry(&telemetry).layer(answers(frames, content_type));
    count(&mut client, call());
    [count(&mut server, call()) - bare, count(&mut client, call()) - bare]
}

/// Allocations of a `reqwest::Request` through the layer, over those without.
fn of_reqwest(layer: &ClientTraceLayer) -> u64 {
    let request = || reqwest::Request::try_from(outgoing().map(|()| "")).unwrap();
    let answers = service_fn(|_: reqwest::Request| {
        future::ready(Ok::<_, Infallible>(reqwest::Response::from(Response::new(""))))
    });
    let count = |mut service: Box<dyn FnMut(reqwest::Request)>| {
        let mut sent = Some(request());
        service(request());
        measure(|| service(sent.take().unwrap())).count_total
    };
    let mut bare = answers;
    let bare = count(Box::new(move |request| drop(tokio_test::block_on(bare.call(request)))));
    let mut layered = layer.layer(answers);
    count(Box::new(move |request| drop(tokio_test::block_on(layered.call(request))))) - bare
}

#[test]
fn a_request_of_reqwests_is_looked_at_no_closer_for_grpc_if_it_is_no_call() {
    let telemetry = telemetry(SamplerBuilder::new());
    let layer = ClientTraceLayer::new().with_telemetry(&telemetry);
    let off = of_reqwest(&layer.clone().with_grpc(Grpc::off()));
    assert_eq!(of_reqwest(&layer), off);
    assert_eq!(of_reqwest(&layer.with_grpc(Grpc::new().without_health_and_reflection())), off);
}

#[test]
fn a_call_allocates_no_more_than_any_request_and_nothing_for_its_frames() {
    let [server, client] = of_calls(1, "application/grpc");
    // On a client one of them is the header.
    assert!(server <= 8 && client <= 6, "{server}, {client}");
    for (content_type, reader) in [
        ("application/grpc", 0),
        // What looks for trailers in the body.
        ("application/grpc-web+proto", 1),
        ("application/grpc-web-text+proto", 1),
    ] {
        let once = of_calls(1, content_type);
        assert_eq!(once, [server + reader, client + reader], "{content_type}");
        assert_eq!(of_calls(100, content_type), once, "{content_type}");
    }
}

/// Allocations of reading these headers, ours and OpenTelemetry's.
fn of_extraction(headers: &[(&'static str, &'static str)]) -> [u64; 2] {
    let lines = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let headers: HeaderMap = lines.collect();
    let ours = Propagator::new(TraceContext::new());
    let theirs = TraceContextPropagator::new();
    let cx = Cx::new();
    let read = || drop(ours.extract(&cx, &headers));
    let read_theirs = || drop(theirs.extract_with_context(&cx, &HeaderExtractor(&headers)));
    read();
    read_theirs();
    [measure(read).count_total, measure(read_theirs).count_total]
}

/// Allocations of writing a span with this list into headers that have room for it.
fn of_injection(state: &str) -> [u64; 2] {
    let span = SpanContext::new(
        42_u128.into(),
        11_u64.into(),
        TraceFlags::SAMPLED,
        false,
        state.parse().unwrap(),
    );
    let cx = Cx::new().with_remote_span_context(span);
    let ours = Propagator::new(TraceContext::new());
    let theirs = TraceContextPropagator::new();
    let mut headers = HeaderMap::new();
    theirs.inject_context(&cx, &mut HeaderInjector(&mut headers));
    let write = measure(|| ours.inject(&cx, &mut headers)).count_total;
    let write_theirs =
        measure(|| theirs.inject_context(&cx, &mut HeaderInjector(&mut headers))).count_total;
    [write, write_theirs]
}

#[test]
fn trace_headers_are_read_and_written_with_few_allocations() {
    let parent = ("traceparent", SAMPLED);
    let two = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
    assert_eq!(of_extraction(&[]), [0, 0]);
    assert_eq!(of_extraction(&[("traceparent", "garbage"), ("tracestate", two)])[0], 0);
    // The Context's span.
    assert_eq!(of_extraction(&[parent]), [1, 2]);
    // With a value beside it, in a map of its own.
    let random = [SAMPLED.replace("-01", "-03"), SAMPLED.replace("-01", "-02")];
    for parent in random.map(String::leak) {
        assert_eq!(of_extraction(&[("traceparent", parent)])[0], 4);
    }
    // And OpenTelemetry's `TraceState`: a list, and two strings for each member.
    let members = [("rojo", "00f067aa0ba902b7"), ("congo", "t61rcWkgMzE")];
    let state = measure(|| drop(TraceState::from_key_value(members))).count_total;
    assert_eq!(state, 5);
    assert_eq!(of_extraction(&[parent, ("tracestate", two)]), [1 + state, 11]);
    // Each header's value.
    assert_eq!(of_injection(""), [1, 7]);
    assert_eq!(of_injection(two)[0], 2);
}

#[test]
fn a_default_propagator_allocates_nothing_where_there_is_nothing() {
    let telemetry = telemetry(SamplerBuilder::new());
    let (cx, headers) = (Cx::new(), HeaderMap::new());
    let extract = || drop(telemetry.propagator().extract(&cx, &headers));
    extract();
    assert_eq!(measure(extract).count_total, 0);
    let mut headers = headers;
    assert_eq!(measure(|| telemetry.propagator().inject(&cx, &mut headers)).count_total, 0);
}

#[test]
fn a_flood_of_headers_allocates_no_more_than_what_is_kept_of_it() {
    let all = Propagator::named(["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray"]);
    let all = all.unwrap();
    let cx = Cx::new();
    let of = |name: &'static str, value: String| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", SAMPLED.parse().unwrap());
        headers.append(name, value.parse().unwrap());
        let read = || drop(all.extract(&cx, &headers));
        read();
        measure(read).count_total
    };
    // 64 entries: a key and a value each, and the lists and maps they are put into.
    for list in ["a=1,".repeat(2048), "a=,".repeat(20_000)] {
        let allocations = of("baggage", list);
        assert!(allocations <= 64 * 3 + 20, "{allocations}");
    }
    // Jaeger's, of which there are as many, behind those that are kept and those that are not.
    let mut headers = HeaderMap::new();
    for at in 0..5000 {
        headers
            .insert(HeaderName::try_from(format!("uberctx-k{at}")).unwrap(), "v".parse().unwrap());
    }
    let read = || drop(all.extract(&cx, &headers));
    read();
    let allocations = measure(read).count_total;
    assert!(allocations <= 64 * 4 + 20, "{allocations}");

    for (name, value) in [
        ("baggage", "=,".repeat(30_000)),
        ("baggage", "x".repeat(65_536)),
        ("tracestate", "a=1,".repeat(16_000)),
        ("tracestate", ",".repeat(65_536)),
        ("b3", "0-".repeat(30_000)),
        ("uber-trace-id", "0:".repeat(30_000)),
        ("x-amzn-trace-id", "Root=1;".repeat(9_000)),
    ] {
        // The span's.
        assert_eq!(of(name, value), 1, "{name}");
    }
}

/// Bytes that stay while a hundred requests are open, each of which has made so many of its own.
fn held(of_clients: u32) -> u64 {
    const REQUESTS: usize = 100;
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_sampler(SamplerBuilder::new().with_always_off())
        .with_tail_sampling(TailSampling::new())
        .build()
        .unwrap();
    let client = ClientTraceLayer::new().with_telemetry(&telemetry).layer(bare(0));
    let server = service_fn(|_: Request<()>| {
        let mut client = client.clone();
        async move {
            for _ in 0..of_clients {
                client.call(outgoing()).await.unwrap();
            }
            future::pending::<Result<Response<Frames>, Infallible>>().await
        }
    });
    let mut server = TraceLayer::new().with_telemetry(&telemetry).layer(server);
    let mut open = Vec::with_capacity(REQUESTS);
    let mut cx = Context::from_waker(Waker::noop());
    let bytes = measure(|| {
        for _ in 0..REQUESTS {
            let mut serving = Box::pin(server.call(request(None)));
            assert!(serving.as_mut().poll(&mut cx).is_pending());
            open.push(serving);
        }
    })
    .bytes_current;
    let counts = telemetry.tail_sampling().unwrap();
    let spans = REQUESTS as u64 * u64::from(of_clients);
    assert_eq!((counts.held_traces(), counts.held_spans()), (REQUESTS as u64, spans));
    u64::try_from(bytes).unwrap() / REQUESTS as u64
}

/// What the documentation of tail sampling says of memory.
#[test]
fn a_span_that_is_held_takes_about_a_kibibyte() {
    let [none, one, ten] = [0, 1, 10].map(held);
    println!("{none} bytes without, {} for one span, {} for ten", one - none, ten - none);
    assert!(one - none <= 2048, "{}", one - none);
    assert!((ten - none) / 10 <= 1280, "{}", ten - none);
}

/// All that a layer measures, on the SDK's instruments.
fn everything() -> Metrics {
    let hosts = Metrics::new().with_hosts(["shop.example:8080"]).unwrap();
    hosts
        .with_active_requests()
        .with_request_body_size()
        .with_response_body_size()
        .with_streams_apart()
        .with_user_agent_synthetic_type()
        .with_url_scheme()
        .with_url_template()
}

/// The SDK's instruments, with somebody who reads them.
fn meters() -> SdkMeterProvider {
    SdkMeterProvider::builder().with_periodic_exporter(InMemoryMetricExporter::default()).build()
}

#[test]
fn metrics_allocate_nothing_beside_a_span() {
    let meters = meters();
    let telemetry = telemetry(SamplerBuilder::new());
    let answers = |status_code: StatusCode, content_type: Option<&'static str>| {
        service_fn(move |_: Request<()>| {
            let mut response = Response::new(Frames { left: 2, ready: false });
            *response.status_mut() = status_code;
            if let Some(content_type) = content_type {
                let value = HeaderValue::from_static(content_type);
                response.headers_mut().insert("content-type", value);
            }
            future::ready(Ok::<_, Infallible>(response))
        })
    };
    let call = || {
        let mut call = request(Some(SAMPLED));
        let value = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", value);
        call
    };
    for (name, make, status_code, content_type) in [
        ("served", (|| request(Some(SAMPLED))) as fn() -> _, StatusCode::OK, None),
        ("failed", || request(None), StatusCode::INTERNAL_SERVER_ERROR, None),
        ("streamed", || request(None), StatusCode::OK, Some("text/event-stream")),
        ("called", call, StatusCode::OK, Some("application/grpc")),
    ] {
        let spans = TraceLayer::new().with_telemetry(&telemetry);
        let both = spans.clone().with_metrics(everything()).with_meter_provider(&meters);
        let of = |layer: TraceLayer| {
            let mut service = layer.layer(answers(status_code, content_type));
            // The first of each kind is a series that the SDK makes room for.
            count(&mut service, make());
            count(&mut service, make())
        };
        assert_eq!(of(both), of(spans), "{name}");
    }

    let spans = ClientTraceLayer::new().with_telemetry(&telemetry);
    let both = spans.clone().with_metrics(everything()).with_meter_provider(&meters);
    let of = |layer: ClientTraceLayer| {
        let mut client = layer.layer(bare(2));
        count(&mut client, outgoing());
        count(&mut client, outgoing())
    };
    assert_eq!(of(both), of(spans));
}

#[test]
fn a_request_that_is_measured_and_not_recorded_allocates_what_is_known_of_it() {
    let meters = meters();
    let of = |layer: MetricsLayer| {
        let mut service = layer.with_meter_provider(&meters).layer(bare(2));
        count(&mut service, request(None));
        count(&mut service, request(None)) - count(&mut bare(2), request(None))
    };
    // What is known of the exchange, and one to leave it with the request.
    assert_eq!(of(MetricsLayer::new()), 2);
    assert_eq!(of(MetricsLayer::new().with_metrics(everything())), 2);
    let filtered = TraceLayer::new().with_filter(|_| Verdict::none());
    assert_eq!(of(MetricsLayer::from(filtered)), 0);

    // Beside that, what a dropped span does.
    let off = SamplerBuilder::new().with_always_off();
    let dropped = over_bare(&off, None, 2);
    let telemetry = telemetry(off);
    let layer = TraceLayer::new().with_telemetry(&telemetry).with_metrics(everything());
    let mut service = layer.with_meter_provider(&meters).layer(bare(2));
    count(&mut service, request(None));
    let layered = count(&mut service, request(None)) - count(&mut bare(2), request(None));
    assert_eq!(layered, dropped + 2);
}

/// Allocations of a line that is logged in a span, and of the span's ids as text.
fn logged(subscriber: impl Into<Dispatch>) -> u64 {
    let span = SpanContext::new(
        TraceId::from(1),
        SpanId::from(1),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let _current = Cx::new().with_remote_span_context(span).attach();
    tracing::dispatcher::with_default(&subscriber.into(), || {
        let line = || tracing::info!(item = 42, path = "/users/42", "found");
        // What is made once, such as a thread's buffers, is made by the first.
        line();
        let of_line = measure(line).count_total;
        let mut text = String::with_capacity(128);
        let of_ids = measure(|| {
            let ids = TraceIds::current().unwrap();
            write!(text, "{ids} {}", ids.trace_id()).unwrap();
        });
        assert_eq!((of_ids.count_total, text.len()), (0, 81 + 33));
        of_line
    })
}

#[test]
fn a_line_with_ids_allocates_what_it_does_without() {
    let text = tracing_subscriber::fmt;
    let json = || text().json();
    let ids = || WithTraceIds::new(io::sink);
    assert_eq!(
        logged(text().with_writer(ids()).finish()),
        logged(text().with_writer(io::sink).finish())
    );
    let plain = logged(json().with_writer(io::sink).finish());
    assert_eq!(logged(json().with_writer(ids()).finish()), plain);
    // It is read to its end for a name that it has, too.
    let flat = || json().flatten_event(true);
    let names = TraceIdNames::new("path", "item").unwrap();
    assert_eq!(
        logged(flat().with_writer(ids().with_names(names)).finish()),
        logged(flat().with_writer(io::sink).finish())
    );
}
