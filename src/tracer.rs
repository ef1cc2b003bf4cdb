//! One virtual call from a request to whichever tracer there is.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use opentelemetry::{
    Context, global,
    trace::{Span, SpanBuilder, SpanContext, TraceContextExt, Tracer, TracerProvider},
};

use crate::scope::scope;

/// Starts spans; implemented for every [`Tracer`], so that a concrete one is used as it is.
pub(crate) trait StartSpan: Send + Sync {
    /// Starts a span as a child of the span in `parent_cx`.
    fn start(&self, builder: SpanBuilder, parent_cx: &Context) -> Started;

    /// Whether the builder should bring its attributes, or had better wait and see if the span
    /// records. A tracer wants them if its sampler or its processors may look; that is the default,
    /// since foreign ones may do anything.
    fn wants_start_attributes(&self, _parent_cx: &Context) -> bool {
        true
    }
}

/// A span that has started, in the Context that is to be current while it runs.
pub(crate) struct Started {
    pub(crate) cx: Context,
    /// Whether anything that is set on the span goes anywhere.
    pub(crate) recording: bool,
    /// Whether the tracer made a span of its own: a no-op tracer hands the parent's through.
    pub(crate) fresh: bool,
}

impl<T> StartSpan for T
where
    T: Tracer + Send + Sync,
    T::Span: Send + Sync + 'static,
{
    fn start(&self, builder: SpanBuilder, parent_cx: &Context) -> Started {
        // Not `Tracer::start`: that one runs sampler and processors inside a borrow of the
        // thread's current Context, where they panic if they attach one themselves.
        let span = self.build_with_context(builder, parent_cx);
        let fresh = is_fresh(span.span_context(), parent_cx);
        let recording = span.is_recording();
        let cx = if recording {
            parent_cx.with_span(span)
        } else if fresh {
            // Only the ids matter from here on, and they are cheaper than a span that does
            // nothing.
            parent_cx.with_remote_span_context(span.span_context().clone())
        } else {
            // No span was made: no provider, one that is shut down, or a suppressed Context. The
            // caller's span stays the parent of whatever is called.
            parent_cx.clone()
        };
        Started { cx, recording, fresh }
    }
}

fn is_fresh(span: &SpanContext, parent_cx: &Context) -> bool {
    let parent = parent_cx.span();
    let parent = parent.span_context();
    span.is_valid() && (span.span_id(), span.trace_id()) != (parent.span_id(), parent.trace_id())
}

/// Which tracer a layer uses: one that it was given, or the global one, looked up when it serves.
#[derive(Clone)]
pub(crate) enum TracerSource {
    /// The global provider's tracer, kept from the first span that it really makes on. Until
    /// then it is asked for anew with each request, so that a layer may be built, and may even
    /// serve, before the provider is set.
    Global(OnceLock<Arc<dyn StartSpan>>),
    Given(Arc<dyn StartSpan>),
}

impl TracerSource {
    pub(crate) fn global() -> Self {
        Self::Global(OnceLock::new())
    }

    pub(crate) fn from_provider<P>(provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        Self::Given(Arc::new(provider.tracer_with_scope(scope())))
    }

    pub(crate) fn start(&self, builder: SpanBuilder, parent_cx: &Context) -> Started {
        let cell = match self {
            Self::Given(tracer) => return tracer.start(builder, parent_cx),
            Self::Global(cell) => cell,
        };
        if let Some(tracer) = cell.get() {
            return tracer.start(builder, parent_cx);
        }
        let tracer = global::tracer_with_scope(scope());
        let started = StartSpan::start(&tracer, builder, parent_cx);
        if started.fresh {
            cell.get_or_init(|| Arc::new(tracer));
        }
        started
    }

    pub(crate) fn wants_start_attributes(&self, parent_cx: &Context) -> bool {
        match self {
            Self::Global(_) => true,
            Self::Given(tracer) => tracer.wants_start_attributes(parent_cx),
        }
    }
}

impl fmt::Debug for TracerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global(_) => "global",
            Self::Given(_) => "given",
        })
    }
}
