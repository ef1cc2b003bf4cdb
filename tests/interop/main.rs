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
//! Settings are those of `examples/collector/program.env`, but for the endpoint, the protocol and
//! the compression.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap, env, path::PathBuf, process::Command, sync::mpsc::Receiver,
    time::Duration,
};

use opentelemetry_proto::{
    tonic::{collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value},
    transform::trace::tonic::group_spans_by_resource_and_scope,
};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use prost::Message;
use tower_telemetry::{Telemetry, sdk::export::Otlp};

mod receiver;
mod rotel;
mod same;
mod spans;

use crate::rotel::Rotel;

/// How long anything may take here. Only what has gone wrong takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each protocol, and each compression that rotel knows. What it sends is protobuf over HTTP,
/// whatever it got.
const WAYS: [(&str, &str); 6] = [
    ("http/protobuf", "none"),
    ("http/protobuf", "gzip"),
    ("http/json", "none"),
    ("http/json", "gzip"),
    ("grpc", "none"),
    ("grpc", "gzip"),
];

fn main() {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(agent), Some(example)) = (arguments.next(), arguments.next()) else {
        panic!("needs the paths of `rotel-agent` and of the example `collector`");
    };
    let (receives_at, arrivals) = receiver::start();
    let rotel = Rotel::start(&agent, receives_at);
    for (protocol, compression) in WAYS {
        let sent = send(protocol, compression, &rotel);
        spans::assert_that_nothing_is_missing(&sent);
        let arrived = arrivals.recv_timeout(PATIENCE).unwrap();
        same::assert_same(&sent, &arrived);
        let scopes = sent.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let spans = scopes.map(|of| of.spans.len()).sum::<usize>();
        let length = arrived.len();
        println!("{protocol}, {compression}: {spans} spans, {length} bytes, all the same");
    }
    let (traces, spans) = run(&example, &rotel, &arrivals);
    println!("the example: {traces} traces, {spans} spans, all there");
}

/// Sends one of everything through rotel. Gives the message that this was, as OpenTelemetry's own
/// crates make it of what the exporter was handed.
fn send(protocol: &str, compression: &str, rotel: &Rotel) -> ExportTraceServiceRequest {
    let exporter = InMemorySpanExporter::default();
    let compression = [("OTEL_EXPORTER_OTLP_COMPRESSION".to_owned(), compression.to_owned())];
    let variables = program_env(protocol, rotel).into_iter().chain(compression);
    let telemetry = Telemetry::builder()
        .with_environment(variables.chain(spans::limits()))
        .with_otlp(Otlp::new())
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    assert!(telemetry.warnings().is_empty(), "{:?}", telemetry.warnings());
    spans::make(&telemetry);
    // Nothing was lost, as far as rotel has answered.
    telemetry.force_flush(PATIENCE).unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let resource = telemetry.resource().into();
    telemetry.shutdown(PATIENCE).unwrap();
    let health = telemetry.health();
    assert_eq!((health.lost(), health.in_flight()), (0, 0), "{health}");
    ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(spans, &resource),
    }
}

/// Runs the example, and waits until each trace that it has printed has come through rotel. Gives
/// how many, and of how many spans.
fn run(example: &PathBuf, rotel: &Rotel, arrivals: &Receiver<Vec<u8>>) -> (usize, usize) {
    let variables = program_env("http/protobuf", rotel);
    let output = Command::new(example).env_clear().envs(&variables).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains(&format!("OTLP to {}/v1/traces", rotel.http())), "{printed}");

    // `trace 2559adfc71f78e1869ee7a9b56a3e005  3 spans  1.35 ms`
    let traces: BTreeMap<String, usize> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("trace ")?.split_once("  "))
        .map(|(id, rest)| (id.to_owned(), rest.split_once(' ').unwrap().0.parse().unwrap()))
        .collect();
    let spans = traces.values().sum();
    assert!(spans > traces.len(), "{printed}");

    let mut arrived = BTreeMap::<String, usize>::new();
    while arrived.values().sum::<usize>() < spans {
        let request = arrivals.recv_timeout(PATIENCE).unwrap();
        let request = ExportTraceServiceRequest::decode(&*request).unwrap();
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let name = name.and_then(|name| name.value?.value);
            assert_eq!(name, Some(Value::StringValue(variables["OTEL_SERVICE_NAME"].clone())));
            for span in of_resource.scope_spans.into_iter().flat_map(|of| of.spans) {
                let id = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
                *arrived.entry(id).or_default() += 1;
            }
        }
    }
    assert_eq!(arrived, traces);
    (traces.len(), spans)
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
