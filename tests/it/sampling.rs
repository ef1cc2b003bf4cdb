//! Which requests are recorded, through a whole `Telemetry`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider, Span};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{SamplerBuilder, Telemetry, TelemetryBuilder, TraceLayer};

use crate::support::{
    exchange::{exchange, response},
    recorder::{Described, attribute},
    sdk::{Decides, Hooks, sampled_by},
};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// How many spans come of a request without a parent, with a sampled one and with one that is not.
fn recorded(sampler: &SamplerBuilder) -> [usize; 3] {
    [None, Some(SAMPLED), Some(NOT_SAMPLED)].map(|traceparent| {
        let (telemetry, exporter) = sampled_by(sampler.clone());
        let inner = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let mut request = Request::new(());
        if let Some(traceparent) = traceparent {
            request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
        }
        let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(inner);
        tokio_test::block_on(service.call(request)).unwrap();
        let spans = exporter.get_finished_spans().unwrap();
        for span in &spans {
            assert_eq!(attribute(span, "url.path").as_deref(), Some("/"));
            assert_eq!(Described::from(span.clone()).name, "GET");
        }
        spans.len()
    })
}

#[test]
fn the_parents_decision_comes_first_unless_it_is_ignored() {
    let new = SamplerBuilder::new;
    assert_eq!(recorded(&new()), [1, 1, 0]);
    assert_eq!(recorded(&new().with_always_off()), [0, 1, 0]);
    assert_eq!(recorded(&new().with_ratio(0.0)), [0, 1, 0]);
    assert_eq!(recorded(&new().with_ratio(1.0)), [1, 1, 0]);
    assert_eq!(recorded(&new().without_parent()), [1, 1, 1]);
    assert_eq!(recorded(&new().with_always_off().without_parent()), [0, 0, 0]);
    assert_eq!(recorded(&new().with_root(opentelemetry_sdk::trace::Sampler::AlwaysOff)), [0, 1, 0]);
}

/// Sends requests until one is recorded, and describes its span.
fn recorded_at(ratio: f64, telemetry: TelemetryBuilder, spans: &InMemorySpanExporter) -> Described {
    let telemetry = telemetry
        .with_environment([("", ""); 0])
        .with_sampler(SamplerBuilder::new().with_ratio(ratio))
        .build()
        .unwrap();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(inner);
    for _ in 0..1_000 {
        tokio_test::block_on(service.call(Request::new(()))).unwrap();
    }
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    spans.get_finished_spans().unwrap().remove(0).into()
}

#[test]
fn a_span_says_the_same_whether_it_was_likely_recorded_or_not() {
    let expected = Described::of_a_plain_request();
    for ratio in [0.1, 0.9] {
        let exporter = InMemorySpanExporter::default();
        let builder = Telemetry::builder().with_span_exporter(exporter.clone());
        assert_eq!(recorded_at(ratio, builder, &exporter), expected, "{ratio}");
    }
}

#[test]
fn a_processor_finds_the_attributes_when_a_span_starts_whatever_the_ratio() {
    // It renames spans by what it finds on them.
    fn rename(span: &mut Span) {
        let data = span.exported_data().unwrap();
        span.update_name(format!("{} with {}", data.name, data.attributes.len()));
    }

    for ratio in [0.1, 0.9] {
        let exporter = InMemorySpanExporter::default();
        let builder = Telemetry::builder()
            .with_span_processor(Hooks { on_start: Some(rename), ..Hooks::default() })
            .with_span_exporter(exporter.clone());
        assert_eq!(recorded_at(ratio, builder, &exporter).name, "GET with 3", "{ratio}");
    }
}

#[test]
fn a_ratio_keeps_about_its_share() {
    use opentelemetry::trace::{Tracer, TracerProvider};

    for ratio in [0.1, 0.7] {
        let (telemetry, exporter) = sampled_by(SamplerBuilder::new().with_ratio(ratio));
        let tracer = telemetry.tracer_provider().tracer("test");
        for _ in 0..10_000 {
            drop(tracer.start("span"));
        }
        let kept = exporter.get_finished_spans().unwrap().len() as f64 / 10_000.0;
        // Ten standard deviations: one failure in more runs than there will be.
        let bound = 10.0 * (ratio * (1.0 - ratio) / 10_000.0_f64).sqrt();
        assert!((kept - ratio).abs() < bound, "{kept} of {ratio}");
    }
}

#[test]
fn what_is_sampled_out_builds_nothing_also_where_the_response_names_its_span() {
    use tower_telemetry::propagation::ResponsePropagation;

    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_sampler(SamplerBuilder::new().with_always_off())
        .build()
        .unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let count = || {
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (name, request, answered, error, end) = (count(), count(), count(), count(), count());
    let layer = TraceLayer::new()
        .with_telemetry(&telemetry)
        .with_response_propagation(ResponsePropagation::none().with_traceresponse())
        .with_span_name(move |_| {
            name();
            None
        })
        .on_request(move |_, _| request())
        .on_response(move |_, _| answered())
        .on_error(move |_, _| error())
        .on_end(move |_, _| end());
    let mut failing = response("");
    *failing.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    let answer = exchange(&layer, Request::new(()), failing);
    assert!(answer.headers().contains_key("traceresponse"));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn of_two_layers_the_outer_one_decides_also_if_it_decides_against() {
    // Whose parent is not believed begins a trace, so a second layer would draw lots again.
    let decisions = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&decisions);
    let counts = Decides::new(SamplingDecision::Drop, move |_, _, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let provider = SdkTracerProvider::builder().with_sampler(counts).build();
    for answers in [false, true] {
        decisions.store(0, Ordering::Relaxed);
        let mut layer = TraceLayer::new()
            .with_tracer_provider(&provider)
            .with_remote_parent(tower_telemetry::server::RemoteParent::Link);
        if answers {
            let headers = tower_telemetry::propagation::ResponsePropagation::none();
            layer = layer.with_response_propagation(headers.with_traceresponse());
        }
        let inner = layer.layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
        tokio_test::block_on(layer.layer(inner).call(Request::new(()))).unwrap();
        assert_eq!(decisions.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn an_outer_layer_that_makes_no_spans_decides_nothing() {
    let recorder = crate::support::recorder::Recorder::new();
    let inner = recorder.layer().layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let noop = opentelemetry::trace::noop::NoopTracerProvider::new();
    let outer = TraceLayer::new().with_tracer_provider(&noop);
    tokio_test::block_on(outer.layer(inner).call(Request::new(()))).unwrap();
    assert_eq!(recorder.span().name, "GET");
}
