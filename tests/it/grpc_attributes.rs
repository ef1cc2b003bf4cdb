//! What a call is known by, what its span is called and what is on it from the start.

use http::{Method, Request, Response};
use opentelemetry::KeyValue;
use tower_telemetry::{
    ClientTraceLayer, Grpc, GrpcMethods, Redaction, TraceLayer,
    client::{ResendCount, UrlTemplate},
    server::{Connection, LegacyNames, ServerSpan, Verdict},
};

use crate::support::{
    exchange::{client_span_of, headers, response, span_of},
    recorder::{Described, Recorder},
};

const METHOD: &str = "shop.v1.Inventory/Get";

fn call(path: &str) -> Request<()> {
    Request::post(path).header("content-type", "application/grpc").body(()).unwrap()
}

fn ok() -> Response<http_body_util::Full<bytes::Bytes>> {
    let mut response = response("");
    response.headers_mut().insert("grpc-status", "0".parse().unwrap());
    response
}

/// The attributes of a call of a known method that has ended well.
fn attributes(method: &str) -> [(&str, opentelemetry::Value); 3] {
    [
        ("rpc.system.name", "grpc".into()),
        ("rpc.method", method.to_owned().into()),
        ("rpc.status_code", "OK".into()),
    ]
}

fn served(method: &str) -> Described {
    Described::server(method, attributes(method))
}

fn asked(method: &str) -> Described {
    Described::client(method, attributes(method))
}

/// The same of a method that is not known.
fn other(span: Described, original: &str) -> Described {
    span.named("grpc").with("rpc.method", "_OTHER").with("rpc.method_original", original.to_owned())
}

/// The spans of a call on both sides.
fn spans_of(grpc: &Grpc, request: &Request<()>) -> [Described; 2] {
    let server = span_of(|layer| layer.with_grpc(grpc.clone()), request.clone(), ok());
    let client = client_span_of(|layer| layer.with_grpc(grpc.clone()), request.clone(), ok());
    [server, client]
}

#[test]
fn a_request_is_a_call_by_its_content_type_and_any_other_is_not() {
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc; charset=utf-8",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text+proto",
    ] {
        let mut request = call("/shop.v1.Inventory/Get");
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let spans = spans_of(&Grpc::new(), &request);
        assert_eq!(spans, [served(METHOD), asked(METHOD)], "{content_type}");
    }
    for content_type in [Some("application/json"), Some("application/grpcs"), None] {
        let mut request = call("/shop.v1.Inventory/Get");
        request.headers_mut().remove("content-type");
        if let Some(content_type) = content_type {
            request.headers_mut().insert("content-type", content_type.parse().unwrap());
        }
        for span in spans_of(&Grpc::new(), &request) {
            assert_eq!(span.name, "POST", "{content_type:?}");
            assert!(span.attributes.keys().all(|key| !key.starts_with("rpc.")));
        }
    }
}

#[test]
fn a_server_that_serves_none_knows_no_calls() {
    let request = || call("/grpc.health.v1.Health/Check");
    let off = || Grpc::off().without_health_and_reflection();
    for span in spans_of(&off(), &request()) {
        assert_eq!(span.name, "POST");
        assert!(span.attributes.keys().all(|key| !key.starts_with("rpc.")));
        assert!(span.attributes.contains_key("http.request.method"));
    }
}

#[test]
fn the_name_is_the_method_if_that_looks_like_one() {
    let long = format!("/shop.v1.Inventory/{}", "x".repeat(10_000));
    for (path, method) in [
        ("/shop.v1.Inventory/Get", Some("shop.v1.Inventory/Get")),
        ("/Inventory/get", Some("Inventory/get")),
        ("/api/shop.v1.Inventory/Get", Some("shop.v1.Inventory/Get")),
        ("/shop.v1.Inventory/Get/", None),
        ("/shop.v1.Inventory", None),
        ("/", None),
        ("/shop.v1.Inventory/%47et", None),
        ("/.env/Get", None),
        ("/items/42", None),
        (&long, None),
    ] {
        let spans = spans_of(&Grpc::new(), &call(path));
        let expected = match method {
            Some(method) => [served(method), asked(method)],
            None => [served(METHOD), asked(METHOD)].map(|span| other(span, &path[1..])),
        };
        assert_eq!(spans, expected, "{path}");
    }
}

#[test]
fn with_a_list_every_other_method_is_other() {
    let methods = GrpcMethods::new(["shop.v1.Inventory/Get", "shop.v1.Orders"]).unwrap();
    let descriptors = include_bytes!("../../proto/shop.bin");
    let described = GrpcMethods::default().with_descriptors(descriptors).unwrap();
    for (methods, path, known) in [
        (&methods, "/shop.v1.Inventory/Get", true),
        (&methods, "/api/shop.v1.Inventory/Get", true),
        (&methods, "/shop.v1.Inventory/Add", false),
        (&methods, "/shop.v1.Orders/Anything", true),
        (&methods, "/shop.v1.Orderings/Anything", false),
        (&described, "/shop.v1.Inventory/Get", true),
        (&described, "/shop.v1.Inventory/Sync", true),
        (&described, "/shop.v1.Inventory/Steal", false),
        (&GrpcMethods::default(), "/shop.v1.Inventory/Get", false),
    ] {
        let spans = spans_of(&Grpc::new().with_methods(methods.clone()), &call(path));
        let method = path.trim_start_matches("/api").trim_start_matches('/');
        let expected = if known {
            [served(method), asked(method)]
        } else {
            [served(METHOD), asked(METHOD)].map(|span| other(span, method))
        };
        assert_eq!(spans, expected, "{path} of {methods:?}");
    }
}

#[test]
fn the_names_that_tonics_servers_have_are_a_list() {
    use tonic::server::NamedService;

    use crate::support::grpc::{Shop, shop::inventory_server::InventoryServer};

    let methods = GrpcMethods::new([InventoryServer::<Shop>::NAME]).unwrap();
    assert_eq!(methods, GrpcMethods::new(["shop.v1.Inventory"]).unwrap());
}

#[test]
fn what_is_redacted_in_a_path_is_in_no_name() {
    let redaction = || Redaction::new().with_path_patterns(["/reset/{token}"]).unwrap();
    let request = || call("/reset/s3cret");
    let server = span_of(|layer| layer.with_redaction(redaction()), request(), ok());
    assert_eq!(server, other(served(METHOD), "reset/REDACTED"));
    let client = client_span_of(|layer| layer.with_redaction(redaction()), request(), ok());
    assert_eq!(client, other(asked(METHOD), "reset/REDACTED"));
}

#[test]
fn what_is_redacted_before_a_method_leaves_it_its_name() {
    let redaction = Redaction::new().with_path_patterns(["/tenants/{id}/*/*"]).unwrap();
    let request = call("/tenants/s3cret/shop.v1.Inventory/Get");
    let span = span_of(|layer| layer.with_redaction(redaction), request, ok());
    assert_eq!(span, served(METHOD));
}

#[test]
fn a_name_that_the_user_gives_stays() {
    let span = span_of(
        |layer| layer.with_span_name(|_| Some("inventory".into())),
        call("/shop.v1.Inventory/Get"),
        ok(),
    );
    assert_eq!(span, served(METHOD).named("inventory"));
    let span = client_span_of(
        |layer| layer.with_span_name(|_| Some("inventory".into())),
        call("/shop.v1.Inventory/Get"),
        ok(),
    );
    assert_eq!(span, asked(METHOD).named("inventory"));
}

#[tokio::test]
async fn a_handler_can_name_the_span_and_what_it_failed_with_and_a_route_is_no_matter() {
    use tower::{Layer, Service, service_fn};

    let recorder = Recorder::new();
    let service = service_fn(|request: Request<()>| async move {
        let span = ServerSpan::of(request.extensions());
        span.set_route("/{service}/{method}");
        span.set_name("told");
        span.set_error_type("out_of_stock");
        Response::builder().header("grpc-status", "14").body(String::new())
    });
    let response =
        recorder.layer().layer(service).call(call("/shop.v1.Inventory/Get")).await.unwrap();
    http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    let expected = served(METHOD).named("told").with("rpc.status_code", "UNAVAILABLE");
    assert_eq!(Described::from(recorder.span()), expected.failed("out_of_stock"));
}

#[test]
fn a_servers_address_is_the_authority_and_its_peer_is_the_other_end() {
    let mut request = call("http://inventory.example:50051/shop.v1.Inventory/Get");
    let connection = Connection::new()
        .with_peer("192.0.2.1:5000".parse().unwrap())
        .with_local("192.0.2.2:443".parse().unwrap());
    request.extensions_mut().insert(connection);
    request.headers_mut().insert("user-agent", "tonic/0.14".parse().unwrap());
    let expected = served(METHOD)
        .with("server.address", "inventory.example")
        .with("server.port", 50051)
        .with("network.peer.address", "192.0.2.1")
        .with("network.peer.port", 5000);
    assert_eq!(span_of(|layer| layer, request.clone(), ok()), expected);
    let span = span_of(
        |layer| layer.with_network_local().with_network_transport().with_client_port(),
        request,
        ok(),
    );
    let expected = expected
        .with("network.local.address", "192.0.2.2")
        .with("network.local.port", 443)
        .with("network.transport", "tcp");
    assert_eq!(span, expected);
}

#[test]
fn a_clients_address_is_the_channels_target_or_what_the_url_says() {
    type SetUp = fn(ClientTraceLayer) -> ClientTraceLayer;
    let target: SetUp = |layer| layer.with_grpc_target("dns:///inventory:50051").unwrap();
    let origin: SetUp = |layer| layer.with_origin("https://shop.example").unwrap();
    let both: SetUp = |layer| {
        let layer = layer.with_grpc_target("unix:///run/inventory.sock").unwrap();
        layer.with_origin("https://shop.example").unwrap()
    };
    for (set_up, url, address, port) in [
        (target, "/shop.v1.Inventory/Get", "inventory", Some(50051)),
        (target, "http://virtual.example/shop.v1.Inventory/Get", "inventory", Some(50051)),
        (origin, "/shop.v1.Inventory/Get", "shop.example", Some(443)),
        (both, "/shop.v1.Inventory/Get", "/run/inventory.sock", None),
        (|layer| layer, "http://inventory/shop.v1.Inventory/Get", "inventory", Some(80)),
        (
            |layer| layer.with_grpc_target("ipv4:192.0.2.1:1,192.0.2.2:1").unwrap(),
            "/shop.v1.Inventory/Get",
            "ipv4:192.0.2.1:1,192.0.2.2:1",
            None,
        ),
        (
            |layer| layer.with_grpc_target("http://user:s3cret@/inventory").unwrap(),
            "/shop.v1.Inventory/Get",
            "http://REDACTED:REDACTED@/inventory",
            None,
        ),
    ] {
        let expected = asked(METHOD).with("server.address", address.to_owned());
        let expected = match port {
            Some(port) => expected.with("server.port", port),
            None => expected,
        };
        assert_eq!(client_span_of(set_up, call(url), ok()), expected, "{url}");
    }
}

#[test]
fn a_target_is_where_a_request_goes_whose_url_does_not_say_it() {
    use tower_telemetry::client::PropagationTargets;

    for (target, goes_along) in [
        ("dns:///inventory:50051", true),
        ("http://inventory", true),
        ("other:50051", false),
        ("unix:/run/inventory", false),
    ] {
        let recorder = Recorder::new();
        let layer = recorder
            .client_layer()
            .with_propagation_targets(PropagationTargets::hosts(["inventory"]).unwrap())
            .with_grpc_target(target)
            .unwrap();
        let service = tower::service_fn(move |request: Request<()>| {
            assert_eq!(request.headers().contains_key("traceparent"), goes_along, "{target}");
            std::future::ready(Ok::<_, std::convert::Infallible>(ok()))
        });
        let mut service = tower::Layer::layer(&layer, service);
        let sent = tower::Service::call(&mut service, call("/shop.v1.Inventory/Get"));
        tokio_test::block_on(sent).unwrap();
    }
}

#[test]
fn what_is_asked_for_beside_calls_has_the_targets_origin_unless_there_is_one() {
    for (target, origin, url) in [
        ("https://inventory", None, "https://inventory:443/items"),
        ("inventory:50051", None, "http://inventory:50051/items"),
        ("inventory:50051", Some("https://shop.example"), "https://shop.example/items"),
        ("unix:inventory", None, "/items"),
    ] {
        let set_up = |layer: ClientTraceLayer| {
            let layer = layer.with_grpc_target(target).unwrap();
            match origin {
                Some(origin) => layer.with_origin(origin).unwrap(),
                None => layer,
            }
        };
        let request = Request::get("/items").body(()).unwrap();
        let span = client_span_of(set_up, request, response(""));
        assert_eq!(span.attributes["url.full"], url.into(), "{target}");
    }
}

#[test]
fn a_target_that_is_nothing_is_an_error() {
    for target in ["", "  "] {
        let error = ClientTraceLayer::new().with_grpc_target(target).unwrap_err();
        assert_eq!(error.setting(), "gRPC target");
        assert!(error.to_string().contains("`http://inventory:50051`"), "{error}");
    }
}

#[test]
fn nothing_of_http_is_on_the_span_of_a_call_whatever_is_asked_for() {
    let mut request = call("/shop.v1.Inventory/Get?page=2");
    request.headers_mut().insert("x-tenant", "acme".parse().unwrap());
    request.extensions_mut().insert(UrlTemplate::new("/{service}/{method}"));
    let mut answer = ok();
    answer.headers_mut().insert("x-tenant", "acme".parse().unwrap());
    let span = span_of(
        |layer| {
            layer
                .with_request_headers(headers(&["x-tenant"]))
                .with_response_headers(headers(&["x-tenant"]))
                .with_response_body_size()
                .with_route_before_start()
                .with_known_methods([Method::GET])
                .with_legacy_names(LegacyNames::Beside)
                .with_user_agent_synthetic_type()
        },
        request.clone(),
        answer.clone(),
    );
    assert_eq!(span, served(METHOD));
    let _attached = opentelemetry::Context::current_with_value(ResendCount::new()).attach();
    for _ in 0..2 {
        let span = client_span_of(
            |layer| {
                layer
                    .with_request_headers(headers(&["x-tenant"]))
                    .with_response_headers(headers(&["x-tenant"]))
                    .with_url_scheme()
                    .with_user_agent()
            },
            request.clone(),
            answer.clone(),
        );
        assert_eq!(span, asked(METHOD));
    }
}

#[test]
fn the_statuss_older_name_stands_beside_the_newest_or_in_its_place() {
    let old = "rpc.response.status_code";
    let spans = |names: Option<LegacyNames>| {
        spans_of(&Grpc::new().with_legacy_names(names), &call("/shop.v1.Inventory/Get"))
    };
    let expected = || [served(METHOD), asked(METHOD)];
    assert_eq!(spans(None), expected());
    let beside = expected().map(|span| span.with(old, "OK"));
    assert_eq!(spans(Some(LegacyNames::Beside)), beside);
    let instead = beside.map(|span| span.without("rpc.status_code"));
    assert_eq!(spans(Some(LegacyNames::Instead)), instead);
}

#[test]
fn no_key_is_there_twice_whatever_hooks_write() {
    let mut request = call("http://inventory:50051/shop.v1.Inventory/Get");
    let connection = Connection::new()
        .with_peer("192.0.2.1:5000".parse().unwrap())
        .with_local("192.0.2.2:443".parse().unwrap());
    request.extensions_mut().insert(connection);
    request.headers_mut().insert("x-mine", "yes".parse().unwrap());
    let mut answer = response("");
    *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert("x-mine", "yes".parse().unwrap());
    let grpc = || {
        Grpc::new()
            .with_methods(GrpcMethods::default())
            .with_legacy_names(LegacyNames::Beside)
            .with_request_metadata(headers(&["x-mine"]))
            .with_response_metadata(headers(&["x-mine"]))
    };
    let plain =
        |layer: TraceLayer| layer.with_grpc(grpc()).with_network_local().with_network_transport();
    let expected = span_of(plain, request.clone(), answer.clone());
    let keys: Vec<String> = expected.attributes.keys().cloned().collect();
    for key in [
        "error.type",
        "http.response.status_code",
        "network.local.address",
        "network.local.port",
        "network.peer.address",
        "network.peer.port",
        "network.transport",
        "rpc.method",
        "rpc.method_original",
        "rpc.request.metadata.x-mine",
        "rpc.response.metadata.x-mine",
        "rpc.response.status_code",
        "rpc.status_code",
        "rpc.system.name",
        "server.address",
        "server.port",
    ] {
        assert!(keys.iter().any(|known| known == key), "{key} in {keys:?}");
    }
    let (late, later) = (keys.clone(), keys);
    let span = span_of(
        |layer| {
            plain(layer)
                .on_request(|_, attributes| {
                    // What is known at the start may be replaced; these come later.
                    for key in ["error.type", "rpc.status_code", "network.peer.address"] {
                        attributes.set(key, "mine");
                    }
                })
                .on_response(move |_, attributes| {
                    for key in &late {
                        attributes.set(key.clone(), "mine");
                    }
                    attributes.set("tower_telemetry.time_to_head", "mine");
                })
                .on_end(move |_, attributes| {
                    for key in &later {
                        attributes.set(key.clone(), "mine");
                    }
                })
        },
        request,
        answer,
    );
    assert_eq!(span, expected);
}

#[test]
fn the_old_names_of_http_are_none_of_a_calls() {
    let mut request = call("http://inventory:50051/shop.v1.Inventory/Get");
    let connection = Connection::new().with_peer("192.0.2.1:5000".parse().unwrap());
    request.extensions_mut().insert(connection);
    let mut answer = response("");
    *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    let expected = span_of(|layer| layer, request.clone(), answer.clone());
    let span = span_of(|layer| layer.with_legacy_names(LegacyNames::Instead), request, answer);
    assert_eq!(span, expected);
}

#[test]
fn hooks_see_the_status_and_cannot_write_what_is_the_layers() {
    let layer = |layer: TraceLayer| {
        layer
            .on_request(|request, attributes| {
                assert_eq!(request.path(), "/shop.v1.Inventory/Get");
                attributes.set("url.path", "free");
                attributes.set("rpc.status_code", "not free");
            })
            .on_end(|ended, attributes| {
                assert_eq!((ended.grpc_status(), ended.route()), (Some("OK"), None));
                attributes.set("rpc.method", "not free");
                attributes.set("http.route", "free");
            })
    };
    let span = span_of(layer, call("/shop.v1.Inventory/Get"), ok());
    assert_eq!(span, served(METHOD).with("url.path", "free").with("http.route", "free"));
    let plain = |layer: TraceLayer| layer.on_end(|ended, _| assert_eq!(ended.grpc_status(), None));
    span_of(plain, Request::new(()), response(""));
}

#[test]
fn a_classifier_of_http_has_no_say_in_calls() {
    use tower_http::classify::StatusInRangeAsFailures;

    let all = || StatusInRangeAsFailures::new(100..=599).into_make_classifier();
    let request = || call("/shop.v1.Inventory/Get");
    assert_eq!(span_of(|layer| layer.with_classifier(all()), request(), ok()), served(METHOD));
    let span = client_span_of(|layer| layer.with_failure_by(|_| true), request(), ok());
    assert_eq!(span, asked(METHOD));
}

#[test]
fn health_and_reflection_are_left_out_by_one_line_and_nothing_else_is() {
    for (path, left_out) in [
        ("/grpc.health.v1.Health/Check", true),
        ("/grpc.health.v1.Health/Watch", true),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
        ("/grpc.health.v1.Healthy/Check", false),
        ("/shop.v1.Inventory/Get", false),
    ] {
        for web in [false, true] {
            let mut request = call(path);
            if web {
                let content_type = "application/grpc-web".parse().unwrap();
                request.headers_mut().insert("content-type", content_type);
            }
            let recorder = Recorder::new();
            let grpc = Grpc::new().without_health_and_reflection();
            let server = recorder.layer().with_grpc(grpc.clone());
            crate::support::exchange::exchange(&server, request.clone(), ok());
            let client = recorder.client_layer().with_grpc(grpc);
            crate::support::exchange::exchange(&client, request, ok());
            assert_eq!(recorder.spans().len(), if left_out { 0 } else { 2 }, "{path}");
        }
    }
    // What only looks like it is somebody's page.
    let grpc = || Grpc::new().without_health_and_reflection();
    let request = Request::get("/grpc.health.v1.Health/Check").body(()).unwrap();
    assert_eq!(span_of(|layer| layer.with_grpc(grpc()), request, response("")).name, "GET");
    // Nor can one hide behind its name.
    for path in ["/files/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Upload"] {
        span_of(|layer| layer.with_grpc(grpc()), call(path), ok());
    }
}

#[test]
fn the_context_of_what_is_left_out_goes_on() {
    use opentelemetry::{Context, trace::TraceContextExt};
    use tower::{Layer, Service, service_fn};

    let recorder = Recorder::new();
    let layer = recorder.layer().with_grpc(Grpc::new().without_health_and_reflection());
    let service = service_fn(|_: Request<()>| {
        let current = Context::current().span().span_context().span_id();
        assert_eq!(current, 0xb7ad_6b71_6920_3331_u64.into());
        std::future::ready(Ok::<_, std::convert::Infallible>(ok()))
    });
    let mut request = call("/grpc.health.v1.Health/Check");
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", caller.parse().unwrap());
    tokio_test::block_on(layer.layer(service).call(request)).unwrap();
    assert!(recorder.spans().is_empty());
}

#[test]
fn a_filter_and_a_verdict_of_its_own_hold_for_calls_too() {
    let recorder = Recorder::new();
    let layer = recorder.layer().with_filter(|request| match request.path() {
        "/shop.v1.Inventory/Get" => Verdict::none(),
        _ => Verdict::all(),
    });
    crate::support::exchange::exchange(&layer, call("/shop.v1.Inventory/Get"), ok());
    assert!(recorder.spans().is_empty());
}

#[test]
fn two_layers_make_one_span_of_a_call() {
    let recorder = Recorder::new();
    let layers = tower::ServiceBuilder::new().layer(recorder.layer()).layer(recorder.layer());
    let mut service = layers.service(crate::support::exchange::Answers(ok()));
    let served_once = tower::Service::call(&mut service, call("/shop.v1.Inventory/Get"));
    drop(tokio_test::block_on(served_once).unwrap());
    assert_eq!(Described::from(recorder.span()), served(METHOD));
}

#[test]
fn a_sampler_finds_all_that_the_conventions_want_it_to_find() {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::trace::{SamplingDecision, SdkTracerProvider};

    use crate::support::sdk::Decides;

    let shown = Arc::new(Mutex::new(Vec::new()));
    let looks = Arc::clone(&shown);
    let sampler = Decides::new(SamplingDecision::Drop, move |_, _, attributes| {
        looks.lock().unwrap().push(attributes.to_vec());
    });
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let request = || call("http://inventory:50051/shop.v1.Inventory/Get");
    let server = TraceLayer::new().with_tracer_provider(&provider);
    crate::support::exchange::exchange(&server, request(), ok());
    let client = ClientTraceLayer::new().with_tracer_provider(&provider);
    crate::support::exchange::exchange(&client, request(), ok());
    let expected = vec![
        KeyValue::new("rpc.system.name", "grpc"),
        KeyValue::new("rpc.method", METHOD),
        KeyValue::new("server.address", "inventory"),
        KeyValue::new("server.port", 50051),
    ];
    assert_eq!(*shown.lock().unwrap(), [expected.clone(), expected]);
}
