//! The connection: what a server knows of it and a request does not say.

use std::net::SocketAddr;

use http::Extensions;

/// What a server knows of the connection that a request came over.
///
/// A request says neither who sent it nor, in HTTP/1, whether it was encrypted. A server that
/// accepts connections itself puts a `Connection` into the extensions of each request. Without one,
/// nothing is known; with the feature `axum`, the peer is then that of [`ConnectInfo<SocketAddr>`],
/// which [`into_make_service_with_connect_info`] inserts, and with the feature `tonic` both ends are
/// those of the [`TcpConnectInfo`] that tonic's server inserts.
///
/// An IPv4 address in the guise of IPv6, as a socket for both has it, is recorded as the IPv4
/// address it is.
///
/// ```
/// use tower_telemetry::server::Connection;
///
/// let connection = Connection::new().with_peer("[::ffff:192.0.2.1]:40000".parse()?).with_tls();
/// assert_eq!(connection.peer(), Some("192.0.2.1:40000".parse()?));
/// assert_eq!(connection.local(), None);
/// assert!(connection.is_tls());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// # Example: a server on hyper
///
/// ```no_run
/// use http::{Request, Response};
/// use hyper::{body::Incoming, server::conn::http1};
/// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
/// use tokio::net::TcpListener;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_telemetry::{TraceLayer, server::Connection};
///
/// # async fn serve() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// loop {
///     // One that was gone before it was accepted is no reason to end.
///     let Ok((stream, peer)) = listener.accept().await else { continue };
///     let connection = Connection::new().with_peer(peer);
///
///     let service = ServiceBuilder::new()
///         .map_request(move |mut request: Request<Incoming>| {
///             request.extensions_mut().insert(connection);
///             request
///         })
///         .layer(TraceLayer::new())
///         .service(service_fn(|_| async {
///             Ok::<_, std::convert::Infallible>(Response::new(String::new()))
///         }));
///     let service = TowerToHyperService::new(service);
///     tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
/// }
/// # }
/// ```
///
/// [`ConnectInfo<SocketAddr>`]: https://docs.rs/axum/0.8/axum/extract/connect_info/struct.ConnectInfo.html
/// [`into_make_service_with_connect_info`]: https://docs.rs/axum/0.8/axum/struct.Router.html#method.into_make_service_with_connect_info
/// [`TcpConnectInfo`]: https://docs.rs/tonic/0.14/tonic/transport/server/struct.TcpConnectInfo.html
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    tls: bool,
}

impl Connection {
    /// A connection of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the other end's address: the client's, or that of the proxy before us. Default:
    /// unknown.
    ///
    /// It is [`network.peer.address` and `network.peer.port`][network].
    ///
    /// [network]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
    pub fn with_peer(mut self, address: SocketAddr) -> Self {
        self.peer = Some(canonical(address));
        self
    }

    /// Sets our end's address. Default: unknown.
    ///
    /// It is [`network.local.address` and `network.local.port`][network].
    ///
    /// [network]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/
    pub fn with_local(mut self, address: SocketAddr) -> Self {
        self.local = Some(canonical(address));
        self
    }

    /// Says that the connection is encrypted, so that the [scheme] is `https`, whatever a request
    /// says itself. Default: nothing is known, and the scheme of a request that says none is
    /// `http`.
    ///
    /// [scheme]: https://www.rfc-editor.org/rfc/rfc9112#section-3.3
    pub fn with_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The other end's address.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Our end's address.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether the connection is known to be encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The connection of the request that has these extensions. What ours does not know may be known
    /// to axum or tonic.
    pub(super) fn of(extensions: &Extensions) -> Self {
        let known = extensions.get::<Self>().copied().unwrap_or_default();
        let tonics = tonics(extensions);
        Self {
            peer: known.peer.or_else(|| axums(extensions)).or(tonics.peer),
            local: known.local.or(tonics.local),
            tls: known.tls,
        }
    }
}

/// The address that axum's server has given to the request.
#[cfg(feature = "axum")]
fn axums(extensions: &Extensions) -> Option<SocketAddr> {
    let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
    info.map(|info| canonical(info.0))
}

/// Both ends' addresses as tonic's server has given them to the request, with TLS and without.
#[cfg(feature = "tonic")]
fn tonics(extensions: &Extensions) -> Connection {
    use tonic::transport::server::TcpConnectInfo;

    extensions.get::<TcpConnectInfo>().map_or_else(Connection::new, |info| Connection {
        peer: info.remote_addr().map(canonical),
        local: info.local_addr().map(canonical),
        tls: false,
    })
}

/// Without a server's help no address is known.
#[cfg(not(feature = "axum"))]
fn axums(_: &Extensions) -> Option<SocketAddr> {
    None
}

/// Without a server's help no address is known.
#[cfg(not(feature = "tonic"))]
fn tonics(_: &Extensions) -> Connection {
    Connection::new()
}

/// Keeps the scope of what stays IPv6.
fn canonical(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(address.ip().to_canonical());
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_a_connection_that_nobody_told_of() {
        assert_eq!(Connection::of(&Extensions::new()), Connection::new());
    }

    #[test]
    fn what_the_server_says_is_taken_as_it_is() {
        let said = Connection::new()
            .with_peer("192.0.2.1:1".parse().unwrap())
            .with_local("[fe80::1%7]:2".parse().unwrap())
            .with_tls();
        assert_eq!(said.local().unwrap().to_string(), "[fe80::1%7]:2");
        let mut extensions = Extensions::new();
        extensions.insert(said);
        assert_eq!(Connection::of(&extensions), said);
    }

    #[cfg(feature = "axum")]
    #[test]
    fn axum_is_asked_for_the_peer_that_is_not_known() {
        let info: SocketAddr = "[::ffff:192.0.2.2]:2".parse().unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(axum::extract::ConnectInfo(info));
        let peer = "192.0.2.2:2".parse().unwrap();
        assert_eq!(Connection::of(&extensions), Connection::new().with_peer(peer));

        extensions.insert(Connection::new().with_tls());
        assert_eq!(Connection::of(&extensions), Connection::new().with_peer(peer).with_tls());

        let said = Connection::new().with_peer("192.0.2.1:1".parse().unwrap());
        extensions.insert(said);
        assert_eq!(Connection::of(&extensions), said);
    }

    #[cfg(feature = "tonic")]
    #[test]
    fn tonic_is_asked_for_both_ends_that_nobody_else_knows() {
        let info = tonic::transport::server::TcpConnectInfo {
            local_addr: Some("[::ffff:192.0.2.9]:9".parse().unwrap()),
            remote_addr: Some("[::ffff:192.0.2.2]:2".parse().unwrap()),
        };
        let mut extensions = Extensions::new();
        extensions.insert(info);
        let local = "192.0.2.9:9".parse().unwrap();
        let tonics = Connection::new().with_peer("192.0.2.2:2".parse().unwrap()).with_local(local);
        assert_eq!(Connection::of(&extensions), tonics);

        let said = Connection::new().with_peer("192.0.2.1:1".parse().unwrap());
        extensions.insert(said);
        assert_eq!(Connection::of(&extensions), said.with_local(local));
        extensions.insert(said.with_local("192.0.2.8:8".parse().unwrap()));
        let of_both = said.with_local("192.0.2.8:8".parse().unwrap());
        assert_eq!(Connection::of(&extensions), of_both);
    }
}
