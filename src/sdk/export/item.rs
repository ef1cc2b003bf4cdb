//! What is exported in batches, and what it is called.

use opentelemetry_sdk::trace::SpanData;

/// What waits in a queue, and goes out in batches.
pub(crate) trait Item: Send + 'static {
    const ITEMS: Items;
}

/// The kinds of them.
#[cfg_attr(
    not(all(feature = "logs", feature = "metrics")),
    allow(dead_code, reason = "not all kinds are exported")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Items {
    #[default]
    Spans,
    LogRecords,
    /// Metrics, all that are exported at once.
    Collections,
}

impl Item for SpanData {
    const ITEMS: Items = Items::Spans;
}

impl Items {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::LogRecords => "log records",
            Self::Collections => "metric collections",
        }
    }

    /// What they have done to come here.
    pub(crate) fn came(self) -> &'static str {
        match self {
            Self::Spans => "ended",
            Self::LogRecords => "emitted",
            Self::Collections => "made",
        }
    }

    /// So many of them, in words.
    pub(crate) fn count(self, number: u64) -> String {
        match (self, number) {
            (Self::Spans, 1) => "1 span".to_owned(),
            (Self::LogRecords, 1) => "1 log record".to_owned(),
            (Self::Collections, 1) => "1 metric collection".to_owned(),
            _ => format!("{number} {}", self.name()),
        }
    }
}
