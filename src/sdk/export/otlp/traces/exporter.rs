//! The exporter of spans: has a batch encoded and sent.

use std::sync::Arc;

use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::{Resource, trace::SpanData};
use tokio::time::Instant;

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::{protocol::Protocol, traces::json};
use crate::sdk::export::{
    exporter::{Exporter, Outcome, Running},
    otlp::{
        client::untraced,
        encode::{Encoded, large},
        sender::Sender,
        traces::protobuf,
    },
};

/// Sends spans of one resource to one collector.
pub(in crate::sdk::export::otlp) struct SpanExporter {
    resource: ResourceAttributesWithSchema,
    sender: Sender,
}

impl SpanExporter {
    pub(in crate::sdk::export::otlp) fn new(resource: &Resource, sender: Sender) -> Self {
        Self { resource: resource.into(), sender }
    }

    /// The batch in as few requests as it takes.
    fn encode(&self, batch: Vec<SpanData>) -> Vec<Encoded> {
        let large = large(self.sender.protocol);
        match self.sender.protocol {
            #[cfg(feature = "otlp-json")]
            Protocol::HttpJson => json::encode(batch, &self.resource, large),
            _ => protobuf::encode(batch, &self.resource, large),
        }
    }
}

impl Exporter for SpanExporter {
    fn export(self: Arc<Self>, batch: Vec<SpanData>, deadline: Instant) -> Running<Outcome> {
        Box::pin(untraced(async move { self.sender.send(|| self.encode(batch), deadline).await }))
    }
}
