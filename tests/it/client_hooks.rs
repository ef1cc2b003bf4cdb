//! What a user adds to a client's span, and when.

use std::{
    convert::Infallible,
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider};
use tower::{Layer, Service, service_fn};
use tower_telemetry::{
    ClientTraceLayer, Metrics, Telemetry,
    client::{Attributes, SpanEnd, UrlTemplate},
};

use crate::support::{
    exchange::{client_span_of, either_span_of, exchange, headers, response},
    recorder::{Described, Recorder, attribute, unique},
    sdk::Decides,
};

const URL: &str = "http://inventory:3000/items/42";

fn request() -> Request<()> {
    Request::get(URL).body(()).unwrap()
}

fn failing() -> Response<Full<Bytes>> {
    let mut response = response("oh");
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Notes what was called, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<&'static str>>>);

impl Notes {
    fn note(&self, what: &'static str) -> impl Fn() + Send + Sync + 'static {
        let notes = self.clone();
        move || notes.0.lock().unwrap().push(what)
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn hooks_run_in_the_order_of_the_exchange_and_each_adds_its_own() {
    for (end, size) in [(SpanEnd::Head, 0), (SpanEnd::Body, 2)] {
        let notes = Notes::default();
        let set_up = |layer: ClientTraceLayer| {
            let note = |what| notes.note(what);
            let (ended, failed) = (note("end"), note("error"));
            let (sent, first, second) = (note("request"), note("response 1"), note("response 2"));
            layer
                .with_span_end(end)
                .with_url_template(|_| Some("/items/{id}".into()))
                .on_end(move |end, attributes| {
                    ended();
                    assert_eq!(end.status_code(), Some(StatusCode::SERVICE_UNAVAILABLE));
                    assert_eq!(end.error_type(), Some("503"));
                    attributes.set("end.size", i64::try_from(end.response_size()).unwrap());
                    attributes.set("end.nanos", end.duration().as_nanos() > 0);
                    attributes.set("end.template", end.route().unwrap_or_default().to_owned());
                })
                .on_error(move |end, attributes| {
                    failed();
                    attributes.set("error.kind", end.error_type().unwrap_or_default().to_owned());
                })
                .on_request(move |head, attributes| {
                    sent();
                    attributes.set("request.method", head.method().to_string());
                    attributes.set("request.header", head.headers().contains_key("x-a"));
                    attributes.set("request.url", head.uri().to_string());
                    attributes.set("request.path", head.path().to_owned());
                })
                .on_response(move |head, attributes| {
                    first();
                    attributes.set("response.status", i64::from(head.status_code().as_u16()));
                    attributes.set("response.header", head.headers().contains_key("x-b"));
                    attributes.set("response.version", format!("{:?}", head.version()));
                })
                .on_response(move |_, _| second())
        };
        let request = Request::get("http://inventory:3000/items/42?a=b").header("x-a", "a");
        let mut answer = failing();
        answer.headers_mut().insert("x-b", "b".parse().unwrap());
        *answer.version_mut() = Version::HTTP_2;
        let span = either_span_of(set_up, request.body(()).unwrap(), answer);
        let order = ["request", "response 1", "response 2", "error", "end"];
        assert_eq!(notes.take(), [order, order].concat());
        let expected = Described::asked(503)
            .named("GET /items/{id}")
            .with("url.full", "http://inventory:3000/items/42?a=b")
            .with("url.template", "/items/{id}")
            .with("request.method", "GET")
            .with("request.header", true)
            .with("request.url", "http://inventory:3000/items/42?a=b")
            .with("request.path", "/items/42")
            .with("response.status", 503)
            .with("response.header", true)
            .with("response.version", "HTTP/2.0")
            .with("network.protocol.version", "2")
            .with("error.kind", "503")
            .with("end.size", size)
            .with("end.nanos", true)
            .with("end.template", "/items/{id}");
        assert_eq!(span, expected);
    }
}

#[test]
fn a_hook_sees_where_an_http_request_goes_as_the_request_says_it() {
    let shown = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&shown);
    client_span_of(
        |layer| {
            let layer = layer.with_origin("http://stock.internal").unwrap();
            layer.on_request(move |head, _| {
                let mark = head.extensions().get::<u8>().copied();
                *seen.lock().unwrap() = Some((head.uri().clone(), mark));
            })
        },
        Request::get("/items/42").extension(7_u8).body(()).unwrap(),
        response(""),
    );
    assert_eq!(*shown.lock().unwrap(), Some((Uri::from_static("/items/42"), Some(7))));
}

#[test]
fn a_hook_before_the_start_is_seen_by_the_sampler_and_the_others_wait_for_its_word() {
    for (decision, late) in [
        (SamplingDecision::Drop, &[][..]),
        (SamplingDecision::RecordOnly, &["response", "error", "end"]),
        (SamplingDecision::RecordAndSample, &["response", "error", "end"]),
    ] {
        let notes = Notes::default();
        let looked = notes.note("sampler");
        let looks = Decides::new(decision.clone(), move |_, kind, attributes| {
            assert_eq!(kind, &SpanKind::Client);
            assert!(attributes.contains(&KeyValue::new("mine", 1)));
            assert!(attributes.contains(&KeyValue::new("url.full", "withheld")));
            looked();
        });
        let provider = SdkTracerProvider::builder().with_sampler(looks).build();
        let (answered, failed, ended) =
            (notes.note("response"), notes.note("error"), notes.note("end"));
        let layer = ClientTraceLayer::new()
            .with_tracer_provider(&provider)
            .on_request(|_, attributes| {
                attributes.set("mine", 1);
                attributes.set("url.full", "withheld");
            })
            .on_response(move |_, _| answered())
            .on_error(move |_, _| failed())
            .on_end(move |_, _| ended());
        exchange(&layer, request(), failing());
        assert_eq!(notes.take(), [&["sampler"], late].concat(), "{decision:?}");
    }
}

#[test]
fn what_the_layer_says_of_a_request_can_be_replaced_before_the_start_and_nothing_after_it() {
    let every: [&str; 7] = [
        "url.full",
        "url.template",
        "http.response.status_code",
        "network.protocol.version",
        "network.peer.address",
        "error.type",
        "tower_telemetry.time_to_head",
    ];
    let set_up = |layer: ClientTraceLayer| {
        layer
            .on_request(move |_, attributes| {
                for key in every {
                    attributes.set(key, "request");
                }
            })
            .on_response(move |_, attributes| {
                for key in every {
                    attributes.set(key, "response");
                }
            })
            .on_end(move |_, attributes| {
                for key in every {
                    attributes.set(key, "end");
                }
            })
    };
    let span = either_span_of(set_up, request(), response(""));
    let expected =
        Described::asked(200).with("url.full", "request").with("url.template", "request");
    assert_eq!(span, expected);

    // On the span, that is; metrics keep the method as it was.
    let recorder = Recorder::of_spans_alone();
    let layer = recorder
        .client_layer()
        .with_metrics(Metrics::new())
        .on_request(|_, attributes| attributes.set("http.request.method", "mine"));
    exchange(&layer, request(), response(""));
    assert_eq!(attribute(&recorder.span(), "http.request.method").as_deref(), Some("mine"));
    let measured = recorder.meters.one("http.client.request.duration");
    assert_eq!(measured.attributes["http.request.method"], "GET".into());
}

#[test]
fn a_hook_that_panics_breaks_nothing() {
    let set_up = |layer: ClientTraceLayer| {
        layer
            .on_request(|_, attributes| {
                attributes.set("before.panic", true);
                panic!("the hook panics, as it was told to")
            })
            .on_request(|_, attributes| attributes.set("after.panic", true))
            .on_response(|_, _| panic!("the hook panics, as it was told to"))
            .on_response(|_, attributes| attributes.set("at.head", true))
            .on_error(|_, _| panic!("the hook panics, as it was told to"))
            .on_end(|_, _| panic!("the hook panics, as it was told to"))
            .on_end(|_, attributes| attributes.set("at.end", true))
    };
    let mut expected = Described::asked(503);
    for key in ["before.panic", "after.panic", "at.head", "at.end"] {
        expected = expected.with(key, true);
    }
    assert_eq!(either_span_of(set_up, request(), failing()), expected);
}

#[test]
fn hooks_see_how_a_request_ended_that_was_not_answered() {
    let set_up = |layer: ClientTraceLayer, error: Option<&'static str>| {
        layer
            .on_response(|_, attributes| attributes.set("there.was", "none"))
            .on_error(|_, attributes| attributes.set("failed", true))
            .on_end(move |ended, attributes| {
                assert_eq!((ended.status_code(), ended.error_type()), (None, error));
                assert_eq!(ended.response_size(), 0);
                attributes.set("seen", true);
            })
    };
    let unanswered = || {
        Described::asked(200)
            .without("http.response.status_code")
            .without("network.protocol.version")
            .with("seen", true)
    };
    // Who has changed their mind has not failed.
    let recorder = Recorder::new();
    let waits = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    drop(set_up(recorder.client_layer(), None).layer(waits).call(request()));
    assert_eq!(Described::from(recorder.span()), unanswered());

    let recorder = Recorder::new();
    let fails = service_fn(|_: Request<()>| ready(Err::<Response<String>, _>(std::fmt::Error)));
    let mut service = set_up(recorder.client_layer(), Some("core::fmt::Error")).layer(fails);
    tokio_test::block_on(service.call(request())).unwrap_err();
    let expected = unanswered().with("failed", true).failed("core::fmt::Error");
    assert_eq!(Described::from(recorder.span()), expected);
}

#[test]
fn where_there_is_no_error_no_hook_for_errors_is_called() {
    let set_up = |layer: ClientTraceLayer| {
        layer
            .with_failure_by(|response| response.status_code() != 503)
            .on_error(|_, attributes| attributes.set("called", true))
    };
    let span = client_span_of(set_up, request(), failing());
    assert_eq!(span, Described::asked(200).with("http.response.status_code", 503));

    let span = client_span_of(set_up, request(), response(""));
    assert_eq!(span, Described::asked(200).failed("_OTHER").with("called", true));
}

#[test]
fn the_duration_that_hooks_see_is_that_of_the_span_to_the_nanosecond() {
    let recorder = Recorder::new();
    let seen = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&seen);
    let layer = recorder.client_layer();
    let layer = layer.on_end(move |ended, _| *hook.lock().unwrap() = Some(ended.duration()));
    exchange(&layer, request(), response("an item"));
    let span = recorder.span();
    let duration = span.end_time.duration_since(span.start_time).unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(duration));
}

#[test]
fn a_request_through_two_layers_meets_the_hooks_of_the_outer_one_once() {
    let recorder = Recorder::new();
    let notes = Notes::default();
    let layer = |start, end| {
        let (start, end) = (notes.note(start), notes.note(end));
        recorder.client_layer().on_request(move |_, _| start()).on_end(move |_, _| end())
    };
    let inner = layer("inner request", "inner end");
    let outer = layer("outer request", "outer end");
    let service = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(response("an item"))));
    let mut service = outer.layer(inner.layer(service));
    tokio_test::block_on(service.call(request())).unwrap();
    assert_eq!(Described::from(recorder.span()), Described::asked(200));
    assert_eq!(notes.take(), ["outer request", "outer end"]);
}

#[test]
fn what_a_hook_is_shown_shows_no_secret_of_its_own() {
    let shown = Arc::new(Mutex::new(String::new()));
    let mut answer = response("");
    answer.headers_mut().insert("set-cookie", "s3cret".parse().unwrap());
    let set_up = |layer: ClientTraceLayer| {
        let (sent, answered) = (Arc::clone(&shown), Arc::clone(&shown));
        layer
            .on_request(move |head, _| sent.lock().unwrap().push_str(&format!("{head:?}")))
            .on_response(move |head, _| answered.lock().unwrap().push_str(&format!("{head:?}")))
    };
    let request = Request::get("http://user:s3cret@inventory/items?key=s3cret");
    let request = request.header("authorization", "s3cret").body(()).unwrap();
    either_span_of(set_up, request, answer);
    let shown = shown.lock().unwrap();
    assert!(shown.contains("/items") && shown.contains("200"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// Every key that a client layer may write, and one that it never does.
const EVERY_KEY: [&str; 21] = [
    "error.type",
    "http.request.body.size",
    "http.request.header.x-a",
    "http.request.method",
    "http.request.method_original",
    "http.request.resend_count",
    "http.response.body.size",
    "http.response.header.x-b",
    "http.response.status_code",
    "http.route",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "server.address",
    "server.port",
    "tower_telemetry.time_to_head",
    "url.full",
    "url.scheme",
    "url.template",
    "user_agent.original",
    "mine",
];

#[test]
fn no_combination_of_settings_writes_a_key_twice() {
    fn write(attributes: &mut Attributes<'_>) {
        for key in EVERY_KEY.into_iter().chain(["mine"]) {
            attributes.set(key, "the hook's");
        }
    }
    let request = |full: bool| {
        if !full {
            return Request::new(());
        }
        Request::builder()
            .method("PURGE")
            .uri("http://user@inventory:3000/items/42?a=b")
            .header("user-agent", "shop/2.1")
            .header("x-a", "a")
            .extension(UrlTemplate::new("/items/{id}"))
            .body(())
            .unwrap()
    };
    for case in 0..64 {
        let bit = |at: u32| case >> at & 1 == 1;
        let (known, full, early, late, fails, end) =
            (bit(0), bit(1), bit(2), bit(3), bit(4), bit(5));
        let exporter = InMemorySpanExporter::default();
        let telemetry = Telemetry::builder()
            .with_environment([("OTEL_TRACES_EXPORTER", "none")])
            .with_span_exporter(exporter.clone())
            .build()
            .unwrap();
        let foreign = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let mut layer = ClientTraceLayer::new()
            .with_request_headers(headers(&["x-a", "x-*"]))
            .with_response_headers(headers(&["x-b", "x-*"]))
            .with_response_body_size()
            .with_url_scheme()
            .with_user_agent()
            .with_span_end(if end { SpanEnd::Body } else { SpanEnd::Head });
        layer = if known {
            layer.with_telemetry(&telemetry)
        } else {
            layer.with_tracer_provider(&foreign)
        };
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
        let mut answer = if fails { failing() } else { response("an item") };
        answer.headers_mut().insert("x-b", "b".parse().unwrap());
        exchange(&layer, request(full), answer);
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
        let span = exporter.get_finished_spans().unwrap().remove(0);
        let span = unique(span.attributes);
        let mine = span.get("mine").map(ToString::to_string);
        assert_eq!(mine.as_deref(), (early || late).then_some("the hook's"), "case {case}");
        let status_code = span["http.response.status_code"].to_string();
        assert_eq!(status_code, if fails { "503" } else { "200" }, "case {case}");
    }
}

#[test]
fn a_hook_does_not_change_what_is_sent() {
    let recorder = Recorder::new();
    let layer = recorder.client_layer().on_request(|_, attributes| {
        attributes.set("url.full", "withheld");
        attributes.set("http.request.header.x-a", "withheld");
    });
    let sent = Arc::new(Mutex::new(None));
    let arrived = Arc::clone(&sent);
    let mut service = layer.layer(service_fn(move |request: Request<()>| {
        *arrived.lock().unwrap() = Some((request.uri().clone(), request.headers().clone()));
        ready(Ok::<_, Infallible>(response("")))
    }));
    let mut request = request();
    request.headers_mut().insert("x-a", "a".parse().unwrap());
    tokio_test::block_on(service.call(request)).unwrap();
    let (uri, mut headers) = sent.lock().unwrap().take().unwrap();
    assert_eq!(uri, URL);
    assert!(headers.remove("traceparent").is_some());
    assert_eq!(headers, HeaderMap::from_iter([("x-a".parse().unwrap(), "a".parse().unwrap())]));
}
