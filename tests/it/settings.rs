//! Bad input from code: an error that names setting and value, and nothing half-installed.

use std::{error::Error, time::Duration};

use opentelemetry::{
    Context, global,
    trace::{Span, Tracer},
};
use tower_telemetry::{
    BuildError, ResourceBuilder, SamplerBuilder, Telemetry, TelemetryBuilder,
    sdk::export::{Otlp, Protocol},
};

use crate::support::collector::Collector;

fn builder() -> TelemetryBuilder {
    Telemetry::builder().with_environment([("", ""); 0])
}

fn assert_names(error: &BuildError, setting: &str, value: &str) {
    assert_eq!((error.setting(), error.value()), (setting, value));
    let message = error.to_string();
    assert!(message.contains(setting) && message.contains(value), "{message}");
    assert_eq!(format!("{error:?}"), message, "what `main` prints is the message");
}

#[test]
fn a_bad_setting_is_an_error_that_names_it_and_its_value() {
    let sampler = |ratio| builder().with_sampler(SamplerBuilder::new().with_ratio(ratio));
    let otlp = |otlp| builder().with_otlp(otlp);
    for (builder, setting, value) in [
        (sampler(f64::NAN), "sampling ratio", "NaN"),
        (sampler(-0.1), "sampling ratio", "-0.1"),
        (sampler(1.1), "sampling ratio", "1.1"),
        (builder().with_service_name(""), "service name", ""),
        (
            builder().with_resource(ResourceBuilder::new().with_service_name(" ")),
            "service name",
            " ",
        ),
        (
            builder().with_resource(ResourceBuilder::new().with_attribute("", "x")),
            "resource attribute key",
            "",
        ),
        (otlp(Otlp::new().with_endpoint("not a URL")), "OTLP endpoint", "not a URL"),
        (otlp(Otlp::new().with_endpoint("collector:4318")), "OTLP endpoint", "collector:4318"),
        (otlp(Otlp::new().with_traces_endpoint("/v1")), "OTLP traces endpoint", "/v1"),
        (otlp(Otlp::new().with_protocol("smoke-signals")), "OTLP protocol", "smoke-signals"),
        (otlp(Otlp::new().with_compression("zip")), "OTLP compression", "zip"),
        (otlp(Otlp::new().with_proxy("ftp://proxy")), "OTLP proxy", "ftp://proxy"),
        (
            otlp(Otlp::new().with_protocol("grpc").with_endpoint("http://collector/path")),
            "OTLP endpoint",
            "http://collector/path",
        ),
        (otlp(Otlp::new().with_header("no name", "x")), "OTLP header", "no name"),
    ] {
        let error = builder.build().unwrap_err();
        assert_names(&error, setting, value);
    }
}

#[test]
fn the_error_has_its_cause() {
    let error = builder().with_otlp(Otlp::new().with_endpoint("not a URL")).build().unwrap_err();
    assert!(error.source().is_some());
}

#[test]
fn good_settings_are_fine() {
    let telemetry = builder()
        .with_service_name("shop")
        .with_sampler(SamplerBuilder::new().with_ratio(0.5))
        .with_otlp(
            Otlp::new()
                .with_protocol(Protocol::HttpProtobuf)
                .with_protocol("http/protobuf")
                .with_endpoint("https://otlp.example/base")
                .with_header("x-api-key", "secret")
                .with_timeout(Duration::ZERO),
        )
        .build()
        .unwrap();
    assert!(telemetry.warnings().is_empty());
    let shown = format!("{telemetry:?}");
    assert!(shown.contains("shop") && shown.contains("ProbabilitySampler{0.5}"), "{shown}");
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
}

#[test]
fn nothing_is_half_installed() {
    let collector = Collector::start([]);
    let error = builder()
        .with_otlp(Otlp::new().with_endpoint(collector.url()))
        .with_otlp(Otlp::new().with_endpoint("nowhere"))
        .build()
        .unwrap_err();
    assert_names(&error, "OTLP endpoint", "nowhere");
    assert!(collector.requests().is_empty());
    assert_global_is_a_noop();
}

#[test]
fn building_makes_nothing_global() {
    let telemetry = builder().with_service_name("shop").build().unwrap();
    assert_global_is_a_noop();
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    assert_global_is_a_noop();
}

fn assert_global_is_a_noop() {
    let span = global::tracer("test").start_with_context("span", &Context::new());
    assert!(!span.span_context().is_valid());
    global::get_text_map_propagator(|propagator| assert_eq!(propagator.fields().count(), 0));
}
