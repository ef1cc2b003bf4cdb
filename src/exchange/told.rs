//! What the inside of an exchange tells its span: route, name, kind of error, size of the request.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;
use opentelemetry::StringValue;

use crate::exchange::exceptions::Exception;

/// Who knows a route; whoever stands further down knows it better.
///
/// Of two routes the one from the better source wins. Of two from the same, a handler's first one
/// stays; of the others the longer wins, since a prefix is known before the rest of the route.
/// [`ServerSpan::set_route`](crate::server::ServerSpan::set_route) is the handler's word; there is
/// no default.
///
/// ```
/// use tower_telemetry::server::RouteSource;
///
/// assert!(RouteSource::Middleware < RouteSource::Router);
/// assert!(RouteSource::Router < RouteSource::Handler);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RouteSource {
    /// A layer that knows a part of the route, such as where a service is mounted.
    Middleware,
    /// The router: axum's `MatchedPath`, at a `TraceLayer` or a `RouteLayer`.
    Router,
    /// The handler itself.
    Handler,
}

/// A route and where it is from.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) source: RouteSource,
    pub(crate) pattern: StringValue,
}

impl Route {
    /// Whether this one is to replace `known`.
    pub(crate) fn beats(&self, known: &Self) -> bool {
        if self.source == known.source && self.source != RouteSource::Handler {
            self.pattern.as_str().len() > known.pattern.as_str().len()
        } else {
            self.source > known.source
        }
    }
}

/// Everything that was told, shared between those inside and the guard, without a lock: the one who
/// tells writes a new whole.
#[derive(Default)]
pub(crate) struct Told {
    facts: ArcSwapOption<Facts>,
    /// One more than the bytes that were read of the request's body; 0 if nobody counts.
    request_bytes: AtomicU64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) route: Option<Route>,
    pub(crate) name: Option<Cow<'static, str>>,
    /// Why a response is a failure, as the handler says it.
    pub(crate) error_type: Option<Cow<'static, str>>,
    /// What the service's error is called. If the service was tried again and then answered, there
    /// was no error.
    pub(crate) service_error: Option<Cow<'static, str>>,
    /// What made the handler give up, as it says itself.
    pub(crate) exception: Option<Exception>,
    /// The service's error, as far as it is known. The same holds for it.
    pub(crate) service_exception: Option<Exception>,
}

impl Facts {
    /// What the request has failed with; `of_service` says that it was the service's error.
    pub(crate) fn exception(&self, of_service: bool) -> Option<&Exception> {
        let service_exception = self.service_exception.as_ref().filter(|_| of_service);
        self.exception.as_ref().or(service_exception)
    }

    /// The word for what went wrong, with a response or without one.
    pub(crate) fn error_type(&self, responded: bool) -> Option<Cow<'static, str>> {
        let service_error = self.service_error.as_ref().filter(|_| !responded);
        service_error.or(self.error_type.as_ref()).cloned()
    }
}

impl Told {
    pub(crate) fn route(&self, route: &Route) {
        self.change(|facts| {
            if facts.route.as_ref().is_none_or(|known| route.beats(known)) {
                facts.route = Some(route.clone());
            }
        });
    }

    /// Changes what is known. Somebody else may do so meanwhile; then it is done again.
    pub(crate) fn change(&self, change: impl Fn(&mut Facts)) {
        self.facts.rcu(|facts| {
            let mut facts = facts.as_deref().cloned().unwrap_or_default();
            change(&mut facts);
            Some(Arc::new(facts))
        });
    }

    pub(crate) fn facts(&self) -> Option<Arc<Facts>> {
        self.facts.load_full()
    }

    /// From here on the bytes of the request's body are counted. Whether nobody else does it.
    pub(crate) fn count_request(&self) -> bool {
        self.request_bytes.compare_exchange(0, 1, Relaxed, Relaxed).is_ok()
    }

    /// Another `length` bytes of the request were read.
    pub(crate) fn request_data(&self, length: u64) {
        self.request_bytes.fetch_add(length, Relaxed);
    }

    pub(crate) fn request_size(&self) -> Option<u64> {
        self.request_bytes.load(Relaxed).checked_sub(1)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told")
            .field("facts", &self.facts())
            .field("request_size", &self.request_size())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(source: RouteSource, pattern: &'static str) -> Route {
        Route { source, pattern: pattern.into() }
    }

    #[test]
    fn the_better_source_wins_and_then_the_longer_route_but_a_handlers_first_one_stays() {
        use RouteSource::{Handler, Middleware, Router};
        for (known, told, stays) in [
            ((Middleware, "/a"), (Router, "/b"), "/b"),
            ((Router, "/a/{id}"), (Middleware, "/a/{id}/and/more"), "/a/{id}"),
            ((Router, "/a/{id}"), (Handler, "/"), "/"),
            ((Handler, "/"), (Router, "/a/{id}"), "/"),
            ((Router, "/a"), (Router, "/a/{id}"), "/a/{id}"),
            ((Router, "/a/{id}"), (Router, "/a"), "/a/{id}"),
            ((Router, "/a"), (Router, "/b"), "/a"),
            ((Middleware, "/a"), (Middleware, "/a/b"), "/a/b"),
            ((Handler, "/a"), (Handler, "/a/b"), "/a"),
        ] {
            let facts = Told::default();
            facts.route(&route(known.0, known.1));
            facts.route(&route(told.0, told.1));
            let route = facts.facts().and_then(|facts| facts.route.clone()).unwrap();
            assert_eq!(route.pattern.as_str(), stays, "{known:?} then {told:?}");
        }
    }

    #[test]
    fn a_request_that_nobody_counts_has_no_size_and_an_empty_one_has() {
        let told = Told::default();
        assert_eq!(told.request_size(), None);
        assert!(told.count_request());
        assert_eq!(told.request_size(), Some(0));
        told.request_data(5);
        assert!(!told.count_request());
        assert_eq!(told.request_size(), Some(5));
    }
}
