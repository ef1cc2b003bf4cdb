//! Both ends of a connection: a server that tells how each one ended, and clients that send what
//! they are given, byte by byte.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http2::SendRequest,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tower::{BoxError, Service, ServiceBuilder};
use tower_telemetry::server::Connection;

use crate::support::tls;

/// Serves on a free port, each connection in a task that can be waited for.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What clients have to trust. Over plain TCP there is none.
    pub(crate) root: Option<CertificateDer<'static>>,
    connections: mpsc::UnboundedReceiver<JoinHandle<hyper::Result<()>>>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    Fine,
    Broken,
    Panicked,
}

impl Server {
    pub(crate) async fn http1<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::start(move |stream| {
            let service = TowerToHyperService::new(service.clone());
            http1::Builder::new().serve_connection(stream, service).with_upgrades()
        })
        .await
    }

    pub(crate) async fn http2<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::start(move |stream| {
            let service = TowerToHyperService::new(service.clone());
            http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service)
        })
        .await
    }

    /// Speaks over TLS what is agreed on, and says to the service that it does.
    pub(crate) async fn tls<S, B>(alpn: &[&str], service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (acceptor, root) = tls::acceptor(alpn);
        let encrypted = |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Connection::new().with_tls());
            request
        };
        let service = ServiceBuilder::new().map_request(encrypted).service(service);
        let server = Self::start(move |stream| {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(service.clone()));
            async move {
                // A client that does not trust us has gone.
                let Ok(stream) = acceptor.accept(stream.into_inner()).await else { return Ok(()) };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = TokioIo::new(stream);
                if is_http2 {
                    let builder = http2::Builder::new(TokioExecutor::new());
                    return builder.serve_connection(stream, service).await;
                }
                http1::Builder::new().serve_connection(stream, service).with_upgrades().await
            }
        });
        Self { root: Some(root), ..server.await }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.root.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    async fn start<F>(serve: impl Fn(TokioIo<TcpStream>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = tokio::spawn(serve(TokioIo::new(stream)));
                if accepted.send(connection).is_err() {
                    return;
                }
            }
        });
        Self { address, root: None, connections }
    }

    /// Waits for the end of the oldest connection that nobody has waited for yet.
    pub(crate) async fn closed(&mut self) -> Closed {
        match self.connections.recv().await.unwrap().await {
            Ok(Ok(())) => Closed::Fine,
            Ok(Err(_)) => Closed::Broken,
            Err(error) if error.is_panic() => Closed::Panicked,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A client that sends bytes over HTTP/1 and takes answers apart no further than it must.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) BufReader<TcpStream>);

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status_code: u16,
    /// With the status line.
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) trailers: String,
}

impl Wire {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_to(server.address).await
    }

    pub(crate) async fn connect_to(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads a head, and no body.
    pub(crate) async fn head(&mut self) -> Reply {
        let head = self.lines().await;
        let status_code = head.get(9..12).unwrap_or_default().parse().expect(&head);
        Reply { status_code, head, body: String::new(), trailers: String::new() }
    }

    /// Reads a head, and its body to the end.
    pub(crate) async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        if let Some(length) = reply.header("content-length") {
            reply.body = self.exactly(length.parse().unwrap()).await;
        } else if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                reply.body.push_str(&chunk);
            }
            reply.trailers = self.lines().await;
        }
        reply
    }

    /// Reads a chunk of a body; none is the last, after which trailers come.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let length = usize::from_str_radix(self.line().await.trim_end(), 16).unwrap();
        if length == 0 {
            return None;
        }
        let chunk = self.exactly(length).await;
        assert_eq!(self.line().await, "\r\n");
        Some(chunk)
    }

    /// Reads so many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Reads what comes until the server has closed, or torn, the connection.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.send(bytes).await;
        self.reply().await
    }

    /// Up to and without the empty line.
    async fn lines(&mut self) -> String {
        let mut lines = String::new();
        loop {
            let line = self.line().await;
            if line == "\r\n" || line.is_empty() {
                return lines;
            }
            lines.push_str(&line);
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A handler that panics.
pub(crate) async fn panics() {
    panic!("the handler panics, as it was told to");
}

/// A GET for [`HOST`].
pub(crate) fn ask(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

/// Who is asked, whatever port the server has got.
pub(crate) const HOST: &str = "shop.example:8080";

/// A client's end of an HTTP/2 connection, and the socket, for whoever wants to shut that down.
pub(crate) async fn http2(server: &Server) -> (SendRequest<Full<Bytes>>, std::net::TcpStream) {
    let stream = TcpStream::connect(server.address).await.unwrap().into_std().unwrap();
    let socket = stream.try_clone().unwrap();
    let stream = TokioIo::new(TcpStream::from_std(stream).unwrap());
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    (sender, socket)
}
