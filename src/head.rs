//! The heads: what a hook or a predicate sees of a request and its response.

use std::fmt;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};

/// A request without its body, as hooks and predicates see it.
///
/// ```
/// use tower_telemetry::{
///     TraceLayer,
///     server::{RequestHead, Verdict},
/// };
///
/// fn filter(request: &RequestHead<'_>) -> Verdict {
///     let probe = request.path() == "/healthz" && request.headers().contains_key("x-probe");
///     if probe { Verdict::none() } else { Verdict::all() }
/// }
/// let layer = TraceLayer::new().with_filter(filter);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    pattern: Option<&'a str>,
}

impl<'a> RequestHead<'a> {
    /// `pattern` is the route on a server, and the URL's template on a client.
    pub(crate) fn new(
        method: &'a Method,
        uri: &'a Uri,
        version: Version,
        headers: &'a HeaderMap,
        extensions: &'a Extensions,
        pattern: Option<&'a str>,
    ) -> Self {
        Self { method, uri, version, headers, extensions, pattern }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The target: on a server as it was sent, also on a router that axum has taken the prefix off
    /// for; on a client the URL that is asked for.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The path of that target.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// The protocol's version. Before a client has sent its request, that is not yet the one which
    /// will be spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The headers. A client that adds some of its own does so later.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions, which is where other layers and the server leave what they know. Those of a
    /// `reqwest::Request` cannot be seen.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// The route, such as `/items/{id}`, where it is known this early: on a server axum's, at a
    /// layer on the router; on a client the [template](crate::client::UrlTemplate) of the URL.
    #[must_use]
    pub fn route(&self) -> Option<&'a str> {
        self.pattern
    }
}

/// Shows neither headers nor query, which may hold secrets.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("version", &self.version)
            .field("route", &self.pattern)
            .finish_non_exhaustive()
    }
}

/// A response without its body, as hooks and predicates see it.
///
/// ```
/// use http::StatusCode;
/// use tower_telemetry::{
///     TraceLayer,
///     server::{ResponseHead, SpanEnd},
/// };
///
/// fn span_end(response: &ResponseHead<'_>) -> SpanEnd {
///     match response.status_code() {
///         StatusCode::PARTIAL_CONTENT => SpanEnd::Head,
///         _ => SpanEnd::Body,
///     }
/// }
/// let layer = TraceLayer::new().with_span_end_by(span_end);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    status_code: StatusCode,
    version: Version,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> ResponseHead<'a> {
    pub(crate) fn new<B>(response: &'a http::Response<B>) -> Self {
        Self {
            status_code: response.status(),
            version: response.version(),
            headers: response.headers(),
            extensions: response.extensions(),
        }
    }

    /// The status code.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.status_code
    }

    /// The protocol's version, as the service has set it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions, where a handler can leave what it knows.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

/// Shows no headers, which may hold secrets.
impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status_code", &self.status_code)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
