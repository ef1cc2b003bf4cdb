//! The signal: what an exporter's variables, paths and messages are called for each of them.

#[cfg(feature = "otlp-grpc")]
use http::uri::PathAndQuery;

use crate::sdk::export::otlp::protocol::Protocol;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    #[cfg(feature = "metrics")]
    Metrics,
    #[cfg(feature = "logs")]
    Logs,
}

/// The variables of one signal, each before [the one for all of them][options].
///
/// [options]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) endpoint: [&'static str; 2],
    pub(super) protocol: [&'static str; 2],
    pub(super) headers: [&'static str; 2],
    pub(super) timeout: [&'static str; 2],
    pub(super) compression: [&'static str; 2],
    pub(super) insecure: [&'static str; 2],
    pub(super) certificate: [&'static str; 2],
    pub(super) client_certificate: [&'static str; 2],
    pub(super) client_key: [&'static str; 2],
}

macro_rules! variables {
    ($signal:literal) => {
        Variables {
            endpoint: variables!($signal, "ENDPOINT"),
            protocol: variables!($signal, "PROTOCOL"),
            headers: variables!($signal, "HEADERS"),
            timeout: variables!($signal, "TIMEOUT"),
            compression: variables!($signal, "COMPRESSION"),
            insecure: variables!($signal, "INSECURE"),
            certificate: variables!($signal, "CERTIFICATE"),
            client_certificate: variables!($signal, "CLIENT_CERTIFICATE"),
            client_key: variables!($signal, "CLIENT_KEY"),
        }
    };
    ($signal:literal, $option:literal) => {
        [
            concat!("OTEL_EXPORTER_OTLP_", $signal, "_", $option),
            concat!("OTEL_EXPORTER_OTLP_", $option),
        ]
    };
}

static TRACES: Variables = variables!("TRACES");
#[cfg(feature = "metrics")]
static METRICS: Variables = variables!("METRICS");
#[cfg(feature = "logs")]
static LOGS: Variables = variables!("LOGS");

impl Signal {
    pub(super) fn variables(self) -> &'static Variables {
        match self {
            Self::Traces => &TRACES,
            #[cfg(feature = "metrics")]
            Self::Metrics => &METRICS,
            #[cfg(feature = "logs")]
            Self::Logs => &LOGS,
        }
    }

    /// What a URL from code is called that is this signal's alone.
    pub(super) fn endpoint_setting(self) -> &'static str {
        match self {
            Self::Traces => "OTLP traces endpoint",
            #[cfg(feature = "metrics")]
            Self::Metrics => "OTLP metrics endpoint",
            #[cfg(feature = "logs")]
            Self::Logs => "OTLP logs endpoint",
        }
    }

    /// The path below a base URL that [takes it][paths].
    ///
    /// [paths]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            #[cfg(feature = "metrics")]
            Self::Metrics => "/v1/metrics",
            #[cfg(feature = "logs")]
            Self::Logs => "/v1/logs",
        }
    }

    /// The path of the call that takes it.
    #[cfg(feature = "otlp-grpc")]
    pub(super) fn call(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            #[cfg(feature = "metrics")]
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            #[cfg(feature = "logs")]
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        })
    }

    /// How many items a collector has refused is in this field of its answer, [in JSON][json].
    ///
    /// [json]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    #[cfg(feature = "otlp-json")]
    pub(super) fn rejected(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            #[cfg(feature = "metrics")]
            Self::Metrics => "rejectedDataPoints",
            #[cfg(feature = "logs")]
            Self::Logs => "rejectedLogRecords",
        }
    }

    /// The exporter's [`otel.component.type`][type].
    ///
    /// [type]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/otel/#otel-component-type
    pub(super) fn component_type(self, protocol: Protocol) -> &'static str {
        use Protocol::{Grpc, HttpJson, HttpProtobuf};
        match (self, protocol) {
            (Self::Traces, HttpProtobuf) => "otlp_http_span_exporter",
            (Self::Traces, HttpJson) => "otlp_http_json_span_exporter",
            (Self::Traces, Grpc) => "otlp_grpc_span_exporter",
            #[cfg(feature = "metrics")]
            (Self::Metrics, HttpProtobuf) => "otlp_http_metric_exporter",
            #[cfg(feature = "metrics")]
            (Self::Metrics, HttpJson) => "otlp_http_json_metric_exporter",
            #[cfg(feature = "metrics")]
            (Self::Metrics, Grpc) => "otlp_grpc_metric_exporter",
            #[cfg(feature = "logs")]
            (Self::Logs, HttpProtobuf) => "otlp_http_log_exporter",
            #[cfg(feature = "logs")]
            (Self::Logs, HttpJson) => "otlp_http_json_log_exporter",
            #[cfg(feature = "logs")]
            (Self::Logs, Grpc) => "otlp_grpc_log_exporter",
        }
    }
}
