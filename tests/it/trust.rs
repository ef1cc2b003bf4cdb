//! What a stranger's headers can do: to whose trace a span belongs, and who is said to have asked.

use std::{convert::Infallible, net::SocketAddr};

use http::{Request, Response};
use opentelemetry::{
    Context, KeyValue, SpanId,
    baggage::BaggageExt,
    propagation::TextMapCompositePropagator,
    trace::{Span as _, TraceContextExt, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    TraceLayer,
    server::{Connection, Forwarded, RemoteParent, Verdict},
};

use crate::support::{
    exchange::{exchange, response, span_of},
    recorder::{Described, Recorder},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The span of a request with a parent and baggage, and the baggage that was current inside.
fn span_and_baggage(
    set_up: impl FnOnce(TraceLayer) -> TraceLayer,
    traceparent: &str,
) -> (SpanData, Option<String>) {
    let recorder = Recorder::new();
    let both = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    let inner = service_fn(|_: Request<()>| {
        let mut response = Response::new(String::new());
        let tenant = Context::current().baggage().get("tenant").map(ToString::to_string);
        response.extensions_mut().insert(tenant);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::builder()
        .uri("/internal")
        .header("traceparent", traceparent)
        .header("baggage", "tenant=acme")
        .body(())
        .unwrap();
    let mut service = set_up(recorder.layer().with_propagator(both)).layer(inner);
    let mut response = tokio_test::block_on(service.call(request)).unwrap();
    (recorder.span(), response.extensions_mut().remove().unwrap())
}

#[test]
fn a_remote_parent_is_continued_linked_to_or_ignored_and_its_baggage_with_it() {
    for (policy, continued, links, baggage) in [
        (RemoteParent::Continue, true, 0, Some("acme")),
        (RemoteParent::Link, false, 1, None),
        (RemoteParent::Ignore, false, 0, None),
    ] {
        let (span, tenant) =
            span_and_baggage(|layer| layer.with_remote_parent(policy), TRACEPARENT);
        assert_eq!(span.span_context.trace_id().to_string() == TRACE, continued, "{policy:?}");
        assert_eq!(span.parent_span_id.to_string() == CALLER, continued, "{policy:?}");
        assert_eq!(span.parent_span_id == SpanId::INVALID, !continued, "{policy:?}");
        assert_eq!(span.links.links.len(), links, "{policy:?}");
        for link in &span.links.links {
            assert_eq!(link.span_context.trace_id().to_string(), TRACE);
            assert_eq!(link.span_context.span_id().to_string(), CALLER);
            assert!(link.span_context.is_remote());
        }
        assert_eq!(tenant.as_deref(), baggage, "{policy:?}");
    }
}

#[test]
fn baggage_of_several_lines_is_there_when_the_span_starts() {
    #[derive(Debug)]
    struct CopiesBaggage;

    impl SpanProcessor for CopiesBaggage {
        fn on_start(&self, span: &mut Span, cx: &Context) {
            for (key, (value, _)) in cx.baggage() {
                span.set_attribute(KeyValue::new(key.clone(), value.clone()));
            }
        }

        fn on_end(&self, _: SpanData) {}

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(CopiesBaggage)
        .with_simple_exporter(exporter.clone())
        .build();
    let layer =
        TraceLayer::new().with_tracer_provider(&provider).with_propagator(BaggagePropagator::new());
    let request = Request::builder()
        .header("baggage", "tenant=acme")
        .header("Baggage", "plan=gold,region=eu")
        .header("baggage", "last=1")
        .body(())
        .unwrap();
    exchange(&layer, request, response(""));
    let span = Described::from(exporter.get_finished_spans().unwrap().remove(0));
    for (key, value) in [("tenant", "acme"), ("plan", "gold"), ("region", "eu"), ("last", "1")] {
        assert_eq!(span.attributes[key], value.into());
    }
}

#[test]
fn to_a_span_that_is_current_and_no_header_names_there_is_no_link() {
    let recorder = Recorder::new();
    let layer = recorder.layer().with_remote_parent(RemoteParent::Link);
    let _attached = crate::support::headers::local(1, TraceState::NONE).attach();
    exchange(&layer, Request::new(()), response(""));
    assert!(recorder.span().links.links.is_empty());
}

#[test]
fn to_an_invalid_remote_parent_there_is_no_link() {
    let link = |layer: TraceLayer| layer.with_remote_parent(RemoteParent::Link);
    let (span, _) = span_and_baggage(link, "00-00000000000000000000000000000000-00-01");
    assert!(span.links.links.is_empty());
    assert_eq!(span.parent_span_id, SpanId::INVALID);
}

#[test]
fn a_predicate_chooses_and_one_that_panics_trusts_nobody() {
    let by_path = |layer: TraceLayer| {
        layer.with_remote_parent_by(|request| match request.path() {
            "/internal" => RemoteParent::Continue,
            _ => RemoteParent::Ignore,
        })
    };
    let (span, _) = span_and_baggage(by_path, TRACEPARENT);
    assert_eq!(span.parent_span_id.to_string(), CALLER);

    let panics = |layer: TraceLayer| {
        layer.with_remote_parent_by(|_| panic!("the predicate panics, as it was told to"))
    };
    let (span, baggage) = span_and_baggage(panics, TRACEPARENT);
    assert_eq!((span.parent_span_id, baggage), (SpanId::INVALID, None));

    let last = |layer: TraceLayer| {
        layer
            .with_remote_parent_by(|_| RemoteParent::Continue)
            .with_remote_parent(RemoteParent::Ignore)
    };
    assert_eq!(span_and_baggage(last, TRACEPARENT).0.parent_span_id, SpanId::INVALID);
}

#[test]
fn a_new_root_leaves_the_baggage_that_is_current_but_not_the_span() {
    let recorder = Recorder::new();
    let layer = recorder.layer().with_remote_parent(RemoteParent::Link);
    let around = Context::current_with_baggage([KeyValue::new("kept", "yes")])
        .with_remote_span_context(opentelemetry::trace::SpanContext::new(
            1_u128.into(),
            1_u64.into(),
            Default::default(),
            false,
            Default::default(),
        ));
    let inner = service_fn(|_: Request<()>| {
        assert_eq!(Context::current().baggage().get("kept"), Some(&"yes".into()));
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let _attached = around.attach();
    let mut service = layer.layer(inner);
    tokio_test::assert_ready_ok!(tokio_test::task::spawn(service.call(Request::new(()))).poll());
    assert_eq!(recorder.span().parent_span_id, SpanId::INVALID);
}

#[test]
fn a_new_root_is_not_recorded_where_telemetry_is_suppressed() {
    let recorder = Recorder::new();
    let inner = service_fn(|_: Request<()>| async {
        assert!(Context::current().is_telemetry_suppressed());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let mut service = recorder.layer().with_remote_parent(RemoteParent::Link).layer(inner);
    let around = Context::new()
        .with_remote_span_context(opentelemetry::trace::SpanContext::new(
            1_u128.into(),
            1_u64.into(),
            Default::default(),
            false,
            Default::default(),
        ))
        .with_telemetry_suppressed();
    let _attached = around.attach();
    tokio_test::assert_ready_ok!(tokio_test::task::spawn(service.call(Request::new(()))).poll());
    assert!(recorder.spans().is_empty());
}

fn forwarded_request(peer: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::builder().header("host", "inside:8080").body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(Connection::new().with_peer(peer));
    request
}

fn said(span: &Described) -> [Option<String>; 4] {
    ["client.address", "url.scheme", "server.address", "server.port"]
        .map(|key| span.attributes.get(key).map(ToString::to_string))
}

#[test]
fn forwarded_headers_count_under_a_policy_and_the_same_for_all_three() {
    let x_forwarded = [
        ("x-forwarded-for", "198.51.100.7, 203.0.113.9"),
        ("x-forwarded-proto", "http, https"),
        ("x-forwarded-host", "fake.example, shop.example"),
    ];
    let inside = ["10.0.0.1", "http", "inside", "8080"];
    let networks = |networks: &[&str]| Forwarded::from_networks(networks).unwrap();
    for (policy, peer, expected) in [
        (Forwarded::never(), "10.0.0.1:5000", inside.map(Some)),
        (
            Forwarded::from_proxies(1),
            "10.0.0.1:5000",
            [Some("203.0.113.9"), Some("https"), Some("shop.example"), None],
        ),
        (
            Forwarded::from_proxies(2),
            "10.0.0.1:5000",
            [Some("198.51.100.7"), Some("http"), Some("fake.example"), None],
        ),
        (
            networks(&["10.0.0.0/8"]),
            "10.0.0.1:5000",
            [Some("203.0.113.9"), Some("https"), Some("shop.example"), None],
        ),
        (
            networks(&["10.0.0.0/8", "203.0.113.0/24"]),
            "10.0.0.1:5000",
            [Some("198.51.100.7"), Some("http"), Some("fake.example"), None],
        ),
        (networks(&["192.168.0.0/16"]), "10.0.0.1:5000", inside.map(Some)),
    ] {
        let name = format!("{policy:?}");
        let request = forwarded_request(peer, &x_forwarded);
        let span = span_of(|layer| layer.with_forwarded(policy), request, response(""));
        assert_eq!(said(&span), expected.map(|text| text.map(str::to_owned)), "{name}");
        assert_eq!(span.attributes["network.peer.address"], "10.0.0.1".into());
    }
}

#[test]
fn the_forwarded_header_comes_first_and_falls_through_where_it_says_nothing_useful() {
    let policy = || Forwarded::from_proxies(1);
    for (forwarded, client, scheme) in [
        ("for=192.0.2.1;proto=https", "192.0.2.1", "https"),
        ("for=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1", "https"),
        ("for=unknown;proto=https", "203.0.113.9", "https"),
        ("for=_hidden", "203.0.113.9", "http"),
        ("for=\"192.0.2.1", "203.0.113.9", "http"),
        ("junk", "203.0.113.9", "http"),
    ] {
        let headers = [
            ("forwarded", forwarded),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
        ];
        let request = forwarded_request("10.0.0.1:5000", &headers);
        let span = span_of(|layer| layer.with_forwarded(policy()), request, response(""));
        let [said_client, said_scheme, ..] = said(&span);
        assert_eq!(
            (said_client.as_deref(), said_scheme.as_deref()),
            (Some(client), Some(scheme)),
            "{forwarded}"
        );
    }
}

#[test]
fn without_propagation_the_headers_are_not_read_and_none_are_written() {
    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .with_response_propagation(
            tower_telemetry::propagation::ResponsePropagation::none().with_traceresponse(),
        )
        .with_filter(|_| Verdict::all().without_propagation());
    let request = Request::builder().header("traceparent", TRACEPARENT).body(()).unwrap();
    let response = exchange(&layer, request, response(""));
    assert!(response.headers().is_empty());
    assert_eq!(recorder.span().parent_span_id, SpanId::INVALID);
}
