//! What the ids are called in a line.

use std::borrow::Cow;

use crate::error::BuildError;

const SETTING: &str = "name of a trace id in logs";

/// What the ids are called. Default: `trace_id`, `span_id` and `trace_flags`, which are [the
/// specification's names][format] and what most backends look for.
///
/// ```
/// use tower_telemetry::logs::TraceIdNames;
///
/// // Two names, and no third: most backends that have their own know of no flags.
/// let elastic = TraceIdNames::new("trace.id", "span.id")?;
/// assert_eq!(elastic.trace_flags(), None);
/// assert_eq!(TraceIdNames::default().trace_flags(), Some("trace_flags"));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// [format]: https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/#overview
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TraceIdNames {
    trace_id: Cow<'static, str>,
    span_id: Cow<'static, str>,
    trace_flags: Option<Cow<'static, str>>,
}

impl TraceIdNames {
    /// Names for the ids, and no flags unless they [have one](Self::with_trace_flags), too.
    ///
    /// ```
    /// use tower_telemetry::logs::TraceIdNames;
    ///
    /// let names = TraceIdNames::new("traceId", "spanId")?;
    /// assert_eq!((names.trace_id(), names.span_id()), ("traceId", "spanId"));
    ///
    /// let error = TraceIdNames::new("trace id", "span id").unwrap_err();
    /// assert_eq!(error.value(), "trace id");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a name is empty, is the other's, or has a character that would have to be escaped: any
    /// but visible ASCII, or one of `"`, `\` and `=`.
    pub fn new(
        trace_id: impl Into<Cow<'static, str>>,
        span_id: impl Into<Cow<'static, str>>,
    ) -> Result<Self, BuildError> {
        let names = Self {
            trace_id: checked(trace_id.into())?,
            span_id: checked(span_id.into())?,
            trace_flags: None,
        };
        names.told_apart()
    }

    /// Sets the name of the flags.
    ///
    /// ```
    /// use tower_telemetry::logs::TraceIdNames;
    ///
    /// let names = TraceIdNames::new("trace_id", "span_id")?.with_trace_flags("trace_flags")?;
    /// assert_eq!(names, TraceIdNames::default());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_trace_flags(
        mut self,
        trace_flags: impl Into<Cow<'static, str>>,
    ) -> Result<Self, BuildError> {
        self.trace_flags = Some(checked(trace_flags.into())?);
        self.told_apart()
    }

    /// Leaves the flags out: for those who need not know from a line whether its span is sampled.
    ///
    /// ```
    /// use tower_telemetry::logs::TraceIdNames;
    ///
    /// assert_eq!(TraceIdNames::default().without_trace_flags().trace_flags(), None);
    /// ```
    pub fn without_trace_flags(mut self) -> Self {
        self.trace_flags = None;
        self
    }

    /// The name of the trace's id.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The name of the span's id.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// The name of the flags; `None` if they are left out.
    #[must_use]
    pub fn trace_flags(&self) -> Option<&str> {
        self.trace_flags.as_deref()
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        [Some(self.trace_id()), Some(self.span_id()), self.trace_flags()]
            .into_iter()
            .flatten()
            .any(|ours| ours.as_bytes() == name)
    }

    fn told_apart(self) -> Result<Self, BuildError> {
        let flags = self.trace_flags();
        if self.trace_id == self.span_id || flags == Some(self.span_id()) {
            Err(BuildError::new(SETTING, self.span_id, "is that of something else, too"))
        } else if flags == Some(self.trace_id()) {
            Err(BuildError::new(SETTING, self.trace_id, "is that of something else, too"))
        } else {
            Ok(self)
        }
    }
}

impl Default for TraceIdNames {
    fn default() -> Self {
        Self {
            trace_id: Cow::Borrowed("trace_id"),
            span_id: Cow::Borrowed("span_id"),
            trace_flags: Some(Cow::Borrowed("trace_flags")),
        }
    }
}

/// A name that is the same in JSON and in text.
fn checked(name: Cow<'static, str>) -> Result<Cow<'static, str>, BuildError> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    if name.is_empty() {
        Err(BuildError::new(SETTING, name, "must not be empty"))
    } else if !name.bytes().all(plain) {
        Err(BuildError::new(SETTING, name, "must be visible ASCII without `\"`, `\\` and `=`"))
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_needs_no_escaping_and_is_not_there_twice() {
        for name in ["", "a b", "a\"", "a\\", "a=", "ä", "a\n"] {
            assert_eq!(TraceIdNames::new(name, "b").unwrap_err().setting(), SETTING, "{name}");
            TraceIdNames::new("b", name).unwrap_err();
            TraceIdNames::default().with_trace_flags(name).unwrap_err();
        }
        TraceIdNames::new("a", "a").unwrap_err();
        for name in ["a", "b"] {
            TraceIdNames::new("a", "b").unwrap().with_trace_flags(name).unwrap_err();
        }
        let names = TraceIdNames::new("logging.googleapis.com/trace", "dd.span_id").unwrap();
        assert_eq!(names.trace_id(), "logging.googleapis.com/trace");
    }
}
