//! The filter: what a request is to leave behind, and what not.

use std::{fmt, sync::Arc};

use http::Extensions;

use crate::{contained::contained, head::RequestHead};

/// What a layer does with a request, signal by signal. Default: [all](Self::all) of it.
///
/// A predicate of the layer gives one ([`TraceLayer::with_filter`],
/// [`ClientTraceLayer::with_filter`]); so does one among the
/// request's [extensions](http::Extensions), which a layer further out has put there for some of
/// the routes. A signal is left out as soon as one of them says so.
///
/// It has to be there before the layer is: one that is put into the request further in, on the
/// route itself, comes too late. A predicate of a layer on the router sees the
/// [route](crate::server::RequestHead::route).
///
/// What is [filtered](Self::none) altogether is passed through untouched: nothing is read, nothing
/// is current, nothing is put into request or response, and nothing is allocated.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use tower_telemetry::{TraceLayer, server::Verdict};
///
/// let health: Router = Router::new()
///     .route("/live", get(|| async { "yes" }))
///     .route("/ready", get(|| async { "yes" }));
/// let app: Router = Router::new()
///     .route("/items/{id}", get(|| async { "an item" }))
///     .layer(TraceLayer::new())
///     .merge(health.layer(TraceLayer::new()).layer(Extension(Verdict::none())));
/// # let _ = app;
/// ```
///
/// [`TraceLayer::with_filter`]: crate::TraceLayer::with_filter
/// [`ClientTraceLayer::with_filter`]: crate::ClientTraceLayer::with_filter
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    span: bool,
    metrics: bool,
    propagation: bool,
}

impl Verdict {
    /// Span, metrics and propagation. This is the default.
    ///
    /// ```
    /// use tower_telemetry::server::Verdict;
    ///
    /// assert_eq!(Verdict::all(), Verdict::default());
    /// ```
    pub const fn all() -> Self {
        Self { span: true, metrics: true, propagation: true }
    }

    /// None of them: the request passes through untouched.
    ///
    /// ```
    /// use tower_telemetry::server::Verdict;
    ///
    /// let verdict = Verdict::none();
    /// assert!(!verdict.has_span() && !verdict.has_metrics() && !verdict.has_propagation());
    /// ```
    pub const fn none() -> Self {
        Self { span: false, metrics: false, propagation: false }
    }

    /// No span. On a server the caller's is current instead, where
    /// [`RemoteParent`](crate::server::RemoteParent) continues it; on a client the current one goes
    /// along. Unless there is no propagation either. Default: a span.
    ///
    /// ```
    /// use tower_telemetry::server::Verdict;
    ///
    /// let verdict = Verdict::all().without_span();
    /// assert!(!verdict.has_span() && verdict.has_propagation());
    /// ```
    pub const fn without_span(mut self) -> Self {
        self.span = false;
        self
    }

    /// No measurement. Default: measurements; a [`TraceLayer`](crate::TraceLayer) makes none as
    /// yet.
    ///
    /// ```
    /// use tower_telemetry::server::Verdict;
    ///
    /// let verdict = Verdict::all().without_metrics();
    /// assert!(!verdict.has_metrics() && verdict.has_span());
    /// ```
    pub const fn without_metrics(mut self) -> Self {
        self.metrics = false;
        self
    }

    /// No headers. On a server the request's are not read, so that a span has no parent from
    /// elsewhere, and the response gets none; on a client the request gets none. Default: both.
    ///
    /// ```
    /// use tower_telemetry::server::Verdict;
    ///
    /// // A trace of its own for each request.
    /// let verdict = Verdict::all().without_propagation();
    /// assert!(!verdict.has_propagation() && verdict.has_span());
    /// ```
    pub const fn without_propagation(mut self) -> Self {
        self.propagation = false;
        self
    }

    /// Whether there is to be a span.
    #[must_use]
    pub const fn has_span(self) -> bool {
        self.span
    }

    /// Whether there are to be measurements.
    #[must_use]
    pub const fn has_metrics(self) -> bool {
        self.metrics
    }

    /// Whether headers are read and written.
    #[must_use]
    pub const fn has_propagation(self) -> bool {
        self.propagation
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            span: self.span && other.span,
            metrics: self.metrics && other.metrics,
            propagation: self.propagation && other.propagation,
        }
    }
}

impl Default for Verdict {
    fn default() -> Self {
        Self::all()
    }
}

/// The predicates of a layer.
#[derive(Clone, Default)]
pub(crate) struct Filter(Vec<Predicate>);

type Predicate = Arc<dyn Fn(&RequestHead<'_>) -> Verdict + Send + Sync>;

impl Filter {
    pub(crate) fn and(&mut self, predicate: Predicate) {
        self.0.push(predicate);
    }

    /// What all of them agree on. One that panics has nothing against the request. The head is only
    /// made if there is one to look at it.
    pub(crate) fn verdict<'a>(
        &self,
        extensions: &Extensions,
        head: impl Fn() -> RequestHead<'a>,
    ) -> Verdict {
        let per_route = extensions.get::<Verdict>().copied().unwrap_or_default();
        self.0.iter().fold(per_route, |verdict, predicate| {
            verdict.and(contained(|| predicate(&head())).unwrap_or_default())
        })
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} predicates", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_left_out_as_soon_as_one_says_so() {
        let every = || [false, true].into_iter();
        for (span, metrics) in every().flat_map(|span| every().map(move |metrics| (span, metrics)))
        {
            for propagation in every() {
                let verdict = Verdict { span, metrics, propagation };
                assert_eq!(verdict.and(Verdict::all()), verdict);
                assert_eq!(verdict.and(Verdict::none()), Verdict::none());
                let both = verdict.and(Verdict::all().without_span());
                assert_eq!(both, verdict.without_span());
                let both = verdict.and(Verdict::all().without_metrics());
                assert_eq!(both, verdict.without_metrics());
                let both = verdict.and(Verdict::all().without_propagation());
                assert_eq!(both, verdict.without_propagation());
            }
        }
    }
}
