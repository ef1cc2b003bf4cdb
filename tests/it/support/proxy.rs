//! A proxy, of HTTP and of SOCKS 5, in front of one place.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;

/// Wherever it is asked to connect to, it connects to the one place it knows.
pub(crate) struct Proxy {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it answers to a `CONNECT`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tunnels {
    Yes,
    /// With this status line.
    No(&'static str),
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr, tunnels: Tunnels, tls: Option<TlsAcceptor>) -> Self {
        let heard = Arc::new(Mutex::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let hears = Arc::clone(&heard);
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let accepting = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        let (hears, tls) = (Arc::clone(&hears), tls.clone());
                        tokio::spawn(async move {
                            match tls {
                                None => serve(stream, to, tunnels, &hears).await,
                                Some(tls) => {
                                    if let Ok(stream) = tls.accept(stream).await {
                                        serve(stream, to, tunnels, &hears).await;
                                    }
                                }
                            }
                        });
                    }
                };
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().unwrap();
        Self { address, heard, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of requests that it was sent, or what SOCKS was asked for.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    to: SocketAddr,
    tunnels: Tunnels,
    heard: &Mutex<Vec<String>>,
) {
    let mut head = vec![client.read_u8().await.unwrap()];
    if head == [5] {
        let asked = socks(&mut client).await;
        heard.lock().unwrap().push(asked);
    } else {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let text = String::from_utf8(head.clone()).unwrap();
        let connects = text.starts_with("CONNECT ");
        heard.lock().unwrap().push(text);
        if connects {
            let status = match tunnels {
                Tunnels::Yes => "200 OK",
                Tunnels::No(status) => status,
            };
            client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
            if matches!(tunnels, Tunnels::No(_)) {
                return;
            }
            head.clear();
        }
    }
    let mut server = TcpStream::connect(to).await.unwrap();
    if head != [5] {
        // Servers take the whole URL, too.
        server.write_all(&head).await.unwrap();
    }
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// User, password and where to.
async fn socks(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let methods = take(client).await;
    let with_password = methods.contains(&2);
    client.write_all(&[5, if with_password { 2 } else { 0 }]).await.unwrap();
    let mut asked = String::new();
    if with_password {
        assert_eq!(client.read_u8().await.unwrap(), 1);
        for mark in [':', '@'] {
            asked.push_str(&String::from_utf8(take(client).await).unwrap());
            asked.push(mark);
        }
        client.write_all(&[1, 0]).await.unwrap();
    }
    let mut connect = [0; 4];
    client.read_exact(&mut connect).await.unwrap();
    assert_eq!(connect[..3], [5, 1, 0]);
    match connect[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await.unwrap();
            asked.push_str(&std::net::Ipv4Addr::from(address).to_string());
        }
        4 => {
            let mut address = [0; 16];
            client.read_exact(&mut address).await.unwrap();
            asked.push_str(&std::net::Ipv6Addr::from(address).to_string());
        }
        3 => asked.push_str(&String::from_utf8(take(client).await).unwrap()),
        other => panic!("{other} is no address to ask for here"),
    }
    asked.push_str(&format!(":{}", client.read_u16().await.unwrap()));
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    asked
}

/// As many bytes as the first one says.
async fn take(client: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(client.read_u8().await.unwrap())];
    client.read_exact(&mut bytes).await.unwrap();
    bytes
}
