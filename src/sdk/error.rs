//! What can go wrong on the way out.

use std::{error::Error, fmt};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::sdk::export::item::Items;

/// Spans, metrics or log records that did not make it, and why.
///
/// Returned by [`Telemetry::shutdown`](crate::Telemetry::shutdown) and
/// [`Telemetry::force_flush`](crate::Telemetry::force_flush). It covers what has failed since the
/// last of these calls: what a collector refused, what could not be sent, and what found the queue
/// full.
pub struct ExportError {
    failures: Vec<Failure>,
}

/// What went wrong in one place.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) items: Items,
    /// How many of them are lost.
    pub(crate) lost: u64,
    pub(crate) timed_out: bool,
    pub(crate) reason: String,
}

impl ExportError {
    /// Nothing has failed, or this is what has.
    pub(crate) fn check(failures: Vec<Failure>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(Self { failures }) }
    }

    /// How many spans are known to be lost; a span that is lost to two exporters counts twice.
    /// Those that a shutdown did not wait for are among them; those that a flush did not wait for
    /// are not, since they may yet be exported.
    #[must_use]
    pub fn failed_spans(&self) -> u64 {
        self.failed(Items::Spans)
    }

    /// The same of metrics: how many collections of them, which is what one export has.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn failed_collections(&self) -> u64 {
        self.failed(Items::Collections)
    }

    /// The same of log records.
    #[cfg(feature = "logs")]
    #[must_use]
    pub fn failed_log_records(&self) -> u64 {
        self.failed(Items::LogRecords)
    }

    fn failed(&self, items: Items) -> u64 {
        let failures = self.failures.iter().filter(|failure| failure.items == items);
        failures.fold(0, |sum, failure| failure.lost.saturating_add(sum))
    }

    /// Whether the deadline passed before everything was out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.failures.iter().any(|failure| failure.timed_out)
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |items: &Items| self.failures.iter().any(|failure| failure.items == *items);
        let kinds = [Items::Spans, Items::Collections, Items::LogRecords].into_iter();
        let names: Vec<&str> = kinds.filter(of).map(Items::name).collect();
        write!(f, "not all {} were exported: ", names.join(" and "))?;
        for (at, failure) in self.failures.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            if failure.lost > 0 {
                write!(f, "{}: ", failure.items.count(failure.lost))?;
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

/// For whoever asks the provider itself.
pub(crate) fn as_result(failures: &[Failure]) -> OTelSdkResult {
    if failures.is_empty() {
        return Ok(());
    }
    let reasons: Vec<&str> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    Err(OTelSdkError::InternalFailure(reasons.join("; ")))
}

/// Why [`Telemetry::shutdown_after`](crate::Telemetry::shutdown_after) was not all well.
///
/// ```
/// use std::{io, time::Duration};
///
/// use tower_telemetry::{Telemetry, sdk::ServeError};
///
/// # tokio_test::block_on(async {
/// let telemetry = Telemetry::builder().build()?;
/// let server = async { Err::<(), _>(io::Error::other("the port is taken")) };
/// let error = telemetry.shutdown_after(server, Duration::from_secs(5)).await.unwrap_err();
/// assert!(matches!(error, ServeError::Server(_)));
/// assert_eq!(error.to_string(), "the port is taken");
/// # Ok::<(), tower_telemetry::BuildError>(())
/// # }).unwrap();
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum ServeError<E> {
    /// The server has failed.
    Server(E),
    /// The server has not, and something could not be exported.
    Export(ExportError),
}

impl<E: fmt::Display> fmt::Display for ServeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Export(error) => error.fmt(f),
        }
    }
}

/// It speaks for the error that it holds, and has that one's source.
impl<E: Error> Error for ServeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Server(error) => error.source(),
            Self::Export(error) => error.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_error_adds_up_and_names_each_failure() {
        let failure = |lost, timed_out, reason: &str| Failure {
            items: Items::Spans,
            lost,
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
