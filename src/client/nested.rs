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
    /// The client exchange that this thread is inside of. Other than the Context, it says that the
    /// span is a client's, and costs nothing.
    static INSIDE: Cell<Inside> =
        const { Cell::new(Inside { span: SpanId::INVALID, measured: Measured::Not }) };
}

#[derive(Clone, Copy)]
struct Inside {
    span: SpanId,
    measured: Measured,
}

/// Whether a layer measures the exchange.
#[derive(Clone, Copy)]
enum Measured {
    Not,
    /// That of the span.
    OfSpan,
    /// The one for what is known by this.
    Marked(u64),
}

/// Runs a part of the inner service inside of the client exchange of `guard`.
pub(super) fn run<T>(guard: &Guard, inner: impl FnOnce() -> T) -> T {
    /// Also if the service panics.
    struct Restore(Inside);

    impl Drop for Restore {
        fn drop(&mut self) {
            INSIDE.set(self.0);
        }
    }

    let outside = INSIDE.get();
    let own = guard.measured();
    let inside = match guard.span_id() {
        Some(span) => {
            let measured = match outside.measured {
                _ if own.is_some() => Measured::OfSpan,
                Measured::Marked(mark) => Measured::Marked(mark),
                Measured::OfSpan if outside.span == span => Measured::OfSpan,
                Measured::OfSpan | Measured::Not => Measured::Not,
            };
            Inside { span, measured }
        }
        None => Inside { measured: own.map_or(outside.measured, Measured::Marked), ..outside },
    };
    INSIDE.set(inside);
    let _restore = Restore(outside);
    guard.run(inner)
}

/// Whether a layer further out measures this very request, which is `traced` by one of them or not.
pub(super) fn is_measured<R: OutgoingRequest>(request: &Seen<'_, R>, traced: bool) -> bool {
    match INSIDE.get().measured {
        Measured::Not => false,
        Measured::OfSpan => traced,
        Measured::Marked(mark) => request.asked_for() == mark,
    }
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
    if current == SpanId::INVALID || current != INSIDE.get().span {
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
