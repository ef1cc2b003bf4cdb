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
        .with_environment([("", ""); 0])
        .build()
        .unwrap();
    let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
    assert_eq!((of("service.name"), of("service.version")), ("features".into(), "0.0.0".into()));
}

/// Whoever sets an endpoint expects spans there, and learns what is missing.
#[cfg(feature = "sdk")]
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
            "OTEL_TRACES_EXPORTER is `otlp`: needs the feature `otlp-http` of tower-telemetry; \
             it was skipped",
            "OTEL_TRACES_EXPORTER is `console`: needs the feature `console` of tower-telemetry; \
             it was skipped",
        ]
    );

    let silent = Telemetry::builder().with_environment([("", ""); 0]).build().unwrap();
    assert!(silent.warnings().is_empty());
}
