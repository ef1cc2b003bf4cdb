//! The route: the pattern that the router matched, and the target it was matched with.

use http::{Extensions, Request, Uri};

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

/// The target as it was sent: axum takes the prefix off a nested router's.
#[cfg(feature = "axum")]
pub(super) fn target<B>(request: &Request<B>) -> &Uri {
    let original = request.extensions().get::<axum::extract::OriginalUri>();
    original.map_or_else(|| request.uri(), |original| &original.0)
}

/// The target as it was sent.
#[cfg(not(feature = "axum"))]
pub(super) fn target<B>(request: &Request<B>) -> &Uri {
    request.uri()
}
