//! A server on plain hyper: no router, no framework, HTTP/1 and HTTP/2 on one port.
//!
//! ```sh
//! cargo run --example hyper_server
//! ```
//!
//! serves a shop on a free port, asks it over both protocols, prints each trace as a tree with all
//! that is known of the connection, and ends. With `-- --serve` the shop stays up until Ctrl-C.

use std::{
    convert::Infallible,
    env,
    error::Error,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_telemetry::{
    RouteLayer, Telemetry, TraceLayer, sdk::export::ConsoleExporter, server::Connection,
};

/// How long the end may take, for the server and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves each connection until `stopped`, and then what is still open.
async fn serve(
    listener: TcpListener,
    layer: TraceLayer,
    stopped: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let open = GracefulShutdown::new();
    let mut stopped = pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        let Ok((stream, peer)) = accepted else {
            // No more file descriptors, for one. Some will be free again.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // One that is gone already is no reason to serve no other.
        let Ok(connection) = connection(&stream, peer) else { continue };

        let service = ServiceBuilder::new()
            // Outside of the layer, which takes the addresses from the request's extensions. With
            // TLS, `with_tls` belongs here, too.
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection);
                request
            })
            // A clone shares all of its settings.
            .layer(layer.clone())
            .service(service_fn(shop));
        let serving = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let serving = open.watch(serving);
        tokio::spawn(async move {
            // What an error, a reset for one, did to a request is on the request's span.
            let _ = serving.await;
        });
    }
    drop(listener);
    // No new connections, but for those that are here there is some time.
    if timeout(PATIENCE, open.shutdown()).await.is_err() {
        say(format_args!("some requests were still open"));
    }
    Ok(())
}

fn connection(stream: &TcpStream, peer: SocketAddr) -> io::Result<Connection> {
    Ok(Connection::new().with_peer(peer).with_local(stream.local_addr()?))
}

/// All there is of a router. What it leads to says its own route, since no one else knows it.
async fn shop(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().starts_with("/items/") {
        return RouteLayer::of("/items/{id}").layer(service_fn(item)).oneshot(request).await;
    }
    // No route: the span is named after the method alone.
    Ok(response(StatusCode::NOT_FOUND, ""))
}

async fn item(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = request.uri().path().trim_start_matches("/items/");
    Ok(match id.parse::<u32>() {
        Ok(id) => response(StatusCode::OK, format!("item {id}\n")),
        Err(_) => response(StatusCode::BAD_REQUEST, "not a number\n"),
    })
}

fn response(status_code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status_code;
    response
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        // What differs here is the connection, which is not shown as a rule.
        .with_console(ConsoleExporter::stdout().with_all_attributes())
        .build()?;
    let layer =
        TraceLayer::new().with_telemetry(&telemetry).with_network_local().with_network_transport();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, layer, async {
        let _ = stopped.await;
    }));

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("shop  http://{address}/items/42"));
        say(format_args!("Ctrl-C ends it"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(address).await?;
    }

    // First the server, so that every span has ended; then what is left to be exported.
    drop(stop);
    server.await??;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    Ok(())
}

/// Each tree is printed by the time its response is here.
async fn play(shop: SocketAddr) -> Result<(), BoxError> {
    for (protocol, is_http2) in [("HTTP/1.1", false), ("HTTP/2", true)] {
        let client =
            Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http::<Empty<Bytes>>();
        for path in ["/items/42", "/nowhere"] {
            say(format_args!("GET {path} {protocol}"));
            let response = client.get(format!("http://{shop}{path}").parse()?).await?;
            response.into_body().collect().await?;
        }
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
