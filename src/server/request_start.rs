//! When a request really began, where that was before the layer saw it.

use std::time::{Duration, Instant, SystemTime};

use http::Extensions;

/// When a request began, for servers that know it better than the layer: a request
/// [extension](http::Extensions) that something further out has inserted, such as the loop that has
/// accepted the connection, or a queue. The span begins then. Default: when the layer is called.
///
/// What lies in the future is now.
///
/// ```
/// use std::time::Instant;
///
/// use axum::Router;
/// use tower::ServiceBuilder;
/// use tower_telemetry::{TraceLayer, server::RequestStart};
///
/// let app: Router = Router::new().layer(
///     ServiceBuilder::new()
///         .map_request(|mut request: axum::extract::Request| {
///             request.extensions_mut().insert(RequestStart::at(Instant::now()));
///             request
///         })
///         // ... what may take a while, and should be part of the span ...
///         .layer(TraceLayer::new()),
/// );
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart(Instant);

impl RequestStart {
    /// The request began then.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use http::Request;
    /// use tower_telemetry::{TraceLayer, server::RequestStart};
    #[doc = include_str!("span_of.md")]
    ///
    /// let queued = Instant::now() - Duration::from_secs(2);
    /// let request = Request::builder().extension(RequestStart::at(queued)).body(String::new())?;
    /// let span = span_of(TraceLayer::new(), request);
    /// assert!(span.end_time.duration_since(span.start_time)? >= Duration::from_secs(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }
}

/// Both clocks' reading of the start: the one says when, the other how long.
pub(super) fn started(extensions: &Extensions) -> (SystemTime, Instant) {
    let (system, now) = (SystemTime::now(), Instant::now());
    let Some(RequestStart(start)) = extensions.get().copied() else {
        return (system, now);
    };
    let ago = now.saturating_duration_since(start);
    match system.checked_sub(ago) {
        Some(then) if ago > Duration::ZERO => (then, start),
        _ => (system, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_in_the_past_is_the_start_and_one_in_the_future_is_now() {
        let hour = Duration::from_secs(3600);
        let began = |start| {
            let mut extensions = Extensions::new();
            extensions.insert(RequestStart::at(start));
            let before = (SystemTime::now(), Instant::now());
            let started = started(&extensions);
            (before, started)
        };
        let now = Instant::now();
        let (before, (system, clock)) = began(now - hour);
        assert_eq!(clock, now - hour);
        let ago = before.0.duration_since(system).unwrap();
        assert!(ago.abs_diff(hour) < Duration::from_secs(60), "{ago:?}");

        let (before, (system, clock)) = began(now + hour);
        assert!(clock >= before.1 && system >= before.0);
    }
}
