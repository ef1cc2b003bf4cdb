//! The protocol: how spans are put on the wire.

use std::{convert::Infallible, fmt, str::FromStr};

use crate::{
    error::BuildError,
    sdk::{env::Env, export::otlp::signal::Signal},
};

/// A way to put OTLP on the wire.
///
/// Each has a feature of this crate that it needs. One that is not compiled in is an error of
/// [`TelemetryBuilder::build`](crate::TelemetryBuilder::build) if code asks for it, and a
/// [warning](crate::Warning) and the default if the environment does. The default is
/// `http/protobuf`, whatever features there are: a program that is built with `otlp-grpc` alone
/// says that it wants [`Grpc`](Self::Grpc), and what another crate turns on changes nothing for it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in the body of an HTTP/1.1 request; the default, `http/protobuf`. Feature
    /// `otlp-http`.
    #[default]
    HttpProtobuf,
    /// JSON in the body of an HTTP/1.1 request, `http/json`. Larger and slower; for receivers that
    /// take nothing else. Feature `otlp-json`.
    HttpJson,
    /// gRPC over HTTP/2, `grpc`. Feature `otlp-grpc`.
    Grpc,
}

impl Protocol {
    /// From code, or the environment, or the default; and one that this build can speak.
    pub(super) fn resolve(
        code: Option<Result<Self, BuildError>>,
        signal: Signal,
        env: &mut Env,
    ) -> Result<Self, BuildError> {
        if let Some(protocol) = code {
            let protocol = protocol?;
            return match protocol.missing() {
                None => Ok(protocol),
                Some(feature) => Err(invalid(protocol, needs(feature))),
            };
        }
        let protocol = Self::from_env(signal, env);
        match protocol.missing() {
            None => Ok(protocol),
            Some(feature) => {
                let needs = needs(feature);
                let reason = format!(
                    "is the default, and {needs}; or choose another, by `with_protocol` or {}",
                    signal.variables().protocol[1]
                );
                Err(invalid(protocol, reason))
            }
        }
    }

    fn from_env(signal: Signal, env: &mut Env) -> Self {
        let Some((variable, name)) = env.first(signal.variables().protocol) else {
            return Self::default();
        };
        let reason = match name.parse().map(|protocol: Self| (protocol, protocol.missing())) {
            Ok((protocol, None)) => return protocol,
            Ok((_, Some(feature))) => needs(feature),
            Err(_) => "is not a protocol of this version".to_owned(),
        };
        env.warn(variable, name, format!("{reason}; {} is used", Self::default()));
        Self::default()
    }

    /// The feature that it needs, if this build does not have it.
    fn missing(self) -> Option<&'static str> {
        let (there, feature) = match self {
            Self::HttpProtobuf => (cfg!(feature = "otlp-http"), "otlp-http"),
            Self::HttpJson => (cfg!(feature = "otlp-json"), "otlp-json"),
            Self::Grpc => (cfg!(feature = "otlp-grpc"), "otlp-grpc"),
        };
        (!there).then_some(feature)
    }
}

fn needs(feature: &str) -> String {
    format!("needs the feature `{feature}` of tower-telemetry")
}

impl FromStr for Protocol {
    type Err = BuildError;

    /// Reads the name that `OTEL_EXPORTER_OTLP_PROTOCOL` [has for it][names], in any case.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::Protocol;
    ///
    /// assert_eq!("http/protobuf".parse::<Protocol>()?, Protocol::HttpProtobuf);
    /// assert_eq!("grpc".parse::<Protocol>()?, Protocol::Grpc);
    /// assert!("smoke-signals".parse::<Protocol>().is_err());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [names]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specify-protocol
    fn from_str(name: &str) -> Result<Self, BuildError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "http/json" => Ok(Self::HttpJson),
            "grpc" => Ok(Self::Grpc),
            _ => Err(invalid(name, "is no OTLP protocol; use http/protobuf, http/json or grpc")),
        }
    }
}

fn invalid(name: impl fmt::Display, reason: impl Into<String>) -> BuildError {
    BuildError::new("OTLP protocol", name, reason.into())
}

impl TryFrom<&str> for Protocol {
    type Error = BuildError;

    fn try_from(name: &str) -> Result<Self, BuildError> {
        name.parse()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
            Self::Grpc => "grpc",
        })
    }
}

/// So that `with_protocol` takes a [`Protocol`] as well as its name.
#[doc(hidden)]
impl From<Infallible> for BuildError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
