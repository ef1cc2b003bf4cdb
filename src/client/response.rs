//! The response types that client spans end with.

use http::Response;
use http_body::Body;

use crate::client::ResponseBody;

pub(super) use self::sealed::Span;

/// A response that a [`ClientTrace`](crate::client::ClientTrace) service can end its span with:
/// [`http::Response`] and, with the feature `reqwest`, `reqwest::Response`.
///
/// Sealed: it is there to be read in bounds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no response that a client span can end with",
    note = "they end with `http::Response`, and with the feature `reqwest` with `reqwest::Response`"
)]
pub trait IncomingResponse: sealed::Incoming<Self::Traced> {
    /// What the caller gets: of an [`http::Response`] one whose body the span can wait for; a
    /// `reqwest::Response` as it is.
    type Traced;
}

impl<B> IncomingResponse for Response<B>
where
    B: Body,
    B::Error: 'static,
{
    type Traced = Response<ResponseBody<B>>;
}

#[cfg(feature = "reqwest")]
impl IncomingResponse for reqwest::Response {
    type Traced = Self;
}

mod sealed {
    use http::Response;
    use http_body::Body;

    use crate::client::{ResponseBody, describe};
    use crate::exchange::{guard::Guard, response::answered};

    /// What the layer does with a response.
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Incoming<T> {
        fn traced(self, span: Span) -> T;
    }

    /// The span that it may end, if there is one.
    #[expect(missing_debug_implementations, unnameable_types, reason = "it is not to be seen")]
    pub struct Span(pub(in crate::client) Option<Guard>);

    impl<B> Incoming<Response<ResponseBody<B>>> for Response<B>
    where
        B: Body,
        B::Error: 'static,
    {
        fn traced(self, Span(guard): Span) -> Response<ResponseBody<B>> {
            let Some(mut guard) = guard else {
                return self.map(|body| ResponseBody::new(body, None));
            };
            guard.set_attributes(|| describe::of_connection(&guard, self.version(), peer(&self)));
            answered(self, &mut guard).map(|body| ResponseBody::new(body, Some(guard)))
        }
    }

    /// Who has answered, where hyper-util's client says it.
    fn peer<B>(response: &Response<B>) -> Option<std::net::SocketAddr> {
        #[cfg(feature = "hyper-util")]
        {
            use hyper_util::client::legacy::connect::HttpInfo;
            response.extensions().get::<HttpInfo>().map(HttpInfo::remote_addr)
        }
        #[cfg(not(feature = "hyper-util"))]
        {
            let _ = response;
            None
        }
    }

    #[cfg(feature = "reqwest")]
    mod reqwest {
        use std::mem;

        use http::Response;
        use reqwest::ResponseBuilderExt;

        use crate::client::{ResponseBody, describe};
        use crate::exchange::guard::Guard;

        impl super::Incoming<Self> for reqwest::Response {
            fn traced(mut self, super::Span(guard): super::Span) -> Self {
                let Some(mut guard) = guard else {
                    return self;
                };
                guard.set_attributes(|| {
                    describe::of_connection(&guard, self.version(), self.remote_addr())
                });
                let length = self.content_length();
                // After the messages of a call there are trailers, also where there are none.
                let empty = length == Some(0) && !guard.is_call();
                as_http(&mut self, |head| guard.head(head, length, empty));
                if guard.is_open() { with_body(self, guard) } else { self }
            }
        }

        /// Shows a response's head to what takes an [`http::Response`].
        fn as_http<T>(
            response: &mut reqwest::Response,
            look: impl FnOnce(&mut Response<()>) -> T,
        ) -> T {
            let mut head = Response::new(());
            *head.status_mut() = response.status();
            *head.version_mut() = response.version();
            // Lent, and so not copied.
            mem::swap(head.headers_mut(), response.headers_mut());
            mem::swap(head.extensions_mut(), response.extensions_mut());
            let result = look(&mut head);
            mem::swap(head.headers_mut(), response.headers_mut());
            mem::swap(head.extensions_mut(), response.extensions_mut());
            result
        }

        /// The same response, with a span that waits for its body. The type of that is reqwest's
        /// own, which takes a box; nobody pays for it but calls, and who has asked for such a span.
        fn with_body(response: reqwest::Response, guard: Guard) -> reqwest::Response {
            let url = http::response::Builder::new().url(response.url().clone());
            let (mut parts, body) = Response::from(response).into_parts();
            // The way to tell a response which URL it is from.
            if let Ok(url) = url.body(()) {
                parts.extensions.extend(url.into_parts().0.extensions);
            }
            let body = reqwest::Body::wrap(ResponseBody::new(body, Some(guard)));
            Response::from_parts(parts, body).into()
        }
    }
}
