//! A service for W3C's test suite of Trace Context to drive: what it is sent, it sends on.
//!
//! ```sh
//! cargo run --example trace_context_service
//! ```
//!
//! serves on port 5000 of this machine, or on the port that is its first argument, until Ctrl-C, and
//! prints each trace as a tree. (It is the one example that plays no requests of its own.) The
//! [suite][suite] is W3C's, and runs against it with
//!
//! ```sh
//! python test.py http://127.0.0.1:5000/test
//! ```
//!
//! What it wants of a service: `POST /test` with a JSON array of `{"url": …, "arguments": […]}`;
//! the service posts each `arguments` to each `url`, as a part of the same trace, and answers 200.
//!
//! [suite]: https://github.com/w3c/trace-context/tree/main/test

use std::{
    env,
    error::Error,
    io::{self, Write},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use reqwest::{Client, Request, Response};
use serde_json::Value;
use tokio::{net::TcpListener, task::spawn_blocking};
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_telemetry::{ClientTraceLayer, Telemetry, TraceLayer, sdk::export::ConsoleExporter};

/// How long a request to the suite, and the end, may take.
const PATIENCE: Duration = Duration::from_secs(5);

type BoxError = Box<dyn Error + Send + Sync>;

/// A traced client, for requests that are built beforehand.
#[derive(Clone)]
struct Caller {
    client: Client,
    traced: BoxCloneSyncService<Request, Response, BoxError>,
}

/// The service, on any port.
///
/// # Errors
///
/// There is no TLS for the client.
pub fn app(telemetry: &Telemetry) -> Result<Router, BoxError> {
    // Straight to this machine, whatever proxies it has for others.
    let client = Client::builder().no_proxy().build()?;
    let traced = ServiceBuilder::new()
        .layer(ClientTraceLayer::new().with_telemetry(telemetry))
        .timeout(PATIENCE)
        .service(client.clone());
    let caller = Caller { client, traced: BoxCloneSyncService::new(traced) };
    Ok(Router::new()
        .route("/test", post(test))
        .with_state(caller)
        .layer(TraceLayer::new().with_telemetry(telemetry)))
}

async fn test(State(caller): State<Caller>, Json(calls): Json<Vec<Value>>) -> StatusCode {
    for call in calls {
        if let Err(error) = caller.clone().call(&call).await {
            // What the suite asks for it knows to be there, so it will say what it misses.
            say(format_args!("{call}: {error}"));
        }
    }
    StatusCode::OK
}

impl Caller {
    async fn call(mut self, call: &Value) -> Result<(), BoxError> {
        let url = call["url"].as_str().ok_or("no url")?;
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(call["arguments"].to_string())
            .build()?;
        self.traced.ready().await?.call(request).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let port = match env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
        None => 5000,
    };
    let telemetry = Telemetry::builder()
        .with_service_name("trace-context")
        .with_console(ConsoleExporter::stdout())
        .build()?;

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let app = app(&telemetry)?;
    say(format_args!("trace-context  http://{}/test", listener.local_addr()?));
    say(format_args!("Ctrl-C ends it"));
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        // Where there is no such signal, it serves on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    server.await?;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
