//! An exporter whose client is one of ours, or is traced, on the provider that it exports for: no span
//! comes of sending spans.

use std::{
    env, fmt,
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use opentelemetry::{
    Context,
    trace::{FutureExt, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::SimpleSpanProcessor;
use tokio::runtime::{self, Handle, Runtime};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_telemetry::{ClientTraceLayer, PropagationLayer, Telemetry, sdk::export::Otlp};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::collector::{self, Collector};

/// The program's client, for requests of its own and for those of its exporter.
type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, BoxError>;

/// What makes an exporter's client of it.
struct Sends {
    /// It takes its spans from the provider, which is there once this is.
    stack: Arc<OnceLock<Stack>>,
    /// An exporter runs on a thread that has none.
    runtime: Handle,
    sent_in: SentIn,
}

/// The Context that an export request is sent in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SentIn {
    /// That of the exporter, in which the batch processor has suppressed telemetry.
    TheExporters,
    /// The same, suppressed whoever runs the exporter.
    Suppression,
    /// None: the request goes to a task of the runtime, and the Context does not.
    Nothing,
}

#[async_trait]
impl HttpClient for Sends {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = self.stack.get().unwrap().clone().oneshot(request.map(Full::from));
        // The layers look at the Context where their service is called: in that task.
        let cx = match self.sent_in {
            SentIn::TheExporters => Context::current(),
            SentIn::Suppression => Context::current().with_telemetry_suppressed(),
            SentIn::Nothing => Context::new(),
        };
        self.runtime.spawn(exchange.with_context(cx)).await?
    }
}

impl fmt::Debug for Sends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sends")
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layered {
    Trace,
    Propagation,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Processor {
    Batch,
    Simple,
}

struct Program {
    collector: Collector,
    runtime: Runtime,
    telemetry: Telemetry,
    stack: Stack,
}

impl Program {
    fn new(layered: Layered, processor: Processor, sent_in: SentIn) -> Self {
        let collector = Collector::start([]);
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let stack = Arc::new(OnceLock::new());
        let sends = Sends { stack: Arc::clone(&stack), runtime: runtime.handle().clone(), sent_in };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sends)
            .with_endpoint(format!("{}/v1/traces", collector.url()))
            .build()
            .unwrap();
        // Nothing is exported because it is time.
        let builder = Telemetry::builder()
            .with_environment([("OTEL_BSP_SCHEDULE_DELAY", "3600000")])
            .with_service_name("shop");
        let builder = match processor {
            Processor::Batch => builder.with_span_exporter(exporter),
            Processor::Simple => builder.with_span_processor(SimpleSpanProcessor::new(exporter)),
        };
        let telemetry = builder.build().unwrap();

        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let trace = ClientTraceLayer::new().with_telemetry(&telemetry);
        let propagation = PropagationLayer::new().with_telemetry(&telemetry);
        let boxed = match layered {
            Layered::Trace => boxed(trace.layer(client)),
            Layered::Propagation => boxed(propagation.layer(client)),
        };
        let _ = stack.set(boxed.clone());
        Self { collector, runtime, telemetry, stack: boxed }
    }

    /// Three spans, one below another, and a request of the program's own from within; each span
    /// ends where another is current.
    fn runs(&self) {
        let tracer = self.telemetry.tracer_provider().tracer("the program's own");
        let spans = ["first", "second", "third"].map(|name| {
            let cx = Context::current_with_span(tracer.start(name));
            (cx.clone(), cx.attach())
        });
        let own = Request::post(format!("{}/own", self.collector.url()));
        let own = own.body(Full::default()).unwrap();
        self.runtime.block_on(self.stack.clone().oneshot(own)).unwrap();
        for (cx, _attached) in spans {
            cx.span().end();
        }
    }

    /// What the collector gets of that: the request of the program's own, and the exports after
    /// each of three flushes.
    fn gets(&self) -> (collector::Request, Vec<Export>) {
        self.runs();
        let mut exports = Vec::new();
        let mut own = Vec::new();
        for flush in 1..=3 {
            self.telemetry.force_flush(Duration::from_secs(30)).unwrap();
            for request in self.collector.requests() {
                if request.path == "/own" {
                    own.push(request);
                } else {
                    exports.push(Export::of(flush, &request));
                }
            }
        }
        // Who has made spans of exports has one left; it is not asked about here.
        let _ = self.telemetry.shutdown(Duration::from_secs(30));
        assert_eq!(own.len(), 1);
        (own.remove(0), exports)
    }
}

/// The client, with responses that are read to their end.
fn boxed<S, B>(client: S) -> Stack
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
{
    Stack::new(service_fn(move |request| {
        let client = client.clone();
        async move {
            let (parts, body) = client.oneshot(request).await.map_err(Into::into)?.into_parts();
            let body = body.collect().await.map_err(Into::into)?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        }
    }))
}

/// One request to the collector.
#[derive(Debug, PartialEq)]
struct Export {
    after_flush: usize,
    spans: Vec<String>,
    /// What names another span in its headers.
    carries: bool,
}

impl Export {
    fn new(after_flush: usize, spans: &[&str], carries: bool) -> Self {
        Self { after_flush, spans: spans.iter().map(|&name| name.to_owned()).collect(), carries }
    }

    fn of(after_flush: usize, request: &collector::Request) -> Self {
        let of_resources = request.body.resource_spans.iter();
        let of_scopes = of_resources.flat_map(|of_resource| &of_resource.scope_spans);
        let spans = of_scopes.flat_map(|of_scope| &of_scope.spans).map(|span| &*span.name);
        let spans: Vec<&str> = spans.collect();
        Self::new(after_flush, &spans, carries(request))
    }
}

fn carries(request: &collector::Request) -> bool {
    request.headers.contains_key("traceparent")
}

#[test]
fn an_exporter_under_a_batch_processor_sends_in_its_own_context_and_makes_no_span() {
    for sent_in in [SentIn::TheExporters, SentIn::Suppression] {
        for layered in [Layered::Trace, Layered::Propagation] {
            let (own, exports) = Program::new(layered, Processor::Batch, sent_in).gets();
            assert!(carries(&own), "{layered:?}");
            let expected = match layered {
                Layered::Trace => &["POST", "first", "second", "third"][..],
                Layered::Propagation => &["first", "second", "third"],
            };
            // By scope, so those of the layer may come first or last.
            let [mut export] = <[Export; 1]>::try_from(exports).unwrap();
            export.spans.sort();
            assert_eq!(export, Export::new(1, expected, false), "{layered:?} {sent_in:?}");
        }
    }
}

#[test]
fn an_exporter_under_a_simple_processor_suppresses_telemetry_itself_and_makes_no_span() {
    for layered in [Layered::Trace, Layered::Propagation] {
        let program = Program::new(layered, Processor::Simple, SentIn::Suppression);
        let (own, exports) = program.gets();
        assert!(carries(&own), "{layered:?}");
        let expected = match layered {
            Layered::Trace => &["POST", "first", "second", "third"][..],
            Layered::Propagation => &["first", "second", "third"],
        };
        let expected: Vec<Export> =
            expected.iter().map(|name| Export::new(1, &[name], false)).collect();
        assert_eq!(exports, expected, "{layered:?}");
    }
}

#[test]
fn an_exporter_that_loses_its_context_makes_a_span_of_each_export_for_the_next() {
    let program = Program::new(Layered::Trace, Processor::Batch, SentIn::Nothing);
    let (_, mut exports) = program.gets();
    exports[0].spans.sort();
    let expected = [
        Export::new(1, &["POST", "first", "second", "third"], true),
        Export::new(2, &["POST"], true),
        Export::new(3, &["POST"], true),
    ];
    assert_eq!(exports, expected);
}

#[test]
fn a_simple_processor_suppresses_nothing() {
    // Under a `ClientTraceLayer` the span of the export would wait for the export to end, and that
    // for the span: for ever. So it is shown of propagation, which makes none.
    let program = Program::new(Layered::Propagation, Processor::Simple, SentIn::TheExporters);
    let (_, exports) = program.gets();
    let expected = ["first", "second", "third"].map(|name| Export::new(1, &[name], true));
    assert_eq!(exports, expected);
}

#[test]
fn what_our_exporters_clients_trace_of_themselves_is_not_exported() {
    const COLLECTOR: &str = "TOWER_TELEMETRY_TEST_COLLECTOR";
    const PROTOCOL: &str = "TOWER_TELEMETRY_TEST_PROTOCOL";
    let Ok(url) = env::var(COLLECTOR) else {
        // Every thread is to be traced, so it has a process of its own, and the collector none of it.
        for protocol in ["http/protobuf", "grpc"] {
            let collector = Collector::start([]);
            let output = Command::new(env::current_exe().unwrap())
                .arg("--exact")
                .arg("feedback::what_our_exporters_clients_trace_of_themselves_is_not_exported")
                .env(COLLECTOR, collector.url())
                .env(PROTOCOL, protocol)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
            assert_eq!(names, ["the program's own"], "{protocol}");
        }
        return;
    };
    let otlp = Otlp::new().with_endpoint(url).with_protocol(&*env::var(PROTOCOL).unwrap());
    let telemetry =
        Telemetry::builder().with_environment([("", ""); 0]).with_otlp(otlp).build().unwrap();
    let tracer = telemetry.tracer_provider().tracer("of tracing");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    // Everything, also what h2 and hyper say to those who look for faults in them.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    drop(tracing::trace_span!("the program's own").entered());
    for _ in 0..3 {
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
    }
    telemetry.shutdown(Duration::from_secs(30)).unwrap();
}
