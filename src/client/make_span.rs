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
    contained::contained,
    exchange::{
        begin::Beginning, guard::Guard, live::Live, metrics::measuring::Measuring,
        response::ends_with_head,
    },
    tracer::{OfRequest, Started},
};

/// Begins the exchange of `request`, with a client span, with metrics or with both, writes the span
/// into the headers, and gives the guard that ends it; gives none if there is nothing of this
/// layer's to end.
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
    let policy = (config.traces && verdict.has_propagation()).then_some(&config.propagation);
    let permit = policy.map(|policy| policy.permit(&seen, config.origin()));
    let traced = nested::is_traced(&seen, &cx, propagator);
    let measuring = config.measuring.as_ref().filter(|_| verdict.has_metrics());
    let measuring = measuring.filter(|_| !nested::is_measured(&seen, traced));

    if traced {
        // The span is the outer layer's, but what may not go out is any layer's to say.
        let hides = permit.is_some_and(|permit| !permit.context);
        let parent_cx = if hides { Unwritten::of(&seen, false, cx.clone()) } else { cx.clone() };
        let within = Within { tracer: None, parent_cx, attaches_parent: hides };
        let guard = match begin(config, &seen, within, measuring, None) {
            Ok(live) => Some(open(config, live, request)),
            Err(started) => hides.then(|| Guard::bare(started.cx)),
        };
        if let Some(permit) = permit {
            permit.withhold(propagator, request.headers_mut());
        }
        return guard;
    }

    let resend_count = ResendCount::count(&cx);
    let below_another = cx.span().span_context().is_valid();
    let wanted = config.traces && verdict.has_span() && (below_another || !config.parent_required);
    let tracer = || config.providers.tracer.of_request(propagator);
    let tracer = wanted.then(tracer).flatten();
    let parent_cx = match tracer {
        Some(_) => {
            let written = permit.is_some_and(|permit| permit.writes(propagator));
            Unwritten::of(&seen, written, further_in(&cx))
        }
        None => cx.clone(),
    };
    let within = Within { tracer, parent_cx, attaches_parent: false };
    let (cx, guard) = match begin(config, &seen, within, measuring, resend_count) {
        Ok(live) => {
            // The caller's goes along where there is no span.
            let cx = if live.is_traced() { live.cx().clone() } else { cx.clone() };
            (cx, Some(open(config, live, request)))
        }
        Err(Started { cx, fresh: true, .. }) => (cx.clone(), Some(Guard::bare(cx))),
        Err(Started { fresh: false, .. }) => (cx.clone(), None),
    };
    if let Some(permit) = permit {
        permit.inject(propagator, &cx, request.headers_mut());
    }
    guard
}

/// Whose tracer makes the span, if there is to be one, and below what.
struct Within<'a> {
    tracer: Option<OfRequest<'a>>,
    parent_cx: Context,
    attaches_parent: bool,
}

/// The exchange, if its end is waited for; else the span that was started instead.
fn begin<R: OutgoingRequest>(
    config: &Config,
    request: &Seen<'_, R>,
    within: Within<'_>,
    measuring: Option<&Measuring>,
    resend_count: Option<u32>,
) -> Result<Arc<Live>, Started> {
    let Within { tracer, parent_cx, attaches_parent } = within;
    if tracer.is_none() && measuring.is_none() {
        return Err(Started::nothing(parent_cx));
    }
    let started = (SystemTime::now(), Instant::now());
    let beginning = Beginning {
        tracer,
        // A provider of the user's may panic.
        instruments: measuring.and_then(|measuring| contained(|| measuring.at(started.1))),
        builder: SpanBuilder::from_name("HTTP").with_kind(SpanKind::Client),
        parent_cx,
        attaches_parent,
        settings: &config.exchange,
        propagates: false,
        started,
        ends_with_head: ends_with_head(request.request.method()),
        outer: None,
    };
    let begun =
        beginning.begin(|| request.head(), || Description::new(config, request, resend_count));
    if let Ok(live) = &begun
        && !live.is_traced()
    {
        live.mark(request.asked_for());
    }
    begun
}

/// The guard of an exchange, and what reads its response.
fn open<R: OutgoingRequest>(config: &Config, live: Arc<Live>, request: &mut R) -> Guard {
    let classifier = config.classifier.as_ref().filter(|_| live.is_classified());
    let classification =
        classifier.and_then(|classifier| as_http(request, |head| classifier.begin(head)));
    Guard::open(live, classification)
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
