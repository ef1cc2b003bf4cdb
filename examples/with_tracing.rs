//! A program on `tracing`: its spans and those of the layers are one trace.
//!
//! ```sh
//! cargo run --example with_tracing
//! ```
//!
//! serves a shop that asks itself on a free port, sends it one request, prints the trace as a tree
//! and ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    future::IntoFuture,
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
use opentelemetry::trace::TracerProvider;
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tower::{Layer, Service};
use tower_telemetry::{
    ClientTraceLayer, Telemetry, TraceLayer, client::ClientTrace, sdk::export::ConsoleExporter,
};
use tracing::{info, instrument, level_filters::LevelFilter};
use tracing_subscriber::layer::SubscriberExt;

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// Sends the spans of `tracing` to where those of the layers go: its layer takes them from the same
/// provider. It also makes each the current one in OpenTelemetry's Context, and that is all it
/// takes: in a handler the `TraceLayer`'s span is the parent of `tracing`'s, which is that of a
/// `ClientTraceLayer`'s. (With its `with_context_activation(false)` the client's span would be
/// beside the handler's and not below it.)
fn subscribe(telemetry: &Telemetry) -> Result<(), BoxError> {
    let spans = tracing_opentelemetry::layer()
        .with_tracer(telemetry.tracer_provider().tracer("shop"))
        // Where in the source, on which thread, how long idle: more than a tree has room for.
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false);
    // Without a filter the HTTP libraries' own spans would be in the tree.
    let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(spans);
    // It is the program's to decide that this is global; no layer of ours does.
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}

/// What the handlers need: the way to the warehouse, which is this program, too.
#[derive(Clone)]
struct Warehouse {
    client: ClientTrace<reqwest::Client>,
    at: SocketAddr,
}

/// The span of the handler is a child of the request's.
#[instrument(skip(warehouse))]
async fn item(
    State(warehouse): State<Warehouse>,
    Path(id): Path<u32>,
) -> Result<String, StatusCode> {
    let count = count(warehouse, id).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(format!("item {id}: {count}"))
}

/// The span of this function is a child of the handler's, and the client's is one of this.
#[instrument(skip(warehouse))]
async fn count(warehouse: Warehouse, id: u32) -> Result<String, BoxError> {
    let Warehouse { mut client, at } = warehouse;
    let request = client.get_ref().get(format!("http://{at}/stock/{id}")).build()?;
    let response = client.call(request).await?;
    Ok(response.error_for_status()?.text().await?)
}

/// The other side of that request: below its server span, this one.
#[instrument]
async fn stock(Path(id): Path<u32>) -> String {
    // An event is one of the span that it is in.
    info!(shelf = 12, "found it");
    "7\n".to_owned()
}

fn app(telemetry: &Telemetry, at: SocketAddr) -> Result<Router, BoxError> {
    // Straight to this machine, whatever proxies it has for others.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let client = ClientTraceLayer::new().with_telemetry(telemetry).layer(client);
    let app = Router::new()
        .route("/items/{id}", get(item))
        .route("/stock/{id}", get(stock))
        .layer(TraceLayer::new().with_telemetry(telemetry))
        .with_state(Warehouse { client, at });
    Ok(app)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        .with_console(ConsoleExporter::stdout())
        .build()?;
    subscribe(&telemetry)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app(&telemetry, address)?).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/items/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        say(format_args!("GET /items/42"));
        let outside = reqwest::Client::builder().no_proxy().build()?;
        outside.get(format!("http://{address}/items/42")).send().await?.bytes().await?;
    }

    // First the server, so that every span has ended; then what is left to be exported.
    drop(stop);
    let served = timeout(PATIENCE, server).await;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    match served {
        Ok(served) => served??,
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
