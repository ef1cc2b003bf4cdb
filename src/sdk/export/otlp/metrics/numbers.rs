//! Numbers that JSON does not have, in metrics.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, NumberDataPoint, metric::Data, number_data_point::Value},
};

use crate::sdk::export::otlp::numbers::name_odd_numbers;

/// Leaves out points whose value is no finite number, and says how many: what is written for one is
/// `null`, and for that a receiver may refuse the whole request. The SDK measures none, but a sum
/// can grow beyond all numbers. A histogram of which that is so has its buckets all the same.
pub(super) fn without_odd_numbers(
    mut request: ExportMetricsServiceRequest,
) -> (ExportMetricsServiceRequest, u64) {
    let mut left_out = 0;
    for of_resource in &mut request.resource_metrics {
        if let Some(resource) = &mut of_resource.resource {
            name_odd_numbers(&mut resource.attributes);
        }
        for of_scope in &mut of_resource.scope_metrics {
            if let Some(scope) = &mut of_scope.scope {
                name_odd_numbers(&mut scope.attributes);
            }
            of_scope.metrics.iter_mut().for_each(|metric| left_out += clear(metric));
        }
    }
    (request, u64::try_from(left_out).unwrap_or(u64::MAX))
}

fn clear(metric: &mut Metric) -> usize {
    match &mut metric.data {
        Some(Data::Gauge(it)) => numbers(&mut it.data_points),
        Some(Data::Sum(it)) => numbers(&mut it.data_points),
        Some(Data::Histogram(it)) => {
            for point in &mut it.data_points {
                name_odd_numbers(&mut point.attributes);
                [&mut point.sum, &mut point.min, &mut point.max].into_iter().for_each(finite);
            }
            0
        }
        Some(Data::ExponentialHistogram(it)) => {
            for point in &mut it.data_points {
                name_odd_numbers(&mut point.attributes);
                [&mut point.sum, &mut point.min, &mut point.max].into_iter().for_each(finite);
            }
            0
        }
        Some(Data::Summary(_)) | None => 0,
    }
}

fn numbers(points: &mut Vec<NumberDataPoint>) -> usize {
    let before = points.len();
    points.retain(|point| !matches!(point.value, Some(Value::AsDouble(it)) if !it.is_finite()));
    points.iter_mut().for_each(|point| name_odd_numbers(&mut point.attributes));
    before - points.len()
}

fn finite(number: &mut Option<f64>) {
    *number = number.filter(|number| number.is_finite());
}
