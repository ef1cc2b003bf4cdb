//! A collector that is not ours stands between an exporter and a receiver of our own: what comes
//! out at the end is what the exporter was given.
//!
//! ```sh
//! scripts/interop-collector
//! ```
//!
//! gets that collector, rotel, and runs this with the path of its program and that of the example
//! `collector`. `cargo test` runs none of it, since it needs something that may not be there.
//!
//! Settings are those of `examples/collector/program.env`, but for the endpoint, the protocol, the
//! compression and the batches.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::{
    tonic::collector::{
        metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    logs::InMemoryLogExporter,
    metrics::{InMemoryMetricExporter, InMemoryMetricExporterBuilder, Temporality},
    trace::InMemorySpanExporter,
};
use tower_telemetry::{
    Telemetry,
    sdk::{export::Otlp, logs::LogSettings, metrics::MetricSettings},
};

mod example;
mod logs;
mod metrics;
mod receiver;
mod rotel;
mod same;
mod spans;
mod values;

use crate::{receiver::Arrivals, rotel::Rotel, same::assert_same};

/// How long anything may take here. Only what has gone wrong takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each protocol, and each compression that rotel knows. What it sends is protobuf over HTTP,
/// whatever it got. And each temporality of metrics with each protocol.
const WAYS: [(&str, &str, Temporality); 6] = [
    ("http/protobuf", "none", Temporality::Cumulative),
    ("http/protobuf", "gzip", Temporality::Delta),
    ("http/json", "none", Temporality::Cumulative),
    ("http/json", "gzip", Temporality::Delta),
    ("grpc", "none", Temporality::Cumulative),
    ("grpc", "gzip", Temporality::Delta),
];

fn main() {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(agent), Some(example)) = (arguments.next(), arguments.next()) else {
        panic!("needs the paths of `rotel-agent` and of the example `collector`");
    };
    let (receives_at, arrivals) = receiver::start();
    let rotel = Rotel::start(&agent, receives_at);
    for (protocol, compression, temporality) in WAYS {
        let mut variables = program_env(protocol, &rotel);
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
            // All at once, when it is asked for.
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "3600000"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        let sent = send(variables, temporality, &arrivals);
        println!("{protocol}, {compression}: {sent}");
    }
    println!("the example: {}, all there", example::run(&example, &rotel, &arrivals));
}

/// Sends one of everything through rotel, and compares what arrives with the message that this was,
/// as OpenTelemetry's own crates make it of what exporters beside ours were handed. Gives how much
/// it was.
fn send(
    variables: BTreeMap<String, String>,
    temporality: Temporality,
    arrivals: &Arrivals,
) -> String {
    let began = nanos();
    let is_json = variables["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/json";
    let expected = |request| if is_json { metrics::as_rotel_reads_json(request) } else { request };
    let spans = InMemorySpanExporter::default();
    let metrics = InMemoryMetricExporterBuilder::new().with_temporality(temporality).build();
    let logs = InMemoryLogExporter::default();
    let telemetry = Telemetry::builder()
        .with_environment(variables.into_iter().chain(spans::limits()).chain(logs::limits()))
        .with_otlp(Otlp::new())
        .with_span_exporter(spans.clone())
        .with_metrics(
            MetricSettings::new()
                .with_otlp(Otlp::new())
                .with_exporter(metrics.clone())
                .with_temporality(temporality)
                .with_view(metrics::view)
                // Each is of another moment, and would differ.
                .without_self_metrics(),
        )
        .with_logs(LogSettings::new().with_otlp(Otlp::new()).with_exporter(logs.clone()))
        .build()
        .unwrap();
    assert!(telemetry.warnings().is_empty(), "{:?}", telemetry.warnings());
    spans::make(&telemetry);
    metrics::make(&telemetry);
    logs::make(&telemetry);
    // Nothing was lost, as far as rotel has answered.
    telemetry.force_flush(PATIENCE).unwrap();

    let resource: ResourceAttributesWithSchema = telemetry.resource().into();
    let spans = spans.get_finished_spans().unwrap();
    let sent = ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(spans, &resource),
    };
    spans::assert_that_nothing_is_missing(&sent);
    assert_same(&sent, &arrivals.traces());
    let scopes = sent.resource_spans.iter().flat_map(|of| &of.scope_spans);
    let spans: usize = scopes.map(|of| of.spans.len()).sum();

    let sent = logs::message(&logs, &resource);
    logs::assert_that_nothing_is_missing(&sent);
    assert_same(&sent, &arrivals.logs());
    let records = logs::records(&sent);

    let settled = |request| metrics::settled(request, &(began..=nanos()));
    let sent = last(&metrics);
    metrics::assert_that_nothing_is_missing(&sent, temporality);
    let points = metrics::points(&sent);
    assert_same(&settled(expected(sent)), &settled(arrivals.metrics()));
    // The last collection, which of delta metrics has less.
    telemetry.shutdown(PATIENCE).unwrap();
    assert_same(&settled(expected(last(&metrics))), &settled(arrivals.metrics()));

    let health = telemetry.health();
    let lost = (health.lost(), health.lost_log_records(), health.in_flight());
    assert_eq!(lost, (0, 0, 0), "{health}");
    let all = if is_json { "the same, as far as rotel reads JSON" } else { "all the same" };
    format!("{spans} spans, {points} points of metrics, {records} log records: {all}")
}

/// The collection that was exported last.
fn last(exporter: &InMemoryMetricExporter) -> ExportMetricsServiceRequest {
    (&exporter.get_finished_metrics().unwrap().pop().unwrap()).into()
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_nanos().try_into().unwrap()
}

/// The settings of `examples/collector`, for rotel in place of its collector.
fn program_env(protocol: &str, rotel: &Rotel) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        include_str!("../../examples/collector/program.env")
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    let endpoint = if protocol == "grpc" { rotel.grpc() } else { rotel.http() };
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ] {
        let before = variables.insert(name.to_owned(), value);
        assert!(before.is_some(), "program.env does not have {name}");
    }
    variables
}
