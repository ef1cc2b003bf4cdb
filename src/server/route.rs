//! The route: the pattern that the router matched, as far as it has matched one yet.

use http::Extensions;

/// axum's matched path, where there is one. A layer around the whole router comes too early for
/// it.
#[cfg(feature = "axum")]
pub(super) fn matched_route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

/// Without a router's help no route is known.
#[cfg(not(feature = "axum"))]
pub(super) fn matched_route(_: &Extensions) -> Option<&str> {
    None
}
