//! Traces, metrics and logs of the same requests, at one collector: the example's, over real sockets.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value as AnyValue,
    metrics::v1::{metric::Data, number_data_point},
};
use tokio::net::TcpListener;
use tower_telemetry::sdk::export::Otlp;

use crate::support::{
    client,
    collector::{Collector, Received},
};

#[path = "../../examples/three_signals.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod example;

#[tokio::test]
async fn all_three_of_a_request_arrive_and_lead_to_one_another() {
    let collector = Collector::start([]);
    let telemetry = example::telemetry(|| Otlp::new().with_endpoint(collector.url()));
    let telemetry = telemetry.build().unwrap();
    // The runtime has this thread alone, so it is theirs who serve, too.
    let subscribed = tracing::subscriber::set_default(example::subscriber(&telemetry));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = format!("http://{}", listener.local_addr().unwrap());
    let app = example::app(&telemetry);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for path in ["/items/42", "/items/many", "/items/43"] {
        client::local().get(format!("{shop}{path}")).send().await.unwrap().bytes().await.unwrap();
    }
    server.abort();
    let _ = server.await;
    drop(subscribed);
    telemetry.shutdown(Duration::from_secs(5)).unwrap();

    // Each line and each exception is in the span that it was written in.
    let requests = collector.requests();
    let (logs, collected): (Vec<_>, Vec<_>) =
        requests.iter().map(|request| (request.logs.clone(), request.metrics.clone())).unzip();
    let spans: Vec<_> =
        requests.into_iter().flat_map(|request| Received::all(request.body)).collect();
    assert_eq!(spans.len(), 3);
    let ids = |at: usize| (spans[at].trace_id.clone(), spans[at].span_id.clone());
    let scopes = logs.into_iter().flatten().flat_map(|request| request.resource_logs);
    let records =
        scopes.flat_map(|resource| resource.scope_logs).flat_map(|scope| scope.log_records);
    let mut said: Vec<_> = records
        .map(|record| {
            let text = match record.body.and_then(|body| body.value) {
                Some(AnyValue::StringValue(text)) => text,
                _ => record.event_name,
            };
            assert_eq!(record.flags & 1, 1);
            (text, record.severity_text, (record.trace_id, record.span_id))
        })
        .collect();
    said.sort();
    let expected = [
        ("http.server.request.exception", "ERROR", 1),
        ("no number", "WARN", 1),
        ("sold", "INFO", 0),
        ("sold", "INFO", 2),
    ];
    let mut expected =
        expected.map(|(text, severity, at)| (text.to_owned(), severity.to_owned(), ids(at)));
    expected.sort();
    assert_eq!(said, expected);

    // And the metrics count what the spans are.
    let mut of_status = BTreeMap::new();
    for span in &spans {
        *of_status.entry(span.attributes["http.response.status_code"].clone()).or_insert(0) += 1;
    }
    let scopes = collected.into_iter().flatten().flat_map(|request| request.resource_metrics);
    let metrics: Vec<_> = scopes
        .flat_map(|resource| resource.scope_metrics)
        .flat_map(|scope| scope.metrics)
        .collect();
    let data = |name: &str| {
        let metric = metrics.iter().rev().find(|metric| metric.name == name).unwrap();
        metric.data.clone().unwrap()
    };
    let Data::Histogram(durations) = data("http.server.request.duration") else {
        panic!("a histogram")
    };
    let counted: BTreeMap<_, _> = durations
        .data_points
        .iter()
        .map(|point| {
            let status = point.attributes.iter().find(|one| one.key == "http.response.status_code");
            let status = match status.and_then(|one| one.value.clone()?.value) {
                Some(AnyValue::IntValue(status)) => format!("{status}i"),
                other => panic!("{other:?}"),
            };
            (status, point.count)
        })
        .collect();
    assert_eq!(counted, of_status);
    let Data::Sum(active) = data("http.server.active_requests") else { panic!("a sum") };
    let values: Vec<_> = active.data_points.iter().map(|point| point.value).collect();
    assert_eq!(values, [Some(number_data_point::Value::AsInt(0))]);
}
