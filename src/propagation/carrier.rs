//! A header map as OpenTelemetry's extractor.

use http::HeaderMap;
use opentelemetry::propagation::Extractor;

/// As opentelemetry-http's, but for lines that are no text: that one leaves them out, so that of a
/// `traceparent` that was sent twice one line could remain.
pub(super) struct Lines<'a>(pub(super) &'a HeaderMap);

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let mut lines = self.0.get_all(key).iter().peekable();
        lines.peek()?;
        // No propagator takes an empty line for anything.
        Some(lines.map(|line| line.to_str().unwrap_or_default()).collect())
    }
}
