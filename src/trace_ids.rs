//! The ids of the current span, as log lines have them.

use std::{fmt, str};

use opentelemetry::{
    Context, TraceFlags,
    trace::{SpanContext, TraceContextExt},
};

use crate::{contained::contained, propagation::hex};

/// Which span, of which trace: its ids as text, for a line in any log.
///
/// In lower-case hexadecimal, as [the specification][format] wants them in logs, and as every
/// backend shows them. For `tracing-subscriber` the feature `logs` has `WithTraceIds`, which puts
/// them into every line; this is for every other logger. It allocates nothing.
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_telemetry::{Providers, TraceIds, TraceLayer, propagation::TraceContext};
///
/// # async fn handle() -> Result<(), Box<dyn std::error::Error>> {
/// let handler = service_fn(async |_: Request<()>| {
///     let ids = TraceIds::current().ok_or("no span")?;
///     Ok::<_, &str>(Response::new(format!("{ids} found it")))
/// });
/// let providers = Providers::global()
///     .with_tracer_provider(&SdkTracerProvider::default())
///     .with_propagator(TraceContext::new());
/// let service = TraceLayer::new().with_telemetry(providers).layer(handler);
///
/// let mut request = Request::new(());
/// let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// request.headers_mut().insert("traceparent", caller.parse()?);
/// let line = service.oneshot(request).await?;
/// # let line = http_body_util::BodyExt::collect(line.into_body()).await?.to_bytes();
/// # let line = std::str::from_utf8(&line)?;
/// // The trace is the caller's, the span is the request's.
/// // trace_id=0af7651916cd43dd8448eb211c80319c span_id=6e0c63257de34c92 trace_flags=01 found it
/// # assert!(line.starts_with("trace_id=0af7651916cd43dd8448eb211c80319c span_id="), "{line}");
/// # assert!(line.ends_with(" trace_flags=01 found it"), "{line}");
/// # Ok(())
/// # }
/// # tokio_test::block_on(handle()).unwrap();
/// ```
///
/// [format]: https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/#overview
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceIds {
    trace_id: [u8; 32],
    span_id: [u8; 16],
    digits: [u8; 2],
    flags: TraceFlags,
}

impl TraceIds {
    /// Those of the span that is current in OpenTelemetry's [`Context`]; `None` where there is
    /// none.
    ///
    /// Current is a layer's span in the handler, and in a task that was spawned with the Context:
    /// [`with_context(Context::current())`](opentelemetry::trace::FutureExt::with_context). So is
    /// a span of `tracing` under a `tracing-opentelemetry` that activates Contexts, which is its
    /// default. A span that is not sampled has ids like any other. Where a layer makes no span,
    /// the caller's is current, if there is a caller that has one.
    ///
    /// ```
    /// use tower_telemetry::TraceIds;
    ///
    /// assert_eq!(TraceIds::current(), None);
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        // A thread that ends may log when its Context is gone, and then it panics to ask for it.
        contained(|| Context::map_current(Self::of)).flatten()
    }

    /// Those of the span in a [`Context`], whether it is current or not.
    ///
    /// ```
    /// use opentelemetry::{
    ///     Context, SpanId, TraceFlags, TraceId,
    ///     trace::{SpanContext, TraceContextExt, TraceState},
    /// };
    /// use tower_telemetry::TraceIds;
    ///
    /// let span = SpanContext::new(
    ///     TraceId::from(0x0af7651916cd43dd8448eb211c80319c),
    ///     SpanId::from(0xb7ad6b7169203331),
    ///     TraceFlags::SAMPLED,
    ///     false,
    ///     TraceState::NONE,
    /// );
    /// let ids = TraceIds::of(&Context::new().with_remote_span_context(span)).ok_or("no span")?;
    /// assert_eq!(ids.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    /// assert_eq!(TraceIds::of(&Context::new()), None);
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn of(cx: &Context) -> Option<Self> {
        // A Context without a span says so more cheaply than by a span that is not valid.
        if !cx.has_active_span() {
            return None;
        }
        let span = cx.span();
        Some(span.span_context()).filter(|span| span.is_valid()).map(Self::of_span)
    }

    fn of_span(span: &SpanContext) -> Self {
        let flags = span.trace_flags();
        let mut ids = Self { trace_id: [0; 32], span_id: [0; 16], digits: [0; 2], flags };
        hex::write(&mut ids.trace_id, &span.trace_id().to_bytes());
        hex::write(&mut ids.span_id, &span.span_id().to_bytes());
        hex::write(&mut ids.digits, &[flags.to_u8()]);
        ids
    }

    /// The trace's id: 32 digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        text(&self.trace_id)
    }

    /// The span's id: 16 digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        text(&self.span_id)
    }

    /// The trace's flags, two digits as in a [`traceparent`][flags]: `01` if the span is sampled,
    /// `00` if it is not; `03` and `02` if the trace's id is known to be random, too.
    ///
    /// [flags]: https://www.w3.org/TR/trace-context-2/#trace-flags
    #[must_use]
    pub fn trace_flags(&self) -> &str {
        text(&self.digits)
    }

    /// Whether the span is sampled, so that it can be looked up.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }
}

/// `trace_id=… span_id=… trace_flags=…`, as for a line of text.
impl fmt::Display for TraceIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id, flags) = (self.trace_id(), self.span_id(), self.trace_flags());
        write!(f, "trace_id={trace_id} span_id={span_id} trace_flags={flags}")
    }
}

impl fmt::Debug for TraceIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceIds({self})")
    }
}

/// Digits are text.
fn text(digits: &[u8]) -> &str {
    str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        sync::mpsc::{self, Sender},
        thread,
    };

    use opentelemetry::{SpanId, TraceId, trace::TraceState};

    use super::*;

    fn cx(trace_id: u128, span_id: u64, flags: u8) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from(trace_id),
            SpanId::from(span_id),
            TraceFlags::new(flags),
            false,
            TraceState::NONE,
        ))
    }

    #[test]
    fn ids_keep_their_zeros_and_flags_all_their_bits() {
        let ids = TraceIds::of(&cx(0xab, 0xc, 0xa2)).unwrap();
        assert_eq!(ids.trace_id(), "000000000000000000000000000000ab");
        assert_eq!(ids.span_id(), "000000000000000c");
        assert_eq!(ids.trace_flags(), "a2");
        assert!(!ids.is_sampled());
        assert!(TraceIds::of(&cx(1, 1, 3)).unwrap().is_sampled());
        assert_eq!(
            format!("{ids} {ids:?}"),
            "trace_id=000000000000000000000000000000ab span_id=000000000000000c trace_flags=a2 \
             TraceIds(trace_id=000000000000000000000000000000ab span_id=000000000000000c \
             trace_flags=a2)"
        );
    }

    #[test]
    fn what_is_no_span_has_no_ids() {
        for cx in [Context::new(), cx(0, 1, 1), cx(1, 0, 1), cx(0, 0, 0)] {
            assert_eq!(TraceIds::of(&cx), None, "{cx:?}");
        }
    }

    #[test]
    fn a_thread_may_ask_when_its_context_is_gone() {
        struct Late(Sender<Option<TraceIds>>);

        impl Drop for Late {
            fn drop(&mut self) {
                let _ = self.0.send(TraceIds::current());
            }
        }

        thread_local! {
            static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
        }

        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            // Whatever comes first in a thread is the last to go.
            LATE.with(|late| *late.borrow_mut() = Some(Late(tell)));
            assert_eq!(TraceIds::current(), None);
        })
        .join()
        .unwrap();
        assert_eq!(told.recv().unwrap(), None);
    }
}
