//! What ends a span: the table in the server module's docs, row by row.

use std::{
    convert::Infallible,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, SizeHint};
use opentelemetry::{Context, trace::Status};
use opentelemetry_sdk::trace::SpanData;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{TraceLayer, server::ResponseBody};

use crate::support::{
    body::{Script, Step},
    ends::Counting,
    recorder::{Recorder, attribute},
};

/// The response of a service under the layer that answers at once.
fn respond<B: Body>(
    recorder: &Recorder,
    request: Request<()>,
    response: Response<B>,
) -> Response<ResponseBody<B>> {
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
    });
    let mut service = recorder.layer().layer(inner);
    assert_ready_ok!(task::spawn(service.call(request)).poll())
}

fn body(recorder: &Recorder, script: Script) -> ResponseBody<Script> {
    respond(recorder, Request::new(()), Response::new(script)).into_body()
}

/// Polls the body until it gives something, or is pending.
macro_rules! frame {
    ($body:expr) => {
        $body.enter(|cx, body| body.poll_frame(cx))
    };
}

fn assert_fine(span: &SpanData, status_code: &str) {
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(span, "error.type"), None);
    assert_eq!(attribute(span, "http.response.status_code").as_deref(), Some(status_code));
}

fn assert_error(span: &SpanData, error_type: &str, status_code: Option<&str>) {
    assert_eq!(span.status, Status::error(""));
    assert_eq!(attribute(span, "error.type").as_deref(), Some(error_type));
    assert_eq!(attribute(span, "http.response.status_code").as_deref(), status_code);
}

#[derive(Debug)]
struct OutOfStock;

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of stock")
    }
}

#[test]
fn an_error_of_the_service_ends_the_span_with_its_type() {
    let recorder = Recorder::new();
    let inner =
        service_fn(|_: Request<()>| async { Err::<Response<String>, OutOfStock>(OutOfStock) });
    let mut service = recorder.layer().layer(inner);
    let mut future = task::spawn(service.call(Request::new(())));
    let OutOfStock = assert_ready_err!(future.poll());
    assert_error(&recorder.span(), std::any::type_name::<OutOfStock>(), None);
    drop(future);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn an_empty_body_ends_the_span_with_the_head() {
    let recorder = Recorder::new();
    let response =
        respond(&recorder, Request::new(()), Response::new(Script::new([]).telling_its_end()));
    assert_fine(&recorder.span(), "200");
    drop(response);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_response_without_content_ends_the_span_with_the_head() {
    for (method, status_code) in [
        (Method::HEAD, StatusCode::OK),
        (Method::HEAD, StatusCode::NOT_FOUND),
        (Method::CONNECT, StatusCode::OK),
        (Method::CONNECT, StatusCode::SWITCHING_PROTOCOLS),
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS),
        (Method::GET, StatusCode::NO_CONTENT),
        (Method::GET, StatusCode::NOT_MODIFIED),
    ] {
        let recorder = Recorder::new();
        let request = Request::builder().method(method).body(()).unwrap();
        let mut response = Response::new(Script::new([Step::Data("never sent")]));
        *response.status_mut() = status_code;
        let response = respond(&recorder, request, response);
        assert_fine(&recorder.span(), status_code.as_str());
        drop(response);
        assert_eq!(recorder.spans().len(), 1);
    }
}

#[test]
fn a_connect_that_is_refused_has_a_body_like_any_other() {
    let recorder = Recorder::new();
    let request = Request::builder().method(Method::CONNECT).body(()).unwrap();
    let mut response = Response::new(Script::new([Step::Data("no")]).telling_its_end());
    *response.status_mut() = StatusCode::FORBIDDEN;
    let mut body = task::spawn(respond(&recorder, request, response).into_body());
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_fine(&recorder.span(), "403");
}

#[test]
fn trailers_end_the_span() {
    let recorder = Recorder::new();
    let script = Script::new([Step::Data("a"), Step::Trailers(HeaderMap::new())]);
    let mut body = task::spawn(body(&recorder, script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_fine(&recorder.span(), "200");
    assert!(assert_ready!(frame!(body)).is_none());
    drop(body);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn the_last_frame_ends_the_span_if_the_body_says_that_it_is_the_last() {
    let recorder = Recorder::new();
    let script = Script::new([Step::Data("a"), Step::Pending, Step::Data("b")]).telling_its_end();
    let mut body = task::spawn(body(&recorder, script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_pending!(frame!(body));
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_fine(&recorder.span(), "200");
    drop(body);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn the_end_of_the_body_ends_the_span_if_nothing_said_so_before() {
    let recorder = Recorder::new();
    let mut body = task::spawn(body(&recorder, Script::new([Step::Data("a")])));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert!(recorder.spans().is_empty());
    assert!(assert_ready!(frame!(body)).is_none());
    assert_fine(&recorder.span(), "200");
}

#[test]
fn a_5xx_response_is_an_error_once_its_body_has_ended() {
    let recorder = Recorder::new();
    let mut response = Response::new(Script::new([Step::Data("sorry")]).telling_its_end());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let mut body = task::spawn(respond(&recorder, Request::new(()), response).into_body());
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_error(&recorder.span(), "503", Some("503"));
}

#[test]
fn an_error_of_the_body_ends_the_span_and_keeps_the_status_code() {
    let recorder = Recorder::new();
    let mut body = task::spawn(body(&recorder, Script::new([Step::Data("a"), Step::Error])));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    let error = assert_ready_err!(frame!(body).map(Option::unwrap));
    assert_eq!(error.to_string(), "the disk is gone");
    assert_error(&recorder.span(), std::any::type_name::<io::Error>(), Some("200"));
    drop(body);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn body_dropped_early_marks_the_span_cancelled() {
    for polls in 0..2 {
        let recorder = Recorder::new();
        let script = Script::new([Step::Data("a"), Step::Data("b")]);
        let mut body = task::spawn(body(&recorder, script));
        for _ in 0..polls {
            assert_ready_ok!(frame!(body).map(Option::unwrap));
        }
        assert!(recorder.spans().is_empty());
        drop(body);
        assert_error(&recorder.span(), "cancelled", Some("200"));
    }
}

#[test]
fn body_dropped_after_all_that_was_announced_is_complete() {
    let announced = |response: Response<Script>| {
        let recorder = Recorder::new();
        let mut body = task::spawn(respond(&recorder, Request::new(()), response).into_body());
        assert_ready_ok!(frame!(body).map(Option::unwrap));
        assert_ready_ok!(frame!(body).map(Option::unwrap));
        assert!(recorder.spans().is_empty());
        drop(body);
        recorder.span()
    };
    let script = || Script::new([Step::Data("abc"), Step::Data("de")]);

    let mut by_header = Response::new(script());
    by_header.headers_mut().insert(header::CONTENT_LENGTH, "5".parse().unwrap());
    assert_fine(&announced(by_header), "200");

    let mut by_hint = script();
    by_hint.size_hint = SizeHint::with_exact(5);
    assert_fine(&announced(Response::new(by_hint)), "200");

    let mut longer = Response::new(script());
    longer.headers_mut().insert(header::CONTENT_LENGTH, "6".parse().unwrap());
    assert_error(&announced(longer), "cancelled", Some("200"));

    // What is no number announces nothing.
    let mut signed = Response::new(script());
    signed.headers_mut().insert(header::CONTENT_LENGTH, "+5".parse().unwrap());
    assert_error(&announced(signed), "cancelled", Some("200"));
}

#[test]
fn future_dropped_before_the_response_marks_the_span_cancelled() {
    let recorder = Recorder::new();
    let inner =
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<String>, Infallible>>());
    let mut service = recorder.layer().layer(inner);

    let never_polled = service.call(Request::new(()));
    drop(never_polled);
    assert_error(&recorder.span(), "cancelled", None);

    let mut polled = task::spawn(service.call(Request::new(())));
    assert_pending!(polled.poll());
    drop(polled);
    assert_eq!(recorder.spans().len(), 2);
    assert_error(&recorder.spans()[1], "cancelled", None);
}

#[test]
fn panic_in_the_call_marks_the_span_panicked() {
    let recorder = Recorder::new();
    let inner =
        service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<String>, Infallible>> {
            panic!("the service panics, as it was told to")
        });
    let mut service = recorder.layer().layer(inner);
    let call = AssertUnwindSafe(|| service.call(Request::new(())));
    assert!(catch_unwind(call).is_err());
    assert_error(&recorder.span(), "panic", None);
    assert!(!opentelemetry::trace::TraceContextExt::has_active_span(&Context::current()));
}

#[test]
fn panic_in_the_future_marks_the_span_panicked_also_if_it_is_caught_outside() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| async {
        if true {
            panic!("the handler panics, as it was told to");
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut service = recorder.layer().layer(inner);
    let mut future = task::spawn(service.call(Request::new(())));
    assert!(catch_unwind(AssertUnwindSafe(|| future.poll())).is_err());
    // The unwinding is over, as it is behind a layer that catches panics.
    drop(future);
    assert_error(&recorder.span(), "panic", None);
    assert!(!opentelemetry::trace::TraceContextExt::has_active_span(&Context::current()));
}

#[test]
fn panic_in_the_body_marks_the_span_panicked_and_keeps_the_status_code() {
    let recorder = Recorder::new();
    let body = body(&recorder, Script::new([Step::Data("a"), Step::Panic]));
    let unwinding = AssertUnwindSafe(move || {
        let mut body = task::spawn(body);
        assert_ready_ok!(frame!(body).map(Option::unwrap));
        let _ = frame!(body);
    });
    assert!(catch_unwind(unwinding).is_err());
    assert_error(&recorder.span(), "panic", Some("200"));
}

#[test]
fn unwinding_from_elsewhere_after_all_that_was_announced_is_no_panic() {
    let recorder = Recorder::new();
    let mut script = Script::new([Step::Data("a")]);
    script.size_hint = SizeHint::with_exact(1);
    let mut body = task::spawn(body(&recorder, script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    let unwinding = AssertUnwindSafe(move || {
        let _body = body;
        panic!("what holds the body panics, as it was told to");
    });
    assert!(catch_unwind(unwinding).is_err());
    assert_fine(&recorder.span(), "200");
}

#[test]
fn unwinding_from_elsewhere_is_no_cancellation() {
    let recorder = Recorder::new();
    let body = body(&recorder, Script::new([Step::Data("a")]));
    let unwinding = AssertUnwindSafe(move || {
        let _body = body;
        panic!("what holds the body panics, as it was told to");
    });
    assert!(catch_unwind(unwinding).is_err());
    assert_error(&recorder.span(), "panic", Some("200"));
}

#[test]
fn a_body_longer_than_announced_is_complete_when_it_is_dropped() {
    let recorder = Recorder::new();
    let mut response = Response::new(Script::new([Step::Data("abc"), Step::Data("more")]));
    response.headers_mut().insert(header::CONTENT_LENGTH, "2".parse().unwrap());
    let mut body = task::spawn(respond(&recorder, Request::new(()), response).into_body());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    drop(body);
    assert_fine(&recorder.span(), "200");
}

#[test]
fn the_announced_length_is_the_headers_before_the_bodys() {
    let recorder = Recorder::new();
    let mut script = Script::new([Step::Data("abc"), Step::Data("de")]);
    script.size_hint = SizeHint::with_exact(3);
    let mut response = Response::new(script);
    response.headers_mut().insert(header::CONTENT_LENGTH, "5".parse().unwrap());
    let mut body = task::spawn(respond(&recorder, Request::new(()), response).into_body());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    drop(body);
    assert_error(&recorder.span(), "cancelled", Some("200"));
}

#[test]
fn a_5xx_response_dropped_early_is_cancelled_with_its_status_code() {
    let recorder = Recorder::new();
    let mut response = Response::new(Script::new([Step::Data("sorry")]));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    drop(respond(&recorder, Request::new(()), response));
    assert_error(&recorder.span(), "cancelled", Some("503"));
}

#[test]
fn a_span_ends_once_however_often_it_could() {
    // The SDK hides a second end, so this tracer counts.
    let (provider, ends) = Counting::new();
    let layer = TraceLayer::new().with_tracer_provider(&provider);
    let inner = service_fn(|_: Request<()>| async {
        let trailers = Step::Trailers(HeaderMap::new());
        let script = Script::new([Step::Data("a"), trailers, Step::Error]).telling_its_end();
        Ok::<_, Infallible>(Response::new(script))
    });
    let mut service = layer.layer(inner);
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
    let mut body = task::spawn(response.into_body());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_eq!(ends.load(Ordering::Relaxed), 0);
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_eq!(ends.load(Ordering::Relaxed), 1);
    assert_ready_err!(frame!(body).map(Option::unwrap));
    assert!(assert_ready!(frame!(body)).is_none());
    drop(body);
    assert_eq!(ends.load(Ordering::Relaxed), 1);
}

/// Looks, when it is dropped, how many spans have ended.
struct LooksWhenDropped {
    recorder: Recorder,
    seen: Arc<AtomicU32>,
}

impl Drop for LooksWhenDropped {
    fn drop(&mut self) {
        let ended = u32::try_from(self.recorder.spans().len()).unwrap();
        self.seen.store(ended, Ordering::Relaxed);
    }
}

#[test]
fn a_span_that_is_let_go_of_ends_after_what_was_inside() {
    // What the service has held may end spans of its own, below this one.
    let recorder = Recorder::new();
    let seen = Arc::new(AtomicU32::new(u32::MAX));
    let held = LooksWhenDropped { recorder: recorder.clone(), seen: Arc::clone(&seen) };
    let mut held = Some(held);
    let inner = service_fn(move |_: Request<()>| {
        let held = held.take();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let mut service = recorder.layer().layer(inner);
    drop(service.call(Request::new(())));
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_span_is_as_long_as_its_exchange_by_one_clock() {
    let recorder = Recorder::new();
    let before = SystemTime::now();
    let body = body(&recorder, Script::new([Step::Data("a")]));
    let clock = Instant::now();
    while clock.elapsed() < Duration::from_millis(5) {
        std::hint::spin_loop();
    }
    drop(body);
    let after = SystemTime::now();
    let span = recorder.span();
    let duration = span.end_time.duration_since(span.start_time).unwrap();
    assert!(duration >= Duration::from_millis(5), "{duration:?}");
    // The wall clock may have been set meanwhile, but not by that much.
    let slack = Duration::from_secs(60);
    assert!(span.start_time >= before - slack && span.end_time <= after + slack);
}

#[test]
fn a_context_that_is_kept_elsewhere_does_not_keep_the_span_open() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| async {
        let kept = Context::current();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(kept);
        Ok::<_, Infallible>(response)
    });
    let mut service = recorder.layer().layer(inner);
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
    assert!(response.extensions().get::<Context>().is_some());
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_span_that_has_ended_lets_the_body_be_polled_on() {
    let recorder = Recorder::new();
    let body = body(&recorder, Script::new([Step::Data("a")]));
    let mut body = pin!(body);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
    assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)));
    assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)));
    assert_eq!(recorder.spans().len(), 1);
}
