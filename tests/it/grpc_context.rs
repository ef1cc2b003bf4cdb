//! Whose child a call is, what is current inside of it, and the services that tonic brings along.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use opentelemetry::{
    Context,
    trace::{FutureExt, Span, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SpanData;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tonic::{
    Code, Request, Status,
    body::Body,
    service::{Interceptor, RecoverErrorLayer, Routes, interceptor::InterceptedService},
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn};
use tower_telemetry::{
    Grpc,
    propagation::{Propagator, TraceContext},
};

use crate::support::{
    grpc::{
        self, Begun, Do, Kind, Shop, begin, call,
        shop::{Item, inventory_client::InventoryClient, inventory_server::InventoryServer},
    },
    recorder::{Described, Recorder},
    way::{Spans, assert_below, assert_root},
};

/// The caller's own span.
fn caller(recorder: &Recorder) -> Context {
    let tracer = recorder.provider.tracer("the caller's own");
    Context::new().with_span(tracer.start_with_context("caller", &Context::new()))
}

#[tokio::test]
async fn a_call_is_a_child_of_the_current_span_and_its_channel_serves_many() {
    let mut spans = Spans::new();
    let server = grpc::Server::start(spans.recorder.layer()).await;
    let mut client = server.client(spans.recorder.client_layer());
    let cx = caller(&spans.recorder);
    for kind in Kind::ALL {
        call(&mut client, kind, Do::EndLater(Code::Ok)).with_context(cx.clone()).await;
        let [of_client, of_server] = spans.next().await;
        assert_eq!(of_client.parent_span_id, cx.span().span_context().span_id());
        assert!(!of_client.parent_span_is_remote);
        assert_below(&of_server, &of_client);
    }

    // Several at once, over the one connection.
    let calls = (0..8).map(|_| {
        let mut client = client.clone();
        async move { call(&mut client, Kind::BothStream, Do::EndLater(Code::Ok)).await }
    });
    futures_util::future::join_all(calls).await;
    let all = spans.next_of(16).await;
    let (clients, servers) = all.split_at(8);
    for server in servers {
        let above = |client: &&SpanData| client.span_context.span_id() == server.parent_span_id;
        let above: Vec<_> = clients.iter().filter(above).collect();
        assert_eq!(above.len(), 1);
        assert_below(server, above[0]);
    }
}

#[tokio::test]
async fn metadata_that_was_written_by_hand_leads_to_the_callers_span() {
    let mut spans = Spans::new();
    let server = grpc::Server::start(spans.recorder.layer()).await;
    let mut client = InventoryClient::new(server.endpoint().connect_lazy());
    let cx = caller(&spans.recorder);
    let mut request = Request::new(Item { name: "end 0".to_owned() });
    Propagator::new(TraceContext::new()).inject(&cx, request.metadata_mut().as_mut());
    client.get(request).await.unwrap();
    let [of_server] = spans.next().await;
    cx.span().end();
    let [of_caller] = spans.next().await;
    assert_below(&of_server, &of_caller);
}

/// Looks at what is current where tonic's interceptors are run.
#[derive(Clone)]
struct Looks(Arc<std::sync::Mutex<Vec<Context>>>);

impl Interceptor for Looks {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.0.lock().unwrap().push(Context::current());
        Ok(request)
    }
}

#[tokio::test]
async fn interceptors_and_handlers_are_inside_of_the_servers_span_which_ends_after_theirs() {
    let mut spans = Spans::new();
    let looks = Looks(Arc::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = InterceptedService::new(InventoryServer::new(Shop::default()), looks.clone());
    let provider = spans.recorder.provider.clone();
    // Around the handler, as its own code would be.
    let handler = layer_fn(move |inner: Routes| {
        let provider = provider.clone();
        service_fn(move |request: http::Request<Body>| {
            let mut span = provider.tracer("the handler's").start("inside");
            let answered = inner.clone().oneshot(request);
            async move {
                let response = answered.await;
                span.end();
                response
            }
        })
    });
    let server = Server::builder()
        .layer(spans.recorder.layer())
        .layer(handler)
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let endpoint = Endpoint::from_shared(endpoint).unwrap();
    let mut client = grpc::client(&endpoint, spans.recorder.client_layer());
    assert_eq!(call(&mut client, Kind::ServerStream, Do::EndLater(Code::Ok)).await.1, Code::Ok);

    let [inside, of_client, of_server] = spans.next().await;
    assert_below(&of_server, &of_client);
    assert_eq!(inside.parent_span_id, of_server.span_context.span_id());
    assert!(inside.end_time <= of_server.end_time);
    let current = looks.0.lock().unwrap()[0].span().span_context().span_id();
    assert_eq!(current, of_server.span_context.span_id());
}

#[tokio::test]
async fn a_clients_interceptor_sees_the_span_that_it_is_inside_of() {
    let mut spans = Spans::new();
    let server = grpc::Server::start(spans.recorder.layer()).await;
    let looks = Looks(Arc::default());
    let layer = spans.recorder.client_layer();
    let (inside, outside) = (looks.clone(), looks.clone());
    let channel = || server.endpoint().connect_lazy();
    let mut inside = InventoryClient::new(layer.layer(InterceptedService::new(channel(), inside)));
    let mut outside = InventoryClient::with_interceptor(layer.layer(channel()), outside);
    let cx = caller(&spans.recorder);
    let item = || Item { name: "end 0".to_owned() };
    inside.get(item()).with_context(cx.clone()).await.unwrap();
    let [of_client, of_server] = spans.next().await;
    assert_below(&of_server, &of_client);
    outside.get(item()).with_context(cx.clone()).await.unwrap();
    let [of_another, of_server] = spans.next().await;
    assert_below(&of_server, &of_another);

    let seen: Vec<_> =
        looks.0.lock().unwrap().iter().map(|cx| cx.span().span_context().span_id()).collect();
    assert_eq!(seen, [of_client.span_context.span_id(), cx.span().span_context().span_id()]);
}

#[tokio::test]
async fn tonics_health_and_reflection_services_are_left_out_on_both_sides() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };

    let mut spans = Spans::new();
    let left_out = || Grpc::new().without_health_and_reflection();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(include_bytes!("../../proto/shop.bin"))
        .build_v1()
        .unwrap();
    let server = Server::builder()
        .layer(spans.recorder.layer().with_grpc(left_out()))
        .add_service(health)
        .add_service(reflection)
        .add_service(InventoryServer::new(Shop::default()))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let endpoint = Endpoint::from_shared(endpoint).unwrap();
    let layer = spans.recorder.client_layer().with_grpc(left_out());
    let channel = || layer.layer(endpoint.connect_lazy());
    HealthClient::new(channel()).check(HealthCheckRequest::default()).await.unwrap();
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut listed = ServerReflectionClient::new(channel())
        .server_reflection_info(futures_util::stream::iter([asked]))
        .await
        .unwrap()
        .into_inner();
    assert!(listed.message().await.unwrap().is_some());
    assert!(listed.message().await.unwrap().is_none());

    // What comes after them is the first that is recorded.
    let mut client = grpc::client(&endpoint, layer.clone());
    call(&mut client, Kind::Unary, Do::End(Code::Ok)).await;
    let [of_client, of_server] = spans.next().await;
    assert_root(&of_client);
    assert_eq!(of_server.name, "shop.v1.Inventory/Get");
    spans.assert_no_more();
}

/// The client's span of a call that nobody has answered.
async fn unanswered(endpoint: Endpoint) -> Described {
    let recorder = Recorder::new();
    let mut client = grpc::client(&endpoint, recorder.client_layer());
    call(&mut client, Kind::BothStream, Do::End(Code::Ok)).await;
    let span = Described::from(recorder.span()).without("server.address");
    match span.attributes.contains_key("server.port") {
        true => span.without("server.port"),
        false => span,
    }
}

fn failed(error_type: &str) -> Described {
    Described::client(
        "shop.v1.Inventory/Sync",
        [
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", "shop.v1.Inventory/Sync".into()),
            ("rpc.status_code", "UNAVAILABLE".into()),
        ],
    )
    .failed(error_type)
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    assert_eq!(unanswered(endpoint).await, failed("connection_refused"));

    let endpoint = Endpoint::from_static("http://nobody.invalid:1");
    assert_eq!(unanswered(endpoint).await, failed("name_resolution_error"));
}

#[tokio::test]
async fn an_error_that_tonic_makes_a_status_of_is_one_on_the_span_if_that_is_done_inside() {
    let unauthenticated = layer_fn(|_: Routes| {
        service_fn(|_: http::Request<Body>| async {
            Err::<http::Response<Body>, BoxError>(Status::unauthenticated("who is it?").into())
        })
    });
    for inside in [true, false] {
        let mut spans = Spans::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let trace = ServiceBuilder::new().layer(spans.recorder.layer());
        let (failing, calls) = (unauthenticated, InventoryServer::new(Shop::default()));
        let incoming = TcpIncoming::from(listener);
        if inside {
            let layers = trace.layer(RecoverErrorLayer::new()).layer(failing);
            let server = Server::builder().layer(layers).add_service(calls);
            tokio::spawn(server.serve_with_incoming(incoming));
        } else {
            let server = Server::builder().layer(trace.layer(failing)).add_service(calls);
            tokio::spawn(server.serve_with_incoming(incoming));
        }
        let endpoint = Endpoint::from_shared(endpoint).unwrap();
        let mut client = grpc::client(&endpoint, spans.recorder.client_layer());
        let (_, code) = call(&mut client, Kind::Unary, Do::End(Code::Ok)).await;
        assert_eq!(code, Code::Unauthenticated);
        let [of_client, of_server] = spans.next().await.map(Described::from);
        assert_eq!(of_client.attributes["rpc.status_code"], "UNAUTHENTICATED".into());
        let status = if inside { "UNAUTHENTICATED" } else { "INTERNAL" };
        assert_eq!(of_server.attributes["rpc.status_code"], status.into());
        assert_eq!(of_server.attributes.contains_key("error.type"), !inside);
    }
}

/// What becomes of a way to a server.
#[derive(Clone, Copy)]
enum Becomes {
    /// Both sides are told.
    Cut,
    /// Nothing gets through any more.
    Blocked,
}

/// A way to a server, and what ends it.
async fn relay(server: SocketAddr, becomes: Becomes) -> (Endpoint, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let end = Arc::new(Notify::new());
    let is_over = Arc::clone(&end);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            () = is_over.notified() => {}
            _ = copy_bidirectional(&mut client, &mut server) => {}
        }
        if let Becomes::Blocked = becomes {
            std::future::pending::<()>().await;
        }
    });
    (Endpoint::from_shared(endpoint).unwrap(), end)
}

#[tokio::test]
async fn a_server_that_is_gone_in_the_middle_is_unavailable_and_to_it_the_call_is_cancelled() {
    for at_once in [true, false] {
        let mut spans = Spans::new();
        let server = grpc::Server::start(spans.recorder.layer()).await;
        let (endpoint, cut) = relay(server.address, Becomes::Cut).await;
        let mut client = grpc::client(&endpoint, spans.recorder.client_layer());
        if at_once {
            let called = begin(&mut client, Kind::BothStream, Do::Hang, None);
            let cutting = async {
                server.hangs().await;
                cut.notify_one();
            };
            assert!(tokio::join!(called, cutting).0.is_err());
        } else {
            let begun = begin(&mut client, Kind::BothStream, Do::HangLater, None).await.unwrap();
            let Begun::Streaming(mut stocks) = begun else { panic!("it streams") };
            assert!(stocks.message().await.unwrap().is_some());
            server.hangs().await;
            cut.notify_one();
            assert!(stocks.message().await.is_err());
        }
        let [of_client, of_server] = spans.next().await;
        let of_client = Described::from(of_client).without("server.address").without("server.port");
        let word = of_client.attributes["error.type"].clone();
        let word = word.as_str();
        assert!(matches!(&*word, "connection_reset" | "response_ended"), "{word}");
        assert_eq!(of_client, failed(&word));
        let of_server = Described::from(of_server);
        assert_eq!(of_server.status, opentelemetry::trace::Status::Unset);
        assert_eq!(of_server.attributes["rpc.status_code"], "CANCELLED".into());
    }
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_unavailable() {
    let mut spans = Spans::new();
    let server = grpc::Server::start(spans.recorder.layer()).await;
    let (endpoint, block) = relay(server.address, Becomes::Blocked).await;
    let patience = Duration::from_millis(20);
    let endpoint = endpoint.http2_keep_alive_interval(patience).keep_alive_timeout(patience);
    let mut client = grpc::client(&endpoint, spans.recorder.client_layer());
    let called = begin(&mut client, Kind::BothStream, Do::Hang, None);
    let blocking = async {
        server.hangs().await;
        block.notify_one();
    };
    assert!(tokio::join!(called, blocking).0.is_err());
    let [of_client] = spans.next().await;
    let of_client = Described::from(of_client).without("server.address").without("server.port");
    assert_eq!(of_client, failed("timeout"));
}
