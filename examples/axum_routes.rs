//! Routes in axum: nested routers, and a span around all of them that knows the route.
//!
//! ```sh
//! cargo run --example axum_routes
//! ```
//!
//! serves a shop on a free port, sends it a handful of requests, prints each trace as a tree and
//! ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tower::Layer;
use tower_telemetry::{
    RouteLayer, Telemetry, TraceLayer,
    sdk::export::ConsoleExporter,
    server::{ServerSpan, Verdict},
};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

fn app(telemetry: &Telemetry) -> Router {
    let orders = Router::new().route("/{id}", get(order));
    let reports = Router::new()
        .route("/{year}", get(report))
        // Outside of a `nest_service` axum does not say what was matched inside, so the router in
        // there says it.
        .layer(RouteLayer::new());

    let shop = Router::new()
        // Of `nest`, axum knows the whole route: `/orders/{id}`.
        .nest("/orders", orders)
        .nest_service("/reports", reports)
        .route("/files/{*path}", get(file))
        .fallback(nothing_here)
        .layer(from_fn(authenticate))
        .route("/healthz", get(|| async { "well" }))
        // Last, so that it is outside of the authentication and what that turns away has its route.
        // Layers of a router run after it has matched: `MatchedPath` is there already.
        .layer(RouteLayer::new());

    // Around the router, so that the span has all of it: routing, every layer, the fallback.
    let shop = TraceLayer::new()
        .with_telemetry(telemetry)
        // Asked of an orchestrator every few seconds, and of no interest.
        .with_filter(|request| match request.path() {
            "/healthz" => Verdict::none(),
            _ => Verdict::all(),
        })
        .layer(shop);
    // `axum::serve` takes axum's own body, which a router makes of any.
    Router::new().fallback_service(shop)
}

/// The router's route is `/files/{*path}`. What is in the path only the handler knows, and its word
/// counts for more.
async fn file(span: ServerSpan, Path(path): Path<String>) -> Result<String, StatusCode> {
    let (bucket, name) = path.split_once('/').ok_or(StatusCode::NOT_FOUND)?;
    span.set_route("/files/{bucket}/{name}");
    Ok(format!("{name} in {bucket}\n"))
}

async fn authenticate(request: Request, next: Next) -> Result<Response, StatusCode> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(token) if token == TOKEN => Ok(next.run(request).await),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

const TOKEN: &str = "Bearer open-sesame";

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}\n")
}

async fn report(Path(year): Path<u16>) -> String {
    format!("report of {year}\n")
}

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        .with_console(ConsoleExporter::stdout())
        .build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // With the peer's address among a request's extensions, the span has it, too.
    let service = app(&telemetry).into_make_service_with_connect_info::<SocketAddr>();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/orders/42"));
        say(format_args!("      -H 'authorization: {TOKEN}'"));
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
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

/// Each tree is printed by the time its response is here.
async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    for (path, token, what) in [
        ("/orders/42", TOKEN, "nested"),
        ("/reports/2024", TOKEN, "nested as a service"),
        ("/files/photos/cat.jpg", TOKEN, "the handler has a better route"),
        ("/orders/42", "Bearer guessed", "turned away, with its route"),
        ("/nowhere", TOKEN, "no route"),
        ("/healthz", "", "filtered: no trace"),
    ] {
        say(format_args!("GET {path}  ({what})"));
        let request = client.get(format!("http://{shop}{path}"));
        request.header(header::AUTHORIZATION, token).send().await?.bytes().await?;
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
