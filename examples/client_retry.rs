//! Retries: a span for each attempt, each with its number, below one for all of them.
//!
//! ```sh
//! cargo run --example client_retry
//! ```
//!
//! serves an inventory that is busy at first on a free port, asks it until it answers, prints the
//! trace as a tree and ends. With `-- --serve` the inventory stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use opentelemetry::{
    Context,
    trace::{FutureExt, TraceContextExt, Tracer, TracerProvider},
};
use reqwest::{Client, Request, Response};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::spawn_blocking,
    time::{Sleep, sleep, timeout},
};
use tower::{ServiceBuilder, ServiceExt, retry::Policy};
use tower_telemetry::{
    ClientTraceLayer, Telemetry, TraceLayer, client::ResendCountLayer, sdk::export::ConsoleExporter,
};

/// How long the end may take, for the server and for the exporters.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// Tries again, so often at most, when there was no answer or the other side is busy.
#[derive(Clone)]
struct Attempts {
    left: usize,
    pause: Duration,
}

impl Policy<Request, Response, BoxError> for Attempts {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request, result: &mut Result<Response, BoxError>) -> Option<Sleep> {
        let again = match result {
            Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
            Err(_) => true,
        };
        self.left = self.left.checked_sub(1).filter(|_| again)?;
        self.pause *= 2;
        Some(sleep(self.pause))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        request.try_clone()
    }
}

async fn play(inventory: SocketAddr, shop: &Telemetry) -> Result<(), BoxError> {
    let client = Client::builder().no_proxy().build()?;
    let request = client.get(format!("http://{inventory}/stock")).build()?;
    let client = ServiceBuilder::new()
        // Outside of what tries again, or every attempt would be a first one.
        .layer(ResendCountLayer::new())
        .retry(Attempts { left: 3, pause: Duration::from_millis(5) })
        // Inside of it, so that each attempt has a span, and the other side's is below that.
        .layer(ClientTraceLayer::new().with_telemetry(shop))
        // Of one attempt: inside of its span, which says so when it has been too long.
        .timeout(Duration::from_secs(1))
        .service(client);

    say(format_args!("GET /stock, until there is an answer"));
    // What the program wanted, however many attempts that took. In a handler under a `TraceLayer`
    // the server span is current already, and such a span is only for detail.
    let tracer = shop.tracer_provider().tracer("shop");
    let cx = Context::current_with_span(tracer.start("look at the stock"));
    let answer = async { client.oneshot(request).await }.with_context(cx.clone()).await;
    cx.span().end();
    answer?.bytes().await?;
    Ok(())
}

/// Busy twice, then not.
fn app(telemetry: &Telemetry) -> Router {
    let asked = Arc::new(AtomicU32::new(0));
    let stock = async move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => Ok("7\n"),
    };
    Router::new().route("/stock", get(stock)).layer(TraceLayer::new().with_telemetry(telemetry))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Two services in one program, and one console, so that a trace across both is one tree.
    let console = ConsoleExporter::stdout();
    let telemetry =
        |name| Telemetry::builder().with_service_name(name).with_console(console.clone()).build();
    let (shop, inventory) = (telemetry("shop")?, telemetry("inventory")?);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app(&inventory)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("inventory  http://{address}/stock"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address, &shop).await?;
    }

    // First the server, so that every span has ended; then what is left to be exported.
    drop(stop);
    let served = timeout(PATIENCE, server).await;
    for telemetry in [shop, inventory] {
        spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    }
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
