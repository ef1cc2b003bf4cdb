//! The exporters' health as metrics, compared whole.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData, SumDataPoint},
    },
    trace::{SpanData, SpanExporter},
};
use tower_telemetry::{
    Telemetry,
    sdk::{BatchSettings, export::Otlp},
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
            assert_eq!(metric.unit(), "{span}");
            let name = metric.name();
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

    let kind = std::any::type_name::<Fails>();
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
