//! What the end of a call says of its status, on either side: trailers, a head that is all there
//! is, a status of HTTP's, or no answer at all.

use std::{convert::Infallible, future::pending, io, task::Poll};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use opentelemetry::trace::Status;
use tower::{BoxError, Layer, Service, service_fn};
use tower_telemetry::{
    Grpc, GrpcMethods, HeaderSelector,
    client::{ClientTrace, SpanEnd},
    server::Trace,
};

use crate::support::{
    body::{Script, Step},
    recorder::{Described, Recorder, strings},
};

/// A call, and what more its headers say.
fn call(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::post("http://inventory:50051/shop.v1.Inventory/Get")
        .header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn trailers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// The spans of both sides, of the same call to the same service. `read` is how far the body is
/// read.
fn spans_of<E: 'static>(
    grpc: &Grpc,
    request: &Request<()>,
    answer: impl Fn() -> Result<Response<Script>, E>,
    read: Read,
) -> [Described; 2] {
    let (servers, clients) = (Recorder::new(), Recorder::new());
    let inner = || service_fn(|_: Request<()>| std::future::ready(answer()));
    tokio_test::block_on(async {
        let mut server = servers.layer().with_grpc(grpc.clone()).layer(inner());
        if let Ok(response) = Trace::call(&mut server, request.clone()).await {
            read.body(response.into_body()).await;
        }
        let mut client = clients.client_layer().with_grpc(grpc.clone()).layer(inner());
        if let Ok(response) = ClientTrace::call(&mut client, request.clone()).await {
            read.body(response.into_body()).await;
        }
    });
    [servers.span().into(), clients.span().into()]
}

/// A message of gRPC-Web in base64, and trailers that say `OK`.
const MESSAGE: &str = "AAAAAAF4";
const LAST: &str = "gAAAAA9ncnBjLXN0YXR1czowDQo=";

/// How far a body is read.
#[derive(Clone, Copy)]
enum Read {
    Nothing,
    All,
}

impl Read {
    async fn body<B: http_body::Body + Unpin>(self, mut body: B) {
        if let Self::All = self {
            while let Some(Ok(_)) = body.frame().await {}
        }
    }
}

/// The spans of such a call that ends like this on the server, and on the client.
fn expected(of_server: &str, of_client: &str) -> [Described; 2] {
    let attributes = |status: &str| {
        [
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", "shop.v1.Inventory/Get".into()),
            ("rpc.status_code", status.to_owned().into()),
            ("server.address", "inventory".into()),
            ("server.port", 50051.into()),
        ]
    };
    let server = Described::server("shop.v1.Inventory/Get", attributes(of_server));
    let client = Described::client("shop.v1.Inventory/Get", attributes(of_client));
    [server, client]
}

/// Both fail, and are called after the status.
fn failed(status: &str) -> [Described; 2] {
    expected(status, status).map(|span| span.failed(status))
}

fn ok(response: Response<Script>) -> Result<Response<Script>, Infallible> {
    Ok(response)
}

#[test]
fn an_ok_in_a_head_that_goes_on_is_not_the_end() {
    let answer = |steps: fn() -> Vec<Step>| {
        move || {
            ok(Response::builder().header("grpc-status", "0").body(Script::new(steps())).unwrap())
        }
    };
    let all = spans_of(&Grpc::new(), &call(&[]), answer(|| vec![Step::Data("a")]), Read::All);
    assert_eq!(all, expected("OK", "OK"));

    let cancelled = answer(|| vec![Step::Data("a")]);
    let [server, client] = expected("CANCELLED", "CANCELLED");
    let spans = spans_of(&Grpc::new(), &call(&[]), cancelled, Read::Nothing);
    assert_eq!(spans, [server, client.failed("CANCELLED")]);

    let broken = answer(|| vec![Step::Data("a"), Step::Error]);
    let [server, client] = expected("INTERNAL", "UNKNOWN");
    let io_error = std::any::type_name::<io::Error>();
    assert_eq!(
        spans_of(&Grpc::new(), &call(&[]), broken, Read::All),
        [server.failed(io_error), client.failed(io_error)]
    );
}

#[test]
fn what_is_no_answer_to_a_call_is_mapped_however_it_ends() {
    let io_error = std::any::type_name::<io::Error>();
    for (steps, read, error_type) in [
        (vec![Step::Data("busy")], Read::Nothing, "UNAVAILABLE"),
        (vec![Step::Data("busy"), Step::Error], Read::All, io_error),
    ] {
        let steps = std::cell::RefCell::new(vec![steps.iter().map(copy).collect(), steps]);
        let answer = || {
            let body = Script::new(steps.borrow_mut().pop().unwrap());
            ok(Response::builder().status(503).body(body).unwrap())
        };
        let expected = expected("UNAVAILABLE", "UNAVAILABLE")
            .map(|span| span.with("http.response.status_code", 503).failed(error_type));
        assert_eq!(spans_of(&Grpc::new(), &call(&[]), answer, read), expected);
    }
}

fn copy(step: &Step) -> Step {
    match step {
        Step::Data(data) => Step::Data(data),
        Step::Error => Step::Error,
        step => panic!("{step:?} is not copied here"),
    }
}

#[test]
fn a_body_of_grpc_web_ends_with_its_trailers_or_cannot_be_read() {
    let web = |steps: fn() -> Vec<Step>, encoding: &'static str| {
        move || {
            ok(Response::builder()
                .header("content-type", "application/grpc-web-text+proto")
                .header("content-encoding", encoding)
                .body(Script::new(steps()))
                .unwrap())
        }
    };
    // What comes after the trailers is not of the call any more.
    let broken = || vec![Step::Data(MESSAGE), Step::Data(LAST), Step::Error];
    let spans = spans_of(&Grpc::new(), &call(&[]), web(broken, "identity"), Read::All);
    assert_eq!(spans, expected("OK", "OK"));

    let whole = || vec![Step::Data(LAST)];
    let spans = spans_of(&Grpc::new(), &call(&[]), web(whole, "gzip"), Read::All);
    assert_eq!(spans, expected("", "").map(|span| span.without("rpc.status_code")));
    let [server, client] = expected("CANCELLED", "CANCELLED");
    let spans = spans_of(&Grpc::new(), &call(&[]), web(whole, "gzip"), Read::Nothing);
    assert_eq!(spans, [server, client.failed("CANCELLED")]);
}

#[test]
fn a_classifier_takes_nothing_from_a_call_not_even_its_trailers() {
    let recorder = Recorder::new();
    let failing = || tower_http::classify::StatusInRangeAsFailures::new(100..=599);
    let answer = || {
        service_fn(|_: Request<()>| {
            let response = Response::builder().header("content-type", "application/grpc-web-text");
            std::future::ready(ok(response.body(Script::new([Step::Data(LAST)])).unwrap()))
        })
    };
    tokio_test::block_on(async {
        let server = recorder.layer().with_classifier(failing().into_make_classifier());
        let response = server.layer(answer()).call(call(&[])).await.unwrap();
        Read::All.body(response.into_body()).await;
        let client = recorder.client_layer().with_failure_by(|_| true);
        let response = client.layer(answer()).call(call(&[])).await.unwrap();
        Read::All.body(response.into_body()).await;
    });
    let spans: Vec<Described> = recorder.spans().into_iter().map(Described::from).collect();
    assert_eq!(spans, expected("OK", "OK"));
}

#[test]
fn the_trailers_have_the_last_word() {
    let answer = || {
        let steps = [Step::Data("a message"), Step::Trailers(trailers(&[("grpc-status", "14")]))];
        ok(Response::builder().header("grpc-status", "0").body(Script::new(steps)).unwrap())
    };
    assert_eq!(spans_of(&Grpc::new(), &call(&[]), answer, Read::All), failed("UNAVAILABLE"));
}

#[test]
fn a_head_that_is_all_there_is_has_the_status() {
    for tells_end in [true, false] {
        for read in [Read::All, Read::Nothing] {
            let answer = || {
                let mut body = Script::default();
                body.tells_end = tells_end;
                ok(Response::builder().header("grpc-status", "13").body(body).unwrap())
            };
            assert_eq!(spans_of(&Grpc::new(), &call(&[]), answer, read), failed("INTERNAL"));
        }
    }
}

#[test]
fn a_response_without_a_status_is_mapped_from_that_of_http() {
    for (status_code, server, client) in [
        (200, Some("UNKNOWN"), "UNKNOWN"),
        (204, Some("UNKNOWN"), "UNKNOWN"),
        (400, Some("INTERNAL"), "INTERNAL"),
        (401, None, "UNAUTHENTICATED"),
        (403, None, "PERMISSION_DENIED"),
        (404, Some("UNIMPLEMENTED"), "UNIMPLEMENTED"),
        (405, Some("UNKNOWN"), "UNKNOWN"),
        (415, Some("UNKNOWN"), "UNKNOWN"),
        (429, Some("UNAVAILABLE"), "UNAVAILABLE"),
        (500, Some("UNKNOWN"), "UNKNOWN"),
        (502, Some("UNAVAILABLE"), "UNAVAILABLE"),
        (503, Some("UNAVAILABLE"), "UNAVAILABLE"),
        (504, Some("UNAVAILABLE"), "UNAVAILABLE"),
    ] {
        let answer = || {
            let body = Script::new([Step::Data("<html>")]);
            ok(Response::builder().status(status_code).body(body).unwrap())
        };
        let [of_server, of_client] = expected(client, client)
            .map(|span| span.with("http.response.status_code", i64::from(status_code)));
        // Nobody there knows the method, so it may be anything.
        let unknown = matches!(status_code, 200 | 204 | 404 | 405 | 415);
        let of_server = if unknown { of_server.named("grpc") } else { of_server };
        let of_server = match server {
            Some(error) => of_server.failed(error),
            None => of_server,
        };
        let spans = spans_of(&Grpc::new(), &call(&[]), answer, Read::All);
        assert_eq!(spans, [of_server, of_client.failed(client)], "{status_code}");
    }
}

#[test]
fn a_method_that_is_listed_or_was_named_keeps_its_name_whatever_is_answered() {
    let answer =
        || ok(Response::builder().status(404).body(Script::new([Step::Data("no")])).unwrap());
    let known = GrpcMethods::new(["shop.v1.Inventory"]).unwrap();
    let [server, _] = spans_of(&Grpc::new().with_methods(known), &call(&[]), answer, Read::All);
    assert_eq!(server.name, "shop.v1.Inventory/Get");

    let recorder = Recorder::new();
    let layer = recorder.layer().with_span_name(|_| Some("inventory".into()));
    let inner = service_fn(|_: Request<()>| std::future::ready(answer()));
    tokio_test::block_on(async {
        let response = layer.layer(inner).call(call(&[])).await.unwrap();
        Read::All.body(response.into_body()).await;
    });
    assert_eq!(recorder.span().name, "inventory");
}

#[test]
fn a_status_says_more_than_that_of_http() {
    let answer = || {
        ok(Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .header("grpc-status", "8")
            .body(Script::default())
            .unwrap())
    };
    let [server, client] = expected("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED");
    assert_eq!(
        spans_of(&Grpc::new(), &call(&[]), answer, Read::All),
        [server, client.failed("RESOURCE_EXHAUSTED")]
    );
}

#[test]
fn a_client_that_was_answered_something_else_need_not_read_it() {
    let answer = || {
        ok(Response::builder()
            .status(StatusCode::BAD_GATEWAY)
            .body(Script::new([Step::Data("<html>")]))
            .unwrap())
    };
    let [_, client] = spans_of(&Grpc::new(), &call(&[]), answer, Read::Nothing);
    let [_, expected] = failed("UNAVAILABLE");
    assert_eq!(client, expected.with("http.response.status_code", 502));
}

#[test]
fn a_body_that_is_let_go_of_is_cancelled_or_late() {
    for (timeout, status) in [
        (None, "CANCELLED"),
        (Some("1H"), "CANCELLED"),
        (Some("1n"), "DEADLINE_EXCEEDED"),
        (Some("0S"), "DEADLINE_EXCEEDED"),
        (Some("soon"), "CANCELLED"),
    ] {
        let headers: Vec<_> =
            timeout.map(|timeout| ("grpc-timeout", timeout)).into_iter().collect();
        let answer = || ok(Response::new(Script::new([Step::Data("a message")])));
        let [server, client] = expected(status, status);
        let server = if status == "CANCELLED" { server } else { server.failed(status) };
        assert_eq!(
            spans_of(&Grpc::new(), &call(&headers), answer, Read::Nothing),
            [server, client.failed(status)],
            "{timeout:?}"
        );
    }
}

#[test]
fn a_length_that_is_all_there_is_no_end_of_a_call() {
    let answer = || {
        let mut body = Script::new([Step::Data("all"), Step::Pending]);
        body.size_hint = http_body::SizeHint::with_exact(3);
        ok(Response::new(body))
    };
    let (servers, clients) = (Recorder::new(), Recorder::new());
    let inner = || service_fn(move |_: Request<()>| std::future::ready(answer()));
    tokio_test::block_on(async {
        let response = servers.layer().layer(inner()).call(call(&[])).await.unwrap();
        response.into_body().frame().await.unwrap().unwrap();
        let response = clients.client_layer().layer(inner()).call(call(&[])).await.unwrap();
        response.into_body().frame().await.unwrap().unwrap();
    });
    let [server, client] = expected("CANCELLED", "CANCELLED");
    assert_eq!(Described::from(servers.span()), server);
    assert_eq!(Described::from(clients.span()), client.failed("CANCELLED"));
}

#[test]
fn a_length_is_the_end_of_what_has_no_trailers_after_it() {
    for (status_code, content_type, encoding, status, name) in [
        (404, "text/html", "identity", Some("UNIMPLEMENTED"), "grpc"),
        (200, "text/html", "identity", Some("UNKNOWN"), "grpc"),
        (200, "application/grpc-web", "identity", Some("UNKNOWN"), "grpc"),
        (200, "application/grpc-web", "gzip", None, "shop.v1.Inventory/Get"),
    ] {
        let recorder = Recorder::new();
        let inner = service_fn(|_: Request<()>| {
            let mut body = Script::new([Step::Data("no"), Step::Pending]);
            body.size_hint = http_body::SizeHint::with_exact(2);
            let response = Response::builder()
                .status(status_code)
                .header("content-type", content_type)
                .header("content-encoding", encoding);
            std::future::ready(ok(response.body(body).unwrap()))
        });
        tokio_test::block_on(async {
            let response = recorder.layer().layer(inner).call(call(&[])).await.unwrap();
            // As a server over HTTP/1 does.
            response.into_body().frame().await.unwrap().unwrap();
        });
        let server = match status {
            Some(status) => {
                let [server, _] = failed(status);
                server.with("http.response.status_code", i64::from(status_code))
            }
            None => expected("", "")[0].clone().without("rpc.status_code"),
        };
        assert_eq!(Described::from(recorder.span()), server.named(name), "{content_type}");
    }
}

#[test]
fn a_method_that_nobody_there_knows_is_no_name_also_if_the_answer_is_not_read() {
    let answer =
        || ok(Response::builder().status(404).body(Script::new([Step::Data("no")])).unwrap());
    let [server, _] = spans_of(&Grpc::new(), &call(&[]), answer, Read::Nothing);
    let [expected, _] = failed("UNIMPLEMENTED");
    assert_eq!(server, expected.named("grpc").with("http.response.status_code", 404));
}

#[test]
fn a_call_over_reqwest_waits_for_the_trailers_also_where_there_is_no_message() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: reqwest::Request| {
        let steps = [Step::Trailers(trailers(&[("grpc-status", "5")]))];
        let response = Response::builder().header("content-length", "0");
        let body = reqwest::Body::wrap(Script::new(steps));
        let response = reqwest::Response::from(response.body(body).unwrap());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = reqwest::Request::try_from(call(&[]).map(|()| "")).unwrap();
    tokio_test::block_on(async {
        let response = recorder.client_layer().layer(inner).call(request).await.unwrap();
        response.bytes().await.unwrap();
    });
    assert_eq!(Described::from(recorder.span()), failed("NOT_FOUND")[1]);
}

#[test]
fn what_the_server_has_said_stays_said() {
    // In the head, whatever cannot be read, or breaks, after it.
    let answer = |steps: fn() -> Vec<Step>, content_type: &'static str| {
        move || {
            ok(Response::builder()
                .header("grpc-status", "13")
                .header("content-type", content_type)
                .header("content-encoding", "gzip")
                .body(Script::new(steps()))
                .unwrap())
        }
    };
    let web = answer(|| vec![Step::Data("packed")], "application/grpc-web");
    assert_eq!(spans_of(&Grpc::new(), &call(&[]), web, Read::All), failed("INTERNAL"));
    let broken = answer(|| vec![Step::Error], "application/grpc");
    let io_error = std::any::type_name::<io::Error>();
    let expected = expected("INTERNAL", "INTERNAL").map(|span| span.failed(io_error));
    assert_eq!(spans_of(&Grpc::new(), &call(&[]), broken, Read::All), expected);
}

#[test]
fn an_ok_in_the_head_counts_with_any_status_code_of_http_if_nothing_goes_wrong() {
    for body in [|| vec![], || vec![Step::Data("a message")]] {
        let answer = || {
            let response = Response::builder().status(503).header("grpc-status", "0");
            ok(response.body(Script::new(body())).unwrap())
        };
        let spans = spans_of(&Grpc::new(), &call(&[]), answer, Read::All);
        assert_eq!(spans, expected("OK", "OK"));
    }
}

#[test]
fn a_service_that_is_let_go_of_is_cancelled_or_late() {
    for (timeout, status) in [("1H", "CANCELLED"), ("1n", "DEADLINE_EXCEEDED")] {
        let request = || call(&[]).map(|()| ()).into_parts();
        let request = || {
            let (mut parts, ()) = request();
            parts.headers.insert("grpc-timeout", timeout.parse().unwrap());
            Request::from_parts(parts, ())
        };
        let never =
            || service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
        let (servers, clients) = (Recorder::new(), Recorder::new());
        let mut server = servers.layer().layer(never());
        let mut client = clients.client_layer().layer(never());
        let mut server = tokio_test::task::spawn(server.call(request()));
        let mut client = tokio_test::task::spawn(client.call(request()));
        assert!(matches!(server.poll(), Poll::Pending));
        assert!(matches!(client.poll(), Poll::Pending));
        drop((server, client));

        let [server, of_client] = expected(status, status);
        let server = if status == "CANCELLED" { server } else { server.failed(status) };
        assert_eq!(Described::from(servers.span()), server);
        assert_eq!(Described::from(clients.span()), of_client.failed(status));
    }
}

#[test]
fn what_breaks_a_call_off_is_named_and_implies_a_status() {
    let answer = || ok(Response::new(Script::new([Step::Data("a message"), Step::Error])));
    let [server, client] = expected("INTERNAL", "UNKNOWN");
    let io_error = std::any::type_name::<io::Error>();
    assert_eq!(
        spans_of(&Grpc::new(), &call(&[]), answer, Read::All),
        [server.failed(io_error), client.failed(io_error)]
    );

    let answer = || Err::<Response<Script>, _>(io::Error::from(io::ErrorKind::ConnectionRefused));
    let [server, client] = expected("INTERNAL", "UNAVAILABLE");
    assert_eq!(
        spans_of(&Grpc::new(), &call(&[]), answer, Read::All),
        [server.failed(io_error), client.failed("connection_refused")]
    );
}

#[test]
fn a_client_knows_the_status_of_errors() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let tonics = |code, source: Option<io::Error>| {
        let mut status = tonic::Status::new(code, "as it was told to");
        if let Some(source) = source {
            status.set_source(std::sync::Arc::new(source));
        }
        BoxError::from(status)
    };
    type Make<'a> = &'a dyn Fn() -> BoxError;
    let cases: [(Make<'_>, &str, &str); 14] = [
        (
            &|| tower::timeout::error::Elapsed::new().into(),
            "DEADLINE_EXCEEDED",
            "DEADLINE_EXCEEDED",
        ),
        (&|| tonic::TimeoutExpired(()).into(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (&|| tower::load_shed::error::Overloaded::new().into(), "RESOURCE_EXHAUSTED", "overloaded"),
        (&|| refused().into(), "UNAVAILABLE", "connection_refused"),
        // To a socket that is not there.
        (
            &|| tonic::ConnectError(io::Error::from(io::ErrorKind::NotFound).into()).into(),
            "UNAVAILABLE",
            "connection_error",
        ),
        (&|| tonics(tonic::Code::NotFound, None), "NOT_FOUND", "NOT_FOUND"),
        (&|| tonics(tonic::Code::Unknown, None), "UNKNOWN", "UNKNOWN"),
        (
            &|| {
                let mut status = tonic::Status::cancelled("Timeout expired");
                status.set_source(std::sync::Arc::new(tonic::TimeoutExpired(())));
                status.into()
            },
            "DEADLINE_EXCEEDED",
            "DEADLINE_EXCEEDED",
        ),
        // An error behind it that says nothing leaves it what it is.
        (
            &|| {
                let mut status = tonic::Status::not_found("no such item");
                status.set_source(std::sync::Arc::new(std::fmt::Error));
                status.into()
            },
            "NOT_FOUND",
            "NOT_FOUND",
        ),
        // To a server that takes its time to connect to.
        (
            &|| tonic::ConnectError(tower::timeout::error::Elapsed::new().into()).into(),
            "UNAVAILABLE",
            "timeout",
        ),
        // What tonic makes of an error that it does not know.
        (&|| tonics(tonic::Code::Unknown, Some(refused())), "UNAVAILABLE", "connection_refused"),
        (&|| tonics(tonic::Code::Aborted, Some(refused())), "ABORTED", "connection_refused"),
        (&|| tonics(tonic::Code::Ok, None), "UNKNOWN", "_OTHER"),
        (&|| std::fmt::Error.into(), "UNKNOWN", "_OTHER"),
    ];
    for (error, status, error_type) in cases {
        let answer = || Err::<Response<Script>, _>(error());
        let [_, client] = spans_of(&Grpc::new(), &call(&[]), answer, Read::All);
        let [_, expected] = expected(status, status);
        assert_eq!(client, expected.failed(error_type), "{:?}", error());
    }
}

#[test]
fn an_error_that_is_a_status_is_the_end_that_the_server_has_given() {
    let answer = || Err::<Response<Script>, _>(tonic::Status::not_found("no such item"));
    let [_, client] = spans_of(&Grpc::new(), &call(&[]), answer, Read::All);
    assert_eq!(client, failed("NOT_FOUND")[1]);

    let forgiving = Grpc::new().with_failure_by(|status| status != "NOT_FOUND");
    let [_, client] = spans_of(&forgiving, &call(&[]), answer, Read::All);
    assert_eq!(client, expected("", "NOT_FOUND")[1]);
}

#[test]
fn an_error_of_a_type_that_nobody_knows_is_called_by_it() {
    #[derive(Debug)]
    struct Mine;

    let answer = || Err::<Response<Script>, _>(Mine);
    let [server, client] = expected("INTERNAL", "UNKNOWN");
    let mine = std::any::type_name::<Mine>();
    assert_eq!(
        spans_of(&Grpc::new(), &call(&[]), answer, Read::All),
        [server.failed(mine), client.failed(mine)]
    );
}

#[test]
fn a_handler_can_say_what_a_call_has_failed_with_but_not_of_a_panic() {
    for (panics, error_type) in [(false, "told"), (true, "panic")] {
        let recorder = Recorder::new();
        let inner = service_fn(|request: Request<()>| async move {
            tower_telemetry::server::ServerSpan::of(request.extensions()).set_error_type("told");
            assert!(!panics, "as it was told to");
            Err::<Response<Script>, _>(io::Error::other("the disk is gone"))
        });
        let mut service = recorder.layer().layer(inner);
        let called = std::panic::AssertUnwindSafe(service.call(call(&[])));
        let ended = tokio_test::block_on(futures_util::FutureExt::catch_unwind(called));
        assert_eq!(ended.is_err(), panics);
        let [server, _] = expected(if panics { "UNKNOWN" } else { "INTERNAL" }, "");
        assert_eq!(Described::from(recorder.span()), server.failed(error_type));
    }
}

#[test]
fn a_name_of_the_users_comes_before_the_status() {
    let recorder = Recorder::new();
    let layer = recorder.client_layer().with_error_type(|status: &tonic::Status| {
        (status.message() == "out of stock").then(|| "out_of_stock".into())
    });
    let answer = |message: &'static str| {
        service_fn(move |_: Request<()>| {
            let status = tonic::Status::failed_precondition(message);
            std::future::ready(Err::<Response<Script>, _>(status))
        })
    };
    tokio_test::block_on(async {
        for message in ["out of stock", "closed"] {
            assert!(layer.layer(answer(message)).call(call(&[])).await.is_err());
        }
    });
    let spans: Vec<Described> = recorder.spans().into_iter().map(Described::from).collect();
    let expected = ["out_of_stock", "FAILED_PRECONDITION"].map(|error_type| {
        let [_, client] = expected("", "FAILED_PRECONDITION");
        client.failed(error_type)
    });
    assert_eq!(spans, expected);
}

#[test]
fn whoever_asks_decides_which_statuses_are_failures() {
    let of = |code: &'static str| {
        move || ok(Response::builder().header("grpc-status", code).body(Script::default()).unwrap())
    };
    let not_found = Grpc::new().with_failure_by(|status| status == "NOT_FOUND");
    assert_eq!(spans_of(&not_found, &call(&[]), of("5"), Read::All), failed("NOT_FOUND"));
    let fine = expected("INTERNAL", "INTERNAL");
    assert_eq!(spans_of(&not_found, &call(&[]), of("13"), Read::All), fine);

    let panics = Grpc::new().with_failure_by(|_| panic!("as it was told to"));
    assert_eq!(spans_of(&panics, &call(&[]), of("13"), Read::All), failed("INTERNAL"));
    let [server, client] = expected("NOT_FOUND", "NOT_FOUND");
    let spans = spans_of(&panics, &call(&[]), of("5"), Read::All);
    assert_eq!(spans, [server, client.failed("NOT_FOUND")]);
}

#[test]
fn a_span_waits_for_the_trailers_unless_this_response_says_otherwise() {
    let recorder = Recorder::new();
    let answer = |extension: Option<SpanEnd>| {
        service_fn(move |_: Request<()>| {
            let steps = [Step::Trailers(trailers(&[("grpc-status", "5")]))];
            let mut response = Response::new(Script::new(steps));
            if let Some(end) = extension {
                response.extensions_mut().insert(end);
            }
            std::future::ready(ok(response))
        })
    };
    let read = Read::All;
    tokio_test::block_on(async {
        for extension in [None, Some(SpanEnd::Body), Some(SpanEnd::Head)] {
            let server = recorder.layer().with_span_end(SpanEnd::Head);
            let response = server.layer(answer(extension)).call(call(&[])).await.unwrap();
            read.body(response.into_body()).await;
            let client = recorder.client_layer().with_span_end_by(|_| SpanEnd::Head);
            let response = client.layer(answer(extension)).call(call(&[])).await.unwrap();
            read.body(response.into_body()).await;
        }
    });
    let spans: Vec<Described> = recorder.spans().into_iter().map(Described::from).collect();
    let [server, client] = expected("NOT_FOUND", "NOT_FOUND");
    let client = client.failed("NOT_FOUND");
    let waited = || [server.clone(), client.clone()];
    let early = waited().map(|mut span| {
        span.attributes.retain(|key, _| key != "rpc.status_code" && key != "error.type");
        span.status = Status::Unset;
        span
    });
    assert_eq!(spans, [waited(), waited(), early].concat());
}

#[test]
fn metadata_of_head_and_trailers_is_captured_and_each_key_is_there_once() {
    let all = || HeaderSelector::new(["x-tenant", "x-shard", "x-cost", "x-absent", "key-bin"]);
    let grpc =
        Grpc::new().with_request_metadata(all().unwrap()).with_response_metadata(all().unwrap());
    let answer = || {
        let steps = [Step::Trailers(trailers(&[
            ("grpc-status", "0"),
            ("x-shard", "8"),
            ("x-cost", "3"),
            ("other", "not asked for"),
        ]))];
        ok(Response::builder()
            .header("x-shard", "7")
            .header("key-bin", "AAE")
            .body(Script::new(steps))
            .unwrap())
    };
    let request = call(&[("x-tenant", "acme"), ("x-tenant", "other"), ("key-bin", "AAECAw==")]);
    let expected = expected("OK", "OK").map(|span| {
        span.with("rpc.request.metadata.x-tenant", strings(&["acme", "other"]))
            .with("rpc.request.metadata.key-bin", strings(&["AAECAw=="]))
            .with("rpc.response.metadata.key-bin", strings(&["AAE"]))
            .with("rpc.response.metadata.x-shard", strings(&["7", "8"]))
            .with("rpc.response.metadata.x-cost", strings(&["3"]))
    });
    assert_eq!(spans_of(&grpc, &request, answer, Read::All), expected);
}

#[test]
fn metadata_that_is_secret_is_redacted() {
    let grpc = Grpc::new()
        .with_request_metadata(HeaderSelector::new(["authorization"]).unwrap())
        .with_response_metadata(HeaderSelector::new(["set-cookie"]).unwrap());
    let answer = || {
        ok(Response::builder()
            .header("grpc-status", "0")
            .header("set-cookie", "secret")
            .body(Script::default())
            .unwrap())
    };
    let request = call(&[("authorization", "Bearer secret")]);
    let expected = expected("OK", "OK").map(|span| {
        span.with("rpc.request.metadata.authorization", strings(&["REDACTED"]))
            .with("rpc.response.metadata.set-cookie", strings(&["REDACTED"]))
    });
    assert_eq!(spans_of(&grpc, &request, answer, Read::All), expected);
}
