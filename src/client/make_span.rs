//! The span's beginning: whether there is one, what it begins with, and what goes along.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context,
    trace::{SpanBuilder, SpanKind, TraceContextExt},
};

use crate::{
    client::{
        OutgoingRequest, ResendCount, UrlTemplate,
        config::Config,
        describe::Description,
        nested::{self, Unwritten},
        request::as_http,
        seen::Seen,
    },
    exchange::{begin::Beginning, guard::Guard, live::Live, response::ends_with_head},
    tracer::Started,
};

/// Starts the client span of `request`, writes it into the headers, and gives the guard that ends
/// it; gives none if there is no span of this layer's.
pub(super) fn make_span<R: OutgoingRequest>(config: &Config, request: &mut R) -> Option<Guard> {
    let cx = Context::current();
    if cx.is_telemetry_suppressed() {
        // An exporter's own request, which would be exported, too, and so on.
        return None;
    }
    let seen = Seen::new(request, &cx, config.url_template.as_ref());
    let propagator = &config.providers.propagator;
    let of_grpc = config.exchange.grpc.verdict(seen.request.headers(), || seen.path());
    let verdict = config.filter.verdict(seen.request.extensions(), || seen.head()).and(of_grpc);
    let policy = verdict.has_propagation().then_some(&config.propagation);
    let permit = policy.map(|policy| policy.permit(&seen, config.origin()));
    if nested::is_traced(&seen, &cx, propagator) {
        // The span is the outer layer's, but what may not go out is any layer's to say.
        let permit = permit?;
        let marked =
            (!permit.context).then(|| Guard::bare(Unwritten::of(&seen, false, cx.clone())));
        permit.withhold(propagator, request.headers_mut());
        return marked;
    }
    let resend_count = ResendCount::count(&cx);
    let below_another = cx.span().span_context().is_valid();
    let wanted = verdict.has_span() && (below_another || !config.parent_required);
    let written = permit.is_some_and(|permit| permit.writes(propagator));
    let started = wanted.then(|| start(config, &cx, &seen, resend_count, written));
    let (cx, guard) = match started {
        Some(Ok(live)) => {
            let classifier = config.classifier.as_ref().filter(|_| live.is_classified());
            let classification =
                classifier.and_then(|classifier| as_http(request, |head| classifier.begin(head)));
            (live.cx().clone(), Some(Guard::open(live, classification)))
        }
        Some(Err(Started { cx, fresh: true, .. })) => (cx.clone(), Some(Guard::bare(cx))),
        // The caller's goes along.
        Some(Err(Started { fresh: false, .. })) | None => (cx, None),
    };
    if let Some(permit) = permit {
        permit.inject(propagator, &cx, request.headers_mut());
    }
    guard
}

/// The span of a request, if it is to be ended; else what was started instead.
fn start<R: OutgoingRequest>(
    config: &Config,
    cx: &Context,
    request: &Seen<'_, R>,
    resend_count: Option<u32>,
    written: bool,
) -> Result<Arc<Live>, Started> {
    let Some(tracer) = config.providers.tracer.of_request(&config.providers.propagator) else {
        return Err(Started::nothing(cx.clone()));
    };
    let beginning = Beginning {
        tracer,
        builder: SpanBuilder::from_name("HTTP").with_kind(SpanKind::Client),
        parent_cx: Unwritten::of(request, written, further_in(cx)),
        settings: &config.exchange,
        propagates: false,
        started: (SystemTime::now(), Instant::now()),
        ends_with_head: ends_with_head(request.request.method()),
    };
    beginning
        .begin(|| request.head(), |cx| Description::before_start(config, request, resend_count, cx))
}

/// What the caller has said of this request holds for none that is sent because of it.
fn further_in(cx: &Context) -> Context {
    let mut cx = cx.clone();
    if ResendCount::is_in(&cx) {
        cx = cx.with_value(ResendCount::none());
    }
    if UrlTemplate::is_in(&cx) {
        cx = cx.with_value(UrlTemplate::none());
    }
    cx
}
