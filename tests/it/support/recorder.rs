//! A place for spans, without globals and without a thread.

use std::collections::BTreeMap;

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tower_telemetry::{Providers, TraceLayer, propagation::TraceContext};

/// Keeps every span that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { provider, exporter }
    }

    pub(crate) fn layer(&self) -> TraceLayer {
        TraceLayer::new().with_telemetry(self)
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// The only span there is.
    pub(crate) fn span(&self) -> SpanData {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }
}

impl From<&Recorder> for Providers {
    fn from(recorder: &Recorder) -> Self {
        Providers::global()
            .with_tracer_provider(&recorder.provider)
            .with_propagator(TraceContext::new())
    }
}

/// A span without its ids and times, to be compared as a whole.
#[derive(Debug, PartialEq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) status: Status,
    pub(crate) attributes: BTreeMap<String, Value>,
}

impl Described {
    /// A server span that is no error.
    pub(crate) fn server<const N: usize>(name: &str, attributes: [(&str, Value); N]) -> Self {
        Self {
            name: name.to_owned(),
            kind: SpanKind::Server,
            status: Status::Unset,
            attributes: attributes
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        }
    }

    /// What comes of `Request::new(())` and an answer of 200.
    pub(crate) fn of_a_plain_request() -> Self {
        Self::server(
            "GET",
            [
                ("http.request.method", "GET".into()),
                ("url.path", "/".into()),
                ("url.scheme", "http".into()),
                ("network.protocol.version", "1.1".into()),
                ("http.response.status_code", 200.into()),
            ],
        )
    }
}

impl From<SpanData> for Described {
    fn from(span: SpanData) -> Self {
        Self {
            name: span.name.into_owned(),
            kind: span.span_kind,
            status: span.status,
            attributes: timeless(unique(span.attributes)),
        }
    }
}

/// Without the one attribute that is a time.
fn timeless(mut attributes: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let time = attributes.remove("tower_telemetry.time_to_head");
    assert!(matches!(time, None | Some(Value::F64(_))), "{time:?}");
    attributes
}

/// The attributes by key; none may be there twice, since the SDK would export both.
pub(crate) fn unique(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let mut unique = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let before = unique.insert(key.to_string(), value);
        assert_eq!(before, None, "{key} is there twice");
    }
    unique
}

/// The value of one attribute, as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let mut values = span.attributes.iter().filter(|attribute| attribute.key.as_str() == key);
    let value = values.next().map(|attribute| attribute.value.to_string());
    assert!(values.next().is_none(), "{key} is there twice");
    value
}
