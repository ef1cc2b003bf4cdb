//! The protocol: how spans are put on the wire.

use std::{convert::Infallible, fmt, str::FromStr};

use crate::error::BuildError;

/// A way to put OTLP on the wire.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf in the body of an HTTP/1.1 request; the default, `http/protobuf`.
    #[default]
    HttpProtobuf,
}

impl FromStr for Protocol {
    type Err = BuildError;

    /// Reads the name that `OTEL_EXPORTER_OTLP_PROTOCOL` [has for it][names], in any case.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::Protocol;
    ///
    /// assert_eq!("http/protobuf".parse::<Protocol>()?, Protocol::HttpProtobuf);
    /// assert!("smoke-signals".parse::<Protocol>().is_err());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [names]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specify-protocol
    fn from_str(name: &str) -> Result<Self, BuildError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "grpc" | "http/json" => {
                Err(invalid(name, "is not supported by this version; use http/protobuf"))
            }
            _ => Err(invalid(name, "is no OTLP protocol; use http/protobuf")),
        }
    }
}

fn invalid(name: &str, reason: &'static str) -> BuildError {
    BuildError::new("OTLP protocol", name, reason)
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
