//! A telemetry that is switched off: nothing is recorded or exported, and no trace is broken off.

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanContext, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, SamplerBuilder, Telemetry, TelemetryBuilder, TraceLayer, Warning,
    sdk::{BatchSettings, Limits, export::Otlp, tail::TailSampling},
};

use crate::support::{collector::Collector, sdk::Hooks};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Switched off by the environment, and by code.
fn both(
    prepared: impl Fn(TelemetryBuilder) -> TelemetryBuilder,
    variables: &[(&str, &str)],
) -> [Telemetry; 2] {
    let builder = |more: &[(&str, &str)]| {
        let variables = [variables, more].concat();
        prepared(Telemetry::builder()).with_environment(variables)
    };
    [builder(&[("OTEL_SDK_DISABLED", "True")]), builder(&[]).with_sdk_disabled()]
        .map(|builder| builder.build().unwrap())
}

/// A handler that sends a request of its own: the Context that it runs in, and the headers that are
/// sent.
fn serve(telemetry: &Telemetry, headers: HeaderMap) -> (Context, HeaderMap) {
    let client = ClientTraceLayer::new().with_telemetry(telemetry);
    let client = client.layer(service_fn(|request: Request<()>| async move {
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(request.into_parts().0.headers);
        Ok::<_, Infallible>(response)
    }));
    let server = TraceLayer::new().with_telemetry(telemetry);
    let mut server = server.layer(service_fn(move |_: Request<()>| {
        let mut client = client.clone();
        async move {
            let sent = client.call(Request::new(())).await?;
            let sent: HeaderMap = sent.extensions().get().cloned().unwrap_or_default();
            let mut response = Response::new(String::new());
            response.extensions_mut().insert((Context::current(), sent));
            Ok::<_, Infallible>(response)
        }
    }));
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let mut response = tokio_test::block_on(server.call(request)).unwrap();
    response.extensions_mut().remove().unwrap()
}

#[test]
fn a_trace_goes_through_a_service_that_is_switched_off_unbroken() {
    let exporter = InMemorySpanExporter::default();
    for telemetry in both(|builder| builder.with_span_exporter(exporter.clone()), &[]) {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(TRACEPARENT));
        headers.insert("tracestate", HeaderValue::from_static("a=1"));
        let (cx, sent) = serve(&telemetry, headers.clone());
        assert_eq!(sent, headers);
        let span = cx.span();
        assert_eq!(span.span_context().span_id().to_string(), "b7ad6b7169203331");
        assert!(!span.is_recording());

        // Without a caller's trace there is none, and nothing that tells others not to begin one.
        let (cx, sent) = serve(&telemetry, HeaderMap::new());
        assert!(sent.is_empty(), "{sent:?}");
        assert!(!cx.has_active_span());
    }
    assert_eq!(exporter.get_finished_spans().unwrap(), []);
}

#[test]
fn nothing_is_started_and_nothing_arrives() {
    let collector = Collector::start([]);
    let processor =
        || Hooks { on_start: Some(|_| panic!("a span was started")), ..Hooks::default() };
    let otlp = || Otlp::new().with_endpoint(collector.url());
    let prepared =
        |builder: TelemetryBuilder| builder.with_otlp(otlp()).with_span_processor(processor());
    for telemetry in both(prepared, &[]) {
        assert_eq!(telemetry.destinations().next(), None);
        assert_eq!(telemetry.health().exporters().count(), 0);
        assert!(telemetry.tail_sampling().is_none());
        serve(&telemetry, HeaderMap::new());
        drop(telemetry.tracer_provider().tracer("mine").start("span"));
        telemetry.force_flush(Duration::from_secs(5)).unwrap();
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
        telemetry.shutdown(Duration::from_secs(5)).unwrap();
    }
    assert!(collector.requests().is_empty());
}

#[test]
fn what_is_left_out_cannot_fail_the_build_and_the_rest_can() {
    let prepared = |builder: TelemetryBuilder| {
        builder
            .with_otlp(Otlp::new().with_endpoint("nowhere"))
            .with_batch(BatchSettings::new().with_max_queue_size(0))
            .with_limits(Limits::new().with_attribute_count(1))
            .with_tail_sampling(TailSampling::new().with_max_traces(0))
    };
    let bad = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "few"),
        ("OTEL_TRACES_EXPORTER", "carrier-pigeon"),
        ("OTEL_PROPAGATORS", "w3c"),
        ("OTEL_SERVICE_NAME", "shop"),
    ];
    for telemetry in both(prepared, &bad) {
        let warned: Vec<_> = telemetry.warnings().iter().map(Warning::variable).collect();
        assert_eq!(warned, ["OTEL_PROPAGATORS"]);
        let name = telemetry.resource().get(&"service.name".into()).unwrap();
        assert_eq!(name.to_string(), "shop");
    }
    let error = Telemetry::builder()
        .with_sdk_disabled()
        .with_sampler(SamplerBuilder::new().with_ratio(2.0))
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "sampling ratio");
}

#[test]
fn only_true_switches_off_and_what_is_no_boolean_is_a_warning() {
    for (value, destinations, warnings) in
        [("true", 0, 0), ("TRUE", 0, 0), ("false", 1, 0), ("", 1, 0), ("1", 1, 1), ("yes", 1, 1)]
    {
        let telemetry =
            Telemetry::builder().with_environment([("OTEL_SDK_DISABLED", value)]).build().unwrap();
        assert_eq!(telemetry.destinations().count(), destinations, "{value}");
        let warned: Vec<_> = telemetry.warnings().iter().map(Warning::value).collect();
        assert_eq!(warned, vec![value; warnings]);
    }
}

/// Whoever takes spans from the provider itself, in a handler or a background job.
#[test]
fn a_span_of_the_provider_holds_nothing_and_keeps_a_sampled_trace_sampled() {
    let cx = Telemetry::builder().with_environment([("", ""); 0]).build().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(TRACEPARENT));
    let cx = cx.propagator().extract(&Context::new(), &headers);
    for telemetry in both(|builder| builder, &[]) {
        let tracer = telemetry.tracer_provider().tracer("mine");
        let context_of = |cx: &Context| -> SpanContext {
            let mut span = tracer.start_with_context("span", cx);
            span.set_attribute(KeyValue::new("key", "value"));
            span.span_context().clone()
        };
        let below = context_of(&cx);
        assert!(below.is_sampled());
        assert_eq!(below.trace_id(), cx.span().span_context().trace_id());
        assert!(!context_of(&Context::new()).is_sampled());
    }
}

#[test]
fn the_propagator_is_as_ever() {
    let prepared = |builder: TelemetryBuilder| builder.with_propagators(["b3"]);
    for telemetry in both(prepared, &[]) {
        assert_eq!(format!("{:?}", telemetry.propagator()), "[b3]");
    }
    for telemetry in both(|builder| builder, &[("OTEL_PROPAGATORS", "xray")]) {
        assert_eq!(format!("{:?}", telemetry.propagator()), "[xray]");
    }
}
