//! The remote span, and what its caller said that a `SpanContext` does not hold or a tracer loses.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};

/// Level 2's flag for a trace id [whose right half is random][random].
///
/// [random]: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0b10);

/// What was received of a trace, in the Context beside its spans.
///
/// It holds for one trace and everything in there, whoever makes the spans: OpenTelemetry's tracer
/// gives none of it on to a span that is sampled out, and has no place for most of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// Which trace, and which span of it.
    of: Option<(TraceId, SpanId)>,
    /// [`RANDOM`] was set.
    random: bool,
    debug: bool,
    undecided: bool,
    /// The whole `tracestate`, if OpenTelemetry's type holds not all of it.
    pub(super) tracestate: Option<Box<str>>,
    /// X-Ray's `Lineage`.
    pub(super) lineage: Option<Box<str>>,
}

impl Received {
    /// What was received of this span's trace: with this very span, or with one that it descends
    /// from. Another remote span is neither.
    pub(super) fn of<'a>(cx: &'a Context, span: &SpanContext) -> Option<&'a Self> {
        let received = cx.get::<Self>()?;
        let (trace, remote) = received.of?;
        let is_this = remote == span.span_id() || !span.is_remote();
        (trace == span.trace_id() && is_this).then_some(received)
    }

    /// What a caller has decided, or has not, beside the ids of its span.
    pub(super) fn decided(decision: Decision) -> Self {
        Self {
            debug: decision == Decision::Debug,
            undecided: decision == Decision::Undecided,
            ..Self::default()
        }
    }

    /// The flag that the trace's spans are to carry, though a tracer may have dropped it.
    pub(super) fn random(cx: &Context, span: &SpanContext) -> TraceFlags {
        let flags = span.trace_flags() & RANDOM;
        match Self::of(cx, span) {
            Some(Self { random: true, .. }) => flags | RANDOM,
            _ => flags,
        }
    }

    fn is_of(&self, trace_id: TraceId) -> bool {
        self.of.is_some_and(|(id, _)| id == trace_id)
    }

    fn is_empty(&self) -> bool {
        let Self { of: _, random, debug, undecided, tracestate, lineage } = self;
        !(*random || *debug || *undecided) && tracestate.is_none() && lineage.is_none()
    }
}

/// Whether a trace is sampled, in the words of B3, of which Jaeger and X-Ray have some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// That is for others to say.
    Undecided,
    No,
    Yes,
    /// Yes, and it is to be looked at in any case.
    Debug,
}

impl Decision {
    /// What is to be said of a span.
    pub(super) fn of(cx: &Context, span: &SpanContext) -> Self {
        let received = Received::of(cx, span);
        match (span.is_sampled(), received) {
            // A sampler may have decided otherwise.
            (true, Some(Received { debug: true, .. })) => Self::Debug,
            (true, _) => Self::Yes,
            (false, Some(Received { undecided: true, .. })) if span.is_remote() => Self::Undecided,
            (false, _) => Self::No,
        }
    }

    pub(super) fn flags(self) -> TraceFlags {
        TraceFlags::NOT_SAMPLED.with_sampled(matches!(self, Self::Yes | Self::Debug))
    }
}

/// Whether the caller, whose span is the Context's, has left it to others, and so to us, whether
/// its trace is sampled.
#[cfg(feature = "sdk")]
#[inline]
pub(crate) fn is_undecided(parent_cx: &Context, parent: &SpanContext) -> bool {
    // A parent that is sampled, or one of this process, has been decided over.
    parent.is_remote()
        && !parent.is_sampled()
        && Received::of(parent_cx, parent).is_some_and(|received| received.undecided)
}

/// The Context with a remote span in it, and what else was received.
///
/// Of two formats that name the same span, the second adds to what the first has said.
#[inline]
pub(super) fn with_remote(
    cx: &Context,
    ids: (TraceId, SpanId),
    flags: TraceFlags,
    state: TraceState,
    mut received: Received,
) -> Context {
    let (mut flags, mut state) = (flags, state);
    let before = cx.span();
    let before = before.span_context();
    if before.is_valid() && (before.trace_id(), before.span_id()) == ids {
        flags = flags | before.trace_flags() & RANDOM;
        if state == TraceState::NONE {
            state = before.trace_state().clone();
        }
        let was = Received::of(cx, before).cloned().unwrap_or_default();
        if received.undecided && !was.undecided {
            // Somebody has decided.
            flags = flags | before.trace_flags();
            received.undecided = false;
        }
        received.debug |= was.debug && flags.is_sampled();
        received.tracestate = received.tracestate.or(was.tracestate);
        received.lineage = received.lineage.or(was.lineage);
    }
    // Below a span that is sampled it is kept by spans that are, and that is most of them: see
    // `keep_random`.
    received.random = flags & RANDOM == RANDOM && !flags.is_sampled();
    let span = SpanContext::new(ids.0, ids.1, flags, true, state);
    let cx = cx.with_remote_span_context(span);
    // What was received of another part of the same trace does not hold here.
    let stale = cx.get::<Received>().is_some_and(|stale| stale.is_of(ids.0));
    if received.is_empty() && !stale {
        return cx;
    }
    received.of = Some(ids);
    cx.with_value(received)
}

/// The Context that somebody else has found a span for, and nothing beside it that was received with
/// another.
pub(super) fn of_this_span(before: &Context, cx: Context) -> Context {
    let ids = |cx: &Context| {
        let span = cx.span();
        (span.span_context().trace_id(), span.span_context().span_id())
    };
    if cx.get::<Received>().is_some() && ids(before) != ids(&cx) {
        return cx.with_value(Received::default());
    }
    cx
}

/// The Context with the flag of its span beside it, where somebody may sample out what is further
/// in.
pub(crate) fn keep_random(cx: Context) -> Context {
    if cx.span().span_context().trace_flags() & RANDOM == RANDOM { with_random(&cx) } else { cx }
}

fn with_random(cx: &Context) -> Context {
    let span = cx.span();
    let span = span.span_context();
    let mut received = Received::of(cx, span).cloned().unwrap_or_default();
    if received.random {
        return cx.clone();
    }
    received.of = received.of.or(Some((span.trace_id(), span.span_id())));
    received.random = true;
    cx.with_value(received)
}

/// The Context with a span that was sampled out, of which the tracer has dropped the flags of its
/// parent; `flags` are its own.
pub(crate) fn with_unsampled(
    parent_cx: &Context,
    span: &SpanContext,
    flags: TraceFlags,
) -> Context {
    let parent = parent_cx.span();
    let parent = parent.span_context();
    if parent.trace_id() != span.trace_id() || Received::random(parent_cx, parent) != RANDOM {
        return parent_cx.with_remote_span_context(with_flags(span, flags));
    }
    let cx = parent_cx.with_remote_span_context(with_flags(span, flags | RANDOM));
    // What began here was ours to say, and may stay unsaid further in.
    if parent.is_remote() { keep_random(cx) } else { cx }
}

/// The same span with these flags, too.
pub(crate) fn with_flags(span: &SpanContext, flags: TraceFlags) -> SpanContext {
    SpanContext::new(
        span.trace_id(),
        span.span_id(),
        span.trace_flags() | flags,
        span.is_remote(),
        span.trace_state().clone(),
    )
}
