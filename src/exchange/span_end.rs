//! When a span ends: with the last of the body, or with the head.

use std::{fmt, sync::Arc};

use crate::{contained::contained, exchange::outcome::Side, head::ResponseHead};

/// What a span waits for. Default: [`Body`](Self::Body) on a server, [`Head`](Self::Head) on a
/// client.
///
/// A layer has one for all its responses, or a predicate that chooses. A handler has the last word
/// on its own response: one of these among the response's [extensions](http::Extensions) counts
/// before what the layer says.
///
/// ```
/// use axum::{Extension, Router, response::IntoResponse, routing::get};
/// use http::Request;
/// use tower_telemetry::{TraceLayer, server::SpanEnd};
#[doc = include_str!("../server/span_of.md")]
///
/// /// Answers with a stream that lasts for hours.
/// async fn events() -> impl IntoResponse {
///     (Extension(SpanEnd::Head), "data: an event\n\n")
/// }
///
/// let app = Router::new().route("/", get(events));
/// let span = span_by(TraceLayer::new(), app, Request::new(String::new()));
/// // The span is the time to the head, and so has no attribute for it.
/// let time_to_head = "tower_telemetry.time_to_head";
/// assert!(span.attributes.iter().all(|attribute| attribute.key.as_str() != time_to_head));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanEnd {
    /// The end of the response: the last frame of its body, or its trailers.
    Body,
    /// The response's head. What becomes of the body is not on the span.
    Head,
}

/// Which of them counts for a response.
#[derive(Clone)]
pub(crate) struct EndPolicy {
    pub(crate) always: SpanEnd,
    pub(crate) by: Option<Choose>,
}

pub(crate) type Choose = Arc<dyn Fn(&ResponseHead<'_>) -> SpanEnd + Send + Sync>;

impl EndPolicy {
    /// The default. Whether a client's caller reads a body, and when, is not the [client's][end].
    ///
    /// [end]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span-duration
    pub(crate) fn of_side(side: Side) -> Self {
        let always = match side {
            Side::Server => SpanEnd::Body,
            Side::Client => SpanEnd::Head,
        };
        Self { always, by: None }
    }

    pub(crate) fn of(&self, head: &ResponseHead<'_>) -> SpanEnd {
        let chosen = || contained(|| self.by.as_ref().map(|by| by(head))).flatten();
        head.extensions().get().copied().or_else(chosen).unwrap_or(self.always)
    }
}

impl fmt::Debug for EndPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by.is_some() {
            return f.write_str("by predicate");
        }
        self.always.fmt(f)
    }
}
