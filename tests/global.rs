//! The one test that sets globals, in a process of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{convert::Infallible, process::Command};

use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::{
    Context, global,
    trace::{Span, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, PropagationLayer, Telemetry, TraceLayer,
    client::{PropagationTargets, inject},
    propagation::{Environment, Propagator, XRay},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Layers that were built, and have served, before anything was global find it once it is.
#[test]
fn globals_are_looked_up_when_a_layer_serves() {
    let client = PropagationLayer::new().layer(service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(Response::new(request.into_parts().0.headers))
    }));
    let server = TraceLayer::new().layer(service_fn(move |_: Request<()>| {
        let mut client = client.clone();
        async move {
            let sent = client.call(Request::new(())).await.unwrap().into_body();
            let mut response = Response::new(String::new());
            response.extensions_mut().insert(sent);
            response.extensions_mut().insert(Context::current());
            Ok::<_, Infallible>(response)
        }
    }));
    let traced = ClientTraceLayer::new().layer(service_fn(|request: Request<()>| async move {
        let sent = request.headers().get("traceparent").cloned();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(sent);
        Ok::<_, Infallible>(response)
    }));
    let send = || {
        let response = tokio_test::block_on(traced.clone().call(Request::new(()))).unwrap();
        response.extensions().get::<Option<HeaderValue>>().unwrap().clone()
    };
    let serve = || {
        let request = Request::builder().header("traceparent", TRACEPARENT).body(()).unwrap();
        let mut response = tokio_test::block_on(server.clone().call(request)).unwrap();
        let sent: HeaderMap = response.extensions_mut().remove().unwrap();
        let cx: Context = response.extensions_mut().remove().unwrap();
        (sent, cx)
    };

    // Nobody has served without a provider yet, and there is none.
    let unused = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_processor(SimpleSpanProcessor::new(InMemorySpanExporter::default()))
        .build()
        .unwrap();
    drop(unused.tracer_provider().tracer("mine").start("span"));
    assert_eq!(hints(&unused), [""; 0]);

    let (sent, cx) = serve();
    assert!(sent.is_empty());
    assert_eq!(send(), None);
    assert!(!cx.has_active_span());
    assert_eq!(
        hints(&unused),
        [
            "layers that were given no telemetry have served, and there is no global provider: build \
          them with `with_telemetry(&telemetry)`, or call `telemetry.set_global()`"
        ]
    );

    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_span_processor(SimpleSpanProcessor::new(exporter.clone()))
        .build()
        .unwrap();
    let (sent, _) = serve();
    assert!(sent.is_empty(), "building makes nothing global");
    assert_eq!(send(), None);

    telemetry.set_global();
    // There is one now.
    assert_eq!(hints(&unused), [""; 0]);
    let used = telemetry.describe().to_string();
    assert!(used.contains("  used           as the global provider\n"), "{used}");
    for served in 1..=2 {
        let (sent, cx) = serve();
        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), served);
        let span = &spans[served - 1];
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(span.span_context, *cx.span().span_context());
        let expected =
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", span.span_context.span_id());
        assert_eq!(sent["traceparent"], expected);
    }

    // The client's layer, too, has sent requests before.
    for sent in 3..=4 {
        let header = send().unwrap();
        let spans = exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), sent);
        let span = &spans[sent - 1].span_context;
        let expected = format!("00-{}-{}-01", span.trace_id(), span.span_id());
        assert_eq!(header, expected);
    }

    // Whoever has no layer writes by hand, in place of what was there.
    let (_, cx) = serve();
    let span = cx.span().span_context().clone();
    let mut headers = HeaderMap::new();
    for old in ["old", "older"] {
        headers.append("traceparent", HeaderValue::from_static(old));
    }
    inject(&cx.with_telemetry_suppressed(), &mut headers);
    assert_eq!(headers["traceparent"], "old");
    inject(&cx, &mut headers);
    let lines: Vec<_> = headers.get_all("traceparent").iter().collect();
    assert_eq!(lines, [&format!("00-{}-{}-01", span.trace_id(), span.span_id())]);

    // Among others it is what it is by then, in all it writes and takes away.
    let stale = || {
        Request::builder()
            .header("traceparent", TRACEPARENT)
            .header("tracestate", "a=1")
            .header("baggage", "secret=1")
            .header("x-amzn-trace-id", "old")
            .body(())
            .unwrap()
    };
    let sent = |layer: PropagationLayer| {
        let mut service = layer.layer(service_fn(|request: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(request.into_parts().0.headers))
        }));
        let _attached = cx.clone().attach();
        tokio_test::block_on(service.call(stale())).unwrap().into_body()
    };
    let both = PropagationLayer::new().with_propagator(Propagator::global().and(XRay::new()));
    let headers = sent(both.clone());
    assert_eq!(headers.len(), 2, "{headers:?}");
    assert!(headers["traceparent"].to_str().unwrap().contains(&span.span_id().to_string()));
    assert!(headers["x-amzn-trace-id"].to_str().unwrap().contains(&span.span_id().to_string()));
    let headers = sent(both.with_propagation_targets(PropagationTargets::nowhere()));
    assert!(headers.is_empty(), "{headers:?}");
    let mut child = Command::new("env");
    child.env_clear().env("TRACESTATE", "a=1").env("BAGGAGE", "secret=1");
    Environment::inject(&Propagator::global().and(XRay::new()), &cx, &mut child);
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    let mut names: Vec<_> = output.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, ["TRACEPARENT", "X_AMZN_TRACE_ID"]);

    // A handle to it that is made global leaves it what it is; a list that it is in is the rest.
    let of_itself = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")])
        .with_propagator(Propagator::global())
        .build()
        .unwrap();
    of_itself.set_global();
    assert!(sent(PropagationLayer::new()).contains_key("traceparent"));
    global::set_text_map_propagator(Propagator::global().and(XRay::new()));
    let headers = sent(PropagationLayer::new());
    assert!(headers["x-amzn-trace-id"].to_str().unwrap().contains(&span.span_id().to_string()));
    let found = Propagator::global().extract(&Context::new(), &headers);
    assert_eq!(found.span().span_context().span_id(), span.span_id());

    // What is switched off hands everything through, in place of any provider that there was.
    assert_eq!(hints(&telemetry), [""; 0]);
    let disabled =
        Telemetry::builder().with_environment([("OTEL_SDK_DISABLED", "true")]).build().unwrap();
    disabled.set_global();
    let served = exporter.get_finished_spans().unwrap().len();
    let parent = cx.clone();
    let span = global::tracer("mine").start_with_context("span", &parent);
    assert_eq!(span.span_context(), parent.span().span_context());
    assert!(!span.is_recording());
    let mut server = TraceLayer::new().layer(service_fn(|_: Request<()>| async {
        let mut headers = HeaderMap::new();
        inject(&Context::current(), &mut headers);
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(headers);
        Ok::<_, Infallible>(response)
    }));
    let request = Request::builder().header("traceparent", TRACEPARENT).body(()).unwrap();
    let mut response = tokio_test::block_on(server.call(request)).unwrap();
    let sent: HeaderMap = response.extensions_mut().remove().unwrap();
    assert_eq!(sent["traceparent"], TRACEPARENT);
    assert_eq!(exporter.get_finished_spans().unwrap().len(), served);
    assert_eq!(
        hints(&telemetry),
        [
            "this telemetry was made global, and the global provider makes no spans now: look who has \
          set another one"
        ]
    );
}

fn hints(telemetry: &Telemetry) -> Vec<String> {
    telemetry.describe().hints().map(str::to_owned).collect()
}
