//! Spans on the way out: over a real socket, and what is told when they do not get there.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use opentelemetry::trace::{Tracer, TracerProvider};
use tower_telemetry::{Telemetry, TelemetryBuilder, sdk::export::Otlp};

use crate::support::collector::{Answer, Collector};

const LONG: Duration = Duration::from_secs(30);

fn builder(endpoint: &str) -> TelemetryBuilder {
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_service_name("shop")
        .with_otlp(Otlp::new().with_endpoint(endpoint))
}

/// Ends `count` spans.
fn spans(telemetry: &Telemetry, count: usize) {
    let tracer = telemetry.tracer_provider().tracer("test");
    for _ in 0..count {
        drop(tracer.start("span"));
    }
}

#[test]
fn shutdown_sends_what_is_in_the_queue() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_EXPORTER_OTLP_HEADERS", "a=env,b=env")])
        .with_otlp(Otlp::new().with_endpoint(collector.url()).with_header("a", "code"))
        .build()
        .unwrap();
    spans(&telemetry, 3);
    telemetry.shutdown(LONG).unwrap();

    let requests = collector.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/v1/traces");
    let headers = &requests[0].headers;
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!((&headers["a"], &headers["b"]), (&"code".parse().unwrap(), &"env".parse().unwrap()));
    assert_eq!(requests[0].body.resource_spans[0].scope_spans[0].spans.len(), 3);

    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn force_flush_sends_what_has_ended_and_leaves_the_exporter_running() {
    let collector = Collector::start([]);
    let telemetry = builder(&collector.url()).build().unwrap();
    for _ in 0..2 {
        spans(&telemetry, 1);
        telemetry.force_flush().unwrap();
        assert_eq!(collector.spans().len(), 1);
    }
    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn an_endpoint_for_traces_is_taken_as_it_is() {
    let collector = Collector::start([]);
    let otlp = Otlp::new().with_traces_endpoint(format!("{}/as/is?key=1", collector.url()));
    let telemetry =
        Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build().unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.requests()[0].path, "/as/is?key=1");
}

#[test]
fn the_environments_endpoint_is_used_without_a_word_of_code() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())])
        .build()
        .unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    for busy in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let collector = Collector::start([Answer::Status(busy)]);
        let telemetry = builder(&collector.url()).build().unwrap();
        spans(&telemetry, 1);
        telemetry.shutdown(LONG).unwrap();
        let [first, second] = &collector.spans()[..] else {
            panic!("the span was to be sent twice");
        };
        assert_eq!(first, second);
    }
}

#[test]
fn a_refusal_is_not_repeated_and_shutdown_says_what_was_lost() {
    let collector = Collector::start([Answer::Status(StatusCode::BAD_REQUEST)]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 2);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert_eq!(collector.requests().len(), 1);
    assert_eq!(error.failed_spans(), 2);
    assert!(!error.is_timeout());
    let message = error.to_string();
    assert!(message.starts_with("telemetry was lost: 2 spans: OTLP to 127.0.0.1:"), "{message}");
    assert!(message.contains("400"), "{message}");
}

#[test]
fn a_collector_that_stays_busy_costs_the_spans_and_shutdown_says_so() {
    let busy = Answer::Status(StatusCode::SERVICE_UNAVAILABLE);
    let collector = Collector::start([busy; 16]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert_eq!(error.failed_spans(), 1);
    assert!(error.to_string().contains("503"), "{error}");
    assert!(collector.requests().len() > 1);
}

#[test]
fn a_partial_success_is_not_repeated_and_shutdown_says_what_was_refused() {
    let collector = Collector::start([Answer::Partial(1)]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 3);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert_eq!(collector.requests().len(), 1);
    assert_eq!(error.failed_spans(), 1);
    assert!(error.to_string().contains("too many of them"), "{error}");
}

#[test]
fn a_collector_that_hangs_does_not_hold_up_the_shutdown() {
    let collector = Collector::start([Answer::Hang]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let deadline = Duration::from_millis(300);
    let started = Instant::now();
    let error = telemetry.shutdown(deadline).unwrap_err();
    assert!(started.elapsed() >= deadline);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(error.is_timeout(), "{error}");
    collector.wait();
}

#[test]
fn a_collector_that_hangs_is_given_up_after_the_timeout() {
    let collector = Collector::start([Answer::Hang; 16]);
    let otlp = Otlp::new().with_endpoint(collector.url()).with_timeout(Duration::from_millis(200));
    let telemetry =
        Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert!(!error.is_timeout(), "{error}");
    assert_eq!(error.failed_spans(), 1);
    assert!(error.to_string().contains("timeout"), "{error}");
}

#[test]
fn a_collector_that_is_down_costs_the_spans_and_not_the_program() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let telemetry = builder(&format!("http://127.0.0.1:{port}")).build().unwrap();
    let started = Instant::now();
    spans(&telemetry, 1000);
    // Ending a span is handing it to a queue: nobody waits for the network.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert_eq!(error.failed_spans(), 1000);
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn two_exporters_get_the_same_spans_and_one_that_hangs_takes_none_of_the_others_time() {
    let hangs = Collector::start([Answer::Hang]);
    let works = Collector::start([]);
    let telemetry =
        builder(&hangs.url()).with_otlp(Otlp::new().with_endpoint(works.url())).build().unwrap();
    spans(&telemetry, 2);
    let error = telemetry.shutdown(Duration::from_millis(500)).unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(works.spans().len(), 2);
}

#[tokio::test]
async fn building_and_shutting_down_inside_a_current_thread_runtime_works() {
    let collector = Collector::start([]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn spans_that_record_without_being_sampled_stay_here() {
    use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

    #[derive(Clone, Debug)]
    struct RecordOnly;

    impl ShouldSample for RecordOnly {
        fn should_sample(
            &self,
            _: Option<&opentelemetry::Context>,
            _: opentelemetry::TraceId,
            _: &str,
            _: &opentelemetry::trace::SpanKind,
            _: &[opentelemetry::KeyValue],
            _: &[opentelemetry::trace::Link],
        ) -> SamplingResult {
            SamplingResult {
                decision: SamplingDecision::RecordOnly,
                attributes: Vec::new(),
                trace_state: opentelemetry::trace::TraceState::NONE,
            }
        }
    }

    let collector = Collector::start([]);
    let telemetry = builder(&collector.url())
        .with_sampler(tower_telemetry::SamplerBuilder::new().with_root(RecordOnly))
        .build()
        .unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert!(collector.requests().is_empty());
}
