//! What can go wrong while something is set up: a bad setting, a bad variable.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use crate::text::{legible, without_secrets};

/// A setting that cannot be used.
///
/// It says which setting and which value, in its message and through [`setting`](Self::setting)
/// and [`value`](Self::value). Whatever was being built has not been: nothing is installed, no
/// thread runs.
///
/// ```
/// use tower_telemetry::{SamplerBuilder, Telemetry};
///
/// let error = Telemetry::builder()
///     .with_sampler(SamplerBuilder::new().with_ratio(1.1))
///     .build()
///     .unwrap_err();
/// assert_eq!(error.setting(), "sampling ratio");
/// assert_eq!(error.value(), "1.1");
/// assert_eq!(
///     error.to_string(),
///     "invalid sampling ratio `1.1`: must be 0, or from 2⁻⁵⁶ to 1",
/// );
/// ```
#[derive(Clone)]
pub struct BuildError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    setting: Cow<'static, str>,
    value: String,
    reason: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl BuildError {
    pub(crate) fn new(
        setting: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            setting: setting.into(),
            value: legible(&value.to_string()),
            reason: reason.into(),
            source: None,
        }))
    }

    /// The same, of a value that should be a URL or a part of one.
    pub(crate) fn of_url(
        setting: impl Into<Cow<'static, str>>,
        url: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(setting, without_secrets(url), reason)
    }

    /// The same, said of another value than the one that was looked at.
    #[cfg(any(feature = "otlp-http", feature = "otlp-grpc"))]
    pub(crate) fn of(mut self, value: impl fmt::Display) -> Self {
        self.0.value = legible(&value.to_string());
        self
    }

    #[cfg(any(feature = "grpc-descriptors", feature = "otlp-http", feature = "otlp-grpc"))]
    pub(crate) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The setting: in words if it comes from code, the variable's name if from the environment.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.0.setting
    }

    /// The value it was given, without secrets.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.0.value
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { setting, value, reason, .. } = &*self.0;
        write!(f, "invalid {setting} `{value}`: {reason}")
    }
}

impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `fn main() -> Result` prints.
        fmt::Display::fmt(self, f)
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A value in the environment that was not used.
///
/// A [`Telemetry`](crate::Telemetry) logs each once when it is found, through `tracing` with the
/// target `tower-telemetry`, and keeps it in [`warnings`](crate::Telemetry::warnings). A layer that
/// reads the environment on its own [keeps](crate::TraceLayer::warnings) what it finds, and logs
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    variable: Cow<'static, str>,
    value: String,
    reason: Cow<'static, str>,
}

impl Warning {
    pub(crate) fn new(
        variable: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { variable: variable.into(), value: legible(&value.into()), reason: reason.into() }
    }

    /// The variable's name.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// The value it has, without secrets.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is `{}`: {}", self.variable, self.value, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_so_that_it_commands_nothing() {
        assert_eq!(BuildError::new("setting", "\n", "is bad").value(), "\\n");
        assert_eq!(Warning::new("V", "\n", "is bad").value(), "\\n");
    }
}
