//! What Prometheus is given: the example's `/metrics`, read by a parser of that format.

use std::collections::BTreeMap;

use nom_openmetrics::{Sample, parser::prometheus};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use prometheus::Registry;
use tokio::net::TcpListener;
use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};

use crate::support::client;

#[path = "../../examples/metrics_prometheus.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod example;

/// What is scraped of one metric: labels, but for those of the scope, and values.
fn samples(scrape: &str, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
    let (rest, families) = prometheus(scrape).unwrap();
    assert_eq!(rest.trim(), "", "all of it is read");
    let labels = |sample: &Sample<'_>| {
        let labels = sample.labels().iter();
        let labels = labels.map(|label| (label.name.to_owned(), label.value.clone()));
        labels.filter(|(name, _)| !name.starts_with("otel_scope_")).collect()
    };
    let samples = families.iter().flat_map(|family| &family.samples);
    let of_name = samples.filter(|sample| sample.name() == name);
    of_name.map(|sample| (labels(sample), sample.number())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_says_what_the_spans_say() {
    let registry = Registry::new();
    let spans = InMemorySpanExporter::default();
    let reader =
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).build().unwrap();
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_SERVICE_NAME", "shop")])
        .with_span_exporter(spans.clone())
        .with_metrics(MetricSettings::new().with_reader(reader))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = format!("http://{}", listener.local_addr().unwrap());
    let app = example::app(&telemetry, registry);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = client::local();
    let get = async |path: &str| {
        let response = client.get(format!("{shop}{path}")).send().await.unwrap();
        response.text().await.unwrap()
    };
    for path in ["/items/42", "/items/43", "/items/7", "/events", "/nowhere"] {
        get(path).await;
    }
    // A response can be read before its span has ended.
    let scrape = loop {
        let scrape = get("/metrics").await;
        let active = samples(&scrape, "http_server_active_requests");
        if !active.is_empty() && active.iter().all(|(_, value)| *value == 0.0) {
            break scrape;
        }
        tokio::task::yield_now().await;
    };

    telemetry.force_flush(std::time::Duration::from_secs(5)).unwrap();
    let mut expected: BTreeMap<BTreeMap<String, String>, (f64, f64)> = BTreeMap::new();
    for span in spans.get_finished_spans().unwrap() {
        let keys = [
            "http.request.method",
            "url.scheme",
            "http.route",
            "http.response.status_code",
            "error.type",
            "network.protocol.version",
        ];
        let said = span.attributes.iter().filter(|one| keys.contains(&one.key.as_str()));
        let said: BTreeMap<_, _> =
            said.map(|one| (one.key.as_str().replace('.', "_"), one.value.to_string())).collect();
        let duration = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64();
        let entry = expected.entry(said).or_default();
        *entry = (entry.0 + 1.0, entry.1 + duration);
    }
    assert_eq!(expected.len(), 4, "{expected:#?}");
    let streams = samples(&scrape, "tower_telemetry_server_streams_total");
    let [(labels, count)] = &streams[..] else { panic!("{streams:?}") };
    assert_eq!((labels["http_route"].as_str(), *count), ("/events", 1.0));
    expected.retain(|said, _| said.get("http_route").map(String::as_str) != Some("/events"));

    let of_duration =
        |what: &str| samples(&scrape, &format!("http_server_request_duration_seconds_{what}"));
    let counts: BTreeMap<_, _> = of_duration("count").into_iter().collect();
    let sums: BTreeMap<_, _> = of_duration("sum").into_iter().collect();
    assert_eq!(counts.len(), expected.len(), "{counts:#?}");
    for (said, (count, sum)) in &expected {
        assert_eq!(counts[said], *count, "{said:?}");
        assert!((sums[said] - sum).abs() < 1e-9, "{said:?}: {} {sum}", sums[said]);
        let mut bounds = Vec::new();
        for (mut labels, _) in of_duration("bucket") {
            let bound = labels.remove("le").unwrap();
            if labels == *said {
                bounds.push(bound);
            }
        }
        let conventions = [
            "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5",
            "5", "7.5", "10", "+Inf",
        ];
        assert_eq!(bounds, conventions);
    }
    assert_eq!(samples(&scrape, "target_info")[0].0["service_name"], "shop");
}
