//! One request and its response, through a layer to the end of the body.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{ClientTraceLayer, HeaderSelector, TraceLayer};

use crate::support::recorder::{Described, Recorder};

/// A response with this body.
pub(crate) fn response(body: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::from(body))
}

/// The headers of these names, or globs.
pub(crate) fn headers(patterns: &[&str]) -> HeaderSelector {
    HeaderSelector::new(patterns).unwrap()
}

/// A service that gives every request the same answer.
#[derive(Clone, Debug)]
pub(crate) struct Answers(pub(crate) Response<Full<Bytes>>);

impl<R> Service<R> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

/// Sends `request` through the layer to a service that answers `response`; gives what comes out.
pub(crate) fn exchange<L, B>(
    layer: &L,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Response<Bytes>
where
    L: Layer<Answers>,
    L::Service: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
{
    tokio_test::block_on(async {
        let response = layer.layer(Answers(response)).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    })
}

/// The span of such an exchange under a layer that is set up like this.
pub(crate) fn span_of(
    set_up: impl FnOnce(TraceLayer) -> TraceLayer,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Described {
    let recorder = Recorder::new();
    exchange(&set_up(recorder.layer()), request, response);
    recorder.span().into()
}

/// The same under a client layer.
pub(crate) fn client_span_of(
    set_up: impl FnOnce(ClientTraceLayer) -> ClientTraceLayer,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Described {
    let recorder = Recorder::new();
    exchange(&set_up(recorder.client_layer()), request, response);
    recorder.span().into()
}

/// Sends a request of reqwest's through the layer, and reads the answer to its end.
pub(crate) fn reqwest_exchange(
    layer: &ClientTraceLayer,
    request: reqwest::Request,
    response: Response<Full<Bytes>>,
) {
    let inner = service_fn(move |_: reqwest::Request| {
        let response = response.clone().map(reqwest::Body::wrap);
        ready(Ok::<_, Infallible>(reqwest::Response::from(response)))
    });
    tokio_test::block_on(async {
        layer.layer(inner).call(request).await.unwrap().bytes().await.unwrap();
    });
}

/// The span of such an exchange.
pub(crate) fn reqwest_span_of(
    set_up: impl FnOnce(ClientTraceLayer) -> ClientTraceLayer,
    request: reqwest::Request,
    response: Response<Full<Bytes>>,
) -> Described {
    let recorder = Recorder::new();
    reqwest_exchange(&set_up(recorder.client_layer()), request, response);
    recorder.span().into()
}

/// The span of an exchange under a client layer, which is the same for both types of requests.
pub(crate) fn either_span_of(
    set_up: impl Fn(ClientTraceLayer) -> ClientTraceLayer,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Described {
    let of_reqwest = reqwest::Request::try_from(request.clone().map(|()| "")).unwrap();
    let of_reqwest = reqwest_span_of(&set_up, of_reqwest, response.clone());
    let span = client_span_of(&set_up, request, response);
    assert_eq!(span, of_reqwest, "the span of a http::Request, and of a reqwest::Request");
    span
}
