//! Log lines of JSON that say which span they are of, from a handler and from a task.
//!
//! ```sh
//! cargo run --example logs_with_ids
//! ```
//!
//! serves a shop on a free port, sends it two orders, prints what it logs and each trace as a tree,
//! and ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{Router, extract::Path, http::StatusCode, routing::post};
use opentelemetry::{Context, trace::FutureExt};
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tower_telemetry::{
    Providers, Telemetry, TraceIds, TraceLayer, logs::WithTraceIds, sdk::export::ConsoleExporter,
};
use tracing::{Subscriber, info, warn};
use tracing_subscriber::fmt::MakeWriter;

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// The formatter is tracing-subscriber's own, and is set up as ever. What is around the writer puts
/// `trace_id`, `span_id` and `trace_flags` into its lines; with `.json()` taken away, they are at
/// the end of a line of text.
pub fn subscriber<W>(writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().json().with_writer(WithTraceIds::new(writer)).finish()
}

/// The shop.
pub fn app(telemetry: impl Into<Providers>) -> Router {
    Router::new()
        .route("/orders/{id}", post(order))
        .layer(TraceLayer::new().with_telemetry(telemetry))
}

async fn order(Path(id): Path<u32>) -> (StatusCode, String) {
    // The current span is the request's.
    info!(order = id, "accepted");

    // A task begins without a Context, and its lines would be nobody's. With that of whoever has
    // spawned it they are the request's, though it may be over by then.
    tokio::spawn(pack(id).with_context(Context::current()));

    // For any other logger, or a customer who calls: the same ids as text.
    let ids = TraceIds::current();
    let reference = ids.as_ref().map_or("none", TraceIds::trace_id);
    (StatusCode::ACCEPTED, format!("order {id}, reference {reference}\n"))
}

async fn pack(id: u32) {
    if id == 7 {
        warn!(order = id, "out of stock");
    } else {
        info!(order = id, "packed");
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // It is the program's to decide that this is global.
    tracing::subscriber::set_global_default(subscriber(io::stdout))?;
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        .with_console(ConsoleExporter::stdout())
        .build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app(&telemetry)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    // No span, no ids.
    info!("open");

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  curl -X POST http://{address}/orders/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, so that every span has ended; then what is left to be exported.
    drop(stop);
    let served = timeout(PATIENCE, server).await;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    match served {
        Ok(served) => served??,
        Err(_) => say(format_args!("some requests were still being served")),
    }
    Ok(())
}

async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for id in [42, 7] {
        say(format_args!("POST /orders/{id}"));
        let answer = client.post(format!("http://{shop}/orders/{id}")).send().await?.text().await?;
        say(format_args!("{}", answer.trim_end()));
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
