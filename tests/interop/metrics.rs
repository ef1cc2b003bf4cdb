//! One of each kind of metric.

use std::{collections::BTreeSet, ops::RangeInclusive};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue as Attribute,
    metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point::Value},
};
use opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream, Temporality};
use prost::Message;
use tower_telemetry::Telemetry;

use crate::{spans, values};

/// Makes exponential histograms of those that have it in their name.
pub(crate) fn view(instrument: &Instrument) -> Option<Stream> {
    let exponential = Aggregation::Base2ExponentialHistogram {
        max_size: 160,
        max_scale: 20,
        record_min_max: true,
    };
    let is_exponential = instrument.name().starts_with("exponential");
    is_exponential.then(|| Stream::builder().with_aggregation(exponential).build().unwrap())
}

pub(crate) fn make(telemetry: &Telemetry) {
    let provider = telemetry.meter_provider().unwrap();
    let full = InstrumentationScope::builder("interop.full")
        .with_version("1.2.3-ž")
        .with_schema_url("https://opentelemetry.io/schemas/1.40.0")
        .with_attributes([KeyValue::new("scope.number", 7), KeyValue::new("scope.name", "ž")])
        .build();
    numbers(&provider.meter_with_scope(full));
    histograms(&provider.meter("interop.plain"));
    provider.meter("").u64_counter("of_no_scope").build().add(1, &[]);
}

fn numbers(meter: &Meter) {
    // In order: a set that is not has two keys in the SDK, and comes out under either.
    let mut all = spans::attributes();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let other = [KeyValue::new("other", "🦀")];

    let counter = meter.u64_counter("counter").with_unit("{order}");
    let counter = counter.with_description("quote\" line\n 🦀").build();
    counter.add(3, &all);
    counter.add(u64::try_from(i64::MAX).unwrap(), &other);
    counter.add(0, &[]);
    meter.f64_counter("counter.f64").build().add(0.1, &other);
    let up_down = meter.i64_up_down_counter("up_down").build();
    up_down.add(i64::MIN, &all);
    up_down.add(-1, &[]);
    meter.f64_up_down_counter("up_down.f64").build().add(-1e300, &other);
    meter.u64_gauge("gauge.u64").build().record(7, &[]);
    meter.i64_gauge("gauge.i64").build().record(-7, &all);
    let gauge = meter.f64_gauge("gauge.f64").with_unit("Cel").build();
    gauge.record(f64::MIN_POSITIVE, &other);
    gauge.record(0.0, &[]);

    let seen = other.clone();
    meter.u64_observable_counter("seen").with_callback(move |to| to.observe(5, &seen)).build();
    meter
        .i64_observable_up_down_counter("seen.up_down")
        .with_callback(|it| it.observe(-5, &[]))
        .build();
    meter
        .f64_observable_gauge("seen.gauge")
        .with_callback(move |it| it.observe(0.5, &other))
        .build();
}

fn histograms(meter: &Meter) {
    let attributes = [KeyValue::new("attribute", true), KeyValue::new("of", 42)];
    for name in ["histogram.f64", "exponential.f64"] {
        let histogram = meter.f64_histogram(name).with_unit("s").build();
        for value in [-2.5, 0.0, 0.05, 0.5, 0.75, 5.0, 1e9] {
            histogram.record(value, &attributes);
        }
        histogram.record(-0.1, &[]);
    }
    for name in ["histogram.u64", "exponential.u64"] {
        let histogram = meter.u64_histogram(name).with_unit("By").build();
        for value in [0, 1, 1000, u64::from(u32::MAX)] {
            histogram.record(value, &attributes);
        }
    }
    let bounds = vec![-1.0, 0.1, 1.0];
    meter.f64_histogram("of_bounds").with_boundaries(bounds).build().record(0.1, &attributes);
    let no_bounds = meter.u64_histogram("of_no_bounds").with_boundaries(Vec::new()).build();
    no_bounds.record(12, &[]);
}

/// The request with nothing in it that differs from one collection to another: those who collect at
/// the same time have a time each, and an order of scopes and of points.
pub(crate) fn settled(
    mut request: ExportMetricsServiceRequest,
    made: &RangeInclusive<u64>,
) -> ExportMetricsServiceRequest {
    for of_resource in &mut request.resource_metrics {
        of_resource.scope_metrics.sort_by_cached_key(|of| of.scope.as_ref().unwrap().name.clone());
        for metric in of_resource.scope_metrics.iter_mut().flat_map(|of| &mut of.metrics) {
            let Some(data) = &mut metric.data else { continue };
            match data {
                Data::Gauge(it) => settle(&mut it.data_points, made, |point| {
                    [&mut point.start_time_unix_nano, &mut point.time_unix_nano]
                }),
                Data::Sum(it) => settle(&mut it.data_points, made, |point| {
                    [&mut point.start_time_unix_nano, &mut point.time_unix_nano]
                }),
                Data::Histogram(it) => settle(&mut it.data_points, made, |point| {
                    [&mut point.start_time_unix_nano, &mut point.time_unix_nano]
                }),
                Data::ExponentialHistogram(it) => settle(&mut it.data_points, made, |point| {
                    [&mut point.start_time_unix_nano, &mut point.time_unix_nano]
                }),
                Data::Summary(_) => panic!("the SDK has none"),
            }
        }
    }
    request
}

/// Has each time be 1, if it is one of when these were made, or none.
fn settle<P: Message>(
    points: &mut [P],
    made: &RangeInclusive<u64>,
    times: impl Fn(&mut P) -> [&mut u64; 2],
) {
    for point in points.iter_mut() {
        let [start, time] = times(point);
        assert!(start <= time, "{start} {time}");
        for time in [start, time] {
            assert!(*time == 0 || made.contains(time), "{time} is not in {made:?}");
            *time = (*time).min(1);
        }
    }
    points.sort_by_cached_key(Message::encode_to_vec);
}

/// What is left of the request if rotel reads it as JSON, whoever has sent it: of an integer of 64 bits
/// it wants a number, where [protobuf's JSON][json] has a string. So integers are not there, and of a
/// histogram, whose counts are such, there is the name; of an exponential one also if they are numbers.
///
/// [json]: https://protobuf.dev/programming-guides/json/
pub(crate) fn as_rotel_reads_json(
    mut request: ExportMetricsServiceRequest,
) -> ExportMetricsServiceRequest {
    let of_scopes = request.resource_metrics.iter_mut().flat_map(|of| &mut of.scope_metrics);
    for metric in of_scopes.flat_map(|of| &mut of.metrics) {
        let points = match metric.data.as_mut().unwrap() {
            Data::Gauge(gauge) => &mut gauge.data_points,
            Data::Sum(sum) => &mut sum.data_points,
            _ => {
                metric.data = None;
                continue;
            }
        };
        for point in points {
            point.value = point.value.filter(|value| matches!(value, Value::AsDouble(_)));
        }
    }
    request
}

pub(crate) fn points(request: &ExportMetricsServiceRequest) -> usize {
    metrics(request)
        .map(|metric| match metric.data.as_ref().unwrap() {
            Data::Gauge(it) => it.data_points.len(),
            Data::Sum(it) => it.data_points.len(),
            Data::Histogram(it) => it.data_points.len(),
            Data::ExponentialHistogram(it) => it.data_points.len(),
            Data::Summary(it) => it.data_points.len(),
        })
        .sum()
}

pub(crate) fn metrics(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = &Metric> {
    let of_scopes = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
    of_scopes.flat_map(|of| &of.metrics)
}

/// What is compared says something only of what is in it.
pub(crate) fn assert_that_nothing_is_missing(
    sent: &ExportMetricsServiceRequest,
    temporality: Temporality,
) {
    let mut all: BTreeSet<&str> = [
        "resource.schema_url",
        "scope.schema_url",
        "scope.version",
        "scope.attributes",
        "unit",
        "description",
        "counter",
        "up-down counter",
        "gauge",
        "histogram",
        "histogram without bounds",
        "exponential histogram",
        "positive buckets",
        "negative buckets",
        "negative offset",
        "zero count",
        "int value",
        "double value",
        "start",
        "sum",
        "min and max",
        "cumulative",
        "string",
        "bool",
        "int",
        "double",
        "array of string",
        "array of bool",
        "array of int",
        "array of double",
        "empty array",
        "no attributes",
    ]
    .into();
    if temporality == Temporality::Delta {
        all.insert("delta");
    }
    assert_eq!(all.difference(&found(sent)).collect::<Vec<_>>(), [&""; 0]);
}

fn found(sent: &ExportMetricsServiceRequest) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for of_resource in &sent.resource_metrics {
        found.extend((!of_resource.schema_url.is_empty()).then_some("resource.schema_url"));
        for of_scope in &of_resource.scope_metrics {
            let scope = of_scope.scope.as_ref().unwrap();
            found.extend((!of_scope.schema_url.is_empty()).then_some("scope.schema_url"));
            found.extend((!scope.version.is_empty()).then_some("scope.version"));
            found.extend((!scope.attributes.is_empty()).then_some("scope.attributes"));
            of_scope.metrics.iter().for_each(|metric| found.extend(of_metric(metric)));
        }
    }
    found
}

fn of_metric(metric: &Metric) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut note = |name: &'static str, there: bool| {
        if there {
            found.insert(name);
        }
    };
    note("unit", !metric.unit.is_empty());
    note("description", !metric.description.is_empty());
    let mut kinds = BTreeSet::new();
    let mut of_attributes = |attributes: &[Attribute]| {
        kinds.extend(attributes.is_empty().then_some("no attributes"));
        kinds.extend(attributes.iter().map(|of| values::kind(of.value.as_ref())));
    };
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => {
            note("gauge", true);
            gauge.data_points.iter().for_each(|point| of_attributes(&point.attributes));
        }
        Data::Sum(sum) => {
            note(if sum.is_monotonic { "counter" } else { "up-down counter" }, true);
            note(name(sum.aggregation_temporality()), true);
            for point in &sum.data_points {
                note("start", point.start_time_unix_nano > 0);
                note("int value", matches!(point.value, Some(Value::AsInt(_))));
                note("double value", matches!(point.value, Some(Value::AsDouble(_))));
                of_attributes(&point.attributes);
            }
        }
        Data::Histogram(histogram) => {
            note(name(histogram.aggregation_temporality()), true);
            for point in &histogram.data_points {
                let bounds = point.explicit_bounds.len();
                note("histogram", bounds > 0 && point.bucket_counts.len() == bounds + 1);
                note("histogram without bounds", bounds == 0);
                note("sum", point.sum.is_some());
                note("min and max", point.min.is_some() && point.max.is_some());
                of_attributes(&point.attributes);
            }
        }
        Data::ExponentialHistogram(histogram) => {
            note(name(histogram.aggregation_temporality()), true);
            for point in &histogram.data_points {
                let [positive, negative] =
                    [&point.positive, &point.negative].map(|it| it.as_ref().unwrap());
                note("exponential histogram", point.scale != 0);
                note("positive buckets", !positive.bucket_counts.is_empty());
                note("negative buckets", !negative.bucket_counts.is_empty());
                note("negative offset", positive.offset < 0);
                note("zero count", point.zero_count > 0);
                of_attributes(&point.attributes);
            }
        }
        Data::Summary(_) => panic!("the SDK has none"),
    }
    found.extend(kinds);
    found
}

fn name(temporality: AggregationTemporality) -> &'static str {
    match temporality {
        AggregationTemporality::Unspecified => "no temporality",
        AggregationTemporality::Delta => "delta",
        AggregationTemporality::Cumulative => "cumulative",
    }
}
