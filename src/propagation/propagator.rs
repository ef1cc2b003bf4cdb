//! The propagator a layer uses: one that it was given, or the global one, looked up each time.

use std::{any::Any, fmt, sync::Arc};

use http::HeaderMap;
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    global,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::TraceContextExt,
};
use opentelemetry_http::HeaderInjector;

use crate::propagation::{
    TraceContext,
    carrier::{BAGGAGE, Lines},
};

/// A shared handle to a [`TextMapPropagator`] that works on header maps.
///
/// Cloning it is one reference count. It is a [`TextMapPropagator`] itself, so it goes wherever
/// OpenTelemetry wants one.
#[derive(Clone)]
pub struct Propagator(Source);

#[derive(Clone)]
enum Source {
    Global,
    Given(Arc<dyn TextMapPropagator + Send + Sync>),
    /// Ours, which reads a header map without OpenTelemetry's extractor, and what that allocates.
    TraceContext(TraceContext),
}

impl Propagator {
    /// A handle to `propagator`. Of a handle it is another handle to the same.
    pub fn new<P>(propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        let any: &dyn Any = &propagator;
        if let Some(handle) = any.downcast_ref::<Self>() {
            return handle.clone();
        }
        Self(match any.downcast_ref::<TraceContext>() {
            Some(ours) => Source::TraceContext(ours.clone()),
            None => Source::Given(Arc::new(propagator)),
        })
    }

    /// A handle to whatever the global propagator is each time the handle is used. OpenTelemetry's
    /// default global propagator does nothing.
    #[must_use]
    pub fn global() -> Self {
        Self(Source::Global)
    }

    /// Reads the remote span from `headers`; gives `cx` back, with it if there was one.
    ///
    /// What is malformed is as good as absent and never an error: [the headers name no
    /// parent][restart].
    ///
    /// [restart]: https://www.w3.org/TR/trace-context-2/#a-traceparent-is-not-received
    #[must_use]
    pub fn extract(&self, cx: &Context, headers: &HeaderMap) -> Context {
        match &self.0 {
            Source::TraceContext(_) => TraceContext::extract_from(cx, headers),
            Source::Global | Source::Given(_) => {
                self.extract_with_context(cx, &Lines::new(headers))
            }
        }
    }

    /// Writes what `cx` holds into `headers`, the span above all. If there is a span, it is written
    /// in place of whatever the propagator's [fields] held.
    ///
    /// [fields]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#fields
    pub fn inject(&self, cx: &Context, headers: &mut HeaderMap) {
        match &self.0 {
            Source::Global => {
                global::get_text_map_propagator(|global| replace(global, cx, headers));
            }
            Source::Given(propagator) => replace(propagator.as_ref(), cx, headers),
            Source::TraceContext(ours) => replace(ours, cx, headers),
        }
    }

    /// The same, but without [baggage](opentelemetry::baggage), also none that was there.
    pub(crate) fn inject_without_baggage(&self, cx: &Context, headers: &mut HeaderMap) {
        if cx.baggage().is_empty() {
            self.inject(cx, headers);
        } else {
            self.inject(&cx.with_cleared_baggage(), headers);
        }
        self.clear_baggage(headers);
    }

    /// Takes baggage away, if that is the propagator's to write.
    pub(crate) fn clear_baggage(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(BAGGAGE) {
            return;
        }
        self.with_fields(|field| {
            if field.eq_ignore_ascii_case(BAGGAGE) {
                headers.remove(BAGGAGE);
            }
        });
    }

    /// Whether it writes anything, as OpenTelemetry's default does not.
    pub(crate) fn writes(&self) -> bool {
        let mut any = false;
        self.with_fields(|_| any = true);
        any
    }

    /// Takes away whatever the propagator's [fields] hold.
    ///
    /// [fields]: https://opentelemetry.io/docs/specs/otel/context/api-propagators/#fields
    pub(crate) fn clear(&self, headers: &mut HeaderMap) {
        self.with_fields(|field| {
            headers.remove(field);
        });
    }

    fn with_fields(&self, mut each: impl FnMut(&str)) {
        match &self.0 {
            Source::Global => {
                global::get_text_map_propagator(|global| global.fields().for_each(&mut each));
            }
            Source::Given(propagator) => propagator.fields().for_each(each),
            Source::TraceContext(ours) => ours.fields().for_each(each),
        }
    }
}

fn replace(propagator: &dyn TextMapPropagator, cx: &Context, headers: &mut HeaderMap) {
    // What our span does not say, nobody else's `tracestate` should say in its name.
    if cx.span().span_context().is_valid() {
        for field in propagator.fields() {
            headers.remove(field);
        }
    }
    propagator.inject_context(cx, &mut HeaderInjector(headers));
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        match &self.0 {
            Source::Global => {
                global::get_text_map_propagator(|global| global.inject_context(cx, injector));
            }
            Source::Given(propagator) => propagator.inject_context(cx, injector),
            Source::TraceContext(ours) => ours.inject_context(cx, injector),
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        match &self.0 {
            Source::Global => {
                global::get_text_map_propagator(|global| global.extract_with_context(cx, extractor))
            }
            Source::Given(propagator) => propagator.extract_with_context(cx, extractor),
            Source::TraceContext(ours) => ours.extract_with_context(cx, extractor),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        match &self.0 {
            // The global one may be another by the time its fields are read.
            Source::Global => FieldIter::new(&[]),
            Source::Given(propagator) => propagator.fields(),
            Source::TraceContext(ours) => ours.fields(),
        }
    }
}

impl fmt::Debug for Propagator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Global => f.write_str("global"),
            Source::Given(propagator) => propagator.fmt(f),
            Source::TraceContext(ours) => ours.fmt(f),
        }
    }
}
