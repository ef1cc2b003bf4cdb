//! Spans on the way out: over a real socket, and what is told when they do not get there.

use std::{
    net::TcpListener,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SamplingDecision, SpanData, SpanExporter},
};
use tower_telemetry::{
    SamplerBuilder, Telemetry, TelemetryBuilder,
    sdk::{ExportError, export::Otlp},
};

use crate::support::{
    collector::{Answer, Collector},
    sdk::{Decides, Hooks},
};

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
    let agent = concat!("tower-telemetry/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/");
    assert!(headers["user-agent"].to_str().unwrap().starts_with(agent), "{headers:?}");
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
        telemetry.force_flush(LONG).unwrap();
        assert_eq!(collector.spans().len(), 1);
    }
    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn an_endpoint_for_traces_and_a_user_agent_are_taken_as_they_are() {
    let collector = Collector::start([]);
    let otlp = Otlp::new()
        .with_traces_endpoint(format!("{}/as/is?key=1", collector.url()))
        .with_header("User-Agent", "mine");
    let telemetry =
        Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build().unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    let [request] = &collector.requests()[..] else {
        panic!("one request was to come");
    };
    assert_eq!(request.path, "/as/is?key=1");
    assert_eq!(request.headers["user-agent"], "mine");
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
    let endpoint = collector.url().replace("http://", "OTLP to ") + "/v1/traces";
    assert_eq!(
        message,
        format!("not all spans were exported: 2 spans: {endpoint}: answered 400 Bad Request")
    );
    // What was told is not told again.
    telemetry.shutdown(LONG).unwrap();
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
    assert!(error.to_string().contains(": not done within 300ms, with 1 span to go"), "{error}");
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

#[test]
fn a_processor_that_blocks_is_left_behind_and_named() {
    let release = Arc::new(Barrier::new(2));
    let collector = Collector::start([]);
    for with_another in [false, true] {
        let until = Arc::clone(&release);
        let blocks = move || {
            until.wait();
        };
        let mut builder = Telemetry::builder()
            .with_environment([("", ""); 0])
            .with_span_processor(Hooks { on_shutdown: Some(Box::new(blocks)), ..Hooks::default() });
        if with_another {
            builder = builder.with_otlp(Otlp::new().with_endpoint(collector.url()));
        }
        let telemetry = builder.build().unwrap();
        spans(&telemetry, 1);
        let error = telemetry.shutdown(Duration::from_millis(500)).unwrap_err();
        assert!(error.is_timeout());
        assert!(error.to_string().contains("Hooks: not done within 500ms"), "{error}");
        release.wait();
    }
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn a_processor_that_panics_is_named_and_takes_nobody_along() {
    let panics = Hooks {
        on_flush: Some(|| panic!("the flush panics, as it was told to")),
        on_shutdown: Some(Box::new(|| panic!("the shutdown panics, as it was told to"))),
        ..Hooks::default()
    };
    let collector = Collector::start([]);
    let telemetry = builder(&collector.url()).with_span_processor(panics).build().unwrap();
    spans(&telemetry, 1);
    for error in [telemetry.force_flush(LONG).unwrap_err(), telemetry.shutdown(LONG).unwrap_err()] {
        assert!(!error.is_timeout(), "{error}");
        assert!(error.to_string().contains("Hooks: it panicked"), "{error}");
    }
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn every_span_is_accounted_for_also_when_the_queue_is_full() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().as_str()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
        ])
        .build()
        .unwrap();
    spans(&telemetry, 10_000);
    let error = telemetry.shutdown(LONG).unwrap_err();
    let requests = collector.requests();
    let batches =
        requests.iter().map(|request| request.body.resource_spans[0].scope_spans[0].spans.len());
    let arrived: usize = batches.inspect(|&batch| assert!(batch <= 2)).sum();
    assert_eq!(error.failed_spans() + arrived as u64, 10_000);
    assert!(error.to_string().ends_with(": dropped, for the queue was full"), "{error}");
}

#[test]
fn what_an_exporter_panics_over_is_not_taken_for_exported() {
    #[derive(Debug)]
    struct Panics;

    impl SpanExporter for Panics {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            panic!("the exporter panics, as it was told to");
        }
    }

    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_exporter(Panics)
        .build()
        .unwrap();
    spans(&telemetry, 3);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert_eq!(error.failed_spans(), 3);
    assert!(error.to_string().contains("Panics: "), "{error}");
}

#[test]
fn the_batch_processors_variables_are_in_force() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3"),
        ])
        .build()
        .unwrap();
    spans(&telemetry, 1);
    // Nobody has asked for it: it was sent because it was time.
    collector.wait();
    spans(&telemetry, 8);
    telemetry.shutdown(LONG).unwrap();
    let sizes: Vec<usize> = collector
        .requests()
        .iter()
        .map(|request| request.body.resource_spans[0].scope_spans[0].spans.len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 9);
    assert!(sizes.iter().all(|&size| size <= 3), "{sizes:?}");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Collector::start([]);
    let collector = Collector::start([Answer::Redirect(elsewhere.address())]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert!(error.to_string().contains("answered 307"), "{error}");
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn credentials_in_the_url_are_sent_and_not_told() {
    let refused = Answer::Status(StatusCode::UNAUTHORIZED);
    let collector = Collector::start([refused]);
    let url = collector.url().replace("http://", "http://user:s3cret@");
    let telemetry = builder(&url).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.shutdown(LONG).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(!format!("{telemetry:?}").contains("s3cret"));
    assert_eq!(collector.requests()[0].headers["authorization"], "Basic dXNlcjpzM2NyZXQ=");
}

#[test]
fn what_a_collector_says_commands_no_terminal() {
    let collector = Collector::start([Answer::Partial(1)]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.shutdown(LONG).unwrap_err().to_string();
    assert!(error.contains("too many of them\\u{1b}[2J"), "{error}");
}

#[test]
fn any_timeout_is_fine() {
    let collector = Collector::start([]);
    let otlp = Otlp::new().with_endpoint(collector.url()).with_timeout(Duration::MAX);
    let telemetry =
        Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build().unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(Duration::MAX).unwrap();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn a_second_shutdown_waits_for_the_first() {
    let collector = Collector::start([Answer::Hang]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let timeout = Duration::from_millis(400);
    let started = Instant::now();
    thread::scope(|scope| {
        let first = scope.spawn(|| telemetry.shutdown(timeout));
        // By now the first is at it.
        collector.wait();
        let impatient = telemetry.shutdown(Duration::from_millis(1)).unwrap_err();
        assert!(started.elapsed() < timeout);
        assert!(impatient.to_string().contains("another shutdown"), "{impatient}");
        telemetry.shutdown(LONG).unwrap();
        assert!(started.elapsed() >= timeout);
        assert!(first.join().unwrap().unwrap_err().is_timeout());
    });
}

#[test]
fn a_flush_says_what_a_shutdown_would() {
    let collector = Collector::start([Answer::Status(StatusCode::BAD_REQUEST)]);
    let telemetry = builder(&collector.url()).build().unwrap();
    spans(&telemetry, 1);
    let error = telemetry.force_flush(LONG).unwrap_err();
    assert_eq!(error.failed_spans(), 1);
    assert!(error.to_string().ends_with("/v1/traces: answered 400 Bad Request"), "{error}");
    telemetry.force_flush(LONG).unwrap();
    telemetry.shutdown(LONG).unwrap();
    // There is nothing left to flush, and nothing was lost.
    telemetry.force_flush(LONG).unwrap();
}

#[test]
fn a_processor_that_panics_over_a_span_keeps_it_from_nobody() {
    let panics = Hooks {
        on_start: Some(|_| panic!("the start panics, as it was told to")),
        on_end: Some(|| panic!("the end panics, as it was told to")),
        ..Hooks::default()
    };
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_processor(panics)
        .with_otlp(Otlp::new().with_endpoint(collector.url()))
        .build()
        .unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn flushes_from_many_threads_and_a_shutdown_do_not_get_in_each_others_way() {
    let collector = Collector::start([]);
    let telemetry = builder(&collector.url()).build().unwrap();
    // A span that has ended meanwhile may have come too late; nothing else may have happened.
    let late = |result: Result<(), ExportError>| {
        result.map_or_else(
            |late| {
                assert!(late.to_string().ends_with("they ended after the shutdown"), "{late}");
                late.failed_spans()
            },
            |()| 0,
        )
    };
    let told: u64 = thread::scope(|scope| {
        let flush = || {
            spans(&telemetry, 1);
            late(telemetry.force_flush(LONG))
        };
        let flushes: Vec<_> = (0..80).map(|_| scope.spawn(flush)).collect();
        collector.wait();
        let told = late(telemetry.shutdown(LONG));
        told + flushes.into_iter().map(|flush| flush.join().unwrap()).sum::<u64>()
    });
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!((exporter.ended(), exporter.in_flight()), (80, 0));
    assert_eq!(exporter.exported(), collector.spans().len() as u64);
    assert_eq!(exporter.exported() + exporter.after_shutdown(), 80);
    assert!(told <= exporter.after_shutdown(), "{told} of {health}");
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
    let record_only = Decides::new(SamplingDecision::RecordOnly, |_, _, _| {});
    let collector = Collector::start([]);
    let telemetry = builder(&collector.url())
        .with_sampler(SamplerBuilder::new().with_root(record_only))
        .build()
        .unwrap();
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert!(collector.requests().is_empty());
}
