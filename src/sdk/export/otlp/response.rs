//! What a collector says of what it has taken.

use prost::Message;

#[cfg(feature = "otlp-json")]
use crate::sdk::export::otlp::signal::Signal;

/// `ExportTraceServiceResponse`, `ExportMetricsServiceResponse` and `ExportLogsServiceResponse`: on
/// the wire [they are the same][proto].
///
/// [proto]: https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto/collector
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// What it has not taken, and why.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    /// Spans, data points or log records.
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

#[cfg(feature = "otlp-json")]
impl Response {
    /// A body that is none of a collector's says nothing.
    pub(super) fn from_json(body: &[u8], signal: Signal) -> Self {
        let whole: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let partial_success = whole.get("partialSuccess").map(|partial| {
            let rejected = partial.get(signal.rejected());
            let message = partial.get("errorMessage").and_then(serde_json::Value::as_str);
            PartialSuccess {
                rejected: rejected.and_then(number).unwrap_or_default(),
                error_message: message.unwrap_or_default().to_owned(),
            }
        });
        Self { partial_success }
    }
}

/// Numbers of 64 bits are texts in protobuf's JSON, and either is to be read.
#[cfg(feature = "otlp-json")]
fn number(value: &serde_json::Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };

    use super::*;

    fn response(rejected: i64, message: &str) -> Response {
        let error_message = message.to_owned();
        Response { partial_success: Some(PartialSuccess { rejected, error_message }) }
    }

    #[test]
    fn it_is_on_the_wire_what_each_signals_own_is() {
        let of_traces = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "no room".to_owned(),
            }),
        };
        let decoded = Response::decode(&*of_traces.encode_to_vec()).unwrap();
        assert_eq!(decoded, response(3, "no room"));
        #[cfg(feature = "metrics")]
        {
            use opentelemetry_proto::tonic::collector::metrics::v1::{
                ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
            };
            let of_metrics = ExportMetricsServiceResponse {
                partial_success: Some(ExportMetricsPartialSuccess {
                    rejected_data_points: 3,
                    error_message: "no room".to_owned(),
                }),
            };
            assert_eq!(of_metrics.encode_to_vec(), of_traces.encode_to_vec());
        }
        #[cfg(feature = "logs")]
        {
            use opentelemetry_proto::tonic::collector::logs::v1::{
                ExportLogsPartialSuccess, ExportLogsServiceResponse,
            };
            let of_logs = ExportLogsServiceResponse {
                partial_success: Some(ExportLogsPartialSuccess {
                    rejected_log_records: 3,
                    error_message: "no room".to_owned(),
                }),
            };
            assert_eq!(of_logs.encode_to_vec(), of_traces.encode_to_vec());
        }
    }

    #[cfg(feature = "otlp-json")]
    #[test]
    fn in_json_the_number_is_a_text_or_a_number_and_has_each_signals_own_name() {
        let of = |body: &str| Response::from_json(body.as_bytes(), Signal::Traces);
        for body in [
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no room"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"no room"}}"#,
        ] {
            assert_eq!(of(body), response(3, "no room"), "{body}");
        }
        let other = r#"{"partialSuccess":{"rejectedDataPoints":"3"}}"#;
        assert_eq!(of(other), response(0, ""));
        #[cfg(feature = "metrics")]
        assert_eq!(Response::from_json(other.as_bytes(), Signal::Metrics), response(3, ""));
        for nothing in ["", "{}", "[]", "null", "<html>"] {
            assert_eq!(of(nothing), Response::default(), "{nothing}");
        }
    }
}
