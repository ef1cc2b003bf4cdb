//! The console exporter: holds a trace until it is whole, then prints it.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, TraceId, trace::Span as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::sdk::export::{screen::Screen, tree};

/// How many traces are held at once. When there are more, the one that began first is printed as
/// far as it has come.
const MOST_TRACES: usize = 256;
/// How many ended spans of a trace are held. When there are more, those are printed.
const MOST_SPANS: usize = 512;
/// Columns, unless [`ConsoleExporter::with_width`] says otherwise.
const WIDTH: usize = 100;
/// Fewer leave no room for a name.
const LEAST_WIDTH: usize = 40;
/// More have no screen.
const MOST_WIDTH: usize = 1000;

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
/// assert_eq!(gateway.destinations().count(), inventory.destinations().count());
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
/// Service, name, kind, duration and status of each span, its links and events, and its attributes
/// but for those of an HTTP request that are in the name already or much the same for all requests
/// of a service: method, route, scheme, addresses, protocol version, user agent and the time to the
/// head.
/// [`with_all_attributes`](Self::with_all_attributes) shows these, too. Control characters are made
/// visible, so that no header a client has sent can command the terminal.
///
/// Printing happens on the thread that ends a trace's last span, and waits for the terminal. Other
/// threads do not: what they print meanwhile is printed by that thread, up to 1 MiB; what is more
/// is left out and said to be. Spans that the output itself makes are not printed. At most 256
/// traces of 512 spans are held; beyond that a trace is printed in pieces. When the output is
/// closed, nothing more is printed and nothing fails; when it is a file on a disk that is full, what
/// finds it so is left out.
#[derive(Clone)]
pub struct ConsoleExporter {
    shared: Arc<Shared>,
    service: Arc<str>,
}

/// What clones share. The traces and the screen have locks of their own: to write to a terminal can
/// take any time, and no span that starts meanwhile may wait for it.
struct Shared {
    width: AtomicUsize,
    all_attributes: AtomicBool,
    traces: Mutex<Traces>,
    screen: Screen,
}

/// The traces that have open spans here.
#[derive(Default)]
struct Traces {
    of: HashMap<TraceId, Trace>,
    /// Numbers them in the order in which they begin.
    begun: u64,
}

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
    ///
    /// ```
    /// use std::fs::File;
    ///
    /// use tower_telemetry::sdk::export::ConsoleExporter;
    ///
    /// # let path = std::env::temp_dir().join(format!("tower-telemetry-{}", std::process::id()));
    /// let console = ConsoleExporter::new(File::create(&path)?).with_width(160);
    /// # drop(console);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(out: impl Write + Send + 'static) -> Self {
        let shared = Shared {
            width: AtomicUsize::new(WIDTH),
            all_attributes: AtomicBool::new(false),
            traces: Mutex::default(),
            screen: Screen::new(Box::new(out)),
        };
        Self { shared: Arc::new(shared), service: Arc::from("") }
    }

    /// Sets how many columns a line has at most, from 40 to 1000, also for clones. Default: 100.
    #[must_use]
    pub fn with_width(self, columns: usize) -> Self {
        self.shared.width.store(columns.clamp(LEAST_WIDTH, MOST_WIDTH), Ordering::Relaxed);
        self
    }

    /// Shows every attribute, also for clones. Default: [not](Self#what-is-printed) those that are
    /// much the same for all requests of a service.
    ///
    /// ```
    /// use tower_telemetry::sdk::export::ConsoleExporter;
    ///
    /// // For a look at what else a backend gets.
    /// let console = ConsoleExporter::stdout().with_all_attributes();
    /// # drop(console);
    /// ```
    #[must_use]
    pub fn with_all_attributes(self) -> Self {
        self.shared.all_attributes.store(true, Ordering::Relaxed);
        self
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.shared.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self, data: SpanData) -> tree::Span {
        tree::Span { service: Arc::clone(&self.service), data }
    }

    /// All of one trace, or several, each as a tree.
    fn print(&self, spans: Vec<tree::Span>) {
        let look = tree::Look {
            width: self.shared.width.load(Ordering::Relaxed),
            all_attributes: self.shared.all_attributes.load(Ordering::Relaxed),
        };
        for tree in tree::render(spans, look) {
            self.shared.screen.print(&tree);
        }
    }

    fn finish(&self, timeout: Duration) -> OTelSdkResult {
        let ended = self.traces().all_ended();
        self.print(ended);
        if self.shared.screen.wait(timeout) { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
    }

    fn set_service(&mut self, resource: &Resource) {
        if let Some(name) = resource.get_ref(&"service.name".into()) {
            self.service = Arc::from(name.as_str());
        }
    }
}

impl Traces {
    /// A span has started. Gives what has to be printed to make room for its trace.
    fn start(&mut self, trace_id: TraceId) -> Vec<tree::Span> {
        let mut displaced = Vec::new();
        if self.of.len() >= MOST_TRACES && !self.of.contains_key(&trace_id) {
            let first = self.of.iter().min_by_key(|(_, trace)| trace.number);
            if let Some(first) = first.map(|(&trace_id, _)| trace_id) {
                displaced = self.of.remove(&first).unwrap_or_default().ended;
            }
        }
        let begun = &mut self.begun;
        let trace = self.of.entry(trace_id).or_insert_with(|| {
            *begun += 1;
            Trace { number: *begun, ..Trace::default() }
        });
        trace.open += 1;
        displaced
    }

    /// A span has ended. Gives what has to be printed, now that it has.
    fn end(&mut self, span: tree::Span) -> Vec<tree::Span> {
        let trace_id = span.data.span_context.trace_id();
        let Some(trace) = self.of.get_mut(&trace_id) else {
            // Its trace was printed before it, to make room.
            return vec![span];
        };
        trace.ended.push(span);
        trace.open = trace.open.saturating_sub(1);
        if trace.open == 0 {
            return self.of.remove(&trace_id).unwrap_or_default().ended;
        }
        if trace.ended.len() >= MOST_SPANS {
            return mem::take(&mut trace.ended);
        }
        Vec::new()
    }

    /// All that has ended, whatever is still open.
    fn all_ended(&mut self) -> Vec<tree::Span> {
        let mut traces: Vec<&mut Trace> = self.of.values_mut().collect();
        traces.sort_unstable_by_key(|trace| trace.number);
        traces.into_iter().flat_map(|trace| mem::take(&mut trace.ended)).collect()
    }
}

impl SpanProcessor for ConsoleExporter {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        let span = span.span_context();
        if span.is_sampled() {
            let displaced = self.traces().start(span.trace_id());
            self.print(displaced);
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            let finished = self.traces().end(self.span(span));
            self.print(finished);
        }
    }

    /// Prints what has ended, also of traces that go on.
    fn force_flush(&self) -> OTelSdkResult {
        self.finish(Duration::from_secs(5))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.finish(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.set_service(resource);
    }
}

impl SpanExporter for ConsoleExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.print(batch.into_iter().map(|span| self.span(span)).collect());
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
