//! What a client's span says of real failures, under hyper-util's client and under reqwest's.
//!
//! The words are held to the docs, `src/client/failure/words.md`, and the docs to them.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    error::Error,
    fmt,
    future::ready,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, LocalBoxFuture},
    stream,
};
use http::{Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{
            Connect, HttpConnector,
            proxy::{SocksV5, Tunnel},
        },
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::timeout::ResponseBodyTimeoutLayer;
use tower_telemetry::client::{ClientTrace, SpanEnd};

use crate::support::{
    client,
    recorder::{Described, Recorder},
    tls::Clients,
    upstream::{Act, Gate, Reason, Upstream, answer, head, redirect, refusing},
};

// Words that more than one row has.
const TIMEOUT: &str = "timeout";
const RESET: &str = "connection_reset";
const SECURE: &str = "secure_connection_error";
const PROXY: &str = "proxy_tunnel_error";
const CONNECTION: &str = "connection_error";
const CLOSED: &str = "connection_closed";
const ENDED: &str = "response_ended";
const NO_HTTP: &str = "invalid_response";
const PROTOCOL: &str = "http_protocol_error";
const DECODE: &str = "decode_error";
const BODY: &str = "response_body_error";
const REQUEST: &str = "invalid_request";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Http1,
    Http2,
    Tls1,
    Tls2,
}

use Over::{Http1, Http2, Tls1, Tls2};

const HTTP1: &[Over] = &[Http1, Tls1];
const HTTP2: &[Over] = &[Http2, Tls2];
const TLS: &[Over] = &[Tls1, Tls2];
const ALL: &[Over] = &[Http1, Http2, Tls1, Tls2];

/// The server of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    /// Speaks what the client does, and is trusted.
    Fitting,
    /// Speaks HTTP/1.1 without TLS.
    Plain,
    Untrusted,
    /// Is trusted, as somebody else.
    Misnamed,
    /// Is trusted, and does not trust.
    Strict,
}

/// How far it gets, which is on the span.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Nothing,
    /// There is a peer.
    Connecting,
    /// There is a head, too: a 200. With [`SpanEnd::Head`] that is where the span has ended.
    Head,
}

/// What an upstream does, and what comes of it under both clients.
struct Scripted {
    what: &'static str,
    over: &'static [Over],
    server: Server,
    script: fn(Gate) -> Vec<Act>,
    after: After,
    word: &'static str,
}

/// The request has been sent.
const fn sent(
    over: &'static [Over],
    what: &'static str,
    script: fn(Gate) -> Vec<Act>,
    word: &'static str,
) -> Scripted {
    Scripted { what, over, server: Server::Fitting, script, after: After::Connecting, word }
}

/// The head has been read, which opens the gate.
const fn read(
    over: &'static [Over],
    what: &'static str,
    script: fn(Gate) -> Vec<Act>,
    word: &'static str,
) -> Scripted {
    Scripted { after: After::Head, ..sent(over, what, script, word) }
}

/// TLS is not agreed upon.
const fn shaken(
    server: Server,
    what: &'static str,
    script: fn(Gate) -> Vec<Act>,
    word: &'static str,
) -> Scripted {
    Scripted { server, after: After::Nothing, ..sent(TLS, what, script, word) }
}

/// A body of which there is something, up to the gate.
fn begun(headers: &[(&'static str, &str)], gate: Gate, then: Act) -> Vec<Act> {
    vec![head(200, headers), Act::Data("ab".into()), Act::Wait(gate), then]
}

const GZIP: &[(&str, &str)] = &[("content-encoding", "gzip")];
const FIVE: &[(&str, &str)] = &[("content-length", "5")];
const UNTIL_CLOSE: &[(&str, &str)] = &[("connection", "close")];
const GARBAGE: Act = Act::Raw("220 mail.example ESMTP\r\n\r\n");
/// More than there are numbers for, as a chunk's size.
const HUGE: Act = Act::Raw("fffffffffffffffff\r\n");
const HALF_A_HEAD: Act = Act::Raw("HTTP/1.1 200 OK\r\ncontent-le");
const SETTINGS: Act = Act::Raw("\0\0\0\x04\0\0\0\0\0");
const REFUSED: Act = Act::RstStream(Reason::RefusedStream);
const FAILED: Act = Act::RstStream(Reason::InternalError);
const GOAWAY: Act = Act::GoAway { last: 0, reason: Reason::InternalError };
const GOAWAY_POLITELY: Act = Act::GoAway { last: 0, reason: Reason::NoError };
/// It says a text that timeouts are known by.
const GOAWAY_THAT_LIES: Act = Act::Raw("\0\0\x19\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01request timed out");

const SCRIPTED: &[Scripted] = &[
    sent(ALL, "closes", |_| vec![Act::Close], ENDED),
    sent(ALL, "resets", |_| vec![Act::Reset], RESET),
    sent(TLS, "closes below TLS", |_| vec![Act::Cut], ENDED),
    sent(HTTP1, "closes in the head", |_| vec![HALF_A_HEAD, Act::Close], ENDED),
    sent(HTTP1, "resets in the head", |_| vec![HALF_A_HEAD, Act::Reset], RESET),
    sent(HTTP1, "is no HTTP", |_| vec![GARBAGE], NO_HTTP),
    sent(HTTP1, "bad length", |_| vec![head(200, &[("content-length", "x")])], NO_HTTP),
    sent(HTTP2, "is no HTTP", |_| vec![GARBAGE], PROTOCOL),
    sent(HTTP2, "refuses the stream", |_| vec![REFUSED], PROTOCOL),
    sent(HTTP2, "resets the stream", |_| vec![FAILED], PROTOCOL),
    sent(HTTP2, "gives up", |_| vec![GOAWAY], PROTOCOL),
    sent(HTTP2, "gives up politely", |_| vec![GOAWAY_POLITELY], PROTOCOL),
    sent(HTTP2, "gives up and lies", |_| vec![GOAWAY_THAT_LIES], PROTOCOL),
    Scripted {
        server: Server::Plain,
        ..sent(&[Http2], "answers over HTTP/1.1", |_| answer(400, ""), PROTOCOL)
    },
    read(ALL, "closes before the length", |gate| begun(FIVE, gate, Act::Close), ENDED),
    read(ALL, "resets before the length", |gate| begun(FIVE, gate, Act::Reset), RESET),
    read(ALL, "closes between chunks", |gate| begun(&[], gate, Act::Close), ENDED),
    read(ALL, "resets between chunks", |gate| begun(&[], gate, Act::Reset), RESET),
    read(HTTP1, "resets instead of closing", |gate| begun(UNTIL_CLOSE, gate, Act::Reset), RESET),
    read(TLS, "closes below TLS in the body", |gate| begun(FIVE, gate, Act::Cut), ENDED),
    read(HTTP1, "bad size of a chunk", |gate| begun(&[], gate, Act::Raw("5!\r\n")), NO_HTTP),
    read(HTTP1, "huge size of a chunk", |gate| begun(&[], gate, HUGE), NO_HTTP),
    read(HTTP1, "bad end of a chunk", |gate| begun(&[], gate, Act::Raw("1\r\nabc")), NO_HTTP),
    read(HTTP2, "resets the stream in the body", |gate| begun(&[], gate, FAILED), PROTOCOL),
    read(HTTP2, "gives up in the body", |gate| begun(&[], gate, GOAWAY), PROTOCOL),
    // With TLS 1.3 the client hears of it after it has sent the request.
    Scripted { server: Server::Strict, ..sent(TLS, "wants a certificate", |_| vec![], SECURE) },
    shaken(Server::Untrusted, "is not trusted", |_| vec![], SECURE),
    shaken(Server::Misnamed, "has another name", |_| vec![], SECURE),
    shaken(Server::Plain, "speaks no TLS", |_| vec![Act::AtOnce, GARBAGE, Act::Close], SECURE),
    shaken(Server::Plain, "closes in the handshake", |_| vec![Act::AtOnce, Act::Close], SECURE),
    shaken(Server::Plain, "resets in the handshake", |_| vec![Act::AtOnce, Act::Reset], RESET),
];

/// Whether a request is sent before the client sees what becomes of the connection is not for a
/// test to say. One word is of the one case, one of the other.
struct AtOnce {
    over: &'static [Over],
    act: Act,
    words: &'static [&'static str],
}

const AT_ONCE: &[AtOnce] = &[
    AtOnce { over: ALL, act: Act::Close, words: &[ENDED, CLOSED] },
    // To h2 a connection that cannot be written to is one that has ended.
    AtOnce { over: ALL, act: Act::Reset, words: &[RESET, ENDED, CLOSED] },
    AtOnce { over: HTTP1, act: GARBAGE, words: &[NO_HTTP, CLOSED] },
    AtOnce { over: HTTP2, act: GARBAGE, words: &[PROTOCOL, CLOSED] },
];

/// What needs more than a script, or none.
struct Case {
    what: &'static str,
    word: &'static str,
    play: fn() -> Played,
}

/// Every span that comes of it, and what that is but for the failure.
type Played = LocalBoxFuture<'static, Vec<(Described, Described)>>;

const fn case(what: &'static str, word: &'static str, play: fn() -> Played) -> Case {
    Case { what, word, play }
}

/// What prevents that there is a connection, and so a peer.
const CONNECTING: &[Case] = &[
    case("nobody listens", "connection_refused", || {
        Box::pin(async {
            let (_socket, address) = refusing();
            to(&address.to_string()).await
        })
    }),
    case("nobody has the name", "name_resolution_error", || {
        Box::pin(async { to("nowhere.invalid").await })
    }),
    // Without a tunnel the proxy is whom there is to connect to.
    case("nobody listens where the proxy is", "connection_refused", || {
        Box::pin(async {
            let (_socket, address) = refusing();
            let proxy = reqwest::Proxy::all(format!("http://{address}")).unwrap();
            let client = client::builder().proxy(proxy).build().unwrap();
            vec![(span_of(client, reqwest_get(PLAIN_URL)).await, asked(PLAIN_URL))]
        })
    }),
    // That one is there for documentation, and no machine's.
    case("not from that address", "addr_not_available", || {
        let from = "192.0.2.1".parse().unwrap();
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(from));
        let reqwest = client::builder().local_address(from).build().unwrap();
        Box::pin(under_both(connecting(connector), reqwest, "http://127.0.0.1/"))
    }),
];

/// The clock stands still, until there is nothing left to happen but what it is waited for.
const TIMEOUTS: &[Case] = &[
    case("tower's", TIMEOUT, || {
        Box::pin(async {
            let inside = ServiceBuilder::new().timeout(MINUTE);
            let upstream = &mut hanging().await;
            vec![
                unanswered(upstream, inside.clone().service(Http1.legacy(None)), get).await,
                unanswered(upstream, inside.service(Http1.reqwest(None)), reqwest_get).await,
            ]
        })
    }),
    case("tokio's", TIMEOUT, || {
        Box::pin(async {
            let client = Http1.legacy(None);
            let service = service_fn(|request| {
                let response = tokio::time::timeout(MINUTE, client.clone().oneshot(request));
                async { Ok::<_, BoxError>(response.await??) }
            });
            vec![unanswered(&mut hanging().await, service, get).await]
        })
    }),
    case("tower-http's, of the body", TIMEOUT, || {
        Box::pin(async {
            let service = ServiceBuilder::new()
                .layer(ResponseBodyTimeoutLayer::new(MINUTE))
                .service(Http1.legacy(None));
            vec![half_answered(service, get).await]
        })
    }),
    case("reqwest's", TIMEOUT, || {
        Box::pin(async {
            let client = client::builder().timeout(MINUTE).build().unwrap();
            vec![
                unanswered(&mut hanging().await, client.clone(), reqwest_get).await,
                half_answered(client, reqwest_get).await,
            ]
        })
    }),
    case("reqwest's, of reading", TIMEOUT, || {
        Box::pin(async {
            let client = client::builder().read_timeout(MINUTE).build().unwrap();
            vec![
                unanswered(&mut hanging().await, client.clone(), reqwest_get).await,
                half_answered(client, reqwest_get).await,
            ]
        })
    }),
    // While it waits for the other side of TLS, it is still connecting.
    case("reqwest's, of connecting", TIMEOUT, || {
        Box::pin(async {
            let upstream = Upstream::http1([vec![Act::AtOnce, Act::Hang]]).await;
            let client = client::trusting(&somebody().await).connect_timeout(MINUTE);
            let url = format!("https://{}/", upstream.address);
            tokio::time::pause();
            let span = span_of(client.build().unwrap(), reqwest_get(&url)).await;
            tokio::time::resume();
            vec![(span, asked(&url))]
        })
    }),
    case("that of a connection to a proxy", TIMEOUT, || {
        let timed_out = || io::Error::from(ErrorKind::TimedOut);
        let connector = service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(timed_out())));
        let legacy = connecting(Tunnel::new(Uri::from_static(PLAIN_URL), connector));
        Box::pin(async { vec![(span_of(legacy, get(TLS_URL)).await, asked(TLS_URL))] })
    }),
    case("a ping that is not answered", TIMEOUT, || {
        Box::pin(async {
            let upstream = Upstream::http1([vec![Act::AtOnce, SETTINGS, Act::Hang]]).await;
            let legacy = Client::builder(TokioExecutor::new())
                .http2_only(true)
                .timer(TokioTimer::new())
                .http2_keep_alive_interval(MINUTE)
                .build_http();
            let reqwest = client::builder()
                .http2_prior_knowledge()
                .http2_keep_alive_interval(MINUTE)
                .build()
                .unwrap();
            tokio::time::pause();
            let played = under_both(Legacy::new(legacy), reqwest, &upstream.url("/")).await;
            tokio::time::resume();
            let peer = upstream.address;
            played.into_iter().map(|(span, expected)| (span, with_peer(expected, peer))).collect()
        })
    }),
];

/// What a proxy does for whom a tunnel is asked. It is nobody's peer.
const PROXIES: &[Case] = &[
    case("is not there", PROXY, || {
        Box::pin(async {
            let (_socket, address) = refusing();
            through(&address.to_string()).await
        })
    }),
    case("cannot be found", PROXY, || Box::pin(async { through("nowhere.invalid").await })),
    case("does not want to", PROXY, || {
        Box::pin(async {
            let upstream = Upstream::http1([answer(403, "")]).await;
            through(&upstream.address.to_string()).await
        })
    }),
    case("speaks no SOCKS", PROXY, || {
        Box::pin(async {
            let upstream = Upstream::http1([vec![Act::AtOnce, GARBAGE]]).await;
            let proxy = upstream.url("/").parse().unwrap();
            let legacy = connecting(SocksV5::new(proxy, HttpConnector::new()));
            vec![(span_of(legacy, get(PLAIN_URL)).await, asked(PLAIN_URL))]
        })
    }),
];

/// What is wrong with a request.
const REQUESTS: &[Case] = &[
    case("to nobody", REQUEST, || {
        let keys = [("http.request.method", "GET".into()), ("url.full", "/path".into())];
        under_hyper_util(get("/path"), Described::client("GET", keys))
    }),
    case("in a version that nobody speaks", REQUEST, || {
        let mut request = get(PLAIN_URL);
        *request.version_mut() = Version::HTTP_09;
        under_hyper_util(request, asked(PLAIN_URL))
    }),
    case("in a version that the connection does not speak", REQUEST, || {
        Box::pin(async {
            let upstream = Upstream::http1([answer(200, "")]).await;
            let url = upstream.url("/");
            let mut request = get(&url);
            *request.version_mut() = Version::HTTP_2;
            let expected = with_peer(asked(&url), upstream.address);
            vec![(span_of(Http1.legacy(None), request).await, expected)]
        })
    }),
    case("CONNECT over HTTP/1.0", REQUEST, || {
        let mut request = get(PLAIN_URL);
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_10;
        under_hyper_util(request, as_method("CONNECT", asked(PLAIN_URL)))
    }),
    case("for what is not HTTP's", REQUEST, || {
        Box::pin(async {
            let (url, root) = ("ftp://a.invalid/", somebody().await);
            let expected = || asked(url).without("server.port");
            vec![
                (span_of(Http1.legacy(None), get(url)).await, expected()),
                (span_of(Tls1.legacy(Some(&root)), get(url)).await, expected()),
                (span_of(client::local(), reqwest_get(url)).await, expected()),
            ]
        })
    }),
    case("over TLS, to a client that has none", REQUEST, || {
        under_hyper_util(get(TLS_URL), asked(TLS_URL))
    }),
    case("to what is no name to TLS", REQUEST, || {
        Box::pin(async {
            let url = "https://a_b..c/";
            vec![(span_of(Tls1.legacy(Some(&somebody().await)), get(url)).await, asked(url))]
        })
    }),
    case("that http does not make", REQUEST, || {
        let service = service_fn(|_| ready(Request::get("http://[").body(()).map(|_| response())));
        Box::pin(async move { vec![(span_of(service, get(PLAIN_URL)).await, asked(PLAIN_URL))] })
    }),
    case("that reqwest does not make", REQUEST, || {
        let service = service_fn(|_| {
            let request = client::local().get("no URL").build();
            ready(request.map(|_| reqwest::Response::from(response())))
        });
        Box::pin(
            async move { vec![(span_of(service, reqwest_get(PLAIN_URL)).await, asked(PLAIN_URL))] },
        )
    }),
    case("of which the body fails", "request_body_error", || {
        Box::pin(async { with_bodies_that_fail_by(ErrorKind::ConnectionReset).await })
    }),
    case("of which the body takes too long", "request_body_error", || {
        Box::pin(async { with_bodies_that_fail_by(ErrorKind::TimedOut).await })
    }),
    // No connection was asked for.
    case("that is shed", "overloaded", || {
        let (client, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        handle.allow(0);
        let service = ServiceBuilder::new().load_shed().service(client);
        Box::pin(async {
            let span = span_of(service, get(PLAIN_URL)).await;
            drop(handle);
            vec![(span, asked(PLAIN_URL))]
        })
    }),
];

/// What becomes of a connection of hyper's own, of which no peer is known.
const CONNECTIONS: &[Case] = &[
    case("gone with the request", CLOSED, || {
        Box::pin(async {
            let (io, _server) = tokio::io::duplex(1024);
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            let mut connection = task::spawn(connection);
            assert_pending!(connection.poll());
            let service = service_fn(|request| sender.send_request(request));
            let mut span = task::spawn(span_of(service, get(PLAIN_URL)));
            assert_pending!(span.poll());
            // Now it has the request.
            assert_pending!(connection.poll());
            drop(connection);
            vec![(assert_ready!(span.poll()), asked(PLAIN_URL))]
        })
    }),
    case("gone before the request", CLOSED, || {
        Box::pin(async {
            let (io, _server) = tokio::io::duplex(1024);
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            drop(connection);
            let service = service_fn(|request| sender.send_request(request));
            vec![(span_of(service, get(PLAIN_URL)).await, asked(PLAIN_URL))]
        })
    }),
    case("gone, and asked whether it is ready", CLOSED, || {
        Box::pin(async {
            let (io, _server) = tokio::io::duplex(1024);
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            drop(connection);
            let mut sender = Some(sender);
            let service = service_fn(|request| {
                let mut sender = sender.take().unwrap();
                async move {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            });
            vec![(span_of(service, get(PLAIN_URL)).await, asked(PLAIN_URL))]
        })
    }),
    // Of what a connector asks for itself it is its client that knows more.
    case("gone in the connector", CONNECTION, || {
        let connector = service_fn(|_: Uri| {
            Box::pin(async {
                let (io, _server) = tokio::io::duplex(1024);
                let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
                drop(connection);
                sender.send_request(get(PLAIN_URL)).await?;
                Err::<TokioIo<TcpStream>, _>(BoxError::from("it was answered"))
            })
        });
        let legacy = connecting(connector);
        Box::pin(async { vec![(span_of(legacy, get(PLAIN_URL)).await, asked(PLAIN_URL))] })
    }),
    case("broken by an error that is its own cause", CLOSED, || {
        Box::pin(async {
            let circle = io::Error::other(Circle);
            let reader = tokio_test::io::Builder::new().read_error(circle).build();
            let io = tokio::io::join(reader, tokio::io::sink());
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            let service = service_fn(|request| sender.send_request(request));
            let (span, _) = tokio::join!(span_of(service, get(PLAIN_URL)), connection);
            vec![(span, asked(PLAIN_URL))]
        })
    }),
    // The response is there, and is not read on, since the connection is of no use any more.
    case("broken by the body of the request", CONNECTION, || {
        Box::pin(async {
            let (io, mut server) = tokio::io::duplex(1024);
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
            let service = service_fn(|request| sender.send_request(request));
            let (tell, told) = oneshot::channel();
            let frames = [told.map(|_| Err::<Frame<Bytes>, _>(io::Error::other("as told")))];
            let body = StreamBody::new(stream::iter(frames).then(|frame| frame));
            let request = Request::post(PLAIN_URL).body(body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab";
            let on_head = || tell.send(()).unwrap();
            let (span, _, _) = tokio::join!(
                span_by(SpanEnd::Body, service, request, on_head),
                connection,
                async {
                    server.read_u8().await.unwrap();
                    server.write_all(answer).await.unwrap();
                }
            );
            vec![(span, as_method("POST", answered(asked(PLAIN_URL), Http1)))]
        })
    }),
    case("gone between poll and send", CLOSED, || {
        Box::pin(async {
            let (io, server) = tokio::io::duplex(1024);
            let gone = Gone::default();
            let (mut sender, connection) =
                http2::handshake(gone.clone(), TokioIo::new(io)).await.unwrap();
            gone.0.lock().unwrap().server = Some(server);
            let service = service_fn(|request| sender.send_request(request));
            let request = Request::get(PLAIN_URL).body(gone).unwrap();
            let (span, _) = tokio::join!(span_of(service, request), connection);
            vec![(span, asked(PLAIN_URL))]
        })
    }),
];

/// Sees to it that an HTTP/2 connection is gone when a request has been taken, and not yet sent.
#[derive(Clone, Default)]
struct Gone(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    server: Option<DuplexStream>,
    tasks: Vec<BoxFuture<'static, ()>>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Gone {
    fn execute(&self, task: F) {
        self.0.lock().unwrap().tasks.push(Box::pin(task.map(drop)));
    }
}

/// A body that is there to be asked whether it is empty, which is in between.
impl http_body::Body for Gone {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        let mut line = self.0.lock().unwrap();
        line.server = None;
        for task in &mut line.tasks {
            let _ = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        true
    }
}

/// What reqwest, or its caller, makes of a response that is there.
const RESPONSES: &[Case] = &[
    // The span has nothing of the responses that have led there.
    case("redirects in a circle", "redirect_error", || {
        Box::pin(async {
            let upstream = Upstream::http1([redirect(302, "/")]).await;
            let url = upstream.url("/");
            vec![(span_of(client::local(), reqwest_get(&url)).await, asked(&url))]
        })
    }),
    // Inside of the layer, and so it is all that is known of the response.
    case("error_for_status", "404", || {
        Box::pin(async {
            let upstream = Upstream::http1([answer(404, "")]).await;
            let url = upstream.url("/");
            let strict = client::local()
                .map_result(|response| response.and_then(reqwest::Response::error_for_status));
            vec![(span_of(strict, reqwest_get(&url)).await, asked(&url))]
        })
    }),
    case("says that it is packed, and is not", DECODE, || packed(vec![Act::Data("text".into())])),
    case("is packed, and is not all there", DECODE, || {
        packed(vec![Act::Data("\x1f".into()), Act::End])
    }),
    // What cannot be unpacked for want of the rest has broken off.
    case("is packed, and breaks off", ENDED, || packed(vec![Act::Data("\x1f".into()), Act::Close])),
    case("is read inside of the layer, and is not packed", DECODE, || {
        Box::pin(async {
            let upstream = Upstream::http1([vec![head(200, GZIP), Act::Data("text".into())]]).await;
            let client = client::builder().gzip(true).build().unwrap();
            let service = service_fn(|request| {
                let answer = client.execute(request);
                async { answer.await?.bytes().await.map(|_| reqwest::Response::from(response())) }
            });
            let url = upstream.url("/");
            vec![(span_of(service, reqwest_get(&url)).await, asked(&url))]
        })
    }),
    // Of this its unpacker does not say more than that it is an error.
    case("is packed, and is broken inside", BODY, || {
        packed(vec![Act::Data(Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff"))])
    }),
    case("fails in an unknown way", BODY, || with_body_that_fails(|| "as it was told to".into())),
    case("fails in a circle", BODY, || with_body_that_fails(|| Circle.into())),
];

const CASES: &[&[Case]] = &[CONNECTING, TIMEOUTS, PROXIES, REQUESTS, CONNECTIONS, RESPONSES];

/// What a connector says that is no `io::Error`.
const CONNECTORS: &[(&str, &str)] = &[
    // native-tls, over OpenSSL 3, of text, of a certificate of nobody's, and of an end.
    (
        "error:0A00010B:SSL routines:ssl3_get_record:wrong version number:\
         ../ssl/record/ssl3_record.c:350:",
        SECURE,
    ),
    (
        "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate \
         verify failed:../ssl/statem/statem_clnt.c:1889: (self-signed certificate)",
        SECURE,
    ),
    ("unexpected EOF", SECURE),
    ("error: no SSL routines:", CONNECTION),
    ("fatal:0A00010B:SSL routines:", CONNECTION),
    ("no tunnel error: ", CONNECTION),
    ("no SOCKS error: ", CONNECTION),
    ("an unsupported scheme ", CONNECTION),
    ("out of order", CONNECTION),
];

/// What the operating system says when it is asked to connect.
const SYSTEMS: &[(ErrorKind, &str)] = &[
    (ErrorKind::AddrInUse, "addr_in_use"),
    (ErrorKind::AddrNotAvailable, "addr_not_available"),
    (ErrorKind::BrokenPipe, "broken_pipe"),
    (ErrorKind::ConnectionAborted, "connection_aborted"),
    (ErrorKind::ConnectionRefused, "connection_refused"),
    (ErrorKind::ConnectionReset, RESET),
    (ErrorKind::HostUnreachable, "host_unreachable"),
    (ErrorKind::NetworkDown, "network_down"),
    (ErrorKind::NetworkUnreachable, "network_unreachable"),
    (ErrorKind::NotConnected, "not_connected"),
    (ErrorKind::TimedOut, TIMEOUT),
    // Of these it is what a library means by them.
    (ErrorKind::InvalidData, SECURE),
    (ErrorKind::UnexpectedEof, SECURE),
    (ErrorKind::InvalidInput, CONNECTION),
    (ErrorKind::PermissionDenied, CONNECTION),
    (ErrorKind::Other, CONNECTION),
];

/// The same where nothing around it says what is meant.
const ALONE: &[(ErrorKind, &str)] = &[
    (ErrorKind::NotConnected, "not_connected"),
    (ErrorKind::InvalidData, "invalid_data"),
    (ErrorKind::PermissionDenied, "permission_denied"),
    (ErrorKind::TimedOut, TIMEOUT),
];

const MINUTE: Duration = Duration::from_secs(60);
const PLAIN_URL: &str = "http://a.invalid/";
const TLS_URL: &str = "https://a.invalid/";

type Body = BoxBody<Bytes, BoxError>;

/// hyper-util's client, whatever it connects with.
type Legacy = BoxCloneSyncService<Request<Body>, Response<Incoming>, legacy::Error>;

fn connecting<C: Connect + Clone + Send + Sync + 'static>(connector: C) -> Legacy {
    Legacy::new(Client::builder(TokioExecutor::new()).build(connector))
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A body that begins, and fails.
fn failing(error: BoxError) -> Body {
    let begun = Frame::data(Bytes::from_static(b"begun"));
    BodyExt::boxed(StreamBody::new(stream::iter([Ok(begun), Err(error)])))
}

fn response() -> Response<String> {
    Response::new(String::new())
}

/// An error that is its own cause.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circle")
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

impl Over {
    fn legacy(self, root: Option<&CertificateDer<'static>>) -> Legacy {
        match self {
            Http1 => Legacy::new(client::legacy_http1()),
            Http2 => Legacy::new(client::legacy_http2()),
            Tls1 | Tls2 => Legacy::new(client::legacy_tls(root.unwrap())),
        }
    }

    fn reqwest(self, root: Option<&CertificateDer<'static>>) -> reqwest::Client {
        let builder = match self {
            Http1 => client::builder(),
            Http2 => client::builder().http2_prior_knowledge(),
            Tls1 | Tls2 => client::trusting(root.unwrap()),
        };
        builder.build().unwrap()
    }

    fn url(self, authority: &str) -> String {
        let scheme = if TLS.contains(&self) { "https" } else { "http" };
        format!("{scheme}://{authority}/")
    }
}

impl Server {
    /// With whom the client is to trust.
    async fn start(
        self,
        over: Over,
        script: Vec<Act>,
    ) -> (Upstream, Option<CertificateDer<'static>>) {
        let alpn = [if over == Tls2 { "h2" } else { "http/1.1" }];
        let upstream = match (self, over) {
            (Self::Plain, _) | (Self::Fitting, Http1) => Upstream::http1([script]).await,
            (Self::Fitting, Http2) => Upstream::http2([script]).await,
            (Self::Misnamed, _) => {
                Upstream::tls_as(&["a.invalid"], Clients::Anybody, &alpn, [script]).await
            }
            (Self::Strict, _) => {
                Upstream::tls_as(&["127.0.0.1"], Clients::Known, &alpn, [script]).await
            }
            (Self::Fitting | Self::Untrusted, _) => Upstream::tls(&alpn, [script]).await,
        };
        let root = match self {
            Self::Plain | Self::Untrusted => Some(somebody().await),
            Self::Fitting | Self::Misnamed | Self::Strict => upstream.root.clone(),
        };
        (upstream, root)
    }
}

/// Whom to trust, where it is not the server that is asked.
async fn somebody() -> CertificateDer<'static> {
    Upstream::tls(&[], [vec![Act::Close]]).await.root.unwrap()
}

async fn hanging() -> Upstream {
    Upstream::http1([vec![Act::Hang]]).await
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(empty()).unwrap()
}

fn reqwest_get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

/// The span of a request through a layer around `service`. `on_head` is called where there is a
/// response, before that is read to its end.
async fn span_by<S, R, T, B>(
    end: SpanEnd,
    service: S,
    request: R,
    on_head: impl FnOnce(),
) -> Described
where
    ClientTrace<S>: Service<R, Response = T>,
    T: Into<Response<B>>,
    B: http_body::Body,
{
    let recorder = Recorder::new();
    let layer = recorder.client_layer().with_span_end(end);
    let traced = ServiceBuilder::new().layer(layer).service(service);
    if let Ok(response) = traced.oneshot(request).await {
        on_head();
        let _ = response.into().into_body().collect().await;
    }
    recorder.span().into()
}

/// The same for one that waits for the body.
async fn span_of<S, R, T, B>(service: S, request: R) -> Described
where
    ClientTrace<S>: Service<R, Response = T>,
    T: Into<Response<B>>,
    B: http_body::Body,
{
    span_by(SpanEnd::Body, service, request, || {}).await
}

/// What the span of a GET has before there is a connection.
fn asked(url: &str) -> Described {
    let uri: Uri = url.parse().unwrap();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Described::client(
        "GET",
        [
            ("http.request.method", "GET".into()),
            ("url.full", url.to_owned().into()),
            ("server.address", uri.host().unwrap().to_owned().into()),
            ("server.port", i64::from(uri.port_u16().unwrap_or(default)).into()),
        ],
    )
}

fn as_method(method: &'static str, span: Described) -> Described {
    span.named(method).with("http.request.method", method)
}

fn with_peer(span: Described, peer: SocketAddr) -> Described {
    span.with("network.peer.address", peer.ip().to_string())
        .with("network.peer.port", i64::from(peer.port()))
}

/// What there is with the head of a 200.
fn answered(span: Described, over: Over) -> Described {
    let version = if HTTP1.contains(&over) { "1.1" } else { "2" };
    span.with("network.protocol.version", version).with("http.response.status_code", 200)
}

/// A GET, as either client sends it.
async fn under_both(
    legacy: Legacy,
    reqwest: reqwest::Client,
    url: &str,
) -> Vec<(Described, Described)> {
    vec![
        (span_of(legacy, get(url)).await, asked(url)),
        (span_of(reqwest, reqwest_get(url)).await, asked(url)),
    ]
}

/// A request that hyper-util's client does not even connect for.
fn under_hyper_util(request: Request<Body>, expected: Described) -> Played {
    Box::pin(async { vec![(span_of(Http1.legacy(None), request).await, expected)] })
}

/// Requests for this host, over everything.
async fn to(authority: &str) -> Vec<(Described, Described)> {
    let (root, mut played) = (somebody().await, Vec::new());
    for over in ALL {
        let (legacy, reqwest) = (over.legacy(Some(&root)), over.reqwest(Some(&root)));
        played.extend(under_both(legacy, reqwest, &over.url(authority)).await);
    }
    played
}

/// A request over TLS, through a tunnel.
async fn through(proxy: &str) -> Vec<(Described, Described)> {
    let proxy = format!("http://{proxy}");
    let legacy = connecting(Tunnel::new(proxy.parse().unwrap(), HttpConnector::new()));
    let reqwest = client::trusting(&somebody().await).proxy(reqwest::Proxy::all(proxy).unwrap());
    under_both(legacy, reqwest.build().unwrap(), TLS_URL).await
}

/// A request that waits for a head, until the clock goes on.
async fn unanswered<S, R, T, B>(
    upstream: &mut Upstream,
    service: S,
    request: fn(&str) -> R,
) -> (Described, Described)
where
    ClientTrace<S>: Service<R, Response = T>,
    T: Into<Response<B>>,
    B: http_body::Body,
{
    let url = upstream.url("/");
    let has_come = async {
        upstream.request().await;
        tokio::time::pause();
    };
    let (span, ()) = tokio::join!(span_of(service, request(&url)), has_come);
    tokio::time::resume();
    (span, asked(&url))
}

/// The same for the rest of a body.
async fn half_answered<S, R, T, B>(service: S, request: fn(&str) -> R) -> (Described, Described)
where
    ClientTrace<S>: Service<R, Response = T>,
    T: Into<Response<B>>,
    B: http_body::Body,
{
    let upstream = Upstream::http1([vec![head(200, &[]), Act::Hang]]).await;
    let url = upstream.url("/");
    let span = span_by(SpanEnd::Body, service, request(&url), tokio::time::pause).await;
    tokio::time::resume();
    (span, answered(with_peer(asked(&url), upstream.address), Http1))
}

/// Requests that both clients begin to send, over everything.
async fn with_bodies_that_fail_by(kind: ErrorKind) -> Vec<(Described, Described)> {
    let mut played = Vec::new();
    for over in ALL {
        let (upstream, root) = Server::Fitting.start(*over, vec![]).await;
        let (url, root) = (upstream.url("/"), root.as_ref());
        let body = || failing(io::Error::from(kind).into());
        let expected = || as_method("POST", with_peer(asked(&url), upstream.address));
        let request = Request::post(&url).body(body()).unwrap();
        played.push((span_of(over.legacy(root), request).await, expected()));
        let mut request = reqwest::Request::new(Method::POST, url.parse().unwrap());
        *request.body_mut() = Some(reqwest::Body::wrap(body()));
        played.push((span_of(over.reqwest(root), request).await, expected()));
    }
    played
}

/// A response of chunks that says that it is packed, to who unpacks it.
fn packed(chunks: Vec<Act>) -> Played {
    Box::pin(async {
        let mut script = vec![head(200, GZIP)];
        script.extend(chunks);
        let upstream = Upstream::http1([script]).await;
        let client = client::builder().gzip(true).build().unwrap();
        let url = upstream.url("/");
        let expected = answered(with_peer(asked(&url), upstream.address), Http1);
        vec![(span_of(client, reqwest_get(&url)).await, expected)]
    })
}

/// A response of reqwest's that came over no connection.
fn with_body_that_fails(error: fn() -> BoxError) -> Played {
    let service = service_fn(move |_| {
        let response = Response::new(reqwest::Body::wrap(failing(error())));
        ready(Ok::<_, reqwest::Error>(reqwest::Response::from(response)))
    });
    Box::pin(async move {
        let span = span_of(service, reqwest_get(PLAIN_URL)).await;
        vec![(span, answered(asked(PLAIN_URL), Http1))]
    })
}

async fn plays(cases: &[Case]) {
    for Case { what, word, play } in cases {
        for (span, expected) in play().await {
            assert_eq!(span, expected.failed(word), "{what}");
        }
    }
}

/// The spans of such an exchange under both clients.
async fn scripted(
    end: SpanEnd,
    over: Over,
    server: Server,
    script: impl Fn(Gate) -> Vec<Act>,
) -> Vec<(Described, Described)> {
    let mut played = Vec::new();
    for is_reqwest in [false, true] {
        let gate = Gate::new();
        let (upstream, root) = server.start(over, script(gate.clone())).await;
        let (url, root) = (over.url(&upstream.address.to_string()), root.as_ref());
        let on_head = || gate.open();
        let span = if is_reqwest {
            span_by(end, over.reqwest(root), reqwest_get(&url), on_head).await
        } else {
            span_by(end, over.legacy(root), get(&url), on_head).await
        };
        played.push((span, with_peer(asked(&url), upstream.address)));
    }
    played
}

#[tokio::test]
async fn a_span_says_what_has_become_of_the_connection_and_who_the_peer_was() {
    for Scripted { what, over, server, script, after, word } in SCRIPTED {
        for &over in *over {
            for end in [SpanEnd::Head, SpanEnd::Body] {
                for (span, expected) in scripted(end, over, *server, script).await {
                    let expected = match (after, end) {
                        (After::Nothing, _) => expected
                            .without("network.peer.address")
                            .without("network.peer.port")
                            .failed(word),
                        (After::Connecting, _) => expected.failed(word),
                        // What becomes of the body is not on it.
                        (After::Head, SpanEnd::Head) => answered(expected, over),
                        (After::Head, _) => answered(expected, over).failed(word),
                    };
                    assert_eq!(span, expected, "{what}, over {over:?}, to the {end:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_connection_may_fail_before_or_after_it_is_asked_on() {
    for AtOnce { over, act, words } in AT_ONCE {
        for &over in *over {
            for end in [SpanEnd::Head, SpanEnd::Body] {
                let script = |_| vec![Act::AtOnce, act.clone()];
                for (span, expected) in scripted(end, over, Server::Fitting, script).await {
                    let called = span.attributes["error.type"].to_string();
                    assert!(words.contains(&&*called), "{called}: {act:?} at once, over {over:?}");
                    assert_eq!(span, expected.failed(&called), "{act:?} at once, over {over:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn where_no_connection_comes_about_the_span_says_why_and_has_no_peer() {
    plays(CONNECTING).await;
}

#[tokio::test]
async fn whatever_takes_too_long_is_a_timeout() {
    plays(TIMEOUTS).await;
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_is_not_taken_for_the_server() {
    plays(PROXIES).await;
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_called_that() {
    plays(REQUESTS).await;
}

#[tokio::test]
async fn a_connection_that_is_of_no_use_any_more_is_called_that() {
    plays(CONNECTIONS).await;
}

#[tokio::test]
async fn what_reqwest_makes_of_a_response_is_no_failure_of_the_connection() {
    plays(RESPONSES).await;
}

#[tokio::test]
async fn what_the_caller_makes_of_a_response_is_not_on_the_span() {
    let upstream = Upstream::http1([answer(404, "no JSON")]).await;
    let recorder = Recorder::new();
    let layer = recorder.client_layer().with_span_end(SpanEnd::Body).with_failure_by(|_| false);
    let mut client = ServiceBuilder::new().layer(layer).service(client::local());
    let url = upstream.url("/");
    let response = client.call(reqwest_get(&url)).await.unwrap();
    assert!(response.error_for_status_ref().unwrap_err().is_status());
    assert!(response.error_for_status().unwrap_err().is_status());
    let expected = answered(with_peer(asked(&url), upstream.address), Http1);
    let expected = expected.with("http.response.status_code", 404);
    assert_eq!(Described::from(recorder.span()), expected);
}

#[tokio::test]
async fn a_connector_is_known_by_what_it_says_to_the_client_alone() {
    for (text, word) in CONNECTORS {
        let connector = service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(*text)));
        let legacy = connecting(connector.map_err(BoxError::from));
        assert_eq!(span_of(legacy, get(TLS_URL)).await, asked(TLS_URL).failed(word), "{text}");

        let service = service_fn(move |_| ready(Err::<Response<Body>, _>(BoxError::from(*text))));
        assert_eq!(span_of(service, get(TLS_URL)).await, asked(TLS_URL).failed("_OTHER"), "{text}");
    }
}

#[tokio::test]
async fn an_operating_system_is_believed_by_kind_or_by_number() {
    for (kind, word) in SYSTEMS {
        let connector =
            service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(io::Error::from(*kind))));
        let span = span_of(connecting(connector), get(PLAIN_URL)).await;
        assert_eq!(span, asked(PLAIN_URL).failed(word), "{kind:?}");
    }
    // EACCES, of every Unix.
    let connector =
        service_fn(|_: Uri| ready(Err::<TokioIo<TcpStream>, _>(io::Error::from_raw_os_error(13))));
    let span = span_of(connecting(connector), get(PLAIN_URL)).await;
    assert_eq!(span, asked(PLAIN_URL).failed("permission_denied"));
    for (kind, word) in ALONE {
        let service = service_fn(move |_| ready(Err::<Response<Body>, _>(io::Error::from(*kind))));
        let span = span_of(service, get(PLAIN_URL)).await;
        assert_eq!(span, asked(PLAIN_URL).failed(word), "{kind:?}");
    }
}

#[test]
fn every_word_is_in_the_docs_once_and_no_other() {
    let tables = SCRIPTED.iter().map(|row| row.word);
    let tables = tables.chain(CASES.iter().copied().flatten().map(|case| case.word));
    let tables = tables.chain(AT_ONCE.iter().flat_map(|row| row.words).copied());
    let tables = tables.chain(CONNECTORS.iter().map(|row| row.1));
    let tables = tables.chain(SYSTEMS.iter().chain(ALONE).map(|row| row.1));
    let tables: BTreeSet<_> = tables.collect();

    let docs = include_str!("../../src/client/failure/words.md");
    // The first is the head, the second a line.
    let cells = docs.lines().skip(2).map(|row| row.split('|').nth(1).unwrap());
    let words: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let unique: BTreeSet<_> = words.iter().copied().collect();
    assert_eq!(unique.len(), words.len(), "a word is there twice: {words:?}");
    assert_eq!(unique, tables);
}
