//! Far sides that are in this process.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll},
};

use http::{HeaderMap, Request, Response};
use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use tower::{Layer, Service, retry::Policy};

/// Answers 200 to requests of both types, and keeps the headers that they came with.
#[derive(Clone, Debug, Default)]
pub(crate) struct FarSide(Arc<Mutex<Vec<HeaderMap>>>);

impl FarSide {
    /// What it was sent.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.0.lock().unwrap().clone()
    }

    /// The lines of `traceparent` that it was sent, request by request.
    pub(crate) fn traceparents(&self) -> Vec<Vec<String>> {
        let of = |headers: &HeaderMap| {
            let lines = lines(headers, "traceparent");
            lines.into_iter().map(str::to_owned).collect()
        };
        self.headers().iter().map(of).collect()
    }
}

impl<B> Service<Request<B>> for FarSide {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.lock().unwrap().push(request.into_parts().0.headers);
        ready(Ok(Response::new(String::new())))
    }
}

impl Service<reqwest::Request> for FarSide {
    type Response = reqwest::Response;
    type Error = Infallible;
    type Future = Ready<Result<reqwest::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        self.0.lock().unwrap().push(request.headers().clone());
        ready(Ok(Response::new("").into()))
    }
}

/// Sends `request` through the layer as a request of either type, each in the same Context; gives
/// the headers that arrive.
pub(crate) fn received<L>(layer: &L, request: &Request<()>) -> [HeaderMap; 2]
where
    L: Layer<FarSide>,
    L::Service: Service<Request<()>> + Service<reqwest::Request>,
{
    let far = FarSide::default();
    let mut service = layer.layer(far.clone());
    assert!(tokio_test::block_on(service.call(request.clone())).is_ok());
    assert!(tokio_test::block_on(service.call(as_reqwest(request))).is_ok());
    let [http, reqwest] = <[HeaderMap; 2]>::try_from(far.headers()).unwrap();
    [http, reqwest]
}

/// The same request for the other client, which knows no URL without a host.
pub(crate) fn as_reqwest(request: &Request<()>) -> reqwest::Request {
    let mut request = request.clone().map(|()| "");
    if request.uri().host().is_none() {
        *request.uri_mut() = format!("http://inventory{}", request.uri()).parse().unwrap();
    }
    request.try_into().unwrap()
}

/// The lines of a header.
pub(crate) fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// What is written of a span.
pub(crate) fn traceparent(span: &SpanContext) -> String {
    let flags = span.trace_flags().to_u8();
    format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
}

/// The same, of one that has ended.
pub(crate) fn traceparent_of(span: &SpanData) -> String {
    traceparent(&span.span_context)
}

/// A Context with a span that was made elsewhere: 11 of trace 42.
pub(crate) fn elsewhere(flags: TraceFlags) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        42_u128.into(),
        11_u64.into(),
        flags,
        false,
        TraceState::NONE,
    ))
}

/// Tries so many times again, whatever came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again(pub(crate) usize);

/// What can be sent again.
pub(crate) trait Repeat: Sized {
    fn repeat(&self) -> Option<Self>;
}

impl Repeat for Request<()> {
    fn repeat(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Repeat for reqwest::Request {
    fn repeat(&self) -> Option<Self> {
        self.try_clone()
    }
}

impl<R: Repeat, T, E> Policy<R, T, E> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut R, _: &mut Result<T, E>) -> Option<Ready<()>> {
        self.0 = self.0.checked_sub(1)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        request.repeat()
    }
}
