//! The example `collector`, sending to rotel: what it has printed, measured and logged has arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::metric::Data,
    resource::v1::Resource,
};

use crate::{metrics, program_env, receiver::Arrivals, rotel::Rotel};

/// The requests that the example makes, and those that its handlers make of it.
const REQUESTS: u64 = 6;

/// What it measures beside their duration, and of itself.
const MEASURED: [&str; 4] = [
    "http.server.active_requests",
    "otel.sdk.exporter.span.exported",
    "otel.sdk.exporter.log.exported",
    "otel.sdk.processor.span.processed",
];

/// Which of its items were counted, as its log says.
const COUNTED: [i64; 2] = [7, 42];

/// Of each trace, the ids of its spans.
type Spans = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// Runs the example, and waits until all of it has come through rotel. Gives what that is.
pub(crate) fn run(example: &Path, rotel: &Rotel, arrivals: &Arrivals) -> String {
    let variables = program_env("http/protobuf", rotel);
    let output = Command::new(example).env_clear().envs(&variables).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains(&format!("OTLP to {}/v1/traces", rotel.http())), "{printed}");

    let name = &*variables["OTEL_SERVICE_NAME"];
    let traces = traces(&printed, name, arrivals);
    let spans: usize = traces.values().map(BTreeSet::len).sum();
    let measured = measured(name, &arrivals.metrics());
    logs(name, &traces, arrivals);
    let (traces, logged) = (traces.len(), COUNTED.len());
    format!("{traces} traces, {spans} spans, {measured} metrics, {logged} log records")
}

/// Each trace that was printed, with as many spans.
fn traces(printed: &str, name: &str, arrivals: &Arrivals) -> Spans {
    // `trace 2559adfc71f78e1869ee7a9b56a3e005  3 spans  1.35 ms`
    let expected: BTreeMap<String, usize> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("trace ")?.split_once("  "))
        .map(|(id, rest)| (id.to_owned(), rest.split_once(' ').unwrap().0.parse().unwrap()))
        .collect();
    let spans = expected.values().sum();
    assert!(spans > expected.len(), "{printed}");

    let mut arrived = Spans::new();
    while arrived.values().map(BTreeSet::len).sum::<usize>() < spans {
        for of_resource in arrivals.traces().resource_spans {
            assert_is_of(name, of_resource.resource.as_ref());
            for span in of_resource.scope_spans.into_iter().flat_map(|of| of.spans) {
                arrived.entry(span.trace_id).or_default().insert(span.span_id);
            }
        }
    }
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of_ids: BTreeMap<_, _> = arrived.iter().map(|(id, spans)| (hex(id), spans.len())).collect();
    assert_eq!(of_ids, expected);
    arrived
}

/// How many metrics there are. All of them were exported at once, when the example ended.
fn measured(name: &str, request: &ExportMetricsServiceRequest) -> usize {
    request.resource_metrics.iter().for_each(|of| assert_is_of(name, of.resource.as_ref()));
    let metrics: BTreeMap<&str, &Data> = metrics::metrics(request)
        .map(|metric| (&*metric.name, metric.data.as_ref().unwrap()))
        .collect();
    for name in MEASURED {
        assert!(metrics.contains_key(name), "{name} is not in {:?}", metrics.keys());
    }
    let Some(Data::Histogram(histogram)) = metrics.get("http.server.request.duration") else {
        panic!("no requests are in {:?}", metrics.keys());
    };
    let requests: u64 = histogram.data_points.iter().map(|point| point.count).sum();
    assert_eq!(requests, REQUESTS);
    metrics.len()
}

/// Each item that was counted, with the ids of a span that has arrived.
fn logs(name: &str, traces: &Spans, arrivals: &Arrivals) {
    let mut counted = Vec::new();
    while counted.len() < COUNTED.len() {
        for of_resource in arrivals.logs().resource_logs {
            assert_is_of(name, of_resource.resource.as_ref());
            for of_scope in of_resource.scope_logs {
                assert_eq!(of_scope.scope.unwrap().name, "collector");
                for record in of_scope.log_records {
                    let body = record.body.and_then(|body| body.value);
                    assert_eq!(body, Some(Value::StringValue("counted".to_owned())));
                    assert!(traces[&record.trace_id].contains(&record.span_id));
                    let Some(Value::IntValue(item)) = value(&record.attributes, "item") else {
                        panic!("{:?}", record.attributes);
                    };
                    counted.push(*item);
                }
            }
        }
    }
    counted.sort_unstable();
    assert_eq!(counted, COUNTED);
}

fn assert_is_of(name: &str, resource: Option<&Resource>) {
    let of = value(&resource.unwrap().attributes, "service.name");
    assert_eq!(of, Some(&Value::StringValue(name.to_owned())));
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let of_key = attributes.iter().find(|attribute| attribute.key == key)?;
    of_key.value.as_ref()?.value.as_ref()
}
