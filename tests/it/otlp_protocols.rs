//! The same spans over each protocol, and what becomes of answers that only one of them has.

use std::{
    net::TcpListener,
    time::{Duration, Instant, SystemTime},
};

use axum::http::StatusCode;
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{Link, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value,
};
use tonic::Code;
use tower_telemetry::{
    ResourceBuilder, Telemetry, TelemetryBuilder,
    sdk::{
        BatchSettings,
        export::{Compression, Otlp, Protocol},
    },
};

use crate::support::collector::{Answer, Collector};

const LONG: Duration = Duration::from_secs(30);
const PROTOCOLS: [Protocol; 3] = [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc];
const HTTP: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::HttpJson];

fn to(collector: &Collector, protocol: Protocol) -> Otlp {
    Otlp::new().with_endpoint(collector.url()).with_protocol(protocol)
}

fn builder(otlp: Otlp) -> TelemetryBuilder {
    Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp)
}

/// Ends `count` spans.
fn spans(telemetry: &Telemetry, count: usize) {
    let tracer = telemetry.tracer_provider().tracer("test");
    for _ in 0..count {
        drop(tracer.start("span"));
    }
}

/// Sends one batch of three spans, and what was said of it.
fn sent(collector: &Collector, protocol: Protocol) -> Result<(), String> {
    let telemetry = builder(to(collector, protocol)).build().unwrap();
    spans(&telemetry, 3);
    let said = telemetry.shutdown(LONG).map_err(|error| {
        let error = error.to_string();
        error.rsplit_once(&collector.address().to_string()).unwrap().1.to_owned()
    });
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!(exporter.exported() + exporter.failed(), 3);
    said.map_err(|said| said.trim_start_matches("/v1/traces").trim_start_matches(": ").to_owned())
}

/// Spans with something of everything, of two scopes.
fn all_kinds(telemetry: &Telemetry) {
    let strings: Vec<StringValue> = vec!["a".into(), "ü\u{1f}\"".into()];
    let values = [
        Value::from("text"),
        Value::from(true),
        Value::from(i64::MIN),
        Value::from(1.5),
        Value::from(-0.0),
        Value::Array(Array::String(strings)),
        Value::Array(Array::Bool(vec![true, false])),
        Value::Array(Array::I64(vec![1, i64::MAX])),
        Value::Array(Array::F64(vec![0.1, f64::MAX])),
        Value::from(""),
    ];
    let attributes: Vec<KeyValue> = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| KeyValue::new(format!("key.{at}"), value))
        .collect();
    let kinds = [
        SpanKind::Client,
        SpanKind::Server,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Internal,
    ];
    for scope in ["one", "two"] {
        let tracer = telemetry.tracer_provider().tracer(scope);
        for kind in kinds.clone() {
            let parent = tracer.start("parent");
            let context = parent.span_context().clone();
            let mut span = tracer
                .span_builder("span")
                .with_kind(kind)
                .with_attributes(attributes.clone())
                .with_links(vec![Link::new(context, attributes.clone(), 1)])
                .start_with_context(&tracer, &Context::new().with_span(parent));
            span.add_event("event", attributes.clone());
            span.add_event_with_timestamp("before", SystemTime::UNIX_EPOCH, Vec::new());
            span.set_status(Status::error("it failed"));
        }
    }
}

#[test]
fn the_same_spans_arrive_as_equal_messages_by_every_protocol_and_compression() {
    let mut ways = Vec::new();
    for protocol in PROTOCOLS {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            ways.push((Collector::start([]), protocol, compression));
        }
    }
    let mut builder = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_resource(ResourceBuilder::new().with_attribute("number", 7));
    for (collector, protocol, compression) in &ways {
        builder = builder.with_otlp(to(collector, *protocol).with_compression(*compression));
    }
    let telemetry = builder.build().unwrap();
    all_kinds(&telemetry);
    telemetry.shutdown(LONG).unwrap();

    let mut first: Option<ExportTraceServiceRequest> = None;
    for (collector, protocol, compression) in &ways {
        let [request] = <[_; 1]>::try_from(collector.requests()).ok().unwrap();
        let way = format!("{protocol} {compression}");
        let (content_type, encoding, path) = match protocol {
            Protocol::Grpc => ("application/grpc", "grpc-encoding", "gRPC"),
            Protocol::HttpJson => ("application/json", "content-encoding", "/v1/traces"),
            _ => ("application/x-protobuf", "content-encoding", "/v1/traces"),
        };
        assert_eq!(request.path, path);
        assert_eq!(request.headers["content-type"], content_type);
        let encoded = request.headers.get(encoding).map(|encoding| encoding.to_str().unwrap());
        let expected = (*compression != Compression::None).then(|| compression.to_string());
        assert_eq!(encoded, expected.as_deref(), "{way}");
        let scopes = &request.body.resource_spans[0].scope_spans;
        assert_eq!(scopes.iter().map(|scope| scope.spans.len()).collect::<Vec<_>>(), [10, 10]);
        let full = scopes[0].spans.iter().filter(|span| span.attributes.len() == 10).count();
        assert_eq!(full, 5);
        match &first {
            None => first = Some(request.body),
            Some(first) => assert_eq!(&request.body, first, "{way}"),
        }
    }
}

#[test]
fn a_number_that_is_none_spoils_no_batch() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        let mut span = telemetry.tracer_provider().tracer("test").start("span");
        let numbers = vec![f64::NEG_INFINITY, 1.0];
        span.set_attribute(KeyValue::new("nan", f64::NAN));
        span.set_attribute(KeyValue::new("numbers", Value::Array(Array::F64(numbers))));
        drop(span);
        telemetry.shutdown(LONG).unwrap();
        let requests = collector.requests();
        let span = &requests[0].body.resource_spans[0].scope_spans[0].spans[0];
        let value = |at: usize| span.attributes[at].value.as_ref().unwrap().value.clone().unwrap();
        match protocol {
            // JSON knows no such number, and whoever reads `null` for one may refuse it all.
            Protocol::HttpJson => {
                assert_eq!(value(0), any_value::Value::StringValue("NaN".to_owned()));
                let any_value::Value::ArrayValue(array) = value(1) else {
                    panic!("{:?}", value(1))
                };
                let values: Vec<_> =
                    array.values.into_iter().map(|value| value.value.unwrap()).collect();
                let minus = any_value::Value::StringValue("-Infinity".to_owned());
                assert_eq!(values, [minus, any_value::Value::DoubleValue(1.0)]);
            }
            _ => assert!(matches!(value(0), any_value::Value::DoubleValue(nan) if nan.is_nan())),
        }
    }
}

#[test]
fn who_sends_and_what_is_asked_to_be_sent_along_is_in_every_request_once() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let otlp = to(&collector, protocol).with_header("x-a", "code").with_header("X-A", "last");
        let telemetry = Telemetry::builder()
            .with_environment([("OTEL_EXPORTER_OTLP_HEADERS", "x-a=env,x-b=b%20b")])
            .with_otlp(otlp)
            .build()
            .unwrap();
        spans(&telemetry, 1);
        telemetry.shutdown(LONG).unwrap();
        let requests = collector.requests();
        let headers = &requests[0].headers;
        let all = |name| -> Vec<_> {
            headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!((all("x-a"), all("x-b")), (vec!["last"], vec!["b b"]));
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        let agent = format!("tower-telemetry/{VERSION} OTel-OTLP-Exporter-Rust/{VERSION}");
        assert_eq!(all("user-agent"), [agent], "{protocol}");
    }
}

#[test]
fn what_a_collector_says_of_a_refusal_is_told() {
    for protocol in HTTP {
        let says = Answer::Says(StatusCode::BAD_REQUEST, "no such tenant\u{1b}[2J");
        let collector = Collector::start([says]);
        let said = sent(&collector, protocol).unwrap_err();
        assert_eq!(said, "answered 400 Bad Request: no such tenant\\u{1b}[2J");
        assert_eq!(collector.requests().len(), 1);
    }
    let says = Answer::Grpc(Code::Unauthenticated, "no such tenant\u{1b}[2J", None);
    let collector = Collector::start([says]);
    let said = sent(&collector, Protocol::Grpc).unwrap_err();
    assert_eq!(said, "answered UNAUTHENTICATED: no such tenant\\u{1b}[2J");
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn only_what_the_specification_lists_is_sent_again_over_http() {
    for (status_code, again) in [
        (429, true),
        (502, true),
        (503, true),
        (504, true),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, false),
        (413, false),
        (500, false),
        (501, false),
        (505, false),
        (204, false),
    ] {
        let status_code = StatusCode::from_u16(status_code).unwrap();
        let collector = Collector::start([Answer::Status(status_code)]);
        let said = sent(&collector, Protocol::HttpProtobuf);
        assert_eq!(collector.requests().len(), if again { 2 } else { 1 }, "{status_code}");
        assert_eq!(said.is_ok(), again || status_code.is_success(), "{status_code} {said:?}");
    }
}

#[test]
fn only_what_the_specification_lists_is_sent_again_over_grpc() {
    const NOW: Option<Duration> = Some(Duration::from_millis(1));
    for (code, delay, again) in [
        (Code::Cancelled, None, true),
        (Code::DeadlineExceeded, None, true),
        (Code::Aborted, None, true),
        (Code::OutOfRange, None, true),
        (Code::Unavailable, None, true),
        (Code::Unavailable, NOW, true),
        (Code::DataLoss, None, true),
        (Code::ResourceExhausted, NOW, true),
        (Code::ResourceExhausted, None, false),
        (Code::Unknown, None, false),
        (Code::InvalidArgument, NOW, false),
        (Code::NotFound, None, false),
        (Code::AlreadyExists, None, false),
        (Code::PermissionDenied, None, false),
        (Code::Unauthenticated, None, false),
        (Code::FailedPrecondition, None, false),
        (Code::Unimplemented, None, false),
        (Code::Internal, None, false),
    ] {
        let collector = Collector::start([Answer::Grpc(code, "", delay)]);
        let said = sent(&collector, Protocol::Grpc);
        assert_eq!(collector.requests().len(), if again { 2 } else { 1 }, "{code:?}");
        assert_eq!(said.is_ok(), again, "{code:?} {said:?}");
    }
}

#[test]
fn a_pause_that_is_longer_than_the_time_there_is_ends_the_export_at_once_and_others_too() {
    let hour = Duration::from_secs(3600);
    for (protocol, answer, reason) in [
        (
            Protocol::HttpProtobuf,
            Answer::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "3600"),
            "answered 503 Service Unavailable",
        ),
        (
            Protocol::HttpJson,
            Answer::RetryAfter(StatusCode::TOO_MANY_REQUESTS, "Fri, 31 Dec 9999 23:59:59 GMT"),
            "answered 429 Too Many Requests",
        ),
        (
            Protocol::Grpc,
            Answer::Grpc(Code::Unavailable, "later", Some(hour)),
            "answered UNAVAILABLE: later",
        ),
    ] {
        let collector = Collector::start([answer]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        let started = Instant::now();
        for expected in [reason.to_owned(), format!("not sent: another was {reason}")] {
            spans(&telemetry, 1);
            let error = telemetry.force_flush(LONG).unwrap_err().to_string();
            assert!(error.ends_with(&format!(": {expected}")), "{error}");
        }
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert_eq!(collector.requests().len(), 1);
        let _ = telemetry.shutdown(LONG);
    }
}

#[test]
fn a_partial_success_is_believed_as_far_as_it_can_be_true() {
    for protocol in PROTOCOLS {
        for (rejected, lost) in [(2, 2), (i64::MAX, 3), (0, 0), (-1, 0), (i64::MIN, 0)] {
            let collector = Collector::start([Answer::Partial(rejected)]);
            let telemetry = builder(to(&collector, protocol)).build().unwrap();
            spans(&telemetry, 3);
            let failed = telemetry.shutdown(LONG).map_or_else(|error| error.failed_spans(), |()| 0);
            assert_eq!((failed, collector.requests().len()), (lost, 1), "{protocol} {rejected}");
            let health = telemetry.health();
            let exporter = health.exporters().next().unwrap();
            assert_eq!((exporter.rejected(), exporter.exported()), (lost, 3 - lost));
        }
    }
}

#[test]
fn an_answer_that_is_none_is_what_its_status_says() {
    for body in [&b"\xff\xff\xff\xff"[..], b"<html>ok</html>", b""] {
        let collector = Collector::start([Answer::Body(body)]);
        assert_eq!(sent(&collector, Protocol::HttpProtobuf), Ok(()));
        assert_eq!(collector.requests().len(), 1);
    }
}

#[test]
fn an_answer_of_more_than_four_mebibytes_is_not_read() {
    let collector = Collector::start([Answer::Long(4 * 1024 * 1024)]);
    assert_eq!(sent(&collector, Protocol::HttpProtobuf), Ok(()));
    let collector = Collector::start([Answer::Long(4 * 1024 * 1024 + 1)]);
    let said = sent(&collector, Protocol::HttpProtobuf).unwrap_err();
    assert_eq!(said, "answered 200 OK at a length beyond 4 MiB");
    assert_eq!(collector.requests().len(), 1);

    let collector = Collector::start([Answer::Long(4 * 1024 * 1024)]);
    assert_eq!(sent(&collector, Protocol::Grpc), Ok(()));
    let collector = Collector::start([Answer::Long(4 * 1024 * 1024 + 1)]);
    let said = sent(&collector, Protocol::Grpc).unwrap_err();
    assert_eq!(said, "answered OK at a length beyond 4 MiB");
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn what_is_said_of_a_failure_is_not_waited_for_to_its_end() {
    for (status_code, again) in [(503, true), (429, true), (400, false)] {
        let status_code = StatusCode::from_u16(status_code).unwrap();
        let collector = Collector::start([Answer::Endless(status_code)]);
        let otlp = to(&collector, Protocol::HttpProtobuf);
        let telemetry = builder(otlp).build().unwrap();
        spans(&telemetry, 1);
        let said = telemetry.shutdown(LONG).map_err(|error| error.to_string());
        assert_eq!(collector.requests().len(), if again { 2 } else { 1 }, "{said:?}");
        match said {
            Ok(()) => assert!(again),
            Err(said) => assert!(said.ends_with("answered 400 Bad Request"), "{said}"),
        }
    }
}

#[test]
fn a_connection_that_is_cut_costs_nothing_but_another_attempt() {
    for (protocol, cut) in [
        (Protocol::HttpProtobuf, Answer::Close),
        (Protocol::HttpProtobuf, Answer::Half),
        (Protocol::HttpJson, Answer::Close),
        (Protocol::Grpc, Answer::Close),
    ] {
        let collector = Collector::start([cut]);
        assert_eq!(sent(&collector, protocol), Ok(()));
        assert_eq!((collector.requests().len(), collector.connections()), (2, 2), "{protocol}");
    }
}

#[test]
fn a_collector_that_cuts_every_connection_is_given_up() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Close; 64]);
        let otlp = to(&collector, protocol).with_timeout(Duration::from_secs(1));
        let telemetry = builder(otlp).build().unwrap();
        spans(&telemetry, 1);
        let error = telemetry.shutdown(LONG).unwrap_err().to_string();
        assert!(error.contains("the connection broke: ") && error.contains("attempts"), "{error}");
        assert_eq!(telemetry.health().exporters().next().unwrap().given_up(), 1);
    }
}

#[test]
fn connections_are_used_again() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        for _ in 0..5 {
            spans(&telemetry, 1);
            telemetry.force_flush(LONG).unwrap();
        }
        telemetry.shutdown(LONG).unwrap();
        assert_eq!((collector.requests().len(), collector.connections()), (5, 1), "{protocol}");
    }
}

#[test]
fn sixteen_batches_are_on_their_way_at_once() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Held; 17]);
        let telemetry = builder(to(&collector, protocol))
            .with_batch(BatchSettings::new().with_max_export_batch_size(1))
            .build()
            .unwrap();
        spans(&telemetry, 17);
        for _ in 0..16 {
            collector.wait();
        }
        assert_eq!(collector.requests().len(), 16);
        for _ in 0..17 {
            collector.release();
        }
        telemetry.shutdown(LONG).unwrap();
        assert_eq!(collector.requests().len(), 1);
        let connections = if protocol == Protocol::Grpc { 1 } else { 16 };
        assert_eq!(collector.connections(), connections, "{protocol}");
    }
}

#[test]
fn after_a_call_that_nobody_answered_there_is_another_connection() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Hang]);
        let otlp = to(&collector, protocol).with_timeout(Duration::from_millis(300));
        let telemetry = builder(otlp).build().unwrap();
        spans(&telemetry, 1);
        let error = telemetry.force_flush(LONG).unwrap_err().to_string();
        assert!(error.ends_with(": no answer within 300ms (timeout)"), "{error}");
        spans(&telemetry, 1);
        telemetry.force_flush(LONG).unwrap();
        assert_eq!(collector.connections(), 2, "{protocol}");
        telemetry.shutdown(LONG).unwrap_or_default();
        assert_eq!(telemetry.health().exporters().next().unwrap().timed_out(), 1);
    }
}

#[test]
fn a_collector_that_accepts_and_never_reads_costs_no_more_than_the_timeout() {
    // It is in the listener's backlog, where TCP has accepted it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for protocol in PROTOCOLS {
        let otlp = Otlp::new().with_endpoint(&url).with_protocol(protocol);
        let telemetry = builder(otlp.with_timeout(Duration::from_millis(300))).build().unwrap();
        let started = Instant::now();
        spans(&telemetry, 1);
        let error = telemetry.shutdown(LONG).unwrap_err().to_string();
        assert!(error.ends_with(": no answer within 300ms (timeout)"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn a_large_batch_is_sent_in_pieces_that_receivers_take() {
    let megabyte = "x".repeat(1_000_000);
    for (protocol, most) in [
        (Protocol::HttpProtobuf, 20 * 1024 * 1024),
        (Protocol::HttpJson, 20 * 1024 * 1024),
        (Protocol::Grpc, 4 * 1024 * 1024),
    ] {
        let collector = Collector::start([]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        for scope in ["one", "two"] {
            let tracer = telemetry.tracer_provider().tracer(scope);
            for _ in 0..12 {
                tracer.start("span").set_attribute(KeyValue::new("large", megabyte.clone()));
            }
        }
        telemetry.shutdown(LONG).unwrap();
        let requests = collector.requests();
        let sizes: Vec<usize> =
            requests.iter().map(|request| prost::Message::encoded_len(&request.body)).collect();
        assert!(sizes.len() > 1 && sizes.iter().all(|&size| size <= most), "{sizes:?}");
        let ids: std::collections::HashSet<_> = requests
            .iter()
            .flat_map(|request| &request.body.resource_spans)
            .inspect(|of_resource| assert!(of_resource.resource.is_some()))
            .flat_map(|of_resource| &of_resource.scope_spans)
            .inspect(|of_scope| assert!(of_scope.scope.is_some() && !of_scope.spans.is_empty()))
            .flat_map(|of_scope| &of_scope.spans)
            .map(|span| span.span_id.clone())
            .collect();
        assert_eq!(ids.len(), 24);
    }
}

#[test]
fn grpc_is_known_as_what_it_is() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address().to_string()),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "Gzip"),
        ])
        .build()
        .unwrap();
    assert_eq!(telemetry.warnings(), []);
    let name = format!("OTLP to {}", collector.address());
    assert_eq!(telemetry.destinations().collect::<Vec<_>>(), [name]);
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    let requests = collector.requests();
    assert_eq!(requests[0].headers["grpc-encoding"], "gzip");
    assert!(requests[0].headers.contains_key("grpc-timeout"));
}

#[test]
fn a_bad_protocol_or_compression_is_a_warning_and_the_default() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zip"),
        ])
        .build()
        .unwrap();
    let warnings: Vec<String> = telemetry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_PROTOCOL is `http`: is not a protocol of this version; \
             http/protobuf is used",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION is `zip`: is not a compression of this version; \
             none is used",
        ]
    );
    spans(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    let requests = collector.requests();
    assert_eq!(requests[0].headers["content-type"], "application/x-protobuf");
    assert!(!requests[0].headers.contains_key("content-encoding"));
}

#[test]
fn what_asks_for_protobuf_over_http_of_a_port_for_grpc_is_told_what_is_wrong() {
    // Nothing there speaks HTTP/2 but in TLS.
    let (acceptor, _) = crate::support::tls::acceptor(&["http/1.1"]);
    let collector = Collector::start_tls([], acceptor);
    for protocol in PROTOCOLS {
        let url = collector.url().replace("https://", "http://");
        let otlp = Otlp::new().with_endpoint(url).with_protocol(protocol);
        let otlp = otlp.with_timeout(Duration::from_millis(500));
        let telemetry = builder(otlp).build().unwrap();
        spans(&telemetry, 1);
        let error = telemetry.shutdown(LONG).unwrap_err().to_string();
        assert!(error.contains("the connection broke: "), "{error}");
    }
}
