//! A shop that is set up by the environment, for a collector to send to. The other files here are
//! that collector and what is behind it.
//!
//! ```sh
//! docker compose -f examples/collector/compose.yaml up --detach --wait
//! set -a; . examples/collector/program.env; set +a
//! cargo run --example collector
//! ```
//!
//! serves the shop on a free port, sends it a handful of requests, prints each trace as a tree, says
//! whether the collector has taken all of them and ends, also if there is no collector. With
//! `-- --serve` the shop stays up until Ctrl-C. Traces are at <http://localhost:16686> then, metrics at
//! <http://localhost:9090>, and log records in the Collector's own log.

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
    http::StatusCode,
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tower::{Layer, Service};
use tower_telemetry::{
    ClientTraceLayer, Metrics, Telemetry, TraceLayer,
    client::ClientTrace,
    package_resource,
    sdk::{
        export::{ConsoleExporter, Otlp},
        logs::LogSettings,
        metrics::MetricSettings,
    },
};
use tracing::info;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt};

/// How long the end may take, for the server and then for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Endpoint, protocol, headers, service name, sampler: all of it is in the environment, and has
    // its default where it is not.
    let telemetry = Telemetry::builder()
        .with_resource(package_resource!())
        .with_otlp(Otlp::new())
        .with_console(ConsoleExporter::stdout())
        .with_metrics(MetricSettings::new())
        .with_logs(LogSettings::new())
        .build()?;
    // It is the program's to decide that this is global.
    let logged = telemetry.log_layer().with_filter(LevelFilter::INFO);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(logged))?;
    for destination in telemetry.destinations() {
        say(format_args!("traces go here: {destination}"));
    }
    for warning in telemetry.warnings() {
        say(format_args!("{warning}"));
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = app(&telemetry, address)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/items/42"));
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
    // The books: of each exporter, what became of every span.
    let health = telemetry.health();
    say(format_args!("{health}"));
    if health.lost() + health.in_flight() > 0 {
        say(format_args!("is there a collector? examples/collector/README.md has one"));
    }
    Ok(())
}

/// What the handlers need: the way to the stock, which is in this program, too.
#[derive(Clone)]
struct Stock {
    client: ClientTrace<reqwest::Client>,
    at: SocketAddr,
}

fn app(telemetry: &Telemetry, at: SocketAddr) -> Result<Router, BoxError> {
    let client = ClientTraceLayer::new()
        .with_telemetry(telemetry)
        .with_metrics(Metrics::new())
        .layer(local_client()?);
    let app = Router::new()
        .route("/items/{id}", get(item))
        .route("/stock/{id}", get(stock))
        .route("/report", get(report))
        .layer(
            TraceLayer::new()
                .with_telemetry(telemetry)
                .with_metrics(Metrics::new().with_active_requests()),
        )
        .with_state(Stock { client, at });
    Ok(app)
}

async fn item(State(stock): State<Stock>, Path(id): Path<u32>) -> Result<String, StatusCode> {
    let Stock { mut client, at } = stock;
    let url = format!("http://{at}/stock/{id}").parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let request = reqwest::Request::new(reqwest::Method::GET, url);
    let response = client.call(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    match response.status() {
        StatusCode::OK => response.text().await.map_err(|_| StatusCode::BAD_GATEWAY),
        status_code => Err(status_code),
    }
}

async fn stock(Path(id): Path<u32>) -> Result<String, StatusCode> {
    info!(item = id, "counted");
    if id == 42 { Ok(format!("7 of item {id}\n")) } else { Err(StatusCode::NOT_FOUND) }
}

async fn report() -> Result<String, StatusCode> {
    Err(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A handful of requests from outside, where no trace has begun. Each tree is printed by the time
/// its response is here.
async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let outside = local_client()?;
    for path in ["/items/42", "/items/7", "/report", "/nowhere"] {
        say(format_args!("GET {path}"));
        outside.get(format!("http://{shop}{path}")).send().await?.bytes().await?;
    }
    Ok(())
}

/// A client that goes straight to this machine, whatever proxies it has for others.
fn local_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().build()
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
