//! A service that strangers can reach, behind one proxy: whom to believe, and what to keep out.
//!
//! ```sh
//! cargo run --example public_edge
//! ```
//!
//! starts a shop and a proxy before it on free ports. A stranger sends a request with a trace, some
//! baggage and an address that are made up, and a secret; the trace is printed as a tree with all
//! its attributes. With `-- --serve` both stay up until Ctrl-C.

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderValue, StatusCode, Uri, header, uri::PathAndQuery},
    response::Response,
    routing::get,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{Context, baggage::BaggageExt};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tower_telemetry::{
    Grpc, HeaderSelector, Redaction, Telemetry, TraceLayer,
    sdk::export::ConsoleExporter,
    server::{Forwarded, RemoteParent},
};

/// How long the end may take, for the servers and for the exporter.
const PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn Error + Send + Sync>;

fn edge(telemetry: &Telemetry) -> Result<TraceLayer, BoxError> {
    let layer = TraceLayer::new()
        .with_telemetry(telemetry)
        // A stranger's `traceparent` would choose our traces and whether they are sampled, and the
        // baggage would go along with our own calls. A new trace; theirs is a link.
        .with_remote_parent(RemoteParent::Link)
        // Nothing here serves gRPC, so what says that it is a call is not.
        .with_grpc(Grpc::off())
        .with_forwarded(
            // As many as there are before us. With one more, the client would be whoever the
            // stranger says. The shop must not be reachable past the proxy.
            Forwarded::from_proxies(1)
                // The proxy writes these alone. A `Forwarded`, which would come first, passes
                // through it as the stranger sent it.
                .with_only_x_forwarded(),
        )
        .with_redaction(
            Redaction::new()
                // The token in the path is as good as a password.
                .with_path_patterns(["/reset/{token}"])?
                // What else strangers put into a query nobody knows beforehand.
                .with_only_query_keys(["page"]),
        )
        // None is recorded unless it is asked for. `authorization` shows that there was one; its
        // value is redacted by default.
        .with_request_headers(HeaderSelector::new(["x-request-id", "authorization"])?);
    Ok(layer)
}

fn shop(telemetry: &Telemetry) -> Result<Router, BoxError> {
    Ok(Router::new().route("/reset/{token}", get(reset)).layer(edge(telemetry)?))
}

async fn reset(Path(_token): Path<String>) -> String {
    // Would be sent along with what the shop asks others.
    let baggage = Context::current().baggage().len();
    format!("{baggage} entries of baggage")
}

/// A request as nobody well-behaved would send it.
async fn play(proxy: SocketAddr) -> Result<(), BoxError> {
    let from = stranger_address();
    let stranger = reqwest::Client::builder().no_proxy().local_address(from).build()?;
    let target = "/reset/t0p-s3cret?page=2&email=me@example.com";
    say(format_args!("GET {target}  (a stranger at {})", from.unwrap_or(LOCALHOST)));
    let mut request =
        stranger.get(format!("http://{proxy}{target}")).header(header::HOST, "shop.example");
    for (name, value) in SENT {
        say(format_args!("  {name}: {value}"));
        request = request.header(name, value);
    }
    let answer = request.send().await?.text().await?;
    say(format_args!("the shop saw {answer}"));
    Ok(())
}

const SENT: [(&str, &str); 7] = [
    ("authorization", "Bearer t0p-s3cret"),
    ("x-request-id", "7f1c"),
    // Made up: a trace that is none of ours, and other people's address and host.
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("baggage", "tenant=somebody-else"),
    ("forwarded", "for=203.0.113.7;host=evil.example"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-host", "evil.example"),
];

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Not the proxy's, where a machine has more than one address for itself without set-up.
fn stranger_address() -> Option<IpAddr> {
    cfg!(target_os = "linux").then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)))
}

/// A reverse proxy, as far as headers go.
#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Body>,
    to: SocketAddr,
}

async fn forward(
    State(Proxy { client, to }): State<Proxy>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Result<Response, StatusCode> {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let target = format!("http://{to}{target}");
    *request.uri_mut() = target.parse::<Uri>().map_err(|_| StatusCode::BAD_REQUEST)?;

    let headers = request.headers_mut();
    // Appended, so that what a stranger wrote stays on the left of it.
    let peer = peer.ip().to_string();
    let peer = HeaderValue::try_from(peer).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    headers.append("x-forwarded-for", peer);
    // Set, whatever was there. Real ones have a certificate, so the stranger has asked for https.
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    headers.remove("x-forwarded-host");
    if let Some(host) = headers.remove(header::HOST) {
        headers.insert("x-forwarded-host", host);
    }
    let response = client.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.map(Body::new))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::builder()
        .with_service_name("shop")
        // Addresses, scheme and host are not shown as a rule.
        .with_console(ConsoleExporter::stdout().with_all_attributes())
        .build()?;

    let (stop, stopped) = watch::channel(());
    let (shop_at, shop_serves) = serve(shop(&telemetry)?, stopped.clone()).await?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let proxy = Router::new().fallback(forward).with_state(Proxy { client, to: shop_at });
    let (proxy_at, proxy_serves) = serve(proxy, stopped).await?;

    if env::args().any(|argument| argument == "--serve") {
        say(format_args!("proxy  http://{proxy_at}/reset/t0p-s3cret"));
        say(format_args!("shop   http://{shop_at}/reset/t0p-s3cret"));
        say(format_args!("Ctrl-C ends both"));
        tokio::signal::ctrl_c().await?;
    } else {
        play(proxy_at).await?;
    }

    // First the servers, so that every span has ended; then what is left to be exported.
    drop(stop);
    let both = async { (proxy_serves.await, shop_serves.await) };
    let served = timeout(PATIENCE, both).await;
    spawn_blocking(move || telemetry.shutdown(PATIENCE)).await??;
    match served {
        Ok((proxy, shop)) => proxy?.and(shop?)?,
        Err(_) => say(format_args!("some requests were still open")),
    }
    Ok(())
}

/// Serves `app` on a free port until `stopped` is.
async fn serve(
    app: Router,
    mut stopped: watch::Receiver<()>,
) -> Result<(SocketAddr, JoinHandle<io::Result<()>>), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        // An error says that the sender is gone, which is what is waited for.
        while stopped.changed().await.is_ok() {}
    });
    Ok((address, tokio::spawn(server.into_future())))
}

/// `println!` panics when nobody reads any more, `| head` for one.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
