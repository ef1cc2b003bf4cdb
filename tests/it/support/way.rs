//! Both clients over each protocol, as one service, so that a test is written once for all.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use opentelemetry::{SpanId, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use reqwest::{Body, redirect::Policy};
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

use crate::support::{
    client,
    recorder::{Described, Recorder},
    upstream::{Act, Upstream},
    wire::Server,
};

/// Which client, and what it speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) client: Which,
    pub(crate) protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Reqwest,
    Legacy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// Known beforehand.
    Http2,
    /// Agreed on, like the next.
    TlsHttp1,
    TlsHttp2,
}

pub(crate) const PROTOCOLS: [Protocol; 4] =
    [Protocol::Http1, Protocol::Http2, Protocol::TlsHttp1, Protocol::TlsHttp2];

/// Either client under a layer. It follows no redirects. The body in either direction is
/// reqwest's, which can be any.
pub(crate) type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// hyper-util's client, whatever its connector.
type Legacy = BoxCloneSyncService<Request<Body>, Response<Incoming>, legacy::Error>;

/// What can be boxed as a [`Client`].
pub(crate) trait Sends<R>: Service<R, Future: Send> + Clone + Send + Sync + 'static {}

impl<R, S> Sends<R> for S where S: Service<R, Future: Send> + Clone + Send + Sync + 'static {}

/// Runs the check for both clients over each protocol, all at once.
pub(crate) async fn each_way<F>(check: impl Fn(Way) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let ways = PROTOCOLS.into_iter().flat_map(|protocol| {
        [Which::Reqwest, Which::Legacy].map(|client| Way { client, protocol })
    });
    let checks: Vec<_> = ways.map(|way| (way, tokio::spawn(check(way)))).collect();
    for (way, check) in checks {
        assert!(check.await.is_ok(), "{way:?}");
    }
}

impl Way {
    pub(crate) async fn upstream(self, scripts: impl IntoIterator<Item = Vec<Act>>) -> Upstream {
        match self.protocol {
            Protocol::Http1 => Upstream::http1(scripts).await,
            Protocol::Http2 => Upstream::http2(scripts).await,
            Protocol::TlsHttp1 => Upstream::tls(&["http/1.1"], scripts).await,
            Protocol::TlsHttp2 => Upstream::tls(&["h2"], scripts).await,
        }
    }

    pub(crate) async fn server<S, B>(self, service: S) -> Server
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.protocol {
            Protocol::Http1 => Server::http1(service).await,
            Protocol::Http2 => Server::http2(service).await,
            Protocol::TlsHttp1 => Server::tls(&["http/1.1"], service).await,
            Protocol::TlsHttp2 => Server::tls(&["h2"], service).await,
        }
    }

    /// The client under a layer. Over TLS it trusts this one.
    pub(crate) fn client<L, B>(self, layer: &L, root: Option<&CertificateDer<'static>>) -> Client
    where
        L: Layer<Legacy> + Layer<reqwest::Client>,
        <L as Layer<Legacy>>::Service:
            Sends<Request<Body>, Response = Response<B>, Error = legacy::Error>,
        <L as Layer<reqwest::Client>>::Service:
            Sends<reqwest::Request, Response = reqwest::Response, Error = reqwest::Error>,
        B: http_body::Body<Data = Bytes, Error = hyper::Error> + Send + Sync + 'static,
    {
        match self.client {
            Which::Reqwest => {
                let client = self.reqwest(root).redirect(Policy::none()).build().unwrap();
                let service = ServiceBuilder::new()
                    .map_request(|request: Request<Body>| request.try_into().unwrap())
                    .map_response(Response::from)
                    .map_err(BoxError::from)
                    .layer(layer)
                    .service(client);
                BoxCloneSyncService::new(service)
            }
            Which::Legacy => {
                let service = ServiceBuilder::new()
                    .map_response(|response: Response<B>| response.map(Body::wrap))
                    .map_err(BoxError::from)
                    .layer(layer)
                    .service(self.legacy(root));
                BoxCloneSyncService::new(service)
            }
        }
    }

    /// reqwest's client, to be set up further.
    pub(crate) fn reqwest(self, root: Option<&CertificateDer<'static>>) -> reqwest::ClientBuilder {
        match (root, self.protocol) {
            (Some(root), _) => client::trusting(root),
            (None, Protocol::Http2) => client::builder().http2_prior_knowledge(),
            (None, _) => client::builder(),
        }
    }

    /// hyper-util's client.
    pub(crate) fn legacy(self, root: Option<&CertificateDer<'static>>) -> Legacy {
        match (root, self.protocol) {
            (Some(root), _) => BoxCloneSyncService::new(client::legacy_tls(root)),
            (None, Protocol::Http2) => BoxCloneSyncService::new(client::legacy_http2()),
            (None, _) => BoxCloneSyncService::new(client::legacy_http1()),
        }
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self.protocol, Protocol::Http2 | Protocol::TlsHttp2)
    }

    fn version(self) -> &'static str {
        if self.is_http2() { "2" } else { "1.1" }
    }

    /// The client's span of a request to this URL, which is on this machine.
    pub(crate) fn asked(self, method: &str, url: &str, status_code: i64) -> Described {
        let port = i64::from(url.parse::<Uri>().unwrap().port_u16().unwrap());
        let span = sent(method, url)
            .with("http.response.status_code", status_code)
            .with("network.protocol.version", self.version())
            .with("network.peer.address", "127.0.0.1")
            .with("network.peer.port", port);
        if status_code >= 400 { span.failed(&status_code.to_string()) } else { span }
    }

    /// The span of a server that was asked for this URL. `name` is the method, and the route if
    /// there is one.
    pub(crate) fn served(self, name: &str, url: &str, status_code: i64) -> Described {
        let uri = url.parse::<Uri>().unwrap();
        let span = Described::served(name, uri.path(), status_code)
            .with("url.scheme", uri.scheme_str().unwrap().to_owned())
            .with("server.address", uri.host().unwrap().to_owned())
            .with("server.port", i64::from(uri.port_u16().unwrap()))
            .with("network.protocol.version", self.version());
        match uri.query() {
            Some(query) => span.with("url.query", query.to_owned()),
            None => span,
        }
    }
}

/// The client's span of a request to this URL, without an answer. `method` is its name.
pub(crate) fn sent(method: &str, url: &str) -> Described {
    let uri = url.parse::<Uri>().unwrap();
    Described::client(
        method,
        [
            ("http.request.method", method.to_owned().into()),
            ("url.full", url.to_owned().into()),
            ("server.address", uri.host().unwrap().to_owned().into()),
            ("server.port", i64::from(uri.port_u16().unwrap()).into()),
        ],
    )
}

/// A request of this method, without a body.
pub(crate) fn bare(method: &str, url: &str) -> Request<Body> {
    Request::builder().method(method).uri(url).body(Body::default()).unwrap()
}

pub(crate) fn get(url: &str) -> Request<Body> {
    bare("GET", url)
}

/// A request with a body.
pub(crate) fn with_body(method: &str, url: &str, body: impl Into<Body>) -> Request<Body> {
    bare(method, url).map(|_| body.into())
}

/// Sends a request that will be answered.
pub(crate) async fn send(client: &Client, request: Request<Body>) -> Response<Body> {
    client.clone().oneshot(request).await.unwrap()
}

/// The whole body of a response.
pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

/// A recorder whose spans can be waited for: what a client has got to the end may not have ended on
/// the server yet.
pub(crate) struct Spans {
    pub(crate) recorder: Recorder,
    ended: mpsc::UnboundedReceiver<SpanData>,
}

impl Spans {
    pub(crate) fn new() -> Self {
        let (recorder, ended) = Recorder::telling();
        Self { recorder, ended }
    }

    /// The next spans that end: the internal ones, then clients', then servers', each in the order
    /// in which they began.
    pub(crate) async fn next<const N: usize>(&mut self) -> [SpanData; N] {
        self.next_of(N).await.try_into().unwrap()
    }

    /// The same, of a number that is not known beforehand.
    pub(crate) async fn next_of(&mut self, count: usize) -> Vec<SpanData> {
        let mut spans = Vec::new();
        while spans.len() < count {
            spans.push(self.ended.recv().await.unwrap());
        }
        let order = |kind: &SpanKind| match kind {
            SpanKind::Client => 1,
            SpanKind::Server => 2,
            _ => 0,
        };
        spans.sort_by_key(|span| (order(&span.span_kind), span.start_time));
        spans
    }

    /// There are no others that have ended.
    pub(crate) fn assert_no_more(&mut self) {
        let more = self.ended.try_recv();
        assert!(more.is_err(), "{more:#?}");
    }
}

/// That one span is the child of the other.
pub(crate) fn assert_below(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.parent_span_id, parent.span_context.span_id(), "{child:#?}\n{parent:#?}");
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_is_remote, child.span_kind == SpanKind::Server);
}

/// That a span begins a trace.
pub(crate) fn assert_root(span: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{span:#?}");
}
