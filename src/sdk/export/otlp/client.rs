//! The client under both transports: a pool of connections to one endpoint.

use std::time::Duration;

use http_body::Body;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use crate::sdk::export::otlp::connect::Connector;

/// Less than what load balancers and collectors wait before they close a connection, so that it is
/// seldom they who do it, just when something is sent.
const IDLE: Duration = Duration::from_secs(30);

/// The HTTP versions that a client speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Version {
    #[cfg(feature = "otlp-http")]
    Http1,
    #[cfg(feature = "otlp-grpc")]
    Http2,
}

/// A client whose connections are tasks of the runtime it is used in.
pub(super) fn client<B>(connector: Connector, version: Version) -> Client<Connector, B>
where
    B: Body<Data: Send> + Send,
{
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
    match version {
        #[cfg(feature = "otlp-http")]
        Version::Http1 => {}
        #[cfg(feature = "otlp-grpc")]
        Version::Http2 => {
            builder.http2_only(true).timer(TokioTimer::new());
        }
    }
    builder.build(connector)
}
