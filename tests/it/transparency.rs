//! What goes through the layer comes out as it went in.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    rc::Rc,
    task::{Context as TaskContext, Poll},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, service_fn, util::ServiceFn};
use tower_telemetry::{
    ClientTraceLayer, PropagationLayer, TraceLayer,
    client::{self, ClientTrace, CountResends, Propagation, ResendCountLayer, SpanEnd},
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
        mock::spawn_layer::<Request<()>, Response<String>, _>(Recorder::new().client_layer());
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
fn the_call_of_a_client_goes_to_the_service_that_was_ready_and_its_error_comes_back() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<String>, _>(Recorder::new().client_layer());
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(Request::new(())));
    assert_pending!(future.poll());
    let (_, reply) = tokio_test::block_on(handle.next_request()).unwrap();
    reply.send_error("the line is dead");
    assert!(future.is_woken());
    let error = assert_ready_err!(future.poll());
    assert_eq!(error.to_string(), "the line is dead");

    handle.send_error("closed");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "closed");

    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, u8, _>(PropagationLayer::new());
    assert_ready_ok!(service.poll_ready());
    let mut future = task::spawn(service.call(Request::new(())));
    let (_, reply) = tokio_test::block_on(handle.next_request()).unwrap();
    reply.send_response(7);
    assert_eq!(assert_ready_ok!(future.poll()), 7);
}

/// Panics if a clone of it is called: that one was not polled ready.
struct Original(bool);

impl Clone for Original {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl<R> Service<R> for Original {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        assert!(self.0, "a clone is called");
        ready(Ok(Response::new(String::new())))
    }
}

#[test]
fn no_clone_is_called() {
    let recorder = Recorder::new();
    let request = || Request::new(());
    let client = recorder.client_layer().layer(Original(true)).call(request());
    assert_ready_ok!(task::spawn(client).poll());
    let alone = PropagationLayer::new().layer(Original(true)).call(request());
    assert_ready_ok!(task::spawn(alone).poll());
    let counted = ResendCountLayer::new().layer(Original(true)).call(request());
    assert_ready_ok!(task::spawn(counted).poll());
    assert_eq!(recorder.spans().len(), 1);
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

/// With the header that it is there for, and nothing else of ours.
#[test]
fn a_clients_request_arrives_as_it_was_sent() {
    let inner = service_fn(|request: Request<&'static str>| async move {
        let (mut parts, body) = request.into_parts();
        assert_eq!(parts.method, "PURGE");
        assert_eq!(parts.uri, "http://u:p@inventory/a?b=c");
        assert_eq!(parts.version, Version::HTTP_2);
        assert!(parts.headers.remove("traceparent").is_some());
        assert_eq!(parts.headers.get_all("a").iter().collect::<Vec<_>>(), ["x", "x"]);
        assert_eq!(parts.headers.len(), 2);
        assert_eq!(parts.extensions.get::<u32>(), Some(&7));
        assert_eq!(parts.extensions.len(), 1);
        assert_eq!(body, "body");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let request = Request::builder()
        .method("PURGE")
        .uri("http://u:p@inventory/a?b=c")
        .version(Version::HTTP_2)
        .header("a", "x")
        .header("a", "x")
        .extension(7_u32)
        .body("body")
        .unwrap();
    // Also where a classifier is shown it.
    let recorder = Recorder::new();
    for layer in [recorder.client_layer(), recorder.client_layer().with_failure_by(|_| false)] {
        assert_ready_ok!(task::spawn(layer.layer(inner).call(request.clone())).poll());
    }
    assert_eq!(recorder.spans().len(), 2);
}

#[test]
fn a_clients_request_of_reqwest_arrives_as_it_was_sent() {
    let inner = service_fn(|mut request: reqwest::Request| async move {
        assert_eq!(request.method(), "PURGE");
        assert_eq!(request.url().as_str(), "http://u:p@inventory/a?b=c#d");
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.timeout(), Some(&std::time::Duration::from_secs(7)));
        assert!(request.headers_mut().remove("traceparent").is_some());
        assert_eq!(request.headers().get_all("a").iter().collect::<Vec<_>>(), ["x", "x"]);
        assert_eq!(request.headers().len(), 2);
        assert_eq!(request.body().and_then(|body| body.as_bytes()), Some(&b"body"[..]));
        Ok::<_, Infallible>(reqwest::Response::from(Response::new("")))
    });
    let recorder = Recorder::new();
    for layer in [recorder.client_layer(), recorder.client_layer().with_failure_by(|_| false)] {
        let url = "http://u:p@inventory/a?b=c#d".parse().unwrap();
        let mut request = reqwest::Request::new("PURGE".parse().unwrap(), url);
        *request.version_mut() = Version::HTTP_2;
        *request.timeout_mut() = Some(std::time::Duration::from_secs(7));
        request.headers_mut().append("a", HeaderValue::from_static("x"));
        request.headers_mut().append("a", HeaderValue::from_static("x"));
        *request.body_mut() = Some("body".into());
        assert_ready_ok!(task::spawn(layer.layer(inner).call(request)).poll());
    }
    assert_eq!(recorder.spans().len(), 2);
}

#[test]
fn the_response_arrives_as_it_was_given() {
    assert_same_response(|inner| {
        let response = Recorder::new().layer().layer(inner).call(Request::new(()));
        assert_ready_ok!(task::spawn(response).poll())
    });
    for end in [SpanEnd::Head, SpanEnd::Body] {
        assert_same_response(|inner| {
            let mut service = Recorder::new().client_layer().with_span_end(end).layer(inner);
            assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll())
        });
    }
}

type Answer = Ready<Result<Response<Script>, Infallible>>;

fn assert_same_response<B>(call: impl FnOnce(ServiceFn<fn(Request<()>) -> Answer>) -> Response<B>)
where
    B: Body<Data = bytes::Bytes, Error: std::fmt::Debug> + Unpin,
{
    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([("t".parse().unwrap(), HeaderValue::from_static("1"))])
    }

    fn answer(_: Request<()>) -> Answer {
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
        ready(Ok(response))
    }

    let (parts, mut body) = call(service_fn(answer)).into_parts();
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
        let mut service = Recorder::new().client_layer().with_span_end(SpanEnd::Body).layer(inner);
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
            _: &mut TaskContext<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Mute>>> {
            Poll::Ready(Some(Err(Mute(Rc::new(())))))
        }
    }

    async fn exchange<S, B>(mut service: S)
    where
        S: Service<Request<Mute>, Response = Response<B>, Error = Mute>,
        B: Body<Error = Mute>,
    {
        let Ok(response) = service.call(Request::new(Mute(Rc::new(())))).await else {
            panic!("there is a response")
        };
        let mut body = std::pin::pin!(response.into_body());
        assert!(matches!(body.frame().await, Some(Err(_))));
    }

    let here = Rc::new(());
    let inner = service_fn(move |request: Request<Mute>| {
        let here = Rc::clone(&here);
        async move {
            drop(here);
            Ok::<_, Mute>(Response::new(request.into_body()))
        }
    });
    let recorder = Recorder::new();
    tokio_test::block_on(exchange(recorder.layer().layer(inner.clone())));
    let client = recorder.client_layer().with_span_end(SpanEnd::Body);
    tokio_test::block_on(exchange(client.layer(inner.clone())));
    assert_eq!(recorder.spans().len(), 2);
    tokio_test::block_on(exchange(PropagationLayer::new().layer(inner.clone())));
    tokio_test::block_on(exchange(ResendCountLayer::new().layer(inner)));
}

#[test]
fn what_is_only_borrowed_can_be_sent_and_answered() {
    let recorder = Recorder::new();
    let answer = String::from("an item");
    let question = String::from("which?");
    let answering = |request: Request<&str>| {
        assert_eq!(request.into_body(), question);
        ready(Ok::<_, Infallible>(Response::new(http_body_util::Full::new(answer.as_bytes()))))
    };
    let mut service =
        recorder.client_layer().with_span_end(SpanEnd::Body).layer(service_fn(answering));
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(&*question))).poll());
    let body = tokio_test::block_on(response.into_body().collect()).unwrap().to_bytes();
    assert_eq!(body, answer);
    let mut alone = PropagationLayer::new().layer(service_fn(answering));
    assert_ready_ok!(task::spawn(alone.call(Request::new(&*question))).poll());
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

    send_sync::<ClientTraceLayer>();
    send_sync::<ResendCountLayer>();
    send_sync::<ClientTrace<()>>();
    send_sync::<Propagation<()>>();
    send_sync::<CountResends<()>>();
    send_sync::<client::ResponseFuture<()>>();
    send_sync::<client::ResponseBody<()>>();
    send::<client::ResponseFuture<std::cell::Cell<()>>>();
    send::<client::ResponseBody<std::cell::Cell<()>>>();
    cloned::<ClientTrace<()>>();
    cloned::<Propagation<()>>();
    cloned::<CountResends<()>>();

    // That of reqwest's client is what a caller would want it to be.
    fn of_reqwest<S>()
    where
        S: Service<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>,
        S::Future: Send,
    {
    }
    of_reqwest::<ClientTrace<reqwest::Client>>();
    of_reqwest::<ClientTrace<&reqwest::Client>>();
    of_reqwest::<Propagation<reqwest::Client>>();

    not_send::<ClientTrace<Rc<()>>, _>();
    not_send::<Propagation<Rc<()>>, _>();
    not_send::<CountResends<Rc<()>>, _>();
    not_send::<client::ResponseFuture<Rc<()>>, _>();
    not_send::<client::ResponseBody<Rc<()>>, _>();
}

/// Does not compile for what is `Send`, since there the `_` has two answers.
fn not_send<T: NotSend<A>, A>() {}

trait NotSend<A> {}

impl<T> NotSend<()> for T {}

impl<T: Send> NotSend<u8> for T {}

#[test]
fn a_client_can_be_shown_and_what_is_inside_it_seen() {
    let mut client = ClientTraceLayer::new().layer("the client");
    assert_eq!(*client.get_ref(), "the client");
    *client.get_mut() = "another";
    let shown = format!("{:?}", client.clone());
    assert!(shown.starts_with("ClientTrace {") && shown.contains("another"), "{shown}");
    assert_eq!(client.into_inner(), "another");
    let shown = format!("{:?}", ClientTrace::<()>::layer());
    assert!(shown.starts_with("ClientTraceLayer {"), "{shown}");
}

#[test]
fn future_and_body_are_little_larger_than_what_is_inside() {
    assert!(size_of::<ResponseFuture<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
    assert!(size_of::<ResponseBody<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
    assert!(size_of::<client::ResponseFuture<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
    assert!(size_of::<client::ResponseBody<[u64; 4]>>() <= size_of::<[u64; 4]>() + 32);
}
