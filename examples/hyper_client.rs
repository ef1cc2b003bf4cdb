//! A client on plain hyper: no framework, and all that is known of the connection on its span.
//!
//! ```sh
//! cargo run --example hyper_client
//! ```
//!
//! serves an inventory on a free port, sends it one request, prints the trace as a tree and ends.
//! With `-- --serve` the inventory stays up until Ctrl-C.

use std::{
    convert::Infallible,
    env,
    error::Error,
    io::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::spawn_blocking};
use tower::{Layer, ServiceExt, service_fn};
use tower_telemetry::{
    ClientTraceLayer, Telemetry, TraceLayer, client::UrlTemplate, sdk::export::ConsoleExporter,
};

/// How long the end may take.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// One request. The client is a service like any other, so it is wrapped like any other.
async fn ask(layer: ClientTraceLayer, url: &str) -> Result<Bytes, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = layer.layer(client);
    let request = Request::get(url)
        // What all items have in common: it names the span, which `GET` alone would not tell from
        // other requests, nor the URL from those of other items.
        .extension(UrlTemplate::new("/items/{id}"))
        .body(Empty::new())?;
    // `oneshot` waits until the client is ready, which this one always is, and calls it.
    let response = client.oneshot(request).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

/// The other side. It is here so that there is one; `hyper_server` is the example of how to do it.
async fn serve(listener: TcpListener, layer: TraceLayer) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(layer.layer(service_fn(item)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn item(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("an item\n")))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // The peer and the protocol's version are not shown as a rule. The URL names a host; which
    // address that was, and which version both sides speak, the client's response tells.
    let console = ConsoleExporter::stdout().with_all_attributes();
    let telemetry =
        |name| Telemetry::builder().with_service_name(name).with_console(console.clone()).build();
    let (shop, inventory) = (telemetry("shop")?, telemetry("inventory")?);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener, TraceLayer::new().with_telemetry(&inventory)));
    let url = format!("http://localhost:{}/items/42", address.port());

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("inventory  http://{address}/items/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        say(format_args!("GET {url}"));
        ask(ClientTraceLayer::new().with_telemetry(&shop), &url).await?;
    }

    // The server's span has ended by the time its response is here.
    server.abort();
    for telemetry in [shop, inventory] {
        spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
