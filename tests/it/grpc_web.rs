//! gRPC-Web, and gRPC beside REST on one port, through one layer.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use http::StatusCode;
use opentelemetry::Value;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Code, service::Routes};
use tonic_web::GrpcWebLayer;
use tower_telemetry::{Grpc, RouteLayer, TraceLayer};

use crate::support::{
    client,
    exchange::headers,
    grpc,
    grpc::{
        Do, Kind, Shop, call,
        shop::{Item, inventory_server::InventoryServer},
    },
    recorder::{Described, strings},
    way::{Spans, assert_below},
};

const METHOD: &str = "shop.v1.Inventory/Watch";

/// A message as it is framed, asking for what to do.
fn framed(name: &str) -> Vec<u8> {
    let message = Item { name: name.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// REST and gRPC in one router.
fn shop() -> Router {
    let calls = Routes::new(InventoryServer::new(Shop::default())).into_axum_router();
    Router::new().route("/items/{id}", get(|| async { "an item" })).merge(calls)
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn expected(method: &str, status: &str, address: SocketAddr) -> Described {
    Described::server(
        method,
        [
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", method.to_owned().into()),
            ("rpc.status_code", status.to_owned().into()),
            ("server.address", "127.0.0.1".into()),
            ("server.port", i64::from(address.port()).into()),
        ],
    )
}

/// Calls as a browser would: how the body came back.
async fn call_from_the_web(address: SocketAddr, content_type: &str, body: Vec<u8>) -> Vec<u8> {
    let request = client::local()
        .post(format!("http://{address}/{METHOD}"))
        .header("content-type", content_type)
        .header("accept", content_type)
        .body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.bytes().await.unwrap().into()
}

#[tokio::test]
async fn the_status_of_a_call_from_the_web_is_found_on_either_side_of_its_translator() {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let grpc = || Grpc::new().with_response_metadata(headers(&["x-mine"]));
    for outside in [true, false] {
        let mut spans = Spans::new();
        let layer = spans.recorder.layer().with_grpc(grpc());
        let calls = Routes::new(InventoryServer::new(Shop::default())).into_axum_router();
        let app = if outside {
            calls.layer(GrpcWebLayer::new()).layer(layer)
        } else {
            calls.layer(layer).layer(GrpcWebLayer::new())
        };
        let address = serve(app).await;
        for (told, code, status) in
            [("later 0", 0, "OK"), ("later 14", 14, "UNAVAILABLE"), ("end 5", 5, "NOT_FOUND")]
        {
            let binary = framed(told);
            let text = STANDARD.encode(&binary).into_bytes();
            for content_type in ["application/grpc-web+proto", "application/grpc-web-text+proto"] {
                let is_text = content_type.contains("text");
                let body = if is_text { text.clone() } else { binary.clone() };
                let got = call_from_the_web(address, content_type, body).await;
                if !is_text && told != "end 5" {
                    let line = format!("grpc-status:{code}\r\n");
                    assert!(got.windows(line.len()).any(|part| part == line.as_bytes()));
                }
                let [span] = spans.next().await;
                let expected = expected(METHOD, status, address);
                let expected = if code == 14 { expected.failed(status) } else { expected };
                assert_eq!(Described::from(span), expected, "{content_type} {told} {outside}");
            }
        }
        spans.assert_no_more();
    }
}

#[tokio::test]
async fn metadata_in_a_body_from_the_web_is_metadata() {
    let mut spans = Spans::new();
    let grpc = Grpc::new().with_response_metadata(headers(&["x-*"]));
    let content = b"grpc-status:0\r\nx-cost: 3\r\n";
    let body = [&[0x80, 0, 0, 0, 26][..], content].concat();
    let app = Router::new()
        .route(
            "/shop.v1.Inventory/Watch",
            axum::routing::post(move || async move {
                ([("content-type", "application/grpc-web+proto"), ("x-shard", "7")], body)
            }),
        )
        .layer(spans.recorder.layer().with_grpc(grpc));
    let address = serve(app).await;
    call_from_the_web(address, "application/grpc-web", Vec::new()).await;
    let [span] = spans.next().await;
    let expected = expected(METHOD, "OK", address)
        .with("rpc.response.metadata.x-shard", strings(&["7"]))
        .with("rpc.response.metadata.x-cost", strings(&["3"]));
    assert_eq!(Described::from(span), expected);
}

#[tokio::test]
async fn rest_and_grpc_on_one_port_have_their_own_spans() {
    for on_the_router in [true, false] {
        let mut spans = Spans::new();
        let layer: TraceLayer = spans.recorder.layer();
        let app = if on_the_router {
            shop().layer(layer)
        } else {
            Router::new().fallback_service(shop().layer(RouteLayer::new())).layer(layer)
        };
        let address = serve(app).await;
        let text = client::local().get(format!("http://{address}/items/42")).send().await.unwrap();
        assert_eq!(text.text().await.unwrap(), "an item");
        let [span] = spans.next().await;
        assert_eq!(span.name, "GET /items/{id}");
        assert!(span.attributes.iter().all(|a| !a.key.as_str().starts_with("rpc.")));

        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = grpc::client(&endpoint, spans.recorder.client_layer());
        for kind in Kind::ALL {
            let told = Do::EndLater(Code::NotFound);
            assert_eq!(call(&mut client, kind, told).await.1, Code::NotFound);
            let [of_client, of_server] = spans.next().await;
            assert_below(&of_server, &of_client);
            let expected = expected(kind.method(), "NOT_FOUND", address);
            assert_eq!(Described::from(of_server), expected, "{kind:?}");
        }
        spans.assert_no_more();
    }
}

#[tokio::test]
async fn a_call_that_no_service_takes_is_not_implemented() {
    let mut spans = Spans::new();
    let methods = tower_telemetry::GrpcMethods::new(["shop.v1.Orders"]).unwrap();
    let grpc = Grpc::new().with_methods(methods);
    let calls = Routes::new(InventoryServer::new(Shop::default())).into_axum_router();
    let rest = Router::new().route("/items/{id}", get(|| async { "an item" }));
    for (app, http) in [(calls, None), (rest, Some(404))] {
        let address = serve(app.layer(spans.recorder.layer().with_grpc(grpc.clone()))).await;
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_lazy();
        let mut stranger = tonic::client::Grpc::new(channel);
        stranger.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Item, Item>::default();
        let path = http::uri::PathAndQuery::from_static("/shop.v1.Secrets/Get");
        let error = stranger.unary(tonic::Request::new(Item::default()), path, codec).await;
        assert_eq!(error.unwrap_err().code(), Code::Unimplemented);
        let [span] = spans.next().await;
        let expected = expected("grpc", "UNIMPLEMENTED", address)
            .with("rpc.method", "_OTHER")
            .with("rpc.method_original", "shop.v1.Secrets/Get")
            .failed("UNIMPLEMENTED");
        let expected = match http {
            Some(code) => expected.with("http.response.status_code", Value::I64(code)),
            None => expected,
        };
        assert_eq!(Described::from(span), expected);
    }
}
