//! The instruments, by the names, units and boundaries of the conventions.

use std::{fmt, sync::Arc};

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use crate::exchange::{
    metrics::{methods::Methods, settings::Metrics},
    outcome::Side,
};

/// What one layer records with.
pub(crate) struct Instruments {
    pub(super) side: Side,
    pub(super) metrics: Arc<Metrics>,
    pub(super) duration: Histogram<f64>,
    pub(super) call_duration: Histogram<f64>,
    pub(super) active_requests: Option<UpDownCounter<i64>>,
    pub(super) request_size: Option<Histogram<u64>>,
    pub(super) response_size: Option<Histogram<u64>>,
    pub(super) streams: Option<Counter<u64>>,
    pub(super) methods: Methods,
}

/// In [seconds].
///
/// [seconds]: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
const BOUNDARIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// An instrument's name, and what it measures: both as the conventions have them, so that in one
/// program with other instrumentation they are one metric.
type Named = (&'static str, &'static str);

/// How a side's instruments are called.
struct Names {
    duration: Named,
    call_duration: Named,
    active_requests: Named,
    request_size: Named,
    response_size: Named,
    /// The conventions have no name for it, so it has ours.
    streams: Named,
}

const SERVER: Names = Names {
    duration: ("http.server.request.duration", "Duration of HTTP server requests."),
    call_duration: (
        "rpc.server.call.duration",
        "Measures the duration of an incoming Remote Procedure Call (RPC).",
    ),
    active_requests: ("http.server.active_requests", "Number of active HTTP server requests."),
    request_size: ("http.server.request.body.size", "Size of HTTP server request bodies."),
    response_size: ("http.server.response.body.size", "Size of HTTP server response bodies."),
    streams: ("tower_telemetry.server.streams", "Number of streams that were sent and have ended."),
};

const CLIENT: Names = Names {
    duration: ("http.client.request.duration", "Duration of HTTP client requests."),
    call_duration: (
        "rpc.client.call.duration",
        "Measures the duration of an outgoing Remote Procedure Call (RPC).",
    ),
    active_requests: ("http.client.active_requests", "Number of active HTTP requests."),
    request_size: ("http.client.request.body.size", "Size of HTTP client request bodies."),
    response_size: ("http.client.response.body.size", "Size of HTTP client response bodies."),
    streams: (
        "tower_telemetry.client.streams",
        "Number of streams that were received and have ended.",
    ),
};

impl Instruments {
    /// Those that `metrics` asks for.
    pub(crate) fn new(meter: &Meter, side: Side, metrics: &Arc<Metrics>) -> Self {
        let names = match side {
            Side::Server => SERVER,
            Side::Client => CLIENT,
        };
        let seconds = |(name, description): Named| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(BOUNDARIES.to_vec()).build()
        };
        let bytes = |(name, description): Named| {
            meter.u64_histogram(name).with_unit("By").with_description(description).build()
        };
        let active_requests = |(name, description): Named| {
            let counter = meter.i64_up_down_counter(name).with_unit("{request}");
            counter.with_description(description).build()
        };
        let streams = |(name, description): Named| {
            meter.u64_counter(name).with_unit("{request}").with_description(description).build()
        };
        let wanted = |wanted: bool, names: Named| wanted.then_some(names);
        Self {
            side,
            metrics: Arc::clone(metrics),
            duration: seconds(names.duration),
            call_duration: seconds(names.call_duration),
            active_requests: wanted(metrics.active_requests, names.active_requests)
                .map(active_requests),
            request_size: wanted(metrics.request_body_size, names.request_size).map(bytes),
            response_size: wanted(metrics.response_body_size, names.response_size).map(bytes),
            streams: wanted(metrics.streams.is_some(), names.streams).map(streams),
            methods: Methods::default(),
        }
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").field("methods", &self.methods).finish_non_exhaustive()
    }
}
