//! One trace across two services: a gateway that asks an inventory.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! starts both on free ports, sends a handful of requests through them, prints each trace as a
//! tree and ends. With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the traces go there as well. With
//! `-- --serve` the services stay up until Ctrl-C.

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
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tower::{Layer, Service};
use tower_telemetry::{
    ClientTraceLayer, Telemetry, TraceLayer,
    client::ClientTrace,
    sdk::export::{ConsoleExporter, Otlp},
};

/// How long the end may take, for the services and for the exporters.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // A program is one service as a rule and has one `Telemetry`, which it makes global. This one
    // is two, so each is given its own; the console they share.
    let console = ConsoleExporter::stdout();
    let gateway = telemetry("gateway", &console)?;
    let inventory = telemetry("inventory", &console)?;

    let (stop, stopped) = watch::channel(());
    let (inventory_at, inventory_serves) =
        serve(inventory_app(&inventory), stopped.clone()).await?;
    let (gateway_at, gateway_serves) = serve(gateway_app(&gateway, inventory_at)?, stopped).await?;

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("gateway    http://{gateway_at}/items/42"));
        say(format_args!("inventory  http://{inventory_at}/stock/42"));
        say(format_args!("Ctrl-C ends both"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(gateway_at).await?;
    }

    // First the services, so that every span has ended. A client that keeps its request open is not
    // waited for: its span ends with the program.
    drop(stop);
    let both = async { (gateway_serves.await, inventory_serves.await) };
    let served = timeout(PATIENCE, both).await;
    // Then what they have left in the queues; it blocks, so each on a thread of its own.
    let shutdowns =
        [gateway, inventory].map(|telemetry| spawn_blocking(move || telemetry.shutdown(PATIENCE)));
    for shutdown in shutdowns {
        if let Err(lost) = shutdown.await? {
            say(format_args!("{lost}"));
        }
    }
    match served {
        Ok((gateway, inventory)) => gateway?.and(inventory?)?,
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

/// The set-up of one service.
fn telemetry(service: &'static str, console: &ConsoleExporter) -> Result<Telemetry, BoxError> {
    let mut builder = Telemetry::builder().with_service_name(service).with_console(console.clone());
    // Without a collector the console is all there is.
    if env::var("OTEL_EXPORTER_OTLP_ENDPOINT").is_ok_and(|endpoint| !endpoint.trim().is_empty()) {
        builder = builder.with_otlp(Otlp::new());
    }
    let telemetry = builder.build()?;
    for destination in telemetry.destinations().filter(|name| name.starts_with("OTLP")) {
        say(format_args!("{service} exports: {destination}"));
    }
    for warning in telemetry.warnings() {
        say(format_args!("{service}: {warning}"));
    }
    Ok(telemetry)
}

/// What the gateway's handlers need: the way to the inventory.
#[derive(Clone)]
struct Inventory {
    client: ClientTrace<reqwest::Client>,
    at: SocketAddr,
}

fn gateway_app(telemetry: &Telemetry, at: SocketAddr) -> Result<Router, BoxError> {
    // Any request that goes out through this client is a span, whose context goes along.
    let client = ClientTraceLayer::new().with_telemetry(telemetry).layer(local_client()?);
    let app = Router::new()
        .route("/items/{id}", get(item))
        .route("/report", get(report))
        .layer(TraceLayer::new().with_telemetry(telemetry))
        .with_state(Inventory { client, at });
    Ok(app)
}

async fn item(
    State(inventory): State<Inventory>,
    Path(id): Path<u32>,
) -> Result<String, StatusCode> {
    let Inventory { mut client, at } = inventory;
    let url = format!("http://{at}/stock/{id}").parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let request = reqwest::Request::new(reqwest::Method::GET, url);
    let response = client.call(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    match response.status() {
        StatusCode::OK => response.text().await.map_err(|_| StatusCode::BAD_GATEWAY),
        status_code => Err(status_code),
    }
}

async fn report() -> Result<String, StatusCode> {
    Err(StatusCode::INTERNAL_SERVER_ERROR)
}

fn inventory_app(telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/stock/{id}", get(stock))
        .layer(TraceLayer::new().with_telemetry(telemetry))
}

async fn stock(Path(id): Path<u32>) -> Result<String, StatusCode> {
    if id == 42 { Ok(format!("7 of item {id}\n")) } else { Err(StatusCode::NOT_FOUND) }
}

/// Serves `app` on a free port until `stopped` is.
async fn serve(
    app: Router,
    stopped: watch::Receiver<()>,
) -> Result<(SocketAddr, JoinHandle<io::Result<()>>), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, app).with_graceful_shutdown(closed(stopped));
    Ok((address, tokio::spawn(async move { server.await })))
}

async fn closed(mut stopped: watch::Receiver<()>) {
    // An error says that the sender is gone, which is what is waited for.
    while stopped.changed().await.is_ok() {}
}

/// A handful of requests from outside, where no trace has begun. A span ends with its response, so
/// each tree is printed by the time the response is here.
async fn play(gateway: SocketAddr) -> Result<(), BoxError> {
    let outside = local_client()?;
    for path in ["/items/42", "/items/7?detail=full", "/report", "/nowhere"] {
        say(format_args!("GET {path}"));
        outside.get(format!("http://{gateway}{path}")).send().await?.bytes().await?;
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
