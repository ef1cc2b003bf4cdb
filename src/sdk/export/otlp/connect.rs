//! Connections: TCP, through a proxy if there is one, with TLS if the endpoint has it.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{
        Connected, Connection, HttpConnector,
        proxy::{SocksV5, Tunnel},
    },
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::lookup_host,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, pki_types::ServerName},
};
use tower::Service;

use crate::sdk::export::otlp::{
    endpoint,
    proxy::{Proxy, Way},
};

/// As long as a connection may take to be made, and TLS to be agreed on. Whoever sends has a deadline
/// that is nearer as a rule; but the client goes on connecting when nobody waits for it any more,
/// and what never answers would keep a socket for ever each time.
const LONGEST: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

/// Connects to the endpoint.
#[derive(Clone)]
pub(super) struct Connector {
    hop: Hop,
    proxy: Option<Proxy>,
    tls: Option<Arc<ClientConfig>>,
    alert: Alert,
}

/// What the other side of TLS had to say after a handshake that was fine: with TLS 1.3 it is then
/// that it judges our certificate. A client of HTTP/2 keeps that to itself.
type Alert = Arc<Mutex<Option<rustls::Error>>>;

impl Connector {
    /// `tls` is for an endpoint with `https`, `proxy_tls` for such a proxy.
    pub(super) fn new(
        proxy: Option<Proxy>,
        tls: Option<Arc<ClientConfig>>,
        proxy_tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        // Also `https`, and a proxy's own.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { hop: Hop { tcp, tls: proxy_tls }, proxy, tls, alert: Alert::default() }
    }

    /// What was said on a connection, since the last one was made.
    pub(super) fn alert(&self) -> Option<rustls::Error> {
        self.alert.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn connect(self, to: Uri) -> Result<Stream, BoxError> {
        let Self { mut hop, proxy, tls, alert } = self;
        *alert.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let Some(proxy) = proxy else {
            let stream = hop.tcp(to.clone()).await?;
            return Ok(Stream { alert: Some(alert), ..secured(stream, tls, &to).await? });
        };
        let through = |error: BoxError| Box::new(Through { proxy: proxy.name(), error });
        let stream = match &proxy.way {
            #[cfg(feature = "otlp-http")]
            Way::Forward(_) => {
                let stream = hop.call(proxy.uri.clone()).await.map_err(through)?;
                return Ok(Stream { forwards: true, ..stream });
            }
            Way::Tunnel(credentials) => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), hop);
                if let Some(credentials) = credentials {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                tunnel.call(with_port(&to)).await.map_err(|error| through(error.into()))?
            }
            Way::Socks { credentials, local_names } => {
                let mut socks = SocksV5::new(proxy.uri.clone(), hop);
                if let Some((user, password)) = credentials {
                    socks = socks.with_auth(user.clone(), password.clone());
                }
                let to = if *local_names { looked_up(&to).await? } else { with_port(&to) };
                socks.call(to).await.map_err(|error| through(error.into()))?
            }
        };
        Ok(Stream { alert: Some(alert), ..secured(stream, tls, &to).await? })
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Connecting {
        let connecting = timeout(LONGEST, self.clone().connect(to));
        Box::pin(async {
            connecting.await.unwrap_or_else(|_| Err(format!("nothing after {LONGEST:?}").into()))
        })
    }
}

/// Connects to a proxy.
#[derive(Clone)]
struct Hop {
    tcp: HttpConnector,
    tls: Option<Arc<ClientConfig>>,
}

impl Hop {
    async fn tcp(&mut self, to: Uri) -> Result<Stream, BoxError> {
        Ok(Stream::new(self.tcp.call(to).await?.into_inner()))
    }
}

impl Service<Uri> for Hop {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Connecting {
        let mut hop = self.clone();
        Box::pin(async move {
            let stream = hop.tcp(to.clone()).await?;
            secured(stream, hop.tls, &to).await
        })
    }
}

/// The stream with TLS over it, if the scheme says so.
async fn secured(
    stream: Stream,
    tls: Option<Arc<ClientConfig>>,
    to: &Uri,
) -> Result<Stream, BoxError> {
    let Some(tls) = tls.filter(|_| to.scheme_str() == Some("https")) else {
        return Ok(stream);
    };
    let name = ServerName::try_from(endpoint::host(to).to_owned())?;
    let stream = TlsConnector::from(tls).connect(name, stream.io.into_inner()).await?;
    Ok(Stream::new(stream))
}

/// The same with its port, which is another one by default for who does not know the scheme.
fn with_port(uri: &Uri) -> Uri {
    at(uri, &format!("{}:{}", uri.host().unwrap_or_default(), endpoint::port(uri)))
}

/// The same with an address for a name. hyper-util would wait for it on this thread, which has other
/// exports to see to.
async fn looked_up(uri: &Uri) -> Result<Uri, BoxError> {
    let name = (endpoint::host(uri), endpoint::port(uri));
    let address = lookup_host(name).await?.next().ok_or("the name has no address")?;
    Ok(at(uri, &address.to_string()))
}

fn at(uri: &Uri, authority: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// A connection, whatever it is made of.
pub(super) struct Stream {
    io: TokioIo<Box<dyn Io>>,
    /// Whether there is a proxy at the other end, which wants to know whom a request is for.
    forwards: bool,
    alert: Option<Alert>,
    /// Why nothing more can be written.
    hung_up: Option<io::Error>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Stream {
    fn new(io: impl Io + 'static) -> Self {
        Self { io: TokioIo::new(Box::new(io)), forwards: false, alert: None, hung_up: None }
    }

    fn note(&self, error: &io::Error) {
        if let Some(alert) = &self.alert
            && let Some(said) = error.get_ref().and_then(|error| error.downcast_ref())
        {
            let said: &rustls::Error = said;
            *alert.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.clone());
        }
    }

    /// Writes. Who has hung up may have said why just before, and nobody would read that any more
    /// once a write has failed: so it fails when all has been read.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<Box<dyn Io>>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match self.hung_up.take() {
            Some(error) => error,
            None => match write(Pin::new(&mut self.io), cx) {
                Poll::Ready(Err(error)) if self.alert.is_some() => error,
                written => return written,
            },
        };
        loop {
            let mut rest = [0; 256];
            let mut rest = ReadBuf::new(&mut rest);
            match Pin::new(&mut self.io).poll_read(cx, rest.unfilled()) {
                Poll::Pending => {
                    self.hung_up = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {}
                Poll::Ready(read) => {
                    if let Err(said) = read {
                        self.note(&said);
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.forwards)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        if let Err(error) = &read {
            self.note(error);
        }
        Poll::Ready(read)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write(cx, buffer))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, Write::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, |io, cx| io.poll_write_vectored(cx, buffers))
    }
}

/// What went wrong on the way to a proxy, or there.
#[derive(Debug)]
struct Through {
    proxy: String,
    error: BoxError,
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}", self.proxy)
    }
}

impl Error for Through {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_is_given_up_also_if_nobody_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let proxy = Proxy { uri, way: Way::Tunnel(None) };
        let mut connector = Connector::new(Some(proxy), None, None);
        let connecting = connector.call(Uri::from_static("https://collector.example"));
        let Ok(connected) = timeout(2 * LONGEST, connecting).await else {
            panic!("it was still connecting");
        };
        let error = connected.err().unwrap();
        assert_eq!(error.to_string(), "nothing after 30s");
    }
}
