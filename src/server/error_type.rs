//! What a service's error is called in `error.type`.

use std::{
    borrow::Cow,
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use http::Request;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    contained::contained,
    exchange::{exceptions::Exception, outcome::name_of_type},
    semconv::{error_kind, keys::OTHER},
    server::ServerSpan,
};

/// An error that has a word for what kind it is, fit for [`error.type`]: one of a few, so that
/// errors can be counted by it.
///
/// ```
/// use std::borrow::Cow;
///
/// use tower_telemetry::server::ErrorType;
///
/// enum ShopError {
///     OutOfStock,
///     Database(std::io::Error),
/// }
///
/// impl ErrorType for ShopError {
///     fn error_type(&self) -> Cow<'static, str> {
///         match self {
///             Self::OutOfStock => "out_of_stock".into(),
///             Self::Database(error) => error.error_type(),
///         }
///     }
/// }
///
/// let error = ShopError::Database(std::io::ErrorKind::TimedOut.into());
/// assert_eq!(error.error_type(), "timed_out");
/// assert_eq!(ShopError::OutOfStock.error_type(), "out_of_stock");
/// ```
///
/// [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
pub trait ErrorType {
    /// The word. By default the name of the type, such as `my_shop::ShopError`; that one is taken,
    /// too, if this panics.
    fn error_type(&self) -> Cow<'static, str> {
        std::any::type_name::<Self>().into()
    }

    /// The message, for [exceptions](crate::Exceptions), where it is [asked
    /// for](crate::TraceLayer::with_exception_messages). It leaves the process, so it should hold
    /// no secret. By default there is none.
    fn message(&self) -> Option<String> {
        None
    }
}

/// The kind in `snake_case`, such as `connection_reset`; the message is what it displays.
impl ErrorType for io::Error {
    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn error_type(&self) -> Cow<'static, str> {
        error_kind::word(self.kind()).into()
    }
}

impl ErrorType for Infallible {
    fn error_type(&self) -> Cow<'static, str> {
        match *self {}
    }
}

/// The kind of the first [`io::Error`] among the error and its sources, or else `_OTHER`; the
/// message is what it displays.
impl ErrorType for Box<dyn Error + Send + Sync> {
    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn error_type(&self) -> Cow<'static, str> {
        let mut error: Option<&(dyn Error + 'static)> = Some(self.as_ref());
        // Nobody wraps an error more often than this, and a chain may be a circle.
        for _ in 0..16 {
            let Some(this) = error else { break };
            if let Some(io) = this.downcast_ref::<io::Error>() {
                return io.error_type();
            }
            error = this.source();
        }
        OTHER.into()
    }
}

/// Tells the `TraceLayer` further out what the service's errors are [called](ErrorType).
///
/// Without it an error is called by its type's name, and a boxed one `_OTHER`: a `TraceLayer` asks
/// nothing of the errors that pass through it, so it knows no more of them. The errors of the
/// response's body stay with their type's name.
///
/// What is boxed can be told by an error of your own that it is turned into, which is how a timeout
/// of tower's becomes `timeout`:
///
/// ```
/// use std::{borrow::Cow, time::Duration};
///
/// use tower::{BoxError, ServiceBuilder, timeout::error::Elapsed};
/// use tower_telemetry::{TraceLayer, server::{ErrorType, ErrorTypeLayer}};
///
/// struct ShopError(BoxError);
///
/// impl ErrorType for ShopError {
///     fn error_type(&self) -> Cow<'static, str> {
///         if self.0.is::<Elapsed>() { "timeout".into() } else { self.0.error_type() }
///     }
/// }
///
/// assert_eq!(ShopError(Elapsed::new().into()).error_type(), "timeout");
///
/// let layers = ServiceBuilder::new()
///     .layer(TraceLayer::new())
///     .layer(ErrorTypeLayer::new())
///     .map_err(ShopError)
///     .timeout(Duration::from_secs(5));
/// # let _ = layers;
/// ```
///
/// # Example: an error of the standard library's
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry::KeyValue;
/// use tower::{BoxError, ServiceBuilder, service_fn};
/// use tower_telemetry::{TraceLayer, server::ErrorTypeLayer};
#[doc = include_str!("span_of.md")]
///
/// let service = ServiceBuilder::new().layer(ErrorTypeLayer::new()).service(service_fn(|_| async {
///     let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
///     Err::<Response<String>, BoxError>(error.into())
/// }));
/// let span = span_by(TraceLayer::new(), service, Request::new(String::new()));
/// assert!(span.attributes.contains(&KeyValue::new("error.type", "connection_reset")));
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorTypeLayer {
    _private: (),
}

impl ErrorTypeLayer {
    /// The layer, which says what errors are called and no more.
    ///
    /// ```
    /// use tower::ServiceBuilder;
    /// use tower_telemetry::{TraceLayer, server::ErrorTypeLayer};
    ///
    /// let layers = ServiceBuilder::new().layer(TraceLayer::new()).layer(ErrorTypeLayer::new());
    /// # let _ = layers;
    /// ```
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<S> Layer<S> for ErrorTypeLayer {
    type Service = WithErrorType<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithErrorType { inner }
    }
}

/// Tells the kind of each error of `S`. See [`ErrorTypeLayer`].
#[derive(Clone, Debug)]
pub struct WithErrorType<S> {
    inner: S,
}

impl<S> WithErrorType<S> {
    inner_accessors!();
}

impl<S, B> Service<Request<B>> for WithErrorType<S>
where
    S: Service<Request<B>>,
    S::Error: ErrorType,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ErrorTypeFuture<S::Future>;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = ServerSpan::of(request.extensions());
        ErrorTypeFuture { inner: self.inner.call(request), span }
    }
}

pin_project! {
    /// The response to come, of a [`WithErrorType`] service.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ErrorTypeFuture<F> {
        #[pin]
        inner: F,
        span: ServerSpan,
    }
}

impl<F, T, E> Future for ErrorTypeFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: ErrorType,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task_cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(task_cx));
        if let Err(error) = &result
            && this.span.listens()
            && let Some(error_type) = contained(|| error.error_type())
        {
            this.span.set_service_error(error_type);
            let message = || contained(|| error.message()).flatten();
            this.span.set_service_exception(|with_message| Exception {
                type_name: name_of_type(std::any::type_name::<E>()).into(),
                message: with_message.then(message).flatten(),
            });
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for ErrorTypeFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorTypeFuture").field("span", &self.span).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    struct Mine;

    impl ErrorType for Mine {}

    #[derive(Debug)]
    struct Circle;

    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("circle")
        }
    }

    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn an_error_has_one_of_a_few_words() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(reset().error_type(), "connection_reset");
        assert_eq!(io::Error::other("the disk /dev/sda1 is gone").error_type(), "other");
        let boxed = |error: Box<dyn Error + Send + Sync>| error.error_type();
        assert_eq!(boxed(reset().into()), "connection_reset");
        assert_eq!(boxed(Wrapped(reset()).into()), "connection_reset");
        assert_eq!(boxed("text".into()), "_OTHER");
        assert_eq!(boxed(Circle.into()), "_OTHER");
        assert!(Mine.error_type().ends_with("tests::Mine"));
    }
}
