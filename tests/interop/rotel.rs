//! Rotel, started and stopped.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::PATIENCE;

/// A running `rotel-agent`, which relays each request as it comes. It ends with this.
pub(crate) struct Rotel {
    child: Child,
    http: SocketAddr,
    grpc: SocketAddr,
}

impl Rotel {
    /// Starts it on free ports, and waits until it listens there.
    pub(crate) fn start(agent: &Path, relays_to: SocketAddr) -> Self {
        let log = agent.with_file_name("log");
        // A port that was free a moment ago may be somebody else's by now.
        for _ in 0..5 {
            let mut rotel = Self::spawn(agent, relays_to, &log);
            if rotel.listens() {
                return rotel;
            }
        }
        panic!("rotel does not start; its last words are in {}", log.display());
    }

    /// Where it takes OTLP over HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it takes OTLP over gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    fn spawn(agent: &Path, relays_to: SocketAddr, log: &Path) -> Self {
        // Both at once, so that they differ.
        let [http, grpc] = [(); 2]
            .map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
            .map(|listener| listener.local_addr().unwrap());
        let log = File::create(log).unwrap();
        let child = Command::new(agent)
            .args(["start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &format!("http://{relays_to}")])
            .args(["--otlp-exporter-retry-initial-backoff", "100ms"])
            .arg("--disable-batching")
            .args(["--otlp-http-endpoint", &http.to_string()])
            .args(["--otlp-grpc-endpoint", &grpc.to_string()])
            // Neither settings nor proxies of whoever runs this.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, http, grpc }
    }

    /// Waits until both ports take connections, or it has ended.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            if [self.http, self.grpc].iter().all(|at| TcpStream::connect(at).is_ok()) {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
