//! The span's beginning: whether there is one, and what it begins with.

use std::sync::Arc;

use http::Request;
use opentelemetry::{
    Context,
    trace::{Link, SpanBuilder, SpanKind, TraceContextExt},
};

use crate::{
    exchange::{
        contained::contained,
        guard::Guard,
        head::RequestHead,
        live::{Live, Start},
    },
    server::{
        ServerSpan,
        config::Config,
        describe::Description,
        parent::{Parent, parent},
        request_start::started,
        response::ends_with_head,
        route::{matched_route, target, tell},
    },
    tracer::Started,
};

/// Starts the server span of `request` and gives the guard that ends it; gives none if the request
/// is to be passed through untouched.
pub(super) fn make_span(config: &Config, request: &mut Request<()>) -> Option<Guard> {
    if request.extensions().get().is_some_and(ServerSpan::is_made) {
        // A layer further out has made one. This one may be on the router, and know the route.
        tell(request.extensions(), None);
        return None;
    }
    if request.extensions().get::<SampledOut>().is_some() {
        return None;
    }
    let head = RequestHead::new(request, target(request), matched_route(request.extensions()));
    let verdict = config.filter.verdict(&head);
    let parent = match (verdict.has_propagation(), verdict.has_span()) {
        (true, _) => parent(&config.remote_parent, &config.providers.propagator, &head),
        (false, true) => Parent { cx: Context::current(), link: None },
        (false, false) => return None,
    };
    if !verdict.has_span() {
        return Some(Guard::bare(parent.cx));
    }
    let live = match start(config, &head, parent, verdict.has_propagation()) {
        Ok(live) => live,
        Err(Started { cx, fresh, .. }) => {
            if fresh {
                request.extensions_mut().insert(SampledOut);
            }
            return Some(Guard::bare(cx));
        }
    };
    let classifier = config.classifier.as_ref().filter(|_| live.is_recording());
    let classification = classifier.and_then(|classifier| classifier.begin(request));
    request.extensions_mut().insert(ServerSpan::new(Arc::clone(&live)));
    Some(Guard::open(live, classification))
}

/// A layer further out has decided that the request is not recorded, so that one further in does
/// not draw lots again. It has no size, so that among other extensions it costs no allocation as a
/// rule.
#[derive(Clone)]
struct SampledOut;

/// The span of a request, if it is to be ended; else what was started instead.
///
/// Whoever may look at it finds the description before the start. Where the tracer knows that
/// nobody looks, it waits until the span is known to record: then a request that does not builds
/// nothing.
fn start(
    config: &Config,
    head: &RequestHead<'_>,
    parent: Parent,
    propagates: bool,
) -> Result<Arc<Live>, Started> {
    let Some(tracer) = config.providers.tracer.of_request() else {
        return Err(Started::nothing(parent.cx));
    };
    let (started_at, clock) = started(head.extensions());
    let mut builder =
        SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server).with_start_time(started_at);
    if let Some(link) = parent.link {
        builder = builder.with_links(vec![Link::with_context(link)]);
    }

    let mut described =
        tracer.wants_start_attributes(&parent.cx).then(|| Description::before_start(config, head));
    if let Some(description) = &mut described {
        builder.name = description.take_name();
        builder.attributes = Some(description.take_attributes());
    }
    // A sampler or a processor of the user's may panic, which is not the request's fault.
    let started = contained(|| tracer.start(builder, &parent.cx))
        .unwrap_or_else(|| Started::nothing(parent.cx.clone()));
    let answers = started.fresh && propagates && !config.exchange.response_propagation.is_none();
    if !started.recording && !answers {
        return Err(started);
    }
    let start = Start {
        cx: started.cx,
        settings: Arc::clone(&config.exchange),
        propagates,
        started_at,
        clock,
        ends_with_head: ends_with_head(head.method()),
    };
    if !started.recording {
        return Ok(Arc::new(Live::new(start, None)));
    }

    let span = start.cx.span();
    let description = described.unwrap_or_else(|| {
        let mut description = Description::before_start(config, head);
        span.update_name(description.take_name());
        description
    });
    let known = description.once_recording(&span);
    Ok(Arc::new(Live::new(start, Some(known))))
}
