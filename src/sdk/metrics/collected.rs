//! A collection: all metrics as they are at one moment.

use std::fmt;

use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};

use crate::sdk::export::item::{Item, Items};

/// What one export is made of.
pub(crate) struct Collected(pub(crate) ResourceMetrics);

impl Item for Collected {
    const ITEMS: Items = Items::Collections;
}

impl Collected {
    /// How many points it has. Without any there is nothing to export.
    pub(crate) fn data_points(&self) -> usize {
        let of_scopes = self.0.scope_metrics().flat_map(ScopeMetrics::metrics);
        let points = of_scopes.map(|metric| match metric.data() {
            AggregatedMetrics::F64(data) => points(data),
            AggregatedMetrics::U64(data) => points(data),
            AggregatedMetrics::I64(data) => points(data),
        });
        points.sum()
    }
}

fn points<T>(data: &MetricData<T>) -> usize {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().count(),
        MetricData::Sum(sum) => sum.data_points().count(),
        MetricData::Histogram(histogram) => histogram.data_points().count(),
        MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} data points", self.data_points())
    }
}
