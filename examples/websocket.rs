//! A websocket: one span for the upgrade, and one for each message with a link to it.
//!
//! ```sh
//! cargo run --example websocket
//! ```
//!
//! serves an echo on a free port, sends it a few messages, prints each trace as a tree and ends.
//! With `-- --serve` the server stays up until Ctrl-C.

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
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use opentelemetry::{
    Context, KeyValue,
    trace::{FutureExt, Link, SpanContext, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SdkTracer;
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tokio_tungstenite::{connect_async, tungstenite};
use tower_telemetry::{Telemetry, TraceLayer, sdk::export::ConsoleExporter};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

fn app(telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/echo", any(upgrade))
        .layer(TraceLayer::new().with_telemetry(telemetry))
        .with_state(telemetry.tracer_provider().tracer("echo"))
}

/// The request is over with its answer, 101: its span ends here. The socket goes on by itself, in a
/// task in which no span is current.
async fn upgrade(State(tracer): State<SdkTracer>, upgrade: WebSocketUpgrade) -> Response {
    // Which span that was, taken along as a value. It keeps nothing open.
    let upgraded_by = Context::current().span().span_context().clone();
    upgrade.on_upgrade(|socket| echo(socket, tracer, upgraded_by))
}

async fn echo(mut socket: WebSocket, tracer: SdkTracer, upgraded_by: SpanContext) {
    // An error here is a client that is gone.
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            // Pings are answered by axum, as is the closing.
            continue;
        };
        // Each message begins a trace. As children of the upgrade they would all be one, which goes
        // on for hours after its root has ended: too long to look at, complete only when the socket
        // is closed, and sampled as a whole or not at all. The link says where they came from.
        let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let span = tracer
            .span_builder("echo message")
            .with_links(vec![Link::with_context(upgraded_by.clone())])
            .with_attributes([KeyValue::new("echo.message.size", size)])
            .start_with_context(&tracer, &Context::new());
        let cx = Context::new().with_span(span);
        // Current in all that is done about the message.
        let sent = socket.send(Message::Text(text)).with_context(cx.clone()).await;
        if sent.is_err() {
            cx.span().set_status(Status::error("the client is gone"));
        }
        cx.span().end();
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("echo")
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
        say(format_args!("echo  ws://{address}/echo"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, then what is left to be exported. Sockets are no requests any more, so they
    // are not waited for; a service that cares tells their tasks.
    drop(stop);
    let served = timeout(PATIENCE, server).await;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    match served {
        Ok(served) => served??,
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

async fn play(server: SocketAddr) -> Result<(), BoxError> {
    say(format_args!("an upgrade, and three messages"));
    let (mut socket, _) = connect_async(format!("ws://{server}/echo")).await?;
    for text in ["one", "two", "three"] {
        socket.send(tungstenite::Message::text(text)).await?;
        socket.next().await.transpose()?;
    }
    // The server answers when it is done with all messages, so their trees are printed by then.
    socket.close(None).await?;
    while socket.next().await.transpose()?.is_some() {}
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
