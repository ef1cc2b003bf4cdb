//! The parent: whose request this is, and whether that is believed.

use std::{fmt, sync::Arc};

use opentelemetry::{
    Context,
    baggage::{BaggageExt, KeyValueMetadata},
    trace::{SpanContext, TraceContextExt},
};

use crate::{contained::contained, head::RequestHead, propagation::Propagator};

/// What becomes of the span, and of the baggage, that a request's headers name. Default:
/// [`Continue`](Self::Continue).
///
/// Whoever can reach a service can send it headers. Among services of one's own these make one
/// trace of many spans; from strangers they decide over the sampling of a service that is not
/// theirs, and put their baggage before its handlers. A public edge is one line:
///
/// ```
/// use http::Request;
/// use opentelemetry::trace::SpanId;
/// use tower_telemetry::{TraceLayer, server::RemoteParent};
#[doc = include_str!("span_of.md")]
///
/// let edge = TraceLayer::new().with_remote_parent(RemoteParent::Link);
///
/// let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let request = Request::builder().header("traceparent", caller).body(String::new())?;
/// let span = span_of(edge, request);
/// assert_eq!(span.parent_span_id, SpanId::INVALID);
/// assert_eq!(span.links[0].span_context.span_id(), SpanId::from_hex("b7ad6b7169203331")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteParent {
    /// The span is a child of the caller's, and the caller's baggage comes along.
    #[default]
    Continue,
    /// The span begins a trace of its own and has a [link] to the caller's; the baggage is dropped.
    ///
    /// [link]: https://opentelemetry.io/docs/specs/otel/overview/#links-between-spans
    Link,
    /// The span begins a trace of its own and knows nothing of the caller's; the baggage is
    /// dropped.
    Ignore,
}

/// Which of them counts for a request.
#[derive(Clone, Default)]
pub(super) struct ParentPolicy {
    pub(super) always: RemoteParent,
    pub(super) by: Option<Choose>,
}

pub(super) type Choose = Arc<dyn Fn(&RequestHead<'_>) -> RemoteParent + Send + Sync>;

/// Where a span belongs.
pub(super) struct Parent {
    pub(super) cx: Context,
    pub(super) link: Option<SpanContext>,
}

impl ParentPolicy {
    /// One that panics has not said that the headers are to be believed.
    fn of(&self, head: &RequestHead<'_>) -> RemoteParent {
        let Some(by) = &self.by else {
            return self.always;
        };
        contained(|| by(head)).unwrap_or(RemoteParent::Ignore)
    }
}

/// The current Context, with the caller's span in it if the headers carry one that is believed. A
/// propagator of the user's that panics has found none.
pub(super) fn parent(
    policy: &ParentPolicy,
    propagator: &Propagator,
    head: &RequestHead<'_>,
) -> Parent {
    // A clone, not a borrow: a propagator of the user's may attach a Context of its own.
    let cx = Context::current();
    match policy.of(head) {
        RemoteParent::Continue => {
            let remote = contained(|| propagator.extract_parent(&cx, head.headers()));
            Parent { cx: remote.unwrap_or(cx), link: None }
        }
        RemoteParent::Ignore => Parent { cx: root(cx), link: None },
        RemoteParent::Link => {
            let remote = contained(|| propagator.extract_parent(&Context::new(), head.headers()));
            let link = remote.map(|remote| remote.span().span_context().clone());
            Parent { cx: root(cx), link: link.filter(SpanContext::is_valid) }
        }
    }
}

/// A Context without a span, of one that has none as a rule.
///
/// A span cannot be taken out of a Context, and the SDK's parent-based sampler takes an invalid one
/// for a parent that was not sampled. So what may matter to others is put into a new one.
fn root(cx: Context) -> Context {
    if !cx.has_active_span() {
        return cx;
    }
    let mut root = Context::new();
    if !cx.baggage().is_empty() {
        let entries = cx.baggage().iter().map(|(key, (value, metadata))| {
            KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
        });
        root = root.with_baggage(entries);
    }
    if cx.is_telemetry_suppressed() { root.with_telemetry_suppressed() } else { root }
}

impl fmt::Debug for ParentPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by.is_some() {
            return f.write_str("by predicate");
        }
        self.always.fmt(f)
    }
}
