//! The compression: how much smaller a request is made.

use std::{fmt, str::FromStr};

use crate::{
    error::BuildError,
    sdk::{env::Env, export::otlp::signal::Signal},
};

/// What a request is compressed with.
///
/// All but [`None`](Self::None) have a feature of this crate that they need. One that is not
/// compiled in is an error of [`TelemetryBuilder::build`](crate::TelemetryBuilder::build) if code
/// asks for it, and a [warning](crate::Warning) and none if the environment does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As it is; the default.
    #[default]
    None,
    /// gzip, which [every receiver knows][known]. Feature `gzip`.
    ///
    /// [known]: https://opentelemetry.io/docs/specs/otlp/#protocol-details
    Gzip,
    /// Zstandard: smaller and faster, where the receiver knows it, as the OpenTelemetry Collector
    /// does. Feature `zstd`.
    Zstd,
}

impl Compression {
    /// From code, or the environment, or none; and one that this build has.
    pub(super) fn resolve(
        code: Option<Result<Self, BuildError>>,
        signal: Signal,
        env: &mut Env,
    ) -> Result<Self, BuildError> {
        let Some(compression) = code else {
            return Ok(Self::from_env(signal, env));
        };
        let compression = compression?;
        match compression.missing() {
            None => Ok(compression),
            Some(feature) => Err(invalid(compression, needs(feature))),
        }
    }

    fn from_env(signal: Signal, env: &mut Env) -> Self {
        let Some((variable, name)) = env.first(signal.variables().compression) else {
            return Self::None;
        };
        let reason =
            match name.parse().map(|compression: Self| (compression, compression.missing())) {
                Ok((compression, None)) => return compression,
                Ok((_, Some(feature))) => needs(feature),
                Err(_) => "is not a compression of this version".to_owned(),
            };
        env.warn(variable, name, format!("{reason}; none is used"));
        Self::None
    }

    /// Compresses what is one request.
    pub(super) fn apply(self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Self::None => Ok(bytes),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip(&bytes).map_err(|error| format!("not compressed: {error}")),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::compress(&bytes, zstd::DEFAULT_COMPRESSION_LEVEL)
                .map_err(|error| format!("not compressed: {error}")),
            #[cfg(not(all(feature = "gzip", feature = "zstd")))]
            _ => Ok(bytes),
        }
    }

    /// The feature that it needs, if this build does not have it.
    fn missing(self) -> Option<&'static str> {
        let (there, feature) = match self {
            Self::None => return None,
            Self::Gzip => (cfg!(feature = "gzip"), "gzip"),
            Self::Zstd => (cfg!(feature = "zstd"), "zstd"),
        };
        (!there).then_some(feature)
    }
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn needs(feature: &str) -> String {
    format!("needs the feature `{feature}` of tower-telemetry")
}

fn invalid(name: impl fmt::Display, reason: impl Into<String>) -> BuildError {
    BuildError::new("OTLP compression", name, reason.into())
}

impl FromStr for Compression {
    type Err = BuildError;

    /// Reads the name that `OTEL_EXPORTER_OTLP_COMPRESSION` [has for it][names], in any case.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::Compression;
    ///
    /// assert_eq!("gzip".parse::<Compression>()?, Compression::Gzip);
    /// assert!("zip".parse::<Compression>().is_err());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [names]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
    fn from_str(name: &str) -> Result<Self, BuildError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(invalid(name, "is no compression of OTLP; use gzip, zstd or none")),
        }
    }
}

impl TryFrom<&str> for Compression {
    type Error = BuildError;

    fn try_from(name: &str) -> Result<Self, BuildError> {
        name.parse()
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}
