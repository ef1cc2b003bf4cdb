//! A header map as OpenTelemetry's extractor.

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
    /// All lines of it, if there are several.
    baggage: Option<String>,
}

const BAGGAGE: &str = "baggage";

impl<'a> Lines<'a> {
    pub(super) fn new(headers: &'a HeaderMap) -> Self {
        let mut lines = headers.get_all(BAGGAGE).iter().filter_map(|line| line.to_str().ok());
        let baggage = match (lines.next(), lines.next()) {
            (Some(first), Some(second)) => {
                let mut list = [first, second].join(",");
                for line in lines {
                    list.push(',');
                    list.push_str(line);
                }
                Some(list)
            }
            _ => None,
        };
        Self { headers, baggage }
    }
}

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match &self.baggage {
            Some(list) if key.eq_ignore_ascii_case(BAGGAGE) => Some(list),
            _ => self.headers.get(key).and_then(|value| value.to_str().ok()),
        }
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
