//! gRPC with tonic on both sides: an axum gateway that calls an inventory, and one trace of it.
//!
//! ```sh
//! cargo run --example grpc_gateway
//! ```
//!
//! starts both on free ports, sends a handful of requests to the gateway, which makes a call of
//! each, prints each trace as a tree and ends. With `-- --serve` both stay up until Ctrl-C.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tonic::{
    Code, Request, Response, Status, Streaming,
    server::NamedService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::Layer;
use tower_telemetry::{
    ClientTraceLayer, Grpc, GrpcMethods, Telemetry, TraceLayer, client::ClientTrace,
    sdk::export::ConsoleExporter,
};

/// What tonic generates of `proto/shop.proto`. In a program of your own a build script does that,
/// and `tonic::include_proto!` includes it.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod shop {
    include!("../proto/shop.rs");
}

use shop::{
    Item, Stock,
    inventory_client::InventoryClient,
    inventory_server::{Inventory, InventoryServer},
};

/// How long the end may take, for the services and for the exporters.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

/// The server's side: a layer like on any other server, and what is to be known of calls.
fn inventory_server(
    listener: TcpListener,
    telemetry: &Telemetry,
    stopped: watch::Receiver<()>,
) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, BoxError> {
    // Other services that strangers call are `_OTHER`, and their names are not those of spans. With
    // single methods on the list, so are other methods of this one.
    let methods = GrpcMethods::new([InventoryServer::<Items>::NAME])?;
    let grpc = Grpc::new().with_methods(methods).without_health_and_reflection();
    let layer = TraceLayer::new().with_telemetry(telemetry).with_grpc(grpc);
    let server = Server::builder()
        .layer(layer)
        .add_service(InventoryServer::new(Items))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), closed(stopped));
    Ok(tokio::spawn(server))
}

/// The client's side: a channel is wrapped like any other client. Where it leads is not in its
/// requests, so the layer is told.
fn inventory_client(
    address: SocketAddr,
    telemetry: &Telemetry,
) -> Result<InventoryClient<ClientTrace<Channel>>, BoxError> {
    let target = format!("http://{address}");
    let channel = Endpoint::from_shared(target.clone())?.connect_lazy();
    let layer = ClientTraceLayer::new().with_telemetry(telemetry).with_grpc_target(target)?;
    Ok(InventoryClient::new(layer.layer(channel)))
}

/// The gateway turns requests into calls. Its own spans are HTTP's.
fn gateway_app(inventory: InventoryClient<ClientTrace<Channel>>, telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/items/{name}", get(item))
        .route("/items/{name}/watch", get(watch_item))
        .layer(TraceLayer::new().with_telemetry(telemetry))
        .with_state(inventory)
}

type Calls = State<InventoryClient<ClientTrace<Channel>>>;

async fn item(State(mut inventory): Calls, Path(name): Path<String>) -> Result<String, StatusCode> {
    let stock = inventory.get(Item { name }).await.map_err(|status| status_code(&status))?;
    Ok(format!("{} left\n", stock.get_ref().count))
}

async fn watch_item(
    State(mut inventory): Calls,
    Path(name): Path<String>,
) -> Result<String, StatusCode> {
    let mut stocks =
        inventory.watch(Item { name }).await.map_err(|status| status_code(&status))?.into_inner();
    let mut text = String::new();
    // To the end, where the status is: a stream that is let go of before is a cancelled call.
    while let Some(Stock { count }) =
        stocks.message().await.map_err(|status| status_code(&status))?
    {
        text += &format!("{count} left\n");
    }
    Ok(text)
}

fn status_code(status: &Status) -> StatusCode {
    match status.code() {
        Code::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// What the inventory has: lamps.
#[derive(Debug)]
struct Items;

type Stocks = Pin<Box<dyn Stream<Item = Result<Stock, Status>> + Send>>;

fn stock(item: &Item) -> Result<Stock, Status> {
    match item.name.as_str() {
        "lamp" => Ok(Stock { count: 7 }),
        "chair" => Err(Status::internal("nobody has counted them")),
        _ => Err(Status::not_found("no such item")),
    }
}

#[tonic::async_trait]
impl Inventory for Items {
    async fn get(&self, request: Request<Item>) -> Result<Response<Stock>, Status> {
        stock(request.get_ref()).map(Response::new)
    }

    async fn add(&self, request: Request<Streaming<Item>>) -> Result<Response<Stock>, Status> {
        let mut items = request.into_inner();
        let mut count = 0;
        while let Some(item) = items.message().await? {
            count += stock(&item)?.count;
        }
        Ok(Response::new(Stock { count }))
    }

    type WatchStream = Stocks;

    async fn watch(&self, request: Request<Item>) -> Result<Response<Stocks>, Status> {
        let Stock { count } = stock(request.get_ref())?;
        let sold = stream::iter((0..3).map(move |sold| Ok(Stock { count: count - sold })));
        Ok(Response::new(Box::pin(sold)))
    }

    type SyncStream = Stocks;

    async fn sync(&self, request: Request<Streaming<Item>>) -> Result<Response<Stocks>, Status> {
        let stocks = request.into_inner().map(|item| stock(&item?));
        Ok(Response::new(Box::pin(stocks)))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let console = ConsoleExporter::stdout();
    let telemetry =
        |name| Telemetry::builder().with_service_name(name).with_console(console.clone()).build();
    let (gateway, inventory) = (telemetry("gateway")?, telemetry("inventory")?);

    let (stop, stopped) = watch::channel(());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let inventory_at = listener.local_addr()?;
    let inventory_serves = inventory_server(listener, &inventory, stopped.clone())?;

    let app = gateway_app(inventory_client(inventory_at, &gateway)?, &gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gateway_at = listener.local_addr()?;
    let serving = axum::serve(listener, app).with_graceful_shutdown(closed(stopped));
    let gateway_serves = tokio::spawn(async move { serving.await });

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("gateway    http://{gateway_at}/items/lamp"));
        say(format_args!("inventory  http://{inventory_at}"));
        say(format_args!("Ctrl-C ends both"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(gateway_at).await?;
    }

    // First the services, so that every span has ended, then what they have left to print.
    drop(stop);
    let both = async { (gateway_serves.await, inventory_serves.await) };
    let served = timeout(PATIENCE, both).await;
    for telemetry in [gateway, inventory] {
        if let Err(lost) = spawn_blocking(move || telemetry.shutdown(PATIENCE)).await? {
            say(format_args!("{lost}"));
        }
    }
    match served {
        Ok((gateway, inventory)) => {
            gateway??;
            inventory??;
        }
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

async fn closed(mut stopped: watch::Receiver<()>) {
    // An error says that the sender is gone, which is what is waited for.
    while stopped.changed().await.is_ok() {}
}

/// One call that ends well, a stream, an item that is not there, which is an error to the client
/// alone, and one that the inventory fails with.
async fn play(gateway: SocketAddr) -> Result<(), BoxError> {
    // Straight to this machine, whatever proxies there are for others.
    let outside = reqwest::Client::builder().no_proxy().build()?;
    for path in ["/items/lamp", "/items/lamp/watch", "/items/table", "/items/chair"] {
        say(format_args!("GET {path}"));
        outside.get(format!("http://{gateway}{path}")).send().await?.bytes().await?;
    }
    Ok(())
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
