//! A request that a client layer further out has made a span for.

use std::cell::Cell;

use http::HeaderMap;
use opentelemetry::{Context, SpanId, trace::TraceContextExt};

use crate::{
    client::{OutgoingRequest, seen::Seen},
    contained::contained,
    exchange::guard::Guard,
    propagation::Propagator,
};

thread_local! {
    /// The client span that this thread is inside of. Other than the Context, it says that the
    /// span is a client's, and costs nothing.
    static INSIDE: Cell<SpanId> = const { Cell::new(SpanId::INVALID) };
}

/// Runs a part of the inner service inside of the client span of `guard`.
pub(super) fn run<T>(guard: &Guard, inner: impl FnOnce() -> T) -> T {
    /// Also if the service panics.
    struct Restore(SpanId);

    impl Drop for Restore {
        fn drop(&mut self) {
            INSIDE.set(self.0);
        }
    }

    let _restore = Restore(INSIDE.replace(guard.span_id()));
    guard.run(inner)
}

/// Whether a layer further out has made the current span for this very request. Another request
/// that is made in there, for a token, has a span of its own: it does not carry the current span in
/// its headers yet.
pub(super) fn is_traced<R: OutgoingRequest>(
    request: &Seen<'_, R>,
    cx: &Context,
    propagator: &Propagator,
) -> bool {
    let current = cx.span().span_context().span_id();
    if current == SpanId::INVALID || current != INSIDE.get() {
        return false;
    }
    if let Some(Unwritten(Some(asked_for))) = cx.get() {
        return *asked_for == request.asked_for();
    }
    let mut ours = HeaderMap::new();
    contained(|| propagator.inject_without_baggage(cx, &mut ours));
    ours.iter().all(|(name, value)| request.request.headers().get(name) == Some(value))
}

/// A value of the Context of a client span that its request's headers say nothing of: what is asked
/// for is then all that the request is known by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwritten(Option<u64>);

impl Unwritten {
    /// The Context that the span of `request` begins in.
    pub(super) fn of<R: OutgoingRequest>(
        request: &Seen<'_, R>,
        written: bool,
        cx: Context,
    ) -> Context {
        if !written {
            return cx.with_value(Self(Some(request.asked_for())));
        }
        match cx.get() {
            // Another request's, further out.
            Some(Self(Some(_))) => cx.with_value(Self(None)),
            _ => cx,
        }
    }
}
