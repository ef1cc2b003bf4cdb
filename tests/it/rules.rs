//! The sampler's rules through real layers: what they see of a request before anything is made of
//! it.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::{Extensions, Method, Request, Response};
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    trace::{FutureExt, SpanKind, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, SdkTracer, SimpleSpanProcessor, Span, SpanData, SpanProcessor},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_telemetry::{
    ClientTraceLayer, SamplerBuilder, Telemetry, TraceLayer,
    client::UrlTemplate,
    sdk::sampler::{Candidate, Rule, Sampler},
};

use crate::support::sdk::sampled_by;

const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn only(rule: Rule) -> SamplerBuilder {
    SamplerBuilder::new().with_always_off().with_rule(rule)
}

async fn ok<B>(_: Request<B>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(String::new()))
}

fn request(line: &str, header: Option<(&str, &str)>) -> Request<()> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    if let Some((name, value)) = header {
        // Two lines, of which the second is the one.
        request = request.header(name, "first").header(name, value);
    }
    request.body(()).unwrap()
}

/// The spans of one request through a server's layer.
fn served(sampler: SamplerBuilder, request: Request<()>) -> Vec<SpanData> {
    let (telemetry, exporter) = sampled_by(sampler);
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
    tokio_test::block_on(service.call(request)).unwrap();
    exporter.get_finished_spans().unwrap()
}

/// The same through a client's.
fn sent(sampler: SamplerBuilder, request: Request<()>) -> Vec<SpanData> {
    let (telemetry, exporter) = sampled_by(sampler);
    let mut client = ClientTraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
    tokio_test::block_on(client.call(request)).unwrap();
    exporter.get_finished_spans().unwrap()
}

#[test]
fn a_rule_sees_the_request_on_either_side() {
    let debug = Some(("x-debug", "on"));
    let template = |candidate: &Candidate<'_>| candidate.route() == Some("/items/{id}");
    for (rule, line, header, holds) in [
        (Rule::keep(), "GET /", None, true),
        (Rule::keep().with_method(Method::POST), "POST /", None, true),
        (Rule::keep().with_method(Method::POST), "GET /", None, false),
        (Rule::keep().with_path("/healthz"), "GET /healthz?verbose", None, true),
        (Rule::keep().with_path("/healthz"), "GET /healthz/", None, false),
        (Rule::keep().with_path("/*/detail"), "GET /items/1/detail", None, true),
        (Rule::keep().with_path_prefix("/admin"), "GET /admin/users", None, true),
        (Rule::keep().with_path_prefix("/admin"), "GET /administrators", None, false),
        (Rule::keep().with_header("X-Debug", "on"), "GET /", debug, true),
        (Rule::keep().with_header("x-debug", "o*"), "GET /", debug, true),
        (Rule::keep().with_header("x-debug", "off"), "GET /", debug, false),
        (Rule::keep().with_header("x-debug", "*"), "GET /", None, false),
        (Rule::keep().with_path("/a").with_method(Method::GET), "POST /a", None, false),
        (
            Rule::keep().with_predicate(|candidate| {
                let head = candidate.request().unwrap();
                head.uri().query() == Some("q=1") && candidate.path() == Some("/a")
            }),
            "GET /a?q=1",
            None,
            true,
        ),
        // Which name and attributes it will have is not known yet.
        (
            Rule::keep().with_predicate(|candidate| {
                candidate.name().is_none() && candidate.attribute("url.path").is_none()
            }),
            "GET /a",
            None,
            true,
        ),
        (Rule::keep().with_predicate(template), "GET /items/1", None, false),
        (Rule::keep().with_predicate(|_| panic!("a user's mistake")), "GET /", None, false),
    ] {
        let expected = usize::from(holds);
        let spans = served(only(rule.clone()), request(line, header));
        assert_eq!(spans.len(), expected, "{rule:?} {line}");
        let spans =
            sent(only(rule.clone()), request(&line.replace(' ', " http://a.example"), header));
        assert_eq!(spans.len(), expected, "{rule:?} {line}, on a client");
    }
}

#[test]
fn a_rule_is_for_the_kinds_that_it_names() {
    for (kind, of_servers, of_clients) in
        [(SpanKind::Server, 1, 0), (SpanKind::Client, 0, 1), (SpanKind::Internal, 0, 0)]
    {
        let rule = Rule::keep().with_kind(kind);
        assert_eq!(served(only(rule.clone()), request("GET /", None)).len(), of_servers);
        assert_eq!(sent(only(rule), request("GET http://a.example/", None)).len(), of_clients);
    }
}

#[test]
fn a_rule_sees_what_the_context_has() {
    let asked = |candidate: &Candidate<'_>| {
        candidate.parent_cx().baggage().get("tenant").is_some_and(|name| name.as_str() == "a")
    };
    for (tenant, expected) in [("a", 1), ("b", 0)] {
        let (telemetry, exporter) = sampled_by(only(Rule::keep().with_predicate(asked)));
        let cx = Context::new().with_baggage([KeyValue::new("tenant", tenant)]);
        let mut client = ClientTraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
        let sends = async move { client.call(request("GET http://a.example/", None)).await };
        tokio_test::block_on(sends.with_context(cx)).unwrap();
        assert_eq!(exporter.get_finished_spans().unwrap().len(), expected, "{tenant}");
    }
}

#[tokio::test]
async fn a_route_is_known_to_a_layer_on_the_router() {
    let (telemetry, exporter) = sampled_by(only(Rule::keep().with_route("/items/{id}")));
    let router = || Router::new().route("/items/{id}", get(|| async { "an item" }));
    let inside = router().layer(TraceLayer::new().with_telemetry(&telemetry));
    let around = TraceLayer::new().with_telemetry(&telemetry).layer(router());
    let get = || Request::get("/items/1").body(Body::empty()).unwrap();
    inside.oneshot(get()).await.unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    around.oneshot(get()).await.unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
}

#[test]
fn the_template_of_a_clients_url_is_its_route() {
    let mut extensions = Extensions::new();
    extensions.insert(UrlTemplate::new("/items/{id}"));
    let mut request = request("GET http://a.example/items/1", None);
    *request.extensions_mut() = extensions;
    assert_eq!(sent(only(Rule::keep().with_route("/items/*")), request).len(), 1);
}

#[test]
fn health_checks_are_off_in_one_line() {
    let sampler = || SamplerBuilder::new().with_rule(Rule::drop().with_path("/healthz"));
    assert_eq!(served(sampler(), request("GET /healthz", None)).len(), 0);
    assert_eq!(served(sampler(), request("GET /items", None)).len(), 1);
    // A prober with a trace of its own decides, unless it is told otherwise.
    let probe = || {
        let mut probe = request("GET /healthz", None);
        probe.headers_mut().insert("traceparent", SAMPLED.parse().unwrap());
        probe
    };
    assert_eq!(served(sampler(), probe()).len(), 1);
    let rule = Rule::drop().with_path("/healthz").with_parent_overruled();
    assert_eq!(served(SamplerBuilder::new().with_rule(rule), probe()).len(), 0);
}

#[test]
fn what_is_below_a_dropped_request_is_dropped_also_if_everything_is_recorded() {
    use opentelemetry::trace::Span;

    let rule = Rule::drop().with_path("/healthz");
    let recorded = Arc::new(AtomicU32::new(0));
    for (path, expected) in [("GET /healthz", 0), ("GET /items", 2)] {
        recorded.store(0, Ordering::Relaxed);
        let sampler = only(rule.clone()).with_always_record();
        let (telemetry, exporter) = sampled_by(sampler);
        let tracer = telemetry.tracer_provider().tracer("test");
        let count = Arc::clone(&recorded);
        let inner = service_fn(move |_: Request<()>| {
            let cx = Context::current();
            let span = tracer.build_with_context(tracer.span_builder("inside"), &cx);
            let here = opentelemetry::trace::get_active_span(|span| span.is_recording());
            count.fetch_add(u32::from(here) + u32::from(span.is_recording()), Ordering::Relaxed);
            async { Ok::<_, Infallible>(Response::new(String::new())) }
        });
        let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(inner);
        tokio_test::block_on(service.call(request(path, None))).unwrap();
        assert_eq!(recorded.load(Ordering::Relaxed), expected, "{path}");
        assert_eq!(exporter.get_finished_spans().unwrap().len(), 0, "{path}");
    }
}

#[test]
fn a_request_that_comes_back_to_the_process_is_not_below_the_one_that_was_dropped() {
    use opentelemetry::trace::Span;

    let sampler = only(Rule::drop().with_path("/healthz")).with_always_record();
    let (telemetry, _) = sampled_by(sampler);
    let (another, _) = sampled_by(SamplerBuilder::new().with_always_off().with_always_record());
    let recorded = |telemetry: &Telemetry| {
        let tracer = telemetry.tracer_provider().tracer("test");
        let cx = Context::current();
        tracer.build_with_context(tracer.span_builder("inside"), &cx).is_recording()
    };
    let inner = TraceLayer::new().with_telemetry(&telemetry);
    let outer = service_fn(|_: Request<()>| {
        // Of this sampler's nothing, but what another one says.
        assert!(!recorded(&telemetry) && recorded(&another));
        let mut inner = inner.layer(service_fn(|_: Request<()>| {
            assert!(recorded(&telemetry));
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        }));
        let mut asked = request("GET /items", None);
        asked.headers_mut().insert("traceparent", NOT_SAMPLED.parse().unwrap());
        async move { inner.call(asked).await }
    });
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(outer);
    tokio_test::block_on(service.call(request("GET /healthz", None))).unwrap();
}

#[test]
fn a_predicate_is_asked_once_for_a_span() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let rule = Rule::drop().with_predicate(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        false
    });
    let sampler = SamplerBuilder::new().with_rule(rule);
    assert_eq!(served(sampler.clone(), request("GET /", None)).len(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let mut traced = request("GET /", None);
    traced.headers_mut().insert("traceparent", SAMPLED.parse().unwrap());
    assert_eq!(served(sampler, traced).len(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_sampled_changes_while_it_serves() {
    let (telemetry, exporter) = sampled_by(SamplerBuilder::new().with_always_off());
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
    let mut spans = |line| {
        tokio_test::block_on(service.call(request(line, None))).unwrap();
        let spans = exporter.get_finished_spans().unwrap();
        exporter.reset();
        spans
    };
    assert_eq!(spans("GET /orders").len(), 0);
    let orders = Rule::keep().with_path_prefix("/orders");
    telemetry.sampler().update(|sampler| sampler.with_rule(orders)).unwrap();
    assert_eq!(spans("GET /items").len(), 0);
    let [span] = &spans("GET /orders")[..] else { panic!("one span") };
    assert_eq!(span.span_context.trace_state().header(), "ot=th:0");
    assert!(span.attributes.iter().any(|attribute| attribute.key.as_str() == "url.path"));
    telemetry.sampler().replace(SamplerBuilder::new()).unwrap();
    assert_eq!(spans("GET /items").len(), 1);
}

#[test]
fn a_change_between_rule_and_span_changes_nothing_for_the_span() {
    // It comes with the question itself, the latest that it can.
    for later in [SamplerBuilder::new(), SamplerBuilder::new().with_rule(Rule::keep())] {
        let sampler = Arc::new(OnceLock::<Sampler>::new());
        let asked = Arc::clone(&sampler);
        let next = later.clone();
        let rule = Rule::drop().with_predicate(move |_| {
            asked.get().unwrap().replace(next.clone()).unwrap();
            true
        });
        let (telemetry, exporter) = sampled_by(SamplerBuilder::new().with_rule(rule));
        assert!(sampler.set(telemetry.sampler().clone()).is_ok());
        let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
        tokio_test::block_on(service.call(request("GET /", None))).unwrap();
        assert_eq!(exporter.get_finished_spans().unwrap().len(), 0, "{later}");
        tokio_test::block_on(service.call(request("GET /", None))).unwrap();
        assert_eq!(exporter.get_finished_spans().unwrap().len(), 1, "{later}");
    }
}

#[test]
fn what_was_looked_at_for_a_rule_decides_also_if_none_holds() {
    let sampler = Arc::new(OnceLock::<Sampler>::new());
    let asked = Arc::clone(&sampler);
    let rule = Rule::drop().with_predicate(move |_| {
        asked.get().unwrap().replace(SamplerBuilder::new().with_always_off()).unwrap();
        false
    });
    let (telemetry, exporter) = sampled_by(SamplerBuilder::new().with_rule(rule));
    assert!(sampler.set(telemetry.sampler().clone()).is_ok());
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
    for _ in 0..2 {
        tokio_test::block_on(service.call(request("GET /", None))).unwrap();
        assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    }
}

#[test]
fn another_providers_span_is_its_own_samplers() {
    // A processor that starts one when ours starts.
    let (drops, dropped) = sampled_by(SamplerBuilder::new().with_rule(Rule::drop()));
    let other = drops.tracer_provider().tracer("other");
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_processor(Starts(other))
        .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
        .build()
        .unwrap();
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(service_fn(ok));
    tokio_test::block_on(service.call(request("GET /", None))).unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1);
    assert_eq!(dropped.get_finished_spans().unwrap().len(), 0);
}

/// Starts another span whenever one starts.
#[derive(Debug)]
struct Starts(SdkTracer);

impl SpanProcessor for Starts {
    fn on_start(&self, _: &mut Span, _: &Context) {
        drop(self.0.build_with_context(self.0.span_builder("another"), &Context::new()));
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn the_share_goes_along_to_whoever_is_called() {
    let (telemetry, exporter) = sampled_by(SamplerBuilder::new().with_ratio(1.0));
    let state = Arc::new(OnceLock::new());
    let received = Arc::clone(&state);
    let mut client = ClientTraceLayer::new().with_telemetry(&telemetry).layer(service_fn(
        move |request: Request<()>| {
            received.set(request.headers()["tracestate"].clone()).unwrap();
            ok(request)
        },
    ));
    tokio_test::block_on(client.call(request("GET http://a.example/", None))).unwrap();
    let [span] = &exporter.get_finished_spans().unwrap()[..] else { panic!("one span") };
    assert_eq!(span.span_context.trace_state().header(), "ot=th:0");
    assert_eq!(state.get().unwrap(), "ot=th:0");
}
