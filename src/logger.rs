//! One virtual call from an exchange to whichever logger there is.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use opentelemetry::{
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    trace::SpanContext,
};

use crate::scope::scope;

/// Takes events; implemented for every [`Logger`].
trait Emit: Send + Sync {
    fn emit(&self, event: Event<'_>);
}

/// Something that has happened, with a name, as a log has it.
pub(crate) struct Event<'a> {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    pub(crate) at: SystemTime,
    /// The span that it has happened in, if there is one.
    pub(crate) span: Option<&'a SpanContext>,
    pub(crate) attributes: [Option<(&'static str, Cow<'static, str>)>; 2],
}

impl<L: Logger + Send + Sync> Emit for L {
    fn emit(&self, event: Event<'_>) {
        if !self.event_enabled(event.severity, env!("CARGO_PKG_NAME"), Some(event.name)) {
            return;
        }
        let mut record = self.create_log_record();
        record.set_event_name(event.name);
        record.set_target(env!("CARGO_PKG_NAME"));
        record.set_timestamp(event.at);
        record.set_severity_number(event.severity);
        record.set_severity_text(event.severity.name());
        if let Some(span) = event.span.filter(|span| span.is_valid()) {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        record.add_attributes(event.attributes.into_iter().flatten());
        Logger::emit(self, record);
    }
}

/// Which logger a layer uses. OpenTelemetry has no global one, so it is one that was given, or
/// none.
#[derive(Clone, Default)]
pub(crate) struct LoggerSource(Option<Arc<dyn Emit>>);

impl LoggerSource {
    pub(crate) fn from_provider<P>(provider: &P) -> Self
    where
        P: LoggerProvider,
        P::Logger: Send + Sync + 'static,
    {
        Self(Some(Arc::new(provider.logger_with_scope(scope()))))
    }

    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn emit(&self, event: Event<'_>) {
        if let Some(logger) = &self.0 {
            logger.emit(event);
        }
    }
}

impl fmt::Debug for LoggerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_given() { "given" } else { "none" })
    }
}
