//! What a user adds to a span, and when.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, StatusCode};
use opentelemetry::{
    Context, KeyValue, SpanId,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::SpanKind,
};
use opentelemetry_sdk::trace::{SamplingDecision, SdkTracerProvider};
use tower_telemetry::{TraceLayer, server::RemoteParent};

use crate::support::{
    exchange::{exchange, response, span_of},
    recorder::Recorder,
    sdk::Decides,
};

fn failing() -> http::Response<http_body_util::Full<bytes::Bytes>> {
    let mut response = response("oh");
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

#[test]
fn hooks_run_in_the_order_of_the_exchange_and_each_adds_its_own() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(what)
    };
    let (request, first, second, error, end) =
        (note("request"), note("response 1"), note("response 2"), note("error"), note("end"));
    let span = span_of(
        |layer: TraceLayer| {
            layer
                .on_end(move |ended, attributes| {
                    end();
                    assert_eq!(ended.status_code(), Some(StatusCode::INTERNAL_SERVER_ERROR));
                    assert_eq!(ended.error_type(), Some("500"));
                    assert_eq!((ended.route(), ended.response_size()), (None, 2));
                    attributes.set("end.nanos", ended.duration().as_nanos() > 0);
                })
                .on_error(move |ended, attributes| {
                    error();
                    attributes.set("error.kind", ended.error_type().unwrap_or_default().to_owned());
                })
                .on_request(move |head, attributes| {
                    request();
                    assert_eq!((head.path(), head.method().as_str()), ("/items", "GET"));
                    attributes
                        .set("request.query", head.uri().query().unwrap_or_default().len() as i64);
                })
                .on_response(move |head, attributes| {
                    first();
                    attributes.set("response.status", i64::from(head.status_code().as_u16()));
                })
                .on_response(move |_, _| second())
        },
        Request::builder().uri("/items?a=b").body(()).unwrap(),
        failing(),
    );
    assert_eq!(*order.lock().unwrap(), ["request", "response 1", "response 2", "error", "end"]);
    for (key, value) in [
        ("request.query", 3.into()),
        ("response.status", 500.into()),
        ("error.kind", "500".into()),
        ("end.nanos", true.into()),
    ] {
        assert_eq!(span.attributes[key], value, "{key}");
    }
}

#[test]
fn a_hook_before_the_start_is_seen_by_the_sampler_and_the_others_wait_for_its_word() {
    for (decision, late) in [
        (SamplingDecision::Drop, false),
        (SamplingDecision::RecordOnly, true),
        (SamplingDecision::RecordAndSample, true),
    ] {
        // What it is shown is asserted below: a panic in a sampler is contained.
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        let looks = Decides::new(decision.clone(), move |_, kind, attributes| {
            seen.lock().unwrap().push((kind.clone(), attributes.to_vec()));
        });
        let provider = SdkTracerProvider::builder().with_sampler(looks).build();
        let called = Arc::new(Mutex::new(0));
        let count = || {
            let called = Arc::clone(&called);
            move || *called.lock().unwrap() += 1
        };
        let (on_response, on_error, on_end) = (count(), count(), count());
        let layer = TraceLayer::new()
            .with_tracer_provider(&provider)
            .on_request(|_, attributes| attributes.set("mine", 1))
            .on_response(move |_, _| on_response())
            .on_error(move |_, _| on_error())
            .on_end(move |_, _| on_end());
        exchange(&layer, Request::new(()), failing());
        assert_eq!(*called.lock().unwrap(), if late { 3 } else { 0 }, "{decision:?}");
        let shown = shown.lock().unwrap();
        let [(SpanKind::Server, attributes)] = &shown[..] else { panic!("{shown:?}") };
        assert!(attributes.contains(&KeyValue::new("mine", 1)), "{attributes:?}");
    }
}

#[test]
fn what_a_hook_panics_with_may_panic_too() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    let span = span_of(
        |layer| {
            layer
                .on_request(|_, _| std::panic::panic_any(Bomb))
                .on_end(|_, _| std::panic::panic_any(Bomb))
        },
        Request::new(()),
        failing(),
    );
    assert_eq!(span.attributes["http.response.status_code"], 500.into());
}

#[test]
fn a_hook_that_panics_breaks_nothing() {
    let span = span_of(
        |layer| {
            layer
                .on_request(|_, attributes| {
                    attributes.set("before.panic", true);
                    panic!("the hook panics, as it was told to")
                })
                .on_request(|_, attributes| attributes.set("after.panic", true))
                .on_response(|_, _| panic!("the hook panics, as it was told to"))
                .on_error(|_, _| panic!("the hook panics, as it was told to"))
                .on_end(|_, _| panic!("the hook panics, as it was told to"))
                .on_end(|_, attributes| attributes.set("at.end", true))
        },
        Request::new(()),
        failing(),
    );
    assert_eq!(span.attributes["http.response.status_code"], 500.into());
    assert_eq!(span.attributes["error.type"], "500".into());
    for key in ["before.panic", "after.panic", "at.end"] {
        assert_eq!(span.attributes[key], true.into());
    }
}

#[test]
fn no_hook_can_write_a_key_twice() {
    // `span_of` fails if a key is there twice.
    let span = span_of(
        |layer| {
            layer
                .on_request(|_, attributes| {
                    for key in ["mine", "mine", "url.path", "http.route", "error.type"] {
                        attributes.set(key, "request");
                    }
                })
                .on_response(|_, attributes| {
                    for key in ["mine", "url.path", "response.own", "http.response.status_code"] {
                        attributes.set(key, "response");
                    }
                })
                .on_end(|_, attributes| {
                    for key in ["mine", "url.path", "response.own", "end.own", "end.own"] {
                        attributes.set(key, "end");
                    }
                })
        },
        Request::new(()),
        response(""),
    );
    let text = |key: &str| span.attributes[key].to_string();
    assert_eq!(text("mine"), "request");
    assert_eq!(text("url.path"), "request");
    assert_eq!(text("response.own"), "response");
    assert_eq!(text("end.own"), "end");
    assert_eq!(text("http.response.status_code"), "200");
    assert!(!span.attributes.contains_key("http.route"));
    assert!(!span.attributes.contains_key("error.type"));
}

#[test]
fn hooks_see_how_a_request_ended_that_was_cancelled() {
    use tower::{Layer, Service, service_fn};

    let recorder = Recorder::new();
    let layer = recorder.layer().on_end(|ended, attributes| {
        assert_eq!((ended.status_code(), ended.error_type()), (None, Some("cancelled")));
        attributes.set("seen", true);
    });
    let inner = service_fn(|_: Request<()>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    });
    drop(layer.layer(inner).call(Request::new(())));
    assert_eq!(crate::support::recorder::attribute(&recorder.span(), "seen").unwrap(), "true");
}

/// Every key that the layer may write, and one that it never does.
const EVERY_KEY: [&str; 42] = [
    "client.address",
    "client.port",
    "error.type",
    "http.request.body.size",
    "http.request.header.x-a",
    "http.request.method",
    "http.request.method_original",
    "http.response.body.size",
    "http.response.header.x-b",
    "http.response.status_code",
    "http.route",
    "network.local.address",
    "network.local.port",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "network.transport",
    "server.address",
    "server.port",
    "tower_telemetry.time_to_head",
    "url.path",
    "url.query",
    "url.scheme",
    "user_agent.original",
    "user_agent.synthetic.type",
    "http.client_ip",
    "http.flavor",
    "http.host",
    "http.method",
    "http.request_content_length",
    "http.response_content_length",
    "http.scheme",
    "http.status_code",
    "http.target",
    "http.url",
    "http.user_agent",
    "net.host.name",
    "net.host.port",
    "net.peer.ip",
    "net.peer.port",
    "mine",
    "mine",
];

#[test]
fn no_combination_of_settings_writes_a_key_twice() {
    use opentelemetry_sdk::trace::InMemorySpanExporter;
    use tower_telemetry::{
        HeaderSelector, Telemetry,
        server::{Attributes, Connection, LegacyNames},
    };

    fn write(attributes: &mut Attributes<'_>) {
        for key in EVERY_KEY {
            attributes.set(key, "the hook's");
        }
    }
    let connection = Connection::new()
        .with_peer("192.0.2.1:1".parse().unwrap())
        .with_local("192.0.2.2:2".parse().unwrap());
    let request = |full: bool| {
        if !full {
            return Request::new(());
        }
        let mut request = Request::builder()
            .method("PURGE")
            .uri("/items?a=b")
            .header("host", "shop.example:8080")
            .header("user-agent", "curl/8.0")
            .header("x-a", "a")
            .body(())
            .unwrap();
        request.extensions_mut().insert(connection);
        request
    };
    for case in 0..96 {
        let bit = |at: u32| case >> at & 1 == 1;
        let (known, full, early, late) = (bit(0), bit(1), bit(2), bit(3));
        let legacy =
            [None, Some(LegacyNames::Beside), Some(LegacyNames::Instead)][case as usize / 32];
        let exporter = InMemorySpanExporter::default();
        let telemetry = Telemetry::builder()
            .with_environment([("OTEL_TRACES_EXPORTER", "none")])
            .with_span_exporter(exporter.clone())
            .build()
            .unwrap();
        let foreign = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let names = HeaderSelector::new(["x-a", "x-b", "x-*"]).unwrap();
        let mut layer = TraceLayer::new()
            .with_request_headers(names.clone())
            .with_response_headers(names)
            .with_response_body_size()
            .with_client_port()
            .with_network_local()
            .with_network_transport()
            .with_user_agent_synthetic_type();
        layer = if known {
            layer.with_telemetry(&telemetry)
        } else {
            layer.with_tracer_provider(&foreign)
        };
        if let Some(names) = legacy {
            layer = layer.with_legacy_names(names);
        }
        if early {
            layer = layer
                .on_request(|_, attributes| write(attributes))
                .on_request(|_, attributes| write(attributes));
        }
        if late {
            layer = layer
                .on_response(|_, attributes| write(attributes))
                .on_response(|_, attributes| write(attributes))
                .on_error(|_, attributes| write(attributes))
                .on_end(|_, attributes| write(attributes));
        }
        let mut answer = if bit(4) { failing() } else { response("hello") };
        answer.headers_mut().insert("x-b", "b".parse().unwrap());
        exchange(&layer, request(full), answer);
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
        let span = exporter.get_finished_spans().unwrap().remove(0);
        let span = crate::support::recorder::unique(span.attributes);
        let mine = span.get("mine").map(ToString::to_string);
        assert_eq!(mine.as_deref(), (early || late).then_some("the hook's"), "case {case}");
    }
}

#[test]
fn a_hook_that_panics_while_the_service_does_breaks_nothing_either() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tower::{Layer, Service, service_fn};

    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .on_error(|_, _| panic!("the hook panics, as it was told to"))
        .on_end(|_, attributes| attributes.set("at.end", true));
    let inner = service_fn(
        |_: Request<()>| -> std::future::Ready<Result<http::Response<String>, std::convert::Infallible>> {
            panic!("the service panics, as it was told to")
        },
    );
    let mut service = layer.layer(inner);
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(Request::new(())))).is_err());
    let span = recorder.span();
    let attribute = |key| crate::support::recorder::attribute(&span, key);
    assert_eq!(attribute("error.type").as_deref(), Some("panic"));
    assert_eq!(attribute("at.end").as_deref(), Some("true"));
}

#[test]
fn the_duration_that_hooks_see_is_that_of_the_span_to_the_nanosecond() {
    let recorder = Recorder::new();
    let seen = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&seen);
    let layer =
        recorder.layer().on_end(move |ended, _| *hook.lock().unwrap() = Some(ended.duration()));
    exchange(&layer, Request::new(()), response("hello"));
    let span = recorder.span();
    let duration = span.end_time.duration_since(span.start_time).unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(duration));
}

#[test]
fn where_there_is_no_error_no_hook_for_errors_is_called() {
    let set = |layer: TraceLayer| layer.on_error(|_, attributes| attributes.set("called", true));
    let span = span_of(set, Request::new(()), response("hello"));
    assert!(!span.attributes.contains_key("called"));
}

#[test]
fn a_request_through_two_layers_meets_the_hooks_of_the_outer_one_once() {
    use tower::{Layer, Service, service_fn};

    let recorder = Recorder::new();
    let called = Arc::new(Mutex::new(Vec::new()));
    let layer = |name: &'static str| {
        let (request, end) = (Arc::clone(&called), Arc::clone(&called));
        recorder
            .layer()
            .on_request(move |_, _| request.lock().unwrap().push((name, "request")))
            .on_end(move |_, _| end.lock().unwrap().push((name, "end")))
    };
    let inner = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(response("")))
    });
    let mut service = layer("outer").layer(layer("inner").layer(inner));
    tokio_test::block_on(service.call(Request::new(()))).unwrap();
    assert_eq!(recorder.spans().len(), 1);
    assert_eq!(*called.lock().unwrap(), [("outer", "request"), ("outer", "end")]);
}

/// A propagator that panics.
#[derive(Clone, Debug)]
struct Panics;

impl TextMapPropagator for Panics {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        panic!("the propagator panics, as it was told to")
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[test]
fn a_sampler_or_a_propagator_that_panics_breaks_nothing() {
    let sampler = Decides::new(SamplingDecision::Drop, |_, _, _| {
        panic!("the sampler panics, as it was told to")
    });
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = TraceLayer::new().with_tracer_provider(&provider);
    assert_eq!(exchange(&layer, Request::new(()), response("hello")).body(), "hello");

    for parent in [RemoteParent::Continue, RemoteParent::Link] {
        let recorder = Recorder::new();
        let layer = recorder.layer().with_propagator(Panics).with_remote_parent(parent);
        assert_eq!(exchange(&layer, Request::new(()), response("hello")).body(), "hello");
        assert_eq!(recorder.span().parent_span_id, SpanId::INVALID);
    }
}

#[test]
fn a_processor_that_panics_breaks_nothing_also_while_something_else_does() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tower::{Layer, Service, service_fn};

    let processor = crate::support::sdk::Hooks {
        on_end: Some(|| panic!("the processor panics, as it was told to")),
        ..Default::default()
    };
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let layer = TraceLayer::new().with_tracer_provider(&provider);
    assert_eq!(exchange(&layer, Request::new(()), response("hello")).body(), "hello");

    let inner =
        service_fn(|_: Request<()>| -> std::future::Ready<Result<http::Response<String>, ()>> {
            panic!("the service panics, as it was told to")
        });
    let mut service = layer.layer(inner);
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(service.call(Request::new(())))));
    let message = *panicked.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "the service panics, as it was told to");
}
