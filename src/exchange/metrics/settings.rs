//! What a user wants measured.

use std::sync::Arc;

use crate::{
    error::BuildError,
    exchange::{
        attributes::{Attributes, Server},
        hooks::{Ended, Hooks},
        metrics::{hosts::Hosts, streams::Streams},
        outcome::Side,
    },
    head::{RequestHead, ResponseHead},
};

/// What a layer measures, on either side, where it differs from the defaults.
///
/// The default is what the conventions recommend: how long requests take,
/// [`http.server.request.duration`][server] or [`http.client.request.duration`][client], and
/// of gRPC calls [`rpc.server.call.duration` and `rpc.client.call.duration`][rpc], all in seconds,
/// with the conventions' bucket boundaries from 5 ms to 10 s. All else is to be asked for.
///
/// ```
/// use tower_telemetry::{Metrics, TraceLayer};
///
/// let metrics = Metrics::new().with_active_requests().with_response_body_size();
/// let layer = TraceLayer::new().with_metrics(metrics);
/// # let _ = layer;
/// ```
///
/// A duration and the span's are of one reading of the clock, so they are the same to the nanosecond,
/// and so are status and `error.type` on both. A request is measured whether its span is sampled or
/// not, and also if there is no tracer provider. What a [filter](crate::server::Verdict) says of
/// metrics counts for these.
///
/// # Attributes
///
/// | | server | client | gRPC call |
/// |---|---|---|---|
/// | always | `http.request.method` `url.scheme` | `http.request.method` `server.address` `server.port` | `rpc.system.name` `rpc.method` |
/// | if known at the end | `http.response.status_code` `error.type` `http.route` `network.protocol.version` | `http.response.status_code` `error.type` `network.protocol.version` | `rpc.status_code` `error.type`, on a client `server.address` `server.port` |
/// | if asked for | `server.address` `server.port` `user_agent.synthetic.type` | `url.scheme` `url.template` | on a server `server.address` `server.port` |
///
/// `active_requests` has those that are known at the start: method and scheme on a server, method,
/// server and template on a client. The sizes have the same as the duration, and on a client the
/// template.
///
/// # Cardinality
///
/// Each combination of values is a time series that somebody pays for, and strangers choose what
/// they send. So no path and no address of a client is ever on a metric; a method that is not
/// [known](crate::TraceLayer::with_known_methods) is `_OTHER`; a route is the router's pattern; and a server's metrics do
/// not have the `Host` that it was called by, [unless it is listed](Self::with_hosts). A gRPC
/// method has its name if it is on a [list](crate::Grpc::with_methods); without one a server names
/// it once a call of it has ended with `OK`, 1000 of them at most, and what else is called for is
/// `_OTHER`. What is then still too much the SDK [collects in one series][overflow].
///
/// Two things are the user's to bound. A content type of gRPC makes a call of any request, which is
/// then measured as one; [`Grpc::off`](crate::Grpc::off) is for servers of none. And a client names
/// every method and every host that it is told to send to: a gateway that forwards what strangers
/// call has a
/// [list](crate::Grpc::with_methods) and [hosts](Self::with_hosts).
///
/// # Exemplars
///
/// They are what leads from a bucket to a trace. `opentelemetry_sdk` 0.33 [records
/// none][exemplars], so there are none to export.
///
/// [client]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration
/// [exemplars]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplar
/// [overflow]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits
/// [rpc]: https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/
/// [server]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) active_requests: bool,
    pub(super) request_body_size: bool,
    pub(super) response_body_size: bool,
    pub(super) synthetic_type: bool,
    pub(super) url_scheme: bool,
    pub(super) url_template: bool,
    pub(super) hosts: Option<Hosts>,
    pub(super) streams: Option<Streams>,
    pub(super) hooks: Hooks,
}

impl Metrics {
    /// The defaults: durations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the requests that are under way: [`http.server.active_requests`][server], or
    /// [`http.client.active_requests`][client]. Default: it does not.
    ///
    /// What was added for a request is taken away again when its span would end, however it ends,
    /// with the same attributes. gRPC calls are not among them; the conventions for RPC count none.
    ///
    /// [client]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientactive_requests
    /// [server]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserveractive_requests
    pub fn with_active_requests(mut self) -> Self {
        self.active_requests = true;
        self
    }

    /// Measures the bodies of requests, in bytes: [`http.server.request.body.size`][size], and the
    /// same of a client. Default: it does not.
    ///
    /// On a server it is what was read, if a
    /// [`RequestBodySizeLayer`](crate::server::RequestBodySizeLayer) counts that; else it is what
    /// `Content-Length` says, which a stranger can make up; what claims to be larger than a
    /// tebibyte is not believed. On a client it is what `Content-Length` says, or else a
    /// `reqwest::Request`'s body; hyper's clients write that header themselves, further in, so of
    /// their requests it is known if the caller has set it. Of a request that says nothing, nothing
    /// is recorded.
    ///
    /// [size]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestbodysize
    pub fn with_request_body_size(mut self) -> Self {
        self.request_body_size = true;
        self
    }

    /// Measures the bodies of responses, in bytes: [`http.server.response.body.size`][size], and
    /// the same of a client. Default: it does not.
    ///
    /// It is what was handed over before the end. Where the head is all that is waited for, as on a
    /// client [by default](crate::ClientTraceLayer::with_span_end), it is how long the body is said
    /// to be, if that is said.
    ///
    /// [size]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverresponsebodysize
    pub fn with_response_body_size(mut self) -> Self {
        self.response_body_size = true;
        self
    }

    /// Names these hosts, and every other `_OTHER`: `server.address`, and `server.port` where an
    /// entry has one. Default: on a server none is named, and on a client all that it sends to.
    ///
    /// On a server that is [safe against made-up hosts][warning], since only what is listed is
    /// named; on a client it is for those that go wherever they are told, such as crawlers and
    /// webhooks.
    ///
    /// ```
    /// use tower_telemetry::{Metrics, TraceLayer};
    ///
    /// let metrics = Metrics::new().with_hosts(["shop.example", "admin.shop.example:8443"])?;
    /// let layer = TraceLayer::new().with_metrics(metrics);
    /// # let _ = layer;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An entry is no host, and no host with a port.
    ///
    /// [warning]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
    pub fn with_hosts<H: AsRef<str>>(
        mut self,
        hosts: impl IntoIterator<Item = H>,
    ) -> Result<Self, BuildError> {
        self.hosts = Some(Hosts::parse(hosts)?);
        Ok(self)
    }

    /// Tells bots and tests from people on a server's metrics: [`user_agent.synthetic.type`][type],
    /// which is `bot` or `test` or not there. Default: it does not.
    ///
    /// [type]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/user-agent/
    pub fn with_user_agent_synthetic_type(mut self) -> Self {
        self.synthetic_type = true;
        self
    }

    /// Puts `url.scheme` on a client's metrics; on a server's it always is. Default: it does not.
    pub fn with_url_scheme(mut self) -> Self {
        self.url_scheme = true;
        self
    }

    /// Puts the URL's [template](crate::client::UrlTemplate), `url.template`, on the duration of a
    /// client's requests. Default: it is on the other metrics of clients alone, [as the conventions
    /// want it][template].
    ///
    /// [template]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-client
    pub fn with_url_template(mut self) -> Self {
        self.url_template = true;
        self
    }

    /// Keeps streams out of the duration, where minutes of an open connection would look like a
    /// service that takes minutes to answer. Default: they are in there.
    ///
    /// Streams are what is answered with `text/event-stream`, with a switch of protocols (101), or
    /// to a `CONNECT` with success. They are counted apart when they end, in
    /// `tower_telemetry.server.streams` or `tower_telemetry.client.streams`, with the attributes
    /// that the duration would have had; the conventions have no name for that, so it has ours. All
    /// else is measured of them as of any request.
    ///
    /// ```
    /// use tower_telemetry::{Metrics, TraceLayer};
    ///
    /// let metrics = Metrics::new().with_active_requests().with_streams_apart();
    /// let layer = TraceLayer::new().with_metrics(metrics);
    /// # let _ = layer;
    /// ```
    pub fn with_streams_apart(mut self) -> Self {
        self.streams = Some(Streams::Known);
        self
    }

    /// The same, with a predicate that says which responses are streams, also those to gRPC calls.
    /// It alone decides.
    ///
    /// ```
    /// use tower_telemetry::{Metrics, TraceLayer};
    ///
    /// /// Among a response's extensions: it goes on for as long as somebody listens.
    /// #[derive(Clone)]
    /// struct LongPoll;
    ///
    /// let metrics = Metrics::new()
    ///     .with_streams_apart_by(|response| response.extensions().get::<LongPoll>().is_some());
    /// let layer = TraceLayer::new().with_metrics(metrics);
    /// # let _ = layer;
    /// ```
    pub fn with_streams_apart_by<F>(mut self, is_stream: F) -> Self
    where
        F: Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.streams = Some(Streams::By(Arc::new(is_stream)));
        self
    }

    /// Runs `hook` with each request that is measured, to add attributes of your own to all metrics
    /// but `active_requests`. Default: there are none; those of the span are [set
    /// elsewhere](crate::TraceLayer::on_request).
    ///
    /// Their values should be few: each combination is a time series. A key that the conventions
    /// have for requests, such as `url.path`, is not taken.
    ///
    /// ```
    /// use tower_telemetry::{Metrics, TraceLayer};
    ///
    /// let metrics = Metrics::new().on_request(|request, attributes| {
    ///     attributes.set("shop.mobile", request.headers().contains_key("x-mobile-app"));
    /// });
    /// let layer = TraceLayer::new().with_metrics(metrics);
    /// # let _ = layer;
    /// ```
    pub fn on_request<F>(mut self, hook: F) -> Self
    where
        F: Fn(&RequestHead<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.hooks.request.push(Arc::new(hook));
        self
    }

    /// Runs `hook` at the end of each request that is measured, to add attributes of your own, as
    /// [`on_request`](Self::on_request) does at the start. What has been set there stays.
    ///
    /// ```
    /// use tower_telemetry::{Metrics, TraceLayer};
    ///
    /// let metrics = Metrics::new().on_end(|ended, attributes| {
    ///     attributes.set("shop.large", ended.response_size() > 1_000_000);
    /// });
    /// let layer = TraceLayer::new().with_metrics(metrics);
    /// # let _ = layer;
    /// ```
    pub fn on_end<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Ended<'_>, &mut Attributes<'_>) + Send + Sync + 'static,
    {
        self.hooks.end.push(Arc::new(hook));
        self
    }
}

impl Metrics {
    /// The server that was asked, as far as metrics name it.
    pub(crate) fn server(
        &self,
        side: Side,
        server: impl FnOnce() -> Option<Server>,
    ) -> Option<Server> {
        match (&self.hosts, side) {
            (Some(hosts), _) => server().map(|(name, port)| hosts.named(name.as_str(), port)),
            (None, Side::Client) => server(),
            (None, Side::Server) => None,
        }
    }

    pub(crate) fn wants_synthetic_type(&self) -> bool {
        self.synthetic_type
    }

    /// Whether a client's requests have their scheme on them.
    pub(crate) fn wants_url_scheme(&self) -> bool {
        self.url_scheme
    }
}
