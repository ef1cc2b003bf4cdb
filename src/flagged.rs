//! A span with flags that its tracer does not know of.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    KeyValue, TraceFlags,
    trace::{Span, SpanContext, Status},
};

use crate::propagation::received::with_flags;

/// Another tracer's span, whose `SpanContext` has more flags: to its children, and to whoever is
/// called, but not to the exporter.
#[derive(Debug)]
pub(crate) struct Flagged<S> {
    span: S,
    span_context: SpanContext,
}

impl<S: Span> Flagged<S> {
    pub(crate) fn new(span: S, flags: TraceFlags) -> Self {
        let span_context = with_flags(span.span_context(), flags);
        Self { span, span_context }
    }
}

impl<S: Span> Span for Flagged<S> {
    fn span_context(&self) -> &SpanContext {
        &self.span_context
    }

    fn is_recording(&self) -> bool {
        self.span.is_recording()
    }

    fn add_event<T>(&mut self, name: T, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.span.add_event(name, attributes);
    }

    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        self.span.add_event_with_timestamp(name, timestamp, attributes);
    }

    fn record_error(&mut self, error: &dyn std::error::Error) {
        self.span.record_error(error);
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.span.set_attribute(attribute);
    }

    fn set_attributes(&mut self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.span.set_attributes(attributes);
    }

    fn set_status(&mut self, status: Status) {
        self.span.set_status(status);
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.span.update_name(name);
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.span.add_link(span_context, attributes);
    }

    fn end(&mut self) {
        self.span.end();
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.span.end_with_timestamp(timestamp);
    }
}
