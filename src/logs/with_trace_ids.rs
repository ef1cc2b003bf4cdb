//! Around a subscriber's writer: what comes through gets the ids.

use std::{cell::Cell, fmt, io, mem, sync::Arc};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    contained::contained,
    logs::{line, names::TraceIdNames},
    trace_ids::TraceIds,
};

/// A buffer that has grown larger than this is not kept, in bytes.
const MOST_KEPT: usize = 64 * 1024;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Whether a function is being asked for ids. What it logs has those of the current span.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

type IdsFrom = Arc<dyn Fn() -> Option<TraceIds> + Send + Sync>;

/// Puts the ids of the current span into every line on its way to the writer inside.
///
/// It is around the writer and not around the formatter, since there every formatter's line comes
/// through, whole: those of `tracing-subscriber` and of others, in colours or without, and whatever
/// else they are set to. [The module](crate::logs) says whose ids they are, and what happens to a
/// line that has some already.
///
/// What is inside may be anything that can be a subscriber's writer: `io::stdout`, a file in a
/// `Mutex`, a writer that does not block, several of them.
///
/// ```
/// use std::{
///     io::{self, Read},
///     sync::Arc,
/// };
///
/// use opentelemetry::{
///     Context, SpanId, TraceFlags, TraceId,
///     trace::{SpanContext, TraceContextExt, TraceState},
/// };
/// use tower_telemetry::logs::WithTraceIds;
///
/// let (mut log, writer) = io::pipe()?;
/// let subscriber = tracing_subscriber::fmt()
///     .without_time()
///     .with_ansi(false)
///     .with_target(false)
///     .with_writer(WithTraceIds::new(Arc::new(writer)))
///     .finish();
///
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!("starting");
///     let span = SpanContext::new(
///         TraceId::from(0x0af7651916cd43dd8448eb211c80319c),
///         SpanId::from(0xb7ad6b7169203331),
///         TraceFlags::SAMPLED,
///         false,
///         TraceState::NONE,
///     );
///     let _current = Context::new().with_remote_span_context(span).attach();
///     tracing::info!(item = 42, "found");
/// });
///
/// let mut lines = String::new();
/// log.read_to_string(&mut lines)?;
/// assert_eq!(
///     lines,
///     " INFO starting\n \
///      INFO found item=42 trace_id=0af7651916cd43dd8448eb211c80319c \
///      span_id=b7ad6b7169203331 trace_flags=01\n"
/// );
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WithTraceIds<M> {
    writer: M,
    names: TraceIdNames,
    ids_from: Option<IdsFrom>,
}

impl<M> WithTraceIds<M> {
    /// Around this writer.
    ///
    /// ```
    /// use std::io;
    ///
    /// use tower_telemetry::logs::WithTraceIds;
    /// use tracing_subscriber::fmt::writer::{MakeWriter, MakeWriterExt};
    ///
    /// // Or around several.
    /// let both = WithTraceIds::new(io::sink.and(io::sink));
    /// let writer = both.make_writer();
    /// // Nothing is current here.
    /// assert_eq!(format!("{writer:?}"), "TraceIdsWriter { ids: None, .. }");
    /// ```
    pub fn new(writer: M) -> Self {
        Self { writer, names: TraceIdNames::default(), ids_from: None }
    }

    /// Sets what the ids are called. Default: [`TraceIdNames::default`].
    ///
    /// ```
    /// use tower_telemetry::logs::{TraceIdNames, WithTraceIds};
    ///
    /// let names = TraceIdNames::default().without_trace_flags();
    /// let lines = WithTraceIds::new(std::io::stdout).with_names(names.clone());
    /// assert_eq!(format!("{lines:?}"), format!("WithTraceIds {{ names: {names:?}, .. }}"));
    /// ```
    pub fn with_names(mut self, names: TraceIdNames) -> Self {
        self.names = names;
        self
    }

    /// Asks this function for the ids of each line first. Where it has none, and by default, they
    /// are [those of the current span](TraceIds::current).
    ///
    /// It is for spans that are current somewhere else than in OpenTelemetry's Context: those of a
    /// `tracing-opentelemetry` that does not activate it. Which of two spans is the inner one
    /// nobody can tell then; what the function says counts. One that panics has none, and it is not
    /// asked for the ids of what it logs itself.
    ///
    /// ```
    /// use std::sync::{Arc, OnceLock};
    ///
    /// use opentelemetry::trace::TracerProvider;
    /// use opentelemetry_sdk::trace::SdkTracerProvider;
    /// use tower_telemetry::{TraceIds, logs::WithTraceIds};
    /// use tracing::{Dispatch, dispatcher::{self, WeakDispatch}};
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// // The subscriber knows its spans, and there is none before it has been built.
    /// let subscriber = Arc::new(OnceLock::<WeakDispatch>::new());
    /// let of_tracing = {
    ///     let subscriber = Arc::clone(&subscriber);
    ///     move || {
    ///         let subscriber = subscriber.get()?.upgrade()?;
    ///         let span = subscriber.current_span();
    ///         TraceIds::of(&tracing_opentelemetry::get_otel_context(span.id()?, &subscriber)?)
    ///     }
    /// };
    /// # let (mut log, writer) = std::io::pipe()?;
    /// # let writer = Arc::new(writer);
    /// let lines = WithTraceIds::new(writer).with_ids_from(of_tracing);
    ///
    /// let spans = tracing_opentelemetry::layer()
    ///     .with_tracer(SdkTracerProvider::default().tracer("shop"))
    ///     .with_context_activation(false);
    /// let lines = tracing_subscriber::fmt::layer().json().with_writer(lines);
    /// let built = Dispatch::new(tracing_subscriber::registry().with(spans).with(lines));
    /// let _ = subscriber.set(built.downgrade());
    ///
    /// // Or `dispatcher::set_global_default(built)`.
    /// dispatcher::with_default(&built, || {
    ///     tracing::info_span!("order").in_scope(|| tracing::info!("packed"));
    /// });
    /// # drop(built);
    /// # let mut line = String::new();
    /// # std::io::Read::read_to_string(&mut log, &mut line)?;
    /// # assert!(line.contains(r#","trace_id":""#), "{line}");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with_ids_from<F>(mut self, ids: F) -> Self
    where
        F: Fn() -> Option<TraceIds> + Send + Sync + 'static,
    {
        self.ids_from = Some(Arc::new(ids));
        self
    }

    fn ids(&self) -> Option<TraceIds> {
        self.said().or_else(TraceIds::current)
    }

    fn said(&self) -> Option<TraceIds> {
        let ids_from = self.ids_from.as_ref()?;
        if ASKING.try_with(|asking| asking.replace(true)).unwrap_or(true) {
            return None;
        }
        let said = contained(|| ids_from()).flatten();
        let _ = ASKING.try_with(|asking| asking.set(false));
        said
    }
}

impl<M> fmt::Debug for WithTraceIds<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTraceIds").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for WithTraceIds<M> {
    type Writer = TraceIdsWriter<'a, M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        TraceIdsWriter::new(self.writer.make_writer(), self.ids(), &self.names, false)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        let ids = self.ids();
        let has_field = ids.is_some()
            && metadata.fields().iter().any(|field| self.names.has(field.name().as_bytes()));
        let writer = self.writer.make_writer_for(metadata);
        TraceIdsWriter::new(writer, ids, &self.names, has_field)
    }
}

/// What a [`WithTraceIds`] makes for one event: a writer that puts the ids into its line.
///
/// A line is whatever is written up to a line break that nothing follows. What has none goes on
/// when it is flushed, or let go of.
pub struct TraceIdsWriter<'a, W: io::Write> {
    writer: W,
    ids: Option<TraceIds>,
    names: &'a TraceIdNames,
    has_field: bool,
    /// A line that has not ended. Those of `tracing-subscriber` come in one piece, so that there
    /// is none.
    begun: Vec<u8>,
}

impl<'a, W: io::Write> TraceIdsWriter<'a, W> {
    fn new(writer: W, ids: Option<TraceIds>, names: &'a TraceIdNames, has_field: bool) -> Self {
        Self { writer, ids, names, has_field, begun: Vec::new() }
    }

    fn write_line(&mut self, text: &[u8], ids: &TraceIds) -> io::Result<()> {
        // Taken and not borrowed: a writer may log, too. At a thread's end there may be none.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        line::add(&mut line, text, ids, self.names, self.has_field);
        let written = self.writer.write_all(&line);
        if line.capacity() <= MOST_KEPT {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
        written
    }

    fn write_begun(&mut self) -> io::Result<()> {
        match self.ids {
            Some(ids) if !self.begun.is_empty() => {
                let begun = mem::take(&mut self.begun);
                self.write_line(&begun, &ids)
            }
            _ => Ok(()),
        }
    }
}

impl<W: io::Write> io::Write for TraceIdsWriter<'_, W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let Some(ids) = self.ids else { return self.writer.write(text) };
        let ends = text.ends_with(b"\n");
        if ends && self.begun.is_empty() {
            self.write_line(text, &ids)?;
        } else {
            self.begun.extend_from_slice(text);
            if ends {
                self.write_begun()?;
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_begun()?;
        self.writer.flush()
    }
}

impl<W: io::Write> Drop for TraceIdsWriter<'_, W> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.write_begun();
    }
}

impl<W: io::Write> fmt::Debug for TraceIdsWriter<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceIdsWriter").field("ids", &self.ids).finish_non_exhaustive()
    }
}
