//! The console exporter: holds a trace until it is whole, then prints it.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, TraceId, trace::Span as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::sdk::export::tree;

/// How many traces are held at once. When there are more, the one that began first is printed as
/// far as it has come.
const MOST_TRACES: usize = 256;
/// How many ended spans of a trace are held. When there are more, those are printed.
const MOST_SPANS: usize = 512;
/// Columns, unless [`ConsoleExporter::with_width`] says otherwise.
const WIDTH: usize = 100;
/// Fewer leave no room for a name.
const LEAST_WIDTH: usize = 40;

/// Prints traces as trees, for development and for command-line tools.
///
/// ```text
/// trace cff361f43dfc61e855e41a7b81becc51  2 spans  1.66 ms
/// └ gateway  GET /items/{id}                                                server      1.66 ms  unset
///   │   http.response.status_code=200  url.path=/items/42
///   └ inventory  GET /stock/{id}                                            server       157 µs  unset
///         http.response.status_code=200  url.path=/stock/42
/// ```
///
/// Clones share what they print to and the traces they hold, each under the service name of the
/// [`Telemetry`](crate::Telemetry) it is given to. So a program that is several services prints a
/// trace across them as one tree:
///
/// ```
/// use tower_telemetry::{Telemetry, sdk::export::ConsoleExporter};
///
/// let console = ConsoleExporter::stdout();
/// let gateway = Telemetry::builder()
///     .with_service_name("gateway")
///     .with_console(console.clone())
///     .build()?;
/// let inventory =
///     Telemetry::builder().with_service_name("inventory").with_console(console).build()?;
/// # let _ = (gateway, inventory);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// # With any provider
///
/// It is a [`SpanProcessor`], which sees spans start and so knows when a trace has no open span
/// left; that is when its tree is printed. Give it to the provider as one:
///
/// ```
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tower_telemetry::sdk::export::ConsoleExporter;
///
/// let provider =
///     SdkTracerProvider::builder().with_span_processor(ConsoleExporter::stderr()).build();
/// # let _ = provider;
/// ```
///
/// It is a [`SpanExporter`] too, for use behind a batch processor: each batch is then printed by
/// itself, as the trees that its spans make.
///
/// # What is printed
///
/// Service, name, kind, duration and status of each span, and those attributes that the name does
/// not tell already. Control characters are made visible, so that no header a client has sent can
/// command the terminal. When the output is closed, nothing more is printed and nothing fails.
///
/// Printing happens on the thread that ends the last span, and waits for the terminal. At most 256
/// traces of 512 spans are held.
#[derive(Clone)]
pub struct ConsoleExporter {
    shared: Arc<Mutex<Shared>>,
    service: Arc<str>,
}

struct Shared {
    /// `None` once it is closed.
    out: Option<Box<dyn Write + Send>>,
    width: usize,
    traces: HashMap<TraceId, Trace>,
    /// Numbers the traces in the order they begin.
    began: u64,
}

/// A trace that still has open spans here.
#[derive(Default)]
struct Trace {
    number: u64,
    open: usize,
    ended: Vec<tree::Span>,
}

impl ConsoleExporter {
    /// Prints to the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }

    /// Prints to the standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(io::stderr())
    }

    /// Prints to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let shared =
            Shared { out: Some(Box::new(out)), width: WIDTH, traces: HashMap::new(), began: 0 };
        Self { shared: Arc::new(Mutex::new(shared)), service: Arc::from("") }
    }

    /// Sets how many columns a line has at most. Default: 100; at least 40 are used.
    #[must_use]
    pub fn with_width(self, columns: usize) -> Self {
        self.lock().width = columns.max(LEAST_WIDTH);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self, data: SpanData) -> tree::Span {
        tree::Span { service: Arc::clone(&self.service), data }
    }

    fn set_service(&mut self, resource: &Resource) {
        if let Some(name) = resource.get_ref(&"service.name".into()) {
            self.service = Arc::from(name.as_str());
        }
    }
}

impl Shared {
    fn start(&mut self, trace_id: TraceId) {
        if self.traces.len() >= MOST_TRACES && !self.traces.contains_key(&trace_id) {
            let first = self.traces.iter().min_by_key(|(_, trace)| trace.number);
            if let Some(first) = first.map(|(&trace_id, _)| trace_id) {
                self.print(first);
            }
        }
        let began = &mut self.began;
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            *began += 1;
            Trace { number: *began, ..Trace::default() }
        });
        trace.open += 1;
    }

    fn end(&mut self, span: tree::Span) {
        let trace_id = span.data.span_context.trace_id();
        let Some(trace) = self.traces.get_mut(&trace_id) else {
            // Its trace was printed before it, for want of room.
            return self.write(vec![span]);
        };
        trace.ended.push(span);
        trace.open = trace.open.saturating_sub(1);
        if trace.open == 0 {
            self.print(trace_id);
        } else if trace.ended.len() >= MOST_SPANS {
            let ended = std::mem::take(&mut trace.ended);
            self.write(ended);
        }
    }

    fn print(&mut self, trace_id: TraceId) {
        if let Some(trace) = self.traces.remove(&trace_id) {
            self.write(trace.ended);
        }
    }

    /// All of one trace, or several, each as a tree.
    fn write(&mut self, spans: Vec<tree::Span>) {
        let Some(out) = &mut self.out else {
            return;
        };
        let text = tree::render(spans, self.width);
        // Whoever read it is gone, `head` for one. That must not hurt the program.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }

    fn print_all(&mut self) {
        let mut traces: Vec<_> = self.traces.drain().map(|(_, trace)| trace).collect();
        traces.sort_unstable_by_key(|trace| trace.number);
        self.write(traces.into_iter().flat_map(|trace| trace.ended).collect());
    }
}

impl SpanProcessor for ConsoleExporter {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        let span = span.span_context();
        if span.is_sampled() {
            self.lock().start(span.trace_id());
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.lock().end(self.span(span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        // What has ended is shown, also of a trace whose other spans never will.
        self.lock().print_all();
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.set_service(resource);
    }
}

impl SpanExporter for ConsoleExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.into_iter().map(|span| self.span(span)).collect();
        self.lock().write(spans);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.set_service(resource);
    }
}

impl fmt::Debug for ConsoleExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleExporter").field("service", &self.service).finish_non_exhaustive()
    }
}
