//! What was received of a trace, through spans that do not know of it.

use http::{HeaderMap, Request, Response};
use opentelemetry::{
    Context, KeyValue, TraceId,
    propagation::{
        Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
        text_map_propagator::FieldIter,
    },
    trace::{Link, Span, SpanKind, TraceContextExt, TraceFlags, Tracer, TracerProvider},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider,
    ShouldSample, SimpleSpanProcessor,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_telemetry::{
    SamplerBuilder, Telemetry, TraceLayer,
    propagation::{Propagator, TraceContext},
    server::Verdict,
};

use crate::support::{
    headers::{SPAN, TRACE, lines, map},
    sdk::sampled_by,
};

/// What a handler sends on that has so many spans of its own, made with `tracer`.
fn sent_on<T>(
    layer: &TraceLayer,
    tracer: &T,
    depth: usize,
    received: &[(&str, &str)],
) -> Vec<String>
where
    T: Tracer,
    T::Span: Send + Sync + 'static,
{
    let inner = service_fn(|_: Request<()>| {
        let mut cx = Context::current();
        for _ in 0..depth {
            let span = tracer.build_with_context(tracer.span_builder("own"), &cx);
            cx = cx.with_span(span);
        }
        let mut sent = HeaderMap::new();
        Propagator::new(TraceContext::new()).inject(&cx, &mut sent);
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(lines(&sent));
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let mut request = Request::new(());
    *request.headers_mut() = map(received);
    let mut response = tokio_test::block_on(layer.layer(inner).oneshot(request)).unwrap();
    response.extensions_mut().remove().unwrap()
}

/// The flags that are sent.
fn flags(sent: &[String]) -> &str {
    &sent[0][sent[0].len() - 2..]
}

#[test]
fn the_random_flag_goes_on_whatever_becomes_of_the_spans() {
    for (sampler, received, expected) in [
        (SamplerBuilder::new(), "00", "00"),
        (SamplerBuilder::new(), "01", "01"),
        (SamplerBuilder::new(), "02", "02"),
        (SamplerBuilder::new(), "03", "03"),
        (SamplerBuilder::new().with_always_off().without_parent(), "01", "00"),
        (SamplerBuilder::new().with_always_off().without_parent(), "03", "02"),
        (SamplerBuilder::new().without_parent(), "02", "03"),
    ] {
        let (telemetry, _) = sampled_by(sampler);
        let layer = TraceLayer::new().with_telemetry(&telemetry);
        let tracer = telemetry.tracer_provider().tracer("own");
        let parent = format!("00-{TRACE}-{SPAN}-{received}");
        for depth in 0..3 {
            let sent = sent_on(&layer, &tracer, depth, &[("traceparent", &parent)]);
            assert!(sent[0].contains(TRACE) && !sent[0].contains(SPAN));
            assert_eq!(flags(&sent), expected, "received {received}, {depth} own");
        }
    }
}

#[test]
fn the_random_flag_gets_through_spans_of_others_alone() {
    let off = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let tracer = off.tracer("own");
    for received in ["02", "03"] {
        let headers = map(&[("traceparent", format!("00-{TRACE}-{SPAN}-{received}"))]);
        let w3c = Propagator::new(TraceContext::new());
        let extractor = HeaderExtractor(&headers);
        let as_any = w3c.extract_with_context(&Context::new(), &extractor);
        let alone = TraceContext::new().extract_with_context(&Context::new(), &extractor);
        for cx in [w3c.extract(&Context::new(), &headers), as_any, alone] {
            let span = tracer.build_with_context(tracer.span_builder("own"), &cx);
            assert_eq!(span.span_context().trace_flags(), TraceFlags::NOT_SAMPLED);
            let mut sent = HeaderMap::new();
            w3c.inject(&cx.with_span(span), &mut sent);
            assert_eq!(flags(&lines(&sent)), "02", "{received}");
        }
        // Below a span of ours that is sampled, too.
        let on = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
        let layer =
            TraceLayer::new().with_tracer_provider(&on).with_propagator(TraceContext::new());
        let parent = format!("00-{TRACE}-{SPAN}-{received}");
        let sent = sent_on(&layer, &tracer, 1, &[("traceparent", &parent)]);
        assert_eq!(flags(&sent), "02", "{received}");
    }
    // And where there is no layer's span at all.
    let parent = format!("00-{TRACE}-{SPAN}-03");
    let bare = TraceLayer::new().with_propagator(TraceContext::new());
    let ended = SdkTracerProvider::builder().build();
    ended.shutdown().unwrap();
    for layer in [
        bare.clone(),
        bare.clone().with_tracer_provider(&ended),
        bare.with_filter(|_| Verdict::all().without_span()),
    ] {
        let sent = sent_on(&layer, &tracer, 1, &[("traceparent", &parent)]);
        assert_eq!(flags(&sent), "02");
    }
}

#[test]
fn a_layers_own_propagator_decides_what_its_traces_say() {
    #[derive(Debug)]
    struct Theirs;

    impl TextMapPropagator for Theirs {
        fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
            let flags = cx.span().span_context().trace_flags();
            injector.set("x-flags", format!("{flags:02x}"));
        }

        fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&[])
        }
    }

    let (telemetry, _) = sampled_by(SamplerBuilder::new());
    let tracer = telemetry.tracer_provider().tracer("own");
    let layer = TraceLayer::new().with_telemetry(&telemetry);
    assert_eq!(flags(&sent_on(&layer, &tracer, 0, &[])), "03");
    let theirs = layer.clone().with_propagator(Theirs);
    assert_eq!(flags(&sent_on(&theirs, &tracer, 0, &[])), "01");
    let ours_again = theirs.with_propagator(TraceContext::new());
    assert_eq!(flags(&sent_on(&ours_again, &tracer, 0, &[])), "03");
}

#[test]
fn a_trace_that_begins_here_says_that_its_id_is_random_if_that_is_known() {
    let (known, exporter) = sampled_by(SamplerBuilder::new());
    let tracer = known.tracer_provider().tracer("own");
    let layer = TraceLayer::new().with_telemetry(&known);
    for depth in 0..3 {
        assert_eq!(flags(&sent_on(&layer, &tracer, depth, &[])), "03");
    }
    // The spans are as complete as any.
    let spans = exporter.get_finished_spans().unwrap();
    assert!(spans.iter().filter(|span| span.span_kind == SpanKind::Server).all(|span| {
        span.name == "GET" && !span.attributes.is_empty() && span.end_time >= span.start_time
    }));
    let (off, _) = sampled_by(SamplerBuilder::new().with_always_off());
    let layer = TraceLayer::new().with_telemetry(&off);
    assert_eq!(flags(&sent_on(&layer, &tracer, 0, &[])), "02");

    // To somebody else's propagator the flag may mean something else.
    let foreign = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_propagator(
            Propagator::new(TraceContext::new()).and(TextMapCompositePropagator::new(vec![])),
        )
        .build()
        .unwrap();
    let layer = TraceLayer::new().with_telemetry(&foreign);
    assert_eq!(flags(&sent_on(&layer, &tracer, 0, &[])), "01");
    // And somebody else's ids may be anything.
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
    let layer =
        TraceLayer::new().with_tracer_provider(&provider).with_propagator(TraceContext::new());
    assert_eq!(flags(&sent_on(&layer, &tracer, 0, &[])), "01");
}

/// Writes its threshold, as a probability sampler does, and drops a member.
#[derive(Clone, Debug)]
struct Threshold(SamplingDecision);

impl ShouldSample for Threshold {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent_context.unwrap().span();
        let state = parent.span_context().trace_state();
        SamplingResult {
            decision: self.0.clone(),
            attributes: Vec::new(),
            trace_state: state.insert("ot", "th:8").unwrap().delete("gone").unwrap(),
        }
    }
}

#[test]
fn what_a_sampler_changes_wins_over_what_was_received() {
    let parent = format!("00-{TRACE}-{SPAN}-02");
    for decision in
        [SamplingDecision::Drop, SamplingDecision::RecordOnly, SamplingDecision::RecordAndSample]
    {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Threshold(decision.clone()))
            .with_simple_exporter(exporter.clone())
            .build();
        let layer =
            TraceLayer::new().with_tracer_provider(&provider).with_propagator(TraceContext::new());
        let tracer = provider.tracer("own");
        for depth in 0..2 {
            let received = [
                ("traceparent", parent.as_str()),
                ("tracestate", "a@@b=1,gone=2"),
                ("tracestate", "ot=rv:1,c=3"),
            ];
            let sent = sent_on(&layer, &tracer, depth, &received);
            let sampled = decision == SamplingDecision::RecordAndSample;
            assert_eq!(flags(&sent), if sampled { "03" } else { "02" }, "{decision:?}");
            assert_eq!(sent[1], "tracestate: ot=th:8,a@@b=1,c=3", "{decision:?}");
        }
        // What is exported has what OpenTelemetry's type holds of it.
        for span in exporter.get_finished_spans().unwrap() {
            assert_eq!(span.span_context.trace_state().header(), "ot=th:8,c=3");
        }
    }
}

#[test]
fn a_decision_that_was_left_to_others_is_the_samplers() {
    let single = format!("{TRACE}-{SPAN}");
    let root = format!("Root=1-{}-{};Parent={SPAN}", &TRACE[..8], &TRACE[8..]);
    let unknown = format!("{root};Sampled=?");
    let denied = format!("{single}-0");
    for (sampler, recorded) in [
        (SamplerBuilder::new(), true),
        (SamplerBuilder::new().with_always_off(), false),
        (SamplerBuilder::new().with_ratio(1.0), true),
    ] {
        for (lines, recorded) in [
            ([("b3", &single)], recorded),
            ([("x-amzn-trace-id", &root)], recorded),
            ([("x-amzn-trace-id", &unknown)], recorded),
            // What was decided is followed.
            ([("b3", &denied)], false),
        ] {
            let exporter = InMemorySpanExporter::default();
            let telemetry = Telemetry::builder()
                .with_environment([("", ""); 0])
                .with_sampler(sampler.clone())
                .with_propagators(["b3", "xray"])
                .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
                .build()
                .unwrap();
            let layer = TraceLayer::new().with_telemetry(&telemetry);
            let tracer = telemetry.tracer_provider().tracer("own");
            let lines = lines.map(|(name, value)| (name, value.as_str()));
            for depth in 0..2 {
                let sent = sent_on(&layer, &tracer, depth, &lines);
                assert!(sent[0].contains(TRACE));
                assert_eq!(flags(&sent), if recorded { "01" } else { "00" }, "{lines:?}");
            }
            let spans = exporter.get_finished_spans().unwrap();
            assert_eq!(spans.is_empty(), !recorded);
            assert!(spans.iter().all(|span| !span.attributes.is_empty() || span.name == "own"));
        }
    }
}
