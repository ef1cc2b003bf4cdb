//! The span's beginning: whether there is one, and what it begins with.

use std::sync::Arc;

use http::Request;
use opentelemetry::{
    Context,
    trace::{Link, SpanBuilder, SpanKind},
};

use crate::{
    contained::contained,
    exchange::{
        begin::Beginning, guard::Guard, live::Live, metrics::measuring::Measuring,
        response::ends_with_head,
    },
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

/// Begins the exchange of `request`, with a server span, with metrics or with both, and gives the
/// guard that ends it; gives none if the request is to be passed through untouched.
pub(super) fn make_span(config: &Config, request: &mut Request<()>) -> Option<Guard> {
    let outer = ServerSpan::of(request.extensions());
    if outer.listens() {
        // A layer further out has opened one. This one may be on the router, and know the route.
        tell(request.extensions(), None);
    }
    let sampled_out = || request.extensions().get::<SampledOut>().is_some();
    let traces = config.traces && !outer.is_traced() && !sampled_out();
    let measuring = config.measuring.as_ref().filter(|_| !outer.is_measured());
    if !traces && measuring.is_none() {
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
    let (has_span, propagates) =
        (traces && verdict.has_span(), traces && verdict.has_propagation());
    let measuring = measuring.filter(|_| verdict.has_metrics());
    let parent = match (propagates, has_span, measuring) {
        (true, ..) => parent(&config.remote_parent, &config.providers.propagator, &head),
        (false, true, _) => Parent { cx: Context::current(), link: None },
        // It leaves the Context alone.
        (false, false, Some(_)) => Parent { cx: Context::new(), link: None },
        (false, false, None) => return None,
    };
    if !has_span && measuring.is_none() {
        return Some(Guard::bare(keep_random(parent.cx)));
    }
    let live = match begin(config, &head, parent, outer, measuring, has_span, propagates) {
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

/// The exchange, if its end is waited for; else the span that was started instead.
fn begin(
    config: &Config,
    head: &RequestHead<'_>,
    parent: Parent,
    outer: ServerSpan,
    measuring: Option<&Measuring>,
    has_span: bool,
    propagates: bool,
) -> Result<Arc<Live>, Started> {
    let providers = &config.providers;
    let tracer = || providers.tracer.of_request(&providers.propagator);
    let tracer = has_span.then(tracer).flatten();
    if tracer.is_none() && measuring.is_none() {
        return Err(Started::nothing(parent.cx));
    }
    let mut builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
    if let Some(link) = parent.link {
        builder = builder.with_links(vec![Link::with_context(link)]);
    }
    let started = started(head.extensions());
    let beginning = Beginning {
        tracer,
        // A provider of the user's may panic.
        instruments: measuring.and_then(|measuring| contained(|| measuring.at(started.1))),
        builder,
        parent_cx: parent.cx,
        attaches_parent: has_span || propagates,
        settings: &config.exchange,
        propagates,
        started,
        outer: outer.into_live(),
        ends_with_head: ends_with_head(head.method()),
    };
    beginning.begin(|| *head, || Description::new(config, head))
}
