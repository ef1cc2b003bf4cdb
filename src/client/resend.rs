//! How often a request was sent before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll},
};

use opentelemetry::{
    Context,
    context::{FutureExt, WithContext},
};
use tower::{Layer, Service};

use crate::exchange::guard::Guard;

/// Counts the attempts of one request: the first one's span has no
/// [`http.request.resend_count`][resend], the second has 1, the third 2.
///
/// It is a value of the Context in which the attempts are made. A [`ResendCountLayer`] outside of a
/// layer that tries again puts one there; a loop of one's own does so itself:
///
/// ```
/// use http::{Request, Response};
/// use opentelemetry::{Context, trace::FutureExt};
/// use tower::{Service, ServiceExt};
/// use tower_telemetry::client::ResendCount;
///
/// async fn patient<S>(client: &mut S, url: &str) -> Result<Response<String>, S::Error>
/// where
///     S: Service<Request<()>, Response = Response<String>>,
/// {
///     let attempts = async {
///         for _ in 0..2 {
///             let response = client.ready().await?.call(request(url)).await?;
///             if response.status() != 503 {
///                 return Ok(response);
///             }
///         }
///         client.ready().await?.call(request(url)).await
///     };
///     attempts.with_context(Context::current_with_value(ResendCount::new())).await
/// }
/// # fn request(url: &str) -> Request<()> { Request::get(url).body(()).unwrap() }
/// # let mut left = 2;
/// # let mut client = tower::service_fn(|_: Request<()>| {
/// #     left -= 1;
/// #     let status = if left > 0 { 503 } else { 200 };
/// #     async move { Response::builder().status(status).body(String::new()) }
/// # });
/// # let answer = tokio_test::block_on(patient(&mut client, "http://inventory/")).unwrap();
/// # assert_eq!(answer.status(), 200);
/// ```
///
/// Every request that is sent in there counts as an attempt, those of other requests' client spans
/// aside.
///
/// [resend]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-request-retries-and-redirects
#[derive(Clone, Debug)]
pub struct ResendCount(Option<Arc<AtomicU32>>);

impl ResendCount {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Hides the one of a Context from what is sent further in, which are other requests.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Whether there is one in the Context, to be hidden.
    pub(super) fn is_in(cx: &Context) -> bool {
        cx.get::<Self>().is_some_and(|count| count.0.is_some())
    }

    /// A request is sent. How often it was before, if it was.
    pub(super) fn count(cx: &Context) -> Option<u32> {
        let count = cx.get::<Self>()?.0.as_ref()?;
        Some(count.fetch_add(1, Relaxed)).filter(|before| *before > 0)
    }
}

impl Default for ResendCount {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts from here on how often a request is sent, for the spans of a
/// [`ClientTraceLayer`](crate::ClientTraceLayer) further in.
///
/// It goes outside of what tries again: tower's retry, tower-http's `FollowRedirect`. Each request
/// that it is given is counted for itself. Of any type: the count is in the Context, so what clones
/// the request need not know of it.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use opentelemetry::KeyValue;
/// use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
/// use tower::{Service, ServiceBuilder, retry::Policy, service_fn};
/// use tower_telemetry::{ClientTraceLayer, client::ResendCountLayer};
///
/// /// Tries again while there are attempts left and the other side is busy.
/// #[derive(Clone)]
/// struct Attempts(usize);
///
/// impl<B, E> Policy<Request<()>, Response<B>, E> for Attempts {
///     type Future = std::future::Ready<()>;
///
///     fn retry(
///         &mut self,
///         _: &mut Request<()>,
///         result: &mut Result<Response<B>, E>,
///     ) -> Option<Self::Future> {
///         let busy = matches!(result, Ok(response) if response.status() == 503);
///         self.0 = self.0.checked_sub(1).filter(|_| busy)?;
///         Some(std::future::ready(()))
///     }
///
///     fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
///         Some(request.clone())
///     }
/// }
///
/// # tokio_test::block_on(async {
/// # let exporter = InMemorySpanExporter::default();
/// # let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
/// let mut client = ServiceBuilder::new()
///     .layer(ResendCountLayer::new())
///     .retry(Attempts(1))
///     .layer(ClientTraceLayer::new().with_tracer_provider(&provider))
///     .service(service_fn(|_| async { Response::builder().status(503).body(String::new()) }));
/// client.call(Request::get("http://inventory/").body(())?).await?;
///
/// let spans = exporter.get_finished_spans()?;
/// assert!(spans[0].attributes.iter().all(|a| a.key.as_str() != "http.request.resend_count"));
/// assert!(spans[1].attributes.contains(&KeyValue::new("http.request.resend_count", 1)));
/// # Ok::<_, Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ResendCountLayer;

impl ResendCountLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ResendCountLayer {
    type Service = CountResends<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountResends { inner }
    }
}

/// Counts how often `S` sends each of its requests. See [`ResendCountLayer`].
#[derive(Clone, Debug)]
pub struct CountResends<S> {
    inner: S,
}

impl<S> CountResends<S> {
    inner_accessors!();
}

impl<S, R> Service<R> for CountResends<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = WithContext<S::Future>;

    fn poll_ready(&mut self, task_cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task_cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let cx = Context::current_with_value(ResendCount::new());
        let inner = Guard::bare(cx.clone()).run(|| self.inner.call(request));
        inner.with_context(cx)
    }
}
