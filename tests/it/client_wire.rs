//! What a client layer makes of a request over a socket, and the server's span below it: both
//! clients, over HTTP/1.1 and HTTP/2, with TLS and without.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect},
    routing::{any, get as route, post},
};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use opentelemetry::{
    Context,
    trace::{FutureExt, Span, Status, TraceContextExt, TraceFlags, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SpanData;
use reqwest::redirect::Policy;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    retry::RetryLayer,
    util::{BoxCloneSyncService, BoxCloneSyncServiceLayer},
};
use tower_http::follow_redirect::{FollowRedirectLayer, policy::Limited};
use tower_telemetry::{
    PropagationLayer, TraceLayer,
    client::{ResendCountLayer, SpanEnd},
};

use crate::support::{
    client,
    exchange::headers,
    far_side::{Again, elsewhere, lines, traceparent, traceparent_of},
    recorder::{Described, Recorder, attribute, strings},
    upstream::{Upstream, answer},
    way::{
        PROTOCOLS, Spans, Way, Which, assert_below, assert_root, bare, each_way, get, send, sent,
        text, with_body,
    },
};

/// A server whose spans go where the client's go.
fn app(layer: TraceLayer) -> Router {
    async fn secured(headers: HeaderMap) -> StatusCode {
        match headers.get(header::AUTHORIZATION) {
            Some(secret) if secret == "Bearer secret" => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
    let found = |to| route(async move || (StatusCode::FOUND, [(header::LOCATION, to)]));
    Router::new()
        .route("/success", route(async || "success"))
        .route("/echo", any(async |body: Body| body))
        .route(
            "/status/{code}",
            any(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()),
        )
        .route(
            "/headers",
            route(async || {
                AppendHeaders([("x-answer", "one"), ("x-answer", "two"), ("x-other", "three")])
            }),
        )
        .route(
            "/traceparent",
            route(async |headers: HeaderMap| {
                lines(&headers, "traceparent").join(" and ").into_response()
            }),
        )
        .route("/another-redirect", found("/redirect"))
        .route("/redirect", found("/success"))
        .route("/circular-redirect", found("/circular-redirect"))
        .route("/to-secured", found("/secured"))
        .route("/see-other", post(async || Redirect::to("/success")))
        .route("/temporary-redirect", post(async || Redirect::temporary("/echo")))
        .route("/secured", route(secured))
        .layer(layer)
}

/// The Context of a span of the caller's own.
fn caller(recorder: &Recorder) -> Context {
    let tracer = recorder.provider.tracer("the caller's own");
    Context::new().with_span(tracer.start_with_context("caller", &Context::new()))
}

#[tokio::test]
async fn a_request_is_a_span_and_the_servers_is_below_it() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        let url = server.url("/success");
        // The peer is who is at the other end, whatever name it was found by.
        let by_name = url.replace("127.0.0.1", "localhost");
        for url in [format!("{url}?with=params"), url, by_name] {
            // What the request says of the version is the one below TLS' and HTTP/2's.
            let request = get(&url);
            assert_eq!(request.version(), Version::HTTP_11);
            assert_eq!(text(send(&client, request).await).await, "success");
            let [client, server] = spans.next().await;
            assert_root(&client);
            assert_below(&server, &client);
            assert_eq!(Described::from(client), way.asked("GET", &url, 200));
            assert_eq!(Described::from(server), way.served("GET /success", &url, 200));
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_with_a_body_is_below_the_callers_span() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        let url = server.url("/echo");
        for method in ["PUT", "POST"] {
            let cx = caller(&spans.recorder);
            let call = send(&client, with_body(method, &url, "some"));
            assert_eq!(text(call.with_context(cx.clone()).await).await, "some");
            let [client, server] = spans.next().await;
            cx.span().end();
            let [caller] = spans.next().await;
            assert_below(&client, &caller);
            assert_below(&server, &client);
            assert_eq!(Described::from(client), way.asked(method, &url, 200));
            let expected = way.served(&format!("{method} /echo"), &url, 200);
            assert_eq!(Described::from(server), expected);
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_called_other() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        let url = server.url("/success");
        assert_eq!(send(&client, bare("TEST", &url)).await.status(), 405);
        let [client, server] = spans.next().await;
        assert_below(&server, &client);
        let other = |span: Described, name| {
            span.named(name)
                .with("http.request.method", "_OTHER")
                .with("http.request.method_original", "TEST")
        };
        assert_eq!(Described::from(client), other(way.asked("TEST", &url, 405), "HTTP"));
        let served = way.served("TEST /success", &url, 405);
        assert_eq!(Described::from(server), other(served, "HTTP /success"));
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn below_a_caller_that_is_not_sampled_nothing_is_recorded_on_either_side() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        let url = server.url("/traceparent");
        let call = send(&client, get(&url));
        let sent = text(call.with_context(elsewhere(TraceFlags::NOT_SAMPLED)).await).await;
        let trace_id = format!("{:032x}", 42);
        assert!(sent.starts_with(&format!("00-{trace_id}-")) && sent.ends_with("-00"), "{sent}");
        assert!(!sent.contains(' '), "{sent}");

        // The next ones are the first.
        let sent = text(send(&client, get(&url)).await).await;
        let [client, server] = spans.next().await;
        assert_eq!(sent, traceparent_of(&client));
        assert_root(&client);
        assert_below(&server, &client);
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn what_a_server_answers_with_400_or_more_is_an_error_of_the_client_and_of_nobody_above() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        for status_code in [400, 404, 500] {
            let url = server.url(&format!("/status/{status_code}"));
            let cx = caller(&spans.recorder);
            let response = send(&client, get(&url)).with_context(cx.clone()).await;
            assert_eq!(i64::from(response.status().as_u16()), status_code);
            let [client, server] = spans.next().await;
            cx.span().end();
            let [caller] = spans.next().await;
            assert_eq!((&caller.status, caller.attributes.len()), (&Status::Unset, 0));
            assert_below(&client, &caller);
            assert_below(&server, &client);
            assert_eq!(Described::from(client), way.asked("GET", &url, status_code));
            let expected = way.served("GET /status/{code}", &url, status_code);
            assert_eq!(Described::from(server), expected);
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn one_line_of_a_trace_header_is_on_the_wire_whatever_was_there() {
    each_way(async |way: Way| {
        let recorder = Recorder::new();
        let mut upstream = way.upstream([answer(200, "")]).await;
        let client = way.client(&recorder.client_layer(), upstream.root.as_ref());
        let mut request = get(&upstream.url("/"));
        for (name, value) in [
            ("traceparent", "old"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
            ("x-other", "stays"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        // The second time it is sent as it came here the first time.
        for traces in [1, 2] {
            send(&client, request).await;
            let arrived = upstream.request().await.request;
            let span = recorder.clients().pop().unwrap();
            assert_root(&span);
            assert_eq!(lines(arrived.headers(), "traceparent"), [traceparent_of(&span)]);
            assert!(lines(arrived.headers(), "tracestate").is_empty());
            assert_eq!(lines(arrived.headers(), "x-other"), ["stays"]);
            assert_eq!(recorder.traces(), traces);
            request = get(&upstream.url("/"));
            for name in ["traceparent", "x-other"] {
                request.headers_mut().insert(name, arrived.headers()[name].clone());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_kept_and_sent_twice_is_two_traces() {
    async fn assert_two_traces(recorder: &Recorder, upstream: &mut Upstream) {
        for span in recorder.clients() {
            let headers = upstream.request().await.request.into_parts().0.headers;
            assert_eq!(lines(&headers, "traceparent"), [traceparent_of(&span)]);
        }
        assert_eq!((recorder.spans().len(), recorder.traces()), (2, 2));
    }

    let mut upstream = Upstream::http1([answer(200, "")]).await;
    let recorder = Recorder::new();
    let mut client = recorder.client_layer().layer(client::local());
    let request = client.get_ref().get(upstream.url("/")).build().unwrap();
    for _ in 0..2 {
        client.call(request.try_clone().unwrap()).await.unwrap();
    }
    assert_two_traces(&recorder, &mut upstream).await;

    let recorder = Recorder::new();
    let mut client = recorder.client_layer().layer(client::legacy_http1::<String>());
    let request = Request::get(upstream.url("/")).body(String::new()).unwrap();
    for _ in 0..2 {
        client.call(request.clone()).await.unwrap();
    }
    assert_two_traces(&recorder, &mut upstream).await;
}

#[tokio::test]
async fn headers_are_captured_in_both_directions_on_both_sides() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let [request, response] = [headers(&["x-request-*"]), headers(&["x-answer"])];
        let layer = spans.recorder.layer().with_request_headers(request.clone());
        let server = way.server(app(layer.with_response_headers(response.clone()))).await;
        let layer = spans.recorder.client_layer();
        let layer = layer.with_request_headers(request).with_response_headers(response);
        let client = way.client(&layer, server.root.as_ref());
        let url = server.url("/headers");
        let mut request = get(&url);
        for (name, value) in [("x-request-id", "1"), ("x-request-id", "2"), ("x-other", "3")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        send(&client, request).await;
        let [client, server] = spans.next().await;
        assert_below(&server, &client);
        let captured = |span: Described| {
            span.with("http.request.header.x-request-id", strings(&["1", "2"]))
                .with("http.response.header.x-answer", strings(&["one", "two"]))
        };
        assert_eq!(Described::from(client), captured(way.asked("GET", &url, 200)));
        assert_eq!(Described::from(server), captured(way.served("GET /headers", &url, 200)));
    })
    .await;
}

#[tokio::test]
async fn propagation_alone_makes_no_span_and_the_servers_is_below_the_callers() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let layer = PropagationLayer::new().with_telemetry(&spans.recorder);
        let client = way.client(&layer, server.root.as_ref());
        let url = server.url("/traceparent");
        for before in [&[][..], &["old", "older"]] {
            let mut request = get(&url);
            for line in before {
                request.headers_mut().append("traceparent", line.parse().unwrap());
            }
            let cx = caller(&spans.recorder);
            let sent = text(send(&client, request).with_context(cx.clone()).await).await;
            assert_eq!(sent, traceparent(cx.span().span_context()));
            let [server] = spans.next().await;
            cx.span().end();
            let [caller] = spans.next().await;
            assert_below(&server, &caller);
            assert_eq!(Described::from(server), way.served("GET /traceparent", &url, 200));
        }
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn what_goes_on_after_a_request_is_below_the_caller_and_no_part_of_the_request() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let layer = spans.recorder.client_layer().with_span_end(end);
            let client = way.client(&layer, server.root.as_ref());
            let tracer = spans.recorder.provider.tracer("the caller's own");
            let goes_on = || {
                let (client, tracer) = (client.clone(), tracer.clone());
                let request = get(&server.url("/success"));
                async move {
                    let response = send(&client, request).await;
                    tracer.start("after the head").end();
                    text(response).await;
                    tracer.start("after the body").end();
                }
            };

            for takes_it_along in [false, true] {
                let cx = caller(&spans.recorder);
                let task = goes_on().with_context(cx.clone());
                if takes_it_along {
                    tokio::spawn(task).await.unwrap();
                } else {
                    task.await;
                }
                cx.span().end();
                let [caller, head, body, client, server] = spans.next().await;
                assert_eq!([&head.name, &body.name], ["after the head", "after the body"]);
                for child in [head, body, client.clone()] {
                    assert_below(&child, &caller);
                }
                assert_below(&server, &client);
            }

            // What is spawned has no caller any more, unless it is taken along.
            let task = async { tokio::spawn(goes_on()).await };
            task.with_context(caller(&spans.recorder)).await.unwrap();
            let [_, head, body, client, server] = spans.next().await;
            assert_below(&server, &client);
            for span in [&head, &body, &client] {
                assert_root(span);
            }
            let trace_id = |span: &SpanData| span.span_context.trace_id();
            assert_ne!(trace_id(&head), trace_id(&client));
            assert_ne!(trace_id(&body), trace_id(&client));
        }
        spans.assert_no_more();
    })
    .await;
}

fn count(span: &SpanData) -> Option<String> {
    attribute(span, "http.request.resend_count")
}

#[tokio::test]
async fn redirects_that_reqwest_follows_by_itself_are_one_span_above_all_servers() {
    for protocol in PROTOCOLS {
        let way = Way { client: Which::Reqwest, protocol };
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.reqwest(server.root.as_ref()).build().unwrap();
        let mut client = spans.recorder.client_layer().layer(client);
        for (from, rest) in [
            ("/redirect", &["/success"][..]),
            ("/another-redirect", &["/redirect", "/success"]),
            ("/to-secured", &["/secured"]),
        ] {
            let url = server.url(from);
            let request = client.get_ref().get(&url).bearer_auth("secret").build().unwrap();
            let response = client.call(request).await.unwrap();
            assert_eq!(
                (response.status(), response.url().path()),
                (StatusCode::OK, *rest.last().unwrap())
            );
            let mut ended = spans.next_of(2 + rest.len()).await;
            let client = ended.remove(0);
            assert_root(&client);
            let mut paths = vec![from];
            paths.extend(rest);
            for (served, path) in ended.into_iter().zip(&paths) {
                assert_below(&served, &client);
                let status_code = if Some(path) == paths.last() { 200 } else { 302 };
                let expected = way.served(&format!("GET {path}"), &server.url(path), status_code);
                assert_eq!(Described::from(served), expected);
            }
            assert_eq!(Described::from(client), way.asked("GET", &url, 200));
        }
        spans.assert_no_more();
    }
}

#[tokio::test]
async fn what_is_posted_and_redirected_is_sent_again_or_got_instead() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let [first, other] = ["/see-other", "/success"].map(|path| server.url(path));
        if way.client == Which::Reqwest {
            let client = way.reqwest(server.root.as_ref()).build().unwrap();
            let mut client = spans.recorder.client_layer().layer(client);
            for (path, then, answer) in [
                ("/see-other", "GET /success", "success"),
                ("/temporary-redirect", "POST /echo", "some"),
            ] {
                let url = server.url(path);
                let request = client.get_ref().post(&url).body("some").build().unwrap();
                assert_eq!(client.call(request).await.unwrap().text().await.unwrap(), answer);
                let [client, redirected, answered] = spans.next().await;
                assert_below(&redirected, &client);
                assert_below(&answered, &client);
                assert_eq!(redirected.name, format!("POST {path}"));
                assert_eq!(answered.name, then);
                assert_eq!(Described::from(client), way.asked("POST", &url, 200));
            }
        }

        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        let client = ServiceBuilder::new()
            .layer(ResendCountLayer::new())
            .layer(FollowRedirectLayer::new())
            .service(client);
        let response = client.oneshot(with_body("POST", &first, "some")).await.unwrap();
        assert_eq!(text(response).await, "success");
        let [posted, got, redirected, answered] = spans.next().await;
        assert_below(&redirected, &posted);
        assert_below(&answered, &got);
        assert_eq!(Described::from(posted), way.asked("POST", &first, 303));
        let expected = way.asked("GET", &other, 200).with("http.request.resend_count", 1);
        assert_eq!(Described::from(got), expected);
        spans.assert_no_more();
    })
    .await;
}

#[tokio::test]
async fn redirects_that_go_round_are_an_error_of_reqwest_and_of_its_one_span() {
    for protocol in PROTOCOLS {
        let way = Way { client: Which::Reqwest, protocol };
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.reqwest(server.root.as_ref()).redirect(Policy::limited(2));
        let mut client = spans.recorder.client_layer().layer(client.build().unwrap());
        let url = server.url("/circular-redirect");
        let request = client.get_ref().get(&url).build().unwrap();
        assert!(client.call(request).await.unwrap_err().is_redirect());
        let [client, servers @ ..] = spans.next::<4>().await;
        for served in servers {
            assert_below(&served, &client);
            let expected = way.served("GET /circular-redirect", &url, 302);
            assert_eq!(Described::from(served), expected);
        }
        assert_eq!(Described::from(client), sent("GET", &url).failed("redirect_error"));
        spans.assert_no_more();
    }
}

#[tokio::test]
async fn redirects_that_a_layer_follows_are_spans_side_by_side_that_are_counted() {
    each_way(async |way: Way| {
        let mut spans = Spans::new();
        let server = way.server(app(spans.recorder.layer())).await;
        let client = way.client(&spans.recorder.client_layer(), server.root.as_ref());
        for (paths, last) in [
            (&["/redirect", "/success"][..], 200),
            (&["/another-redirect", "/redirect", "/success"], 200),
            (&["/to-secured", "/secured"], 200),
            (&["/circular-redirect"; 3], 302),
        ] {
            let client = ServiceBuilder::new()
                .layer(ResendCountLayer::new())
                .layer(FollowRedirectLayer::with_policy(Limited::new(2)))
                .service(client.clone());
            let mut request = get(&server.url(paths[0]));
            request.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
            let cx = caller(&spans.recorder);
            let response = client.oneshot(request).with_context(cx.clone()).await.unwrap();
            assert_eq!(i64::from(response.status().as_u16()), last);
            let mut clients = spans.next_of(2 * paths.len()).await;
            let servers = clients.split_off(paths.len());
            cx.span().end();
            let [caller] = spans.next().await;
            for (at, ((client, served), path)) in
                clients.into_iter().zip(servers).zip(paths).enumerate()
            {
                let is_last = at + 1 == paths.len();
                let (url, status_code) = (server.url(path), if is_last { last } else { 302 });
                assert_below(&client, &caller);
                assert_below(&served, &client);
                let expected = way.served(&format!("GET {path}"), &url, status_code);
                assert_eq!(Described::from(served), expected);
                let expected = way.asked("GET", &url, status_code);
                let at = i64::try_from(at).unwrap();
                let expected = match at {
                    0 => expected,
                    _ => expected.with("http.request.resend_count", at),
                };
                assert_eq!(Described::from(client), expected);
            }
        }
        spans.assert_no_more();
    })
    .await;
}

/// A server that is busy at first.
async fn busy_at_first() -> Upstream {
    Upstream::http1([answer(503, "busy"), answer(200, "hello")]).await
}

/// Two attempts at once, of which the first has failed.
fn assert_tried_twice(recorder: &Recorder, upstream: &mut Upstream) {
    let spans = recorder.clients();
    let seen = spans.iter().map(|span| (attribute(span, "error.type"), count(span)));
    let expected = [(Some("503".to_owned()), None), (None, Some("1".to_owned()))];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    for (span, asked) in spans.iter().zip(upstream.requests()) {
        assert_eq!(lines(asked.request.headers(), "traceparent"), [traceparent_of(span)]);
    }
}

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_stack_around_reqwest_tries_again_in_time_and_counts() {
    let (recorder, mut upstream) = (Recorder::new(), busy_at_first().await);
    let client = client::local();
    let mut stack = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .timeout(A_MINUTE)
        .layer(RetryLayer::new(Again(1)))
        .layer(recorder.client_layer())
        .timeout(A_MINUTE)
        .service(client.clone());
    let request = client.post(upstream.url("/")).body("some").build().unwrap();
    let response = stack.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_tried_twice(&recorder, &mut upstream);
}

#[tokio::test]
async fn a_stack_around_hyper_utils_client_has_one_name_in_a_box() {
    type Boxed = BoxCloneSyncService<Request<()>, http::Response<reqwest::Body>, BoxError>;

    let (recorder, mut upstream) = (Recorder::new(), busy_at_first().await);
    let stack: Boxed = ServiceBuilder::new()
        .layer(BoxCloneSyncServiceLayer::new(
            ServiceBuilder::new()
                .layer(ResendCountLayer::new())
                .layer(RetryLayer::new(Again(1)))
                .map_request(|request: Request<()>| request.map(|()| Full::<Bytes>::default()))
                .map_response(|response: http::Response<_>| response.map(reqwest::Body::wrap))
                .layer(recorder.client_layer())
                .timeout(A_MINUTE),
        ))
        .service(client::legacy_http1());
    let request = Request::get(upstream.url("/")).body(()).unwrap();
    let response = stack.clone().oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_tried_twice(&recorder, &mut upstream);
}

#[tokio::test]
async fn a_client_that_is_lent_to_a_layer_is_as_good_as_one_that_is_given() {
    let (recorder, mut upstream) = (Recorder::new(), busy_at_first().await);
    let client = client::local();
    let mut lent = ServiceBuilder::new()
        .layer(ResendCountLayer::new())
        .layer(RetryLayer::new(Again(1)))
        .layer(recorder.client_layer())
        .service(&client);
    let request = client.get(upstream.url("/")).build().unwrap();
    assert_eq!(lent.call(request).await.unwrap().text().await.unwrap(), "hello");
    assert_tried_twice(&recorder, &mut upstream);
}
