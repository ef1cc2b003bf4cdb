//! The request types that the client layers take.

use http::{HeaderMap, Request};

/// A request that a client layer can send on its way: [`http::Request`] and, with the feature
/// `reqwest`, `reqwest::Request`.
///
/// Sealed: it is there to be read in bounds, and grows with what the layers need to know.
pub trait OutgoingRequest: sealed::Sealed {
    #[doc(hidden)]
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

impl<B> OutgoingRequest for Request<B> {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

#[cfg(feature = "reqwest")]
impl OutgoingRequest for reqwest::Request {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}

    impl<B> Sealed for http::Request<B> {}

    #[cfg(feature = "reqwest")]
    impl Sealed for reqwest::Request {}
}
