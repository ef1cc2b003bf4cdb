//! The beginning: a span, with what a sampler may look at, or with that once it records.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::StatusCode;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanRef, TraceContextExt},
};

use crate::{
    contained::contained,
    exchange::{
        live::{Known, Live, Start},
        settings::Settings,
    },
    head::RequestHead,
    tracer::{OfRequest, Started, Unstarted},
};

/// What a side says of its request.
pub(crate) trait Describe {
    /// The span's name, to be given to it once.
    fn take_name(&mut self) -> Cow<'static, str>;

    /// The attributes, for the span's builder.
    fn take_attributes(&mut self) -> Vec<KeyValue>;

    /// Puts what is not on it yet on a span that records, and keeps what its end will need.
    fn once_recording(self, span: &SpanRef<'_>) -> Known;
}

/// A span that is to begin.
pub(crate) struct Beginning<'a> {
    pub(crate) tracer: OfRequest<'a>,
    /// With kind and links.
    pub(crate) builder: SpanBuilder,
    pub(crate) parent_cx: Context,
    pub(crate) settings: &'a Arc<Settings>,
    /// Whether the caller may be told of the span.
    pub(crate) propagates: bool,
    /// Both clocks' reading of the start.
    pub(crate) started: (SystemTime, Instant),
    pub(crate) ends_with_head: fn(StatusCode) -> bool,
}

impl Beginning<'_> {
    /// The span, if it is to be ended; else what was started instead.
    ///
    /// Whoever may look at it finds the description before the start. Where the tracer knows that
    /// nobody looks, it waits until the span is known to record: then a request that does not
    /// builds nothing.
    pub(crate) fn begin<'h, D: Describe>(
        self,
        head: impl Fn() -> RequestHead<'h>,
        describe: impl Fn(&Context) -> D,
    ) -> Result<Arc<Live>, Started> {
        let Self { tracer, parent_cx, settings, propagates, ends_with_head, .. } = self;
        let (started_at, clock) = self.started;
        let builder = self.builder.with_start_time(started_at);

        let mut request = Request { head, describe: || describe(&parent_cx), description: None };
        // A sampler or a processor of the user's may panic, which is not the request's fault.
        let started = contained(|| tracer.start(builder, &parent_cx, &mut request))
            .unwrap_or_else(|| Started::nothing(parent_cx.clone()));
        let described = request.description;
        let answers = started.fresh && propagates && !settings.response_propagation.is_none();
        if !started.recording && !answers {
            return Err(started);
        }
        let start = Start {
            cx: started.cx,
            settings: Arc::clone(settings),
            propagates,
            started_at,
            clock,
            ends_with_head,
        };
        if !started.recording {
            return Ok(Arc::new(Live::new(start, None)));
        }

        let span = start.cx.span();
        let description = described.unwrap_or_else(|| {
            let mut description = describe(&start.cx);
            span.update_name(description.take_name());
            description
        });
        let known = description.once_recording(&span);
        Ok(Arc::new(Live::new(start, Some(known))))
    }
}

/// A request, described when somebody asks for that.
struct Request<H, F, D> {
    head: H,
    describe: F,
    description: Option<D>,
}

impl<'h, H, F, D> Unstarted<'h> for Request<H, F, D>
where
    H: Fn() -> RequestHead<'h>,
    F: Fn() -> D,
    D: Describe,
{
    fn head(&self) -> RequestHead<'h> {
        (self.head)()
    }

    fn describe(&mut self, builder: &mut SpanBuilder) {
        let description = self.description.insert((self.describe)());
        builder.name = description.take_name();
        builder.attributes = Some(description.take_attributes());
    }
}
