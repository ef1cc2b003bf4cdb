//! The upstream of `support`, seen by clients that have no layer: it does what it says.

use std::{error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use reqwest::redirect::Policy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Barrier,
};

use crate::support::{
    body::{Script, Step},
    client,
    upstream::{Act, Asked, Gate, Reason, Upstream, answer, head, redirect, refusing},
    wire::{Wire, ask},
};

/// A GET without a body.
fn get(upstream: &Upstream, path: &str) -> Request<Empty<Bytes>> {
    Request::get(upstream.url(path)).body(Empty::new()).unwrap()
}

/// All that there is of a response.
async fn whole(response: Response<Incoming>) -> (StatusCode, Bytes) {
    let (parts, body) = response.into_parts();
    (parts.status, body.collect().await.unwrap().to_bytes())
}

/// The paths of requests, with the connections that they came on.
fn paths(requests: &[Asked]) -> Vec<(usize, &str)> {
    requests.iter().map(|asked| (asked.connection, asked.request.uri().path())).collect()
}

/// An error, and what is below it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether there is this text in what an error says, or one below it.
fn says(error: &(dyn Error + 'static), text: &str) -> bool {
    chain(error).any(|error| error.to_string().contains(text))
}

/// Whether the connection was torn. Of an error of a socket's, h2 has kept what kind it was.
fn is_reset(error: &(dyn Error + 'static)) -> bool {
    says(error, "Connection reset") || says(error, "connection reset")
}

/// Two chunks, in between of which the test opens the gate.
fn in_two(headers: &[(&'static str, &str)], gate: &Gate, then: &[Act]) -> Vec<Act> {
    let mut script = vec![head(200, headers), Act::Data("first".into()), Act::Wait(gate.clone())];
    script.extend_from_slice(then);
    script
}

/// Reads what is there before the gate, opens it, and gives what comes then.
async fn rest(mut response: reqwest::Response, gate: &Gate) -> reqwest::Result<Option<Bytes>> {
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
    gate.open();
    response.chunk().await
}

#[tokio::test]
async fn scripts_are_played_in_order_and_requests_are_told_with_every_line() {
    let script = [
        head(200, &[("x-a", "1"), ("x-a", "2"), ("content-length", "5")]),
        Act::Data("hello".into()),
        Act::End,
    ];
    let mut upstream =
        Upstream::http1([script.to_vec(), answer(404, "none"), answer(200, "")]).await;
    let client = client::legacy_http1();
    let request = Request::put(upstream.url("/a/b?c=d"))
        .header("x-b", "1")
        .header("x-c", "")
        .header("x-b", "2")
        .body(Full::<Bytes>::from("some"))
        .unwrap();
    let response = client.request(request.clone()).await.unwrap();
    let lines: Vec<_> = response.headers().get_all("x-a").iter().collect();
    assert_eq!(lines, ["1", "2"]);
    assert_eq!(whole(response).await, (StatusCode::OK, "hello".into()));

    let Asked { connection, request: asked } = upstream.request().await;
    assert_eq!((connection, asked.method().as_str()), (0, "PUT"));
    assert_eq!((asked.uri().to_string().as_str(), asked.version()), ("/a/b?c=d", Version::HTTP_11));
    assert_eq!(asked.headers().get_all("x-b").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(asked.headers()["x-c"], "");
    assert_eq!(asked.body(), "some");
    for status_code in [404, 200, 200] {
        let response = client.request(request.clone()).await.unwrap();
        assert_eq!(response.status(), status_code);
        whole(response).await;
    }
    assert_eq!(paths(&upstream.requests()), [(0, "/a/b"); 3]);
    assert!(upstream.requests().is_empty());
    let mut request = request;
    *request.version_mut() = Version::HTTP_10;
    client.request(request).await.unwrap();
    assert_eq!(upstream.request().await.request.version(), Version::HTTP_10);
}

#[tokio::test]
async fn chunks_are_understood_and_sent_and_a_trailer_comes_last() {
    let script = [
        head(200, &[]),
        Act::Data("abc".into()),
        Act::Data(Bytes::new()),
        Act::Data("defg".into()),
    ];
    let [mut ends, mut has_trailer] = [script.to_vec(), script.to_vec()];
    ends.push(Act::End);
    has_trailer.push(Act::Trailer("x-sum", "42"));
    let mut upstream = Upstream::http1([has_trailer, ends]).await;
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "43".parse().unwrap())]);
    let client = client::legacy_http1();
    for sum in [Some("42"), None] {
        let steps = [Step::Data("12345"), Step::Pending, Step::Data("6")];
        let body = Script::new(steps.into_iter().chain([Step::Trailers(trailers.clone())]));
        let request = Request::post(upstream.url("/")).header("trailer", "x-sum").body(body);
        let response = client.request(request.unwrap()).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        let trailer = body.trailers().map(|trailers| trailers["x-sum"].to_str().unwrap());
        assert_eq!(trailer, sum);
        assert_eq!(body.to_bytes(), "abcdefg");
        let asked = upstream.request().await;
        assert_eq!((asked.connection, asked.request.into_body()), (0, "123456".into()));
    }
}

#[tokio::test]
async fn a_head_and_a_body_wait_until_they_are_told() {
    let (before, between) = (Gate::new(), Gate::new());
    let mut script = vec![Act::Wait(before.clone())];
    script.extend(in_two(&[], &between, &[Act::Data("last".into()), Act::End]));
    let mut upstream = Upstream::http1([script]).await;
    let response = tokio::spawn(client::local().get(upstream.url("/")).send());
    upstream.request().await;
    assert!(!response.is_finished());
    before.open();
    let response = response.await.unwrap().unwrap();
    assert_eq!(rest(response, &between).await.unwrap().unwrap(), "last");
}

#[tokio::test]
async fn a_connection_closes_or_is_torn_before_it_is_asked() {
    let mut upstream = Upstream::http1([
        vec![Act::AtOnce, Act::Close],
        vec![Act::AtOnce, Act::Reset],
        answer(200, "back"),
    ])
    .await;
    let mut wire = Wire::connect_to(upstream.address).await;
    assert_eq!(wire.0.read(&mut [0]).await.unwrap(), 0);
    let mut wire = Wire::connect_to(upstream.address).await;
    let error = wire.0.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let response = client::local().get(upstream.url("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "back");
    assert_eq!(paths(&upstream.requests()), [(0, "/")]);

    for act in [Act::Close, Act::Reset] {
        let mut upstream = Upstream::http1([vec![Act::AtOnce, act]]).await;
        let error = client::local().get(upstream.url("/")).send().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert!(upstream.requests().is_empty());
    }
}

#[tokio::test]
async fn a_connection_closes_or_is_torn_instead_of_an_answer() {
    let half = Act::Raw("HTTP/1.1 200 OK\r\nx-a: 1\r\nx-");
    for (script, reset) in [
        (vec![Act::Close], false),
        (vec![half.clone(), Act::Close], false),
        (vec![Act::Reset], true),
        (vec![half, Act::Reset], true),
    ] {
        let mut upstream = Upstream::http1([script]).await;
        let error = client::local().get(upstream.url("/")).send().await.unwrap_err();
        assert!(error.is_request() && !error.is_connect(), "{error:?}");
        assert_eq!(is_reset(&error), reset, "{error:?}");
        assert_eq!(paths(&upstream.requests()), [(0, "/")]);
    }
}

#[tokio::test]
async fn half_a_head_is_half_a_head() {
    let upstream = Upstream::http1([vec![Act::Raw("HTTP/1.1 200 O"), Act::Close]]).await;
    let mut wire = Wire::connect_to(upstream.address).await;
    wire.send(ask("/")).await;
    assert_eq!(wire.rest().await, "HTTP/1.1 200 O");
}

#[tokio::test]
async fn chunks_without_a_last_one_are_just_that() {
    let script = vec![head(200, &[]), Act::Data("hello".into()), Act::Close];
    let upstream = Upstream::http1([script]).await;
    let mut wire = Wire::connect_to(upstream.address).await;
    wire.send(ask("/")).await;
    let answer = "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(wire.rest().await, answer);
}

#[tokio::test]
async fn a_body_breaks_off() {
    let length: &[_] = &[("content-length", "10")];
    let until_close: &[_] = &[("connection", "close")];
    for headers in [length, &[], until_close] {
        for (act, reset) in [(Act::Close, false), (Act::Reset, true)] {
            let gate = Gate::new();
            let upstream = Upstream::http1([in_two(headers, &gate, &[act])]).await;
            let response = client::local().get(upstream.url("/")).send().await.unwrap();
            match rest(response, &gate).await {
                // What ends with the connection has ended.
                Ok(rest) => assert!(headers == until_close && !reset && rest.is_none()),
                Err(error) => {
                    assert!(error.is_body() || error.is_decode(), "{error:?}");
                    assert_eq!(is_reset(&error), reset, "{error:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_kept_connection_closes_after_an_answer() {
    let mut closes = answer(200, "bye");
    closes.push(Act::Close);
    let mut upstream = Upstream::http1([closes, answer(200, "hello")]).await;
    let mut wire = Wire::connect_to(upstream.address).await;
    assert_eq!(wire.exchange(ask("/a")).await.body, "bye");
    assert_eq!(wire.rest().await, "");
    let mut wire = Wire::connect_to(upstream.address).await;
    for path in ["/b", "/c"] {
        assert_eq!(wire.exchange(ask(path)).await.body, "hello");
    }
    assert_eq!(paths(&upstream.requests()), [(0, "/a"), (1, "/b"), (1, "/c")]);
}

#[tokio::test]
async fn heads_that_are_not_the_last_come_first() {
    let mut script = vec![head(100, &[]), head(103, &[("link", "</style.css>")])];
    script.extend(answer(200, "hello"));
    let upstream = Upstream::http1([script.clone()]).await;
    let mut wire = Wire::connect_to(upstream.address).await;
    wire.send(ask("/")).await;
    let heads = [wire.head().await, wire.head().await, wire.reply().await];
    assert_eq!(heads.each_ref().map(|head| head.status_code), [100, 103, 200]);
    assert_eq!((heads[1].header("link"), heads[2].body.as_str()), (Some("</style.css>"), "hello"));
    for (upstream, client) in [
        (upstream, client::builder()),
        (Upstream::http2([script]).await, client::builder().http2_prior_knowledge()),
    ] {
        let response = client.build().unwrap().get(upstream.url("/")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn an_upgraded_connection_echoes() {
    let upgrade = head(101, &[("connection", "upgrade"), ("upgrade", "echo")]);
    let upstream = Upstream::http1([vec![upgrade, Act::Echo]]).await;
    let request = client::local().get(upstream.url("/")).header("connection", "upgrade");
    let response = request.header("upgrade", "echo").send().await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "echo");
    let mut upgraded = response.upgrade().await.unwrap();
    upgraded.write_all(b"ping").await.unwrap();
    let mut four = [0; 4];
    upgraded.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"ping");
    upgraded.shutdown().await.unwrap();
    assert_eq!(upgraded.read(&mut four).await.unwrap(), 0);
}

#[tokio::test]
async fn garbage_is_no_answer() {
    for script in [vec![Act::Raw("SSH-2.0-x\r\n")], vec![Act::AtOnce, Act::Raw("\0\0\0\0")]] {
        for upstream in
            [Upstream::http1([script.clone()]).await, Upstream::http2([script.clone()]).await]
        {
            let client = client::legacy_http1();
            let error = client.request(get(&upstream, "/")).await.unwrap_err();
            assert!(!error.is_connect(), "{error:?}");
        }
    }
}

#[tokio::test]
async fn redirects_lead_on_in_a_circle_or_to_another_server() {
    let mut other = Upstream::http1([answer(200, "there")]).await;
    let mut upstream = Upstream::http1([
        redirect(302, "/b"),
        redirect(307, "/c"),
        redirect(308, &other.url("/d")),
        redirect(302, "/a"),
    ])
    .await;
    let client = client::local();
    let response = client.post(upstream.url("/a")).body("some").send().await.unwrap();
    assert_eq!(response.url().as_str(), other.url("/d"));
    assert_eq!(response.text().await.unwrap(), "there");
    assert_eq!(paths(&upstream.requests()), [(0, "/a"), (0, "/b"), (0, "/c")]);
    assert_eq!(paths(&other.requests()), [(0, "/d")]);

    let error = client.get(upstream.url("/a")).send().await.unwrap_err();
    assert!(error.is_redirect(), "{error:?}");
    assert_eq!(upstream.requests().len(), 11);
    let client = client::builder().redirect(Policy::none()).build().unwrap();
    assert_eq!(client.get(upstream.url("/a")).send().await.unwrap().status(), 302);
}

#[tokio::test]
async fn the_body_of_a_307_comes_twice() {
    let mut upstream = Upstream::http1([redirect(307, "/b"), answer(200, "")]).await;
    client::local().post(upstream.url("/a")).body("some").send().await.unwrap();
    let requests = upstream.requests();
    assert_eq!(paths(&requests), [(0, "/a"), (0, "/b")]);
    assert!(requests.iter().all(|asked| asked.request.body() == "some"));
}

#[tokio::test]
async fn who_is_never_answered_waits_until_his_time_is_up() {
    for (mut upstream, client) in [
        (Upstream::http1([vec![Act::Hang]]).await, client::builder()),
        (Upstream::http2([vec![Act::Hang]]).await, client::builder().http2_prior_knowledge()),
    ] {
        let client = client.timeout(Duration::from_secs(60)).build().unwrap();
        let response = tokio::spawn(client.get(upstream.url("/")).send());
        upstream.request().await;
        // Nothing is left to happen, so the clock goes on at once.
        tokio::time::pause();
        assert!(response.await.unwrap().unwrap_err().is_timeout());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn where_nobody_listens_connections_are_refused() {
    let (_socket, address) = refusing();
    let error = client::local().get(format!("http://{address}/")).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn http2_has_answers_trailers_and_every_line_of_a_header() {
    let long = "x".repeat(300);
    let script = vec![
        head(200, &[("x-a", "1"), ("x-a", "2"), ("x-long", &long)]),
        Act::Data("y".repeat(20_000).into()),
        Act::Data("last".into()),
        Act::Trailer("x-sum", "42"),
    ];
    let mut upstream = Upstream::http2([script, answer(204, "")]).await;
    let client = client::legacy_http2();
    let request = Request::put(upstream.url("/a?b=c"))
        .header("x-b", "1")
        .header("x-b", "2")
        .body(Full::<Bytes>::from("some"))
        .unwrap();
    let response = client.request(request.clone()).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let lines: Vec<_> = response.headers().get_all("x-a").iter().collect();
    assert_eq!(lines, ["1", "2"]);
    assert_eq!(response.headers()["x-long"], long);
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "42");
    assert_eq!(body.to_bytes(), "y".repeat(20_000) + "last");

    let Asked { connection, request: asked } = upstream.request().await;
    assert_eq!((connection, asked.method().as_str()), (0, "PUT"));
    assert_eq!(
        (asked.uri().to_string(), asked.version()),
        (upstream.url("/a?b=c"), Version::HTTP_2)
    );
    assert_eq!(asked.headers().get_all("x-b").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(asked.body(), "some");
    assert_eq!(client.request(request).await.unwrap().status(), 204);
    assert_eq!(paths(&upstream.requests()), [(0, "/a")]);
}

#[tokio::test]
async fn requests_meet_on_one_connection_and_leave_it_when_they_are_told() {
    let gate = Gate::new();
    let mut meets = vec![Act::Meet(Arc::new(Barrier::new(300))), Act::Wait(gate.clone())];
    meets.extend(answer(200, "met"));
    let mut upstream = Upstream::http2([answer(200, "first"), meets]).await;
    let client = client::legacy_http2();
    assert_eq!(whole(client.request(get(&upstream, "/")).await.unwrap()).await.1, "first");
    upstream.request().await;
    let requests: Vec<_> =
        (0..300).map(|_| tokio::spawn(client.request(get(&upstream, "/")))).collect();
    for _ in 0..300 {
        assert_eq!(upstream.request().await.connection, 0);
    }
    assert!(requests.iter().all(|request| !request.is_finished()));
    gate.open();
    for request in requests {
        assert_eq!(whole(request.await.unwrap().unwrap()).await.1, "met");
    }
}

#[tokio::test]
async fn requests_meet_on_connections_of_their_own() {
    let mut meets = vec![Act::Meet(Arc::new(Barrier::new(20)))];
    meets.extend(answer(200, "met"));
    let mut upstream = Upstream::http1([meets]).await;
    let client = client::local();
    let requests = (0..20).map(|_| tokio::spawn(client.get(upstream.url("/")).send()));
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "met");
    }
    let mut connections: Vec<_> =
        upstream.requests().into_iter().map(|asked| asked.connection).collect();
    connections.sort_unstable();
    assert_eq!(connections, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn streams_are_reset_and_the_connection_stays() {
    let gate = Gate::new();
    let mut upstream = Upstream::http2([
        vec![Act::RstStream(Reason::RefusedStream)],
        vec![Act::RstStream(Reason::InternalError)],
        in_two(&[], &gate, &[Act::RstStream(Reason::InternalError)]),
        vec![Act::RstStream(Reason::RefusedStream)],
        answer(200, "hello"),
    ])
    .await;
    let client = client::legacy_http2();
    for text in ["refused stream", "internal error"] {
        let error = client.request(get(&upstream, "/")).await.unwrap_err();
        assert!(says(&error, text), "{error:?}");
    }
    let response = client.request(get(&upstream, "/")).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    gate.open();
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(says(&error, "internal error"), "{error:?}");
    assert_eq!(paths(&upstream.requests()), [(0, "/"); 3]);

    // reqwest asks again by itself, since a refused stream was never begun.
    let client = client::builder().http2_prior_knowledge().build().unwrap();
    let response = client.get(upstream.url("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(paths(&upstream.requests()), [(1, "/"); 2]);
}

#[tokio::test]
async fn a_goodbye_is_for_streams_that_come_later_or_for_all() {
    let mut later = vec![Act::GoAway { last: 1, reason: Reason::NoError }];
    later.extend(answer(200, "bye"));
    let all = vec![Act::GoAway { last: 0, reason: Reason::InternalError }];
    let mut upstream = Upstream::http2([later, all, answer(200, "hello")]).await;
    let client = client::legacy_http2();
    let response = client.request(get(&upstream, "/")).await.unwrap();
    assert_eq!(whole(response).await.1, "bye");
    let error = client.request(get(&upstream, "/")).await.unwrap_err();
    assert!(says(&error, "internal error"), "{error:?}");
    let response = client.request(get(&upstream, "/")).await.unwrap();
    assert_eq!(whole(response).await.1, "hello");
    assert_eq!(paths(&upstream.requests()), [(0, "/"), (1, "/"), (2, "/")]);
}

#[tokio::test]
async fn a_connection_closes_or_is_torn_below_its_streams() {
    for (act, reset) in [(Act::Close, false), (Act::Reset, true)] {
        let gate = Gate::new();
        let mut upstream = Upstream::http2([
            vec![Act::AtOnce, act.clone()],
            vec![act.clone()],
            in_two(&[], &gate, &[act]),
        ])
        .await;
        let client = client::builder().http2_prior_knowledge().build().unwrap();
        for asked in [0, 1] {
            let error = client.get(upstream.url("/")).send().await.unwrap_err();
            assert!(error.is_request() && !error.is_timeout(), "{error:?}");
            assert_eq!(upstream.requests().len(), asked);
        }
        let response = client.get(upstream.url("/")).send().await.unwrap();
        let error = rest(response, &gate).await.unwrap_err();
        assert_eq!(is_reset(&error), reset, "{error:?}");
    }
}

#[tokio::test]
async fn over_tls_it_speaks_what_is_agreed_on() {
    for (alpn, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2"], Version::HTTP_2),
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&[], Version::HTTP_11),
    ] {
        let mut upstream = Upstream::tls(alpn, [answer(200, "secret")]).await;
        let root = upstream.root.clone().unwrap();
        let client = client::trusting(&root).build().unwrap();
        let by_name = upstream.url("/").replace("127.0.0.1", "localhost");
        for url in [upstream.url("/"), by_name] {
            let response = client.get(url).send().await.unwrap();
            assert_eq!(response.version(), version);
            assert_eq!(response.text().await.unwrap(), "secret");
        }
        let client = client::legacy_tls(&root);
        let response = client.request(get(&upstream, "/")).await.unwrap();
        assert_eq!(whole(response).await.1, "secret");
        let requests = upstream.requests();
        assert_eq!(paths(&requests), [(0, "/"), (1, "/"), (2, "/")]);
        assert!(requests.iter().all(|asked| asked.request.version() == version));
    }
}

#[tokio::test]
async fn a_client_has_a_protocol_of_its_own_to_agree_on() {
    let upstream = Upstream::tls(&["h2", "http/1.1"], [answer(200, "")]).await;
    let trusting = || client::trusting(upstream.root.as_ref().unwrap());
    for (client, version) in [
        (trusting().http1_only(), Version::HTTP_11),
        (trusting().http2_prior_knowledge(), Version::HTTP_2),
    ] {
        let response = client.build().unwrap().get(upstream.url("/")).send().await.unwrap();
        assert_eq!(response.version(), version);
    }
}

#[tokio::test]
async fn who_trusts_another_root_gets_no_connection() {
    let mut upstream = Upstream::tls(&["h2"], [answer(200, "secret")]).await;
    let other = Upstream::tls(&[], [answer(200, "")]).await;
    let client = client::trusting(other.root.as_ref().unwrap()).build().unwrap();
    let error = client.get(upstream.url("/")).send().await.unwrap_err();
    assert!(error.is_connect() && says(&error, "certificate"), "{error:?}");
    // Neither does who speaks TLS to what does not.
    let plain = Upstream::http1([vec![Act::AtOnce, Act::Raw("hello, who is there?")]]).await;
    let url = plain.url("/").replace("http:", "https:");
    assert!(client.get(url).send().await.unwrap_err().is_connect());

    let client = client::trusting(upstream.root.as_ref().unwrap()).build().unwrap();
    assert_eq!(client.get(upstream.url("/")).send().await.unwrap().status(), 200);
    assert_eq!(paths(&upstream.requests()), [(0, "/")]);
}

#[tokio::test]
async fn what_breaks_off_breaks_off_over_tls_too() {
    for alpn in ["http/1.1", "h2"] {
        for (act, reset) in [(Act::Close, false), (Act::Reset, true)] {
            let gate = Gate::new();
            let scripts = [in_two(&[("content-length", "10")], &gate, &[act])];
            let upstream = Upstream::tls(&[alpn], scripts).await;
            let client = client::trusting(upstream.root.as_ref().unwrap()).build().unwrap();
            let response = client.get(upstream.url("/")).send().await.unwrap();
            let error = rest(response, &gate).await.unwrap_err();
            assert_eq!(is_reset(&error), reset, "{error:?}");
        }
    }
    let upstream = Upstream::tls(&["h2"], [vec![Act::RstStream(Reason::InternalError)]]).await;
    let client = client::trusting(upstream.root.as_ref().unwrap()).build().unwrap();
    let error = client.get(upstream.url("/")).send().await.unwrap_err();
    assert!(says(&error, "internal error"), "{error:?}");
}
