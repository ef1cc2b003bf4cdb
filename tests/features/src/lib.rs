//! The crate without most of its features.

#![cfg(test)]

use std::convert::Infallible;

use http::{HeaderMap, Request, Response};
use opentelemetry::{Context, trace::TraceContextExt, trace::noop::NoopTracerProvider};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{ClientTraceLayer, PropagationLayer, TraceLayer, propagation::TraceContext};

/// A library's two sides on the API alone: what the caller sent reaches whom the handler calls.
#[test]
fn the_two_sides_work_on_the_api_alone() {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let echo = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(String::new());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, Infallible>(response)
    });
    let traced = ClientTraceLayer::new()
        .with_tracer_provider(&NoopTracerProvider::new())
        .with_propagator(TraceContext::new())
        .layer(echo);
    let propagated = PropagationLayer::new().with_propagator(TraceContext::new()).layer(echo);
    let inner = service_fn(move |_: Request<()>| {
        let (mut traced, mut propagated) = (traced.clone(), propagated.clone());
        async move {
            assert!(Context::current().has_active_span());
            let sent: HeaderMap = traced.call(Request::new(())).await?.into_parts().0.headers;
            let same = propagated.call(Request::new(())).await?.into_parts().0.headers;
            assert_eq!(sent, same);
            let mut response = Response::new(String::new());
            *response.headers_mut() = sent;
            Ok::<_, Infallible>(response)
        }
    });
    let mut server = TraceLayer::new()
        .with_tracer_provider(&NoopTracerProvider::new())
        .with_propagator(TraceContext::new())
        .layer(inner);
    let request = Request::builder().header("traceparent", TRACEPARENT).body(()).unwrap();
    let response = tokio_test::block_on(server.call(request)).unwrap();
    assert_eq!(response.headers()["traceparent"], TRACEPARENT);
}

/// The macro reads what is set where it is called: here, in another package than the crate's.
#[cfg(feature = "sdk")]
#[test]
fn a_resource_is_named_after_the_package_that_asks_for_it() {
    use tower_telemetry::{Telemetry, package_resource};

    let telemetry = Telemetry::builder()
        .with_resource(package_resource!())
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .build()
        .unwrap();
    let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
    assert_eq!((of("service.name"), of("service.version")), ("features".into(), "0.0.0".into()));
}

/// Whoever sets an endpoint expects spans there, and learns what is missing.
#[cfg(all(feature = "sdk", not(any(feature = "otlp-http", feature = "otlp-grpc"))))]
#[test]
fn an_endpoint_without_support_for_otlp_is_an_error_that_names_the_feature() {
    use tower_telemetry::Telemetry;

    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let error = Telemetry::builder()
        .with_environment([(variable, "http://user:s3cret@localhost:4318")])
        .build()
        .unwrap_err();
    assert_eq!((error.setting(), error.value()), (variable, "http://REDACTED@localhost:4318"));
    assert!(error.to_string().contains("enable the feature `otlp-http`"), "{error}");

    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "otlp,console")])
        .build()
        .unwrap();
    let warnings: Vec<_> = telemetry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "OTEL_TRACES_EXPORTER is `otlp`: needs the feature `otlp-http` or `otlp-grpc` of \
             tower-telemetry; it was skipped",
            "OTEL_TRACES_EXPORTER is `console`: needs the feature `console` of tower-telemetry; \
             it was skipped",
        ]
    );

    let silent = Telemetry::builder().with_environment([("", ""); 0]).build().unwrap();
    assert!(silent.warnings().is_empty());
}

/// What is not compiled in is an error that names the feature if code asks for it, and a warning if
/// the environment does.
#[cfg(all(feature = "otlp-http", not(feature = "otlp-grpc")))]
#[test]
fn a_protocol_or_compression_without_its_feature_is_known_by_name() {
    use tower_telemetry::{
        Telemetry,
        sdk::export::{Compression, Otlp, Protocol},
    };

    let build = |otlp| Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build();
    for (otlp, setting, value, feature) in [
        (Otlp::new().with_protocol(Protocol::Grpc), "OTLP protocol", "grpc", "otlp-grpc"),
        (Otlp::new().with_protocol("http/json"), "OTLP protocol", "http/json", "otlp-json"),
        (Otlp::new().with_compression(Compression::Gzip), "OTLP compression", "gzip", "gzip"),
        (Otlp::new().with_compression("zstd"), "OTLP compression", "zstd", "zstd"),
    ] {
        let error = build(otlp).unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
        let reason = format!("needs the feature `{feature}` of tower-telemetry");
        assert!(error.to_string().ends_with(&reason), "{error}");
    }
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ])
        .build()
        .unwrap();
    let warnings: Vec<_> = telemetry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`: needs the feature `otlp-grpc` of \
             tower-telemetry; http/protobuf is used",
            "OTEL_EXPORTER_OTLP_COMPRESSION is `gzip`: needs the feature `gzip` of \
             tower-telemetry; none is used",
        ]
    );
    let destinations: Vec<_> = telemetry.destinations().collect();
    assert_eq!(destinations, ["OTLP to localhost:4318/v1/traces"]);
}

/// The default is not what happens to be compiled in: that may be more another day.
#[cfg(all(feature = "otlp-grpc", not(feature = "otlp-http")))]
#[test]
fn with_grpc_alone_the_protocol_has_to_be_asked_for() {
    use tower_telemetry::{
        Telemetry,
        sdk::export::{Otlp, Protocol},
    };

    let error = Telemetry::builder().with_environment([("", ""); 0]).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid OTLP protocol `http/protobuf`: is the default, and needs the feature `otlp-http` of \
         tower-telemetry; or choose another, by `with_protocol` or OTEL_EXPORTER_OTLP_PROTOCOL"
    );
    let code = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_otlp(Otlp::new().with_protocol(Protocol::Grpc));
    let environment =
        Telemetry::builder().with_environment([("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    for builder in [code, environment] {
        let telemetry = builder.build().unwrap();
        let destinations: Vec<_> = telemetry.destinations().collect();
        assert_eq!(destinations, ["OTLP to localhost:4317"]);
        assert!(telemetry.warnings().is_empty());
    }
}
