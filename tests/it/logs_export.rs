//! Log records over the wire: what of an event arrives, what becomes of what does not, and that
//! nothing comes back.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::get};
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    logs::{LogRecord as _, Logger, LoggerProvider},
    trace::{FutureExt, SpanContext, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue as Attribute, any_value},
    logs::v1::LogRecord,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{InMemoryLogExporter, LogProcessor, SdkLogRecord},
    trace::InMemorySpanExporter,
};
use tonic::Code;
use tower::ServiceExt;
use tower_telemetry::{
    ResourceBuilder, Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{
        BatchSettings,
        export::{Otlp, Protocol},
        logs::LogSettings,
    },
};
use tracing::{Dispatch, Level, dispatcher::with_default, error, event, info, trace, warn};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::support::{
    collector::{Answer, Collector},
    sdk::Hooks,
};

const LONG: Duration = Duration::from_secs(30);
const PROTOCOLS: [Protocol; 3] = [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc];

/// With this exporter of log records, and nothing exported because it is time. Spans stay here.
fn builder(logs: LogSettings) -> TelemetryBuilder {
    Telemetry::builder()
        .with_environment([("OTEL_BLRP_SCHEDULE_DELAY", "3600000")])
        .with_service_name("shop")
        .with_span_exporter(InMemorySpanExporter::default())
        .with_logs(logs)
}

fn to(collector: &Collector, protocol: Protocol) -> LogSettings {
    let otlp = Otlp::new().with_endpoint(collector.url()).with_protocol(protocol);
    LogSettings::new().with_otlp(otlp)
}

/// Runs with the telemetry's layer as this thread's subscriber, with everything enabled.
fn logging<T>(telemetry: &Telemetry, runs: impl FnOnce() -> T) -> T {
    let subscriber = Registry::default().with(telemetry.log_layer());
    tracing::subscriber::with_default(subscriber, runs)
}

/// Logs so often.
fn log(telemetry: &Telemetry, times: usize) {
    logging(telemetry, || (0..times).for_each(|_| info!("logged")));
}

/// What became of the records: emitted, exported, lost, in flight.
fn account(telemetry: &Telemetry) -> [u64; 4] {
    let health = telemetry.health();
    let exporter = health.log_exporters().next().unwrap();
    let of = [exporter.ended(), exporter.exported(), exporter.lost(), exporter.in_flight()];
    assert_eq!(of[0], of[1] + of[2] + of[3], "{exporter}");
    of
}

/// The records of a request, each with its scope's name.
fn records(request: ExportLogsServiceRequest) -> Vec<(String, LogRecord)> {
    let of_scopes = request.resource_logs.into_iter().flat_map(|it| it.scope_logs);
    let records = of_scopes.flat_map(|of_scope| {
        let name = of_scope.scope.unwrap().name;
        of_scope.log_records.into_iter().map(move |record| (name.clone(), record))
    });
    records.collect()
}

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

fn attribute(key: &str, value: any_value::Value) -> Attribute {
    Attribute { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn context(span: &SpanContext) -> (Vec<u8>, Vec<u8>, u32) {
    let flags = u32::from(span.trace_flags().to_u8());
    (span.trace_id().to_bytes().to_vec(), span.span_id().to_bytes().to_vec(), flags)
}

#[test]
fn a_whole_request_is_the_same_over_each_protocol() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let resource = ResourceBuilder::new()
            .with_service_name("shop")
            .with_attribute("service.instance.id", "shop-0");
        let telemetry = builder(to(&collector, protocol)).with_resource(resource).build().unwrap();
        let span = telemetry.tracer_provider().tracer("test").in_span("order", |cx| {
            logging(&telemetry, || {
                error!(name: "order.failed", target: "cart", total = 12, of = 1.5, paid = false,
                    cause = "no money", "it {} failed", 7);
                trace!(target: "shop", "before");
            });
            cx.span().span_context().clone()
        });
        logging(&telemetry, || {
            let failed = io::Error::other("no route");
            warn!(target: "shop", error = &failed as &dyn std::error::Error, bytes = &b"ab"[..]);
        });
        telemetry.shutdown(LONG).unwrap();

        let mut requests = collector.requests();
        let request = requests.pop().unwrap();
        assert!(requests.is_empty());
        let path = if protocol == Protocol::Grpc { "gRPC" } else { "/v1/logs" };
        assert_eq!(request.path, path);
        let mut request = request.logs.unwrap();
        let [of_resource] = &mut request.resource_logs[..] else {
            panic!("one resource was to come");
        };
        let of = |keys: Vec<Attribute>| -> BTreeMap<String, AnyValue> {
            keys.into_iter().map(|it| (it.key, it.value.unwrap())).collect()
        };
        let resource = of(of_resource.resource.take().unwrap().attributes);
        assert_eq!(resource["service.name"], text("shop"));
        assert_eq!(resource["telemetry.sdk.language"], text("rust"));

        // When it was, and in which span.
        let mut got = records(request);
        for (_, record) in &mut got {
            assert_eq!(record.time_unix_nano, 0);
            assert!(record.observed_time_unix_nano > 1_600_000_000_000_000_000);
            record.observed_time_unix_nano = 0;
        }
        let (trace_id, span_id, flags) = context(&span);
        assert_eq!(flags & 1, 1);
        let inside = LogRecord { trace_id, span_id, flags, ..LogRecord::default() };
        use any_value::Value::{BoolValue, BytesValue, DoubleValue, IntValue, StringValue};
        let expected = [
            (
                "cart",
                LogRecord {
                    severity_number: 17,
                    severity_text: "ERROR".to_owned(),
                    event_name: "order.failed".to_owned(),
                    body: Some(text("it 7 failed")),
                    attributes: vec![
                        attribute("total", IntValue(12)),
                        attribute("of", DoubleValue(1.5)),
                        attribute("paid", BoolValue(false)),
                        attribute("cause", StringValue("no money".to_owned())),
                    ],
                    ..inside.clone()
                },
            ),
            (
                "shop",
                LogRecord {
                    severity_number: 1,
                    severity_text: "TRACE".to_owned(),
                    body: Some(text("before")),
                    ..inside
                },
            ),
            (
                "shop",
                LogRecord {
                    severity_number: 13,
                    severity_text: "WARN".to_owned(),
                    attributes: vec![
                        attribute("exception.message", StringValue("no route".to_owned())),
                        attribute("bytes", BytesValue(b"ab".to_vec())),
                    ],
                    ..LogRecord::default()
                },
            ),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(scope, record)| (scope.to_owned(), record)).collect();
        assert_eq!(got, expected, "{protocol:?}");
        assert_eq!(account(&telemetry), [3, 3, 0, 0]);
    }
}

#[test]
fn a_level_is_its_severity() {
    let exporter = InMemoryLogExporter::default();
    let telemetry = builder(LogSettings::new().with_exporter(exporter.clone())).build().unwrap();
    logging(&telemetry, || {
        event!(Level::TRACE, "");
        event!(Level::DEBUG, "");
        event!(Level::INFO, "");
        event!(Level::WARN, "");
        event!(Level::ERROR, "");
    });
    telemetry.force_flush(LONG).unwrap();
    let logs = exporter.get_emitted_logs().unwrap();
    let severities: Vec<_> = logs
        .iter()
        .map(|log| {
            (log.record.severity_number().unwrap() as u8, log.record.severity_text().unwrap())
        })
        .collect();
    assert_eq!(severities, [(1, "TRACE"), (5, "DEBUG"), (9, "INFO"), (13, "WARN"), (17, "ERROR")]);
    assert!(logs.iter().all(|log| log.resource.get(&"service.name".into()) == Some("shop".into())));
}

/// Of a request to a handler that logs, in itself and in a task: the ids on the log records are
/// those of the span that is exported, to the same collector.
#[test]
fn what_a_handler_logs_has_the_ids_of_the_exported_span() {
    let collector = Collector::start([]);
    let otlp = Otlp::new().with_endpoint(collector.url());
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_otlp(otlp.clone())
        .with_logs(LogSettings::new().with_otlp(otlp))
        .build()
        .unwrap();
    let handler = async || {
        info!("in the handler");
        let task = async {
            info!("in a task");
            tokio::task::yield_now().await;
            info!("later");
        };
        tokio::spawn(task.with_current_context()).await.unwrap();
        tokio::spawn(async { info!("in a task without it") }).await.unwrap();
    };
    let app =
        Router::new().route("/", get(handler)).layer(TraceLayer::new().with_telemetry(&telemetry));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logging(&telemetry, || {
        let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
        let response = runtime.block_on(app.oneshot(request)).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        drop(response);
    });
    telemetry.shutdown(LONG).unwrap();

    let (logs, spans): (Vec<_>, Vec<_>) =
        collector.requests().into_iter().partition(|request| request.logs.is_some());
    let spans = spans.into_iter().flat_map(|it| it.body.resource_spans);
    let [span] =
        &spans.flat_map(|it| it.scope_spans).flat_map(|it| it.spans).collect::<Vec<_>>()[..]
    else {
        panic!("one span was to come");
    };
    let logs: Vec<_> = logs.into_iter().flat_map(|it| records(it.logs.unwrap())).collect();
    let logged: Vec<_> = logs
        .iter()
        .map(|(scope, record)| (scope.as_str(), record.body.clone().unwrap(), &record.span_id[..]))
        .collect();
    let here = module_path!();
    assert_eq!(
        logged,
        [
            (here, text("in the handler"), &span.span_id[..]),
            (here, text("in a task"), &span.span_id[..]),
            (here, text("later"), &span.span_id[..]),
            (here, text("in a task without it"), &[][..]),
        ]
    );
    for (_, record) in &logs[..3] {
        assert_eq!((&record.trace_id, record.flags & 1), (&span.trace_id, 1));
        // Nobody has named the event.
        assert_eq!(record.event_name, "");
    }
}

#[test]
fn under_tracing_opentelemetry_the_ids_are_those_of_the_innermost_span() {
    let exporter = InMemoryLogExporter::default();
    let telemetry = builder(LogSettings::new().with_exporter(exporter.clone())).build().unwrap();
    let spans =
        tracing_opentelemetry::layer().with_tracer(telemetry.tracer_provider().tracer("tracing"));
    let subscriber = Registry::default().with(spans).with(telemetry.log_layer());
    let inside = tracing::subscriber::with_default(subscriber, || {
        let _outer = tracing::info_span!("outer").entered();
        let _inner = tracing::info_span!("inner").entered();
        info!("inside");
        Context::current().span().span_context().clone()
    });
    telemetry.force_flush(LONG).unwrap();
    let logs = exporter.get_emitted_logs().unwrap();
    let of = logs[0].record.trace_context().unwrap();
    assert!(inside.is_valid());
    assert_eq!((of.trace_id, of.span_id), (inside.trace_id(), inside.span_id()));
}

#[test]
fn what_the_collector_does_not_want_is_told_and_counted() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Partial(2)]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        log(&telemetry, 3);
        let error = telemetry.shutdown(LONG).unwrap_err();
        assert_eq!((error.failed_log_records(), error.failed_spans()), (2, 0));
        let said = error.to_string();
        assert!(
            said.starts_with("not all log records were exported: 2 log records: OTLP to"),
            "{said}"
        );
        assert!(said.ends_with("refused: too many of them\\u{1b}[2J"), "{said}");
        assert_eq!(account(&telemetry), [3, 1, 2, 0]);
        assert_eq!(telemetry.health().lost(), 0);
        assert_eq!(telemetry.health().lost_log_records(), 2);
        assert_eq!(collector.requests().len(), 1);
    }
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    let busy = Answer::Status(StatusCode::SERVICE_UNAVAILABLE);
    let unavailable = Answer::Grpc(Code::Unavailable, "busy", None);
    for (protocol, answer) in PROTOCOLS.into_iter().zip([busy, busy, unavailable]) {
        let collector = Collector::start([answer]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        log(&telemetry, 2);
        telemetry.shutdown(LONG).unwrap();
        let [first, second] = &collector.logs()[..] else {
            panic!("two requests were to come");
        };
        assert_eq!(first, second);
        assert_eq!(account(&telemetry), [2, 2, 0, 0]);
    }
}

/// Many threads log into a small queue while the collector comes and goes: every record is
/// accounted for, and what was exported has arrived.
#[test]
fn the_books_balance_after_an_outage_under_load() {
    let collector = Collector::start([]);
    let batch = BatchSettings::new().with_max_queue_size(64).with_max_export_batch_size(16);
    let otlp = Otlp::new().with_endpoint(collector.url()).with_timeout(Duration::from_millis(100));
    let logs = LogSettings::new().with_otlp(otlp).with_batch(batch);
    let telemetry = builder(logs).build().unwrap();
    let at = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    log(&telemetry, 1);
                    match at.fetch_add(1, Ordering::Relaxed) {
                        500 => collector.otherwise(Answer::Status(StatusCode::SERVICE_UNAVAILABLE)),
                        1500 => collector.otherwise(Answer::Status(StatusCode::OK)),
                        _ => {}
                    }
                    account(&telemetry);
                }
            });
        }
    });
    let result = telemetry.shutdown(LONG);
    let [emitted, exported, lost, in_flight] = account(&telemetry);
    assert_eq!((emitted, in_flight), (2000, 0));
    assert_eq!(result.map_or_else(|error| error.failed_log_records(), |()| 0), lost);
    assert!(exported > 0);
    let arrived: usize = collector.logs().into_iter().map(|request| records(request).len()).sum();
    // What was answered with a refusal has come, too.
    assert!(arrived as u64 >= exported, "{arrived} {exported}");
}

#[test]
fn a_collector_that_hangs_holds_up_neither_the_shutdown_nor_the_spans() {
    let collector = Collector::start([]);
    collector.otherwise(Answer::Hang);
    let spans = InMemorySpanExporter::default();
    let telemetry =
        builder(to(&collector, Protocol::HttpProtobuf)).with_span_exporter(spans).build().unwrap();
    log(&telemetry, 3);
    drop(telemetry.tracer_provider().tracer("test").start("span"));
    let began = Instant::now();
    let error = telemetry.shutdown(Duration::from_millis(300)).unwrap_err();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < LONG / 2, "{took:?}");
    assert!(error.is_timeout());
    assert_eq!((error.failed_spans(), error.failed_log_records()), (0, 3));
    let said = error.to_string();
    assert!(said.ends_with("/v1/logs: not done within 300ms, with 3 log records to go"), "{said}");
    assert_eq!(telemetry.health().exporters().last().unwrap().exported(), 1);
    // What comes now is counted, and nobody waits for it.
    log(&telemetry, 1);
    assert_eq!(account(&telemetry), [4, 0, 4, 0]);
    assert!(
        telemetry.health().to_string().contains("1 lost: they were emitted after the shutdown")
    );
}

#[test]
fn what_is_logged_while_spans_are_shut_down_is_exported() {
    let collector = Collector::start([]);
    // It logs on a thread of its own, so the subscriber has to go there.
    let subscriber = Arc::new(Mutex::new(None::<Dispatch>));
    let of_shutdown = Arc::clone(&subscriber);
    let hooks = Hooks {
        on_shutdown: Some(Box::new(move || {
            let dispatch = of_shutdown.lock().unwrap().take().unwrap();
            with_default(&dispatch, || info!("one span is lost"));
        })),
        ..Hooks::default()
    };
    let telemetry =
        builder(to(&collector, Protocol::HttpProtobuf)).with_span_processor(hooks).build().unwrap();
    let layered = Registry::default().with(telemetry.log_layer());
    *subscriber.lock().unwrap() = Some(layered.into());
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(account(&telemetry), [1, 1, 0, 0]);
    assert_eq!(collector.logs().len(), 1);
}

#[test]
fn dropping_a_telemetry_exports_what_was_logged() {
    let collector = Collector::start([]);
    let telemetry = builder(to(&collector, Protocol::Grpc)).build().unwrap();
    log(&telemetry, 2);
    drop(telemetry);
    let arrived: usize = collector.logs().into_iter().map(|request| records(request).len()).sum();
    assert_eq!(arrived, 2);
}

/// Changes what those after it see.
#[derive(Debug)]
struct Adds(&'static str);

impl LogProcessor for Adds {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        record.add_attribute(self.0, true);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn what_a_processor_changes_those_after_it_see_changed() {
    let exporters = [(); 3].map(|()| InMemoryLogExporter::default());
    let logs = LogSettings::new()
        .with_exporter(exporters[0].clone())
        .with_processor(Adds("first"))
        .with_exporter(exporters[1].clone())
        .with_processor(Adds("second"))
        .with_exporter(exporters[2].clone());
    let telemetry = builder(logs).build().unwrap();
    log(&telemetry, 1);
    telemetry.force_flush(LONG).unwrap();
    let seen = exporters.map(|exporter| {
        let logs = exporter.get_emitted_logs().unwrap();
        let keys = logs[0].record.attributes_iter().map(|(key, _)| key.to_string());
        keys.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(seen, ["", "first", "first second"]);
}

#[test]
fn limits_are_in_force_and_what_is_left_out_is_counted() {
    let collector = Collector::start([]);
    let settings = to(&collector, Protocol::HttpProtobuf)
        .with_attribute_count(1)
        .with_attribute_value_length(3);
    let telemetry = builder(settings).build().unwrap();
    logging(&telemetry, || info!(first = "crème", second = 2, "not a short body"));
    telemetry.shutdown(LONG).unwrap();
    let (_, record) = records(collector.logs().remove(0)).remove(0);
    let expected = any_value::Value::StringValue("crè".to_owned());
    assert_eq!(record.attributes, [attribute("first", expected)]);
    assert_eq!(record.dropped_attributes_count, 1);
    assert_eq!(record.body, Some(text("not a short body")));
}

#[test]
fn a_logger_of_ones_own_keeps_its_scope() {
    let collector = Collector::start([]);
    let telemetry = builder(to(&collector, Protocol::HttpJson)).build().unwrap();
    let scope = InstrumentationScope::builder("mine")
        .with_version("1.2")
        .with_schema_url("https://schema.test/1")
        .with_attributes([KeyValue::new("at", true)])
        .build();
    let logger = telemetry.logger_provider().unwrap().logger_with_scope(scope);
    for target in [None, Some("target")] {
        let mut record = logger.create_log_record();
        target.into_iter().for_each(|target| record.set_target(target));
        logger.emit(record);
    }
    telemetry.shutdown(LONG).unwrap();
    let of_scopes = collector.logs().remove(0).resource_logs.remove(0).scope_logs;
    let scopes: Vec<_> = of_scopes
        .into_iter()
        .map(|it| (it.scope.unwrap(), it.schema_url, it.log_records.len()))
        .map(|(scope, schema, records)| {
            (scope.name, scope.version, scope.attributes.len(), schema, records)
        })
        .collect();
    let of =
        |name: &str| (name.to_owned(), "1.2".to_owned(), 1, "https://schema.test/1".to_owned(), 1);
    assert_eq!(scopes, [of("mine"), of("target")]);
}

#[test]
fn the_environment_says_where_log_records_go() {
    let of = |variables: &[(&'static str, &'static str)]| {
        let telemetry = Telemetry::builder()
            .with_environment(variables.to_vec())
            .with_logs(LogSettings::new())
            .build()
            .unwrap();
        let destinations: Vec<String> = telemetry.log_destinations().map(str::to_owned).collect();
        let warned: Vec<String> =
            telemetry.warnings().iter().map(|warning| warning.value().to_owned()).collect();
        (destinations, warned)
    };
    let otlp = |to: &str| vec![format!("OTLP to {to}")];
    let none = Vec::<String>::new;
    assert_eq!(of(&[]), (otlp("localhost:4318/v1/logs"), none()));
    assert_eq!(of(&[("OTEL_LOGS_EXPORTER", "none")]), (none(), none()));
    assert_eq!(
        of(&[("OTEL_LOGS_EXPORTER", "console,otlp,otlp")]),
        (otlp("localhost:4318/v1/logs"), vec!["console".to_owned()])
    );
    // That of the spans is another.
    assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "none")]), (otlp("localhost:4318/v1/logs"), none()));
    assert_eq!(
        of(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:2/intake"),
        ]),
        (otlp("logs:2/intake"), none())
    );
    let error = Telemetry::builder()
        .with_environment([("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "nowhere")])
        .with_logs(LogSettings::new())
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT");
}

#[test]
fn logs_that_are_not_switched_on_or_disabled_are_not_there() {
    let off = Telemetry::builder().with_environment([("OTEL_LOGS_EXPORTER", "otlp")]);
    let disabled = Telemetry::builder()
        .with_environment([("OTEL_SDK_DISABLED", "true")])
        .with_logs(LogSettings::new().with_otlp(Otlp::new().with_endpoint("to be said")));
    for builder in [off, disabled] {
        let telemetry = builder.build().unwrap();
        assert!(telemetry.log_layer().is_none());
        assert!(telemetry.logger_provider().is_none());
        assert_eq!(telemetry.log_destinations().count(), 0);
        assert_eq!(telemetry.health().log_exporters().count(), 0);
        // A subscriber takes the layer that is none.
        log(&telemetry, 1);
    }
}

#[test]
fn hints_say_what_is_missing() {
    let hints = |telemetry: &Telemetry| -> Vec<String> {
        let description = telemetry.describe();
        description.hints().filter(|hint| hint.contains("log")).map(str::to_owned).collect()
    };
    let with = |variables: [(&'static str, &'static str); 1]| {
        Telemetry::builder()
            .with_environment(variables)
            .with_span_exporter(InMemorySpanExporter::default())
    };
    let off = with([("OTEL_LOGS_EXPORTER", "otlp")]).build().unwrap();
    assert_eq!(
        hints(&off),
        ["OTEL_LOGS_EXPORTER is set, and logs are not switched on: call \
          `with_logs(LogSettings::new())`"]
    );
    assert!(off.describe().to_string().contains("  logs           not switched on"));
    assert!(hints(&with([("OTEL_LOGS_EXPORTER", "none")]).build().unwrap()).is_empty());

    let nowhere =
        with([("OTEL_LOGS_EXPORTER", "none")]).with_logs(LogSettings::new()).build().unwrap();
    let [hint] = &hints(&nowhere)[..] else {
        panic!("one hint was to come");
    };
    assert!(hint.starts_with("log records go nowhere"), "{hint}");

    let exporter = InMemoryLogExporter::default();
    let on =
        with([("", "")]).with_logs(LogSettings::new().with_exporter(exporter)).build().unwrap();
    let [hint] = &hints(&on)[..] else {
        panic!("one hint was to come");
    };
    assert!(hint.starts_with("logs are switched on, and nothing hands any over"), "{hint}");
    drop(on.log_layer());
    assert!(hints(&on).is_empty());
    let shown = on.describe().to_string();
    for line in [
        "  log limits       128 attributes a log record; texts of any length\n",
        "  log batches      512 log records, or what there is after 1s; 2048 wait at most; 16 exports \
         at once, each within 30s\n",
        "InMemoryLogExporter: 0 log records emitted, 0 exported\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    on.shutdown(LONG).unwrap();
    log(&on, 1);
    assert_eq!(
        hints(&on),
        ["1 log record is lost so far: look at what is said of them beside their exporter"]
    );
}

#[test]
fn a_thread_may_log_when_its_context_is_gone() {
    struct Late(Dispatch);

    impl Drop for Late {
        fn drop(&mut self) {
            with_default(&self.0, || info!("late"));
        }
    }

    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }

    let telemetry =
        builder(LogSettings::new().with_exporter(InMemoryLogExporter::default())).build().unwrap();
    let dispatch = Dispatch::new(Registry::default().with(telemetry.log_layer()));
    let thread = thread::spawn(move || {
        // Whatever comes first in a thread is the last to go: the subscriber, this, the Context.
        with_default(&Dispatch::none(), || {});
        LATE.with(|late| *late.borrow_mut() = Some(Late(dispatch.clone())));
        with_default(&dispatch, || info!("early"));
    });
    thread.join().unwrap();
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(account(&telemetry), [1, 1, 0, 0]);
}
