//! One request and its response, through a layer to the end of the body.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{HeaderSelector, TraceLayer};

use crate::support::recorder::{Described, Recorder};

/// A response with this body.
pub(crate) fn response(body: &'static str) -> Response<Full<Bytes>> {
    Response::new(Full::from(body))
}

/// The headers of these names, or globs.
pub(crate) fn headers(patterns: &[&str]) -> HeaderSelector {
    HeaderSelector::new(patterns).unwrap()
}

/// Sends `request` through the layer to a service that answers `response`; gives what comes out.
pub(crate) fn exchange(
    layer: &TraceLayer,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Response<Bytes> {
    let inner =
        service_fn(move |_: Request<()>| std::future::ready(Ok::<_, Infallible>(response.clone())));
    tokio_test::block_on(async {
        let response = layer.layer(inner).call(request).await.unwrap();
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
