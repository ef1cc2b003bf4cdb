//! A request in halves, by its data points.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, ResourceMetrics, ScopeMetrics, metric::Data},
};

pub(super) fn data_points(request: &ExportMetricsServiceRequest) -> u64 {
    let of_scopes = request.resource_metrics.iter().flat_map(|it| &it.scope_metrics);
    let metrics = of_scopes.flat_map(|of_scope| &of_scope.metrics);
    let points: usize = metrics.map(points).sum();
    u64::try_from(points).unwrap_or(u64::MAX)
}

/// The first half of a request's points, and the rest of them.
pub(super) fn halves(
    request: ExportMetricsServiceRequest,
) -> (ExportMetricsServiceRequest, ExportMetricsServiceRequest) {
    let mut left = usize::try_from(data_points(&request) / 2).unwrap_or(usize::MAX);
    let mut first = ExportMetricsServiceRequest::default();
    let mut second = ExportMetricsServiceRequest::default();
    for mut of_resource in request.resource_metrics {
        let mut scopes = (Vec::new(), Vec::new());
        for mut of_scope in std::mem::take(&mut of_resource.scope_metrics) {
            let mut metrics = (Vec::new(), Vec::new());
            for mut metric in std::mem::take(&mut of_scope.metrics) {
                let rest = split_off(&mut metric, left);
                let kept = points(&metric);
                left -= kept;
                if kept > 0 {
                    metrics.0.push(metric);
                }
                metrics.1.extend(rest);
            }
            for (scopes, metrics) in [(&mut scopes.0, metrics.0), (&mut scopes.1, metrics.1)] {
                if !metrics.is_empty() {
                    scopes.push(ScopeMetrics { metrics, ..of_scope.clone() });
                }
            }
        }
        for (half, scope_metrics) in [(&mut first, scopes.0), (&mut second, scopes.1)] {
            if !scope_metrics.is_empty() {
                half.resource_metrics
                    .push(ResourceMetrics { scope_metrics, ..of_resource.clone() });
            }
        }
    }
    (first, second)
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(it)) => it.data_points.len(),
        Some(Data::Sum(it)) => it.data_points.len(),
        Some(Data::Histogram(it)) => it.data_points.len(),
        Some(Data::ExponentialHistogram(it)) => it.data_points.len(),
        Some(Data::Summary(it)) => it.data_points.len(),
        None => 0,
    }
}

/// Leaves so many points in a metric, and gives the rest as another of it, if there is one.
fn split_off(metric: &mut Metric, at: usize) -> Option<Metric> {
    if points(metric) <= at {
        return None;
    }
    let data = metric.data.as_mut().map(|data| match data {
        Data::Gauge(it) => {
            let data_points = it.data_points.split_off(at);
            Data::Gauge(opentelemetry_proto::tonic::metrics::v1::Gauge { data_points })
        }
        Data::Sum(it) => {
            let data_points = it.data_points.split_off(at);
            Data::Sum(opentelemetry_proto::tonic::metrics::v1::Sum { data_points, ..*it })
        }
        Data::Histogram(it) => {
            let data_points = it.data_points.split_off(at);
            Data::Histogram(opentelemetry_proto::tonic::metrics::v1::Histogram {
                data_points,
                ..*it
            })
        }
        Data::ExponentialHistogram(it) => {
            let data_points = it.data_points.split_off(at);
            Data::ExponentialHistogram(
                opentelemetry_proto::tonic::metrics::v1::ExponentialHistogram {
                    data_points,
                    ..*it
                },
            )
        }
        Data::Summary(it) => {
            let data_points = it.data_points.split_off(at);
            Data::Summary(opentelemetry_proto::tonic::metrics::v1::Summary { data_points })
        }
    });
    Some(Metric {
        data,
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: metric.metadata.clone(),
    })
}
