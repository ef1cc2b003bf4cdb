//! Server-sent events: a span that ends with the head, beside a download's, which lasts.
//!
//! ```sh
//! cargo run --example sse
//! ```
//!
//! serves events and a download on a free port, reads some of the one and all of the other, prints
//! each trace as a tree and ends. With `-- --serve` the server stays up until Ctrl-C.

use std::{
    convert::Infallible,
    env,
    error::Error,
    future::IntoFuture,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::header,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tower_telemetry::{Telemetry, TraceLayer, sdk::export::ConsoleExporter, server::SpanEnd};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one event to the next, and from one piece of a download to the next.
const PAUSE: Duration = Duration::from_millis(20);

type BoxError = Box<dyn Error + Send + Sync>;

/// Nobody waits for the end of a stream of events: a span that did would be there hours later, last
/// for hours, and be `cancelled`, since such a stream ends when the client hangs up. With
/// [`SpanEnd::Head`] it says how long the stream took to begin.
fn app(telemetry: &Telemetry) -> Router {
    let layer = TraceLayer::new().with_telemetry(telemetry);

    // Either the handler says so of its own response ...
    let by_handler = Router::new()
        .route("/events", get(events))
        // What all else does: the span lasts until the last frame, so a download's has all of it.
        .route("/download", get(download))
        .layer(layer.clone());

    // ... or the layer of every response that looks like one.
    let by_layer =
        Router::new().route("/prices", get(prices)).layer(layer.with_span_end_by(|response| {
            match response.headers().get(header::CONTENT_TYPE) {
                Some(kind) if kind.as_bytes().starts_with(b"text/event-stream") => SpanEnd::Head,
                _ => SpanEnd::Body,
            }
        }));
    by_handler.merge(by_layer)
}

async fn events() -> impl IntoResponse {
    // The handler's word counts before the layer's.
    (Extension(SpanEnd::Head), Sse::new(ticks()).keep_alive(KeepAlive::default()))
}

async fn prices() -> impl IntoResponse {
    Sse::new(ticks()).keep_alive(KeepAlive::default())
}

async fn download() -> impl IntoResponse {
    let pieces = slowly().take(5).map(|_| Ok::<_, Infallible>(Bytes::from_static(&[0; 1024])));
    Body::from_stream(pieces)
}

/// Events without end.
fn ticks() -> impl Stream<Item = Result<Event, Infallible>> {
    slowly().map(|count| Ok(Event::default().data(count.to_string())))
}

fn slowly() -> impl Stream<Item = u64> {
    stream::iter(0..).then(|count| async move {
        sleep(PAUSE).await;
        count
    })
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
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

    if env::args().any(|argument| argument == "--serve") {
        for path in ["events", "prices", "download"] {
            say(format_args!("shop  http://{address}/{path}"));
        }
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, so that every span has ended; then what is left to be exported. A client
    // that stays for more events is not waited for.
    drop(stop);
    let served = timeout(PATIENCE, server).await;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    match served {
        Ok(served) => served??,
        Err(_) => say(format_args!("some streams were still open")),
    }
    Ok(())
}

async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for path in ["/events", "/prices"] {
        say(format_args!("GET {path}  (three events, then the client hangs up)"));
        let mut response = client.get(format!("http://{shop}{path}")).send().await?;
        // The tree is printed by now: the head is here.
        for _ in 0..3 {
            let event = response.chunk().await?.unwrap_or_default();
            say(format_args!("  {}", String::from_utf8_lossy(&event).trim_end()));
        }
    }
    say(format_args!("GET /download"));
    client.get(format!("http://{shop}/download")).send().await?.bytes().await?;

    say(format_args!("GET /download  (the client hangs up halfway)"));
    let mut response = client.get(format!("http://{shop}/download")).send().await?;
    response.chunk().await?;
    // The server notices in its own time; its end waits for that.
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
