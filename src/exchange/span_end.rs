//! When a span ends: with the last of the body, or with the head.

use std::{fmt, sync::Arc};

use crate::exchange::{head::ResponseHead, hooks::contained};

/// What a span waits for.
///
/// A layer has one for all its responses, or a predicate that chooses. A handler has the last word on
/// its own response: one of these among the response's [extensions](http::Extensions) counts before
/// what the layer says.
///
/// ```
/// use axum::{Extension, response::IntoResponse};
/// use tower_telemetry::server::SpanEnd;
///
/// /// Answers with a stream that lasts for hours.
/// async fn events() -> impl IntoResponse {
///     (Extension(SpanEnd::Head), "data: an event\n\n")
/// }
/// # let _ = events;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanEnd {
    /// The end of the response: the last frame of its body, or its trailers. The default.
    #[default]
    Body,
    /// The response's head. What becomes of the body is not on the span.
    Head,
}

/// Which of them counts for a response.
#[derive(Clone, Default)]
pub(crate) struct EndPolicy {
    pub(crate) always: SpanEnd,
    pub(crate) by: Option<Choose>,
}

pub(crate) type Choose = Arc<dyn Fn(&ResponseHead<'_>) -> SpanEnd + Send + Sync>;

impl EndPolicy {
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
