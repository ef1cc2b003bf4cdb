//! The exporter of metrics: has a collection encoded and sent.

use std::sync::Arc;

use tokio::time::Instant;

use crate::sdk::{
    export::{
        exporter::{Exporter, Lost, Outcome, Running},
        otlp::{client::untraced, encode::Encoded, metrics::encode::encode, sender::Sender},
    },
    metrics::collected::Collected,
};

/// Sends collections to one collector.
pub(in crate::sdk::export::otlp) struct MetricExporter {
    sender: Sender,
}

impl MetricExporter {
    pub(in crate::sdk::export::otlp) fn new(sender: Sender) -> Self {
        Self { sender }
    }

    /// A collection is one item, and lost if some of its points are.
    async fn send(&self, collected: Collected, deadline: Instant) -> Option<Lost> {
        let encoded = encode(&collected, self.sender.protocol);
        drop(collected);
        let points: u64 = encoded.iter().map(|Encoded { items, .. }| items).sum();
        let lost = self.sender.send(|| encoded, deadline).await.lost?;
        let of = if points == 1 { "data point" } else { "data points" };
        let reason = format!("{} of {points} {of}: {}", lost.items.min(points), lost.reason);
        Some(Lost { items: 1, reason, ..lost })
    }
}

impl Exporter<Collected> for MetricExporter {
    fn export(self: Arc<Self>, batch: Vec<Collected>, deadline: Instant) -> Running<Outcome> {
        Box::pin(untraced(async move {
            let mut lost: Option<Lost> = None;
            for collected in batch {
                let before = lost.as_ref().map_or(0, |lost| lost.items);
                if let Some(last) = self.send(collected, deadline).await {
                    lost = Some(Lost { items: before + last.items, ..last });
                }
            }
            Outcome { lost }
        }))
    }
}
