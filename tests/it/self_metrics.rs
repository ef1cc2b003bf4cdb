//! The exporters' health as metrics, compared whole.

use std::{
    any::type_name,
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use opentelemetry::{
    logs::{Logger, LoggerProvider},
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    logs::InMemoryLogExporter,
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData, SumDataPoint},
    },
    trace::{SpanData, SpanExporter},
};
use tower_telemetry::{
    Telemetry,
    sdk::{BatchSettings, export::Otlp, logs::LogSettings},
};

const LONG: Duration = Duration::from_secs(30);

/// Fails the first export, and lets the others wait for a word.
#[derive(Debug)]
struct Fails {
    began: mpsc::Sender<()>,
    go: Arc<Mutex<mpsc::Receiver<OTelSdkResult>>>,
}

impl SpanExporter for Fails {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.began.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap()
    }
}

/// Each metric as `name{attributes} unit monotonic`, with its value.
fn collected(
    meters: &SdkMeterProvider,
    exporter: &InMemoryMetricExporter,
) -> BTreeMap<String, i128> {
    exporter.reset();
    meters.force_flush().unwrap();
    let [collected] = &exporter.get_finished_metrics().unwrap()[..] else {
        panic!("one collection was to come");
    };
    let mut values = BTreeMap::new();
    for scope in collected.scope_metrics() {
        assert_eq!(scope.scope().name(), "tower-telemetry");
        for metric in scope.metrics() {
            let name = metric.name();
            let of_logs = name.contains(".log.");
            assert_eq!(metric.unit(), if of_logs { "{log_record}" } else { "{span}" });
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    assert!(sum.is_monotonic(), "{name}");
                    values.extend(sum.data_points().map(|point| line(name, point)));
                }
                AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                    assert!(!sum.is_monotonic(), "{name}");
                    values.extend(sum.data_points().map(|point| line(name, point)));
                }
                other => panic!("{name} is {other:?}"),
            }
        }
    }
    values
}

fn line<T: Copy + Into<i128>>(name: &str, point: &SumDataPoint<T>) -> (String, i128) {
    let mut attributes: Vec<String> = point
        .attributes()
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    attributes.sort();
    (format!("{name}{{{}}}", attributes.join(",")), point.value().into())
}

#[test]
fn the_metrics_say_what_the_health_says() {
    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_exporter(Fails { began, go: Arc::new(Mutex::new(gone)) })
        .with_batch(BatchSettings::new().with_max_queue_size(3).with_max_export_batch_size(2))
        .build()
        .unwrap();
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    telemetry.register_metrics(&meters);

    let tracer = telemetry.tracer_provider().tracer("test");
    let end = |spans| (0..spans).for_each(|_| drop(tracer.start("span")));
    end(2);
    begun.recv().unwrap();
    go.send(Err(OTelSdkError::InternalFailure("as it was told to".to_owned()))).unwrap();
    telemetry.force_flush(LONG).unwrap_err();
    end(2);
    begun.recv().unwrap();
    go.send(Ok(())).unwrap();
    telemetry.force_flush(LONG).unwrap();
    // One batch on its way, one that waits, one span beside it, and no place for the last.
    end(2);
    begun.recv().unwrap();
    end(4);

    let kind = type_name::<Fails>();
    let processor = "otel.component.name=batching_span_processor/0,\
                     otel.component.type=batching_span_processor";
    let of_exporter = format!("otel.component.name={kind}/0,otel.component.type={kind}");
    let mut expected: BTreeMap<String, i128> = [
        (format!("otel.sdk.processor.span.queue.size{{{processor}}}"), 3),
        (format!("otel.sdk.processor.span.queue.capacity{{{processor}}}"), 3),
        (format!("otel.sdk.processor.span.processed{{{processor}}}"), 6),
        (format!("otel.sdk.processor.span.processed{{error.type=queue_full,{processor}}}"), 1),
        (
            format!("otel.sdk.processor.span.processed{{error.type=already_shutdown,{processor}}}"),
            0,
        ),
        (format!("otel.sdk.exporter.span.inflight{{{of_exporter}}}"), 2),
        (format!("otel.sdk.exporter.span.exported{{{of_exporter}}}"), 2),
        (format!("otel.sdk.exporter.span.exported{{error.type=rejected,{of_exporter}}}"), 0),
        (format!("otel.sdk.exporter.span.exported{{error.type=unavailable,{of_exporter}}}"), 2),
        (format!("otel.sdk.exporter.span.exported{{error.type=timeout,{of_exporter}}}"), 0),
        (format!("otel.sdk.exporter.span.exported{{error.type=panic,{of_exporter}}}"), 0),
    ]
    .into();
    assert_eq!(collected(&meters, &exporter), expected);

    go.send(Ok(())).unwrap();
    go.send(Ok(())).unwrap();
    go.send(Ok(())).unwrap();
    telemetry.shutdown(LONG).unwrap_err();
    end(1);
    for (metric, value) in [
        (format!("otel.sdk.processor.span.queue.size{{{processor}}}"), 0),
        (format!("otel.sdk.processor.span.processed{{{processor}}}"), 9),
        (
            format!("otel.sdk.processor.span.processed{{error.type=already_shutdown,{processor}}}"),
            1,
        ),
        (format!("otel.sdk.exporter.span.inflight{{{of_exporter}}}"), 0),
        (format!("otel.sdk.exporter.span.exported{{{of_exporter}}}"), 7),
    ] {
        assert!(expected.insert(metric, value).is_some());
    }
    assert_eq!(collected(&meters, &exporter), expected);
}

#[test]
fn an_otlp_exporter_says_where_it_sends_to() {
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_otlp(Otlp::new().with_endpoint("http://collector.test:4317"))
        .build()
        .unwrap();
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    telemetry.register_metrics(&meters);
    let inflight = "otel.sdk.exporter.span.inflight{\
                    otel.component.name=otlp_http_span_exporter/0,\
                    otel.component.type=otlp_http_span_exporter,\
                    server.address=collector.test,server.port=4317}";
    assert_eq!(collected(&meters, &exporter).get(inflight), Some(&0));
    // Nobody is left to ask.
    drop(telemetry);
    exporter.reset();
    meters.force_flush().unwrap();
    assert!(exporter.get_finished_metrics().unwrap().is_empty());
}

#[test]
fn of_log_records_the_same_is_said() {
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let batch = BatchSettings::new().with_max_queue_size(3).with_max_export_batch_size(2);
    let logs = LogSettings::new().with_exporter(InMemoryLogExporter::default()).with_batch(batch);
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "3600000"),
        ])
        .with_logs(logs)
        .build()
        .unwrap();
    telemetry.register_metrics(&meters);
    let logger = telemetry.logger_provider().unwrap().logger("test");
    for _ in 0..3 {
        logger.emit(logger.create_log_record());
    }
    telemetry.shutdown(LONG).unwrap();
    logger.emit(logger.create_log_record());
    let kind = type_name::<InMemoryLogExporter>();
    let exporter_is = format!("{{otel.component.name={kind}/0,otel.component.type={kind}}}");
    let processor = "otel.component.name=batching_log_processor/0,\
                     otel.component.type=batching_log_processor";
    let dropped =
        |why: &str| format!("otel.sdk.processor.log.processed{{error.type={why},{processor}}}");
    let lost = |why: &str| {
        let of = exporter_is.trim_start_matches('{');
        (format!("otel.sdk.exporter.log.exported{{error.type={why},{of}"), 0)
    };
    let expected = [
        (format!("otel.sdk.processor.log.queue.size{{{processor}}}"), 0),
        (format!("otel.sdk.processor.log.queue.capacity{{{processor}}}"), 3),
        (format!("otel.sdk.processor.log.processed{{{processor}}}"), 3),
        (dropped("queue_full"), 0),
        (dropped("already_shutdown"), 1),
        (format!("otel.sdk.exporter.log.inflight{exporter_is}"), 0),
        (format!("otel.sdk.exporter.log.exported{exporter_is}"), 3),
        lost("rejected"),
        lost("unavailable"),
        lost("timeout"),
        lost("panic"),
    ];
    assert_eq!(collected(&meters, &exporter), expected.into());
}
