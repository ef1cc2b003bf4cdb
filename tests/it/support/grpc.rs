//! A gRPC service of each kind of call that does as it is told, and both ends around it.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, sync::Notify};
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tower::Layer;
use tower_telemetry::{ClientTraceLayer, TraceLayer, client::ClientTrace};

/// What `scripts/proto` makes of `proto/shop.proto`.
pub(crate) mod shop {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::pedantic)]

    include!("../../../proto/shop.rs");
}

use shop::{
    Item, Stock,
    inventory_client::InventoryClient,
    inventory_server::{Inventory, InventoryServer},
};

/// The four kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    BothStream,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Unary, Self::ClientStream, Self::ServerStream, Self::BothStream];

    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Unary => "shop.v1.Inventory/Get",
            Self::ClientStream => "shop.v1.Inventory/Add",
            Self::ServerStream => "shop.v1.Inventory/Watch",
            Self::BothStream => "shop.v1.Inventory/Sync",
        }
    }

    /// Whether the server sends a stream.
    pub(crate) fn streams_back(self) -> bool {
        matches!(self, Self::ServerStream | Self::BothStream)
    }
}

/// What a server does with a call, which it is told by the name of the item that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Do {
    /// Ends with this status before anything else.
    End(Code),
    /// Ends with this status after a message.
    EndLater(Code),
    Panic,
    /// Panics after a message, which only a stream can.
    PanicLater,
    /// Says that it was called, and answers nothing, until it is let go of.
    Hang,
    /// Answers a message, and then no more.
    HangLater,
    /// Reads nothing of what the client goes on to send.
    EndEarly,
}

impl Do {
    fn item(self) -> Item {
        let name = match self {
            Self::End(code) => format!("end {}", code as i32),
            Self::EndLater(code) => format!("later {}", code as i32),
            Self::Panic => "panic".to_owned(),
            Self::PanicLater => "panic-later".to_owned(),
            Self::Hang => "hang".to_owned(),
            Self::HangLater => "hang-later".to_owned(),
            Self::EndEarly => "early".to_owned(),
        };
        Item { name }
    }

    fn of(item: &Item) -> Self {
        let code = |code: &str| Code::from_i32(code.parse().unwrap());
        match item.name.split_once(' ').unwrap_or((&item.name, "")) {
            ("end", number) => Self::End(code(number)),
            ("later", number) => Self::EndLater(code(number)),
            ("panic", _) => Self::Panic,
            ("panic-later", _) => Self::PanicLater,
            ("hang", _) => Self::Hang,
            ("hang-later", _) => Self::HangLater,
            ("early", _) => Self::EndEarly,
            other => panic!("{other:?} is nothing to do"),
        }
    }
}

/// A service that does what it is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shop {
    /// Told of each call that hangs.
    hangs: Arc<Notify>,
}

type Stocks = Pin<Box<dyn Stream<Item = Result<Stock, Status>> + Send>>;

fn status(code: Code) -> Status {
    Status::new(code, "as it was told to")
}

impl Shop {
    async fn one(&self, told: Do) -> Result<Response<Stock>, Status> {
        match told {
            Do::End(Code::Ok) | Do::EndLater(Code::Ok) | Do::EndEarly => {
                Ok(Response::new(Stock { count: 7 }))
            }
            Do::End(code) | Do::EndLater(code) => Err(status(code)),
            Do::Panic | Do::PanicLater => panic!("the service panics, as it was told to"),
            Do::Hang | Do::HangLater => self.hang().await,
        }
    }

    async fn many(&self, told: Do) -> Result<Response<Stocks>, Status> {
        let first = stream::iter([Ok(Stock { count: 7 })]);
        let stocks: Stocks = match told {
            Do::End(Code::Ok) => Box::pin(stream::empty()),
            Do::EndLater(Code::Ok) | Do::EndEarly => Box::pin(first),
            Do::EndLater(code) => Box::pin(first.chain(stream::iter([Err(status(code))]))),
            Do::PanicLater => Box::pin(
                first.chain(stream::poll_fn(|_| panic!("the stream panics, as it was told to"))),
            ),
            Do::HangLater => {
                let shop = self.clone();
                let rest = stream::once(async move { shop.hang().await });
                Box::pin(first.chain(rest))
            }
            Do::End(_) | Do::Panic | Do::Hang => {
                return self.one(told).await.map(|_| unreachable!("it has not ended well"));
            }
        };
        Ok(Response::new(stocks))
    }

    async fn hang<T>(&self) -> T {
        self.hangs.notify_one();
        std::future::pending().await
    }
}

#[tonic::async_trait]
impl Inventory for Shop {
    async fn get(&self, request: Request<Item>) -> Result<Response<Stock>, Status> {
        self.one(Do::of(request.get_ref())).await
    }

    async fn add(&self, request: Request<Streaming<Item>>) -> Result<Response<Stock>, Status> {
        let mut items = request.into_inner();
        let told = Do::of(&items.message().await?.unwrap());
        if told != Do::EndEarly {
            while items.message().await?.is_some() {}
        }
        self.one(told).await
    }

    type WatchStream = Stocks;

    async fn watch(&self, request: Request<Item>) -> Result<Response<Stocks>, Status> {
        self.many(Do::of(request.get_ref())).await
    }

    type SyncStream = Stocks;

    async fn sync(&self, request: Request<Streaming<Item>>) -> Result<Response<Stocks>, Status> {
        let told = Do::of(&request.into_inner().message().await?.unwrap());
        self.many(told).await
    }
}

/// A tonic server with a layer around it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shop: Shop,
}

impl Server {
    pub(crate) async fn start(layer: TraceLayer) -> Self {
        Self::start_with(layer, tonic::transport::Server::builder()).await
    }

    pub(crate) async fn start_with(layer: TraceLayer, server: tonic::transport::Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shop, mut server) = (Shop::default(), server.layer(layer));
        let server = server
            .add_service(InventoryServer::new(shop.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        Self { address, shop }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// A client of its own connection, which says where it leads.
    pub(crate) fn client(&self, layer: ClientTraceLayer) -> Client {
        client(&self.endpoint(), layer)
    }

    /// Until a call hangs.
    pub(crate) async fn hangs(&self) {
        self.shop.hangs.notified().await;
    }
}

pub(crate) type Client = InventoryClient<ClientTrace<Channel>>;

pub(crate) fn client(endpoint: &Endpoint, layer: ClientTraceLayer) -> Client {
    let layer = layer.with_grpc_target(endpoint.uri().to_string()).unwrap();
    InventoryClient::new(layer.layer(endpoint.connect_lazy()))
}

/// Calls, and reads to the end: how many messages came, and which status.
pub(crate) async fn call(client: &mut Client, kind: Kind, told: Do) -> (usize, Code) {
    match begin(client, kind, told, None).await {
        Ok(Begun::Answered) => (1, Code::Ok),
        Ok(Begun::Streaming(mut stocks)) => {
            let mut messages = 0;
            loop {
                match stocks.message().await {
                    Ok(Some(_)) => messages += 1,
                    Ok(None) => return (messages, Code::Ok),
                    Err(status) => return (messages, status.code()),
                }
            }
        }
        Err(status) => (0, status.code()),
    }
}

/// A call that has been answered so far.
#[derive(Debug)]
pub(crate) enum Begun {
    Answered,
    Streaming(Box<Streaming<Stock>>),
}

/// Calls, and waits for as much as the call gives before its messages. What a client streams does
/// not end where the server is to end early.
pub(crate) async fn begin(
    client: &mut Client,
    kind: Kind,
    told: Do,
    timeout: Option<Duration>,
) -> Result<Begun, Status> {
    let item = told.item();
    let items = stream::iter([item.clone(), Item { name: "another".to_owned() }]);
    let items = match told {
        Do::EndEarly => items.chain(stream::pending()).left_stream(),
        _ => items.right_stream(),
    };
    fn with<T>(message: T, timeout: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        request
    }
    Ok(match kind {
        Kind::Unary => {
            client.get(with(item, timeout)).await?;
            Begun::Answered
        }
        Kind::ClientStream => {
            client.add(with(items, timeout)).await?;
            Begun::Answered
        }
        Kind::ServerStream => {
            Begun::Streaming(client.watch(with(item, timeout)).await?.into_inner().into())
        }
        Kind::BothStream => {
            Begun::Streaming(client.sync(with(items, timeout)).await?.into_inner().into())
        }
    })
}
