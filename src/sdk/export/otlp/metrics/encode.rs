//! A collection as the bodies of requests.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::metrics::numbers::without_odd_numbers;
use crate::sdk::{
    export::otlp::{
        encode::{Encoded, LARGEST, large, too_large},
        metrics::halves::{data_points, halves},
        protocol::Protocol,
    },
    metrics::collected::Collected,
};

/// The collection in as few requests as it takes.
pub(super) fn encode(collected: &Collected, protocol: Protocol) -> Vec<Encoded> {
    let mut encoded = Vec::with_capacity(1);
    let request = ExportMetricsServiceRequest::from(&collected.0);
    match protocol {
        #[cfg(feature = "otlp-json")]
        Protocol::HttpJson => {
            let (request, odd) = without_odd_numbers(request);
            if odd > 0 {
                let reason = "JSON has no number for them".to_owned();
                encoded.push(Encoded { items: odd, bytes: Err(reason) });
            }
            let json = |request: &ExportMetricsServiceRequest| {
                serde_json::to_vec(request).map_err(|error| format!("not encoded: {error}"))
            };
            divide(request, large(protocol), json, &mut encoded);
        }
        _ => divide(request, large(protocol), |request| Ok(request.encode_to_vec()), &mut encoded),
    }
    encoded
}

/// Encodes the request, in halves if it would be larger than `large`.
fn divide(
    request: ExportMetricsServiceRequest,
    large: usize,
    bytes: impl Fn(&ExportMetricsServiceRequest) -> Result<Vec<u8>, String> + Copy,
    encoded: &mut Vec<Encoded>,
) {
    let items = data_points(&request);
    if items == 0 {
        return;
    }
    let most = if items > 1 { large } else { LARGEST };
    let bytes_of_all = bytes(&request);
    let size = bytes_of_all.as_ref().map_or(0, Vec::len);
    if size <= most {
        encoded.push(Encoded { items, bytes: bytes_of_all });
    } else if items > 1 {
        drop(bytes_of_all);
        let (first, second) = halves(request);
        divide(first, large, bytes, encoded);
        divide(second, large, bytes, encoded);
    } else {
        encoded.push(Encoded { items, bytes: Err(too_large("a data point", size)) });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point::Value,
    };

    use super::*;

    /// So many points in each metric of each scope.
    fn request(scopes: usize, metrics: usize, points: usize) -> ExportMetricsServiceRequest {
        let mut number = 0;
        let mut point = || {
            number += 1;
            NumberDataPoint { value: Some(Value::AsInt(number)), ..NumberDataPoint::default() }
        };
        let mut metric = |name: String| {
            let data_points = (0..points).map(|_| point()).collect();
            Metric { name, data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }
        };
        let mut scope = |at: usize| {
            let metrics = (0..metrics).map(|of| metric(format!("metric {at} {of}"))).collect();
            ScopeMetrics { metrics, schema_url: format!("scope {at}"), ..ScopeMetrics::default() }
        };
        let scope_metrics = (0..scopes).map(&mut scope).collect();
        let schema_url = "resource".to_owned();
        let of_resource =
            ResourceMetrics { scope_metrics, schema_url, ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }
    }

    /// Each point with all that it is below.
    fn all(request: &ExportMetricsServiceRequest) -> Vec<(String, String, String, i64)> {
        let mut all = Vec::new();
        for of_resource in &request.resource_metrics {
            for of_scope in &of_resource.scope_metrics {
                for metric in &of_scope.metrics {
                    let Some(Data::Gauge(gauge)) = &metric.data else { panic!("{metric:?}") };
                    for point in &gauge.data_points {
                        let Some(Value::AsInt(number)) = point.value else { panic!("{point:?}") };
                        let (resource, scope) = (&of_resource.schema_url, &of_scope.schema_url);
                        all.push((resource.clone(), scope.clone(), metric.name.clone(), number));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn what_is_too_large_is_several_requests_and_none_of_its_points_is_missing() {
        for (scopes, metrics, points) in [(1, 1, 100), (1, 100, 1), (100, 1, 1), (3, 5, 7)] {
            let whole = request(scopes, metrics, points);
            let mut encoded = Vec::new();
            divide(whole.clone(), 300, |request| Ok(request.encode_to_vec()), &mut encoded);
            assert!(encoded.len() > 3, "{}", encoded.len());
            let mut seen = Vec::new();
            for Encoded { items, bytes } in encoded {
                let bytes = bytes.unwrap();
                assert!(bytes.len() <= 300 || items == 1);
                let part = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
                assert_eq!(data_points(&part), items);
                seen.extend(all(&part));
            }
            let expected: BTreeSet<_> = all(&whole).into_iter().collect();
            assert_eq!(seen.len(), expected.len());
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    #[test]
    fn a_point_that_is_larger_than_any_request_takes_no_other_along() {
        let mut whole = request(1, 2, 1);
        whole.resource_metrics[0].scope_metrics[0].metrics[1].description = "x".repeat(LARGEST + 1);
        let mut encoded = Vec::new();
        divide(whole, LARGEST, |request| Ok(request.encode_to_vec()), &mut encoded);
        let seen: Vec<(u64, Option<&str>)> = encoded
            .iter()
            .map(|it| (it.items, it.bytes.as_ref().err().map(String::as_str)))
            .collect();
        assert_eq!(seen, [(1, None), (1, Some("a data point of 65 MiB is too large"))]);
    }
}
