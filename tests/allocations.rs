//! What a request allocates, over the bare service. In a binary of its own, with an allocator that
//! counts.

#![allow(clippy::panic, clippy::unwrap_used, missing_docs)]

use std::{
    convert::Infallible,
    future::{self, Ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{SamplerBuilder, Telemetry, TraceLayer};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A body of so many frames, with a `Pending` before each.
struct Frames {
    left: u32,
    ready: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.ready = !self.ready;
        if self.ready {
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data")))))
    }
}

type Answer = Ready<Result<Response<Frames>, Infallible>>;

fn bare(
    frames: u32,
) -> impl Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future = Answer> + Clone
{
    service_fn(move |_: Request<()>| {
        future::ready(Ok(Response::new(Frames { left: frames, ready: false })))
    })
}

fn request(traceparent: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri("/users/42")
        .header("host", "shop.example:8080")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    request.body(()).unwrap()
}

/// Serves a request to the end of its body and counts the allocations.
fn count<S, B>(service: &mut S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut request = Some(request);
    measure(|| {
        let mut future = pin!(service.call(request.take().unwrap()));
        let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
            panic!("the service answers at once");
        };
        let mut body = pin!(response.into_body());
        loop {
            match body.as_mut().poll_frame(&mut cx) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(_)) | Poll::Pending => {}
            }
        }
    })
    .count_total
}

/// Allocations of a request under the layer, over those of the bare service.
fn over_bare(sampler: &SamplerBuilder, traceparent: Option<&str>, frames: u32) -> u64 {
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_sampler(sampler.clone())
        .build()
        .unwrap();
    let mut service = TraceLayer::new().with_telemetry(&telemetry).layer(bare(frames));
    // What is made once, such as a thread's random numbers, is made by the first.
    count(&mut service, request(traceparent));
    let layered = count(&mut service, request(traceparent));
    layered - count(&mut bare(frames), request(traceparent))
}

#[test]
fn a_request_allocates_what_its_span_needs() {
    let on = SamplerBuilder::new();
    let off = SamplerBuilder::new().with_always_off();
    for (name, sampler, traceparent, most) in [
        // Path, host and user agent, and the vector of attributes they are in; two for a span in a
        // Context, which are OpenTelemetry's; one for the guard.
        ("recorded, no parent", &on, None, 7),
        // The parent in a Context of its own, and the list of header lines it was read from.
        ("recorded, with a parent", &on, Some(SAMPLED), 9),
        // The new ids have to be in the Context.
        ("dropped, no parent", &off, None, 1),
        ("dropped, with a parent", &on, Some(NOT_SAMPLED), 3),
    ] {
        let allocations = over_bare(sampler, traceparent, 1);
        assert!(allocations <= most, "{name}: {allocations}");
    }
}

#[test]
fn a_poll_or_a_frame_allocates_nothing() {
    for sampler in [SamplerBuilder::new(), SamplerBuilder::new().with_always_off()] {
        for traceparent in [None, Some(SAMPLED)] {
            let one = over_bare(&sampler, traceparent, 1);
            assert_eq!(over_bare(&sampler, traceparent, 100), one);
        }
    }
}
