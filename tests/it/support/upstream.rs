//! A server to a script, on a real socket, for what a client may meet: answers in every order and
//! speed, and connections and streams that break off wherever it was told to.
//!
//! It writes HTTP/1.1 and HTTP/2 itself, so that what is on the wire, and when, is the test's to
//! say. Only what comes in over HTTP/2 is read by hyper.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncWriteExt, BufReader, copy, sink},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Barrier, Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, rustls::pki_types::CertificateDer};

use self::{
    form::{Form, go_away, read_request},
    line::Line,
};
use crate::support::tls::{self, Clients};

mod form;
mod line;

/// What an upstream does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// As the first of a script: does not wait for a request, only for a connection, whichever
    /// is the next. To a client whose connection is torn that early it may not even be one.
    AtOnce,
    /// Sends a head, which is not the last one if its status code is 1xx. Over HTTP/1.1 the body is
    /// chunked, unless there is a `content-length`, or `connection: close`. [`head`] makes it.
    Head(u16, Vec<(&'static str, String)>),
    /// Sends data of a body, as one chunk. Over HTTP/2 it does not ask whether the client has room,
    /// so there it is to be less than a megabyte.
    Data(Bytes),
    /// Ends the body. Without this a body of chunks, or of HTTP/2, is not complete.
    End,
    /// Ends the body with a trailer.
    Trailer(&'static str, &'static str),
    /// Sends just these bytes: half of a head, or what is no HTTP at all.
    Raw(&'static str),
    /// Waits until the gate is open. Whoever has to know that the client has got what was sent
    /// before, say before a [`Act::Reset`], puts a gate in between.
    Wait(Gate),
    /// Waits until so many requests have come here, so that all of them are under way at once.
    Meet(Arc<Barrier>),
    /// Does nothing any more, and holds the connection until the test ends.
    Hang,
    /// Closes the connection, as is proper: a FIN, below TLS after its own goodbye. A client that
    /// keeps connections may use this one again before it notices, if no head said so.
    Close,
    /// Closes it as if there were no TLS: a FIN, and no goodbye before it.
    Cut,
    /// Tears the connection: an RST, and no goodbye.
    Reset,
    /// Sends back what comes, until the client closes; over HTTP/1.1, after a 101.
    Echo,
    /// Resets the stream of the request, over HTTP/2.
    RstStream(Reason),
    /// Says goodbye over HTTP/2. Streams after `last`, of which the client's first is 1, will not
    /// be answered; those before it may be, and the connection stays.
    GoAway { last: u32, reason: Reason },
}

/// Error codes of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    NoError = 0,
    InternalError = 2,
    RefusedStream = 7,
}

/// A head, to be followed by a body.
pub(crate) fn head(status_code: u16, headers: &[(&'static str, &str)]) -> Act {
    let owned = headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Act::Head(status_code, owned.collect())
}

/// A whole answer, with the length of its body.
pub(crate) fn answer(status_code: u16, body: &'static str) -> Vec<Act> {
    let head = head(status_code, &[("content-length", &body.len().to_string())]);
    vec![head, Act::Data(body.into()), Act::End]
}

/// An answer that sends the client elsewhere.
pub(crate) fn redirect(status_code: u16, location: &str) -> Vec<Act> {
    vec![head(status_code, &[("location", location), ("content-length", "0")]), Act::End]
}

/// What an act waits for, and a test opens, once and for all.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.close();
    }

    async fn wait(&self) {
        // There is never a permit: it is only closed.
        let _ = self.0.acquire().await;
    }
}

/// An address where connections are refused, for as long as the socket is there.
pub(crate) fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server that plays a script for each request, one after the other, and the last one for all
/// that come after. It serves until the test's runtime ends.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// What clients have to trust. Over plain TCP there is none.
    pub(crate) root: Option<CertificateDer<'static>>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A request as it came, with the connection that it came on. Those are counted from 0 as they
/// are asked on: a client may open one that it does not use.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) connection: usize,
    pub(crate) request: Request<Bytes>,
}

impl Upstream {
    /// Speaks HTTP/1.1.
    pub(crate) async fn http1(scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        Self::start(scripts, Transport::Http1, None).await
    }

    /// Speaks HTTP/2 to those who know that beforehand.
    pub(crate) async fn http2(scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        Self::start(scripts, Transport::Http2, None).await
    }

    /// Speaks over TLS what is agreed on, `h2` or `http/1.1`, as `localhost` and 127.0.0.1.
    pub(crate) async fn tls(alpn: &[&str], scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        Self::tls_as(&["localhost", "127.0.0.1"], Clients::Anybody, alpn, scripts).await
    }

    /// The same under these names, for these clients.
    pub(crate) async fn tls_as(
        names: &[&str],
        clients: Clients,
        alpn: &[&str],
        scripts: impl IntoIterator<Item = Vec<Act>>,
    ) -> Self {
        let (acceptor, root) = tls::acceptor_as(names, clients, alpn);
        Self::start(scripts, Transport::Tls(acceptor), Some(root)).await
    }

    async fn start(
        scripts: impl IntoIterator<Item = Vec<Act>>,
        transport: Transport,
        root: Option<CertificateDer<'static>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts = Arc::new(Mutex::new(scripts.into_iter().collect()));
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let numbers = Arc::default();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // What is written in parts does not wait for the client to say that it has them.
                stream.set_nodelay(true).unwrap();
                let connection = Connection {
                    number: Arc::default(),
                    numbers: Arc::clone(&numbers),
                    scripts: Arc::clone(&scripts),
                    tell: tell.clone(),
                };
                tokio::spawn(connection.serve(stream, transport.clone()));
            }
        });
        Self { address, root, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.root.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The next request, as soon as it has come in as a whole.
    pub(crate) async fn request(&mut self) -> Asked {
        self.asked.recv().await.unwrap()
    }

    /// The other requests that have come in so far. Each is there before its script is played, so
    /// whoever has seen an act of that will find it.
    pub(crate) fn requests(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

#[derive(Clone)]
enum Transport {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

#[derive(Clone)]
struct Connection {
    number: Arc<OnceLock<usize>>,
    /// The next connection's.
    numbers: Arc<AtomicUsize>,
    scripts: Arc<Mutex<VecDeque<Vec<Act>>>>,
    tell: mpsc::UnboundedSender<Asked>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, transport: Transport) {
        match transport {
            Transport::Http1 => self.http1(Line::new(stream)).await,
            Transport::Http2 => self.http2(Line::new(stream)).await,
            Transport::Tls(acceptor) => {
                let stream = match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => stream,
                    // One of us does not trust the other. What is said of that is lost if what has
                    // come before is not read.
                    Err((_, mut stream)) => {
                        let _ = stream.shutdown().await;
                        let _ = copy(&mut stream, &mut sink()).await;
                        return;
                    }
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let line = Line::new(stream);
                if is_http2 { self.http2(line).await } else { self.http1(line).await }
            }
        }
    }

    async fn http1(self, mut line: Line) {
        let mut reader = BufReader::new(line.clone());
        let mut open = true;
        if let Some(script) = self.at_once() {
            open = play(script, &mut line, Form::Http1 { chunked: false }).await;
        }
        while open {
            let Some(request) = read_request(&mut reader).await else { return };
            let script = self.asked(request);
            open = play(script, &mut line, Form::Http1 { chunked: false }).await;
        }
        // What is closed with something unread is reset instead.
        let _ = copy(&mut reader, &mut sink()).await;
    }

    async fn http2(self, mut line: Line) {
        if let Some(script) = self.at_once()
            && !play(script, &mut line, Form::Http2 { stream: 0 }).await
        {
            let _ = copy(&mut line, &mut sink()).await;
            return;
        }
        // Clients number their streams 1, 3, 5, and leave none out that they have not given up
        // before it was sent.
        let (io, streams) = (TokioIo::new(line.clone()), AtomicU32::new(1));
        let service = service_fn(|request: Request<Incoming>| {
            let form = Form::Http2 { stream: streams.fetch_add(2, Ordering::Relaxed) };
            let (connection, mut line) = (self.clone(), line.clone());
            async move {
                let (parts, body) = request.into_parts();
                if let Ok(body) = body.collect().await {
                    let script = connection.asked(Request::from_parts(parts, body.to_bytes()));
                    play(script, &mut line, form).await;
                }
                // It is all on the wire; hyper is not to add anything.
                pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
            }
        });
        // To hyper, no stream ever ends.
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.max_concurrent_streams(None).serve_connection(io, service).await;
    }

    /// The script that is for the connection, if that is what comes next.
    fn at_once(&self) -> Option<Vec<Act>> {
        let mut scripts = self.scripts.lock().unwrap();
        matches!(scripts[0].first(), Some(Act::AtOnce)).then(|| next(&mut scripts))
    }

    /// Tells of a request, and gives the script for it.
    fn asked(&self, request: Request<Bytes>) -> Vec<Act> {
        let number = || self.numbers.fetch_add(1, Ordering::Relaxed);
        let connection = *self.number.get_or_init(number);
        // The test may have seen all that it wanted.
        let _ = self.tell.send(Asked { connection, request });
        next(&mut self.scripts.lock().unwrap())
    }
}

/// The last script is never used up.
fn next(scripts: &mut VecDeque<Vec<Act>>) -> Vec<Act> {
    if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
}

/// Does all that the script says. Gives whether the connection is open still.
async fn play(script: Vec<Act>, line: &mut Line, mut form: Form) -> bool {
    for act in script {
        let bytes = match act {
            Act::AtOnce => continue,
            Act::Head(status_code, headers) => form.head(status_code, &headers),
            Act::Data(data) => form.data(&data),
            Act::End => form.end(None),
            Act::Trailer(name, value) => form.end(Some((name, value))),
            Act::Raw(text) => text.into(),
            Act::RstStream(reason) => form.rst_stream(reason),
            Act::GoAway { last, reason } => go_away(last, reason),
            Act::Wait(gate) => {
                gate.wait().await;
                continue;
            }
            Act::Meet(barrier) => {
                barrier.wait().await;
                continue;
            }
            Act::Hang => pending().await,
            Act::Echo => {
                let _ = copy(&mut line.clone(), line).await;
                let _ = line.shutdown().await;
                return false;
            }
            Act::Close => {
                let _ = line.shutdown().await;
                return false;
            }
            Act::Cut => {
                line.cut();
                return false;
            }
            Act::Reset => {
                line.reset();
                return false;
            }
        };
        // Whoever has gone needs no more of it.
        if line.write_all(&bytes).await.is_err() || line.flush().await.is_err() {
            return false;
        }
    }
    true
}
