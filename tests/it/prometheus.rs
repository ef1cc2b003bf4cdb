//! What Prometheus is given: the example's `/metrics`, read by a parser of that format.

use std::collections::BTreeMap;

use opentelemetry_sdk::trace::InMemorySpanExporter;
use prometheus::Registry;
use prometheus_parse::{Sample, Scrape, Value};
use tokio::net::TcpListener;
use tower_telemetry::{Telemetry, sdk::metrics::MetricSettings};

use crate::support::client;

#[path = "../../examples/metrics_prometheus.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod example;

fn labels(sample: &Sample) -> BTreeMap<&str, &str> {
    let labels = sample.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    labels.filter(|(key, _)| !key.starts_with("otel_scope_")).collect()
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
    // A response is read before its span has ended.
    let text = loop {
        let text = get("/metrics").await;
        let active = "http_server_active_requests";
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let under_way = scrape.samples.iter().filter(|sample| sample.metric == active);
        if under_way.clone().count() > 0
            && under_way.into_iter().all(|sample| sample.value == Value::Gauge(0.0))
        {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();

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
    let events: Vec<_> = scrape
        .samples
        .iter()
        .filter(|sample| sample.metric == "tower_telemetry_server_streams_total")
        .map(|sample| (sample.labels.get("http_route"), sample.value.clone()))
        .collect();
    assert_eq!(events, [(Some("/events"), Value::Counter(1.0))]);
    expected.retain(|said, _| said.get("http_route").map(String::as_str) != Some("/events"));

    for (name, of) in [("count", 0), ("sum", 1)] {
        let name = format!("http_server_request_duration_seconds_{name}");
        let mut scraped = BTreeMap::new();
        for sample in scrape.samples.iter().filter(|sample| sample.metric == name) {
            let said =
                labels(sample).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
            let (Value::Untyped(value) | Value::Counter(value) | Value::Gauge(value)) =
                sample.value
            else {
                panic!("{sample:?}")
            };
            scraped.insert(said.collect::<BTreeMap<_, _>>(), value);
        }
        assert_eq!(scraped.len(), expected.len(), "{text}");
        for (said, (count, sum)) in &expected {
            let value = scraped.get(said).unwrap_or_else(|| panic!("{said:?} in {scraped:#?}"));
            let expected = [*count, *sum][of];
            assert!((value - expected).abs() < 1e-9, "{name} {said:?}: {value} {expected}");
        }
    }
    // The conventions' buckets, and the resource.
    let buckets = scrape.samples.iter().find_map(|sample| match &sample.value {
        Value::Histogram(buckets) if sample.metric == "http_server_request_duration_seconds" => {
            Some(buckets.iter().map(|bucket| bucket.less_than).collect::<Vec<_>>())
        }
        _ => None,
    });
    let conventions = [
        0.005,
        0.01,
        0.025,
        0.05,
        0.075,
        0.1,
        0.25,
        0.5,
        0.75,
        1.0,
        2.5,
        5.0,
        7.5,
        10.0,
        f64::INFINITY,
    ];
    assert_eq!(buckets.unwrap(), conventions);
    let target = scrape.samples.iter().find(|sample| sample.metric == "target_info").unwrap();
    assert_eq!(target.labels.get("service_name"), Some("shop"));
}
