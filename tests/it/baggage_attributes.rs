//! Entries of baggage that are attributes of the span, too.

use http::Request;
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
use tower_telemetry::{
    ClientTraceLayer, TraceLayer,
    propagation::{Baggage, Propagator, TraceContext},
    server::RemoteParent,
};

use crate::support::{
    exchange::{client_span_of, exchange, response, span_of},
    recorder::{Described, Recorder},
};

fn server(layer: TraceLayer) -> TraceLayer {
    layer
        .with_propagator(Propagator::new(TraceContext::new()).and(Baggage::new()))
        .with_baggage_attributes(["tenant", "plan", "tenant"])
        .unwrap()
}

fn request() -> Request<()> {
    Request::builder()
        .header("baggage", "tenant=a%20b;secret, cart=17")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .body(())
        .unwrap()
}

/// The attributes that the baggage has, or could have.
fn of_baggage(span: &Described) -> Vec<(&str, String)> {
    let keys = ["cart", "plan", "tenant"];
    let found = keys.iter().filter_map(|key| Some((*key, span.attributes.get(*key)?.to_string())));
    found.collect()
}

#[test]
fn what_was_asked_for_is_on_the_servers_span_once_and_nothing_else_is() {
    // `Described` takes no key that is there twice.
    let span = span_of(server, request(), response(""));
    assert_eq!(of_baggage(&span), [("tenant", "a b".to_owned())]);
    let none = span_of(server, Request::new(()), response(""));
    assert_eq!(of_baggage(&none), []);
    for policy in [RemoteParent::Link, RemoteParent::Ignore] {
        let span =
            span_of(|layer| server(layer).with_remote_parent(policy), request(), response(""));
        assert_eq!(of_baggage(&span), [], "{policy:?}");
    }
}

#[test]
fn a_hook_has_the_last_word_before_the_start_and_none_after() {
    let before = |layer| {
        server(layer).on_request(|_, span| {
            span.set("tenant", "hook's");
        })
    };
    let span = span_of(before, request(), response(""));
    assert_eq!(of_baggage(&span), [("tenant", "hook's".to_owned())]);
    let after = |layer| {
        server(layer).on_end(|_, span| {
            span.set("tenant", "hook's");
            span.set("plan", "gold");
        })
    };
    let span = span_of(after, request(), response(""));
    assert_eq!(of_baggage(&span), [("plan", "gold".to_owned()), ("tenant", "a b".to_owned())]);
}

#[test]
fn what_is_current_is_on_the_clients_span() {
    let _cx = Context::current_with_baggage([
        KeyValue::new("tenant", "acme"),
        KeyValue::new("cart", "17"),
    ])
    .attach();
    let layer = |layer: ClientTraceLayer| layer.with_baggage_attributes(["tenant"]).unwrap();
    let span =
        client_span_of(layer, Request::get("http://inventory/").body(()).unwrap(), response(""));
    assert_eq!(of_baggage(&span), [("tenant", "acme".to_owned())]);
}

#[test]
fn on_a_call_it_is_the_same() {
    let recorder = Recorder::new();
    let mut call = request();
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    exchange(&server(recorder.layer()), call, response(""));
    assert_eq!(of_baggage(&recorder.span().into()), [("tenant", "a b".to_owned())]);
}

#[test]
fn a_key_that_is_none_or_the_layers_own_is_an_error() {
    for key in [
        "",
        "a b",
        "é",
        "a,b",
        "http.route",
        "url.path",
        "rpc.method",
        "error.type",
        "http.request.header.x",
    ] {
        let error = TraceLayer::new().with_baggage_attributes([key]).unwrap_err();
        assert_eq!((error.setting(), error.value()), ("baggage attribute", key));
        assert!(ClientTraceLayer::new().with_baggage_attributes([key]).is_err());
    }
}
