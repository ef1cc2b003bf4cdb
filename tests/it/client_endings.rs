//! What ends a client's span: the table in the client module's docs, row by row.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, pending, ready},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::BodyExt;
use opentelemetry::{
    Context,
    trace::{SpanKind, Status, TraceContextExt},
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use reqwest::ResponseBuilderExt;
use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};
use tower_telemetry::{
    ClientTraceLayer,
    client::{ResponseBody, SpanEnd},
    propagation::TraceContext,
};

use crate::support::{
    body::{Script, Step},
    ends::Counting,
    far_side::{FarSide, traceparent},
    recorder::{Recorder, attribute},
};

const TIME_TO_HEAD: &str = "tower_telemetry.time_to_head";

/// A layer whose spans wait for the body. What that fails with has a name, so that nothing here
/// depends on what such errors are called by themselves.
fn waiting(recorder: &Recorder) -> ClientTraceLayer {
    recorder
        .client_layer()
        .with_span_end(SpanEnd::Body)
        .with_error_type(|_: &io::Error| Some("disk_gone".into()))
}

/// The response to a client that is answered at once.
fn respond<B: Body<Error: 'static>>(
    layer: &ClientTraceLayer,
    request: Request<()>,
    response: Response<B>,
) -> Response<ResponseBody<B>> {
    let mut response = Some(response);
    let inner =
        service_fn(move |_: Request<()>| ready(Ok::<_, Infallible>(response.take().unwrap())));
    assert_ready_ok!(task::spawn(layer.layer(inner).call(request)).poll())
}

fn body(layer: &ClientTraceLayer, script: Script) -> ResponseBody<Script> {
    respond(layer, Request::new(()), Response::new(script)).into_body()
}

fn with_status<B>(status_code: u16, body: B) -> Response<B> {
    Response::builder().status(status_code).body(body).unwrap()
}

fn abc() -> Script {
    Script::new([Step::Data("a"), Step::Data("b"), Step::Data("c")])
}

/// Polls the body until it gives something, or is pending.
macro_rules! frame {
    ($body:expr) => {
        $body.enter(|cx, body| body.poll_frame(cx))
    };
}

/// Runs to the panic that it was told to make.
fn unwinding(run: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert!(!Context::current().has_active_span());
}

fn assert_fine(span: &SpanData, status_code: Option<&str>) {
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(span, "error.type"), None);
    assert_eq!(attribute(span, "http.response.status_code").as_deref(), status_code);
}

fn assert_error(span: &SpanData, error_type: &str, status_code: Option<&str>) {
    assert_eq!(span.span_kind, SpanKind::Client);
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
fn a_span_ends_with_the_head_and_waits_for_no_body() {
    let recorder = Recorder::new();
    let failing = Script::new([Step::Data("a"), Step::Error]);
    let response = respond(&recorder.client_layer(), Request::new(()), Response::new(failing));
    let span = recorder.span();
    assert_fine(&span, Some("200"));
    assert_eq!(attribute(&span, TIME_TO_HEAD), None);

    // What becomes of the body is not on it.
    let mut body = task::spawn(response.into_body());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_ready_err!(frame!(body).map(Option::unwrap));
    drop(body);
    assert_eq!(recorder.spans(), [span]);
}

#[test]
fn a_4xx_or_5xx_is_an_error_of_a_client() {
    for (status_code, fails) in [
        (200, false),
        (302, false),
        (399, false),
        (400, true),
        (401, true),
        (404, true),
        (429, true),
        (500, true),
        (503, true),
        (599, true),
        (600, true),
    ] {
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let recorder = Recorder::new();
            let layer = recorder.client_layer().with_span_end(end);
            drop(respond(&layer, Request::new(()), with_status(status_code, abc())));
            let code = status_code.to_string();
            if fails {
                assert_error(&recorder.span(), &code, Some(&code));
            } else {
                assert_fine(&recorder.span(), Some(&code));
            }
        }
    }
}

#[test]
fn a_body_is_waited_for_by_layer_by_predicate_or_by_response() {
    let ends_with_head = |layer: &dyn Fn(&Recorder) -> ClientTraceLayer,
                          response: Response<Script>| {
        let recorder = Recorder::new();
        let response = respond(&layer(&recorder), Request::new(()), response);
        let ended = recorder.spans().len() == 1;
        drop(response);
        assert_fine(&recorder.span(), Some("200"));
        ended
    };
    let marked = |end: SpanEnd| Response::builder().extension(end).body(abc()).unwrap();
    let head = |recorder: &Recorder| recorder.client_layer();
    let body = |recorder: &Recorder| recorder.client_layer().with_span_end(SpanEnd::Body);
    let by = |recorder: &Recorder| {
        recorder.client_layer().with_span_end_by(|response| {
            if response.headers().contains_key("x-wait") { SpanEnd::Body } else { SpanEnd::Head }
        })
    };
    let panicking = |recorder: &Recorder| {
        recorder.client_layer().with_span_end(SpanEnd::Body).with_span_end_by(|_| panic!("as told"))
    };

    assert!(ends_with_head(&head, Response::new(abc())));
    assert!(!ends_with_head(&body, Response::new(abc())));
    assert!(ends_with_head(&by, Response::new(abc())));
    let asked = Response::builder().header("x-wait", "1").body(abc()).unwrap();
    assert!(!ends_with_head(&by, asked));
    assert!(!ends_with_head(&panicking, Response::new(abc())));
    // The response has the last word.
    assert!(!ends_with_head(&head, marked(SpanEnd::Body)));
    assert!(ends_with_head(&body, marked(SpanEnd::Head)));
    assert!(!ends_with_head(&by, marked(SpanEnd::Body)));
}

#[test]
fn a_span_that_waits_ends_with_the_last_frame() {
    let recorder = Recorder::new();
    let script = Script::new([Step::Data("a"), Step::Pending, Step::Data("b")]).telling_its_end();
    let mut body = task::spawn(body(&waiting(&recorder), script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_pending!(frame!(body));
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_fine(&recorder.span(), Some("200"));
    assert!(attribute(&recorder.span(), TIME_TO_HEAD).is_some());
    assert!(assert_ready!(frame!(body)).is_none());
    drop(body);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_span_that_waits_ends_with_the_trailers() {
    let recorder = Recorder::new();
    let script = Script::new([Step::Data("a"), Step::Trailers(HeaderMap::new())]);
    let mut body = task::spawn(body(&waiting(&recorder), script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert!(recorder.spans().is_empty());
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert_fine(&recorder.span(), Some("200"));
}

#[test]
fn a_span_that_waits_ends_with_the_end_if_nothing_said_so_before() {
    let recorder = Recorder::new();
    let mut body = task::spawn(body(&waiting(&recorder), Script::new([Step::Data("a")])));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    assert!(recorder.spans().is_empty());
    assert!(assert_ready!(frame!(body)).is_none());
    assert_fine(&recorder.span(), Some("200"));
}

#[test]
fn where_there_is_no_body_a_span_ends_with_the_head() {
    let recorder = Recorder::new();
    let empty = Script::new([]).telling_its_end();
    let response = respond(&waiting(&recorder), Request::new(()), Response::new(empty));
    assert_fine(&recorder.span(), Some("200"));
    assert_eq!(attribute(&recorder.span(), TIME_TO_HEAD), None);
    drop(response);

    for (method, status_code) in [
        (Method::HEAD, 200),
        (Method::CONNECT, 200),
        (Method::GET, 101),
        (Method::GET, 204),
        (Method::GET, 304),
    ] {
        let recorder = Recorder::new();
        let request = Request::builder().method(method).body(()).unwrap();
        let response = respond(&waiting(&recorder), request, with_status(status_code, abc()));
        assert_fine(&recorder.span(), Some(&status_code.to_string()));
        drop(response);
        assert_eq!(recorder.spans().len(), 1);
    }
}

#[test]
fn an_error_of_the_body_is_one_of_the_span_and_the_status_code_stays() {
    for status_code in [200, 201, 503] {
        let recorder = Recorder::new();
        let script = Script::new([Step::Data("a"), Step::Error]);
        let response =
            respond(&waiting(&recorder), Request::new(()), with_status(status_code, script));
        let mut body = task::spawn(response.into_body());
        assert_ready_ok!(frame!(body).map(Option::unwrap));
        assert!(recorder.spans().is_empty());
        let error = assert_ready_err!(frame!(body).map(Option::unwrap));
        assert_eq!(error.to_string(), "the disk is gone");
        assert_error(&recorder.span(), "disk_gone", Some(&status_code.to_string()));
        drop(body);
        assert_eq!(recorder.spans().len(), 1);
    }
}

#[test]
fn who_wants_no_more_of_a_body_has_not_failed() {
    for (status_code, fails) in [(200, false), (404, true), (503, true)] {
        for polls in 0..=2 {
            let recorder = Recorder::new();
            let response =
                respond(&waiting(&recorder), Request::new(()), with_status(status_code, abc()));
            let mut body = task::spawn(response.into_body());
            for _ in 0..polls {
                assert_ready_ok!(frame!(body).map(Option::unwrap));
            }
            assert!(recorder.spans().is_empty());
            drop(body);
            let code = status_code.to_string();
            if fails {
                assert_error(&recorder.span(), &code, Some(&code));
            } else {
                assert_fine(&recorder.span(), Some(&code));
            }
        }
    }
}

#[test]
fn whoever_expects_a_404_has_none_that_fails_also_if_its_body_is_dropped() {
    for end in [SpanEnd::Head, SpanEnd::Body] {
        let recorder = Recorder::new();
        let expected = |status_code: StatusCode| status_code.as_u16() == 404;
        let layer = recorder
            .client_layer()
            .with_span_end(end)
            .with_failure_by(move |response| !expected(response.status_code()));
        drop(respond(&layer, Request::new(()), with_status(404, abc())));
        assert_fine(&recorder.span(), Some("404"));
        drop(respond(&layer, Request::new(()), with_status(410, abc())));
        assert_error(&recorder.spans()[1], "410", Some("410"));
    }
}

#[test]
fn who_wants_no_response_any_more_has_not_failed() {
    for end in [SpanEnd::Head, SpanEnd::Body] {
        let recorder = Recorder::new();
        let inner = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
        let mut service = recorder.client_layer().with_span_end(end).layer(inner);

        drop(service.call(Request::new(())));
        assert_fine(&recorder.span(), None);

        let mut polled = task::spawn(service.call(Request::new(())));
        assert_pending!(polled.poll());
        assert_eq!(recorder.spans().len(), 1);
        drop(polled);
        assert_eq!(recorder.spans().len(), 2);
        assert_fine(&recorder.spans()[1], None);
    }
}

#[test]
fn an_error_of_the_service_is_called_by_its_type() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| ready(Err::<Response<String>, _>(OutOfStock)));
    let mut service = recorder.client_layer().layer(inner);
    let mut future = task::spawn(service.call(Request::new(())));
    let OutOfStock = assert_ready_err!(future.poll());
    assert_error(&recorder.span(), std::any::type_name::<OutOfStock>(), None);
    drop(future);
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_is_an_error() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(recorder.client_layer())
        .timeout(Duration::from_secs(5))
        .service(service_fn(|_: Request<()>| pending::<Result<Response<String>, BoxError>>()));
    let error = service.call(Request::new(())).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_error(&recorder.span(), "timeout", None);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_is_a_caller_who_has_gone() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .layer(recorder.client_layer())
        .service(service_fn(|_: Request<()>| pending::<Result<Response<String>, BoxError>>()));
    let error = service.call(Request::new(())).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_fine(&recorder.span(), None);
}

/// Whether a request that looks just like the one of `cx`, which has ended, has a span of its own.
fn has_a_span_of_its_own(recorder: &Recorder, cx: &Context) {
    let before = recorder.spans().len();
    let request = Request::builder()
        .header("traceparent", traceparent(cx.span().span_context()))
        .body(())
        .unwrap();
    let _attached = cx.clone().attach();
    let mut service = recorder.client_layer().layer(FarSide::default());
    tokio_test::block_on(service.call(request)).unwrap();
    assert_eq!(recorder.spans().len(), before + 1);
}

#[test]
fn a_client_that_panics_in_the_call_has_ended_its_span() {
    let recorder = Recorder::new();
    let mut seen = None;
    let inner = service_fn(|_: Request<()>| -> Ready<Result<Response<String>, Infallible>> {
        seen = Some(Context::current());
        panic!("the client panics, as it was told to")
    });
    let mut service = recorder.client_layer().layer(inner);
    unwinding(|| drop(service.call(Request::new(()))));
    drop(service);
    assert_error(&recorder.span(), "panic", None);
    has_a_span_of_its_own(&recorder, &seen.unwrap());
}

#[test]
fn a_client_that_panics_in_a_poll_has_ended_its_span_also_if_it_is_caught_outside() {
    let recorder = Recorder::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |_: Request<()>| {
        let tell = tell.clone();
        async move {
            tell.send(Context::current()).unwrap();
            if true {
                panic!("the client panics, as it was told to");
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let mut service = recorder.client_layer().layer(inner);
    let mut future = task::spawn(service.call(Request::new(())));
    unwinding(|| drop(future.poll()));
    drop(future);
    assert_error(&recorder.span(), "panic", None);
    has_a_span_of_its_own(&recorder, &told.try_recv().unwrap());
}

#[test]
fn a_body_that_panics_has_ended_its_span() {
    let recorder = Recorder::new();
    let script = Script::new([Step::Data("a"), Step::Panic]);
    let mut body = task::spawn(body(&waiting(&recorder), script));
    assert_ready_ok!(frame!(body).map(Option::unwrap));
    unwinding(|| drop(frame!(body)));
    assert!(recorder.spans().is_empty());
    drop(body);
    assert_error(&recorder.span(), "panic", Some("200"));
}

#[test]
fn a_caller_that_panics_has_only_let_go() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    let mut service = recorder.client_layer().layer(inner);
    unwinding(|| {
        let mut future = task::spawn(service.call(Request::new(())));
        assert_pending!(future.poll());
        panic!("who waits for the response panics, as it was told to");
    });
    assert_fine(&recorder.span(), None);

    let recorder = Recorder::new();
    unwinding(|| {
        let _body = body(&waiting(&recorder), abc());
        panic!("who holds the body panics, as it was told to");
    });
    assert_fine(&recorder.span(), Some("200"));
}

#[test]
fn a_future_that_is_polled_again_is_the_clients_business() {
    struct Twice(u8);

    impl Future for Twice {
        type Output = Result<Response<String>, Infallible>;

        fn poll(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Self::Output> {
            self.0 += 1;
            assert_eq!(Context::current().has_active_span(), self.0 == 1);
            std::task::Poll::Ready(Ok(Response::new(self.0.to_string())))
        }
    }

    let recorder = Recorder::new();
    let mut service = recorder.client_layer().layer(service_fn(|_: Request<()>| Twice(0)));
    let mut future = std::pin::pin!(service.call(Request::new(())));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for expected in ["1", "2"] {
        let response = assert_ready_ok!(future.as_mut().poll(&mut cx));
        let body = tokio_test::block_on(response.into_body().collect()).unwrap();
        assert_eq!(body.to_bytes(), expected);
    }
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn readiness_without_a_call_makes_no_span() {
    let recorder = Recorder::new();
    let (mut service, _handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<String>, _>(recorder.client_layer());
    assert_ready_ok!(service.poll_ready());
    drop(service);
    assert!(recorder.spans().is_empty());
}

#[test]
fn a_span_ends_once_however_often_it_could() {
    let once = |run: &dyn Fn(ClientTraceLayer)| {
        for end in [SpanEnd::Head, SpanEnd::Body] {
            // The SDK hides a second end, so this tracer counts.
            let (provider, ends) = Counting::new();
            run(ClientTraceLayer::new().with_tracer_provider(&provider).with_span_end(end));
            assert_eq!(ends.load(Ordering::Relaxed), 1);
        }
    };
    let to_the_end = |layer: &ClientTraceLayer, script: Script| {
        let mut body = task::spawn(body(layer, script));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..4 {
                let _ = frame!(body);
            }
        }));
    };
    let trailers = || Step::Trailers(HeaderMap::new());

    once(&|layer| to_the_end(&layer, Script::new([Step::Data("a"), trailers(), Step::Error])));
    once(&|layer| to_the_end(&layer, Script::new([Step::Data("a")]).telling_its_end()));
    once(&|layer| to_the_end(&layer, Script::new([Step::Error, Step::Error])));
    once(&|layer| to_the_end(&layer, Script::new([Step::Panic])));
    once(&|layer| to_the_end(&layer, Script::new([]).telling_its_end()));
    once(&|layer| drop(body(&layer, abc())));
    once(&|layer| {
        let inner = service_fn(|_: Request<()>| ready(Err::<Response<String>, _>(OutOfStock)));
        drop(task::spawn(layer.layer(inner).call(Request::new(()))).poll());
    });
    once(&|layer| {
        let inner = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
        drop(task::spawn(layer.layer(inner).call(Request::new(()))).poll());
    });
}

fn spin(duration: Duration) {
    let clock = Instant::now();
    while clock.elapsed() < duration {
        std::hint::spin_loop();
    }
}

#[test]
fn the_time_to_the_head_is_that_and_no_more() {
    let recorder = Recorder::new();
    let (go, gone) = oneshot::channel::<()>();
    let mut gone = Some(gone);
    let inner = service_fn(move |_: Request<()>| {
        let gone = gone.take().unwrap();
        async move {
            gone.await.unwrap();
            Ok::<_, Infallible>(Response::new(abc()))
        }
    });
    let clock = Instant::now();
    let head_seen = Arc::new(OnceLock::new());
    let seen = Arc::clone(&head_seen);
    // A hook takes its time once the head is there.
    let layer = waiting(&recorder).on_response(move |_, _| {
        seen.set(clock.elapsed()).unwrap();
        spin(Duration::from_millis(5));
    });
    let mut service = layer.layer(inner);
    let mut future = task::spawn(service.call(Request::new(())));
    assert_pending!(future.poll());
    spin(Duration::from_millis(5));
    go.send(()).unwrap();
    let response = assert_ready_ok!(future.poll());
    let at_most = head_seen.get().unwrap().as_secs_f64();
    spin(Duration::from_millis(5));
    drop(response);

    let span = recorder.span();
    let to_head: f64 = attribute(&span, TIME_TO_HEAD).unwrap().parse().unwrap();
    assert!((0.005..=at_most).contains(&to_head), "{to_head} of {at_most}");
    let whole = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64();
    assert!(whole >= to_head + 0.01, "{whole} with {to_head}");
}

#[test]
fn a_span_that_is_sampled_out_is_none_however_it_ends() {
    let recorder = Recorder::new();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_simple_exporter(recorder.exporter())
        .build();
    let layer = ClientTraceLayer::new()
        .with_tracer_provider(&provider)
        .with_propagator(TraceContext::new())
        .with_span_end(SpanEnd::Body)
        .on_response(|_, _| panic!("nobody is asked"))
        .on_error(|_, _| panic!("nobody is asked"))
        .on_end(|_, _| panic!("nobody is asked"));
    drop(body(&layer, abc()));
    drop(respond(&layer, Request::new(()), with_status(503, abc())));
    let inner = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    drop(layer.layer(inner).call(Request::new(())));
    let inner = service_fn(|_: reqwest::Request| ready(Ok::<_, Infallible>(of_reqwest(abc()))));
    let response = assert_ready_ok!(task::spawn(layer.layer(inner).call(ask())).poll());
    drop(response);
    assert!(recorder.spans().is_empty());
}

// reqwest's response, of which the body cannot be seen.

fn ask() -> reqwest::Request {
    reqwest::Request::new(Method::GET, URL.parse().unwrap())
}

const URL: &str = "http://inventory:3000/items/42?full";

/// A response that differs from the default in all that it has.
fn of_reqwest(script: Script) -> reqwest::Response {
    let mut response = Response::builder()
        .status(206)
        .version(Version::HTTP_2)
        .header("a", "x")
        .header("a", "y")
        .header("b", "z")
        .extension(7_u32)
        .url(URL.parse().unwrap())
        .body(reqwest::Body::wrap(script))
        .unwrap();
    response.headers_mut().append("b", HeaderValue::from_bytes(b"\xff").unwrap());
    response.into()
}

/// The response to a client that is answered at once.
fn respond_reqwest(layer: &ClientTraceLayer, response: reqwest::Response) -> reqwest::Response {
    let mut response = Some(response);
    let inner =
        service_fn(move |_: reqwest::Request| ready(Ok::<_, Infallible>(response.take().unwrap())));
    assert_ready_ok!(task::spawn(layer.layer(inner).call(ask())).poll())
}

fn assert_same_head(response: &reqwest::Response) {
    assert_eq!(response.url().as_str(), URL);
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.version(), Version::HTTP_2);
    let expected = of_reqwest(Script::new([]));
    assert_eq!(response.headers(), expected.headers());
    assert_eq!(response.headers().get_all("a").iter().count(), 2);
    assert_eq!(response.extensions().get::<u32>(), Some(&7));
    assert_eq!(response.extensions().len(), expected.extensions().len());
}

#[test]
fn a_response_of_reqwest_ends_its_span_with_the_head_and_is_left_as_it_is() {
    let recorder = Recorder::new();
    let mut script = abc();
    script.size_hint = http_body::SizeHint::with_exact(3);
    let response = respond_reqwest(&recorder.client_layer(), of_reqwest(script));
    assert_fine(&recorder.span(), Some("206"));
    assert_eq!(attribute(&recorder.span(), TIME_TO_HEAD), None);
    assert_same_head(&response);
    assert_eq!(response.content_length(), Some(3));
    assert_eq!(tokio_test::block_on(response.bytes()).unwrap(), "abc");
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn a_response_of_reqwest_that_is_waited_for_is_the_same_and_ends_its_span_with_the_last_byte() {
    for length in [Some(3), None] {
        let recorder = Recorder::new();
        let mut script = Script::new([Step::Data("ab"), Step::Pending, Step::Data("c")]);
        script = script.telling_its_end();
        script.size_hint = length.map(http_body::SizeHint::with_exact).unwrap_or_default();
        let layer = waiting(&recorder).with_response_body_size();
        let mut response = respond_reqwest(&layer, of_reqwest(script));
        assert_same_head(&response);
        assert_eq!(response.content_length(), length);

        let mut chunk = || tokio_test::block_on(response.chunk()).unwrap();
        assert_eq!(chunk().unwrap(), "ab");
        assert!(recorder.spans().is_empty());
        assert_eq!(chunk().unwrap(), "c");
        let span = recorder.span();
        assert_fine(&span, Some("206"));
        assert_eq!(attribute(&span, "http.response.body.size").as_deref(), Some("3"));
        assert!(attribute(&span, TIME_TO_HEAD).is_some());
        assert_eq!(chunk(), None);
        drop(response);
        assert_eq!(recorder.spans().len(), 1);
    }
}

#[test]
fn a_response_of_reqwest_keeps_its_trailers() {
    let recorder = Recorder::new();
    let trailers = HeaderMap::from_iter([("t".parse().unwrap(), HeaderValue::from_static("1"))]);
    let script = Script::new([Step::Data("a"), Step::Trailers(trailers.clone())]);
    let response = respond_reqwest(&waiting(&recorder), of_reqwest(script));
    let response = Response::<reqwest::Body>::from(response);
    let collected = tokio_test::block_on(response.into_body().collect()).unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "a");
    assert_fine(&recorder.span(), Some("206"));
}

#[test]
fn a_response_of_reqwest_that_is_let_go_of_ends_its_span_once() {
    for polls in 0..=1 {
        let recorder = Recorder::new();
        let mut response = respond_reqwest(&waiting(&recorder), of_reqwest(abc()));
        for _ in 0..polls {
            tokio_test::block_on(response.chunk()).unwrap();
        }
        assert!(recorder.spans().is_empty());
        drop(response);
        assert_fine(&recorder.span(), Some("206"));
    }

    let recorder = Recorder::new();
    let gone = with_status(410, reqwest::Body::wrap(abc()));
    let response = respond_reqwest(&waiting(&recorder), gone.into());
    let error = response.error_for_status().unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::GONE));
    assert_error(&recorder.span(), "410", Some("410"));
}

#[test]
fn a_response_of_reqwest_without_a_body_ends_its_span_with_the_head() {
    let recorder = Recorder::new();
    let response = respond_reqwest(&waiting(&recorder), Response::new("").into());
    assert_fine(&recorder.span(), Some("200"));
    assert_eq!(attribute(&recorder.span(), TIME_TO_HEAD), None);
    drop(response);

    for (method, status_code) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 101)] {
        let recorder = Recorder::new();
        let inner = service_fn(|_: reqwest::Request| {
            let response = with_status(status_code, reqwest::Body::wrap(abc()));
            ready(Ok::<_, Infallible>(reqwest::Response::from(response)))
        });
        let request = reqwest::Request::new(method, URL.parse().unwrap());
        let mut service = waiting(&recorder).layer(inner);
        let response = assert_ready_ok!(task::spawn(service.call(request)).poll());
        assert_fine(&recorder.span(), Some(&status_code.to_string()));
        drop(response);
        assert_eq!(recorder.spans().len(), 1);
    }
}

/// A body that fails as one does that takes too long, or is cut short.
struct Fails(io::ErrorKind);

impl Body for Fails {
    type Data = bytes::Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, io::Error>>> {
        std::task::Poll::Ready(Some(Err(self.0.into())))
    }
}

#[test]
fn what_a_body_of_reqwest_fails_with_is_of_the_same_kind_as_without_the_layer() {
    for kind in [io::ErrorKind::TimedOut, io::ErrorKind::UnexpectedEof] {
        let response = || reqwest::Response::from(Response::new(reqwest::Body::wrap(Fails(kind))));
        let plain = tokio_test::block_on(response().bytes()).unwrap_err();
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let recorder = Recorder::new();
            let layer = waiting(&recorder).with_span_end(end);
            let response = respond_reqwest(&layer, response());
            let error = tokio_test::block_on(response.bytes()).unwrap_err();
            let kinds = |error: &reqwest::Error| {
                [error.is_timeout(), error.is_body(), error.is_decode(), error.is_request()]
            };
            assert_eq!(kinds(&error), kinds(&plain));
            assert_eq!(error.is_timeout(), kind == io::ErrorKind::TimedOut);
            assert_eq!(error.to_string(), plain.to_string());
            let root = |error: &(dyn std::error::Error + 'static)| {
                let mut root = error;
                while let Some(source) = root.source() {
                    root = source;
                }
                root.downcast_ref::<io::Error>().map(io::Error::kind)
            };
            assert_eq!(root(&error), Some(kind));
            assert_eq!(root(&plain), Some(kind));
            let span = recorder.span();
            if end == SpanEnd::Head {
                assert_fine(&span, Some("200"));
            } else {
                // What it is called is not the point here; that it is an error is.
                assert_eq!(span.status, Status::error(""));
                assert!(attribute(&span, "error.type").is_some());
                assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
            }
        }
    }
}

#[test]
fn an_error_of_reqwest_is_passed_on_as_it_is() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: reqwest::Request| {
        let error = reqwest::Client::new().get("no url").build().unwrap_err();
        ready(Err::<reqwest::Response, _>(error))
    });
    let mut service = recorder.client_layer().layer(inner);
    let error = assert_ready_err!(task::spawn(service.call(ask())).poll());
    assert!(error.is_builder());
    let span = recorder.span();
    assert_eq!(span.status, Status::error(""));
    assert_eq!(attribute(&span, "http.response.status_code"), None);
    assert!(attribute(&span, "error.type").is_some());
}
