//! The client under both transports: a pool of connections to one endpoint.

use std::time::Duration;

use http_body::Body;
use hyper::rt::Executor;
use hyper_util::{client::legacy::Client, rt::TokioTimer};
use tracing::{
    Dispatch,
    instrument::{WithDispatch, WithSubscriber},
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
    let mut builder = Client::builder(Untraced);
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

/// Runs a future so that nothing is traced of it. h2 and hyper make spans of what they do for those who
/// look for faults in them, and some without a parent, which no suppressed Context reaches: with
/// `tracing-opentelemetry` each export would make the next one.
pub(super) fn untraced<F: Future>(future: F) -> WithDispatch<F> {
    future.with_subscriber(Dispatch::none())
}

/// Runs connections so.
#[derive(Clone, Copy, Debug)]
struct Untraced;

impl<F> Executor<F> for Untraced
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, connection: F) {
        tokio::spawn(untraced(connection));
    }
}
