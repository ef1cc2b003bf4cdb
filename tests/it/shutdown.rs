//! The end: of a server, of a runtime, of a telemetry, and of an exporter that does not behave.

use std::{
    fmt,
    future::{IntoFuture, pending},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::get};
use opentelemetry::{
    Context,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{net::TcpListener, runtime, sync::oneshot};
use tower_telemetry::{
    BuildError, Telemetry, TraceLayer,
    sdk::{BatchSettings, ServeError, export::Otlp},
};

use crate::support::{
    client,
    collector::{Answer, Collector},
};

const LONG: Duration = Duration::from_secs(30);

fn telemetry(endpoint: &str) -> Telemetry {
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_service_name("shop")
        .with_otlp(Otlp::new().with_endpoint(endpoint))
        .build()
        .unwrap()
}

fn exported_by<E: SpanExporter + 'static>(exporter: E, settings: BatchSettings) -> Telemetry {
    Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_exporter(exporter)
        .with_batch(settings)
        .build()
        .unwrap()
}

fn end(telemetry: &Telemetry, spans: usize) {
    let tracer = telemetry.tracer_provider().tracer("test");
    (0..spans).for_each(|_| drop(tracer.start("span")));
}

/// Ended, exported and in flight.
fn health(telemetry: &Telemetry) -> (u64, u64, u64) {
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!(
        exporter.ended(),
        exporter.exported() + exporter.dropped() + exporter.failed() + exporter.in_flight()
    );
    (exporter.ended(), exporter.exported(), exporter.in_flight())
}

fn runtimes() -> [runtime::Runtime; 2] {
    [runtime::Builder::new_current_thread(), runtime::Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().unwrap())
}

/// Serves one request, and then ends as it is told to.
async fn serve_one(telemetry: &Telemetry) -> Result<(), ServeError<io::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().route("/", get(|| async {}));
    let app = app.layer(TraceLayer::new().with_telemetry(telemetry));
    let (stop, stopped) = oneshot::channel::<()>();
    let asks = tokio::spawn(async move {
        assert_eq!(client::local().get(url).send().await.unwrap().status(), StatusCode::OK);
        drop(stop);
    });
    let stopped = async { drop(stopped.await) };
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped);
    let ended = telemetry.shutdown_after(server, LONG).await;
    asks.await.unwrap();
    ended
}

#[test]
fn after_an_axum_server_has_ended_its_spans_are_exported_on_any_runtime() {
    for runtime in runtimes() {
        let collector = Collector::start([]);
        let telemetry = telemetry(&collector.url());
        runtime.block_on(serve_one(&telemetry)).unwrap();
        assert_eq!(collector.spans()[0].name, "GET /");
        assert_eq!(health(&telemetry), (1, 1, 0));
    }
}

#[test]
fn after_a_tonic_server_has_ended_its_spans_are_exported() {
    let collector = Collector::start([]);
    let telemetry = telemetry(&collector.url());
    for runtime in runtimes().into_iter().take(1) {
        runtime.block_on(async {
            let (_, health) = tonic_health::server::health_reporter();
            let server = tonic::transport::Server::builder()
                .layer(TraceLayer::new().with_telemetry(&telemetry))
                .add_service(health)
                .serve_with_shutdown("127.0.0.1:0".parse().unwrap(), async {});
            end(&telemetry, 1);
            telemetry.shutdown_after(server, LONG).await.unwrap();
        });
    }
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn a_server_that_fails_is_the_answer_and_its_spans_are_exported_all_the_same() {
    for answer in [StatusCode::OK, StatusCode::BAD_REQUEST] {
        let collector = Collector::start([Answer::Status(answer)]);
        let telemetry = telemetry(&collector.url());
        end(&telemetry, 1);
        let [runtime, _] = runtimes();
        let fails = async { Err::<(), _>(io::Error::other("the port is taken")) };
        let error = runtime.block_on(telemetry.shutdown_after(fails, LONG)).unwrap_err();
        assert_eq!(error.to_string(), "the port is taken");
        assert_eq!(collector.spans().len(), 1);
        assert_eq!(health(&telemetry).2, 0);
    }
}

#[test]
fn what_could_not_be_exported_is_the_answer_of_a_server_that_ended_well() {
    let collector = Collector::start([Answer::Status(StatusCode::BAD_REQUEST)]);
    let telemetry = telemetry(&collector.url());
    let [runtime, _] = runtimes();
    let error = runtime.block_on(serve_one(&telemetry)).unwrap_err();
    let ServeError::Export(lost) = error else {
        panic!("{error}");
    };
    assert_eq!(lost.failed_spans(), 1);
}

#[test]
fn the_runtime_goes_on_while_a_shutdown_after_the_server_waits() {
    // The collector is served by the one thread that waits.
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(|| async {})).into_future());
        let telemetry = telemetry(&url);
        end(&telemetry, 3);
        let served = async { Ok::<_, io::Error>("served") };
        assert_eq!(telemetry.shutdown_after(served, LONG).await.unwrap(), "served");
        assert_eq!(health(&telemetry), (3, 3, 0));
    });
}

#[test]
fn a_runtime_that_is_gone_takes_no_span_along() {
    let collector = Collector::start([]);
    let [runtime, other] = runtimes();
    let telemetry = runtime.block_on(async { telemetry(&collector.url()) });
    end(&telemetry, 1);
    drop(runtime);
    end(&telemetry, 1);
    let _inside_of_another = other.enter();
    telemetry.force_flush(LONG).unwrap();
    end(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.spans().len(), 3);
    assert_eq!(health(&telemetry), (3, 3, 0));
}

#[test]
fn dropping_a_telemetry_exports_what_has_ended() {
    let collector = Collector::start([]);
    let telemetry = telemetry(&collector.url());
    end(&telemetry, 2);
    // A layer, or the process, goes on with the provider.
    let provider = telemetry.tracer_provider().clone();
    drop(telemetry);
    assert_eq!(collector.spans().len(), 2);
    drop(provider.tracer("test").start("span"));
    drop(provider);
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn dropping_a_telemetry_waits_for_a_collector_that_hangs_but_not_for_ever() {
    let collector = Collector::start([Answer::Hang]);
    let otlp = Otlp::new().with_endpoint(collector.url()).with_timeout(Duration::ZERO);
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_batch(BatchSettings::new().with_export_timeout(Duration::ZERO))
        .with_otlp(otlp)
        .build()
        .unwrap();
    end(&telemetry, 1);
    let started = Instant::now();
    drop(telemetry);
    // Once for the flush, and once for the provider that goes with it.
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(15), "{waited:?}");
}

#[test]
fn dropping_a_telemetry_while_a_thread_panics_exports_what_has_ended() {
    let collector = Collector::start([]);
    let dropped = telemetry(&collector.url());
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let telemetry = dropped;
        end(&telemetry, 1);
        panic!("the program panics, as it was told to");
    }));
    assert!(panicked.is_err());
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn dropping_a_telemetry_inside_a_runtime_does_not_panic() {
    for runtime in runtimes() {
        let collector = Collector::start([]);
        runtime.block_on(async {
            let telemetry = telemetry(&collector.url());
            end(&telemetry, 1);
            drop(telemetry);
        });
        assert_eq!(collector.spans().len(), 1);
    }
}

#[test]
fn an_exporter_that_wants_a_runtime_has_one_and_one_that_bears_none_has_none() {
    /// It sleeps on the runtime that is there.
    #[derive(Debug)]
    struct Sleeps;

    impl SpanExporter for Sleeps {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    }

    let collector = Collector::start([]);
    // With a blocking client, which panics inside of any runtime.
    let blocking = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", collector.url()))
        .build()
        .unwrap();
    for telemetry in
        [exported_by(Sleeps, BatchSettings::new()), exported_by(blocking, BatchSettings::new())]
    {
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            end(&telemetry, 2);
            telemetry.shutdown(LONG).unwrap();
        });
        assert_eq!(health(&telemetry), (2, 2, 0));
    }
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn an_exporter_that_hangs_is_not_called_again_before_it_is_back() {
    /// It blocks its thread.
    #[derive(Debug)]
    struct Blocks {
        began: mpsc::Sender<()>,
        go: Mutex<mpsc::Receiver<()>>,
        inside: AtomicUsize,
    }

    impl SpanExporter for Blocks {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0);
            self.began.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }

    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let exporter = Blocks { began, go: Mutex::new(gone), inside: AtomicUsize::new(0) };
    let timeout = Duration::from_millis(50);
    let settings = BatchSettings::new().with_export_timeout(timeout);
    let telemetry = exported_by(exporter, settings);
    for spans in 1..=2 {
        end(&telemetry, 1);
        let error = telemetry.force_flush(LONG).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.failed_spans(), 1, "{said}");
        assert!(said.contains("Blocks: the export was not done within 50ms; "), "{said}");
        assert!(said.ends_with("Blocks: the exporter did not flush in time"), "{said}");
        assert_eq!(health(&telemetry), (spans, 0, 0));
    }
    begun.recv().unwrap();
    assert!(begun.try_recv().is_err());
    // Both are let go: the one that hung, and the next.
    go.send(()).unwrap();
    go.send(()).unwrap();
    end(&telemetry, 1);
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(health(&telemetry), (3, 1, 0));
    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn an_export_is_given_up_at_the_shutdowns_deadline_and_the_answer_says_how_many() {
    #[derive(Debug)]
    struct Never;

    impl SpanExporter for Never {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            pending().await
        }
    }

    let telemetry = exported_by(Never, BatchSettings::new());
    end(&telemetry, 7);
    let started = Instant::now();
    let error = telemetry.shutdown(Duration::from_millis(100)).unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(error.is_timeout());
    assert_eq!(error.failed_spans(), 7);
    assert!(error.to_string().ends_with("Never: not done within 100ms, with 7 spans to go"));
    assert_eq!(health(&telemetry), (7, 0, 0));
}

#[test]
fn what_ends_after_the_shutdown_is_counted_and_its_context_is_whole() {
    let collector = Collector::start([]);
    let telemetry = telemetry(&collector.url());
    telemetry.shutdown(LONG).unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let span = tracer.start_with_context("late", &Context::new());
    // What goes out of a service that drains is not cut off from its caller.
    assert!(opentelemetry::trace::Span::span_context(&span).is_valid());
    drop(span);
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!((exporter.ended(), exporter.after_shutdown(), exporter.dropped()), (1, 1, 1));
    assert!(
        health
            .to_string()
            .ends_with("1 span ended, 0 exported, 1 lost: they ended after the shutdown"),
        "{health}"
    );
    assert!(collector.spans().is_empty());
}

#[test]
fn many_wait_for_one_shutdown() {
    let collector = Collector::start([]);
    let telemetry = Arc::new(telemetry(&collector.url()));
    end(&telemetry, 5);
    let [_, runtime] = runtimes();
    runtime.block_on(async {
        let shutdowns = (0..10).map(|_| {
            let telemetry = Arc::clone(&telemetry);
            tokio::spawn(async move {
                let served = async { Ok::<_, io::Error>(()) };
                telemetry.shutdown_after(served, LONG).await.unwrap();
            })
        });
        for shutdown in shutdowns.collect::<Vec<_>>() {
            shutdown.await.unwrap();
        }
    });
    assert_eq!(collector.spans().len(), 5);
}

/// Is let go of as it is told to.
struct Drops<F: FnMut() + Send + Sync + 'static>(F);

impl<F: FnMut() + Send + Sync + 'static> fmt::Debug for Drops<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drops")
    }
}

impl<F: FnMut() + Send + Sync + 'static> SpanExporter for Drops<F> {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

impl<F: FnMut() + Send + Sync + 'static> Drop for Drops<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
fn an_exporter_that_cannot_be_let_go_of_does_not_hurt_who_drops_the_telemetry() {
    // Who is last to hold it, this thread or the exporter's, is chance.
    for _ in 0..20 {
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            let panics = || panic!("it panics to be let go of, as it was told to");
            drop(exported_by(Drops(panics), BatchSettings::new()));

            // Tokio forbids that inside of a runtime.
            let mut own = Some(runtimes());
            let ends = move || drop(own.take());
            drop(exported_by(Drops(ends), BatchSettings::new()));

            let (go, gone) = mpsc::channel::<()>();
            let gone = Mutex::new(gone);
            let blocks = move || _ = gone.lock().unwrap().recv();
            drop(exported_by(Drops(blocks), BatchSettings::new()));
            drop(go);
        });
    }
}

/// Says when an export has begun, which ends when it is let.
#[derive(Debug)]
struct Held(mpsc::Sender<()>, Arc<Mutex<mpsc::Receiver<()>>>);

impl SpanExporter for Held {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        self.0.send(()).unwrap();
        self.1.lock().unwrap().recv().unwrap();
        Ok(())
    }
}

#[test]
fn a_flush_that_meets_a_shutdown_waits_for_it() {
    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let held = Held(began, Arc::new(Mutex::new(gone)));
    let telemetry = Arc::new(exported_by(held, BatchSettings::new()));
    end(&telemetry, 3);
    let shutting_down = Arc::clone(&telemetry);
    let shutdown = std::thread::spawn(move || shutting_down.shutdown(LONG));
    begun.recv().unwrap();
    let error = telemetry.force_flush(Duration::from_millis(1)).unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(health(&telemetry), (3, 0, 3));
    go.send(()).unwrap();
    telemetry.force_flush(LONG).unwrap();
    assert_eq!(health(&telemetry), (3, 3, 0));
    shutdown.join().unwrap().unwrap();
    telemetry.force_flush(LONG).unwrap();
}

#[test]
fn dropping_a_telemetry_whose_shutdown_nobody_waits_for_waits_for_it() {
    let (began, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let telemetry = exported_by(Held(began, Arc::new(Mutex::new(gone))), BatchSettings::new());
    // So that it is not the provider's end that waits.
    let provider = telemetry.tracer_provider().clone();
    end(&telemetry, 3);
    let [runtime, _] = runtimes();
    runtime.block_on(async {
        let served = async { Ok::<_, io::Error>(()) };
        let shutdown = telemetry.shutdown_after(served, LONG);
        let begins = async {
            while begun.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = shutdown => panic!("it cannot have ended"),
            () = begins => {}
        }
    });
    let (dropped, drops) = mpsc::channel();
    let dropping = std::thread::spawn(move || {
        drop(telemetry);
        dropped.send(()).unwrap();
    });
    assert!(drops.recv_timeout(Duration::from_millis(50)).is_err());
    go.send(()).unwrap();
    drops.recv_timeout(LONG).unwrap();
    dropping.join().unwrap();
    drop(provider);
}

/// A processor that counts what it is asked, and blocks where it is told to.
#[derive(Debug, Default)]
struct Counted {
    ended: Arc<AtomicUsize>,
    flushed: Arc<AtomicUsize>,
    go: Option<Mutex<mpsc::Receiver<()>>>,
    panics: bool,
}

impl SpanProcessor for Counted {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        if let Some(go) = &self.go {
            go.lock().unwrap().recv().unwrap();
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, _: &opentelemetry_sdk::Resource) {
        assert!(!self.panics, "it panics, as it was told to");
    }
}

fn handed_to(processor: Counted) -> Result<Telemetry, BuildError> {
    Telemetry::builder().with_environment([("", ""); 0]).with_span_processor(processor).build()
}

#[test]
fn a_processor_is_left_alone_after_the_shutdown() {
    let processor = Counted::default();
    let ended = Arc::clone(&processor.ended);
    let telemetry = handed_to(processor).unwrap();
    end(&telemetry, 1);
    telemetry.shutdown(LONG).unwrap();
    end(&telemetry, 1);
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

#[test]
fn a_processor_that_hangs_in_a_flush_is_not_asked_for_another() {
    let (go, gone) = mpsc::channel();
    let processor = Counted { go: Some(Mutex::new(gone)), ..Counted::default() };
    let flushed = Arc::clone(&processor.flushed);
    let telemetry = handed_to(processor).unwrap();
    let flush = || telemetry.force_flush(Duration::from_millis(20)).unwrap_err();
    assert!(flush().to_string().contains("Counted: not done within 20ms"));
    for _ in 0..3 {
        let error = flush();
        assert!(error.is_timeout());
        assert!(error.to_string().contains("Counted: still at work on what it was"), "{error}");
    }
    assert_eq!(flushed.load(Ordering::Relaxed), 1);
    // A shutdown waits for its turn.
    go.send(()).unwrap();
    telemetry.shutdown(LONG).unwrap();
}

#[test]
fn what_panics_when_it_is_told_of_the_resource_is_an_error_that_names_it() {
    #[derive(Debug)]
    struct Untold;

    impl SpanExporter for Untold {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }

        fn set_resource(&mut self, _: &opentelemetry_sdk::Resource) {
            panic!("it panics, as it was told to");
        }
    }

    let exporter =
        Telemetry::builder().with_environment([("", ""); 0]).with_span_exporter(Untold).build();
    let processor = handed_to(Counted { panics: true, ..Counted::default() });
    for (error, name) in [(exporter, "::Untold"), (processor, "::Counted")] {
        let error = error.unwrap_err();
        assert_eq!(error.setting(), "destination");
        assert!(error.value().ends_with(name), "{error}");
        assert!(error.to_string().contains("panicked when told of the resource"), "{error}");
    }
}

#[test]
fn the_deadline_is_one_for_all() {
    #[derive(Debug)]
    struct Never;

    impl SpanExporter for Never {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            pending().await
        }
    }

    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_exporter(Never)
        .with_span_exporter(Never)
        .with_span_exporter(Never)
        .build()
        .unwrap();
    end(&telemetry, 1);
    let timeout = Duration::from_secs(2);
    let started = Instant::now();
    assert!(telemetry.force_flush(timeout).unwrap_err().is_timeout());
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout * 2);
    let started = Instant::now();
    let error = telemetry.shutdown(timeout).unwrap_err();
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout * 2);
    assert_eq!(error.failed_spans(), 3, "{error}");
}

#[test]
fn an_exporter_that_says_that_it_ran_out_of_time_is_taken_at_its_word() {
    #[derive(Debug)]
    struct Late;

    impl SpanExporter for Late {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Err(OTelSdkError::Timeout(Duration::from_secs(3)))
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Err(OTelSdkError::AlreadyShutdown)
        }
    }

    let telemetry = exported_by(Late, BatchSettings::new());
    end(&telemetry, 2);
    telemetry.force_flush(LONG).unwrap_err();
    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    assert_eq!((exporter.timed_out(), exporter.failed(), exporter.dropped()), (2, 2, 0));
    let reasons: Vec<&str> = exporter.reasons().collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    // That it has been shut down already is what was wanted.
    telemetry.shutdown(LONG).unwrap();
}
