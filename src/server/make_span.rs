//! The span's beginning: whether there is one, and what it begins with.

use std::sync::Arc;

use http::Request;
use opentelemetry::{
    Context,
    trace::{Link, SpanBuilder, SpanKind},
};

use crate::{
    exchange::{begin::Beginning, guard::Guard, live::Live, response::ends_with_head},
    head::RequestHead,
    propagation::received::keep_random,
    server::{
        ServerSpan,
        config::Config,
        describe::Description,
        parent::{Parent, parent},
        request_start::started,
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
    let head = RequestHead::new(
        request.method(),
        target(request),
        request.version(),
        request.headers(),
        request.extensions(),
        matched_route(request.extensions()),
    );
    let of_grpc = config.exchange.grpc.verdict(head.headers(), || head.path());
    let verdict = config.filter.verdict(request.extensions(), || head).and(of_grpc);
    let parent = match (verdict.has_propagation(), verdict.has_span()) {
        (true, _) => parent(&config.remote_parent, &config.providers.propagator, &head),
        (false, true) => Parent { cx: Context::current(), link: None },
        (false, false) => return None,
    };
    if !verdict.has_span() {
        return Some(Guard::bare(keep_random(parent.cx)));
    }
    let live = match start(config, &head, parent, verdict.has_propagation()) {
        Ok(live) => live,
        Err(Started { cx, fresh: true, .. }) => {
            request.extensions_mut().insert(SampledOut);
            return Some(Guard::bare(cx));
        }
        Err(Started { cx, .. }) => return Some(Guard::bare(keep_random(cx))),
    };
    let classifier = config.classifier.as_ref().filter(|_| live.is_classified());
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
fn start(
    config: &Config,
    head: &RequestHead<'_>,
    parent: Parent,
    propagates: bool,
) -> Result<Arc<Live>, Started> {
    let Some(tracer) = config.providers.tracer.of_request(&config.providers.propagator) else {
        return Err(Started::nothing(parent.cx));
    };
    let mut builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
    if let Some(link) = parent.link {
        builder = builder.with_links(vec![Link::with_context(link)]);
    }
    let beginning = Beginning {
        tracer,
        builder,
        parent_cx: parent.cx,
        settings: &config.exchange,
        propagates,
        started: started(head.extensions()),
        ends_with_head: ends_with_head(head.method()),
    };
    beginning.begin(|| *head, |cx| Description::before_start(config, head, cx))
}
