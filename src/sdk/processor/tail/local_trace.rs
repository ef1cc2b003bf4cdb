//! `LocalTrace`: what a predicate sees of the spans that it decides over.

use std::{iter, time::Duration};

use opentelemetry_sdk::trace::SpanData;

/// A local trace whose root has ended: what
/// [`with_predicate`](crate::sdk::tail::TailSampling::with_predicate) decides over.
///
/// ```
/// use opentelemetry::trace::SpanKind;
/// use tower_telemetry::sdk::tail::{LocalTrace, TailSampling};
///
/// /// Whether this service has asked others more than 20 times to answer one request.
/// fn is_chatty(trace: &LocalTrace<'_>) -> bool {
///     trace.spans().filter(|span| span.span_kind == SpanKind::Client).count() > 20
/// }
///
/// let sampling = TailSampling::new().with_predicate(is_chatty);
/// assert!(format!("{sampling:?}").contains("predicates: 1"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocalTrace<'a> {
    root: &'a SpanData,
    below: &'a [SpanData],
    duration: Duration,
}

impl<'a> LocalTrace<'a> {
    pub(super) fn new(root: &'a SpanData, below: &'a [SpanData], duration: Duration) -> Self {
        Self { root, below, duration }
    }

    /// The local root: the server span, of a request that a [`TraceLayer`](crate::TraceLayer) has
    /// traced.
    #[must_use]
    pub fn root(&self) -> &'a SpanData {
        self.root
    }

    /// All spans that were held, in the order in which they have ended; so the root is the last.
    ///
    /// Not among them are spans that were sampled, which are exported already, those over the
    /// [limit](crate::sdk::tail::TailSampling::with_max_spans_per_trace), and those that have not
    /// ended yet.
    pub fn spans(&self) -> impl Iterator<Item = &'a SpanData> + use<'a> {
        self.below.iter().chain(iter::once(self.root))
    }

    /// How long the root has taken: from its start to its end as it has them, or else, if the
    /// system's clock was set back meanwhile, as this process has measured it.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}
