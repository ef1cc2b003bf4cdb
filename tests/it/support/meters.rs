//! A place for measurements, each by itself, without globals and without a thread.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    metrics::{
        Counter, Histogram, HistogramBuilder, InstrumentBuilder, InstrumentProvider, Meter,
        MeterProvider, SyncInstrument, UpDownCounter,
    },
    trace::SpanKind,
};
use opentelemetry_sdk::trace::SpanData;
use tower_telemetry::Metrics;

use crate::support::recorder::unique;

/// Keeps every measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters(Arc<Mutex<Vec<Measurement>>>);

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measurement {
    pub(crate) instrument: Arc<Instrument>,
    pub(crate) value: f64,
    pub(crate) attributes: BTreeMap<String, Value>,
}

/// What it was made with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instrument {
    pub(crate) scope: InstrumentationScope,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) description: String,
    pub(crate) boundaries: Option<Vec<f64>>,
}

impl Meters {
    /// All that a layer can measure, so that each test of a span is one of metrics, too.
    pub(crate) fn everything() -> Metrics {
        Metrics::new().with_active_requests().with_request_body_size().with_response_body_size()
    }

    pub(crate) fn all(&self) -> Vec<Measurement> {
        self.0.lock().unwrap().clone()
    }

    /// Those of one instrument.
    pub(crate) fn of(&self, name: &str) -> Vec<Measurement> {
        let mut all = self.all();
        all.retain(|measurement| measurement.instrument.name == name);
        all
    }

    /// The only one of an instrument.
    pub(crate) fn one(&self, name: &str) -> Measurement {
        let mut of_name = self.of(name);
        assert_eq!(of_name.len(), 1, "{name}: {of_name:#?}");
        of_name.remove(0)
    }

    /// How often an instrument was used.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.of(name).len()
    }

    /// What is under way, by its attributes; what has come to nothing is not there.
    pub(crate) fn active(&self, name: &str) -> Vec<(BTreeMap<String, Value>, f64)> {
        let mut sums: Vec<(BTreeMap<String, Value>, f64)> = Vec::new();
        for Measurement { value, attributes, .. } in self.of(name) {
            match sums.iter_mut().find(|(known, _)| *known == attributes) {
                Some((_, sum)) => *sum += value,
                None => sums.push((attributes, value)),
            }
        }
        sums.retain(|(_, sum)| *sum != 0.0);
        sums
    }

    /// Each of these spans has its metric: as long to the nanosecond, and with the same said of it.
    pub(crate) fn assert_agree_with(&self, spans: &[SpanData]) {
        let mut measured = self.all();
        for span in
            spans.iter().filter(|span| span.instrumentation_scope.name() == "tower-telemetry")
        {
            let attributes = unique(span.attributes.clone());
            // Old names are on no metric.
            if !["http.request.method", "rpc.method"]
                .iter()
                .any(|key| attributes.contains_key(*key))
            {
                continue;
            }
            let expected = Expected::of(span, attributes);
            let at = measured.iter().position(|measurement| expected.is(measurement));
            let at = at.unwrap_or_else(|| panic!("no metric for {expected:#?} in {measured:#?}"));
            measured.remove(at);
        }
    }
}

/// What a metric should say of a span.
#[derive(Debug)]
struct Expected {
    name: &'static str,
    duration: Duration,
    attributes: BTreeMap<String, Value>,
}

impl Expected {
    fn of(span: &SpanData, mut attributes: BTreeMap<String, Value>) -> Self {
        let is_call = attributes.contains_key("rpc.system.name");
        let (name, keys): (_, &[&str]) = match (&span.span_kind, is_call) {
            (SpanKind::Server, false) => (
                "http.server.request.duration",
                &[
                    "http.request.method",
                    "url.scheme",
                    "http.response.status_code",
                    "http.route",
                    "error.type",
                    "network.protocol.version",
                ],
            ),
            (_, false) => (
                "http.client.request.duration",
                &[
                    "http.request.method",
                    "server.address",
                    "server.port",
                    "http.response.status_code",
                    "error.type",
                    "network.protocol.version",
                ],
            ),
            (SpanKind::Server, true) => (
                "rpc.server.call.duration",
                &[
                    "rpc.system.name",
                    "rpc.method",
                    "rpc.status_code",
                    "rpc.response.status_code",
                    "error.type",
                ],
            ),
            (_, true) => (
                "rpc.client.call.duration",
                &[
                    "rpc.system.name",
                    "rpc.method",
                    "rpc.status_code",
                    "rpc.response.status_code",
                    "error.type",
                    "server.address",
                    "server.port",
                ],
            ),
        };
        attributes.retain(|key, _| keys.contains(&key.as_str()));
        let duration = span.end_time.duration_since(span.start_time).unwrap();
        Self { name, duration, attributes }
    }

    fn is(&self, measurement: &Measurement) -> bool {
        let mut attributes = measurement.attributes.clone();
        // A method that has never succeeded may be one that a stranger has made up.
        if attributes.get("rpc.method") == Some(&"_OTHER".into()) {
            attributes.extend(
                self.attributes
                    .get_key_value("rpc.method")
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        measurement.instrument.name == self.name
            && measurement.value == self.duration.as_secs_f64()
            && attributes == self.attributes
    }
}

impl MeterProvider for Meters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(OfScope { meters: self.clone(), scope }))
    }
}

struct OfScope {
    meters: Meters,
    scope: InstrumentationScope,
}

impl OfScope {
    fn instrument(
        &self,
        kind: &'static str,
        name: &str,
        (unit, description): (Option<&str>, Option<&str>),
        boundaries: Option<Vec<f64>>,
    ) -> Arc<Keeps> {
        let instrument = Instrument {
            scope: self.scope.clone(),
            kind,
            name: name.to_owned(),
            unit: unit.unwrap_or_default().to_owned(),
            description: description.unwrap_or_default().to_owned(),
            boundaries,
        };
        Arc::new(Keeps { instrument: Arc::new(instrument), meters: self.meters.clone() })
    }
}

impl InstrumentProvider for OfScope {
    fn u64_counter(&self, builder: InstrumentBuilder<'_, Counter<u64>>) -> Counter<u64> {
        let said = (builder.unit.as_deref(), builder.description.as_deref());
        Counter::new(self.instrument("counter", &builder.name, said, None))
    }

    fn i64_up_down_counter(
        &self,
        builder: InstrumentBuilder<'_, UpDownCounter<i64>>,
    ) -> UpDownCounter<i64> {
        let said = (builder.unit.as_deref(), builder.description.as_deref());
        UpDownCounter::new(self.instrument("up-down counter", &builder.name, said, None))
    }

    fn f64_histogram(&self, builder: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        let said = (builder.unit.as_deref(), builder.description.as_deref());
        Histogram::new(self.instrument(
            "histogram",
            &builder.name,
            said,
            builder.boundaries.clone(),
        ))
    }

    fn u64_histogram(&self, builder: HistogramBuilder<'_, Histogram<u64>>) -> Histogram<u64> {
        let said = (builder.unit.as_deref(), builder.description.as_deref());
        Histogram::new(self.instrument(
            "histogram",
            &builder.name,
            said,
            builder.boundaries.clone(),
        ))
    }
}

struct Keeps {
    instrument: Arc<Instrument>,
    meters: Meters,
}

impl Keeps {
    fn keep(&self, value: f64, attributes: &[KeyValue]) {
        let attributes = unique(attributes.to_vec());
        let instrument = Arc::clone(&self.instrument);
        self.meters.0.lock().unwrap().push(Measurement { instrument, value, attributes });
    }
}

impl SyncInstrument<f64> for Keeps {
    fn measure(&self, value: f64, attributes: &[KeyValue]) {
        self.keep(value, attributes);
    }
}

impl SyncInstrument<u64> for Keeps {
    fn measure(&self, value: u64, attributes: &[KeyValue]) {
        self.keep(value as f64, attributes);
    }
}

impl SyncInstrument<i64> for Keeps {
    fn measure(&self, value: i64, attributes: &[KeyValue]) {
        self.keep(value as f64, attributes);
    }
}
