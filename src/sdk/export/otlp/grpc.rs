//! One attempt over gRPC.

use std::{
    error::Error,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{BufMut, Bytes};
use http::{Extensions, HeaderMap, Uri, uri::PathAndQuery};
use hyper_util::client::legacy::Client;
use prost::Message;
use tokio::time::Instant;
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
};

use crate::{
    sdk::export::otlp::{
        answer::{Answer, LONGEST},
        client::{Version, client},
        compression::Compression,
        connect::Connector,
        response::Response,
        signal::Signal,
        status,
    },
    text::legible,
};

/// Calls one collector.
pub(super) struct Grpc {
    current: Mutex<Current>,
    connector: Connector,
    origin: Uri,
    call: PathAndQuery,
    metadata: MetadataMap,
    compression: Compression,
}

/// All calls share a connection. One that nobody answers on may be dead without anybody knowing,
/// and would be for a quarter of an hour; so what is sent after that goes over another.
struct Current {
    client: Client<Connector, Body>,
    number: u64,
}

impl Grpc {
    pub(super) fn new(
        connector: Connector,
        origin: Uri,
        signal: Signal,
        headers: HeaderMap,
        compression: Compression,
    ) -> Self {
        let client = client(connector.clone(), Version::Http2);
        Self {
            current: Mutex::new(Current { client, number: 0 }),
            connector,
            origin,
            call: signal.call(),
            metadata: MetadataMap::from_headers(headers),
            compression,
        }
    }

    pub(super) async fn attempt(&self, body: Bytes, deadline: Instant) -> Answer {
        let (client, number) = {
            let current = self.current();
            (current.client.clone(), current.number)
        };
        let unanswered = Unanswered { grpc: self, number };
        let mut grpc = tonic::client::Grpc::with_origin(client, self.origin.clone())
            .max_decoding_message_size(LONGEST);
        match self.compression {
            Compression::None => {}
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                grpc = grpc.send_compressed(tonic::codec::CompressionEncoding::Gzip);
            }
            #[cfg(feature = "zstd")]
            Compression::Zstd => {
                grpc = grpc.send_compressed(tonic::codec::CompressionEncoding::Zstd);
            }
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            _ => {}
        }
        let metadata = self.metadata.clone();
        let mut request = tonic::Request::from_parts(metadata, Extensions::new(), body);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let result = grpc.unary(request, self.call.clone(), Encoded).await;
        mem::forget(unanswered);
        match result {
            Ok(response) => Answer::taken(response.into_inner()),
            // One that was not sent by anybody has its cause with it.
            Err(status) => match status.source() {
                Some(error) => Answer::failed(error, &self.connector),
                None if is_too_long(&status) => {
                    Answer::Refused("answered OK at a length beyond 4 MiB".to_owned())
                }
                None => answered(&status),
            },
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let go of before there was an answer.
struct Unanswered<'a> {
    grpc: &'a Grpc,
    number: u64,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let mut current = self.grpc.current();
        // Others may have found out before.
        if current.number == self.number {
            current.number += 1;
            current.client = client(self.grpc.connector.clone(), Version::Http2);
        }
    }
}

/// Whether tonic has made it of a response that is too long. Its code is one that is tried again
/// for, when a collector says it.
fn is_too_long(status: &Status) -> bool {
    status.code() == Code::OutOfRange
        && status.message().starts_with("Error, decoded message length too large")
}

/// Whether it is [worth another try][codes].
///
/// [codes]: https://opentelemetry.io/docs/specs/otlp/#failures
fn answered(status: &Status) -> Answer {
    let details = status::Status::decode(status.details()).unwrap_or_default();
    let pause = details.retry_delay();
    let name = name(status.code());
    let reason = match status.message() {
        "" => format!("answered {name}"),
        message => format!("answered {name}: {}", legible(message)),
    };
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Answer::Busy { reason, pause },
        Code::ResourceExhausted if pause.is_some() => Answer::Busy { reason, pause },
        _ => Answer::Refused(reason),
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Messages that are encoded already, since a batch may be sent again.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Response;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Response;
    type Error = Status;

    fn decode(&mut self, body: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        // It was taken, whatever it says of that.
        Ok(Some(Message::decode(body).unwrap_or_default()))
    }
}
