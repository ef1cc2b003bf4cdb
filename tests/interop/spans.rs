//! One of everything that a span can be or have.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Array, Context, InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, TraceId,
    Value,
    trace::{
        Link, Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState,
        Tracer, TracerProvider,
    },
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{SpanFlags, span::SpanKind as Kind, status::StatusCode},
};
use tower_telemetry::Telemetry;

use crate::values;

/// Few enough that something is dropped, and counted.
pub(crate) fn limits() -> impl Iterator<Item = (String, String)> {
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "20"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "3"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "3"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "3"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
}

pub(crate) fn make(telemetry: &Telemetry) {
    let provider = telemetry.tracer_provider();
    let full = InstrumentationScope::builder("interop.full")
        .with_version("1.2.3-ž")
        .with_schema_url("https://opentelemetry.io/schemas/1.40.0")
        .with_attributes([KeyValue::new("scope.number", 7), KeyValue::new("scope.name", "ž")])
        .build();
    let full = provider.tracer_with_scope(full);
    let plain = provider.tracer("interop.plain");
    let nameless = provider.tracer("");

    // Below a caller of elsewhere, whose list goes along.
    let remote = Context::new().with_remote_span_context(elsewhere(1));
    for kind in [
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ] {
        let name = format!("{kind:?} 🦀 žluťoučký\u{0}\u{202e}");
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes());
        end(full.build_with_context(builder, &remote));
    }

    // A root, with a child that has failed and one that has not.
    let root = plain.build_with_context(SpanBuilder::from_name("root"), &Context::new());
    let below = Context::new().with_span(root);
    let mut failed = plain.build_with_context(SpanBuilder::from_name("failed"), &below);
    failed.set_status(Status::error("no more 🍺 of it"));
    end(failed);
    let mut good = nameless.build_with_context(SpanBuilder::from_name(""), &below);
    good.set_status(Status::Ok);
    end(good);
    below.span().end();

    let links = (2..6).map(|number| {
        let attributes = (0..5).map(|at| KeyValue::new(format!("link.{at}"), at)).collect();
        Link::new(elsewhere(number), attributes, 0)
    });
    let mut rich = full.build_with_context(
        SpanBuilder::from_name("events and links").with_links(links.collect()),
        &Context::new(),
    );
    for number in 0..5 {
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789 + number);
        let attributes = (0..5).map(|at| KeyValue::new(format!("event.{at}"), at)).collect();
        rich.add_event_with_timestamp("an event", at, attributes);
    }
    rich.set_attributes((0..25).map(|at| KeyValue::new(format!("attribute.{at}"), "x")));
    rich.set_attribute(KeyValue::new("one too many", true));
    rich.end();

    let mut long = plain.build_with_context(SpanBuilder::from_name("long"), &Context::new());
    long.set_attribute(KeyValue::new("long", "🦀".repeat(5000)));
    end(long);
}

/// Of each type, also what has the largest, the smallest or no encoding.
pub(crate) fn attributes() -> Vec<KeyValue> {
    let strings = ["", "a", "🦀"].map(StringValue::from);
    let values: [Value; 16] = [
        true.into(),
        false.into(),
        0.into(),
        i64::MIN.into(),
        i64::MAX.into(),
        0.0.into(),
        0.1.into(),
        (-f64::MIN_POSITIVE).into(),
        f64::MAX.into(),
        "".into(),
        "tab\t line\n quote\" žluťoučký 🦀".into(),
        Value::Array(Array::Bool(vec![true, false])),
        Value::Array(Array::I64(vec![i64::MIN, 0, i64::MAX])),
        Value::Array(Array::F64(vec![-1.5, 1e300])),
        Value::Array(Array::String(strings.to_vec())),
        Value::Array(Array::String(Vec::new())),
    ];
    let numbered = values.into_iter().enumerate();
    numbered.map(|(at, value)| KeyValue::new(format!("ž.{at}"), value)).collect()
}

pub(crate) fn elsewhere(number: u64) -> SpanContext {
    let list = [("vendor", "a:b"), ("ot", "th:8;rv:ffffffffffffff")];
    SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId::from(0xb7ad_6b71_6920_3331 + number),
        TraceFlags::SAMPLED,
        number % 2 == 1,
        TraceState::from_key_value(list).unwrap(),
    )
}

fn end(mut span: impl Span) {
    span.end();
}

/// What is compared says something only of what is in it.
pub(crate) fn assert_that_nothing_is_missing(sent: &ExportTraceServiceRequest) {
    let all: BTreeSet<&str> = [
        "resource.schema_url",
        "scope.schema_url",
        "scope.version",
        "scope.attributes",
        "trace_state",
        "parent",
        "no parent",
        "remote parent",
        "flags",
        "kind internal",
        "kind server",
        "kind client",
        "kind producer",
        "kind consumer",
        "status unset",
        "status ok",
        "status error",
        "status.message",
        "dropped attributes",
        "event",
        "event.attributes",
        "event.dropped attributes",
        "dropped events",
        "link",
        "link.trace_state",
        "link.attributes",
        "link.dropped attributes",
        "remote link",
        "dropped links",
        "string",
        "bool",
        "int",
        "double",
        "array of string",
        "array of bool",
        "array of int",
        "array of double",
        "empty array",
    ]
    .into();
    assert_eq!(all.difference(&found(sent)).collect::<Vec<_>>(), [&""; 0]);
}

fn found(sent: &ExportTraceServiceRequest) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut note = |name: &'static str, there: bool| {
        if there {
            found.insert(name);
        }
    };
    let remote = |flags: u32| flags & SpanFlags::ContextIsRemoteMask as u32 != 0;
    for of_resource in &sent.resource_spans {
        note("resource.schema_url", !of_resource.schema_url.is_empty());
        for of_scope in &of_resource.scope_spans {
            let scope = of_scope.scope.as_ref().unwrap();
            note("scope.schema_url", !of_scope.schema_url.is_empty());
            note("scope.version", !scope.version.is_empty());
            note("scope.attributes", !scope.attributes.is_empty());
            for span in &of_scope.spans {
                let status = span.status.as_ref().unwrap();
                note("trace_state", !span.trace_state.is_empty());
                note("parent", !span.parent_span_id.is_empty());
                note("no parent", span.parent_span_id.is_empty());
                note("remote parent", remote(span.flags));
                note("flags", span.flags & 1 == 1);
                note(kind(span.kind()), true);
                note(code(status.code()), true);
                note("status.message", !status.message.is_empty());
                note("dropped attributes", span.dropped_attributes_count > 0);
                note("dropped events", span.dropped_events_count > 0);
                note("dropped links", span.dropped_links_count > 0);
                for event in &span.events {
                    note("event", !event.name.is_empty() && event.time_unix_nano > 0);
                    note("event.attributes", !event.attributes.is_empty());
                    note("event.dropped attributes", event.dropped_attributes_count > 0);
                }
                for link in &span.links {
                    note("link", !link.trace_id.is_empty() && !link.span_id.is_empty());
                    note("link.trace_state", !link.trace_state.is_empty());
                    note("link.attributes", !link.attributes.is_empty());
                    note("link.dropped attributes", link.dropped_attributes_count > 0);
                    note("remote link", remote(link.flags));
                }
                for attribute in &span.attributes {
                    note(values::kind(attribute.value.as_ref()), true);
                }
            }
        }
    }
    found
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "no kind",
        Kind::Internal => "kind internal",
        Kind::Server => "kind server",
        Kind::Client => "kind client",
        Kind::Producer => "kind producer",
        Kind::Consumer => "kind consumer",
    }
}

fn code(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "status unset",
        StatusCode::Ok => "status ok",
        StatusCode::Error => "status error",
    }
}
