//! The exporter of log records: has a batch encoded and sent.

use std::sync::Arc;

use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use tokio::time::Instant;

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::{logs::json, protocol::Protocol};
use crate::sdk::{
    export::{
        exporter::{Exporter, Outcome, Running},
        otlp::{
            client::untraced,
            encode::{Encoded, large},
            logs::protobuf,
            sender::Sender,
        },
    },
    logs::record::LogData,
};

/// Sends log records of one resource to one collector.
pub(in crate::sdk::export::otlp) struct LogExporter {
    resource: ResourceAttributesWithSchema,
    sender: Sender,
}

impl LogExporter {
    pub(in crate::sdk::export::otlp) fn new(resource: &Resource, sender: Sender) -> Self {
        Self { resource: resource.into(), sender }
    }

    /// The batch in as few requests as it takes.
    fn encode(&self, batch: Vec<LogData>) -> Vec<Encoded> {
        let large = large(self.sender.protocol);
        match self.sender.protocol {
            #[cfg(feature = "otlp-json")]
            Protocol::HttpJson => json::encode(&batch, &self.resource, large),
            _ => protobuf::encode(batch, &self.resource, large),
        }
    }
}

impl Exporter<LogData> for LogExporter {
    fn export(self: Arc<Self>, batch: Vec<LogData>, deadline: Instant) -> Running<Outcome> {
        Box::pin(untraced(async move { self.sender.send(|| self.encode(batch), deadline).await }))
    }
}
