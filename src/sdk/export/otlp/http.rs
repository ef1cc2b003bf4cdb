//! One attempt over HTTP.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, PROXY_AUTHORIZATION, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use prost::Message;
use tokio::time::timeout;

use crate::{
    sdk::export::otlp::{
        answer::{Answer, LONGEST},
        client::{Version, client},
        compression::Compression,
        connect::Connector,
        protocol::Protocol,
        proxy::{Proxy, Way},
        response::Response,
        signal::Signal,
        status::Status,
    },
    text::legible,
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// How long a collector may take to say what it has against a request, once it has its status.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends bodies to one URL.
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    uri: Uri,
    #[cfg_attr(not(feature = "otlp-json"), expect(dead_code, reason = "JSON alone names it"))]
    signal: Signal,
    headers: HeaderMap,
}

impl Http {
    pub(super) fn new(
        connector: Connector,
        uri: Uri,
        signal: Signal,
        mut headers: HeaderMap,
        protocol: Protocol,
        compression: Compression,
        proxy: Option<&Proxy>,
    ) -> Self {
        let json = protocol == Protocol::HttpJson;
        let content_type = if json { JSON } else { PROTOBUF };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        match compression {
            Compression::None => {}
            Compression::Gzip => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            Compression::Zstd => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
            }
        }
        if let Some(Proxy { way: Way::Forward(Some(credentials)), .. }) = proxy {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        Self { client: client(connector.clone(), Version::Http1), connector, uri, signal, headers }
    }

    pub(super) async fn attempt(&self, body: Bytes) -> Answer {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Answer::failed(&error, &self.connector),
        };
        let (head, body) = response.into_parts();
        let json = head.headers.get(CONTENT_TYPE).is_some_and(is_json);
        let whole = Limited::new(body, LONGEST).collect();
        let whole = if head.status.is_success() {
            whole.await
        } else {
            // What is said of a failure is not worth the time for another attempt.
            timeout(PATIENCE, whole).await.unwrap_or_else(|elapsed| Err(elapsed.into()))
        };
        let body = match whole {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Answer::Refused(format!(
                    "answered {} at a length beyond 4 MiB",
                    head.status
                ));
            }
            // Nor is it worth an attempt of its own.
            Err(_) if !head.status.is_success() => Bytes::new(),
            Err(error) => return Answer::failed(&*error, &self.connector),
        };
        match head.status {
            status if status.is_success() => Answer::taken(self.response_in(&body, json)),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let pause = head.headers.get(RETRY_AFTER).and_then(retry_after);
                Answer::Busy { reason: answered(head.status, &body, json), pause }
            }
            status => Answer::Refused(answered(status, &body, json)),
        }
    }

    /// A body that is no response of OTLP says nothing; the status does.
    #[cfg_attr(not(feature = "otlp-json"), expect(clippy::unused_self, reason = "JSON needs it"))]
    fn response_in(&self, body: &[u8], json: bool) -> Response {
        if json {
            #[cfg(feature = "otlp-json")]
            return Response::from_json(body, self.signal);
            #[cfg(not(feature = "otlp-json"))]
            return Response::default();
        }
        Response::decode(body).unwrap_or_default()
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().to_ascii_lowercase().starts_with(JSON.as_bytes())
}

/// The status, and [what the collector says][failures] of it.
///
/// [failures]: https://opentelemetry.io/docs/specs/otlp/#failures-1
fn answered(status: StatusCode, body: &[u8], json: bool) -> String {
    let message =
        if json { message_in(body) } else { Status::decode(body).ok().map(|it| it.message) };
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("answered {status}: {}", legible(&message)),
        None => format!("answered {status}"),
    }
}

#[cfg(feature = "otlp-json")]
fn message_in(json: &[u8]) -> Option<String> {
    let status: serde_json::Value = serde_json::from_slice(json).ok()?;
    status.get("message")?.as_str().map(ToOwned::to_owned)
}

#[cfg(not(feature = "otlp-json"))]
fn message_in(_: &[u8]) -> Option<String> {
    None
}

/// Seconds, or [a date][header].
///
/// [header]: https://www.rfc-editor.org/rfc/rfc9110.html#section-10.2.3
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    if value.bytes().all(|digit| digit.is_ascii_digit()) && !value.is_empty() {
        // More than a number holds is for ever.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_seconds_or_a_date_or_nothing() {
        let of = |value: &str| retry_after(&HeaderValue::from_str(value).unwrap());
        assert_eq!(of("0"), Some(Duration::ZERO));
        assert_eq!(of(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(of("99999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
        let wait = of(&httpdate::fmt_http_date(in_an_hour)).unwrap();
        assert!((3590..=3600).contains(&wait.as_secs()), "{wait:?}");
        for nothing in ["", "-1", "soon", "1.5", "+1"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
    }
}
