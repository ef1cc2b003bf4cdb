//! Metrics over the wire: whole requests by every protocol, and what becomes of what does not arrive.

use std::{
    sync::{Arc, Mutex, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{AsyncInstrument, MeterProvider},
    trace::{Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue as Attribute, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point::Value,
    },
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::{
        Aggregation, InMemoryMetricExporter, Instrument, InstrumentKind, ManualReader, Pipeline,
        Stream, Temporality,
        data::{self, ResourceMetrics, ScopeMetrics},
        exporter::PushMetricExporter,
        reader::MetricReader,
    },
    trace::InMemorySpanExporter,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tonic::Code;
use tower_telemetry::{
    Metrics, ResourceBuilder, Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{
        export::{Compression, Otlp, Protocol},
        metrics::MetricSettings,
    },
};

use crate::support::{
    collector::{Answer, Collector},
    exchange::{exchange, response},
};

const LONG: Duration = Duration::from_secs(30);
const PROTOCOLS: [Protocol; 3] = [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc];

/// With these, nothing collected because it is time, and nothing but what the test measures. Spans
/// stay here.
fn builder(metrics: MetricSettings) -> TelemetryBuilder {
    Telemetry::builder()
        .with_environment([("OTEL_METRIC_EXPORT_INTERVAL", "3600000")])
        .with_service_name("shop")
        .with_span_exporter(InMemorySpanExporter::default())
        .with_metrics(metrics.without_self_metrics())
}

fn otlp(collector: &Collector, protocol: Protocol) -> Otlp {
    Otlp::new().with_endpoint(collector.url()).with_protocol(protocol)
}

fn to(collector: &Collector, protocol: Protocol) -> MetricSettings {
    MetricSettings::new().with_otlp(otlp(collector, protocol))
}

fn count(telemetry: &Telemetry, orders: u64) {
    let meter = telemetry.meter_provider().unwrap().meter("test");
    meter.u64_counter("orders").build().add(orders, &[]);
}

/// The metrics of the requests, in the order of their names, as if each had been of time zero.
fn metrics(requests: Vec<ExportMetricsServiceRequest>) -> Vec<Vec<Metric>> {
    let of = |request: ExportMetricsServiceRequest| {
        let of_scopes = request.resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
        let mut metrics: Vec<Metric> = of_scopes.flat_map(|it| it.metrics).map(timeless).collect();
        metrics.sort_by(|one, other| one.name.cmp(&other.name));
        metrics
    };
    requests.into_iter().map(of).collect()
}

fn timeless(mut metric: Metric) -> Metric {
    let of_numbers = |points: &mut Vec<NumberDataPoint>| {
        for point in points {
            assert!(point.time_unix_nano >= point.start_time_unix_nano);
            (point.time_unix_nano, point.start_time_unix_nano) = (0, 0);
        }
    };
    match metric.data.as_mut().unwrap() {
        Data::Gauge(gauge) => of_numbers(&mut gauge.data_points),
        Data::Sum(sum) => of_numbers(&mut sum.data_points),
        Data::Histogram(histogram) => {
            for point in &mut histogram.data_points {
                assert!(point.time_unix_nano >= point.start_time_unix_nano);
                (point.time_unix_nano, point.start_time_unix_nano) = (0, 0);
            }
        }
        Data::ExponentialHistogram(histogram) => {
            for point in &mut histogram.data_points {
                (point.time_unix_nano, point.start_time_unix_nano) = (0, 0);
            }
        }
        Data::Summary(_) => panic!("the SDK has none"),
    }
    metric
}

/// What the counter of [`count`] says, request by request.
fn orders(collector: &Collector) -> Vec<(i64, AggregationTemporality)> {
    let of = |metrics: Vec<Metric>| {
        let [metric] = <[_; 1]>::try_from(metrics).unwrap();
        let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
        let Some(Value::AsInt(orders)) = sum.data_points[0].value else { panic!("{sum:?}") };
        (orders, sum.aggregation_temporality())
    };
    metrics(collector.metrics()).into_iter().map(of).collect()
}

fn text(key: &str, value: &str) -> Attribute {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    Attribute { key: key.to_owned(), value: Some(AnyValue { value }), ..Attribute::default() }
}

fn number(value: Value, attributes: Vec<Attribute>) -> NumberDataPoint {
    NumberDataPoint { value: Some(value), attributes, ..NumberDataPoint::default() }
}

fn metric(name: &str, unit: &str, description: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// What became of the collections: made, exported, lost, in flight.
fn account(telemetry: &Telemetry) -> [u64; 4] {
    let health = telemetry.health();
    let exporter = health.metric_exporters().next().unwrap();
    let of = [exporter.ended(), exporter.exported(), exporter.lost(), exporter.in_flight()];
    assert_eq!(of[0], of[1] + of[2] + of[3], "{exporter}");
    of
}

#[test]
fn whole_metrics_arrive_by_every_protocol() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let settings = MetricSettings::new()
            .with_otlp(otlp(&collector, protocol).with_compression(Compression::Gzip));
        let resource = ResourceBuilder::new().with_service_name("shop").with_attribute("team", "a");
        let telemetry = builder(settings).with_resource(resource).build().unwrap();
        let scope = InstrumentationScope::builder("test")
            .with_version("1.2.3")
            .with_schema_url("https://schema.test/1")
            .build();
        let meter = telemetry.meter_provider().unwrap().meter_with_scope(scope);
        let counter = meter.u64_counter("orders").with_unit("{order}").with_description("Orders.");
        counter.build().add(3, &[KeyValue::new("of", "books")]);
        meter.i64_up_down_counter("open").build().add(-2, &[]);
        meter.f64_gauge("warmth").with_unit("Cel").build().record(20.5, &[]);
        let duration =
            meter.f64_histogram("duration").with_unit("s").with_boundaries(vec![0.1, 1.0]).build();
        [0.05, 0.5, 0.75, 5.0].iter().for_each(|it| duration.record(*it, &[]));
        telemetry.shutdown(LONG).unwrap();

        let [request] = <[_; 1]>::try_from(collector.requests()).ok().unwrap();
        let path = if protocol == Protocol::Grpc { "gRPC" } else { "/v1/metrics" };
        assert_eq!(request.path, path);
        let request = request.metrics.unwrap();
        let of_resource = &request.resource_metrics[0];
        let attributes = &of_resource.resource.as_ref().unwrap().attributes;
        assert!(attributes.contains(&text("service.name", "shop")), "{attributes:?}");
        assert!(attributes.contains(&text("team", "a")), "{attributes:?}");
        let of_scope = &of_resource.scope_metrics[0];
        let scope = of_scope.scope.as_ref().unwrap();
        assert_eq!(
            (&*scope.name, &*scope.version, &*of_scope.schema_url),
            ("test", "1.2.3", "https://schema.test/1")
        );
        let cumulative = AggregationTemporality::Cumulative.into();
        let expected = vec![
            metric(
                "duration",
                "s",
                "",
                Data::Histogram(Histogram {
                    data_points: vec![HistogramDataPoint {
                        count: 4,
                        sum: Some(6.3),
                        bucket_counts: vec![1, 2, 1],
                        explicit_bounds: vec![0.1, 1.0],
                        min: Some(0.05),
                        max: Some(5.0),
                        ..HistogramDataPoint::default()
                    }],
                    aggregation_temporality: cumulative,
                }),
            ),
            metric(
                "open",
                "",
                "",
                Data::Sum(Sum {
                    data_points: vec![number(Value::AsInt(-2), vec![])],
                    aggregation_temporality: cumulative,
                    is_monotonic: false,
                }),
            ),
            metric(
                "orders",
                "{order}",
                "Orders.",
                Data::Sum(Sum {
                    data_points: vec![number(Value::AsInt(3), vec![text("of", "books")])],
                    aggregation_temporality: cumulative,
                    is_monotonic: true,
                }),
            ),
            metric(
                "warmth",
                "Cel",
                "",
                Data::Gauge(Gauge { data_points: vec![number(Value::AsDouble(20.5), vec![])] }),
            ),
        ];
        assert_eq!(metrics(vec![request]), [expected], "{protocol}");
        assert_eq!(account(&telemetry), [1, 1, 0, 0]);
    }
}

#[test]
fn a_collection_is_all_since_the_start_or_all_since_the_last() {
    use AggregationTemporality::{Cumulative, Delta};
    const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let settings = |collector: &Collector| to(collector, Protocol::HttpProtobuf);
    type Settings = fn(MetricSettings) -> MetricSettings;
    let given: Settings = |metrics| metrics.with_temporality(Temporality::Delta);
    let not_given: Settings = |metrics| metrics;
    for (with, preference, expected) in [
        (not_given, "", [(2, Cumulative), (5, Cumulative)]),
        (not_given, "delta", [(2, Delta), (3, Delta)]),
        (not_given, "LowMemory", [(2, Delta), (3, Delta)]),
        (not_given, "monthly", [(2, Cumulative), (5, Cumulative)]),
        (given, "cumulative", [(2, Delta), (3, Delta)]),
    ] {
        let collector = Collector::start([]);
        let telemetry = builder(with(settings(&collector)))
            .with_environment([(PREFERENCE, preference)])
            .build()
            .unwrap();
        count(&telemetry, 2);
        telemetry.force_flush(LONG).unwrap();
        count(&telemetry, 3);
        telemetry.shutdown(LONG).unwrap();
        assert_eq!(orders(&collector), expected, "{preference}");
        assert_eq!(telemetry.warnings().len(), usize::from(preference == "monthly"));
    }
}

#[test]
fn metrics_are_collected_by_the_clock() {
    let collector = Collector::start([]);
    let metrics = to(&collector, Protocol::Grpc).with_interval(Duration::from_millis(5));
    let telemetry = builder(metrics).build().unwrap();
    count(&telemetry, 2);
    collector.wait();
    collector.wait();
    assert!(account(&telemetry)[0] >= 2);
}

#[test]
fn what_is_measured_last_is_exported_when_the_telemetry_is_let_go_of() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        count(&telemetry, 2);
        drop(telemetry);
        assert_eq!(orders(&collector), [(2, AggregationTemporality::Cumulative)]);
    }
}

#[test]
fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let busy = [
        (Protocol::HttpProtobuf, Answer::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "0")),
        (Protocol::HttpJson, Answer::RetryAfter(StatusCode::SERVICE_UNAVAILABLE, "0")),
        (Protocol::Grpc, Answer::Grpc(Code::Unavailable, "busy", Some(Duration::ZERO))),
    ];
    for (protocol, answer) in busy {
        let collector = Collector::start([answer]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        count(&telemetry, 2);
        telemetry.force_flush(LONG).unwrap();
        assert_eq!(orders(&collector).len(), 2);
        assert_eq!(account(&telemetry), [1, 1, 0, 0]);
    }
    for (protocol, answer, reason) in [
        (Protocol::HttpProtobuf, Answer::Status(StatusCode::BAD_REQUEST), "400 Bad Request"),
        (Protocol::Grpc, Answer::Grpc(Code::InvalidArgument, "", None), "INVALID_ARGUMENT"),
    ] {
        let collector = Collector::start([answer]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        count(&telemetry, 2);
        let error = telemetry.force_flush(LONG).unwrap_err();
        assert_eq!((error.failed_collections(), error.failed_spans()), (1, 0));
        let name = telemetry.health().metric_exporters().next().unwrap().name().to_owned();
        let expected = format!(
            "not all metric collections were exported: 1 metric collection: {name}: 1 of 1 data point: \
             answered {reason}"
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(orders(&collector).len(), 1);
        assert_eq!(account(&telemetry), [1, 0, 1, 0]);
        // It has been told.
        telemetry.force_flush(LONG).unwrap();
    }
}

#[test]
fn points_that_are_refused_are_told_of() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Partial(2)]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        let counter =
            telemetry.meter_provider().unwrap().meter("test").u64_counter("orders").build();
        ["a", "b", "c"].iter().for_each(|of| counter.add(1, &[KeyValue::new("of", *of)]));
        let error = telemetry.force_flush(LONG).unwrap_err().to_string();
        assert!(error.contains("2 of 3 data points: refused: too many of them"), "{error}");
        assert_eq!(account(&telemetry), [1, 0, 1, 0]);
    }
}

#[test]
fn a_collector_that_hangs_keeps_nobody_beyond_the_deadline() {
    for protocol in PROTOCOLS {
        let collector = Collector::start([Answer::Hang]);
        let telemetry = builder(to(&collector, protocol)).build().unwrap();
        count(&telemetry, 2);
        drop(telemetry.tracer_provider().tracer("test").start("span"));
        let began = Instant::now();
        let error = telemetry.shutdown(Duration::from_millis(200)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(error.is_timeout());
        assert_eq!((error.failed_collections(), error.failed_spans()), (1, 0), "{error}");
        // Side by side, so the other signal has lost nothing.
        let health = telemetry.health();
        assert!(health.exporters().all(|exporter| exporter.exported() == 1), "{health}");
        assert_eq!(account(&telemetry), [1, 0, 1, 0]);
    }
}

#[tokio::test]
async fn a_shutdown_inside_of_a_runtime_with_one_thread_exports_the_last_values() {
    let collector = Collector::start([]);
    let telemetry = builder(to(&collector, Protocol::Grpc)).build().unwrap();
    count(&telemetry, 2);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(orders(&collector).len(), 1);
}

#[test]
fn an_export_ends_when_its_time_is_over() {
    let collector = Collector::start([]);
    collector.otherwise(Answer::Hang);
    let metrics = to(&collector, Protocol::HttpProtobuf).with_timeout(Duration::from_millis(50));
    let telemetry = builder(metrics).build().unwrap();
    count(&telemetry, 2);
    let error = telemetry.force_flush(LONG).unwrap_err();
    assert!(!error.is_timeout());
    assert!(error.to_string().ends_with("(timeout)"), "{error}");
    assert_eq!(account(&telemetry), [1, 0, 1, 0]);
}

#[test]
fn a_callback_that_hangs_keeps_nobody_beyond_the_deadline() {
    let collector = Collector::start([]);
    let telemetry = builder(to(&collector, Protocol::HttpProtobuf)).build().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let meter = telemetry.meter_provider().unwrap().meter("test");
    let _gauge = meter
        .u64_observable_gauge("slow")
        .with_callback(move |to| {
            let _ = wait.lock().unwrap().recv();
            to.observe(1, &[]);
        })
        .build();
    let error = telemetry.force_flush(Duration::from_millis(50)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop(go);
    telemetry.shutdown(LONG).unwrap();
    assert!(!collector.metrics().is_empty());
}

#[test]
fn a_callback_that_panics_is_told_of() {
    let telemetry = builder(to(&Collector::start([]), Protocol::HttpProtobuf)).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("test");
    let _gauge = meter.u64_observable_gauge("bad").with_callback(|_| panic!("no number")).build();
    let error = telemetry.force_flush(LONG).unwrap_err().to_string();
    assert!(error.contains("could not be collected: a callback panicked"), "{error}");
}

#[test]
fn numbers_that_json_does_not_have_spoil_no_request() {
    let collector = Collector::start([]);
    let telemetry = builder(to(&collector, Protocol::HttpJson)).build().unwrap();
    let counter = telemetry.meter_provider().unwrap().meter("test").f64_counter("paid").build();
    // No instrument takes infinity, but a sum can come there.
    counter.add(f64::MAX, &[KeyValue::new("at", "a")]);
    counter.add(f64::MAX, &[KeyValue::new("at", "a")]);
    counter.add(20.5, &[KeyValue::new("at", "b"), KeyValue::new("odd", f64::NAN)]);
    let error = telemetry.force_flush(LONG).unwrap_err().to_string();
    assert!(error.contains("1 of 2 data points: JSON has no number for them"), "{error}");
    let [metrics] = <[_; 1]>::try_from(metrics(collector.metrics())).unwrap();
    let attributes = vec![text("at", "b"), text("odd", "NaN")];
    let sum = Sum {
        data_points: vec![number(Value::AsDouble(20.5), attributes)],
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
        is_monotonic: true,
    };
    assert_eq!(metrics, [metric("paid", "", "", Data::Sum(sum))]);
}

#[test]
fn a_scrape_and_an_export_have_the_same() {
    let collector = Collector::start([]);
    let registry = Registry::new();
    let reader =
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).build().unwrap();
    let metrics = to(&collector, Protocol::HttpProtobuf)
        .with_temporality(Temporality::Delta)
        .with_reader(reader);
    let telemetry = builder(metrics).build().unwrap();
    let scraped = || {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().find(|line| line.starts_with("orders_total")).unwrap().to_owned()
    };
    count(&telemetry, 2);
    telemetry.force_flush(LONG).unwrap();
    count(&telemetry, 3);
    assert!(scraped().ends_with(" 5"), "{}", scraped());
    telemetry.shutdown(LONG).unwrap();
    let delta = AggregationTemporality::Delta;
    assert_eq!(orders(&collector), [(2, delta), (3, delta)]);
}

/// Fails, and wants to be asked on a thread where it may block.
#[derive(Clone, Debug, Default)]
struct Fails {
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl PushMetricExporter for Fails {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        assert!(tokio::runtime::Handle::try_current().is_ok());
        self.calls.lock().unwrap().push("export");
        Err(OTelSdkError::InternalFailure("no room".to_owned()))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.calls.lock().unwrap().push("flush");
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.calls.lock().unwrap().push("shutdown");
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}

#[test]
fn an_exporter_of_the_users_is_asked_and_what_it_says_is_told() {
    let exporter = Fails::default();
    let telemetry = builder(MetricSettings::new().with_exporter(exporter.clone())).build().unwrap();
    count(&telemetry, 2);
    let error = telemetry.force_flush(LONG).unwrap_err().to_string();
    assert!(error.ends_with("Fails: no room"), "{error}");
    count(&telemetry, 2);
    telemetry.shutdown(LONG).unwrap_err();
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(*exporter.calls.lock().unwrap(), ["export", "flush", "export", "shutdown"]);
    assert_eq!(account(&telemetry), [2, 0, 2, 0]);
}

#[test]
fn views_come_before_what_is_so_of_all_instruments() {
    let collector = Collector::start([]);
    let renamed = |instrument: &Instrument| {
        let is_it = instrument.name() == "old";
        is_it.then(|| Stream::builder().with_name("new").build().ok())?
    };
    let metrics_settings = to(&collector, Protocol::HttpProtobuf)
        .with_view(|_| panic!("it is only asked"))
        .with_view(renamed)
        .with_cardinality_limit(2)
        .with_exponential_histograms();
    let telemetry = builder(metrics_settings).build().unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("test");
    meter.f64_histogram("old").build().record(1.0, &[]);
    meter.f64_histogram("size").build().record(1.0, &[]);
    let counter = meter.u64_counter("orders").build();
    (0..5).for_each(|of| counter.add(1, &[KeyValue::new("of", of)]));
    telemetry.shutdown(LONG).unwrap();
    let [metrics] = <[_; 1]>::try_from(metrics(collector.metrics())).unwrap();
    let seen: Vec<(&str, usize)> = metrics
        .iter()
        .map(|metric| match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => (&*metric.name, sum.data_points.len()),
            Data::Histogram(histogram) => (&*metric.name, histogram.data_points.len()),
            Data::ExponentialHistogram(_) => (&*metric.name, 100),
            other => panic!("{other:?}"),
        })
        .collect();
    // Two of them, and the rest together.
    assert_eq!(seen, [("new", 1), ("orders", 3), ("size", 100)]);
}

#[test]
fn the_environment_says_where_to_and_whether() {
    let collector = Collector::start([]);
    let url = format!("{}/intake", collector.url());
    let build = |exporter: &str| {
        Telemetry::builder()
            .with_environment([
                ("OTEL_METRICS_EXPORTER", exporter),
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &url),
            ])
            .with_metrics(MetricSettings::new())
            .build()
            .unwrap()
    };
    for (exporter, exporters, warnings) in [
        ("", 1, 0),
        ("otlp", 1, 0),
        ("none", 0, 0),
        ("prometheus", 1, 1),
        ("console,otlp", 1, 1),
        ("none,otlp", 1, 1),
    ] {
        let telemetry = build(exporter);
        assert_eq!(telemetry.health().metric_exporters().count(), exporters, "{exporter}");
        assert_eq!(telemetry.warnings().len(), warnings, "{exporter}");
        let hint = telemetry.describe().hints().any(|hint| hint.starts_with("metrics go nowhere"));
        assert_eq!(hint, exporters == 0, "{exporter}");
        telemetry.shutdown(LONG).unwrap();
    }
}

#[test]
fn what_is_not_switched_on_or_disabled_exports_nothing() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_TRACES_EXPORTER", "none")])
        .build()
        .unwrap();
    assert!(telemetry.meter_provider().is_none());
    let hint = "OTEL_METRICS_EXPORTER is set, and metrics are not switched on: call \
                `with_metrics(MetricSettings::new())`";
    assert!(telemetry.describe().hints().any(|given| given == hint));

    let telemetry =
        builder(to(&collector, Protocol::HttpProtobuf)).with_sdk_disabled().build().unwrap();
    count(&telemetry, 2);
    assert_eq!(telemetry.health().metric_exporters().count(), 0);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.connections(), 0);
}

#[test]
fn the_telemetry_measures_itself_unless_it_is_told_not_to() {
    for own in [true, false] {
        let exporter = InMemoryMetricExporter::default();
        let metrics = MetricSettings::new().with_exporter(exporter.clone());
        let metrics = if own { metrics } else { metrics.without_self_metrics() };
        let telemetry = Telemetry::builder()
            .with_environment([("", ""); 0])
            .with_span_exporter(InMemorySpanExporter::default())
            .with_metrics(metrics)
            .build()
            .unwrap();
        telemetry.force_flush(LONG).unwrap();
        let collected = exporter.get_finished_metrics().unwrap();
        let of_scopes = collected.iter().flat_map(ResourceMetrics::scope_metrics);
        let mut names = of_scopes.flat_map(ScopeMetrics::metrics).map(data::Metric::name);
        assert_eq!(names.any(|name| name == "otel.sdk.exporter.span.exported"), own);
    }
}

#[test]
fn a_bad_setting_is_an_error_that_names_it_and_nothing_has_started() {
    let new = MetricSettings::new;
    for (settings, setting, value) in [
        (new().with_interval(Duration::ZERO), "metric interval", "0ns"),
        (new().with_cardinality_limit(0), "cardinality limit", "0"),
        (
            new().with_otlp(Otlp::new().with_metrics_endpoint("nowhere")),
            "OTLP metrics endpoint",
            "nowhere",
        ),
    ] {
        let error = builder(settings).build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
    let drop_all =
        |_: &Instrument| Stream::builder().with_aggregation(Aggregation::Drop).build().ok();
    assert!(builder(new().with_view(drop_all)).build().is_ok());
}

#[test]
fn what_is_in_force_is_described_without_secrets() {
    let otlp = Otlp::new()
        .with_metrics_endpoint("http://user:s3cret@collector:4318/v1/metrics?key=s3cret")
        .with_header("x-api-key", "s3cret");
    let settings = MetricSettings::new()
        .with_otlp(otlp)
        .with_interval(Duration::from_secs(15))
        .with_temporality(Temporality::Delta);
    let telemetry = builder(settings).build().unwrap();
    let text = telemetry.describe().to_string();
    for line in [
        "collected: every 15s, each export within 30s",
        "histograms: explicit buckets",
        "cardinality: 2000 sets of attributes an instrument",
        "exemplars: none",
        "OTLP to collector:4318/v1/metrics",
        "headers      x-api-key",
        "temporality  delta",
        "OTLP to collector:4318/v1/metrics: 0 metric collections made, 0 exported",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

/// A reader that does what it likes when it is told something.
#[derive(Debug)]
struct Unruly {
    reader: ManualReader,
    registered: fn(),
    shut_down: fn(),
}

impl Unruly {
    fn new(registered: fn(), shut_down: fn()) -> Self {
        Self { reader: ManualReader::builder().build(), registered, shut_down }
    }
}

impl MetricReader for Unruly {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        (self.registered)();
        self.reader.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.reader.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        (self.shut_down)();
        Ok(())
    }

    fn temporality(&self, _: InstrumentKind) -> Temporality {
        panic!("no word of that")
    }
}

#[test]
fn a_reader_that_hangs_or_panics_does_not_hurt_who_lets_go_of_the_telemetry() {
    let hangs: fn() = || thread::sleep(Duration::from_secs(3600));
    let panics: fn() = || panic!("not now");
    for (shut_down, said) in [(hangs, "not done within"), (panics, "it panicked")] {
        let telemetry =
            builder(MetricSettings::new().with_reader(Unruly::new(|| {}, shut_down))).build();
        let telemetry = telemetry.unwrap();
        // It says nothing of temporality, either.
        count(&telemetry, 1);
        let provider = telemetry.meter_provider().unwrap().clone();
        let error = telemetry.shutdown(Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        let began = Instant::now();
        drop(telemetry);
        drop(provider);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

#[test]
fn a_callback_that_hangs_is_not_waited_for_after_the_shutdown() {
    let telemetry =
        builder(MetricSettings::new().with_exporter(InMemoryMetricExporter::default())).build();
    let telemetry = telemetry.unwrap();
    let meter = telemetry.meter_provider().unwrap().meter("test");
    let hangs = |_: &dyn AsyncInstrument<u64>| thread::sleep(Duration::from_secs(3600));
    meter.u64_observable_gauge("hangs").with_callback(hangs).build();
    telemetry.shutdown(Duration::from_millis(50)).unwrap_err();
    let began = Instant::now();
    drop(telemetry);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_reader_that_panics_when_it_is_registered_is_an_error_that_names_it() {
    let unruly = Unruly::new(|| panic!("not now"), || {});
    let error = builder(MetricSettings::new().with_reader(unruly)).build().unwrap_err();
    assert_eq!(error.setting(), "metric reader");
    assert!(error.value().ends_with("Unruly"), "{error}");
}

#[test]
fn metrics_go_on_for_a_layer_whose_telemetry_was_let_go_of() {
    let exporter = InMemoryMetricExporter::default();
    let settings = MetricSettings::new().without_self_metrics().with_exporter(exporter.clone());
    let telemetry = builder(settings).build().unwrap();
    let layer = TraceLayer::new().with_telemetry(&telemetry).with_metrics(Metrics::new());
    drop(telemetry);
    exchange(&layer, http::Request::new(()), response(""));
    // The last to let go has what there is exported.
    drop(layer);
    let exported = exporter.get_finished_metrics().unwrap();
    let scopes = exported.iter().flat_map(ResourceMetrics::scope_metrics);
    let names: Vec<_> =
        scopes.flat_map(ScopeMetrics::metrics).map(|metric| metric.name().to_owned()).collect();
    assert_eq!(names, ["http.server.request.duration"]);
}
