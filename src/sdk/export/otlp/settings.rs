//! The OTLP exporter: its settings, and what is built of them for each signal.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, Entry, USER_AGENT},
    uri::Authority,
};
use percent_encoding::percent_decode_str;

#[cfg(feature = "otlp-grpc")]
use crate::sdk::export::otlp::grpc::Grpc;
#[cfg(feature = "otlp-http")]
use crate::sdk::export::otlp::http::Http;
#[cfg(feature = "logs")]
use crate::sdk::{export::otlp::logs::exporter::LogExporter, logs::record::LogData};
#[cfg(feature = "metrics")]
use crate::sdk::{export::otlp::metrics::exporter::MetricExporter, metrics::collected::Collected};
use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::{
            Compression, Protocol,
            exporter::Target,
            otlp::{
                connect::Connector,
                endpoint::{self, Endpoint},
                headers,
                proxy::{self, Proxy},
                retry::Throttle,
                sender::{Sender, Transport},
                signal::Signal,
                tls::{self, Tls},
                traces::exporter::SpanExporter,
            },
        },
    },
};

/// [The default][timeout].
///
/// [timeout]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many batches are on their way at once.
const CONCURRENCY: usize = 16;
/// Who sends: [this crate, then its exporter][agent].
///
/// [agent]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#user-agent
const AGENT: &str = concat!(
    env!("CARGO_PKG_NAME"),
    "/",
    env!("CARGO_PKG_VERSION"),
    " OTel-OTLP-Exporter-Rust/",
    env!("CARGO_PKG_VERSION")
);

/// The settings of the OTLP exporter.
///
/// What is not set here comes from the environment, or else is the default: protobuf over HTTP to
/// `http://localhost:4318/v1/traces`, within 10 seconds. See the
/// [variables](crate::sdk#environment).
///
/// ```
/// use std::time::Duration;
///
/// use tower_telemetry::{Telemetry, sdk::export::Otlp};
///
/// let telemetry = Telemetry::builder()
///     .with_otlp(
///         Otlp::new()
///             .with_endpoint("https://otlp.example")
///             .with_header("x-api-key", "secret")
///             .with_timeout(Duration::from_secs(5)),
///     )
///     .build()?;
/// assert_eq!(telemetry.destinations().next(), Some("OTLP to otlp.example/v1/traces"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// One value can be handed to each signal: each appends its own path to the endpoint, and asks its
/// own variables before the general ones.
///
/// # How a batch is sent
///
/// Up to 16 batches are on their way at once. One that meets a collector that is busy, or none, is
/// sent again until its time is over: after up to 200 ms, then up to twice as much each time, to 5
/// seconds at most, and never before the collector's `Retry-After` or `RetryInfo`, which all
/// batches wait for, and which is taken for an hour if it is more. What [may be sent again][retry]
/// is the specification's to say: HTTP's 429, 502, 503 and 504, gRPC's `UNAVAILABLE` and the like,
/// and a connection that failed. Any other answer is a refusal, also a redirect, and a connection
/// whose certificate is not believed is not tried again.
///
/// A batch that would make a request of more than 20 MiB, or 4 MiB over gRPC, which is what
/// receivers take by default, is sent in halves; a single span is sent up to 64 MiB.
///
/// # TLS
///
/// An `https` endpoint's certificate is checked against the system's roots, or against
/// [those given](Self::with_ca_certificate) and no others. All certificates are read while the
/// telemetry is built, and one that cannot be used is an error then.
///
/// [retry]: https://opentelemetry.io/docs/specs/otlp/#failures
#[must_use]
#[derive(Clone, Default)]
pub struct Otlp {
    protocol: Option<Result<Protocol, BuildError>>,
    base_url: Option<String>,
    urls: Vec<(Signal, String)>,
    headers: Vec<(String, String)>,
    timeout: Option<Duration>,
    compression: Option<Result<Compression, BuildError>>,
    proxy: Option<proxy::Choice>,
    tls: tls::Given,
}

impl Otlp {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the collector's base URL; [the signal's path is appended][appended], `/v1/traces` for
    /// one, as it is to `OTEL_EXPORTER_OTLP_ENDPOINT`. Default: `http://localhost:4318`.
    ///
    /// For gRPC it is scheme, host and port; the default is `http://localhost:4317`. Without a
    /// scheme it is `https`, unless `OTEL_EXPORTER_OTLP_INSECURE` is `true`; a path is an error.
    ///
    /// What is no URL with `http` or `https` is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    ///
    /// [appended]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
    pub fn with_endpoint(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self.urls.clear();
        self
    }

    /// Sets the URL for traces, which is taken as it is, as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
    /// is. Of this and [`with_endpoint`](Self::with_endpoint) the later call counts.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::export::Otlp};
    ///
    /// let otlp = Otlp::new().with_traces_endpoint("http://collector:4318/intake");
    /// let telemetry = Telemetry::builder().with_otlp(otlp).build()?;
    /// assert_eq!(telemetry.destinations().next(), Some("OTLP to collector:4318/intake"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_traces_endpoint(self, url: impl Into<String>) -> Self {
        self.with_url(Signal::Traces, url.into())
    }

    /// Sets the URL for metrics, which is taken as it is, as `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`
    /// is. Of this and [`with_endpoint`](Self::with_endpoint) the later call counts.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::Otlp;
    ///
    /// let otlp = Otlp::new().with_metrics_endpoint("http://user:s3cret@metrics:9090/api/v1/otlp");
    /// assert!(format!("{otlp:?}").contains("http://REDACTED@metrics:9090/api/v1/otlp"));
    /// ```
    #[cfg(feature = "metrics")]
    pub fn with_metrics_endpoint(self, url: impl Into<String>) -> Self {
        self.with_url(Signal::Metrics, url.into())
    }

    /// Sets the URL for logs, which is taken as it is, as `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` is. Of
    /// this and [`with_endpoint`](Self::with_endpoint) the later call counts.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::Otlp;
    ///
    /// let otlp = Otlp::new().with_logs_endpoint("http://user:s3cret@logs:3100/otlp/v1/logs");
    /// assert!(format!("{otlp:?}").contains("http://REDACTED@logs:3100/otlp/v1/logs"));
    /// ```
    #[cfg(feature = "logs")]
    pub fn with_logs_endpoint(self, url: impl Into<String>) -> Self {
        self.with_url(Signal::Logs, url.into())
    }

    fn with_url(mut self, signal: Signal, url: String) -> Self {
        self.urls.retain(|(of, _)| *of != signal);
        self.urls.push((signal, url));
        self
    }

    /// Sets the protocol, a [`Protocol`] or its name. Default: `http/protobuf`.
    ///
    /// A name that is not known is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_protocol<P>(mut self, protocol: P) -> Self
    where
        P: TryInto<Protocol>,
        P::Error: Into<BuildError>,
    {
        self.protocol = Some(protocol.try_into().map_err(Into::into));
        self
    }

    /// Sends a header along, an API key for one. It wins over one of the same name in
    /// `OTEL_EXPORTER_OTLP_HEADERS`. What that variable has goes to every OTLP exporter of the
    /// process: a key that is one vendor's alone is better said here.
    ///
    /// What no HTTP header can hold, and a header that describes the message itself, such as
    /// `Content-Type`, is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long a batch may take, with [all attempts](Self#how-a-batch-is-sent). Default: 10
    /// seconds; zero is no limit but that of the processor.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets what requests are compressed with, a [`Compression`] or its name. Default: nothing.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::{Compression, Otlp};
    ///
    /// let otlp = Otlp::new().with_compression(Compression::Gzip);
    /// assert!(format!("{otlp:?}").contains("Gzip"));
    /// ```
    ///
    /// One that is not compiled in is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build) that names the feature.
    pub fn with_compression<C>(mut self, compression: C) -> Self
    where
        C: TryInto<Compression>,
        C::Error: Into<BuildError>,
    {
        self.compression = Some(compression.try_into().map_err(Into::into));
        self
    }

    /// Believes the certificates in this PEM, and no others: not the system's. Default: the
    /// system's.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::export::Otlp};
    ///
    /// let otlp = Otlp::new().with_endpoint("https://collector").with_ca_certificate("no PEM");
    /// let error = Telemetry::builder().with_otlp(otlp).build().unwrap_err();
    /// assert_eq!(error.setting(), "OTLP CA certificate");
    /// ```
    ///
    /// What is no certificate, and one for an `http` endpoint, is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.ca = Some(pem.into());
        self
    }

    /// Shows this certificate, with those that lead to its root, and proves it with this key, both
    /// in PEM, to a collector that asks for one. Default: none.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::export::Otlp};
    ///
    /// let otlp = Otlp::new().with_client_certificate("certificate", "s3cret key");
    /// assert!(!format!("{otlp:?}").contains("s3cret"));
    /// // The default endpoint is no `https`, and would never ask for it.
    /// let error = Telemetry::builder().with_otlp(otlp).build().unwrap_err();
    /// assert_eq!(error.setting(), "OTLP client certificate");
    /// ```
    ///
    /// What is no certificate or no key, a key of another certificate, and both for an `http`
    /// endpoint, is an error of [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.client = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// Sends through this proxy: `http://` or `https://`, by `CONNECT` where the endpoint is
    /// `https` or the protocol gRPC, or `socks5://`, or `socks5h://` if the proxy is to look up
    /// names. User and password go before the host. Default: the proxy that `HTTPS_PROXY`,
    /// `HTTP_PROXY` or `ALL_PROXY` name, unless the endpoint is among those of `NO_PROXY` or on
    /// this machine.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, sdk::export::Otlp};
    ///
    /// let otlp = Otlp::new()
    ///     .with_endpoint("http://collector.example:4318")
    ///     .with_proxy("http://user:s3cret@proxy.example:3128");
    /// assert!(!format!("{otlp:?}").contains("s3cret"));
    /// assert!(Telemetry::builder().with_otlp(otlp).build().is_ok());
    /// ```
    ///
    /// What is no such URL is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(proxy::Choice::Url(url.into()));
        self
    }

    /// Sends through no proxy, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.proxy = Some(proxy::Choice::None);
        self
    }

    /// The settings for one signal, from code over the environment over the defaults.
    pub(crate) fn resolve(self, signal: Signal, env: &mut Env) -> Result<Resolved, BuildError> {
        let timeout = self.timeout.unwrap_or_else(|| timeout_from_env(signal, env));
        let protocol = Protocol::resolve(self.protocol, signal, env)?;
        let own = self.urls.into_iter().find(|(of, _)| *of == signal);
        let given = own.map(|(_, url)| Endpoint::OfSignal(url));
        let given = given.or(self.base_url.map(Endpoint::Base));
        let endpoint = Endpoint::resolve(given, protocol, signal, env)?;
        let proxy = Proxy::resolve(self.proxy, &endpoint, protocol, env)?;
        let tls_to_proxy =
            proxy.as_ref().is_some_and(|proxy| proxy.uri.scheme_str() == Some("https"));
        let alpn = if protocol == Protocol::Grpc { "h2" } else { "http/1.1" };
        let tls = Tls::resolve(self.tls, &endpoint, tls_to_proxy, alpn, signal, env)?;
        let headers = headers::resolve(self.headers, protocol, signal, env)?;
        let (endpoint, credentials) = without_userinfo(endpoint);
        Ok(Resolved {
            signal,
            protocol,
            headers: complete(headers.clone(), credentials),
            named: headers.keys().cloned().collect(),
            endpoint,
            timeout: (!timeout.is_zero()).then_some(timeout),
            compression: Compression::resolve(self.compression, signal, env)?,
            proxy,
            tls,
        })
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let endpoint = self.base_url.clone().map(Endpoint::Base);
        let url = |(signal, url): &(Signal, String)| (*signal, Endpoint::OfSignal(url.clone()));
        let urls: Vec<_> = self.urls.iter().map(url).collect();
        f.debug_struct("Otlp")
            .field("protocol", &self.protocol)
            .field("endpoint", &endpoint)
            .field("urls", &urls)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("proxy", &self.proxy)
            .field("ca_certificate", &self.tls.ca.is_some())
            .field("client_certificate", &self.tls.client.is_some())
            .finish()
    }
}

/// Settings that have been looked at and found good.
pub(crate) struct Resolved {
    signal: Signal,
    protocol: Protocol,
    /// Without userinfo, which is among the headers.
    endpoint: Uri,
    headers: HeaderMap,
    /// Those of the headers that were asked for.
    named: Vec<HeaderName>,
    timeout: Option<Duration>,
    compression: Compression,
    proxy: Option<Proxy>,
    tls: Option<Tls>,
}

impl Resolved {
    /// What the exporter is called in a message: where it sends to, without userinfo and query.
    pub(crate) fn name(&self) -> String {
        let host = self.endpoint.authority().map_or("", Authority::as_str);
        match self.protocol {
            Protocol::Grpc => format!("OTLP to {host}"),
            _ => format!("OTLP to {host}{}", self.endpoint.path()),
        }
    }

    /// What is in force, without secrets.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let scheme = self.endpoint.scheme_str().unwrap_or_default();
        let host = self.endpoint.authority().map_or("", Authority::as_str);
        let path = if self.protocol == Protocol::Grpc { "" } else { self.endpoint.path() };
        let names: Vec<&str> = self.named.iter().map(HeaderName::as_str).collect();
        let none = || "none".to_owned();
        let tls = match &self.tls {
            Some(tls) if scheme == "https" => {
                let roots = if tls.own_ca { "own CA" } else { "system roots" };
                let client = if tls.client_certificate { ", client certificate" } else { "" };
                format!("{roots}{client}")
            }
            _ => none(),
        };
        vec![
            ("protocol", self.protocol.to_string()),
            ("endpoint", format!("{scheme}://{host}{path}")),
            ("timeout", self.timeout.map_or_else(none, |timeout| format!("{timeout:?}"))),
            ("compression", self.compression.to_string()),
            ("headers", if names.is_empty() { none() } else { names.join(", ") }),
            ("proxy", self.proxy.as_ref().map_or_else(none, Proxy::name)),
            ("TLS", tls),
        ]
    }

    /// The exporter's [`otel.component.type`](Signal::component_type).
    pub(crate) fn component_type(&self) -> &'static str {
        self.signal.component_type(self.protocol)
    }

    /// `server.address`.
    pub(crate) fn server_address(&self) -> &str {
        endpoint::host(&self.endpoint)
    }

    /// `server.port`.
    pub(crate) fn server_port(&self) -> u16 {
        endpoint::port(&self.endpoint)
    }

    /// The exporter of spans, which nothing can keep from being made.
    pub(crate) fn target(self) -> Target {
        Target {
            name: self.name(),
            component_type: self.component_type(),
            concurrency: CONCURRENCY,
            server_address: Some(self.server_address().to_owned()),
            server_port: Some(self.server_port()),
            make: Box::new(move |resource| Arc::new(SpanExporter::new(resource, self.sender()))),
        }
    }

    /// The exporter of log records.
    #[cfg(feature = "logs")]
    pub(crate) fn log_target(self) -> Target<LogData> {
        Target {
            name: self.name(),
            component_type: self.component_type(),
            concurrency: CONCURRENCY,
            server_address: Some(self.server_address().to_owned()),
            server_port: Some(self.server_port()),
            make: Box::new(move |resource| Arc::new(LogExporter::new(resource, self.sender()))),
        }
    }

    /// The exporter of metrics. One collection comes after the other.
    #[cfg(feature = "metrics")]
    pub(crate) fn metric_target(self) -> Target<Collected> {
        Target {
            name: self.name(),
            component_type: self.component_type(),
            concurrency: 1,
            server_address: Some(self.server_address().to_owned()),
            server_port: Some(self.server_port()),
            make: Box::new(move |_| Arc::new(MetricExporter::new(self.sender()))),
        }
    }

    /// What the signal's requests are sent with. To be called where they are, and again in a
    /// process that was forked: connections are that runtime's.
    pub(super) fn sender(&self) -> Sender {
        Sender {
            transport: self.transport(),
            protocol: self.protocol,
            compression: self.compression,
            throttle: Throttle::default(),
            timeout: self.timeout,
        }
    }

    fn transport(&self) -> Transport {
        let to_endpoint = self.tls.as_ref().map(|tls| Arc::clone(&tls.config));
        let to_proxy = self.tls.as_ref().map(Tls::for_proxy);
        let connector = Connector::new(self.proxy.clone(), to_endpoint, to_proxy);
        let (endpoint, headers) = (self.endpoint.clone(), self.headers.clone());
        match self.protocol {
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => Transport::Grpc(Grpc::new(
                connector,
                endpoint,
                self.signal,
                headers,
                self.compression,
            )),
            #[cfg(feature = "otlp-http")]
            protocol => Transport::Http(Http::new(
                connector,
                endpoint,
                self.signal,
                headers,
                protocol,
                self.compression,
                self.proxy.as_ref(),
            )),
            #[cfg(not(feature = "otlp-http"))]
            _ => Transport::Grpc(Grpc::new(
                connector,
                endpoint,
                self.signal,
                headers,
                self.compression,
            )),
        }
    }
}

/// The URL as it is sent and shown, and what it had in front of its host, as a header.
fn without_userinfo(url: Uri) -> (Uri, Option<HeaderValue>) {
    let authority = url.authority().map_or("", Authority::as_str);
    let Some((userinfo, host)) = authority.rsplit_once('@') else {
        return (url, None);
    };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let plain: Vec<u8> = percent_decode_str(user)
        .chain([b':'].iter().copied())
        .chain(percent_decode_str(password))
        .collect();
    // Base64 is always fit for a header.
    let mut credentials = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain))).ok();
    if let Some(credentials) = &mut credentials {
        credentials.set_sensitive(true);
    }
    let authority = host.parse().ok();
    let mut parts = url.clone().into_parts();
    parts.authority = authority;
    (Uri::from_parts(parts).unwrap_or(url), credentials)
}

/// With what is sent unless the user has set it.
fn complete(mut headers: HeaderMap, credentials: Option<HeaderValue>) -> HeaderMap {
    if let Entry::Vacant(vacant) = headers.entry(USER_AGENT) {
        vacant.insert(HeaderValue::from_static(AGENT));
    }
    if let Entry::Vacant(vacant) = headers.entry(AUTHORIZATION)
        && let Some(credentials) = credentials
    {
        vacant.insert(credentials);
    }
    headers
}

fn timeout_from_env(signal: Signal, env: &mut Env) -> Duration {
    let millis = env.first(signal.variables().timeout).and_then(|(variable, value)| {
        env.parse(variable, value, "must be milliseconds, 0 or more", |_| true)
    });
    millis.map_or(DEFAULT_TIMEOUT, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn resolved(otlp: Otlp, variables: &[(&str, &str)]) -> Resolved {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
        otlp.resolve(Signal::Traces, &mut env).unwrap()
    }

    #[test]
    fn the_timeout_is_from_code_or_the_signals_variable_or_the_general_one_or_ten_seconds() {
        const GENERAL: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
        const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000");
        const BAD: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon");
        const NONE: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "0");
        let code = |timeout| Otlp::new().with_timeout(timeout);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (otlp, variables, timeout) in [
            (code(Duration::from_secs(3)), &[GENERAL, TRACES][..], seconds(3)),
            (code(Duration::ZERO), &[GENERAL], None),
            (code(Duration::MAX), &[], Some(Duration::MAX)),
            (Otlp::new(), &[GENERAL, TRACES], seconds(2)),
            (Otlp::new(), &[GENERAL], seconds(1)),
            (Otlp::new(), &[GENERAL, BAD], seconds(10)),
            (Otlp::new(), &[NONE], None),
            (Otlp::new(), &[], seconds(10)),
        ] {
            assert_eq!(resolved(otlp, variables).timeout, timeout, "{variables:?}");
        }
    }

    #[cfg(all(feature = "metrics", feature = "logs"))]
    #[test]
    fn one_value_serves_all_signals_and_each_has_its_own_path_and_variables() {
        let of = |otlp: &Otlp, signal, variables: &[(&str, &str)]| {
            let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
            let resolved = otlp.clone().resolve(signal, &mut env).unwrap();
            (resolved.name(), resolved.component_type(), resolved.timeout.unwrap().as_millis())
        };
        let signals = [Signal::Traces, Signal::Metrics, Signal::Logs];
        let all = |otlp: &Otlp, variables: &[(&str, &str)]| {
            signals.map(|signal| of(otlp, signal, variables).0.replace("OTLP to ", ""))
        };

        let plain = Otlp::new();
        let base = Otlp::new().with_endpoint("http://code:1/base");
        let metrics = base.clone().with_metrics_endpoint("http://code:2/as/is");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://own:2/as/is"),
        ];
        for (otlp, variables, expected) in [
            (&plain, &[][..], ["localhost:4318"; 3].map(|host| (host, None))),
            (
                &plain,
                &variables,
                [("general:1", None), ("own:2", Some("/as/is")), ("general:1", None)],
            ),
            (&base, &variables, ["code:1/base"; 3].map(|host| (host, None))),
            (
                &metrics,
                &variables,
                [("code:1/base", None), ("code:2", Some("/as/is")), ("code:1/base", None)],
            ),
            // The later call counts.
            (
                &metrics.clone().with_endpoint("http://code:3"),
                &[],
                ["code:3"; 3].map(|host| (host, None)),
            ),
        ] {
            let paths = ["/v1/traces", "/v1/metrics", "/v1/logs"];
            let expected = [0, 1, 2].map(|at| {
                let (host, path) = expected[at];
                format!("{host}{}", path.unwrap_or(paths[at]))
            });
            assert_eq!(all(otlp, variables), expected);
        }

        let timeouts = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ];
        let seen = signals.map(|signal| {
            let (_, component_type, timeout) = of(&plain, signal, &timeouts);
            (component_type, timeout)
        });
        let expected = [
            ("otlp_http_span_exporter", 1),
            ("otlp_http_metric_exporter", 2),
            ("otlp_http_log_exporter", 3),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn neither_name_nor_debug_tells_a_secret() {
        let otlp = || {
            Otlp::new()
                .with_traces_endpoint("http://user:s3cret@host:1/path?key=s3cret")
                .with_header("x-api-key", "s3cret")
        };
        assert_eq!(resolved(otlp(), &[]).name(), "OTLP to host:1/path");
        let shown = format!("{:?}", otlp());
        assert!(shown.contains("x-api-key") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn what_is_in_force_is_described_without_secrets() {
        let otlp = Otlp::new()
            .with_endpoint("https://user:s3cret@collector.example/in?key=s3cret")
            .with_header("x-api-key", "s3cret")
            .with_proxy("http://user:s3cret@proxy:3128");
        let described =
            resolved(otlp, &[("OTEL_EXPORTER_OTLP_HEADERS", "x-env=s3cret")]).describe();
        let expected = [
            ("protocol", "http/protobuf"),
            ("endpoint", "https://collector.example/in/v1/traces"),
            ("timeout", "10s"),
            ("compression", "none"),
            ("headers", "x-env, x-api-key"),
            ("proxy", "proxy:3128"),
            ("TLS", "system roots"),
        ];
        let own = |expected: &[(&'static str, &str)]| -> Vec<_> {
            expected.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        };
        assert_eq!(described, own(&expected));

        let described = resolved(Otlp::new().with_timeout(Duration::ZERO), &[]).describe();
        let expected = [
            ("protocol", "http/protobuf"),
            ("endpoint", "http://localhost:4318/v1/traces"),
            ("timeout", "none"),
            ("compression", "none"),
            ("headers", "none"),
            ("proxy", "none"),
            ("TLS", "none"),
        ];
        assert_eq!(described, own(&expected));
    }

    #[test]
    fn a_target_says_what_it_is_and_where_it_sends_to() {
        let target = |otlp| {
            let target = resolved(otlp, &[]).target();
            (target.component_type, target.server_address, target.server_port, target.concurrency)
        };
        let to = |host: &str, port| (Some(host.to_owned()), Some(port));
        let (host, port) = to("::1", 443);
        let otlp = Otlp::new().with_endpoint("https://[::1]").with_protocol("http/protobuf");
        assert_eq!(target(otlp), ("otlp_http_span_exporter", host, port, 16));
        #[cfg(feature = "otlp-json")]
        {
            let (host, port) = to("collector", 80);
            let otlp = Otlp::new().with_endpoint("http://collector").with_protocol("http/json");
            assert_eq!(target(otlp), ("otlp_http_json_span_exporter", host, port, 16));
        }
        #[cfg(feature = "otlp-grpc")]
        {
            let (host, port) = to("localhost", 4317);
            let otlp = Otlp::new().with_protocol("grpc");
            assert_eq!(target(otlp), ("otlp_grpc_span_exporter", host, port, 16));
        }
    }
}
