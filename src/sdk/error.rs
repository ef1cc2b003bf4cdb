//! What can go wrong: while building, in the environment, on the way out.

use std::{borrow::Cow, error::Error, fmt};

use crate::sdk::text::{count, legible};

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
/// assert_eq!(error.to_string(), "invalid sampling ratio `1.1`: must be from 0 to 1");
/// ```
pub struct BuildError(Box<Inner>);

struct Inner {
    setting: Cow<'static, str>,
    value: String,
    reason: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
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

    #[cfg(feature = "otlp-http")]
    pub(crate) fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
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
/// Each is logged once when it is found, through `tracing` with the target `tower-telemetry`, and
/// kept in [`Telemetry::warnings`](crate::Telemetry::warnings).
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

/// Spans that did not make it, and why.
///
/// Returned by [`Telemetry::shutdown`](crate::Telemetry::shutdown) and
/// [`Telemetry::force_flush`](crate::Telemetry::force_flush). It covers what has failed since the
/// last of these calls: what a collector refused, what could not be sent, and, once the exporters
/// are shut down, what found the queue full.
pub struct ExportError {
    failures: Vec<Failure>,
}

/// What went wrong in one place.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) spans: u64,
    pub(crate) timed_out: bool,
    pub(crate) reason: String,
}

impl ExportError {
    /// Nothing has failed, or this is what has.
    pub(crate) fn check(failures: Vec<Failure>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(Self { failures }) }
    }

    /// How many spans are known to be lost; a span that is lost to two exporters counts twice.
    /// Those that still waited when the deadline passed are not among them.
    #[must_use]
    pub fn failed_spans(&self) -> u64 {
        self.failures.iter().fold(0, |sum, failure| failure.spans.saturating_add(sum))
    }

    /// Whether the deadline passed before everything was out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.failures.iter().any(|failure| failure.timed_out)
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not all spans were exported: ")?;
        for (at, failure) in self.failures.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            if failure.spans > 0 {
                write!(f, "{}: ", count(failure.spans))?;
            }
            f.write_str(&failure.reason)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ExportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_so_that_it_commands_nothing() {
        assert_eq!(BuildError::new("setting", "\n", "is bad").value(), "\\n");
        assert_eq!(Warning::new("V", "\n", "is bad").value(), "\\n");
    }

    #[test]
    fn an_export_error_adds_up_and_names_each_failure() {
        let failure = |spans, timed_out, reason: &str| Failure {
            spans,
            timed_out,
            reason: reason.to_owned(),
        };
        assert!(ExportError::check(Vec::new()).is_ok());
        let failures =
            vec![failure(u64::MAX, false, "a"), failure(1, false, "b"), failure(0, true, "c")];
        let error = ExportError::check(failures).unwrap_err();
        assert_eq!(error.failed_spans(), u64::MAX);
        assert!(error.is_timeout());
        let message = format!("not all spans were exported: {} spans: a; 1 span: b; c", u64::MAX);
        assert_eq!(error.to_string(), message);
        assert_eq!(format!("{error:?}"), message);
        let error = ExportError::check(vec![failure(2, false, "a")]).unwrap_err();
        assert!(!error.is_timeout());
    }
}
