//! One of everything that a log record can be or have.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, Key, KeyValue, SpanId, TraceFlags, TraceId,
    logs::{AnyValue, LogRecord as _, Logger, LoggerProvider, Severity},
    trace::TraceContextExt,
};
use opentelemetry_proto::{
    tonic::{collector::logs::v1::ExportLogsServiceRequest, logs::v1::ResourceLogs},
    transform::common::tonic::ResourceAttributesWithSchema,
};
use opentelemetry_sdk::logs::InMemoryLogExporter;
use tower_telemetry::Telemetry;

use crate::{spans, values};

/// What a record has at most, and what one of them has.
const MOST: u32 = 25;
const TOO_MANY: u32 = MOST + 5;
const OF_TOO_MANY: &str = "interop.too_many";

const SEVERITIES: [Severity; 24] = [
    Severity::Trace,
    Severity::Trace2,
    Severity::Trace3,
    Severity::Trace4,
    Severity::Debug,
    Severity::Debug2,
    Severity::Debug3,
    Severity::Debug4,
    Severity::Info,
    Severity::Info2,
    Severity::Info3,
    Severity::Info4,
    Severity::Warn,
    Severity::Warn2,
    Severity::Warn3,
    Severity::Warn4,
    Severity::Error,
    Severity::Error2,
    Severity::Error3,
    Severity::Error4,
    Severity::Fatal,
    Severity::Fatal2,
    Severity::Fatal3,
    Severity::Fatal4,
];

pub(crate) fn limits() -> impl Iterator<Item = (String, String)> {
    [("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT".to_owned(), MOST.to_string())].into_iter()
}

pub(crate) fn make(telemetry: &Telemetry) {
    let provider = telemetry.logger_provider().unwrap();
    let full = InstrumentationScope::builder("interop.full")
        .with_version("1.2.3-ž")
        .with_schema_url("https://opentelemetry.io/schemas/1.40.0")
        .with_attributes([KeyValue::new("scope.number", 7), KeyValue::new("scope.name", "ž")])
        .build();
    let full = provider.logger_with_scope(full);
    let plain = provider.logger("interop.plain");

    for severity in SEVERITIES {
        let mut record = plain.create_log_record();
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_body("žluťoučký 🦀\u{0}\u{202e}".into());
        plain.emit(record);
    }

    let mut rich = full.create_log_record();
    rich.set_event_name("interop.rich");
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    rich.set_timestamp(at);
    rich.set_observed_timestamp(at + Duration::from_nanos(1));
    let (trace_id, span_id) = (TraceId::from(0x0af7_6519), SpanId::from(0xb7ad_6b71_6920_3331));
    rich.set_trace_context(trace_id, span_id, Some(TraceFlags::SAMPLED));
    let values = all_values().enumerate();
    rich.add_attributes(values.map(|(at, value)| (format!("ž.{at}"), value)));
    full.emit(rich);

    // Of the span around it.
    let around = Context::new().with_remote_span_context(spans::elsewhere(1)).attach();
    full.emit(full.create_log_record());
    drop(around);

    for body in all_values() {
        let mut record = full.create_log_record();
        record.set_target("interop.target");
        record.set_body(body);
        full.emit(record);
    }

    let mut too_many = plain.create_log_record();
    too_many.set_event_name(OF_TOO_MANY);
    too_many.add_attributes((0..TOO_MANY).map(|at| (format!("attribute.{at}"), "x")));
    plain.emit(too_many);

    let mut long = plain.create_log_record();
    long.set_body("🦀".repeat(5000).into());
    plain.emit(long);
}

/// Of each kind, also what has the largest, the smallest or no encoding.
fn all_values() -> impl Iterator<Item = AnyValue> {
    let list = |values: Vec<AnyValue>| AnyValue::ListAny(Box::new(values));
    // It has an order of its own, so there is one entry in each.
    let map = |key: &'static str, value: AnyValue| {
        AnyValue::Map(Box::new(HashMap::from([(Key::new(key), value)])))
    };
    [
        true.into(),
        false.into(),
        0.into(),
        i64::MIN.into(),
        i64::MAX.into(),
        0.0.into(),
        (-f64::MIN_POSITIVE).into(),
        f64::MAX.into(),
        "".into(),
        "tab\t line\n quote\" žluťoučký 🦀".into(),
        (&b""[..]).into(),
        (&[0_u8, 127, 128, 255, 254][..]).into(),
        list(Vec::new()),
        list(vec!["".into(), "a".into()]),
        list(vec![true.into(), 1.into(), 0.5.into(), "a".into(), (&b"ab"[..]).into()]),
        list(vec![list(vec![1.into()]), map("inner", false.into())]),
        map("ž", map("", list(vec![i64::MIN.into(), f64::MAX.into()]))),
        AnyValue::Map(Box::default()),
    ]
    .into_iter()
}

/// The message of what the exporter was handed, as OpenTelemetry's own crate makes it of each record.
pub(crate) fn message(
    exporter: &InMemoryLogExporter,
    resource: &ResourceAttributesWithSchema,
) -> ExportLogsServiceRequest {
    let mut whole = Vec::<ResourceLogs>::new();
    for log in exporter.get_emitted_logs().unwrap() {
        let mut of_one = ResourceLogs::from(((&log.record, &log.instrumentation), resource));
        // What was left out the SDK's records do not count.
        if log.record.event_name() == Some(OF_TOO_MANY) {
            of_one.scope_logs[0].log_records[0].dropped_attributes_count = TOO_MANY - MOST;
        }
        let Some(all) = whole.first_mut() else {
            whole.push(of_one);
            continue;
        };
        for of_scope in of_one.scope_logs {
            match all.scope_logs.iter_mut().find(|known| known.scope == of_scope.scope) {
                Some(known) => known.log_records.extend(of_scope.log_records),
                None => all.scope_logs.push(of_scope),
            }
        }
    }
    ExportLogsServiceRequest { resource_logs: whole }
}

pub(crate) fn records(request: &ExportLogsServiceRequest) -> usize {
    let of_scopes = request.resource_logs.iter().flat_map(|of| &of.scope_logs);
    of_scopes.map(|of| of.log_records.len()).sum()
}

/// What is compared says something only of what is in it.
pub(crate) fn assert_that_nothing_is_missing(sent: &ExportLogsServiceRequest) {
    let all: BTreeSet<&str> = [
        "resource.schema_url",
        "scope.schema_url",
        "scope.version",
        "scope.attributes",
        "scope of a target",
        "time",
        "severity.text",
        "event name",
        "no event name",
        "trace context",
        "no trace context",
        "sampled",
        "dropped attributes",
        "no body",
        "body of string",
        "body of another kind",
        "string",
        "bool",
        "int",
        "double",
        "bytes",
        "map",
        "array of string",
        "array of bool",
        "array of another type",
        "empty array",
    ]
    .into();
    let (found, severities) = found(sent);
    assert_eq!(all.difference(&found).collect::<Vec<_>>(), [&""; 0]);
    assert_eq!(severities, (0..=24).collect());
}

fn found(sent: &ExportLogsServiceRequest) -> (BTreeSet<&'static str>, BTreeSet<i32>) {
    let (mut found, mut severities) = (BTreeSet::new(), BTreeSet::new());
    let mut note = |name: &'static str, there: bool| {
        if there {
            found.insert(name);
        }
    };
    for of_resource in &sent.resource_logs {
        note("resource.schema_url", !of_resource.schema_url.is_empty());
        for of_scope in &of_resource.scope_logs {
            let scope = of_scope.scope.as_ref().unwrap();
            note("scope.schema_url", !of_scope.schema_url.is_empty());
            note("scope.version", !scope.version.is_empty());
            note("scope.attributes", !scope.attributes.is_empty());
            note("scope of a target", scope.name == "interop.target");
            for record in &of_scope.log_records {
                let body = record.body.as_ref();
                let is_text = values::kind(body) == "string";
                severities.insert(record.severity_number);
                note("time", record.time_unix_nano > 0 && record.observed_time_unix_nano > 0);
                note("severity.text", !record.severity_text.is_empty());
                note("event name", !record.event_name.is_empty());
                note("no event name", record.event_name.is_empty());
                note("trace context", record.trace_id.len() == 16 && record.span_id.len() == 8);
                note("no trace context", record.trace_id.is_empty() && record.span_id.is_empty());
                note("sampled", record.flags & 1 == 1);
                note("dropped attributes", record.dropped_attributes_count > 0);
                note("no body", body.is_none());
                note("body of string", is_text);
                note("body of another kind", body.is_some() && !is_text);
                for attribute in &record.attributes {
                    note(values::kind(attribute.value.as_ref()), true);
                }
            }
        }
    }
    (found, severities)
}
