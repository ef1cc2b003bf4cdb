//! Which requests are recorded: a ratio, rules, those that failed, and a change while the shop is
//! open.
//!
//! ```sh
//! cargo run --example sampling
//! ```
//!
//! serves a shop on a free port, sends it a handful of requests, prints each trace that is recorded
//! as a tree and ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use opentelemetry::trace::SpanKind;
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tower_telemetry::{
    SamplerBuilder, Telemetry, TraceLayer,
    sdk::{
        export::ConsoleExporter,
        sampler::{RateLimit, Rule},
        tail::TailSampling,
    },
};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

fn sampler() -> SamplerBuilder {
    SamplerBuilder::new()
        // Asked of an orchestrator every few seconds. Also if it fails, and whoever asks.
        .with_rule(
            Rule::drop().with_kind(SpanKind::Server).with_path("/healthz").with_parent_overruled(),
        )
        .with_rule(Rule::keep().with_header("x-debug", "on"))
        // So few that none of this example's are among them.
        .with_ratio(1e-15)
        // Anybody can send `x-debug`, but not too often.
        .with_rate_limit(RateLimit::per_second(10.0))
}

fn app(telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { "an item\n" }))
        .route("/checkout", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/healthz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(TraceLayer::new().with_telemetry(telemetry))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        .with_sampler(sampler())
        // What fails is recorded all the same.
        .with_tail_sampling(TailSampling::new())
        .with_console(ConsoleExporter::stdout())
        .build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = app(&telemetry);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });

    say(format_args!("{}", telemetry.sampler()));
    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/items/42  -H 'x-debug: on'"));
        say(format_args!("      http://{address}/checkout"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address, &telemetry).await?;
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
async fn play(shop: SocketAddr, telemetry: &Telemetry) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |path: &str, debug: &str, what: &str| {
        say(format_args!("GET {path}  ({what})"));
        let request = client.get(format!("http://{shop}{path}")).header("x-debug", debug);
        request.send().await?.bytes().await.map(drop)
    };
    ask("/items/42", "off", "not among the chosen ones").await?;
    ask("/items/42", "on", "kept by a rule").await?;
    ask("/healthz", "on", "dropped by the first rule").await?;
    ask("/checkout", "off", "not chosen, but it failed").await?;

    // Something is wrong with items: look closer, for now.
    let sampler = telemetry.sampler();
    sampler.update(|sampler| sampler.with_rule(Rule::keep().with_path_prefix("/items")))?;
    ask("/items/42", "off", "kept since the change").await?;
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
