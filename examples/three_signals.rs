//! Traces, metrics and logs of one request, sent to one collector.
//!
//! ```sh
//! cargo run --example three_signals
//! ```
//!
//! serves a shop and something that takes OTLP on free ports, sends the shop a handful of requests,
//! prints each trace as a tree, and what has arrived: each log line and exception beside the span that it was written in. With
//! `OTEL_EXPORTER_OTLP_ENDPOINT` it all goes to the collector there, and that prints. With `-- --serve`
//! the shop stays up until Ctrl-C.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value::Value,
};
use prost::Message;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tower_telemetry::{
    Exceptions, Metrics, Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{
        export::{ConsoleExporter, Otlp},
        logs::LogSettings,
        metrics::MetricSettings,
    },
    server::ServerSpan,
};
use tracing::{Subscriber, info, warn};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};

/// How long the end may take, for the servers and for the exporters.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// One `Otlp` for all three: each takes its own path below the endpoint.
pub fn telemetry(otlp: impl Fn() -> Otlp) -> TelemetryBuilder {
    Telemetry::builder()
        .with_service_name("shop")
        .with_otlp(otlp())
        .with_metrics(MetricSettings::new().with_otlp(otlp()))
        .with_logs(LogSettings::new().with_otlp(otlp()))
}

/// What the program logs goes along, with the ids of the span that is current. It can be beside a
/// layer that prints.
#[must_use]
pub fn subscriber(telemetry: &Telemetry) -> impl Subscriber + Send + Sync + use<> {
    tracing_subscriber::registry().with(telemetry.log_layer().with_filter(LevelFilter::INFO))
}

/// The shop. What a request has failed with is in the logs, too, which is the default.
pub fn app(telemetry: &Telemetry) -> Router {
    Router::new().route("/items/{id}", get(item)).layer(
        TraceLayer::new()
            .with_telemetry(telemetry)
            .with_metrics(Metrics::new().with_active_requests())
            .with_exceptions(Exceptions::Log)
            .with_exception_messages(),
    )
}

async fn item(span: ServerSpan, Path(id): Path<String>) -> Result<String, StatusCode> {
    match id.parse::<u32>() {
        Ok(id) => {
            info!(item = id, "sold");
            Ok(format!("item {id}\n"))
        }
        Err(error) => {
            warn!(item = id, "no number");
            span.record_exception(&error);
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (stop_taking, stopped_taking) = oneshot::channel::<()>();
    let arrived = Arrived::default();
    let taking = TcpListener::bind("127.0.0.1:0").await?;
    let taker = format!("http://{}", taking.local_addr()?);
    let taker_ends = tokio::spawn(serve(taking, arrived.app(), stopped_taking));

    let elsewhere = env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
    let otlp = || match elsewhere {
        true => Otlp::new(),
        false => Otlp::new().with_endpoint(&taker),
    };
    let telemetry = telemetry(otlp).with_console(ConsoleExporter::stdout()).build()?;
    // It is the program's to decide that this is global.
    tracing::subscriber::set_global_default(subscriber(&telemetry))?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, app(&telemetry), stopped));
    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/items/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, so that every span has ended; then what is left of all three.
    drop(stop);
    match telemetry.shutdown_after(timeout(PATIENCE, server), PATIENCE).await {
        Ok(served) => served??,
        Err(error) => say(format_args!("{error}")),
    }
    say(format_args!("{}", telemetry.health()));
    drop(stop_taking);
    timeout(PATIENCE, taker_ends).await???;
    for line in arrived.lines() {
        say(format_args!("{line}"));
    }
    Ok(())
}

async fn serve(
    listener: TcpListener,
    app: Router,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let stopped = async {
        let _ = stopped.await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await
}

async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for path in ["/items/42", "/items/many", "/items/43"] {
        client.get(format!("http://{shop}{path}")).send().await?.bytes().await?;
    }
    Ok(())
}

/// What something that takes OTLP has been sent, in lines of text.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>);

impl Arrived {
    fn app(&self) -> Router {
        Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .with_state(self.clone())
    }

    fn add(&self, signal: &'static str, lines: impl Iterator<Item = String>) {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.entry(signal).or_default().extend(lines);
    }

    fn lines(&self) -> Vec<String> {
        let arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under = |(signal, lines): (&&'static str, &Vec<String>)| {
            std::iter::once((*signal).to_owned()).chain(lines.clone()).collect::<Vec<_>>()
        };
        arrived.iter().flat_map(under).collect()
    }
}

async fn traces(State(arrived): State<Arrived>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans);
    arrived.add("traces", spans.map(|span| format!("  {}  {}", hex(&span.span_id), span.name)));
    StatusCode::OK
}

async fn metrics(State(arrived): State<Arrived>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics);
    arrived.add("metrics", metrics.map(|metric| format!("  {} in {}", metric.name, metric.unit)));
    StatusCode::OK
}

async fn logs(State(arrived): State<Arrived>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportLogsServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
    let records = scopes.flat_map(|scope| scope.log_records);
    let lines = records.map(|record| {
        let body = match record.body.and_then(|body| body.value) {
            Some(Value::StringValue(text)) => text,
            _ => record.event_name,
        };
        format!("  {}  {}  {body}", hex(&record.span_id), record.severity_text)
    });
    arrived.add("logs", lines);
    StatusCode::OK
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
