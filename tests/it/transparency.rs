//! What goes through the layer comes out as it went in.

use std::{convert::Infallible, rc::Rc};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    PropagationLayer, TraceLayer,
    server::{ResponseBody, ResponseFuture, ServerSpan, Trace},
};
use tower_test::mock;

use crate::support::{
    body::{Script, Step},
    recorder::Recorder,
};

#[test]
fn readiness_is_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<String>, _>(Recorder::new().layer());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());

    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, (), _>(PropagationLayer::new());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[test]
fn the_call_goes_to_the_service_that_was_ready() {
    // The mock panics when one is called that was not polled ready.
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<String>, _>(Recorder::new().layer());
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(Request::new(())));
    assert_pending!(future.poll());
    let (_, reply) = tokio_test::block_on(handle.next_request()).unwrap();
    reply.send_response(Response::new("hello".to_owned()));
    assert_ready_ok!(future.poll());
}

#[test]
fn readiness_without_a_call_makes_no_span() {
    let recorder = Recorder::new();
    let (mut service, _handle) =
        mock::spawn_layer::<Request<()>, Response<String>, _>(recorder.layer());
    assert_ready_ok!(service.poll_ready());
    drop(service);
    assert!(recorder.spans().is_empty());
}

#[test]
fn the_request_arrives_as_it_was_sent() {
    let inner = service_fn(|request: Request<&'static str>| async move {
        let (parts, body) = request.into_parts();
        assert_eq!(parts.method, "PURGE");
        assert_eq!(parts.uri, "/a?b=c");
        assert_eq!(parts.version, Version::HTTP_2);
        let headers: Vec<_> = parts.headers.iter().collect();
        let x = HeaderValue::from_static("x");
        let traceparent = HeaderValue::from_static("junk");
        let expected = [("a", &x), ("a", &x), ("traceparent", &traceparent)];
        assert_eq!(headers.len(), expected.len());
        for ((name, value), expected) in headers.into_iter().zip(expected) {
            assert_eq!((name.as_str(), value), expected);
        }
        assert_eq!(parts.extensions.get::<u32>(), Some(&7));
        assert!(parts.extensions.get::<ServerSpan>().is_some());
        assert_eq!(parts.extensions.len(), 2);
        assert_eq!(body, "body");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut request = Request::builder()
        .method("PURGE")
        .uri("/a?b=c")
        .version(Version::HTTP_2)
        .header("a", "x")
        .header("a", "x")
        .header("traceparent", "junk")
        .body("body")
        .unwrap();
    request.extensions_mut().insert(7_u32);
    let mut service = Recorder::new().layer().layer(inner);
    assert_ready_ok!(task::spawn(service.call(request)).poll());
}

#[test]
fn the_response_arrives_as_it_was_given() {
    let trailers = || HeaderMap::from_iter([("t".parse().unwrap(), HeaderValue::from_static("1"))]);
    let inner = service_fn(move |_: Request<()>| async move {
        let mut script = Script::new([
            Step::Data("a"),
            Step::Pending,
            Step::Data(""),
            Step::Data("bc"),
            Step::Trailers(trailers()),
        ]);
        script.size_hint = SizeHint::new();
        script.size_hint.set_lower(3);
        script.size_hint.set_upper(9);
        let mut response = Response::new(script);
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        *response.version_mut() = Version::HTTP_10;
        response.headers_mut().append("a", HeaderValue::from_static("x"));
        response.headers_mut().append("a", HeaderValue::from_static("y"));
        response.extensions_mut().insert(7_u32);
        Ok::<_, Infallible>(response)
    });
    let mut service = Recorder::new().layer().layer(inner);
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
    let (parts, mut body) = response.into_parts();
    assert_eq!(parts.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(parts.version, Version::HTTP_10);
    assert_eq!(parts.headers.get_all("a").iter().collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(parts.headers.len(), 2);
    assert_eq!(parts.extensions.get::<u32>(), Some(&7));
    let hint = body.size_hint();
    assert_eq!((hint.lower(), hint.upper()), (3, Some(9)));
    assert!(!body.is_end_stream());

    let frames = tokio_test::block_on(async {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.unwrap();
            frames.push(match frame.into_data() {
                Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
                Err(frame) => format!("{:?}", frame.into_trailers().unwrap()),
            });
        }
        frames
    });
    assert_eq!(frames, ["a", "", "bc", &format!("{:?}", trailers())]);
}

#[test]
fn the_end_of_the_stream_is_told_as_the_inner_body_tells_it() {
    for tells_end in [true, false] {
        let inner = service_fn(move |_: Request<()>| async move {
            let mut script = Script::new([]);
            script.tells_end = tells_end;
            Ok::<_, Infallible>(Response::new(script))
        });
        let mut service = Recorder::new().layer().layer(inner);
        let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
        assert_eq!(response.body().is_end_stream(), tells_end);
    }
}

#[test]
fn what_cannot_be_sent_or_shown_inside_is_no_hindrance() {
    // Neither request, response, error nor body is `Send`, `Debug` or an `Error`.
    struct Mute(#[expect(dead_code, reason = "held to be neither `Send` nor `Sync`")] Rc<()>);

    impl Body for Mute {
        type Data = bytes::Bytes;
        type Error = Mute;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Mute>>> {
            std::task::Poll::Ready(Some(Err(Mute(Rc::new(())))))
        }
    }

    let recorder = Recorder::new();
    let inner = service_fn(|request: Request<Mute>| {
        std::future::ready(Ok::<_, Mute>(Response::new(request.into_body())))
    });
    let mut service = recorder.layer().layer(inner);
    let future = service.call(Request::new(Mute(Rc::new(()))));
    let response = tokio_test::block_on(future).unwrap_or_else(|_| panic!("there is a response"));
    let frame = tokio_test::block_on(response.into_body().frame());
    assert!(matches!(frame, Some(Err(_))));
    assert_eq!(recorder.spans().len(), 1);
}

/// Checked by the compiler: futures and bodies are `Send` and `Sync` if what is inside is.
#[test]
fn auto_traits_are_those_of_what_is_inside() {
    fn send_sync<T: Send + Sync>() {}
    fn send<T: Send>() {}
    fn cloned<T: Clone>() {}

    send_sync::<TraceLayer>();
    send_sync::<PropagationLayer>();
    send_sync::<Trace<()>>();
    send_sync::<ResponseFuture<()>>();
    send_sync::<ResponseBody<()>>();
    send::<ResponseFuture<std::cell::Cell<()>>>();
    send::<ResponseBody<std::cell::Cell<()>>>();
    cloned::<Trace<()>>();
    cloned::<tower_telemetry::client::Propagation<()>>();
}

#[test]
fn future_and_body_are_little_larger_than_what_is_inside() {
    assert!(size_of::<ResponseFuture<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
    assert!(size_of::<ResponseBody<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
}
