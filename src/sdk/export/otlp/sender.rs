//! The sending half: takes encoded requests to one collector, and adds up what became of them.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

#[cfg(feature = "otlp-grpc")]
use crate::sdk::export::otlp::grpc::Grpc;
#[cfg(feature = "otlp-http")]
use crate::sdk::export::otlp::http::Http;
use crate::{
    sdk::export::{
        exporter::{Loss, Lost, Outcome},
        otlp::{
            answer::Answer,
            compression::Compression,
            encode::Encoded,
            protocol::Protocol,
            retry::{self, Sent, Throttle},
        },
    },
    text::legible,
};

/// Sends one signal's requests. Connections are tasks of the runtime that it is used in, so it is
/// used in one alone, and [`untraced`](super::client::untraced).
pub(super) struct Sender {
    pub(super) transport: Transport,
    pub(super) protocol: Protocol,
    pub(super) compression: Compression,
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

impl Sender {
    /// Sends what `encode` makes of a batch, one request after another, each again where that
    /// helps, and gives up at the deadline or after its own timeout.
    pub(super) async fn send(
        &self,
        encode: impl FnOnce() -> Vec<Encoded>,
        deadline: Instant,
    ) -> Outcome {
        let started = Instant::now();
        let own = self.timeout.and_then(|timeout| started.checked_add(timeout));
        let deadline = own.map_or(deadline, |own| own.min(deadline));
        let mut outcome = Outcome::exported();
        for Encoded { items, bytes } in encode() {
            let body = bytes.and_then(|bytes| self.compressed(bytes));
            add(&mut outcome, self.send_one(items, body, started, deadline).await);
        }
        outcome
    }

    async fn send_one(
        &self,
        items: u64,
        body: Result<Vec<u8>, String>,
        started: Instant,
        deadline: Instant,
    ) -> Outcome {
        let body = match body {
            Ok(body) => Bytes::from(body),
            Err(reason) => return Outcome::lost(items, Loss::Rejected, reason),
        };
        let attempt = || self.transport.attempt(body.clone(), deadline);
        match retry::send(attempt, &self.throttle, started, deadline).await {
            Sent::Taken { rejected: 0, .. } => Outcome::exported(),
            Sent::Taken { rejected, reason } => {
                Outcome::lost(rejected.min(items), Loss::Rejected, legible(&reason))
            }
            Sent::Lost { loss, reason } => Outcome::lost(items, loss, reason),
        }
    }

    /// Over HTTP; a message of gRPC is compressed where it is framed.
    fn compressed(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match self.protocol {
            Protocol::Grpc => Ok(bytes),
            _ => self.compression.apply(bytes),
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

/// One account of several requests, for the reason that has cost the most.
fn add(outcome: &mut Outcome, part: Outcome) {
    let Some(lost) = part.lost else {
        return;
    };
    outcome.lost = Some(match outcome.lost.take() {
        None => lost,
        Some(before) => {
            let items = before.items.saturating_add(lost.items);
            let worst = if lost.items > before.items { lost } else { before };
            Lost { items, ..worst }
        }
    });
}
