//! A metric exporter of the user's, called as its trait wants to be called.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use tokio::time::Instant;

use crate::sdk::{
    export::{
        exporter::{Exporter, Outcome, Running},
        foreign::{Foreign, complaint, outcome},
    },
    metrics::collected::Collected,
};

impl<E: PushMetricExporter> Exporter<Collected> for Foreign<E> {
    fn export(self: Arc<Self>, batch: Vec<Collected>, _: Instant) -> Running<Outcome> {
        let called = self.call(move |exporter| {
            batch.iter().try_for_each(|collected| block_on(exporter.export(&collected.0)))
        });
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
