//! The request types that the client layers take, and what the layers see of them.

use std::{
    borrow::Cow,
    cell::OnceCell,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use http::{Request, Uri, uri::Authority};
use opentelemetry::Context;

use crate::{
    client::{UrlTemplate, origin::Origin, request::sealed::Target},
    exchange::{head::RequestHead, naming::Naming, redaction::Redaction},
    semconv::{host, url},
};

/// A request that a client layer can send on its way: [`http::Request`] and, with the feature
/// `reqwest`, `reqwest::Request`.
///
/// Sealed: it is there to be read in bounds, and grows with what the layers need to know.
pub trait OutgoingRequest: sealed::Outgoing {}

impl<B> OutgoingRequest for Request<B> {}

#[cfg(feature = "reqwest")]
impl OutgoingRequest for reqwest::Request {}

/// A request as the layer sees it. Its target becomes a [`Uri`], and its template is looked for,
/// when somebody asks for that.
pub(super) struct Seen<'r, R> {
    pub(super) request: &'r R,
    cx: &'r Context,
    templates: Option<&'r Naming>,
    template: OnceCell<Option<Cow<'r, str>>>,
    target: Target<'r>,
    uri: OnceCell<Cow<'r, Uri>>,
}

impl<'r, R: OutgoingRequest> Seen<'r, R> {
    /// A request that is sent in `cx`, and what the layer has to give templates with.
    pub(super) fn new(request: &'r R, cx: &'r Context, templates: Option<&'r Naming>) -> Self {
        let target = request.target();
        let (template, uri) = (OnceCell::new(), OnceCell::new());
        Self { request, cx, templates, template, target, uri }
    }

    /// The same as a user's functions see it.
    pub(super) fn head(&self) -> RequestHead<'_> {
        self.head_with(self.template())
    }

    /// The template of its URL: the caller's, or else the layer's.
    pub(super) fn template(&self) -> Option<&str> {
        let template = self.template.get_or_init(|| {
            let given = UrlTemplate::given(self.request.extensions(), self.cx);
            let of_layer = || self.templates?.of(&self.head_with(None));
            given.map(Cow::Borrowed).or_else(of_layer)
        });
        template.as_deref()
    }

    fn head_with<'a>(&'a self, template: Option<&'a str>) -> RequestHead<'a> {
        RequestHead::new(
            self.request.method(),
            self.uri.get_or_init(|| self.target.uri()),
            self.request.version(),
            self.request.headers(),
            self.request.extensions(),
            template,
        )
    }

    /// Tells requests for different things apart, of whatever layers see of them.
    pub(super) fn asked_for(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.request.method().hash(&mut hasher);
        match self.target {
            Target::Uri(uri) => uri.hash(&mut hasher),
            #[cfg(feature = "reqwest")]
            Target::Url(url) => url.hash(&mut hasher),
        }
        hasher.finish()
    }

    /// Which [host and port][server] it is sent to: the URL's, or that of the layer's origin, or what
    /// the `Host` header says.
    ///
    /// [server]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes
    pub(super) fn server<'a>(&self, origin: Option<&'a Origin>) -> Option<(&'a str, Option<u16>)>
    where
        'r: 'a,
    {
        match self.authority(origin) {
            Some(authority) => host::parse(authority),
            None => host::of_header(self.request.headers()),
        }
    }

    /// The same, as far as it is certain that the request goes there.
    pub(super) fn destination<'a>(
        &self,
        origin: Option<&'a Origin>,
    ) -> Option<(&'a str, Option<u16>)>
    where
        'r: 'a,
    {
        self.authority(origin).and_then(host::parse)
    }

    fn authority<'a>(&self, origin: Option<&'a Origin>) -> Option<&'a str>
    where
        'r: 'a,
    {
        self.target.authority().or(origin.map(Origin::authority))
    }

    pub(super) fn scheme<'a>(&self, origin: Option<&'a Origin>) -> &'a str
    where
        'r: 'a,
    {
        self.target.scheme().or(origin.map(Origin::scheme)).unwrap_or("http")
    }

    /// The whole URL, without what is redacted; what of it is not known is not there.
    pub(super) fn url(&self, origin: Option<&Origin>, redaction: &Redaction) -> String {
        let uri = match self.target {
            Target::Uri(uri) => uri,
            #[cfg(feature = "reqwest")]
            Target::Url(url) => return redaction.url(url.as_str()).into_owned(),
        };
        let (path, query) = (uri.path(), uri.query());
        let mut url = String::with_capacity(path.len() + query.map_or(0, str::len) + 64);
        if let Some(authority) = self.authority(origin) {
            url.extend([self.scheme(origin), "://", authority]);
        } else if let Some((host, port)) = host::of_header(self.request.headers()) {
            url.extend([self.scheme(origin), "://"]);
            url::push_authority(&mut url, host, port);
        } else {
            // A path that begins with `//` would look like a URL with a host.
            url.push_str(&redaction.path(path));
            if let Some(query) = query {
                url.extend(["?", &redaction.query(query)]);
            }
            return url;
        }
        // A server as a whole [has no path][asterisk].
        //
        // [asterisk]: https://www.rfc-editor.org/rfc/rfc9112#section-3.3
        if path != "*" {
            url.push_str(path);
        }
        if let Some(query) = query {
            url.extend(["?", query]);
        }
        match redaction.url(&url) {
            Cow::Owned(clean) => clean,
            Cow::Borrowed(_) => url,
        }
    }
}

/// Shows a request's head to what takes an [`http::Request`].
pub(super) fn as_http<R: OutgoingRequest, T>(
    request: &mut R,
    look: impl FnOnce(&Request<()>) -> T,
) -> T {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    *head.uri_mut() = request.target().uri().into_owned();
    *head.version_mut() = request.version();
    // Lent, and so not copied.
    mem::swap(head.headers_mut(), request.headers_mut());
    request.swap_extensions(head.extensions_mut());
    let result = look(&head);
    mem::swap(head.headers_mut(), request.headers_mut());
    request.swap_extensions(head.extensions_mut());
    result
}

impl<'a> Target<'a> {
    fn uri(&self) -> Cow<'a, Uri> {
        match self {
            Self::Uri(uri) => Cow::Borrowed(uri),
            // What is no URI cannot be sent either, and reqwest will say so.
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Cow::Owned(url.as_str().parse().unwrap_or_default()),
        }
    }

    fn scheme(&self) -> Option<&'a str> {
        match self {
            Self::Uri(uri) => uri.scheme_str(),
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Some(url.scheme()),
        }
    }

    fn authority(&self) -> Option<&'a str> {
        match self {
            Self::Uri(uri) => uri.authority().map(Authority::as_str),
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Some(url.authority()),
        }
    }
}

mod sealed {
    use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

    /// What the layers need of a request.
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Outgoing {
        fn method(&self) -> &Method;
        fn version(&self) -> Version;
        fn headers(&self) -> &HeaderMap;
        fn headers_mut(&mut self) -> &mut HeaderMap;
        fn extensions(&self) -> &Extensions;
        /// If they can be seen.
        fn swap_extensions(&mut self, other: &mut Extensions);
        fn target(&self) -> Target<'_>;
    }

    /// Where to, as the request's own type says it.
    #[expect(missing_debug_implementations, unnameable_types, reason = "it is not to be seen")]
    #[derive(Clone, Copy)]
    pub enum Target<'a> {
        Uri(&'a Uri),
        #[cfg(feature = "reqwest")]
        Url(&'a reqwest::Url),
    }

    impl<B> Outgoing for Request<B> {
        fn method(&self) -> &Method {
            self.method()
        }

        fn version(&self) -> Version {
            self.version()
        }

        fn headers(&self) -> &HeaderMap {
            self.headers()
        }

        fn headers_mut(&mut self) -> &mut HeaderMap {
            self.headers_mut()
        }

        fn extensions(&self) -> &Extensions {
            self.extensions()
        }

        fn swap_extensions(&mut self, other: &mut Extensions) {
            std::mem::swap(self.extensions_mut(), other);
        }

        fn target(&self) -> Target<'_> {
            Target::Uri(self.uri())
        }
    }

    #[cfg(feature = "reqwest")]
    impl Outgoing for reqwest::Request {
        fn method(&self) -> &Method {
            self.method()
        }

        fn version(&self) -> Version {
            self.version()
        }

        fn headers(&self) -> &HeaderMap {
            self.headers()
        }

        fn headers_mut(&mut self) -> &mut HeaderMap {
            self.headers_mut()
        }

        fn extensions(&self) -> &Extensions {
            /// Those that it has are its own.
            static NONE: std::sync::LazyLock<Extensions> =
                std::sync::LazyLock::new(Extensions::new);
            &NONE
        }

        fn swap_extensions(&mut self, _: &mut Extensions) {}

        fn target(&self) -> Target<'_> {
            Target::Url(self.url())
        }
    }
}
