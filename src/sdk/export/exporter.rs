//! What the batch processor asks of an exporter, and what it is told.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use opentelemetry_sdk::{Resource, trace::SpanData};
use tokio::time::Instant;

use crate::sdk::export::item::Item;

/// Takes batches to where they go.
///
/// It is made on the processor's own thread, inside the runtime there, and used on no other: so its
/// connections are that runtime's, and it may spawn, sleep and connect.
pub(crate) trait Exporter<T = SpanData>: Send + Sync {
    /// Sends the batch, again where that helps, and gives up at the deadline. Called while earlier
    /// batches are still on their way, as many as [`Target::concurrency`] allows.
    fn export(self: Arc<Self>, batch: Vec<T>, deadline: Instant) -> Running<Outcome>;

    /// Has what the exporter itself holds back sent. Most hold nothing back.
    fn flush(self: Arc<Self>) -> Running<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// The last call.
    fn shutdown(self: Arc<Self>, _timeout: Duration) -> Running<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// Something an exporter does.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What became of a batch. What was not lost was exported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) lost: Option<Lost>,
}

/// What did not make it: spans, data points or log records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// How many of the batch; more than there were is all of them.
    pub(crate) items: u64,
    pub(crate) loss: Loss,
    /// Fit for a log: legible, and without secrets.
    pub(crate) reason: String,
}

/// Why an export has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The other side does not want them, in whole or in part, and would not another time.
    Rejected,
    /// It was tried as often as there was time for, or could not be tried again.
    GivenUp,
    /// There was no answer before the deadline.
    TimedOut,
    /// The exporter panicked.
    Panicked,
}

impl Outcome {
    /// All of them were exported.
    pub(crate) fn exported() -> Self {
        Self::default()
    }

    /// So many of them were not.
    pub(crate) fn lost(items: u64, loss: Loss, reason: impl Into<String>) -> Self {
        Self { lost: Some(Lost { items, loss, reason: reason.into() }) }
    }
}

/// An exporter that can be made, with nothing left that can fail.
#[cfg_attr(
    not(feature = "metrics"),
    allow(dead_code, reason = "metrics say what it is and where it sends to")
)]
pub(crate) struct Target<T: Item = SpanData> {
    /// What it is called in messages: where it sends to, without userinfo and query.
    pub(crate) name: String,
    /// Its `otel.component.type`.
    pub(crate) component_type: &'static str,
    /// How many batches may be on their way at once, unless the settings say less.
    pub(crate) concurrency: usize,
    /// Where it sends to, if that is known: `server.address` and `server.port`.
    pub(crate) server_address: Option<String>,
    pub(crate) server_port: Option<u16>,
    pub(crate) make: Make<T>,
}

/// Makes the exporter, for what is of this resource. Called again in a process that was forked,
/// which may use none of its parent's connections.
pub(crate) type Make<T> = Box<dyn Fn(&Resource) -> Arc<dyn Exporter<T>> + Send + Sync>;

impl<T: Item> fmt::Debug for Target<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
