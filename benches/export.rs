//! What it takes to export a span: from its end, through the queue and the encoding, into a socket.
//!
//! `scripts/cost` counts the instructions of batches of 512 spans with eleven attributes, beside the
//! SDK's batch processor with OpenTelemetry's OTLP exporter in the same run.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tower_telemetry::{Telemetry, sdk::export::Otlp};

/// As many as go together by default.
const BATCH: u64 = 512;
const LONG: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let [case, whose, batches] = &arguments[..] else {
        // Cargo runs it so; there is nothing to time.
        return;
    };
    let batches: u64 = batches.parse().unwrap();
    let endpoint = format!("http://{}", sink());
    match whose.as_str() {
        "ours" => {
            let telemetry = Telemetry::builder()
                .with_environment([("", ""); 0])
                .with_service_name("export")
                .with_otlp(Otlp::new().with_endpoint(endpoint))
                .build()
                .unwrap();
            run(case, batches, telemetry.tracer_provider(), || {
                telemetry.force_flush(LONG).unwrap();
            });
        }
        "theirs" => {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_endpoint(format!("{endpoint}/v1/traces"))
                .build()
                .unwrap();
            let resource = Resource::builder_empty().with_service_name("export").build();
            let provider = SdkTracerProvider::builder()
                .with_resource(resource)
                .with_batch_exporter(exporter)
                .build();
            run(case, batches, &provider, || provider.force_flush().unwrap());
        }
        other => unreachable!("it is ours or theirs, not {other}"),
    }
}

fn run(case: &str, batches: u64, provider: &SdkTracerProvider, flush: impl Fn()) {
    let tracer = provider.tracer("export");
    for _ in 0..batches {
        for _ in 0..BATCH {
            let mut span = SpanBuilder::from_name("GET /items/{id}");
            if case == "eleven" {
                span = span.with_attributes([
                    KeyValue::new("http.request.method", "GET"),
                    KeyValue::new("url.path", "/items/42".to_owned()),
                    KeyValue::new("url.scheme", "http"),
                    KeyValue::new("http.route", "/items/{id}"),
                    KeyValue::new("server.address", "shop.test".to_owned()),
                    KeyValue::new("server.port", 8080),
                    KeyValue::new("network.protocol.version", "1.1"),
                    KeyValue::new("network.peer.address", "127.0.0.1".to_owned()),
                    KeyValue::new("network.peer.port", 54_321),
                    KeyValue::new("user_agent.original", "export/1.0".to_owned()),
                    KeyValue::new("http.response.status_code", 200),
                ]);
            }
            drop(tracer.build(span));
        }
        // So that none finds the queue full, and each batch is a whole one.
        flush();
    }
}

/// A collector that takes everything and looks at nothing.
fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
