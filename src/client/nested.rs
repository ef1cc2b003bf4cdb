//! A request that a client layer further out has made a span for.

use std::cell::Cell;

use http::HeaderMap;
use opentelemetry::{Context, SpanId, trace::TraceContextExt};

use crate::{
    client::{OutgoingRequest, propagate::Permit},
    exchange::{contained::contained, guard::Guard},
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
    request: &R,
    cx: &Context,
    propagator: &Propagator,
    permit: Permit,
) -> bool {
    let current = cx.span().span_context().span_id();
    if current == SpanId::INVALID || current != INSIDE.get() {
        return false;
    }
    let mut ours = HeaderMap::new();
    if permit.context {
        contained(|| propagator.inject_without_baggage(cx, &mut ours));
    }
    // Where nothing may be sent, nothing tells the one from the other.
    ours.iter().all(|(name, value)| request.headers().get(name) == Some(value))
}
