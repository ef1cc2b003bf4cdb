//! Whose child a client's span is, where it is the current one, and what goes along.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Extension, Router, routing::get};
use http::{Request, Response};
use http_body::Body;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId,
    baggage::BaggageExt,
    propagation::{
        Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
        text_map_propagator::FieldIter,
    },
    trace::{
        SpanContext, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider,
        noop::{NoopTextMapPropagator, NoopTracerProvider},
    },
};
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SdkTracerProvider, SimpleSpanProcessor, SpanData,
};
use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    retry::RetryLayer,
    service_fn,
    util::{BoxCloneSyncService, BoxService},
};
use tower_telemetry::{
    ClientTraceLayer, PropagationLayer, SamplerBuilder, Telemetry,
    client::{PropagationTargets, SpanEnd, Verdict},
    propagation::{Baggage, Propagator, TraceContext},
};

use crate::support::{
    body::{Script, Step},
    far_side::{
        Again, FarSide, as_reqwest, elsewhere, lines, received, traceparent, traceparent_of,
    },
    recorder::Recorder,
    sdk::Decides,
};

fn current() -> SpanId {
    Context::current().span().span_context().span_id()
}

const SAMPLED: TraceFlags = TraceFlags::SAMPLED;

/// A request that has been on its way somewhere before.
fn used() -> Request<()> {
    Request::get("http://inventory/items/42")
        .header("traceparent", "old")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "foreign=1")
        .header("other", "stays")
        .body(())
        .unwrap()
}

fn spans_of(recorder: &Recorder, name: &str) -> Vec<SpanData> {
    let mut spans = recorder.spans();
    spans.retain(|span| span.name == name);
    spans
}

#[test]
fn the_span_is_current_in_the_call_each_poll_and_each_frame_and_never_for_the_caller() {
    let recorder = Recorder::new();
    let tracer = recorder.provider.tracer("inside");
    let child = move || drop(tracer.start("inside"));

    let (go, gone) = oneshot::channel::<()>();
    let mut gone = Some(gone);
    let inner = service_fn(move |_: Request<()>| {
        child();
        let (child, gone) = (child.clone(), gone.take().unwrap());
        async move {
            child();
            gone.await.unwrap();
            child();
            Ok::<_, Infallible>(Response::new(Looking(child, 2)))
        }
    });
    let mut service = recorder.client_layer().with_span_end(SpanEnd::Body).layer(inner);

    let _attached = elsewhere(SAMPLED).attach();
    let restored = || assert_eq!(current(), SpanId::from(11));
    let mut future = task::spawn(service.call(Request::new(())));
    restored();
    assert_pending!(future.poll());
    restored();
    go.send(()).unwrap();
    let response = assert_ready_ok!(future.poll());
    restored();
    let mut body = task::spawn(response.into_body());
    for _ in 0..2 {
        assert_ready_ok!(body.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
        restored();
    }
    drop(body);
    restored();

    let [client] = <[SpanData; 1]>::try_from(recorder.clients()).unwrap();
    assert_eq!(client.parent_span_id, SpanId::from(11));
    assert_eq!(client.span_context.trace_id(), TraceId::from(42));
    let inside = spans_of(&recorder, "inside");
    assert_eq!(inside.len(), 5);
    for span in inside {
        assert_eq!(span.parent_span_id, client.span_context.span_id());
        assert_eq!(span.span_context.trace_id(), TraceId::from(42));
    }
}

/// A body that looks around whenever it is polled.
struct Looking<F>(F, usize);

impl<F: Fn() + Unpin> Body for Looking<F> {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Infallible>>> {
        (self.0)();
        let left = self.1.checked_sub(1);
        self.1 = left.unwrap_or_default();
        let data = left.map(|_| Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x"))));
        std::task::Poll::Ready(data)
    }
}

#[test]
fn the_span_is_current_in_the_body_of_reqwests_response_that_it_waits_for() {
    fn look() {
        assert_ne!(current(), SpanId::INVALID);
    }

    let recorder = Recorder::new();
    let inner = service_fn(|_: reqwest::Request| {
        let script = Script::new([Step::Look(look), Step::Data("a")]);
        let response = Response::new(reqwest::Body::wrap(script));
        ready(Ok::<_, Infallible>(reqwest::Response::from(response)))
    });
    let mut service = recorder.client_layer().with_span_end(SpanEnd::Body).layer(inner);
    let response = tokio_test::block_on(service.call(as_reqwest(&used()))).unwrap();
    assert_eq!(tokio_test::block_on(response.bytes()).unwrap(), "a");
    assert_eq!(current(), SpanId::INVALID);
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn two_requests_interleaved_on_one_thread_do_not_see_each_other() {
    let recorder = Recorder::new();
    let inner = service_fn(|request: Request<oneshot::Receiver<()>>| async move {
        let (parts, gone) = request.into_parts();
        let before = current();
        assert!(parts.headers["traceparent"].to_str().unwrap().contains(&before.to_string()));
        gone.await.unwrap();
        assert_eq!(current(), before);
        let script = Script::new([Step::Pending, Step::Data("x")]).telling_its_end();
        Ok::<_, Infallible>(Response::builder().extension(before).body(script).unwrap())
    });
    let mut service = recorder.client_layer().with_span_end(SpanEnd::Body).layer(inner);

    let (go_first, first_gone) = oneshot::channel();
    let (go_second, second_gone) = oneshot::channel();
    let mut first = task::spawn(service.call(Request::new(first_gone)));
    let mut second = task::spawn(service.call(Request::new(second_gone)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    go_second.send(()).unwrap();
    assert_pending!(first.poll());
    let second = assert_ready_ok!(second.poll());
    go_first.send(()).unwrap();
    let first = assert_ready_ok!(first.poll());
    assert_eq!(current(), SpanId::INVALID);

    let ids = [&first, &second].map(|response| *response.extensions().get::<SpanId>().unwrap());
    assert_ne!(ids[0], ids[1]);
    for response in [second, first] {
        let mut body = task::spawn(response.into_body());
        assert_pending!(body.enter(|cx, body| body.poll_frame(cx)));
        assert_ready_ok!(body.enter(|cx, body| body.poll_frame(cx)).map(Option::unwrap));
    }
    let ended: Vec<_> = recorder.spans().iter().map(|span| span.span_context.span_id()).collect();
    assert_eq!(ended, [ids[1], ids[0]]);
    assert_eq!(recorder.traces(), 2);
}

#[test]
fn the_parent_is_the_span_of_the_call() {
    let recorder = Recorder::new();
    let mut service = {
        let _layer = elsewhere(TraceFlags::NOT_SAMPLED).attach();
        recorder.client_layer().layer(FarSide::default())
    };
    let other = SpanContext::new(1_u128.into(), 2_u64.into(), SAMPLED, true, TraceState::NONE);
    let future = {
        let _call = elsewhere(SAMPLED).attach();
        service.call(Request::new(()))
    };
    {
        let _poll = Context::new().with_remote_span_context(other).attach();
        tokio_test::block_on(future).unwrap();
    }
    let span = recorder.span();
    assert_eq!(span.parent_span_id, SpanId::from(11));
    assert_eq!(span.span_context.trace_id(), TraceId::from(42));
}

#[test]
fn what_comes_after_a_request_is_no_child_of_it() {
    for below in [true, false] {
        let recorder = Recorder::new();
        let cx = if below { elsewhere(SAMPLED) } else { Context::new() };
        let _attached = cx.attach();
        let tracer = recorder.provider.tracer("caller");
        let mut service =
            recorder.client_layer().with_span_end(SpanEnd::Body).layer(FarSide::default());
        tokio_test::block_on(async {
            let response = service.call(Request::new(())).await.unwrap();
            drop(tracer.start("continuation"));
            drop(response);
            drop(tracer.start("continuation"));
        });
        let client = recorder.clients().remove(0);
        let continuations = spans_of(&recorder, "continuation");
        assert_eq!(continuations.len(), 2);
        for span in continuations {
            assert_ne!(span.parent_span_id, client.span_context.span_id());
            if below {
                assert_eq!(span.parent_span_id, SpanId::from(11));
                assert_eq!(span.span_context.trace_id(), client.span_context.trace_id());
            } else {
                assert_eq!(span.parent_span_id, SpanId::INVALID);
                assert_ne!(span.span_context.trace_id(), client.span_context.trace_id());
            }
        }
    }
}

#[test]
fn a_span_without_a_parent_begins_a_trace_unless_a_parent_is_required() {
    for (required, below, spans) in
        [(false, false, 2), (false, true, 2), (true, false, 0), (true, true, 2)]
    {
        let recorder = Recorder::new();
        let mut layer = recorder.client_layer();
        if required {
            layer = layer.with_parent_required();
        }
        let cx = if below { elsewhere(SAMPLED) } else { Context::new() };
        let _attached = cx.attach();
        let arrived = received(&layer, &Request::new(()));
        let sent = recorder.spans();
        assert_eq!(sent.len(), spans, "{required} {below}");
        for (span, headers) in sent.iter().zip(&arrived) {
            assert_eq!(span.parent_span_id, if below { 11.into() } else { SpanId::INVALID });
            assert!(!span.parent_span_is_remote || below);
            assert_eq!(lines(headers, "traceparent"), [traceparent_of(span)]);
        }
        if spans == 0 {
            assert!(arrived.iter().all(http::HeaderMap::is_empty));
            // Nor is anything taken away.
            for headers in received(&layer, &used()) {
                assert_eq!(headers, *used().headers());
            }
        }
    }
}

#[test]
fn a_request_that_is_sent_twice_has_one_header_each_time_and_two_traces() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    // What the client has written comes back, as where the parts of a request are kept.
    let mut service = recorder.client_layer().layer(far.clone());
    let mut request = Request::new(());
    for _ in 0..2 {
        tokio_test::block_on(service.call(request)).unwrap();
        request = Request::new(());
        *request.headers_mut() = far.headers().pop().unwrap();
    }
    let request = as_reqwest(&request);
    let again = request.try_clone().unwrap();
    for request in [request, again] {
        tokio_test::block_on(service.call(request)).unwrap();
    }
    let expected: Vec<_> = recorder.spans().iter().map(|span| vec![traceparent_of(span)]).collect();
    assert_eq!(far.traceparents(), expected);
    assert_eq!(recorder.traces(), 4);
}

#[test]
fn trace_headers_that_are_there_already_are_replaced() {
    for cx in [Context::new(), elsewhere(SAMPLED)] {
        let recorder = Recorder::new();
        let _attached = cx.attach();
        let arrived = received(&recorder.client_layer(), &used());
        for (headers, span) in arrived.iter().zip(recorder.spans()) {
            assert_eq!(lines(headers, "traceparent"), [traceparent_of(&span)]);
            assert!(lines(headers, "tracestate").is_empty());
            assert_eq!(lines(headers, "other"), ["stays"]);
        }
    }

    let recorder = Recorder::new();
    let request = Request::builder().header("b3", "0").header("b3", "1").body(()).unwrap();
    let arrived = received(&recorder.client_layer().with_propagator(B3), &request);
    for (headers, span) in arrived.iter().zip(recorder.spans()) {
        let span = span.span_context;
        let expected = format!("{}-{}-1", span.trace_id(), span.span_id());
        assert_eq!(lines(headers, "b3"), [expected]);
        assert!(lines(headers, "traceparent").is_empty());
    }
}

/// A propagator of somebody else's.
#[derive(Debug)]
struct B3;

impl TextMapPropagator for B3 {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let (span, ids) = (cx.span(), |span: &SpanContext| {
            format!("{}-{}-{}", span.trace_id(), span.span_id(), u8::from(span.is_sampled()))
        });
        injector.set("b3", ids(span.span_context()));
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| ["b3".to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}

#[test]
fn below_a_parent_that_is_not_sampled_nothing_is_recorded_and_the_header_says_so() {
    let recorder = Recorder::new();
    let _attached = elsewhere(TraceFlags::NOT_SAMPLED).attach();
    for headers in received(&recorder.client_layer(), &used()) {
        let [line] = lines(&headers, "traceparent")[..] else { panic!("one line") };
        assert!(line.starts_with("00-0000000000000000000000000000002a-"), "{line}");
        assert!(line.ends_with("-00"), "{line}");
    }
    assert!(recorder.spans().is_empty());
}

#[test]
fn what_is_sampled_out_is_named_to_the_other_side_as_what_it_is() {
    let exporter = Recorder::new().exporter();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_sampler(SamplerBuilder::new().with_ratio(0.0))
        .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
        .build()
        .unwrap();
    let of_telemetry = ClientTraceLayer::new().with_telemetry(&telemetry);
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let of_provider = ClientTraceLayer::new()
        .with_tracer_provider(&provider)
        .with_propagator(TraceContext::new());

    // The ids of a telemetry's own tracer are known to be random.
    for (layer, flags) in [(&of_telemetry, "-02"), (&of_provider, "-00")] {
        let [first, second] = received(layer, &used());
        let [first, second] = [&first, &second].map(|headers| lines(headers, "traceparent"));
        assert_ne!(first, second);
        for line in [first, second] {
            let [line] = line[..] else { panic!("one line") };
            assert!(line.ends_with(flags) && line.len() == 55, "{line}");
            assert!(!line.contains("0000000000000000"), "{line}");
        }
    }
    // Below one that is not sampled it is another span of its trace.
    let _attached = elsewhere(TraceFlags::NOT_SAMPLED).attach();
    for headers in received(&of_telemetry, &used()) {
        let line = lines(&headers, "traceparent")[0];
        assert!(line.starts_with("00-0000000000000000000000000000002a-"), "{line}");
        assert!(!line.contains("-000000000000000b-"), "{line}");
    }
    assert!(exporter.get_finished_spans().unwrap().is_empty());
}

#[test]
fn where_no_span_can_be_made_the_callers_context_goes_along() {
    let noop = ClientTraceLayer::new()
        .with_tracer_provider(&NoopTracerProvider::new())
        .with_propagator(TraceContext::new());
    let global = ClientTraceLayer::new().with_propagator(TraceContext::new());
    let shut_down = Recorder::new();
    shut_down.provider.shutdown().unwrap();
    for layer in [noop, global, shut_down.client_layer()] {
        // Without a caller there is nothing to write, and nothing is taken away.
        for headers in received(&layer, &used()) {
            assert_eq!(headers, *used().headers());
        }
        let cx = elsewhere(SAMPLED);
        let expected = traceparent(cx.span().span_context());
        let _attached = cx.attach();
        for headers in received(&layer, &used()) {
            assert_eq!(lines(&headers, "traceparent"), [expected.as_str()]);
            assert!(lines(&headers, "tracestate").is_empty());
        }
    }
    assert!(shut_down.spans().is_empty());
}

#[test]
fn a_filter_leaves_out_the_span_the_headers_or_both() {
    let verdicts = [
        (Verdict::all(), true, true),
        (Verdict::all().without_metrics(), true, true),
        (Verdict::all().without_span(), false, true),
        (Verdict::all().without_propagation(), true, false),
        (Verdict::all().without_span().without_propagation(), false, false),
        (Verdict::none(), false, false),
    ];
    let cx = elsewhere(SAMPLED);
    let callers = traceparent(cx.span().span_context());
    let _attached = cx.attach();
    for (verdict, has_span, writes) in verdicts {
        let recorder = Recorder::of_spans_alone();
        let arrived = received(&recorder.client_layer().with_filter(move |_| verdict), &used());
        let spans = recorder.spans();
        assert_eq!(spans.len(), if has_span { 2 } else { 0 }, "{verdict:?}");
        for (sent, headers) in arrived.iter().enumerate() {
            let expected = match spans.get(sent) {
                Some(span) if writes => vec![traceparent_of(span)],
                None if writes => vec![callers.clone()],
                _ => lines(used().headers(), "traceparent").into_iter().map(Into::into).collect(),
            };
            assert_eq!(lines(headers, "traceparent"), expected, "{verdict:?}");
        }
        if !writes {
            assert_eq!(arrived, [used().headers().clone(), used().headers().clone()]);
        }

        // The same, said with the request.
        let recorder = Recorder::of_spans_alone();
        let far = FarSide::default();
        let mut request = used();
        request.extensions_mut().insert(verdict);
        tokio_test::block_on(recorder.client_layer().layer(far.clone()).call(request)).unwrap();
        assert_eq!(recorder.spans().len(), usize::from(has_span));
    }
}

#[test]
fn what_is_filtered_is_not_current_and_a_filter_that_panics_has_no_objection() {
    let recorder = Recorder::new();
    let layer =
        recorder
            .client_layer()
            .with_filter(|request| {
                if request.path() == "/healthz" { Verdict::none() } else { Verdict::all() }
            })
            .with_filter(|_| panic!("the predicate panics, as it was told to"));
    let inner = service_fn(|request: Request<()>| {
        assert_eq!(current() == SpanId::INVALID, request.uri().path() == "/healthz");
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    for url in ["http://a/healthz", "http://a/items"] {
        let request = Request::get(url).body(()).unwrap();
        tokio_test::block_on(layer.layer(inner).call(request)).unwrap();
    }
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn where_telemetry_is_suppressed_there_is_neither_span_nor_header() {
    let recorder = Recorder::new();
    let propagation = PropagationLayer::new().with_propagator(TraceContext::new());
    let suppressed = elsewhere(SAMPLED).with_telemetry_suppressed();
    let _attached = suppressed.attach();
    for request in [Request::new(()), used()] {
        for headers in received(&recorder.client_layer(), &request) {
            assert_eq!(headers, *request.headers());
        }
        for headers in received(&propagation, &request) {
            assert_eq!(headers, *request.headers());
        }
    }
    assert!(recorder.spans().is_empty());
}

// A request that comes through two layers.

/// Sends a request of either type through; it has one span, whose context has arrived.
fn assert_one_span<L>(recorder: &Recorder, layer: &L)
where
    L: Layer<FarSide>,
    L::Service: Service<Request<()>> + Service<reqwest::Request>,
{
    let before = recorder.spans().len();
    for request in [Request::new(()), used()] {
        let arrived = received(layer, &request);
        let spans = recorder.spans();
        let [http, reqwest] = &spans[spans.len() - 2..] else { panic!("two spans") };
        assert_eq!(lines(&arrived[0], "traceparent"), [traceparent_of(http)]);
        assert_eq!(lines(&arrived[1], "traceparent"), [traceparent_of(reqwest)]);
    }
    assert_eq!(recorder.spans().len(), before + 4);
}

#[test]
fn a_request_that_comes_through_two_layers_has_one_span() {
    let recorder = Recorder::new();
    let client = || recorder.client_layer();
    for cx in [Context::new(), elsewhere(SAMPLED)] {
        let _attached = cx.attach();
        assert_one_span(&recorder, &ServiceBuilder::new().layer(client()).layer(client()));
        let three = ServiceBuilder::new().layer(client()).layer(client()).layer(client());
        assert_one_span(&recorder, &three);
    }
}

#[test]
fn a_request_that_is_written_on_before_or_behind_the_layer_has_one_span_and_one_header() {
    let recorder = Recorder::new();
    let client = || recorder.client_layer();
    let write = || PropagationLayer::new().with_propagator(TraceContext::new());
    for cx in [Context::new(), elsewhere(SAMPLED)] {
        let _attached = cx.attach();
        assert_one_span(&recorder, &ServiceBuilder::new().layer(write()).layer(client()));
        assert_one_span(&recorder, &ServiceBuilder::new().layer(client()).layer(write()));
        let both = ServiceBuilder::new().layer(client()).layer(write()).layer(client());
        assert_one_span(&recorder, &both);
    }
}

#[test]
fn a_request_that_is_tried_again_between_two_layers_has_one_span() {
    let recorder = Recorder::new();
    let layer = ServiceBuilder::new()
        .layer(recorder.client_layer())
        .layer(RetryLayer::new(Again(2)))
        .layer(recorder.client_layer());
    let far = FarSide::default();
    let mut service = layer.service(far.clone());
    tokio_test::block_on(service.call(used())).unwrap();
    tokio_test::block_on(service.call(as_reqwest(&used()))).unwrap();
    let [http, reqwest] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
    let [http, reqwest] = [http, reqwest].map(|span| vec![traceparent_of(&span)]);
    let expected = [&http, &http, &http, &reqwest, &reqwest, &reqwest];
    assert_eq!(far.traceparents().iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_request_that_is_boxed_between_two_layers_has_one_span() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let boxed = BoxService::new::<_>(recorder.client_layer().layer(far.clone()));
    let mut service = recorder.client_layer().layer(boxed);
    tokio_test::block_on(service.call(used())).unwrap();
    let boxed = BoxCloneSyncService::new::<_>(recorder.client_layer().layer(far.clone()));
    let mut service = recorder.client_layer().layer(boxed);
    tokio_test::block_on(service.call(as_reqwest(&used()))).unwrap();
    let expected: Vec<_> = recorder.spans().iter().map(|span| vec![traceparent_of(span)]).collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(far.traceparents(), expected);
}

#[tokio::test]
async fn a_request_that_is_buffered_between_two_layers_has_two_spans() {
    // What is behind a buffer is called in a task of its own, where no span is current.
    let recorder = Recorder::new();
    let far = FarSide::default();
    let mut service = ServiceBuilder::new()
        .layer(recorder.client_layer())
        .layer(BufferLayer::<Request<()>>::new(1))
        .layer(recorder.client_layer())
        .service(far.clone());
    service.ready().await.unwrap().call(used()).await.unwrap();
    let [behind, before] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
    assert_eq!(behind.parent_span_id, SpanId::INVALID);
    assert_ne!(behind.span_context.trace_id(), before.span_context.trace_id());
    assert_eq!(far.traceparents(), [[traceparent_of(&behind)]]);
}

#[tokio::test]
async fn a_request_that_is_buffered_inside_of_the_layer_has_one_span() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let mut service = ServiceBuilder::new()
        .layer(recorder.client_layer())
        .layer(BufferLayer::<Request<()>>::new(1))
        .service(far.clone());
    service.ready().await.unwrap().call(used()).await.unwrap();
    assert_eq!(far.traceparents(), [[traceparent_of(&recorder.span())]]);
}

#[test]
fn of_two_layers_the_outer_one_decides_also_if_it_decides_against() {
    let decisions = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&decisions);
    let counts = Decides::new(SamplingDecision::Drop, move |_, _, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let provider = SdkTracerProvider::builder().with_sampler(counts).build();
    for targets in [PropagationTargets::everywhere(), PropagationTargets::nowhere()] {
        decisions.store(0, Ordering::Relaxed);
        let client = ClientTraceLayer::new()
            .with_tracer_provider(&provider)
            .with_propagator(TraceContext::new())
            .with_propagation_targets(targets);
        let arrived = received(&ServiceBuilder::new().layer(&client).layer(&client), &used());
        assert_eq!(decisions.load(Ordering::Relaxed), 2, "one for each request");
        assert_eq!(lines(&arrived[0], "other"), ["stays"]);
    }
}

#[test]
fn of_two_layers_the_outer_one_has_the_span_also_where_it_may_not_write() {
    let recorder = Recorder::new();
    let everywhere = recorder.client_layer();
    let nowhere = || everywhere.clone().with_propagation_targets(PropagationTargets::nowhere());
    let silent = everywhere.clone().with_filter(|_| Verdict::all().without_propagation());
    let mut requests = 0;
    let mut sent = |layer: &dyn Fn() -> [http::HeaderMap; 2]| {
        let arrived = layer();
        requests += 2;
        assert_eq!(recorder.spans().len(), requests);
        arrived.map(|headers| lines(&headers, "traceparent").len())
    };

    let stack = ServiceBuilder::new;
    assert_eq!(sent(&|| received(&stack().layer(nowhere()).layer(nowhere()), &used())), [0, 0]);
    // What one of them keeps at home, no other one writes.
    assert_eq!(sent(&|| received(&stack().layer(nowhere()).layer(&everywhere), &used())), [0, 0]);
    assert_eq!(sent(&|| received(&stack().layer(&everywhere).layer(nowhere()), &used())), [0, 0]);
    // Where it is left alone, what was there stays.
    assert_eq!(sent(&|| received(&stack().layer(&silent).layer(&everywhere), &used())), [2, 2]);
}

#[test]
fn what_a_layer_in_the_middle_keeps_at_home_makes_no_second_span() {
    let recorder = Recorder::new();
    let everywhere = recorder.client_layer();
    let nowhere = everywhere.clone().with_propagation_targets(PropagationTargets::nowhere());
    let stack = ServiceBuilder::new().layer(&everywhere).layer(nowhere).layer(&everywhere);
    let arrived = received(&stack, &used());
    assert_eq!(recorder.spans().len(), 2, "one for each request");
    assert_eq!(arrived.map(|headers| lines(&headers, "traceparent").len()), [0, 0]);
}

#[test]
fn an_outer_layer_that_makes_no_span_leaves_it_to_the_inner_one() {
    let recorder = Recorder::of_spans_alone();
    let filtered = recorder.client_layer().with_filter(|_| Verdict::none());
    assert_one_span(
        &recorder,
        &ServiceBuilder::new().layer(filtered).layer(recorder.client_layer()),
    );
    let without = recorder.client_layer().with_filter(|_| Verdict::all().without_span());
    assert_one_span(
        &recorder,
        &ServiceBuilder::new().layer(without).layer(recorder.client_layer()),
    );
    let noop = ClientTraceLayer::new()
        .with_tracer_provider(&NoopTracerProvider::new())
        .with_propagator(TraceContext::new());
    let _attached = elsewhere(SAMPLED).attach();
    assert_one_span(&recorder, &ServiceBuilder::new().layer(noop).layer(recorder.client_layer()));
}

// Another request, because of one.

/// A client that fetches a token with another one before it sends.
#[derive(Clone)]
struct WithToken<T> {
    token: T,
    far: FarSide,
}

impl<T> Service<Request<()>> for WithToken<T>
where
    T: Service<Request<()>, Error = Infallible>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let url = "http://tokens/new";
        let fetch = Request::get(url).body(()).unwrap();
        assert!(tokio_test::block_on(self.token.call(fetch)).is_ok());
        self.far.call(request)
    }
}

fn url(span: &SpanData) -> String {
    crate::support::recorder::attribute(span, "url.full").unwrap()
}

#[test]
fn a_request_that_is_made_because_of_another_has_a_span_below_that() {
    let everywhere = PropagationTargets::everywhere;
    let nowhere = PropagationTargets::nowhere;
    for (outer, of_token) in [
        (everywhere(), everywhere()),
        (everywhere(), nowhere()),
        (nowhere(), everywhere()),
        (nowhere(), nowhere()),
    ] {
        let recorder = Recorder::new();
        let far = FarSide::default();
        let token = recorder.client_layer().with_propagation_targets(of_token).layer(far.clone());
        let inner = recorder.client_layer().layer(WithToken { token, far: far.clone() });
        let mut service = recorder.client_layer().with_propagation_targets(outer).layer(inner);
        tokio_test::block_on(service.call(used())).unwrap();
        let [token, request] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
        assert_eq!(url(&token), "http://tokens/new");
        assert_eq!(url(&request), "http://inventory/items/42");
        assert_eq!(token.parent_span_id, request.span_context.span_id());
    }
}

#[test]
fn so_it_has_if_all_that_is_written_is_baggage() {
    let foreign = || TextMapCompositePropagator::new(vec![Box::new(Baggage::new())]);
    for propagator in [Propagator::new(Baggage::new()), Propagator::new(foreign())] {
        let recorder = Recorder::new();
        let far = FarSide::default();
        let layer = recorder
            .client_layer()
            .with_propagator(propagator)
            .with_baggage_to(PropagationTargets::everywhere());
        let token = layer.layer(far.clone());
        let mut service = layer.layer(WithToken { token, far: far.clone() });
        let _cx = Context::current_with_baggage([KeyValue::new("tenant", "acme")]).attach();
        tokio_test::block_on(service.call(used())).unwrap();
        assert_eq!(recorder.spans().len(), 2);
        for headers in far.headers() {
            assert_eq!(headers["baggage"], "tenant=acme");
        }
    }
}

#[test]
fn what_is_asked_for_tells_requests_apart_where_nothing_is_written() {
    // A request first asks for something else, or in another way, with clients that write.
    let url = "http://inventory/items/42";
    for (method, before) in [("GET", "http://tokens/new"), ("OPTIONS", url)] {
        let recorder = Recorder::new();
        let inner = recorder.client_layer();
        // Two layers, of which the second has to find that the first one writes again.
        let first = inner.layer(inner.layer(FarSide::default()));
        let first_of_reqwest = first.clone();
        let request = Request::builder().method(method).uri(before).body(()).unwrap();
        let outer = recorder.client_layer().with_propagation_targets(PropagationTargets::nowhere());

        let ask = request.clone();
        let service = service_fn(move |_: Request<()>| first.clone().call(ask.clone()));
        tokio_test::block_on(outer.layer(service).call(used())).unwrap();
        let ask = request;
        let service =
            service_fn(move |_: reqwest::Request| first_of_reqwest.clone().call(as_reqwest(&ask)));
        tokio_test::block_on(outer.layer(service).call(as_reqwest(&used()))).unwrap();

        let spans = recorder.spans();
        assert_eq!(spans.len(), 4, "{method} {before}");
        for pair in spans.chunks(2) {
            assert_eq!([self::url(&pair[0]).as_str(), self::url(&pair[1]).as_str()], [before, url]);
            assert_eq!(pair[0].parent_span_id, pair[1].span_context.span_id());
        }
    }
}

#[test]
fn where_nothing_is_written_at_all_requests_are_told_apart_still() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let client = recorder.client_layer().with_propagator(NoopTextMapPropagator::new());
    let token = client.layer(far.clone());
    let inner = client.layer(WithToken { token, far: far.clone() });
    tokio_test::block_on(client.layer(inner).call(used())).unwrap();
    let [token, request] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
    assert_eq!(url(&token), "http://tokens/new");
    assert_eq!(token.parent_span_id, request.span_context.span_id());
    assert_eq!(far.headers(), [http::HeaderMap::new(), used().headers().clone()]);
}

#[test]
fn a_request_further_in_that_panics_leaves_the_outer_one_as_it_was() {
    let recorder = Recorder::new();
    let panics = service_fn(|_: Request<()>| -> Ready<Result<Response<String>, Infallible>> {
        panic!("the client panics, as it was told to")
    });
    let token = recorder.client_layer().layer(panics);
    let again = recorder.client_layer().layer(FarSide::default());
    let inner = service_fn(move |request: Request<()>| {
        let (mut token, mut again) = (token.clone(), again.clone());
        async move {
            let fetch = std::panic::AssertUnwindSafe(|| drop(token.call(Request::new(()))));
            assert!(std::panic::catch_unwind(fetch).is_err());
            // This thread is still inside of the outer span.
            again.call(request).await
        }
    });
    tokio_test::block_on(recorder.client_layer().layer(inner).call(used())).unwrap();
    let [token, request] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
    assert_eq!(token.parent_span_id, request.span_context.span_id());
    assert_eq!(url(&request), "http://inventory/items/42");
}

#[test]
fn a_propagator_that_panics_breaks_no_request_that_comes_through_two_layers() {
    #[derive(Debug)]
    struct Panics;

    impl TextMapPropagator for Panics {
        fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
            panic!("the propagator panics, as it was told to")
        }

        fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| ["x-trace".to_owned()]);
            FieldIter::new(&*FIELDS)
        }
    }

    let recorder = Recorder::new();
    let client = recorder.client_layer().with_propagator(Panics);
    let layer = ServiceBuilder::new().layer(&client).layer(&client);
    for headers in received(&layer, &used()) {
        assert_eq!(headers, *used().headers());
    }
    assert_eq!(recorder.spans().len(), 2);
}

// Servers in the same process.

fn assert_chain(recorder: &Recorder, kinds_and_urls: &[&str]) {
    // Each is below the one before, and they have ended from the inside out.
    let mut spans = recorder.spans();
    spans.reverse();
    let key = |span: &SpanData| {
        let of = |key| crate::support::recorder::attribute(span, key);
        of("url.full").or_else(|| of("url.path")).unwrap()
    };
    assert_eq!(spans.iter().map(key).collect::<Vec<_>>(), kinds_and_urls);
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
    for pair in spans.windows(2) {
        assert_eq!(pair[1].parent_span_id, pair[0].span_context.span_id());
        assert_eq!(pair[1].span_context.trace_id(), pair[0].span_context.trace_id());
    }
    assert_eq!(recorder.traces(), 1);
}

#[test]
fn a_server_in_the_same_process_and_what_its_handler_sends_are_all_there() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let next = recorder.client_layer().layer(far.clone());
    let app =
        Router::new()
            .route(
                "/items/{id}",
                get(
                    |Extension(mut next): Extension<
                        tower_telemetry::client::ClientTrace<FarSide>,
                    >| {
                        async move {
                            let request = Request::get("http://stock/42").body(()).unwrap();
                            let response = next.call(request).await.unwrap();
                            response.status().to_string()
                        }
                    },
                ),
            )
            .layer(recorder.layer())
            .layer(Extension(next));
    let mut client = recorder.client_layer().with_span_end(SpanEnd::Body).layer(app);
    let request = Request::get("http://shop/items/42").body(axum::body::Body::empty()).unwrap();
    let response = tokio_test::block_on(client.call(request)).unwrap();
    let body = tokio_test::block_on(http_body_util::BodyExt::collect(response.into_body()));
    assert_eq!(body.unwrap().to_bytes(), "200 OK");
    assert_chain(&recorder, &["http://shop/items/42", "/items/42", "http://stock/42"]);
    let sent = traceparent_of(&recorder.spans()[0]);
    assert_eq!(far.traceparents(), [[sent]]);
}

#[test]
fn a_proxy_that_sends_on_the_very_request_it_got_has_spans_of_its_own() {
    let recorder = Recorder::new();
    let far = FarSide::default();
    let backend = recorder.client_layer().layer(far.clone());
    let proxy = recorder.layer().layer(service_fn(move |mut request: Request<()>| {
        let mut backend = backend.clone();
        // All else is as it came: headers, extensions and all.
        *request.uri_mut() = "http://backend/items/42".parse().unwrap();
        async move { backend.call(request).await }
    }));
    let mut client = recorder.client_layer().with_span_end(SpanEnd::Body).layer(proxy);
    drop(tokio_test::block_on(client.call(used())).unwrap());
    let client = "http://inventory/items/42";
    assert_chain(&recorder, &[client, "/items/42", "http://backend/items/42"]);
    assert_eq!(far.traceparents(), [[traceparent_of(&recorder.spans()[0])]]);

    // The same over a wire: nothing is current but what the server makes so.
    let recorder = Recorder::new();
    let backend = recorder.client_layer().layer(far);
    let mut proxy = recorder.layer().layer(service_fn(move |request: Request<()>| {
        let mut backend = backend.clone();
        async move { backend.call(request).await }
    }));
    let request = Request::get("/")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    drop(tokio_test::block_on(proxy.call(request.body(()).unwrap())).unwrap());
    let [client, server] = <[SpanData; 2]>::try_from(recorder.spans()).unwrap();
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(client.parent_span_id, server.span_context.span_id());
}

#[test]
fn a_service_that_looks_at_its_caller_sees_whom_the_header_names() {
    let recorder = Recorder::new();
    let seen = Arc::new(Mutex::new(None));
    let look = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<()>| {
        let line = request.headers()["traceparent"].to_str().unwrap().to_owned();
        *look.lock().unwrap() = Some((traceparent(Context::current().span().span_context()), line));
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    tokio_test::block_on(recorder.client_layer().layer(inner).call(used())).unwrap();
    let sent = traceparent_of(&recorder.span());
    assert_eq!(*seen.lock().unwrap(), Some((sent.clone(), sent)));
}
