//! The client under the OTLP exporter.

use std::{mem, time::Duration};

use async_trait::async_trait;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{self, Entry},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::{
    Agent, Proxy,
    tls::{RootCerts, TlsConfig},
};

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
    /// With userinfo, if there is any; the exporter, which logs its URL, is not told of that.
    endpoint: Uri,
    headers: HeaderMap,
}

/// Whether proxies are taken from the process's environment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proxies {
    FromProcess,
    None,
}

impl Client {
    /// `timeout` is for one attempt; `None` is no limit.
    ///
    /// What the collector takes only in part is noted in `ledger`; the exporter logs it and calls
    /// it a success.
    pub(super) fn new(
        endpoint: Uri,
        mut headers: HeaderMap,
        timeout: Option<Duration>,
        proxies: Proxies,
    ) -> Self {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // To follow one would take the headers, and the key among them, to another place.
            .max_redirects(0)
            .timeout_global(timeout)
            .proxy(match proxies {
                Proxies::FromProcess => Proxy::try_from_env(),
                Proxies::None => None,
            })
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .build();
        Self { agent: config.new_agent(), endpoint, headers }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let result = self.send(request);
        Ok(result?)
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (mut parts, body) = request.into_parts();
        // Of the exporter's headers only what it says of the body and of itself. It reads the
        // process's environment for more, which may not be the one that was asked for.
        let theirs = mem::replace(&mut parts.headers, self.headers.clone());
        if let Some(encoding) = theirs.get(header::CONTENT_ENCODING)
            && (encoding == "gzip" || encoding == "zstd")
        {
            parts.headers.insert(header::CONTENT_ENCODING, encoding.clone());
        }
        if let Entry::Vacant(vacant) = parts.headers.entry(header::USER_AGENT)
            && let Some(agent) = theirs.get(header::USER_AGENT).and_then(product)
        {
            vacant.insert(agent);
        }
        parts.uri = self.endpoint.clone();
        let response = self.agent.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(LONGEST_RESPONSE).read_to_vec()?;
        Ok(Response::from_parts(parts, Bytes::from(body)))
    }
}

/// Who sends: [this crate, then the exporter][agent].
///
/// [agent]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#user-agent
fn product(exporter: &HeaderValue) -> Option<HeaderValue> {
    const THIS: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    let exporter = exporter.to_str().ok()?;
    let product = format!("{THIS} {exporter}");
    if exporter.starts_with("OTel-OTLP-Exporter-Rust/") { product.parse().ok() } else { None }
}
