//! The span is the current one where the service runs, and nowhere else.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body::Body;
use opentelemetry::{
    Context, SpanId,
    trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SdkTracerProvider};
use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, service_fn};
use tower_telemetry::TraceLayer;

use crate::support::{
    body::{Script, Step},
    recorder::Recorder,
    sdk::{Decides, Hooks},
};

fn current() -> SpanId {
    Context::current().span().span_context().span_id()
}

/// A Context with a span that is none of the layer's.
fn ambient() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        1_u128.into(),
        2_u64.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    ))
}

#[test]
fn the_span_is_current_in_the_call_each_poll_and_each_frame_and_not_between() {
    let recorder = Recorder::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let look = {
        let seen = Arc::clone(&seen);
        move |at: &'static str| seen.lock().unwrap().push((at, current()))
    };

    let (go, gone) = oneshot::channel::<()>();
    let mut gone = Some(gone);
    let inner = {
        let look = look.clone();
        service_fn(move |_: Request<()>| {
            look("call");
            let (look, gone) = (look.clone(), gone.take().unwrap());
            async move {
                look("first poll");
                gone.await.unwrap();
                look("last poll");
                let looking = Looking { look, frames: 2 };
                Ok::<_, Infallible>(Response::new(looking))
            }
        })
    };
    let mut service = recorder.layer().layer(inner);

    let outside = ambient();
    let _attached = outside.attach();
    let restored = || assert_eq!(current(), SpanId::from(2));

    let mut future = task::spawn(service.call(Request::new(())));
    restored();
    assert_pending!(future.poll());
    restored();
    go.send(()).unwrap();
    let response = assert_ready_ok!(future.poll());
    restored();
    let mut body = task::spawn(response.into_body());
    for _ in 0..2 {
        assert_ready_ok!(body.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
        restored();
    }
    assert!(assert_ready!(body.enter(|cx, body| body.poll_frame(cx))).is_none());
    restored();

    let span = recorder.span().span_context.span_id();
    let expected =
        ["call", "first poll", "last poll", "frame", "frame", "end"].map(|at| (at, span));
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// A body that looks at the current span each time it is polled.
struct Looking<F> {
    look: F,
    frames: usize,
}

impl<F: Fn(&'static str) + Unpin> Body for Looking<F> {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Infallible>>> {
        if self.frames == 0 {
            (self.look)("end");
            return std::task::Poll::Ready(None);
        }
        self.frames -= 1;
        (self.look)("frame");
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x")))))
    }
}

#[test]
fn two_requests_interleaved_on_one_thread_do_not_see_each_other() {
    let recorder = Recorder::new();
    let inner = service_fn(|request: Request<oneshot::Receiver<()>>| async move {
        let before = current();
        request.into_body().await.unwrap();
        assert_eq!(current(), before);
        let mut response =
            Response::new(Script::new([Step::Pending, Step::Data("x")]).telling_its_end());
        response.extensions_mut().insert(before);
        Ok::<_, Infallible>(response)
    });
    let mut service = recorder.layer().layer(inner);

    let (go_first, first_gone) = oneshot::channel();
    let (go_second, second_gone) = oneshot::channel();
    let mut first = task::spawn(service.call(Request::new(first_gone)));
    let mut second = task::spawn(service.call(Request::new(second_gone)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    go_second.send(()).unwrap();
    assert_pending!(first.poll());
    let second = assert_ready_ok!(second.poll());
    go_first.send(()).unwrap();
    let first = assert_ready_ok!(first.poll());

    let ids = [&first, &second].map(|response| *response.extensions().get::<SpanId>().unwrap());
    assert_ne!(ids[0], ids[1]);
    let mut first = task::spawn(first.into_body());
    let mut second = task::spawn(second.into_body());
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    assert_pending!(second.enter(|cx, body| body.poll_frame(cx)));
    assert_ready_ok!(first.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
    assert_ready_ok!(second.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
    assert_eq!(current(), SpanId::INVALID);

    let ended: Vec<SpanId> =
        recorder.spans().iter().map(|span| span.span_context.span_id()).collect();
    assert_eq!(ended, ids);
}

#[test]
fn what_is_polled_after_a_head_that_is_all_sees_the_span_still() {
    // An HTTP/2 server asks for a body where HTTP/1 has none.
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| async {
        let look = || assert_ne!(current(), SpanId::INVALID);
        Ok::<_, Infallible>(Response::new(Script::new([Step::Look(look), Step::Data("x")])))
    });
    let mut service = recorder.layer().layer(inner);
    let request = Request::builder().method("HEAD").body(()).unwrap();
    let response = assert_ready_ok!(task::spawn(service.call(request)).poll());
    assert_eq!(recorder.spans().len(), 1);
    let mut body = task::spawn(response.into_body());
    assert_ready_ok!(body.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
    assert!(assert_ready!(body.enter(|cx, body| body.poll_frame(cx))).is_none());
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn the_body_of_a_span_that_does_not_record_sees_its_context_too() {
    // A span that is sampled out is still whose child an outgoing call is.
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let inner = service_fn(|_: Request<()>| async {
        assert_ne!(current(), SpanId::INVALID);
        let look = || assert_ne!(current(), SpanId::INVALID);
        Ok::<_, Infallible>(Response::new(Script::new([Step::Look(look), Step::Data("x")])))
    });
    let layer = TraceLayer::new().with_tracer_provider(&provider);
    let mut service = layer.layer(inner);
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
    let mut body = task::spawn(response.into_body());
    assert_ready_ok!(body.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
}

#[test]
fn a_sampler_and_a_processor_may_attach_contexts_of_their_own() {
    fn attach() {
        drop(ambient().attach());
    }

    let provider = SdkTracerProvider::builder()
        .with_sampler(Decides::new(SamplingDecision::RecordAndSample, |_, _, _| attach()))
        .with_span_processor(Hooks {
            on_start: Some(|_| attach()),
            on_end: Some(attach),
            ..Hooks::default()
        })
        .build();
    let inner = service_fn(|_: Request<()>| async {
        assert_ne!(current(), SpanId::from(2));
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let layer = TraceLayer::new().with_tracer_provider(&provider);
    assert_ready_ok!(task::spawn(layer.layer(inner).call(Request::new(()))).poll());
    assert_eq!(current(), SpanId::INVALID);
}
