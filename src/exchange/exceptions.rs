//! Exceptions: what an exchange has failed with, said once.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    KeyValue,
    logs::Severity,
    trace::{SpanContext, SpanRef},
};

use crate::{
    contained::contained,
    exchange::outcome::{Outcome, Side},
    logger::{Event, LoggerSource},
    semconv::keys::{self, Convention},
};

/// Where the exceptions of a layer's requests are recorded. Default: [`Log`](Self::Log).
///
/// An exception is what a request has failed with, as far as that is an error or a panic and no
/// response: the error of the service or of a body, or what a handler
/// [says](crate::server::ServerSpan::record_exception) has made it give up. It is recorded once, when the
/// request ends, with its type, [`exception.type`][attributes], and, if that is [asked
/// for](crate::TraceLayer::with_exception_messages), its message, `exception.message`. A caller
/// that goes away and the status of a gRPC call are none.
///
/// The conventions [want exceptions in logs][logs] and no longer on spans. The records are events
/// named
/// [`http.server.request.exception`, `http.client.request.exception`][http],
/// [`rpc.server.call.exception` and `rpc.client.call.exception`][rpc], with the severity `ERROR` on a server
/// and `WARN` on a client, and the ids of the request's span, which need not be sampled.
///
/// Where they go into logs, a request that is not sampled costs two allocations more, which is what
/// is known of it until it ends.
///
/// `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` says the same where the code does not: `logs` is
/// [`Log`](Self::Log), `logs/dup` is [`Both`](Self::Both).
///
/// ```
/// use http::Request;
/// use tower::service_fn;
/// use tower_telemetry::{Exceptions, TraceLayer};
#[doc = include_str!("../server/span_of.md")]
///
/// let layer = TraceLayer::new().with_exceptions(Exceptions::SpanEvent);
/// let failing = service_fn(|_| async {
///     Err::<http::Response<String>, _>(std::io::Error::other("the disk is full"))
/// });
/// let span = span_by(layer, failing, Request::new(String::new()));
/// assert_eq!(span.events[0].name, "exception");
/// assert_eq!(span.events[0].attributes[0].key.as_str(), "exception.type");
/// ```
///
/// [attributes]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/exception/
/// [http]: https://opentelemetry.io/docs/specs/semconv/http/http-exceptions/
/// [logs]: https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
/// [rpc]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-exceptions/
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exceptions {
    /// Nowhere.
    Off,
    /// As an `exception` event on the span, if that records.
    SpanEvent,
    /// As a log record, if the layer has a logger provider: that of its
    /// [telemetry](crate::TraceLayer::with_telemetry), or [another](crate::TraceLayer::with_logger_provider).
    /// OpenTelemetry has no global one.
    #[default]
    Log,
    /// As both.
    Both,
}

/// What a layer does with exceptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExceptionPolicy {
    pub(crate) exceptions: Exceptions,
    pub(crate) messages: bool,
    pub(crate) logger: LoggerSource,
}

/// What a request has failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) type_name: Cow<'static, str>,
    pub(crate) message: Option<String>,
}

/// Where and when it came up.
pub(crate) struct Place<'a> {
    pub(crate) side: Side,
    pub(crate) convention: Convention,
    pub(crate) at: SystemTime,
    pub(crate) span: &'a SpanContext,
}

impl ExceptionPolicy {
    /// Whether exceptions of requests whose span does not record go anywhere.
    pub(crate) fn logs(&self) -> bool {
        matches!(self.exceptions, Exceptions::Log | Exceptions::Both) && self.logger.is_given()
    }

    /// Whether anybody wants to know of an exception.
    pub(crate) fn wants(&self, recording: bool) -> bool {
        self.logs() || recording && self.on_span()
    }

    /// Whether anybody wants to know its message.
    pub(crate) fn wants_message(&self, recording: bool) -> bool {
        self.messages && self.wants(recording)
    }

    fn on_span(&self) -> bool {
        matches!(self.exceptions, Exceptions::SpanEvent | Exceptions::Both)
    }

    /// Records it, on a span if there is one that records.
    pub(crate) fn record(
        &self,
        exception: &Exception,
        place: &Place<'_>,
        recording: Option<&SpanRef<'_>>,
    ) {
        let message = exception.message.clone().filter(|_| self.messages);
        let attributes = [
            Some((keys::EXCEPTION_TYPE, exception.type_name.clone())),
            message.map(|message| (keys::EXCEPTION_MESSAGE, message.into())),
        ];
        if let Some(span) = recording.filter(|_| self.on_span()) {
            let attributes = attributes.iter().flatten().cloned();
            let attributes = attributes.map(|(key, value)| KeyValue::new(key, value)).collect();
            span.add_event_with_timestamp(keys::EXCEPTION, place.at, attributes);
        }
        if self.logs() {
            let (name, severity) = event(place.side, place.convention);
            let event = Event { name, severity, at: place.at, span: Some(place.span), attributes };
            // A processor of the user's may panic.
            contained(|| self.logger.emit(event));
        }
    }
}

impl Exception {
    /// The one that the end of an exchange is, if nobody has said anything more telling.
    pub(crate) fn of_end(outcome: &Outcome) -> Option<Self> {
        let type_name = match outcome {
            Outcome::Failed(name) => name.clone(),
            Outcome::Panicked => "panic".into(),
            Outcome::Complete | Outcome::Answered | Outcome::Status | Outcome::Cancelled => {
                return None;
            }
        };
        Some(Self { type_name, message: None })
    }
}

fn event(side: Side, convention: Convention) -> (&'static str, Severity) {
    match (side, convention) {
        (Side::Server, Convention::Http) => ("http.server.request.exception", Severity::Error),
        (Side::Server, Convention::Rpc) => ("rpc.server.call.exception", Severity::Error),
        (Side::Client, Convention::Http) => ("http.client.request.exception", Severity::Warn),
        (Side::Client, Convention::Rpc) => ("rpc.client.call.exception", Severity::Warn),
    }
}
