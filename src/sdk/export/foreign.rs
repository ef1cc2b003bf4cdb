//! An exporter of the user's, called as its trait wants to be called.

use std::{any::type_name, sync::Arc, thread, time::Duration};

use futures_executor::block_on;
use opentelemetry::Context;
#[cfg(feature = "logs")]
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

#[cfg(feature = "logs")]
use crate::sdk::logs::record::LogData;
use crate::{
    contained::contained,
    sdk::{
        export::{
            exporter::{Exporter, Loss, Outcome, Running, Target},
            item::Item,
        },
        text::plain,
    },
};

/// What batches of spans are exported by, when `exporter` does it.
pub(crate) fn target<E: SpanExporter + 'static>(mut exporter: E, resource: &Resource) -> Target {
    exporter.set_resource(resource);
    lent(exporter)
}

/// The same for log records.
#[cfg(feature = "logs")]
pub(crate) fn log_target<E: LogExporter + 'static>(
    mut exporter: E,
    resource: &Resource,
) -> Target<LogData> {
    exporter.set_resource(resource);
    lent(exporter)
}

/// The same for any item.
pub(crate) fn lent<T: Item, E: Send + Sync + 'static>(exporter: E) -> Target<T>
where
    Foreign<E>: Exporter<T>,
{
    let exporter = Arc::new(Lent(Some(exporter)));
    Target {
        name: type_name::<E>().to_owned(),
        component_type: type_name::<E>(),
        concurrency: 1,
        server_address: None,
        server_port: None,
        // There is one of it, also in a process that was forked. Whose turn it was in the parent is
        // not to be waited for.
        make: Box::new(move |_| {
            let (exporter, turn) = (Arc::clone(&exporter), Arc::new(Semaphore::new(1)));
            Arc::new(Foreign { exporter, turn })
        }),
    }
}

/// The exporter, and the turn to call it, of which there is [one].
///
/// It may block, as many do, or want a runtime to be there: so it gets a thread on which it may do
/// both. If it does not come back in time it is left there, and not called again before it has.
///
/// [one]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#exportbatch
pub(crate) struct Foreign<E: Send + 'static> {
    exporter: Arc<Lent<E>>,
    turn: Arc<Semaphore>,
}

impl<E: Send + Sync + 'static> Foreign<E> {
    /// Calls it; `None` if it panicked.
    pub(crate) async fn call<F>(self: Arc<Self>, call: F) -> Option<OTelSdkResult>
    where
        F: FnOnce(&E) -> OTelSdkResult + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let exporter = Arc::clone(&self.exporter);
        let called = spawn_blocking(move || {
            let _turn = turn;
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            // It is there until it is let go of.
            exporter.0.as_ref().map_or(Ok(()), call)
        });
        called.await.ok()
    }
}

impl<E: SpanExporter + 'static> Exporter for Foreign<E> {
    fn export(self: Arc<Self>, batch: Vec<SpanData>, _: Instant) -> Running<Outcome> {
        // On the thread it is not inside of the runtime: what it needs of one is there, and a
        // blocking client, which refuses to run inside of any, runs.
        let called = self.call(move |exporter| block_on(exporter.export(batch)));
        Box::pin(async move { outcome(called.await) })
    }

    fn flush(self: Arc<Self>) -> Running<Result<(), String>> {
        let called = self.call(E::force_flush);
        Box::pin(async move { complaint(called.await) })
    }

    fn shutdown(self: Arc<Self>, timeout: Duration) -> Running<Result<(), String>> {
        let called = self.call(move |exporter| exporter.shutdown_with_timeout(timeout));
        Box::pin(async move { complaint(called.await) })
    }
}

#[cfg(feature = "logs")]
impl<E: LogExporter + 'static> Exporter<LogData> for Foreign<E> {
    fn export(self: Arc<Self>, batch: Vec<LogData>, _: Instant) -> Running<Outcome> {
        let called = self.call(move |exporter| {
            let batch: Vec<_> = batch.iter().map(|data| (&data.record, &data.scope)).collect();
            block_on(exporter.export(LogBatch::new(&batch)))
        });
        Box::pin(async move { outcome(called.await) })
    }

    fn shutdown(self: Arc<Self>, timeout: Duration) -> Running<Result<(), String>> {
        let called = self.call(move |exporter| exporter.shutdown_with_timeout(timeout));
        Box::pin(async move { complaint(called.await) })
    }
}

/// What became of a batch, by what an export has said.
pub(crate) fn outcome(result: Option<OTelSdkResult>) -> Outcome {
    match result {
        None => Outcome::lost(u64::MAX, Loss::Panicked, "the exporter panicked"),
        Some(Ok(())) => Outcome::exported(),
        Some(Err(error @ OTelSdkError::Timeout(_))) => {
            Outcome::lost(u64::MAX, Loss::TimedOut, plain(&error))
        }
        Some(Err(error)) => Outcome::lost(u64::MAX, Loss::GivenUp, plain(&error)),
    }
}

/// What is to be told of a flush or a shutdown.
pub(crate) fn complaint(result: Option<OTelSdkResult>) -> Result<(), String> {
    match result {
        None => Err("it panicked".to_owned()),
        Some(Ok(()) | Err(OTelSdkError::AlreadyShutdown)) => Ok(()),
        Some(Err(error)) => Err(plain(&error)),
    }
}

/// Something of the user's, to be let go of where that hurts nobody: to let go of it may panic,
/// take any time, or be forbidden where there is a runtime, and the last to hold it may be the
/// program's `Telemetry`.
pub(crate) struct Lent<E: Send + 'static>(Option<E>);

impl<E: Send + 'static> Drop for Lent<E> {
    fn drop(&mut self) {
        let lent = self.0.take();
        // Without a thread it is let go of right here, together with what was to run there.
        contained(|| thread::Builder::new().spawn(move || contained(|| drop(lent))));
    }
}
