//! The health as metrics: what the conventions have an SDK say of its own exporters.

use std::sync::{Arc, Weak};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider},
};
use opentelemetry_sdk::trace::SpanData;

#[cfg(feature = "logs")]
use crate::sdk::logs::{fan_out::LogFanOut, record::LogData};
use crate::{
    scope::scope,
    sdk::{
        export::{
            exporter::{Loss, Target},
            item::{Item, Items},
        },
        processor::{
            batch::{counts::Counts, counts::Fate, processor::Batch},
            fan_out::FanOut,
        },
    },
};

/// Registers [the metrics of processors and exporters][metrics]. They look at the counts when they
/// are collected, and cost nothing before.
///
/// [metrics]: https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
pub(super) fn register<A: Accounts>(of: &Arc<A>, provider: &dyn MeterProvider) {
    let meter = provider.meter_with_scope(scope());
    let observed = |see: See| Observed { of: Arc::downgrade(of), see };
    let Words { queue_size, queue_capacity, processed, inflight, exported } = words(A::Item::ITEMS);
    gauge(&meter, queue_size, observed(|of, see| see(of.counts.waiting, of.processor(None))));
    gauge(&meter, queue_capacity, observed(|of, see| see(of.queue_size, of.processor(None))));
    counter(
        &meter,
        processed,
        observed(|of, see| {
            see(of.processed(), of.processor(None));
            see(of.counts.lost(Fate::QueueFull), of.processor(Some("queue_full")));
            see(of.counts.lost(Fate::AfterShutdown), of.processor(Some("already_shutdown")));
        }),
    );
    gauge(&meter, inflight, observed(|of, see| see(of.counts.exporting, of.exporter(None))));
    counter(
        &meter,
        exported,
        observed(|of, see| {
            see(of.counts.exported, of.exporter(None));
            for (loss, error_type) in LOSSES {
                see(of.counts.lost(Fate::Failed(loss)), of.exporter(Some(error_type)));
            }
        }),
    );
}

/// What has accounts of exporters.
pub(super) trait Accounts: Send + Sync + 'static {
    type Item: Item;

    fn batches(&self) -> impl Iterator<Item = &Batch<Self::Item>>;
}

impl Accounts for FanOut {
    type Item = SpanData;

    fn batches(&self) -> impl Iterator<Item = &Batch> {
        Self::batches(self)
    }
}

#[cfg(feature = "logs")]
impl Accounts for LogFanOut {
    type Item = LogData;

    fn batches(&self) -> impl Iterator<Item = &Batch<LogData>> {
        Self::batches(self)
    }
}

/// Each instrument's name and description.
struct Words {
    queue_size: [&'static str; 2],
    queue_capacity: [&'static str; 2],
    processed: [&'static str; 2],
    inflight: [&'static str; 2],
    exported: [&'static str; 2],
}

fn words(items: Items) -> Words {
    match items {
        // The conventions count data points, and have nothing of collections, which nobody
        // registers.
        Items::Spans | Items::Collections => Words {
            queue_size: [
                "otel.sdk.processor.span.queue.size",
                "The number of spans in the queue of a span processor.",
            ],
            queue_capacity: [
                "otel.sdk.processor.span.queue.capacity",
                "The number of spans that the queue of a span processor holds at most.",
            ],
            processed: [
                "otel.sdk.processor.span.processed",
                "The number of spans that a processor has handed to its exporter, or has dropped.",
            ],
            inflight: [
                "otel.sdk.exporter.span.inflight",
                "The number of spans that an exporter was handed and that nothing has become of yet.",
            ],
            exported: [
                "otel.sdk.exporter.span.exported",
                "The number of spans whose export has come to an end, well or not.",
            ],
        },
        Items::LogRecords => Words {
            queue_size: [
                "otel.sdk.processor.log.queue.size",
                "The number of log records in the queue of a log processor.",
            ],
            queue_capacity: [
                "otel.sdk.processor.log.queue.capacity",
                "The number of log records that the queue of a log processor holds at most.",
            ],
            processed: [
                "otel.sdk.processor.log.processed",
                "The number of log records that a processor has handed to its exporter, or has dropped.",
            ],
            inflight: [
                "otel.sdk.exporter.log.inflight",
                "The number of log records that an exporter was handed and that nothing has become of yet.",
            ],
            exported: [
                "otel.sdk.exporter.log.exported",
                "The number of log records whose export has come to an end, well or not.",
            ],
        },
    }
}

/// Each with its `error.type`.
const LOSSES: [(Loss, &str); 4] = [
    (Loss::Rejected, "rejected"),
    (Loss::GivenUp, "unavailable"),
    (Loss::TimedOut, "timeout"),
    (Loss::Panicked, "panic"),
];

/// Says what it sees of one exporter: a number, and whose it is.
type See = fn(&Account, &mut dyn FnMut(u64, Vec<KeyValue>));

/// It does not keep the exporters from being let go of.
struct Observed<A> {
    of: Weak<A>,
    see: See,
}

/// One exporter, at one moment.
struct Account {
    at: usize,
    exporter: &'static str,
    server: Vec<KeyValue>,
    counts: Counts,
    queue_size: u64,
}

impl<A: Accounts> Observed<A> {
    fn observe(&self, observe: &mut dyn FnMut(u64, Vec<KeyValue>)) {
        let Some(of) = self.of.upgrade() else {
            return;
        };
        for (at, batch) in of.batches().enumerate() {
            (self.see)(&Account::of(at, batch), observe);
        }
    }
}

impl Account {
    fn of<T: Item>(at: usize, batch: &Batch<T>) -> Self {
        Self {
            at,
            exporter: batch.target().component_type,
            server: server(batch.target()),
            counts: batch.counts(),
            queue_size: u64::try_from(batch.settings().queue_size).unwrap_or(u64::MAX),
        }
    }

    /// What came out of the queue, be it in time or not.
    fn processed(&self) -> u64 {
        let dropped = self.counts.lost(Fate::QueueFull) + self.counts.lost(Fate::AfterShutdown);
        self.counts.ended - dropped - self.counts.waiting
    }

    fn processor(&self, error_type: Option<&'static str>) -> Vec<KeyValue> {
        let kind = match self.counts.items {
            Items::Spans | Items::Collections => "batching_span_processor",
            Items::LogRecords => "batching_log_processor",
        };
        self.component(kind, error_type)
    }

    fn exporter(&self, error_type: Option<&'static str>) -> Vec<KeyValue> {
        let mut attributes = self.component(self.exporter, error_type);
        attributes.extend(self.server.iter().cloned());
        attributes
    }

    fn component(&self, kind: &'static str, error_type: Option<&'static str>) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("otel.component.type", kind),
            KeyValue::new("otel.component.name", format!("{kind}/{}", self.at)),
        ];
        attributes.extend(error_type.map(|kind| KeyValue::new("error.type", kind)));
        attributes
    }
}

fn server<T: Item>(target: &Target<T>) -> Vec<KeyValue> {
    let address = target.server_address.clone();
    let port = target.server_port.map(i64::from);
    let address = address.map(|address| KeyValue::new("server.address", address));
    address.into_iter().chain(port.map(|port| KeyValue::new("server.port", port))).collect()
}

fn counter<A: Accounts>(meter: &Meter, words: [&'static str; 2], observed: Observed<A>) {
    let [name, description] = words;
    meter
        .u64_observable_counter(name)
        .with_unit(unit(A::Item::ITEMS))
        .with_description(description)
        .with_callback(move |to: &dyn AsyncInstrument<u64>| {
            observed.observe(&mut |spans, attributes| to.observe(spans, &attributes));
        })
        .build();
}

fn gauge<A: Accounts>(meter: &Meter, words: [&'static str; 2], observed: Observed<A>) {
    let [name, description] = words;
    meter
        .i64_observable_up_down_counter(name)
        .with_unit(unit(A::Item::ITEMS))
        .with_description(description)
        .with_callback(move |to: &dyn AsyncInstrument<i64>| {
            observed.observe(&mut |spans, attributes| {
                to.observe(i64::try_from(spans).unwrap_or(i64::MAX), &attributes);
            });
        })
        .build();
}

fn unit(items: Items) -> &'static str {
    match items {
        Items::Spans | Items::Collections => "{span}",
        Items::LogRecords => "{log_record}",
    }
}
