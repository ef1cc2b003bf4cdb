//! What can go wrong on the way out, again and again, while a service has work to do: whatever it is,
//! every request is answered, and every span is accounted for.

use std::{
    collections::BTreeSet,
    fs::File,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tower_telemetry::{
    Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{
        BatchSettings, ExporterHealth,
        export::{ConsoleExporter, Otlp},
    },
};

use crate::support::{
    client,
    collector::{Answer, Collector},
};

const LONG: Duration = Duration::from_secs(30);
/// The times of the defaults, a fiftieth of them: an outage of 30 s is one of 600 ms.
const SCALE: u32 = 50;
const ROUNDS: usize = 3;

fn builder() -> TelemetryBuilder {
    let settings = BatchSettings::new()
        .with_max_queue_size(64)
        .with_max_export_batch_size(16)
        .with_schedule_delay(Duration::from_secs(5) / SCALE)
        .with_export_timeout(Duration::from_secs(30) / SCALE);
    Telemetry::builder().with_environment([("", ""); 0]).with_batch(settings)
}

fn sends_to(collector: &Collector) -> TelemetryBuilder {
    let timeout = Duration::from_secs(10) / SCALE;
    builder().with_otlp(Otlp::new().with_endpoint(collector.url()).with_timeout(timeout))
}

/// A service, and clients that ask it until they are told to stop.
struct Load {
    runtime: Runtime,
    telemetry: Telemetry,
    answered: Mutex<mpsc::Receiver<()>>,
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(telemetry: Telemetry) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let app = Router::new()
            .route("/items/{id}", get(|Path(id): Path<u64>| async move { (id * 2).to_string() }))
            .layer(TraceLayer::new().with_telemetry(&telemetry));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        let (tell, answered) = mpsc::channel();
        let (asked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients = (0..4).map(|_| {
            let (tell, asked, stop) = (tell.clone(), Arc::clone(&asked), Arc::clone(&stop));
            runtime.spawn(async move {
                let client = client::local();
                while !stop.load(Ordering::Relaxed) {
                    let id = asked.fetch_add(1, Ordering::Relaxed);
                    let url = format!("http://{address}/items/{id}");
                    let response = client.get(url).send().await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    assert_eq!(response.text().await.unwrap(), (id * 2).to_string());
                    // Nobody counts any more when it is over.
                    let _ = tell.send(());
                }
            })
        });
        let clients = clients.collect();
        Self { runtime, telemetry, answered: Mutex::new(answered), asked, stop, clients }
    }

    /// Goes on until so many more requests have been answered.
    fn answers(&self, requests: usize) {
        let answered = self.answered.lock().unwrap();
        (0..requests).for_each(|_| answered.recv_timeout(LONG).unwrap());
    }

    /// Goes on for so long, in which requests are answered.
    fn goes_on(&self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            self.answers(1);
        }
    }

    /// Goes on until that is so of the exporter.
    fn until(&self, is: impl Fn(&ExporterHealth) -> bool) {
        let started = Instant::now();
        while !is(&health(&self.telemetry)) {
            self.answers(1);
            assert!(started.elapsed() < LONG, "{}", self.telemetry.health());
        }
    }

    /// Lets the clients come to an end. Each of their requests was answered.
    fn stop(self) -> (Telemetry, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let Self { runtime, telemetry, asked, clients, .. } = self;
        for client in clients {
            runtime.block_on(client).unwrap();
        }
        (telemetry, asked.load(Ordering::Relaxed))
    }
}

/// Of the first exporter, whose books balance.
fn health(telemetry: &Telemetry) -> ExporterHealth {
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!(
        exporter.ended(),
        exporter.exported() + exporter.dropped() + exporter.failed() + exporter.in_flight(),
        "{exporter}"
    );
    exporter.clone()
}

/// At rest, each request has a span, and each span has come to something.
fn assert_settled(telemetry: &Telemetry, requests: u64) -> ExporterHealth {
    // What was lost is told; how much that is depends on the machine.
    let _ = telemetry.shutdown(LONG);
    let health = health(telemetry);
    assert_eq!((health.ended(), health.in_flight()), (requests, 0), "{health}");
    health
}

/// What was exported has arrived, and what has arrived twice was not counted twice.
fn assert_arrived(collector: &Collector, health: &ExporterHealth) {
    let arrived: BTreeSet<Vec<u8>> =
        collector.spans().into_iter().map(|span| span.span_id).collect();
    let arrived = arrived.len() as u64;
    // A collector may have taken what it could not answer for any more.
    assert!(arrived >= health.exported(), "{arrived} have arrived: {health}");
    assert!(arrived <= health.exported() + health.failed(), "{arrived} have arrived: {health}");
}

#[test]
fn a_collector_that_comes_and_goes() {
    let collector = Collector::start([]);
    let load = Load::start(sends_to(&collector).build().unwrap());
    for _ in 0..ROUNDS {
        load.answers(200);
        collector.otherwise(Answer::Close);
        load.answers(200);
        collector.otherwise(Answer::Status(StatusCode::OK));
        let before = health(&load.telemetry).exported();
        load.until(|health| health.exported() > before);
    }
    let (telemetry, requests) = load.stop();
    let health = assert_settled(&telemetry, requests);
    assert_arrived(&collector, &health);
}

#[test]
fn an_outage_longer_than_any_export_waits() {
    for outage in [Answer::Close, Answer::Status(StatusCode::SERVICE_UNAVAILABLE), Answer::Hang] {
        let collector = Collector::start([]);
        let load = Load::start(sends_to(&collector).build().unwrap());
        load.until(|health| health.exported() > 0);
        collector.otherwise(outage);
        load.goes_on(Duration::from_secs(30) / SCALE);
        load.until(|health| health.failed() > 0);
        collector.otherwise(Answer::Status(StatusCode::OK));
        let before = health(&load.telemetry).exported();
        load.until(|health| health.exported() > before + 100);
        let (telemetry, requests) = load.stop();
        let health = assert_settled(&telemetry, requests);
        assert!(health.failed() > 0, "{outage:?}: {health}");
        assert_arrived(&collector, &health);
    }
}

#[test]
fn a_collector_that_takes_its_time_and_some_of_the_spans() {
    let collector = Collector::start([]);
    let load = Load::start(sends_to(&collector).build().unwrap());
    for _ in 0..ROUNDS {
        collector.otherwise(Answer::Held);
        // As many as may be are on their way, and the queue is full.
        let before = health(&load.telemetry).dropped();
        load.until(|health| health.dropped() > before);
        collector.otherwise(Answer::Partial(1));
        (0..16).for_each(|_| collector.release());
        let before = health(&load.telemetry).rejected();
        load.until(|health| health.rejected() > before);
    }
    collector.otherwise(Answer::Status(StatusCode::OK));
    let (telemetry, requests) = load.stop();
    let health = assert_settled(&telemetry, requests);
    assert!(health.rejected() > 0 && health.queue_full() > 0, "{health}");
    assert_arrived(&collector, &health);
}

#[test]
fn an_exporter_that_panics_now_and_then() {
    #[derive(Debug, Default)]
    struct Panics {
        batches: AtomicU64,
        taken: Arc<AtomicU64>,
    }

    impl SpanExporter for Panics {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.batches.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
                panic!("the exporter panics, as it was told to");
            }
            self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    let exporter = Panics::default();
    let taken = Arc::clone(&exporter.taken);
    let load = Load::start(builder().with_span_exporter(exporter).build().unwrap());
    load.until(|health| health.panicked() > 50 && health.exported() > 100);
    let (telemetry, requests) = load.stop();
    let health = assert_settled(&telemetry, requests);
    assert_eq!(health.exported(), taken.load(Ordering::Relaxed));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_for_the_console() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let collector = Collector::start([]);
    let telemetry = sends_to(&collector).with_console(ConsoleExporter::new(full)).build().unwrap();
    let load = Load::start(telemetry);
    load.answers(200);
    load.until(|health| health.exported() > 100);
    let (telemetry, requests) = load.stop();
    let health = assert_settled(&telemetry, requests);
    assert_arrived(&collector, &health);
}

#[test]
fn a_runtime_that_is_dropped_with_requests_in_it() {
    for _ in 0..ROUNDS {
        let collector = Collector::start([]);
        let load = Load::start(sends_to(&collector).build().unwrap());
        load.answers(100);
        let Load { runtime, telemetry, asked, .. } = load;
        // Whatever was being answered is cut off, in the middle of a service call or of an export.
        runtime.shutdown_timeout(LONG);
        let _ = telemetry.shutdown(LONG);
        let health = health(&telemetry);
        assert_eq!(health.in_flight(), 0, "{health}");
        assert!(
            health.ended() >= 100 && health.ended() <= asked.load(Ordering::Relaxed),
            "{health}"
        );
        assert_arrived(&collector, &health);
    }
}
