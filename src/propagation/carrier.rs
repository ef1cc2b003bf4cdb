//! A header map as OpenTelemetry's extractor.

use std::borrow::Cow;

use http::HeaderMap;
use opentelemetry::propagation::Extractor;

/// As opentelemetry-http's, but for two things.
///
/// Lines that are no text are not left out, since of a `traceparent` that was sent twice one line
/// could remain. And several lines of `baggage` are [one list][list], of which propagators only
/// ever ask for the first line.
///
/// [list]: https://www.w3.org/TR/baggage/#baggage-http-header-format
pub(super) struct Lines<'a> {
    headers: &'a HeaderMap,
    /// All lines of it.
    baggage: Option<Cow<'a, str>>,
}

/// The header of W3C's baggage.
pub(super) const BAGGAGE: &str = "baggage";

impl<'a> Lines<'a> {
    pub(super) fn new(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(BAGGAGE).iter().filter_map(|line| line.to_str().ok());
        Self { headers, baggage: joined(lines) }
    }
}

/// Several lines of a header that is a list, as one.
pub(super) fn joined<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let mut list = Cow::Borrowed(lines.next()?);
    for line in lines {
        let list = list.to_mut();
        list.push(',');
        list.push_str(line);
    }
    Some(list)
}

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key.eq_ignore_ascii_case(BAGGAGE) {
            return self.baggage.as_deref();
        }
        self.headers.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(http::HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let mut lines = self.headers.get_all(key).iter().peekable();
        lines.peek()?;
        // No propagator takes an empty line for anything.
        Some(lines.map(|line| line.to_str().unwrap_or_default()).collect())
    }
}
