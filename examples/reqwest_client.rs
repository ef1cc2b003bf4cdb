//! A reqwest client that traces: among tower's layers, and behind calls that look like reqwest's.
//!
//! ```sh
//! cargo run --example reqwest_client
//! ```
//!
//! serves an inventory on a free port, asks it both ways, prints each trace as a tree and ends.
//! With `-- --serve` the inventory stays up until Ctrl-C.

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use opentelemetry::{Context, trace::FutureExt};
use reqwest::{Client, IntoUrl, Request, RequestBuilder, Response};
use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_telemetry::{
    ClientTraceLayer, Telemetry, TraceLayer,
    client::{ClientTrace, PropagationTargets, SpanEnd, UrlTemplate},
    sdk::export::ConsoleExporter,
};

/// How long the end may take, for the server and for the exporters.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// The first way: a service among others, for requests that are built beforehand.
fn stack(
    layer: ClientTraceLayer,
    client: Client,
) -> impl Service<Request, Response = Response, Error = BoxError> + Clone {
    ServiceBuilder::new()
        .layer(layer)
        // Inside of the span, so that the span says it when it has been too long.
        .timeout(Duration::from_secs(1))
        .service(client)
}

/// The second way: a thin client around the traced one, with what the program needs of reqwest's
/// builder.
struct Traced(ClientTrace<Client>);

struct Outgoing {
    request: RequestBuilder,
    client: ClientTrace<Client>,
    template: UrlTemplate,
}

impl Traced {
    /// What the template is only the caller knows, so it is asked for.
    fn get(&self, url: impl IntoUrl, template: &'static str) -> Outgoing {
        Outgoing {
            request: self.0.get_ref().get(url),
            client: self.0.clone(),
            template: UrlTemplate::new(template),
        }
    }
}

impl Outgoing {
    fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    async fn send(self) -> reqwest::Result<Response> {
        let Self { request, mut client, template } = self;
        let request = request.build()?;
        // A reqwest client is always ready. Nobody can see the extensions of its requests, so the
        // template goes along in the Context.
        let response = async { client.call(request).await };
        response.with_context(Context::current_with_value(template)).await
    }
}

async fn play(inventory: SocketAddr, layer: ClientTraceLayer) -> Result<(), BoxError> {
    // Straight to this machine, whatever proxies it has for others.
    let client = Client::builder().no_proxy().build()?;
    let items = format!("http://{inventory}/items");

    say(format_args!("GET /items/42  (a service among tower's)"));
    let known = layer
        .clone()
        .with_url_template(|request| request.path().starts_with("/items/").then(|| TEMPLATE.into()))
        // The download is a part of what is waited for.
        .with_span_end(SpanEnd::Body)
        .with_response_body_size();
    let request = client.get(format!("{items}/42")).build()?;
    stack(known, client.clone()).oneshot(request).await?.text().await?;

    let traced = Traced(layer.layer(client));
    say(format_args!("GET /items/7  (as one would with reqwest: what is not there)"));
    let answer = traced.get(format!("{items}/7"), TEMPLATE).header("x-tenant", "acme").send();
    answer.await?;

    say(format_args!("GET /items/42  (nobody is listening)"));
    let nobody = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    if let Err(error) = traced.get(format!("http://{nobody}/items/42"), TEMPLATE).send().await {
        say(format_args!("{error}"));
    }
    Ok(())
}

const TEMPLATE: &str = "/items/{id}";

async fn item(Path(id): Path<u32>) -> Result<String, StatusCode> {
    if id == 42 { Ok(format!("item {id}\n")) } else { Err(StatusCode::NOT_FOUND) }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Two services in one program, and one console, so that a trace across both is one tree.
    let console = ConsoleExporter::stdout();
    let telemetry =
        |name| Telemetry::builder().with_service_name(name).with_console(console.clone()).build();
    let (shop, inventory) = (telemetry("shop")?, telemetry("inventory")?);

    let app = Router::new()
        .route(TEMPLATE, get(item))
        .layer(TraceLayer::new().with_telemetry(&inventory));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("inventory  http://{address}/items/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        // Strangers are not told which of our requests belong together.
        let ours = PropagationTargets::hosts(["127.0.0.1", "*.shop.internal"])?;
        let layer = ClientTraceLayer::new().with_telemetry(&shop).with_propagation_targets(ours);
        play(address, layer).await?;
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
