//! The client under the OTLP exporter.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderMap, header};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use crate::sdk::export::ledger::Ledger;

/// A response says little; what is longer is not one of a collector. The [limit] is the
/// specification's.
///
/// [limit]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
const LONGEST_RESPONSE: u64 = 4 * 1024 * 1024;

/// Sends one request at a time on the thread that asks, which is the batch processor's own.
///
/// Blocking, so that it needs no runtime and cannot meet the wrong one; and ours, so that no
/// feature that another crate turns on chooses another.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    headers: HeaderMap,
    ledger: Arc<Ledger>,
}

impl Client {
    /// `timeout` is for the whole of one attempt; `None` is no limit.
    ///
    /// What the collector takes only in part is noted in `ledger`; the exporter logs it and calls
    /// it a success.
    pub(super) fn new(headers: HeaderMap, timeout: Option<Duration>, ledger: Arc<Ledger>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // To follow one would take the headers, and the key among them, to another place.
            .max_redirects(0)
            .timeout_global(timeout)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Self { agent: config.new_agent(), headers, ledger }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = self.send(request);
        self.ledger.explain(result.as_ref().err().map(ToString::to_string));
        let response = result?;
        if response.status().is_success() {
            self.note_rejected(response.body());
        }
        Ok(response)
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (mut parts, body) = request.into_parts();
        // Of the exporter's own headers those that describe the body and itself. It reads the
        // process's environment for more, which may not be the one that was asked for.
        let described = [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::USER_AGENT];
        let mut headers = self.headers.clone();
        for name in described {
            if let Some(value) = parts.headers.remove(&name) {
                headers.insert(name, value);
            }
        }
        parts.headers = headers;
        let response = self.agent.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(LONGEST_RESPONSE).read_to_vec()?;
        Ok(Response::from_parts(parts, Bytes::from(body)))
    }

    /// A [partial success] may not be repeated, so what was refused is lost.
    ///
    /// [partial success]: https://opentelemetry.io/docs/specs/otlp/#partial-success
    fn note_rejected(&self, body: &[u8]) {
        // A body that is no response of OTLP says nothing; the status does.
        let response = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let Some(partial) = response.partial_success else {
            return;
        };
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or_default();
        if rejected > 0 {
            self.ledger.note(rejected, format!("refused: {}", partial.error_message));
        }
    }
}
