//! Where rotel sends what it has received.

use std::{
    io::Read,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::post,
};
use flate2::read::GzDecoder;
use tokio::{net::TcpListener, runtime};

/// Starts a receiver that lives as long as the process. Gives its address, and the bodies that come
/// in there.
pub(crate) fn start() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let (arrive, arrivals) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let app = Router::new().route("/v1/traces", post(receive)).with_state(arrive);
            axum::serve(listener, app).await.unwrap();
        });
    });
    (told.recv().unwrap(), arrivals)
}

async fn receive(
    State(arrive): State<Sender<Vec<u8>>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    const PROTOBUF: &str = "application/x-protobuf";
    assert_eq!(headers[header::CONTENT_TYPE], PROTOBUF);
    let body = match headers.get(header::CONTENT_ENCODING) {
        None => body.to_vec(),
        // Rotel compresses, whatever it is told.
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            let mut plain = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
            plain
        }
    };
    arrive.send(body).unwrap();
    // An empty message: all of it was taken.
    [(header::CONTENT_TYPE, PROTOBUF)]
}
