//! A place for spans and the metrics that go with them, without globals and without a thread.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tokio::sync::mpsc;
use tower_telemetry::{ClientTraceLayer, Providers, TraceLayer, propagation::TraceContext};

use crate::support::meters::Meters;

/// Keeps every span that has ended, and what its layers have measured.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(crate) provider: SdkTracerProvider,
    pub(crate) meters: Meters,
    /// Whether its layers measure, and have to agree.
    measures: bool,
    exporter: InMemorySpanExporter,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { provider, meters: Meters::default(), measures: true, exporter }
    }

    /// One whose layers do not measure what they record.
    pub(crate) fn of_spans_alone() -> Self {
        Self { measures: false, ..Self::new() }
    }

    /// One that tells of each span that has ended, for those who have to wait for it.
    pub(crate) fn telling() -> (Self, mpsc::UnboundedReceiver<SpanData>) {
        let exporter = InMemorySpanExporter::default();
        let (tell, ended) = mpsc::unbounded_channel();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_span_processor(Tells(tell))
            .build();
        (Self { provider, meters: Meters::default(), measures: true, exporter }, ended)
    }

    pub(crate) fn layer(&self) -> TraceLayer {
        let layer = TraceLayer::new().with_telemetry(self);
        if self.measures { layer.with_metrics(Meters::everything()) } else { layer }
    }

    pub(crate) fn client_layer(&self) -> ClientTraceLayer {
        let layer = ClientTraceLayer::new().with_telemetry(self);
        if self.measures { layer.with_metrics(Meters::everything()) } else { layer }
    }

    /// Where spans go, for another provider.
    pub(crate) fn exporter(&self) -> InMemorySpanExporter {
        self.exporter.clone()
    }

    /// All spans, of which the metrics say the same.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().unwrap();
        if self.measures {
            self.meters.assert_agree_with(&spans);
        }
        spans
    }

    /// The spans of servers, in the order in which they ended.
    pub(crate) fn servers(&self) -> Vec<SpanData> {
        let mut spans = self.spans();
        spans.retain(|span| span.span_kind == SpanKind::Server);
        spans
    }

    /// The same, to be compared.
    pub(crate) fn served(&self) -> Vec<Described> {
        self.servers().into_iter().map(Described::from).collect()
    }

    /// The spans of clients, in the order in which they ended.
    pub(crate) fn clients(&self) -> Vec<SpanData> {
        let mut spans = self.spans();
        spans.retain(|span| span.span_kind == SpanKind::Client);
        spans
    }

    /// How many traces the spans are of.
    pub(crate) fn traces(&self) -> usize {
        let spans = self.spans();
        let ids: HashSet<_> = spans.iter().map(|span| span.span_context.trace_id()).collect();
        ids.len()
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
            .with_meter_provider(&recorder.meters)
            .with_propagator(TraceContext::new())
    }
}

/// Comes after the exporter, so that what it tells of is in there.
#[derive(Debug)]
struct Tells(mpsc::UnboundedSender<SpanData>);

impl SpanProcessor for Tells {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let _ = self.0.send(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A span without its ids and times, to be compared as a whole.
#[derive(Clone, Debug, PartialEq)]
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

    /// The span of a request over HTTP/1.1 to `shop.example:8080`. `name` is the method, and the
    /// route if there is one.
    pub(crate) fn served(name: &str, path: &str, status_code: i64) -> Self {
        let (method, route) = name.split_once(' ').map_or((name, None), |(m, r)| (m, Some(r)));
        let span = Self::server(
            name,
            [
                ("http.request.method", method.to_owned().into()),
                ("url.path", path.to_owned().into()),
                ("url.scheme", "http".into()),
                ("server.address", "shop.example".into()),
                ("server.port", 8080.into()),
                ("network.protocol.version", "1.1".into()),
                ("http.response.status_code", status_code.into()),
            ],
        );
        let span = match route {
            Some(route) => span.with("http.route", route.to_owned()),
            None => span,
        };
        if status_code >= 500 { span.failed(&status_code.to_string()) } else { span }
    }

    /// A client span that is no error.
    pub(crate) fn client<const N: usize>(name: &str, attributes: [(&str, Value); N]) -> Self {
        Self { kind: SpanKind::Client, ..Self::server(name, attributes) }
    }

    /// The client span of `GET http://inventory:3000/items/42`, answered over HTTP/1.1.
    pub(crate) fn asked(status_code: i64) -> Self {
        let span = Self::client(
            "GET",
            [
                ("http.request.method", "GET".into()),
                ("url.full", "http://inventory:3000/items/42".into()),
                ("server.address", "inventory".into()),
                ("server.port", 3000.into()),
                ("network.protocol.version", "1.1".into()),
                ("http.response.status_code", status_code.into()),
            ],
        );
        if status_code >= 400 { span.failed(&status_code.to_string()) } else { span }
    }

    /// The same with another name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        assert!(self.attributes.remove(key).is_some(), "{key} is not there");
        self
    }

    pub(crate) fn failed(mut self, error_type: &str) -> Self {
        self.status = Status::error("");
        self.with("error.type", error_type.to_owned())
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

/// A list of strings, as the lines of a header are.
pub(crate) fn strings(values: &[&'static str]) -> Value {
    let values = values.iter().map(|value| StringValue::from(*value)).collect();
    Value::Array(Array::String(values))
}
