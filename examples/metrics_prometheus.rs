//! Metrics that Prometheus scrapes, from the same layer as the traces.
//!
//! ```sh
//! cargo run --example metrics_prometheus
//! ```
//!
//! serves a shop on a free port, sends it a handful of requests, prints each trace as a tree and what
//! `GET /metrics` answers but for the buckets, and ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_util::stream;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tower_telemetry::{
    Metrics, Telemetry, TraceLayer,
    sdk::{export::ConsoleExporter, metrics::MetricSettings},
    server::Verdict,
};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// Traces for the terminal, and metrics for the registry that `/metrics` shows. Beside the reader,
/// `.with_otlp(..)` would send the same metrics to a collector.
fn telemetry(registry: &Registry) -> Result<Telemetry, BoxError> {
    let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        .with_console(ConsoleExporter::stdout())
        .with_metrics(MetricSettings::new().with_reader(reader))
        .build()?;
    Ok(telemetry)
}

/// The shop.
pub fn app(telemetry: &Telemetry, registry: Registry) -> Router {
    let metrics = Metrics::new()
        .with_active_requests()
        .with_response_body_size()
        // Somebody who listens for an hour is no request that takes an hour.
        .with_streams_apart();
    Router::new()
        .route("/items/{id}", get(item))
        .route("/events", get(events))
        .route("/metrics", get(scrape))
        .layer(
            TraceLayer::new()
                .with_telemetry(telemetry)
                .with_metrics(metrics)
                // Prometheus asks every few seconds, which is nobody's business.
                .with_filter(|request| match request.path() {
                    "/metrics" => Verdict::none(),
                    _ => Verdict::all(),
                }),
        )
        .with_state(registry)
}

async fn item(Path(id): Path<u32>) -> Result<String, StatusCode> {
    match id {
        7 => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Ok(format!("item {id}\n")),
    }
}

async fn events() -> impl IntoResponse {
    Sse::new(stream::iter([Ok::<_, io::Error>(Event::default().data("sold"))]))
}

async fn scrape(State(registry): State<Registry>) -> Result<impl IntoResponse, StatusCode> {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder.encode(&registry.gather(), &mut text).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let registry = Registry::new();
    let telemetry = telemetry(&registry)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app(&telemetry, registry)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop     http://{address}/items/42"));
        say(format_args!("metrics  http://{address}/metrics"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, so that every span has ended; then what is left to be exported.
    drop(stop);
    match telemetry.shutdown_after(timeout(PATIENCE, server), PATIENCE).await {
        Ok(served) => served??,
        Err(error) => say(format_args!("{error}")),
    }
    Ok(())
}

async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let get = async |path: &str| {
        say(format_args!("GET {path}"));
        client.get(format!("http://{shop}{path}")).send().await?.text().await
    };
    for path in ["/items/42", "/items/43", "/items/7", "/events", "/nowhere"] {
        get(path).await?;
    }
    // The buckets are many.
    for line in get("/metrics").await?.lines().filter(|line| !line.contains("_bucket{")) {
        say(format_args!("{line}"));
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
