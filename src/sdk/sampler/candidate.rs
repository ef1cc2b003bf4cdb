//! A span that is about to start, as rules see it.

use std::fmt;

use http::HeaderName;
use opentelemetry::{Array, Context, KeyValue, Value, trace::SpanKind};

use crate::head::RequestHead;

/// A span that is about to start, as [`Rule`](super::Rule)s see it.
///
/// Of a span of a layer that [has the telemetry](crate::TraceLayer::with_telemetry) it is the
/// request, looked at before anything is made of it. Of any other span, also of a layer with just
/// the provider, or the global one, it is what its builder says: name and attributes.
/// [`method`](Self::method), [`path`](Self::path) and [`route`](Self::route) are read from either.
///
/// ```
/// use tower_telemetry::sdk::sampler::{Candidate, Rule};
///
/// // Downloads, unless somebody looks into them.
/// fn is_download(candidate: &Candidate<'_>) -> bool {
///     let asked = candidate.request().is_some_and(|head| head.headers().contains_key("x-debug"));
///     candidate.path().is_some_and(|path| path.ends_with(".zip")) && !asked
/// }
/// let rule = Rule::ratio(0.001).with_predicate(is_download);
/// # let _ = rule;
/// ```
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    kind: &'a SpanKind,
    parent_cx: &'a Context,
    seen: Seen<'a>,
}

#[derive(Clone, Copy)]
enum Seen<'a> {
    Request(RequestHead<'a>),
    Span { name: &'a str, attributes: &'a [KeyValue] },
}

impl<'a> Candidate<'a> {
    pub(super) fn of_request(
        kind: &'a SpanKind,
        parent_cx: &'a Context,
        head: RequestHead<'a>,
    ) -> Self {
        Self { kind, parent_cx, seen: Seen::Request(head) }
    }

    pub(super) fn of_span(
        kind: &'a SpanKind,
        parent_cx: &'a Context,
        name: &'a str,
        attributes: &'a [KeyValue],
    ) -> Self {
        Self { kind, parent_cx, seen: Seen::Span { name, attributes } }
    }

    /// The span's kind.
    #[must_use]
    pub fn kind(&self) -> &'a SpanKind {
        self.kind
    }

    /// The Context that it starts in, with its parent's span and the baggage.
    #[must_use]
    pub fn parent_cx(&self) -> &'a Context {
        self.parent_cx
    }

    /// The request, if a layer with the telemetry starts the span.
    #[must_use]
    pub fn request(&self) -> Option<RequestHead<'a>> {
        match self.seen {
            Seen::Request(head) => Some(head),
            Seen::Span { .. } => None,
        }
    }

    /// The span's name, if its builder has one already. A layer gives it later.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        match self.seen {
            Seen::Request(_) => None,
            Seen::Span { name, .. } => Some(name),
        }
    }

    /// An attribute that the span's builder has already. Those of a layer come later.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&'a Value> {
        match self.seen {
            Seen::Request(_) => None,
            Seen::Span { attributes, .. } => {
                attributes.iter().find(|attribute| attribute.key.as_str() == key)
            }
        }
        .map(|attribute| &attribute.value)
    }

    /// The method: the request's, or `http.request.method`.
    #[must_use]
    pub fn method(&self) -> Option<&'a str> {
        match self.seen {
            Seen::Request(head) => Some(head.method().as_str()),
            Seen::Span { .. } => self.text("http.request.method"),
        }
    }

    /// The path, as it was sent: the request's, or `url.path`.
    #[must_use]
    pub fn path(&self) -> Option<&'a str> {
        match self.seen {
            Seen::Request(head) => Some(head.path()),
            Seen::Span { .. } => self.text("url.path"),
        }
    }

    /// The route, such as `/items/{id}`, where it is [known this early](RequestHead::route), or
    /// `http.route`.
    #[must_use]
    pub fn route(&self) -> Option<&'a str> {
        match self.seen {
            Seen::Request(head) => head.route(),
            Seen::Span { .. } => self.text("http.route"),
        }
    }

    /// Whether one of the lines of this header, or of its attribute `key`, is as wanted.
    pub(super) fn has_header(
        &self,
        name: &HeaderName,
        key: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> bool {
        match self.seen {
            Seen::Request(head) => head
                .headers()
                .get_all(name)
                .iter()
                .any(|line| is_wanted(&String::from_utf8_lossy(line.as_bytes()))),
            Seen::Span { .. } => match self.attribute(key) {
                Some(Value::Array(Array::String(lines))) => {
                    lines.iter().any(|line| is_wanted(line.as_str()))
                }
                _ => false,
            },
        }
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        match self.attribute(key) {
            Some(Value::String(text)) => Some(text.as_str()),
            _ => None,
        }
    }
}

/// Shows neither headers nor attributes, which may hold secrets.
impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("kind", &self.kind)
            .field("name", &self.name())
            .field("method", &self.method())
            .field("path", &self.path())
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}
