//! `TailProcessor`: holds spans in front of any other processor.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context,
    trace::{Span as _, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use crate::{
    contained::contained,
    sdk::{processor::tail::holder::Holder, tail::TailSamplingCounts},
};

/// A span processor that holds spans until their local root ends, in front of another one. Built by
/// [`TailSampling::in_front_of`](crate::sdk::tail::TailSampling::in_front_of).
///
/// It can keep what the provider's sampler has recorded, no more: so that one has to [record
/// always](crate::SamplerBuilder::with_always_record).
///
/// The processor behind it sees every span start, as without it, and sampled spans when they end.
/// Of the others it sees those that are kept, once their local root has ended, children first, each
/// as if it had been sampled.
///
/// ```
/// use opentelemetry::trace::{Span, Status, Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SimpleSpanProcessor};
/// use tower_telemetry::{SamplerBuilder, sdk::tail::TailSampling};
///
/// let exporter = InMemorySpanExporter::default();
/// let processor = TailSampling::new().in_front_of(SimpleSpanProcessor::new(exporter.clone()))?;
/// // Before the provider takes the processor away.
/// let watch = processor.watch();
/// let provider = SdkTracerProvider::builder()
///     .with_sampler(SamplerBuilder::new().with_always_off().with_always_record().build()?)
///     .with_span_processor(processor)
///     .build();
///
/// let tracer = provider.tracer("mine");
/// drop(tracer.start("good"));
/// tracer.start("bad").set_status(Status::error("the disk is gone"));
///
/// let spans = exporter.get_finished_spans()?;
/// assert_eq!(spans.len(), 1);
/// assert_eq!(spans[0].name, "bad");
/// assert!(spans[0].span_context.is_sampled());
/// assert_eq!(watch.counts().discarded_spans(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TailProcessor<P> {
    inner: P,
    holder: Arc<Holder>,
}

impl<P> TailProcessor<P> {
    pub(super) fn new(inner: P, holder: Holder) -> Self {
        Self { inner, holder: Arc::new(holder) }
    }

    /// A watch on its counts, for when a provider has the processor.
    #[must_use]
    pub fn watch(&self) -> TailWatch {
        TailWatch { holder: Arc::clone(&self.holder) }
    }
}

impl<P: SpanProcessor> TailProcessor<P> {
    fn hand_on(&self, spans: Vec<SpanData>) {
        for span in spans {
            contained(|| self.inner.on_end(span));
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for TailProcessor<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // First, since the processor may end the span.
        self.hand_on(self.holder.start(span.span_context(), cx.span().span_context()));
        contained(|| self.inner.on_start(span, cx));
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            contained(|| self.inner.on_end(span));
        } else {
            self.hand_on(self.holder.end(span));
        }
    }

    /// Hands on what is too old to be held any longer, and flushes the processor behind.
    fn force_flush(&self) -> OTelSdkResult {
        self.hand_on(self.holder.age());
        self.inner.force_flush()
    }

    /// Gives up what is still held, or hands it on if it is slow already, and shuts the processor
    /// behind down in what is left of the time. For what that one does when it is handed a span
    /// there is no limit.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let started = Instant::now();
        self.hand_on(self.holder.close());
        self.inner.shutdown_with_timeout(timeout.saturating_sub(started.elapsed()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// A watch on the counts of a [`TailProcessor`] that a provider has. Clones watch the same one.
#[derive(Clone)]
pub struct TailWatch {
    holder: Arc<Holder>,
}

impl TailWatch {
    /// What the processor has kept, discarded and given up so far.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor};
    /// use tower_telemetry::sdk::tail::TailSampling;
    ///
    /// let exporter = SimpleSpanProcessor::new(InMemorySpanExporter::default());
    /// let watch = TailSampling::new().in_front_of(exporter)?.watch();
    /// assert_eq!(watch.counts().held_spans(), 0);
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn counts(&self) -> TailSamplingCounts {
        self.holder.counts()
    }
}

impl fmt::Debug for TailWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailWatch").field("counts", &self.counts()).finish()
    }
}
