//! The span's beginning: whether there is one, and what it begins with.

use std::sync::Arc;

use http::Request;
use opentelemetry::{
    Context,
    trace::{Link, SpanBuilder, SpanKind, TraceContextExt},
};

use crate::{
    exchange::{
        guard::Guard,
        head::RequestHead,
        live::{Live, Start},
        told::{Route, RouteSource},
    },
    intern,
    semconv::legacy,
    server::{
        ServerSpan,
        config::Config,
        describe::Description,
        parent::{Parent, parent},
        request_start::started,
        response::ends_with_head,
        route::{matched_route, target, tell},
    },
};

/// Starts the server span of `request` and gives the guard that ends it; gives none if the request is
/// to be passed through untouched.
pub(super) fn make_span(config: &Config, request: &mut Request<()>) -> Option<Guard> {
    if request.extensions().get::<ServerSpan>().is_some() {
        // A layer further out has made one. This one may be on the router, and know the route.
        tell(request.extensions(), None);
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
        Err(cx) => return Some(Guard::bare(cx)),
    };
    let classifier = config.classifier.as_ref().filter(|_| live.is_recording());
    let classification = classifier.map(|classifier| classifier.begin(request));
    request.extensions_mut().insert(ServerSpan::new(Arc::clone(&live)));
    Some(Guard::open(live, classification))
}

/// The span of a request, if it is to be ended; else the Context of one that is not.
///
/// Whoever may look at it finds the description before the start. Where the tracer knows that nobody
/// looks, it waits until the span is known to record: then a request that does not builds nothing.
fn start(
    config: &Config,
    head: &RequestHead<'_>,
    parent: Parent,
    propagates: bool,
) -> Result<Arc<Live>, Context> {
    let (started_at, clock) = started(head.extensions());
    let tracer = &config.providers.tracer;
    let mut builder =
        SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server).with_start_time(started_at);
    if let Some(link) = parent.link {
        builder = builder.with_links(vec![Link::with_context(link)]);
    }

    let legacy_names = config.exchange.legacy_names;
    let mut described = None;
    if tracer.wants_start_attributes(&parent.cx) {
        let description = Description::new(config, head);
        let (name, named) = description.name();
        let (mut list, hook_keys) = description.before_start();
        if let Some(names) = legacy_names {
            legacy::rename(&mut list, names);
        }
        builder.name = name;
        builder.attributes = Some(list);
        described = Some((description, named, hook_keys));
    }
    let started = tracer.start(builder, &parent.cx);
    let answers = propagates && !config.exchange.response_propagation.is_none();
    if !started.recording && !answers {
        return Err(started.cx);
    }

    let span = started.cx.span();
    let (description, named, hook_keys) = match described {
        Some((description, named, hook_keys)) => {
            if legacy_names.is_none() {
                span.set_attributes(description.once_recording());
            } else {
                let mut list = description.once_recording().collect();
                legacy_names.into_iter().for_each(|names| legacy::rename(&mut list, names));
                span.set_attributes(list);
            }
            (description, named, hook_keys)
        }
        None => {
            let description = Description::new(config, head);
            let (mut list, hook_keys) = description.before_start();
            let (name, named) = description.name();
            list.extend(description.once_recording());
            legacy_names.into_iter().for_each(|names| legacy::rename(&mut list, names));
            span.update_name(name);
            span.set_attributes(list);
            (description, named, hook_keys)
        }
    };
    let route = head
        .route()
        .map(|pattern| Route { source: RouteSource::Router, pattern: intern::shared(pattern) });
    Ok(Arc::new(Live::new(Start {
        cx: started.cx,
        settings: Arc::clone(&config.exchange),
        recording: started.recording,
        propagates,
        started_at,
        clock,
        method: description.into_method(),
        named,
        route,
        ends_with_head: ends_with_head(head.method()),
        hook_keys,
    })))
}
