//! The request types that the client layers take.

use std::{borrow::Cow, mem};

use http::{Request, Uri, uri::Authority};

pub(super) use self::sealed::Target;

/// A request that a client layer can send on its way: [`http::Request`] and, with the feature
/// `reqwest`, `reqwest::Request`.
///
/// Sealed: it is there to be read in bounds, and grows with what the layers need to know.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no request that a client layer takes",
    note = "they take `http::Request`, and with the feature `reqwest` `reqwest::Request`"
)]
pub trait OutgoingRequest: sealed::Outgoing {}

impl<B> OutgoingRequest for Request<B> {}

#[cfg(feature = "reqwest")]
impl OutgoingRequest for reqwest::Request {}

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
    /// The whole URL, where the request has it in one piece.
    pub(super) fn whole(&self) -> Option<&'a str> {
        match self {
            Self::Uri(_) => None,
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Some(url.as_str()),
        }
    }

    pub(super) fn uri(&self) -> Cow<'a, Uri> {
        match self {
            Self::Uri(uri) => Cow::Borrowed(uri),
            // What is no URI cannot be sent either, and reqwest will say so.
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Cow::Owned(url.as_str().parse().unwrap_or_default()),
        }
    }

    pub(super) fn scheme(&self) -> Option<&'a str> {
        match self {
            Self::Uri(uri) => uri.scheme_str(),
            #[cfg(feature = "reqwest")]
            Self::Url(url) => Some(url.scheme()),
        }
    }

    pub(super) fn authority(&self) -> Option<&'a str> {
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
        /// How long the body is, if its type says it.
        fn length(&self) -> Option<u64>;
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

        fn length(&self) -> Option<u64> {
            None
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

        fn length(&self) -> Option<u64> {
            http_body::Body::size_hint(self.body()?).exact()
        }
    }
}
