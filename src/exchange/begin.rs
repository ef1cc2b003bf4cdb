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
        kind::Kind,
        live::{Known, Live, Start},
        metrics::{instruments::Instruments, measured::Measured},
        recorded::Recorded,
        settings::Settings,
    },
    head::RequestHead,
    propagation::received::keep_random,
    tracer::{OfRequest, Started, Unstarted},
};

/// What a side says of its request.
pub(crate) trait Describe {
    /// Gathers what a span says of the request, in this Context.
    fn gather(&mut self, cx: &Context);

    /// The span's name, to be given to it once.
    fn take_name(&mut self) -> Cow<'static, str>;

    /// The attributes, for the span's builder.
    fn take_attributes(&mut self) -> Vec<KeyValue>;

    /// Puts what is not on it yet on a span that records.
    fn record(&mut self, span: &SpanRef<'_>) -> Recorded;

    /// What metrics say of the request, to be recorded with these instruments.
    fn measure(&self, instruments: Arc<Instruments>) -> Measured;

    /// What its end will need.
    fn into_kind(self) -> Kind;
}

/// An exchange that is to begin.
pub(crate) struct Beginning<'a> {
    /// If there is to be a span, and anybody to make it.
    pub(crate) tracer: Option<OfRequest<'a>>,
    /// If there are to be metrics.
    pub(crate) instruments: Option<Arc<Instruments>>,
    /// With kind and links.
    pub(crate) builder: SpanBuilder,
    pub(crate) parent_cx: Context,
    /// Whether that one is to be current where there is no span of this exchange's own.
    pub(crate) attaches_parent: bool,
    pub(crate) settings: &'a Arc<Settings>,
    /// Whether the caller may be told of the span.
    pub(crate) propagates: bool,
    /// Both clocks' reading of the start.
    pub(crate) started: (SystemTime, Instant),
    pub(crate) ends_with_head: fn(StatusCode) -> bool,
    /// What another layer has opened for the same request.
    pub(crate) outer: Option<Arc<Live>>,
}

impl Beginning<'_> {
    /// The exchange, if its end is waited for; else the span that was started instead.
    ///
    /// Whoever may look at it finds the description before the start. Where the tracer knows that
    /// nobody looks, it waits until the span is known to record: then a request that does not
    /// builds nothing.
    pub(crate) fn begin<'h, D: Describe>(
        self,
        head: impl Fn() -> RequestHead<'h>,
        describe: impl Fn() -> D,
    ) -> Result<Arc<Live>, Started> {
        let Self { tracer, parent_cx, settings, propagates, ends_with_head, outer, .. } = self;
        let (started_at, clock) = self.started;
        let builder = self.builder.with_start_time(started_at);

        let mut request = Request { head, describe, cx: &parent_cx, description: None };
        let start = |tracer: OfRequest<'_>| {
            // A sampler or a processor of the user's may panic, which is not the request's fault.
            contained(|| tracer.start(builder, &parent_cx, &mut request))
        };
        let started = tracer.and_then(start).unwrap_or_else(|| Started::nothing(parent_cx.clone()));
        let Started { recording, fresh, .. } = started;
        let owns_span = recording || fresh;
        let answers = fresh && propagates && !settings.response_propagation.is_none();
        let listens =
            recording || self.instruments.is_some() || fresh && settings.exceptions.logs();
        if !listens && !answers {
            return Err(started);
        }
        let start = Start {
            cx: if owns_span { started.cx } else { keep_random(started.cx) },
            attaches: owns_span || self.attaches_parent,
            owns_span,
            settings: Arc::clone(settings),
            propagates,
            started_at,
            clock,
            ends_with_head,
            outer,
        };
        if !listens {
            return Ok(Arc::new(Live::new(start, None)));
        }

        let gathered = request.description.is_some();
        let mut description = request.description.unwrap_or_else(request.describe);
        let recorded = recording.then(|| {
            let span = start.cx.span();
            if !gathered {
                description.gather(&parent_cx);
                span.update_name(description.take_name());
            }
            description.record(&span)
        });
        let measured = self.instruments.map(|instruments| description.measure(instruments));
        let known = Known { request: description.into_kind(), recorded, measured };
        Ok(Arc::new(Live::new(start, Some(known))))
    }
}

/// A request, described when somebody asks for that.
struct Request<'a, H, F, D> {
    head: H,
    describe: F,
    cx: &'a Context,
    description: Option<D>,
}

impl<'h, H, F, D> Unstarted<'h> for Request<'_, H, F, D>
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
        description.gather(self.cx);
        builder.name = description.take_name();
        builder.attributes = Some(description.take_attributes());
    }
}
