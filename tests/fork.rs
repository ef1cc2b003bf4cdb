//! A process that forks after its telemetry was built: the child has a copy of the queue, and
//! neither thread nor connections of its own.

#![allow(
    clippy::exit,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use fork::{Fork, fork, waitpid};
use opentelemetry::{
    logs::{Logger, LoggerProvider},
    trace::{Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::InMemoryLogExporter,
    trace::{SpanData, SpanExporter},
};
use prost::Message;
use tower_telemetry::{
    Telemetry,
    sdk::{BatchSettings, export::Otlp, logs::LogSettings},
};

const LONG: Duration = Duration::from_secs(30);

fn main() {
    exports_its_own_spans();
    has_a_turn_of_its_own();
    exports_its_own_log_records();
}

fn exports_its_own_spans() {
    let (address, spans) = collector();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_batch(BatchSettings::new().with_schedule_delay(Duration::from_secs(3600)))
        .with_otlp(Otlp::new().with_endpoint(format!("http://{address}")))
        .build()
        .unwrap();
    end(&telemetry, "before", 3);
    // So that there is a connection, which the child must not use.
    telemetry.force_flush(LONG).unwrap();
    end(&telemetry, "waiting", 1);

    match fork().unwrap() {
        Fork::Child => {
            end(&telemetry, "child's", 5);
            let flushed = telemetry.force_flush(LONG);
            // With the one that may have been its own.
            let is_well = flushed.is_ok() && books(&telemetry) == (6, 6, 0);
            if !is_well {
                eprintln!("in the child: {flushed:?}, {}", telemetry.health());
            }
            end(&telemetry, "child's", 2);
            let is_well = is_well && telemetry.shutdown(LONG).is_ok();
            process::exit(i32::from(!is_well || books(&telemetry) != (8, 8, 0)));
        }
        Fork::Parent(child) => {
            end(&telemetry, "after", 2);
            assert_eq!(waitpid(child).unwrap(), 0);
            telemetry.shutdown(LONG).unwrap();
            assert_eq!(books(&telemetry), (6, 6, 0));
        }
    }
    drop(telemetry);

    let mut names: Vec<String> = spans.try_iter().collect();
    names.sort();
    let mut expected = Vec::new();
    for (name, times) in [("after", 2), ("before", 3), ("child's", 7), ("waiting", 2)] {
        expected.extend((0..times).map(|_| name.to_owned()));
    }
    assert_eq!(names, expected);
    println!("a process that was forked exports its own spans: ok");
}

fn exports_its_own_log_records() {
    let exporter = InMemoryLogExporter::default();
    let batch = BatchSettings::new().with_schedule_delay(Duration::from_secs(3600));
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_logs(LogSettings::new().with_exporter(exporter).with_batch(batch))
        .build()
        .unwrap();
    let logger = telemetry.logger_provider().unwrap().logger("test");
    let emit = |records| (0..records).for_each(|_| logger.emit(logger.create_log_record()));
    let account = || {
        let health = telemetry.health();
        let exporter = health.log_exporters().next().unwrap();
        (exporter.ended(), exporter.exported(), exporter.lost())
    };
    emit(3);
    telemetry.force_flush(LONG).unwrap();
    emit(1);
    match fork().unwrap() {
        Fork::Child => {
            emit(5);
            let shut_down = telemetry.shutdown(LONG);
            let is_well = shut_down.is_ok() && account() == (6, 6, 0);
            if !is_well {
                eprintln!("in the child: {shut_down:?}, {}", telemetry.health());
            }
            process::exit(i32::from(!is_well));
        }
        Fork::Parent(child) => {
            emit(2);
            assert_eq!(waitpid(child).unwrap(), 0);
            telemetry.shutdown(LONG).unwrap();
            assert_eq!(account(), (6, 6, 0));
        }
    }
    println!("a process that was forked exports its own log records: ok");
}

/// An exporter whose first export waits.
#[derive(Debug)]
struct Held {
    is_first: AtomicBool,
    began: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl SpanExporter for Held {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        if self.is_first.swap(false, Ordering::Relaxed) {
            self.began.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
        Ok(())
    }
}

fn has_a_turn_of_its_own() {
    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let held = Held { is_first: AtomicBool::new(true), began, go: Mutex::new(gone) };
    let batch = BatchSettings::new().with_max_export_batch_size(1).with_max_queue_size(8);
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_batch(batch.with_export_timeout(Duration::from_secs(2)))
        .with_span_exporter(held)
        .build()
        .unwrap();
    end(&telemetry, "parent's", 1);
    begun.recv().unwrap();
    match fork().unwrap() {
        Fork::Child => {
            end(&telemetry, "child's", 3);
            let flushed = telemetry.force_flush(LONG);
            if flushed.is_err() || books(&telemetry) != (3, 3, 0) {
                eprintln!("in the child: {flushed:?}, {}", telemetry.health());
                process::exit(1);
            }
            process::exit(0);
        }
        Fork::Parent(child) => assert_eq!(waitpid(child).unwrap(), 0),
    }
    go.send(()).unwrap();
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(books(&telemetry), (1, 1, 0));
    println!("a process that was forked during an export has a turn of its own: ok");
}

fn end(telemetry: &Telemetry, name: &'static str, spans: usize) {
    let tracer = telemetry.tracer_provider().tracer("test");
    (0..spans).for_each(|_| drop(tracer.start(name)));
}

/// Ended, exported and in flight.
fn books(telemetry: &Telemetry) -> (u64, u64, u64) {
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    (exporter.ended(), exporter.exported(), exporter.in_flight())
}

/// Takes spans on a port of its own, and gives their names.
fn collector() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (names, named) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let names = names.clone();
            thread::spawn(move || receive(stream.unwrap(), &names));
        }
    });
    (address, named)
}

fn receive(mut stream: TcpStream, names: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let of_scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
        for span in of_scopes.flat_map(|it| it.spans) {
            names.send(span.name).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}
