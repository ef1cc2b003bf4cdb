//! The exporter: takes a batch apart, sends the parts, adds up what became of them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;

#[cfg(feature = "otlp-grpc")]
use crate::sdk::export::otlp::grpc::Grpc;
#[cfg(feature = "otlp-http")]
use crate::sdk::export::otlp::http::Http;
use crate::{
    sdk::export::{
        exporter::{Exporter, Loss, Lost, Outcome, Running},
        otlp::{
            answer::Answer,
            client::untraced,
            encode::{Encoder, Part},
            retry::{self, Sent, Throttle},
        },
    },
    text::legible,
};

/// Sends to one collector.
pub(super) struct OtlpExporter {
    pub(super) encoder: Encoder,
    pub(super) transport: Transport,
    pub(super) throttle: Throttle,
    /// For one batch, with all its attempts.
    pub(super) timeout: Option<Duration>,
}

/// How a body is put on the wire.
pub(super) enum Transport {
    #[cfg(feature = "otlp-http")]
    Http(Http),
    #[cfg(feature = "otlp-grpc")]
    Grpc(Grpc),
}

impl Exporter for OtlpExporter {
    fn export(self: Arc<Self>, batch: Vec<SpanData>, deadline: Instant) -> Running<Outcome> {
        Box::pin(untraced(async move {
            let started = Instant::now();
            let own = self.timeout.and_then(|timeout| started.checked_add(timeout));
            let deadline = own.map_or(deadline, |own| own.min(deadline));
            let mut outcome = Outcome::exported();
            for part in self.encoder.parts(batch) {
                add(&mut outcome, self.send(part, started, deadline).await);
            }
            outcome
        }))
    }
}

impl OtlpExporter {
    async fn send(&self, part: Part, started: Instant, deadline: Instant) -> Outcome {
        let body = match part.body {
            Ok(body) => body,
            Err(reason) => return Outcome::lost(part.spans, Loss::Rejected, reason),
        };
        let attempt = || self.transport.attempt(body.clone(), deadline);
        match retry::send(attempt, &self.throttle, started, deadline).await {
            Sent::Taken { rejected: 0, .. } => Outcome::exported(),
            Sent::Taken { rejected, reason } => {
                Outcome::lost(rejected.min(part.spans), Loss::Rejected, legible(&reason))
            }
            Sent::Lost { loss, reason } => Outcome::lost(part.spans, loss, reason),
        }
    }
}

impl Transport {
    #[cfg_attr(not(feature = "otlp-grpc"), expect(unused_variables, reason = "gRPC tells it"))]
    async fn attempt(&self, body: Bytes, deadline: Instant) -> Answer {
        match self {
            #[cfg(feature = "otlp-http")]
            Self::Http(http) => http.attempt(body).await,
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(grpc) => grpc.attempt(body, deadline).await,
        }
    }
}

/// One account of several parts, for the reason that has cost the most.
fn add(outcome: &mut Outcome, part: Outcome) {
    let Some(lost) = part.lost else {
        return;
    };
    outcome.lost = Some(match outcome.lost.take() {
        None => lost,
        Some(before) => {
            let spans = before.spans.saturating_add(lost.spans);
            let worst = if lost.spans > before.spans { lost } else { before };
            Lost { spans, ..worst }
        }
    });
}
