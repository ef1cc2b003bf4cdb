//! The OTLP exporter: its settings, and what is built of them.

use std::{fmt, time::Duration};

use http::{HeaderMap, Uri, uri::Authority};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;

use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        export::{
            Protocol,
            endpoint::Endpoint,
            exporter::Target,
            foreign, headers,
            http::{Client, Proxies},
        },
    },
};

/// [The default][timeout].
///
/// [timeout]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// No limit, for an exporter that must have one, and as long as clocks can add.
const UNLIMITED: Duration = Duration::from_secs(u32::MAX as u64);

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
/// An `https` endpoint's certificate is checked against the system's roots.
#[must_use]
#[derive(Default)]
pub struct Otlp {
    protocol: Option<Result<Protocol, BuildError>>,
    endpoint: Option<Endpoint>,
    headers: Vec<(String, String)>,
    timeout: Option<Duration>,
}

impl Otlp {
    /// Nothing set: all from the environment, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the collector's base URL; [`/v1/traces` is appended][appended], as it is to
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`. Default: `http://localhost:4318`.
    ///
    /// What is no URL with `http` or `https` is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    ///
    /// [appended]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
    pub fn with_endpoint(mut self, base_url: impl Into<String>) -> Self {
        self.endpoint = Some(Endpoint::Base(base_url.into()));
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
    pub fn with_traces_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(Endpoint::Traces(url.into()));
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
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// What no HTTP header can hold, and a header that describes the message itself, such as
    /// `Content-Type`, is an error of
    /// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build).
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how long one attempt to export may take, and how long after the first one a failed
    /// export is tried again. Default: 10 seconds; zero is no limit.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn resolve(self, env: &mut Env) -> Result<Resolved, BuildError> {
        let timeout = self.timeout.unwrap_or_else(|| timeout_from_env(env));
        Ok(Resolved {
            protocol: match self.protocol {
                Some(protocol) => protocol?,
                None => protocol_from_env(env),
            },
            endpoint: Endpoint::resolve(self.endpoint, env)?,
            headers: headers::resolve(self.headers, env)?,
            timeout: (!timeout.is_zero()).then(|| timeout.min(UNLIMITED)),
            proxies: if env.is_process() { Proxies::FromProcess } else { Proxies::None },
        })
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Otlp")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// Settings that have been looked at and found good.
pub(crate) struct Resolved {
    protocol: Protocol,
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Option<Duration>,
    proxies: Proxies,
}

impl Resolved {
    /// What the exporter is called in a message: where it sends to, without userinfo and query.
    pub(crate) fn name(&self) -> String {
        let authority = self.endpoint.authority().map_or("", Authority::as_str);
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("OTLP to {host}{}", self.endpoint.path())
    }

    pub(crate) fn build(
        self,
    ) -> Result<impl FnOnce(&Resource) -> Target + Send + Sync + 'static, BuildError> {
        let name = self.name();
        let exporter = self.exporter()?;
        Ok(move |resource: &Resource| Target { name, ..foreign::target(exporter, resource) })
    }

    fn exporter(self) -> Result<SpanExporter, BuildError> {
        let name = self.name();
        let Self { protocol, endpoint, headers, timeout, proxies } = self;
        let protocol = match protocol {
            Protocol::HttpProtobuf => opentelemetry_otlp::Protocol::HttpBinary,
        };
        SpanExporter::builder()
            .with_http()
            // It would log the endpoint, so it gets one that holds no secret; the client has ours.
            .with_endpoint("http://collector")
            .with_http_client(Client::new(endpoint, headers, timeout, proxies))
            .with_protocol(protocol)
            .with_timeout(timeout.unwrap_or(UNLIMITED))
            .build()
            .map_err(|error| {
                BuildError::new("OTLP exporter", name, error.to_string()).caused_by(error)
            })
    }
}

fn protocol_from_env(env: &mut Env) -> Protocol {
    const VARIABLES: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let Some((variable, name)) = env.first(VARIABLES) else {
        return Protocol::default();
    };
    name.parse().unwrap_or_else(|_: BuildError| {
        env.warn(variable, name, "is not a protocol of this version; http/protobuf is used");
        Protocol::default()
    })
}

fn timeout_from_env(env: &mut Env) -> Duration {
    const VARIABLES: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let millis = env.first(VARIABLES).and_then(|(variable, value)| {
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
        otlp.resolve(&mut Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>())).unwrap()
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
            (code(Duration::MAX), &[], Some(UNLIMITED)),
            (Otlp::new(), &[GENERAL, TRACES], seconds(2)),
            (Otlp::new(), &[GENERAL], seconds(1)),
            (Otlp::new(), &[GENERAL, BAD], seconds(10)),
            (Otlp::new(), &[NONE], None),
            (Otlp::new(), &[], seconds(10)),
        ] {
            assert_eq!(resolved(otlp, variables).timeout, timeout, "{variables:?}");
        }
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
}
