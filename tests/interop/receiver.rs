//! Where rotel sends what it has received.

use std::{
    io::Read,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::post,
};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use tokio::{net::TcpListener, runtime};

use crate::PATIENCE;

/// The bodies that come in, of each signal.
pub(crate) struct Arrivals {
    traces: Receiver<Vec<u8>>,
    metrics: Receiver<Vec<u8>>,
    logs: Receiver<Vec<u8>>,
}

/// Starts a receiver that lives as long as the process. Gives its address, and what comes in there.
pub(crate) fn start() -> (SocketAddr, Arrivals) {
    let (tell, told) = mpsc::channel();
    let (of_traces, traces) = mpsc::channel();
    let (of_metrics, metrics) = mpsc::channel();
    let (of_logs, logs) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let app = Router::new()
                .route("/v1/traces", post(receive).with_state(of_traces))
                .route("/v1/metrics", post(receive).with_state(of_metrics))
                .route("/v1/logs", post(receive).with_state(of_logs));
            axum::serve(listener, app).await.unwrap();
        });
    });
    (told.recv().unwrap(), Arrivals { traces, metrics, logs })
}

impl Arrivals {
    /// The next request of spans. Each of these waits for it.
    pub(crate) fn traces(&self) -> ExportTraceServiceRequest {
        next(&self.traces)
    }

    /// The next request of metrics.
    pub(crate) fn metrics(&self) -> ExportMetricsServiceRequest {
        next(&self.metrics)
    }

    /// The next request of log records.
    pub(crate) fn logs(&self) -> ExportLogsServiceRequest {
        next(&self.logs)
    }
}

/// What a decoder does not know it leaves out, so a message alone does not say it all: it has to be
/// of the same bytes.
fn next<M: Message + Default>(of_signal: &Receiver<Vec<u8>>) -> M {
    let arrived = of_signal.recv_timeout(PATIENCE).unwrap();
    let decoded = M::decode(&*arrived).unwrap();
    assert!(decoded.encode_to_vec() == arrived, "not all that has arrived is known");
    decoded
}

async fn receive(
    State(arrive): State<Sender<Vec<u8>>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    const PROTOBUF: &str = "application/x-protobuf";
    assert_eq!(headers[header::CONTENT_TYPE], PROTOBUF);
    let body = match headers.get(header::CONTENT_ENCODING) {
        None => body.to_vec(),
        // Rotel compresses, whatever it is told.
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            let mut plain = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
            plain
        }
    };
    arrive.send(body).unwrap();
    // An empty message: all of it was taken.
    [(header::CONTENT_TYPE, PROTOBUF)]
}
