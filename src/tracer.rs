//! One virtual call from a request to whichever tracer there is.

use std::{
    fmt,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    global::{self, BoxedTracer},
    trace::{Span, SpanBuilder, SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};

use crate::{
    flagged::Flagged,
    head::RequestHead,
    propagation::{
        Propagator,
        received::{RANDOM, keep_random, with_unsampled},
    },
    scope::scope,
};

/// Starts spans; implemented for every [`Tracer`], so that a concrete one is used as it is.
pub(crate) trait StartSpan: Send + Sync {
    /// Starts the span of `request` as a child of the span in `parent_cx`.
    ///
    /// The request is described before the start if the sampler or the processors may look, which
    /// foreign ones always may. A tracer that knows better waits and sees if the span records.
    fn start(
        &self,
        builder: SpanBuilder,
        parent_cx: &Context,
        known: Known,
        request: &mut dyn Unstarted<'_>,
    ) -> Started;
}

/// A request whose span is to start, as far as that is a tracer's business.
pub(crate) trait Unstarted<'h> {
    /// What rules look at.
    #[cfg_attr(not(feature = "sdk"), expect(dead_code, reason = "rules are a sampler's"))]
    fn head(&self) -> RequestHead<'h>;

    /// Gives the builder the name and the attributes that a sampler may look at.
    fn describe(&mut self, builder: &mut SpanBuilder);
}

/// What is known of a tracer that it does not say itself. By default nothing is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Its trace ids are [random](RANDOM), and a trace that begins here is to say so.
    pub(crate) has_random_ids: bool,
    /// It samples whatever is below a sampled span, so that no span there loses its flags.
    pub(crate) follows_parents: bool,
}

/// A span that has started, in the Context that is to be current while it runs.
pub(crate) struct Started {
    pub(crate) cx: Context,
    /// Whether anything that is set on the span goes anywhere.
    pub(crate) recording: bool,
    /// Whether the tracer made a span of its own.
    pub(crate) fresh: bool,
}

impl Started {
    /// No span was made: the caller's stays the parent of whatever is called.
    pub(crate) fn nothing(parent_cx: Context) -> Self {
        Self { cx: parent_cx, recording: false, fresh: false }
    }
}

impl<T> StartSpan for T
where
    T: Tracer + Send + Sync,
    T::Span: Send + Sync + 'static,
{
    fn start(
        &self,
        mut builder: SpanBuilder,
        parent_cx: &Context,
        known: Known,
        request: &mut dyn Unstarted<'_>,
    ) -> Started {
        request.describe(&mut builder);
        started(self, builder, parent_cx, known)
    }
}

/// Starts a span with what its builder has, and no more.
pub(crate) fn started<T>(
    tracer: &T,
    builder: SpanBuilder,
    parent_cx: &Context,
    known: Known,
) -> Started
where
    T: Tracer,
    T::Span: Send + Sync + 'static,
{
    let is_root = !parent_cx.span().span_context().is_valid();
    let flags = if is_root && known.has_random_ids { RANDOM } else { TraceFlags::NOT_SAMPLED };
    // Not `Tracer::start`: that one runs sampler and processors inside a borrow of the thread's
    // current Context, where they panic if they attach one themselves.
    let span = tracer.build_with_context(builder, parent_cx);
    let fresh = is_fresh(span.span_context(), parent_cx);
    let recording = span.is_recording();
    let cx = if recording {
        let cx = if flags == TraceFlags::NOT_SAMPLED {
            parent_cx.with_span(span)
        } else {
            parent_cx.with_span(Flagged::new(span, flags))
        };
        if known.follows_parents { cx } else { keep_random(cx) }
    } else if fresh {
        // Only the ids matter from here on, and they are cheaper than a span that does nothing.
        with_unsampled(parent_cx, span.span_context(), flags)
    } else {
        // The provider is shut down, or the Context suppressed.
        return Started::nothing(parent_cx.clone());
    };
    Started { cx, recording, fresh }
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
    Given {
        tracer: Arc<dyn StartSpan>,
        known: Known,
    },
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
        let tracer = Arc::new(provider.tracer_with_scope(scope()));
        Self::Given { tracer, known: Known::default() }
    }

    /// The tracer of this request; none if there is no provider that makes spans.
    ///
    /// To `propagator` the flag for random ids may mean something else, if it is not ours.
    pub(crate) fn of_request(&self, propagator: &Propagator) -> Option<OfRequest<'_>> {
        let kept = match self {
            Self::Given { tracer, known } => {
                let has_random_ids = known.has_random_ids && propagator.is_ours();
                return Some(OfRequest::Known(tracer.as_ref(), Known { has_random_ids, ..*known }));
            }
            Self::Global(kept) => kept,
        };
        if let Some(tracer) = kept.get() {
            return Some(OfRequest::Known(tracer.as_ref(), Known::default()));
        }
        let tracer = global::tracer_with_scope(scope());
        if is_noop(&tracer) {
            // Written once: from then on it is only read, which no other request waits for.
            if !NOBODY_WAS_THERE.load(Ordering::Relaxed) {
                NOBODY_WAS_THERE.store(true, Ordering::Relaxed);
            }
            return None;
        }
        Some(OfRequest::Asked { tracer, kept })
    }
}

static NOBODY_WAS_THERE: AtomicBool = AtomicBool::new(false);

/// Whether a layer has looked for the global provider when there was none.
#[cfg(feature = "sdk")]
pub(crate) fn has_served_without_provider() -> bool {
    NOBODY_WAS_THERE.load(Ordering::Relaxed)
}

/// Whether the global provider makes no spans. To ask starts none.
#[cfg(feature = "sdk")]
pub(crate) fn global_is_noop() -> bool {
    is_noop(&global::tracer_with_scope(scope()))
}

/// The tracer that one request's span is to be started on.
pub(crate) enum OfRequest<'a> {
    Known(&'a dyn StartSpan, Known),
    /// The global one, to be kept if it really makes a span: it may have been shut down.
    Asked {
        tracer: BoxedTracer,
        kept: &'a OnceLock<Arc<dyn StartSpan>>,
    },
}

impl OfRequest<'_> {
    pub(crate) fn start(
        self,
        builder: SpanBuilder,
        parent_cx: &Context,
        request: &mut dyn Unstarted<'_>,
    ) -> Started {
        match self {
            Self::Known(tracer, known) => tracer.start(builder, parent_cx, known, request),
            Self::Asked { tracer, kept } => {
                let known = Known::default();
                let started = StartSpan::start(&tracer, builder, parent_cx, known, request);
                if started.fresh {
                    kept.get_or_init(|| Arc::new(tracer));
                }
                started
            }
        }
    }
}

/// Whether it is the tracer of a program that has set no provider: that one hands a parent through
/// as if it were a span. Any other is asked under a parent that was not sampled, in a Context in
/// which telemetry is suppressed, so that no span comes of it.
fn is_noop(tracer: &BoxedTracer) -> bool {
    static NOWHERE: LazyLock<Context> = LazyLock::new(|| {
        let parent = SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            TraceFlags::NOT_SAMPLED,
            true,
            TraceState::NONE,
        );
        Context::new().with_remote_span_context(parent).with_telemetry_suppressed()
    });
    let span = tracer.build_with_context(SpanBuilder::from_name("HTTP"), &NOWHERE);
    span.span_context() == NOWHERE.span().span_context()
}

impl fmt::Debug for TracerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global(_) => "global",
            Self::Given { .. } => "given",
        })
    }
}
