//! What a client's span says of its request and the answer, compared as a whole.
//!
//! Where it does not matter which of the two types the request is of, it is sent as both.

use std::{
    borrow::Cow,
    convert::Infallible,
    error::Error,
    fmt,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use opentelemetry::{
    Context,
    trace::{FutureExt, SpanKind},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SamplingDecision, SdkTracerProvider};
use tower::{Layer, Service, service_fn};
use tower_http::classify::{
    ClassifiedResponse, ClassifyEos, ClassifyResponse, GrpcErrorsAsFailures, MakeClassifier,
    SharedClassifier, StatusInRangeAsFailures,
};
use tower_telemetry::{
    ClientTraceLayer, HeaderSelector, Redaction, SamplerBuilder, Telemetry,
    client::{PropagationTargets, ResendCount, SpanEnd, UrlTemplate, Verdict},
};

use crate::support::{
    body::{Script, Step},
    exchange::{
        Answers, client_span_of, either_span_of, exchange, headers, reqwest_exchange,
        reqwest_span_of, response,
    },
    recorder::{Described, Recorder, attribute, strings},
    sdk::Decides,
};

type SetUp = fn(ClientTraceLayer) -> ClientTraceLayer;

const URL: &str = "http://inventory:3000/items/42";

fn get(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

fn status(status_code: u16) -> Response<Full<Bytes>> {
    let mut response = response("");
    *response.status_mut() = StatusCode::from_u16(status_code).unwrap();
    response
}

/// `None` stands for no host that is known, and no port.
fn at(url: &str, server: Option<(&str, i64)>) -> Described {
    let span = Described::asked(200).with("url.full", url.to_owned());
    match server {
        // No default is known.
        Some((address, 0)) => {
            span.with("server.address", address.to_owned()).without("server.port")
        }
        Some((address, port)) => {
            span.with("server.address", address.to_owned()).with("server.port", port)
        }
        None => span.without("server.address").without("server.port"),
    }
}

#[test]
fn a_request_in_full() {
    let request = Request::get("https://user:s3cret@inventory/items/42?q=a&sig=s3cret")
        .header("host", "ignored.example:1")
        .header("user-agent", "shop/2.1")
        .header("authorization", "Bearer s3cret")
        .header("cookie", "session=s3cret")
        .body(())
        .unwrap();
    let span = either_span_of(|layer| layer, request, response("an item"));
    assert_eq!(
        span,
        Described::client(
            "GET",
            [
                ("http.request.method", "GET".into()),
                (
                    "url.full",
                    "https://REDACTED:REDACTED@inventory/items/42?q=a&sig=REDACTED".into()
                ),
                ("server.address", "inventory".into()),
                ("server.port", 443.into()),
                ("network.protocol.version", "1.1".into()),
                ("http.response.status_code", 200.into()),
            ]
        )
    );
}

#[test]
fn a_request_that_says_little() {
    let span = client_span_of(|layer| layer, Request::new(()), response(""));
    assert_eq!(span, at("/", None));
}

#[test]
fn a_method_is_recorded_as_it_is_if_it_is_known_and_else_beside_what_stands_for_it() {
    let purge: SetUp =
        |layer| layer.with_known_methods([Method::from_bytes(b"PURGE").unwrap(), Method::POST]);
    let none: SetUp = |layer| layer.with_known_methods([]);
    for (set_up, method, known) in [
        ((|layer| layer) as SetUp, "GET", true),
        (|layer| layer, "QUERY", true),
        (|layer| layer, "PATCH", true),
        (|layer| layer, "TEST", false),
        (|layer| layer, "get", false),
        (|layer| layer, "_OTHER", false),
        (purge, "PURGE", true),
        (purge, "POST", true),
        (purge, "GET", false),
        (none, "GET", false),
    ] {
        let request = Request::builder().method(method).uri(URL).body(()).unwrap();
        let span = either_span_of(set_up, request, response(""));
        let expected = if known {
            Described::asked(200).named(method).with("http.request.method", method)
        } else {
            Described::asked(200)
                .named("HTTP")
                .with("http.request.method", "_OTHER")
                .with("http.request.method_original", method)
        };
        assert_eq!(span, expected, "{method}");
    }
}

#[test]
fn a_whole_url_says_where_to_whatever_type_the_request_is_of() {
    for (url, server) in [
        (URL, Some(("inventory", 3000))),
        ("http://inventory/", Some(("inventory", 80))),
        ("https://inventory/", Some(("inventory", 443))),
        ("https://inventory:80/", Some(("inventory", 80))),
        ("ws://inventory/feed", Some(("inventory", 80))),
        ("wss://inventory/feed", Some(("inventory", 443))),
        ("gopher://inventory/", Some(("inventory", 0))),
        ("gopher://inventory:70/", Some(("inventory", 70))),
        ("http://192.0.2.1:8080/", Some(("192.0.2.1", 8080))),
        ("http://[::1]:8080/a", Some(("::1", 8080))),
        ("http://[2001:db8::1]/a", Some(("2001:db8::1", 80))),
        ("http://inventory./", Some(("inventory.", 80))),
        ("http://inventory/a//b/../c;d=e/%2e?x=/&y=?&=&z", Some(("inventory", 80))),
        ("http://inventory/?", Some(("inventory", 80))),
        ("http://inventory/%F0%9F%A6%80?q=%F0%9F%A6%80", Some(("inventory", 80))),
    ] {
        // Which parts of a path mean none, only reqwest's URLs have found out.
        if url.contains("/../") {
            let span = client_span_of(|layer| layer, get(url), response(""));
            assert_eq!(span, at(url, server), "{url}");
            continue;
        }
        let span = either_span_of(|layer| layer, get(url), response(""));
        assert_eq!(span, at(url, server), "{url}");
    }
}

#[test]
fn a_url_is_written_as_a_url_is() {
    for (url, written, server) in [
        ("http://inventory", "http://inventory/", ("inventory", 80)),
        ("http://inventory?page=2", "http://inventory/?page=2", ("inventory", 80)),
        ("http://inventory:3000?sig=s", "http://inventory:3000/?sig=REDACTED", ("inventory", 3000)),
        ("HTTPS://inventory/", "https://inventory/", ("inventory", 443)),
        ("http://user@inventory/", "http://REDACTED:REDACTED@inventory/", ("inventory", 80)),
        ("http://:s3cret@[::1]:1/", "http://REDACTED:REDACTED@[::1]:1/", ("::1", 1)),
        ("http://u%40v:s%3Ac@inventory/", "http://REDACTED:REDACTED@inventory/", ("inventory", 80)),
    ] {
        let span = either_span_of(|layer| layer, get(url), response(""));
        assert_eq!(span, at(written, Some(server)), "{url}");
    }
}

#[test]
fn what_is_no_host_or_no_port_is_not_recorded_as_one() {
    let long = format!("http://{}/", "h".repeat(300));
    for url in ["http://inventory:99999/", "http://inventory:65536/", &long] {
        let mut request = get(url);
        // Who says where to has said it, understood or not.
        request.headers_mut().insert("host", HeaderValue::from_static("other:1"));
        let span = client_span_of(|layer| layer, request, response(""));
        assert_eq!(span, at(url, None));
    }
    let span = client_span_of(|layer| layer, get("http://inventory:/a"), response(""));
    assert_eq!(span, at("http://inventory:/a", Some(("inventory", 80))));
}

#[test]
fn the_fragment_is_recorded_where_the_request_has_kept_it() {
    let url = "http://inventory:3000/items/42?sig=s3cret#part?sig=two";
    let recorded = "http://inventory:3000/items/42?sig=REDACTED#part?sig=two";
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    let span = reqwest_span_of(|layer| layer, request, response(""));
    assert_eq!(span, Described::asked(200).with("url.full", recorded));

    let span = client_span_of(|layer| layer, get(url), response(""));
    let recorded = "http://inventory:3000/items/42?sig=REDACTED";
    assert_eq!(span, Described::asked(200).with("url.full", recorded));
}

#[test]
fn where_the_url_does_not_say_where_to_the_layer_does_or_the_host_header() {
    let origin: SetUp = |layer| layer.with_origin("https://stock.internal:50051").unwrap();
    let plain: SetUp = |layer| layer.with_origin("http://stock.internal/").unwrap();
    let secret: SetUp = |layer| layer.with_origin("http://user:s3cret@stock.internal").unwrap();
    let six: SetUp = |layer| layer.with_origin("https://[::1]").unwrap();
    let none: SetUp = |layer| layer;
    let at_50051 = Some(("stock.internal", 50051));
    let at_80 = Some(("stock.internal", 80));
    for (set_up, uri, host, url, server) in [
        (none, "/items?a=b", None, "/items?a=b", None),
        (none, "/items?sig=s3cret", None, "/items?sig=REDACTED", None),
        (none, "/a", Some("inventory:3000"), "http://inventory:3000/a", Some(("inventory", 3000))),
        (none, "/a", Some("inventory"), "http://inventory/a", Some(("inventory", 80))),
        (none, "/a", Some("[::1]:3000"), "http://[::1]:3000/a", Some(("::1", 3000))),
        (none, "/a", Some("u:s3cret@inventory"), "http://inventory/a", Some(("inventory", 80))),
        (none, "/a", Some(""), "/a", None),
        (none, "/a", Some("inventory:port"), "/a", None),
        (none, "/a", Some("<script>"), "/a", None),
        (origin, "/items?a=b", None, "https://stock.internal:50051/items?a=b", at_50051),
        (origin, "/a", Some("other:1"), "https://stock.internal:50051/a", at_50051),
        (origin, URL, Some("other:1"), URL, Some(("inventory", 3000))),
        (plain, "/a", None, "http://stock.internal/a", at_80),
        (secret, "/a", None, "http://REDACTED:REDACTED@stock.internal/a", at_80),
        (six, "/a", None, "https://[::1]/a", Some(("::1", 443))),
        // Of the server as a whole: its URL has no path.
        (none, "*", Some("inventory:3000"), "http://inventory:3000", Some(("inventory", 3000))),
        (origin, "*", None, "https://stock.internal:50051", at_50051),
        (none, "*", None, "*", None),
        // Of a proxy, where to.
        (none, "inventory:3000", None, "http://inventory:3000", Some(("inventory", 3000))),
        (
            none,
            "inventory:3000",
            Some("other:1"),
            "http://inventory:3000",
            Some(("inventory", 3000)),
        ),
    ] {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", HeaderValue::from_static(host));
        }
        let span = client_span_of(set_up, request, response(""));
        assert_eq!(span, at(url, server), "{uri} of {host:?}");
    }
}

#[test]
fn connect_and_options_are_named_like_any_other_method() {
    for (method, uri, url) in [
        (Method::CONNECT, "inventory:3000", "http://inventory:3000"),
        (Method::OPTIONS, "*", "http://inventory:3000"),
    ] {
        let name = method.to_string();
        let request = Request::builder().method(method).uri(uri).header("host", "inventory:3000");
        let span = client_span_of(|layer| layer, request.body(()).unwrap(), response(""));
        let expected = at(url, Some(("inventory", 3000)));
        assert_eq!(span, expected.named(&name).with("http.request.method", name));
    }
}

#[test]
fn an_origin_that_is_none_is_an_error_that_shows_no_secret() {
    for bad in ["", "inventory", "inventory:50051", "/items", "http://", "http:///items", "://a"] {
        let error = ClientTraceLayer::new().with_origin(bad).unwrap_err();
        assert_eq!((error.setting(), error.value()), ("origin", bad));
    }
    for bad in [
        "http://a/path",
        "http://a/?b",
        "http://:80",
        "http://inventory:99999",
        "http://user@",
        "http://[::1",
    ] {
        assert!(ClientTraceLayer::new().with_origin(bad).is_err(), "{bad}");
    }
    for bad in [
        "http://user:s3cret@ho st",
        "http://user:s3/cret@inventory",
        "http://user:s3?cret@inventory",
        "http:/user:s3cret@inventory",
        "user:s3cret@inventory:80",
        "http://inventory/?key=s3cret",
    ] {
        let error = ClientTraceLayer::new().with_origin(bad).unwrap_err();
        assert!(!error.to_string().contains("cret"), "{error}");
    }
}

#[test]
fn a_host_header_that_is_not_one_host_is_none() {
    let span = |values: &[&[u8]], sensitive: bool| {
        let mut request = get("/a");
        for value in values {
            let mut value = HeaderValue::from_bytes(value).unwrap();
            value.set_sensitive(sensitive);
            request.headers_mut().append("host", value);
        }
        client_span_of(|layer| layer, request, response(""))
    };
    assert_eq!(span(&[b"inventory", b"inventory"], false), at("/a", None));
    assert_eq!(span(&[b"inventory", b"evil.example"], false), at("/a", None));
    assert_eq!(span(&["inventör".as_bytes()], false), at("/a", None));
    assert_eq!(span(&[b"\xff"], false), at("/a", None));
    assert_eq!(span(&[b"s3cret.example"], true), at("/a", None));
    assert_eq!(span(&[b"inventory"], false), at("http://inventory/a", Some(("inventory", 80))));
}

#[test]
fn secrets_in_a_url_are_redacted_by_one_policy() {
    const QUERY: &str = "AWSAccessKeyId=1&Signature=2&sig=3&X-Goog-Signature=4&X-Amz-Signature=5\
        &X-Amz-Credential=6&X-Amz-Security-Token=7&sIg=8&page=9&s%69g=10";
    const CLEAN: &str = "AWSAccessKeyId=REDACTED&Signature=REDACTED&sig=REDACTED\
        &X-Goog-Signature=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED\
        &X-Amz-Security-Token=REDACTED&sIg=8&page=9&s%69g=REDACTED";
    let only: SetUp = |layer| layer.with_redaction(Redaction::new().with_only_query_keys(["page"]));
    let listed: SetUp = |layer| layer.with_redaction(Redaction::new().with_query_keys(["key"]));
    let path: SetUp = |layer| {
        let redaction = Redaction::new().with_path_patterns(["/reset/{token}"]).unwrap();
        layer.with_redaction(redaction)
    };
    let off: SetUp = |layer| layer.with_redaction(Redaction::off());
    for (set_up, sent, recorded) in [
        ((|layer| layer) as SetUp, format!("/a?{QUERY}"), format!("/a?{CLEAN}")),
        (only, "/a?page=2&key=s3cret&s3cret".into(), "/a?page=2&key=REDACTED&REDACTED".into()),
        (listed, "/a?key=s3cret&sig=3".into(), "/a?key=REDACTED&sig=3".into()),
        (path, "/reset/s3cret?sig=3".into(), "/reset/REDACTED?sig=REDACTED".into()),
        (path, "/reset//s3cret/log".into(), "/reset//REDACTED/log".into()),
        (path, "//reset/s3cret".into(), "//reset/REDACTED".into()),
        (off, format!("/reset/a?{QUERY}"), format!("/reset/a?{QUERY}")),
    ] {
        let (url, clean) = (format!("http://a:b@inventory{sent}"), |url: String, user: &str| {
            at(&url.replace("a:b@", user), Some(("inventory", 80)))
        });
        let user = if recorded.ends_with(QUERY) { "a:b@" } else { "REDACTED:REDACTED@" };
        let span = either_span_of(set_up, get(&url), response(""));
        assert_eq!(span, clean(format!("http://a:b@inventory{recorded}"), user), "{url}");

        // The same with what is known of where to, and without.
        let span = client_span_of(
            |layer| set_up(layer).with_origin("http://inventory").unwrap(),
            get(&sent),
            response(""),
        );
        let url = format!("http://inventory{recorded}");
        assert_eq!(span, at(&url, Some(("inventory", 80))), "{sent}");
        let span = client_span_of(set_up, get(&sent), response(""));
        assert_eq!(span, at(&recorded, None), "{sent}");
    }
}

#[test]
fn a_url_full_of_junk_is_recorded_all_the_same() {
    let long = format!("http://inventory:3000/{}", "a".repeat(60_000));
    for url in [
        "http://inventory:3000/%00%ff?%&&=",
        "http://inventory:3000//user:s@host/?#",
        "http://inventory:3000/http://a:b@c/",
        long.as_str(),
    ] {
        let span = client_span_of(|layer| layer, get(url), response(""));
        let recorded = url.trim_end_matches('#').to_owned();
        assert_eq!(span, Described::asked(200).with("url.full", recorded));
    }
    // What no request can be sent to.
    for url in ["data:text/plain,hello", "mailto:a@b.example", "file:///etc/passwd"] {
        let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
        let paths = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&paths);
        let span = reqwest_span_of(
            |layer| {
                layer.on_request(move |head, _| seen.lock().unwrap().push(head.path().to_owned()))
            },
            request,
            response(""),
        );
        assert_eq!(span, at(url, None));
        assert_eq!(paths.lock().unwrap().len(), 1);
    }
}

fn with_template(url: &str, template: &str) -> Request<()> {
    Request::get(url).extension(UrlTemplate::new(template)).body(()).unwrap()
}

#[test]
fn a_template_is_the_requests_own_or_the_contexts_or_the_layers() {
    let layers: SetUp = |layer| layer.with_url_template(|_| Some("/of/layer".into()));
    let none: SetUp = |layer| layer;
    let empty: SetUp = |layer| layer.with_url_template(|_| Some("".into()));
    let panics: SetUp =
        |layer| layer.with_url_template(|_| panic!("the function panics, as it was told to"));
    let (own, context, layer) = ("/of/request", "/of/context", "/of/layer");
    for (set_up, of_request, of_context, template) in [
        (none, None, None, None),
        (none, Some(own), None, Some(own)),
        (none, None, Some(context), Some(context)),
        (layers, None, None, Some(layer)),
        (layers, None, Some(context), Some(context)),
        (layers, Some(own), Some(context), Some(own)),
        (layers, Some(own), None, Some(own)),
        (layers, Some(""), Some(context), Some(context)),
        (layers, Some(""), Some(""), Some(layer)),
        (none, Some(""), Some(""), None),
        (empty, None, None, None),
        (panics, None, None, None),
        (panics, Some(own), None, Some(own)),
    ] {
        let expected = match template {
            Some(template) => Described::asked(200)
                .named(&format!("GET {template}"))
                .with("url.template", template),
            None => Described::asked(200),
        };
        let _attached = of_context
            .map(|template| Context::current_with_value(UrlTemplate::new(template)).attach());
        let request = of_request.map_or_else(|| get(URL), |own| with_template(URL, own));
        let span = if of_request.is_some() {
            client_span_of(set_up, request, response(""))
        } else {
            either_span_of(set_up, request, response(""))
        };
        assert_eq!(span, expected, "{of_request:?} {of_context:?}");
    }
}

#[test]
fn a_template_is_in_the_name_also_of_a_method_that_is_not_known() {
    let mut request = with_template(URL, "/items/{id}");
    *request.method_mut() = Method::from_bytes(b"PURGE").unwrap();
    let span = client_span_of(|layer| layer, request, response(""));
    let expected = Described::asked(200)
        .named("HTTP /items/{id}")
        .with("http.request.method", "_OTHER")
        .with("http.request.method_original", "PURGE")
        .with("url.template", "/items/{id}");
    assert_eq!(span, expected);
}

#[test]
fn every_function_that_is_shown_the_request_sees_its_template() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let seen = Arc::clone(&seen);
        move |route: Option<&str>| seen.lock().unwrap().push((what, route.map(str::to_owned)))
    };
    let (target, baggage, filter, template, name, hook) = (
        note("targets"),
        note("baggage"),
        note("filter"),
        note("template"),
        note("name"),
        note("hook"),
    );
    client_span_of(
        |layer| {
            layer
                .with_propagation_targets(PropagationTargets::by(move |head| {
                    target(head.route());
                    true
                }))
                .with_baggage_to(PropagationTargets::by(move |head| {
                    baggage(head.route());
                    false
                }))
                .with_filter(move |head| {
                    filter(head.route());
                    Verdict::all()
                })
                .with_url_template(move |head| {
                    template(head.route());
                    Some("/items/{id}".into())
                })
                .with_span_name(move |head| {
                    name(head.route());
                    None
                })
                .on_request(move |head, _| hook(head.route()))
        },
        get(URL),
        response(""),
    );
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_unstable();
    let template = Some("/items/{id}".to_owned());
    let mut expected = ["targets", "baggage", "filter", "name", "hook"]
        .map(|what| (what, template.clone()))
        .to_vec();
    expected.push(("template", None));
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_said_of_a_request_is_not_said_of_those_that_are_sent_because_of_it() {
    let recorder = Recorder::new();
    let further = recorder.client_layer();
    // A router in the same process, whose handler asks somebody else.
    let mut service = recorder.client_layer().layer(service_fn(move |_: Request<()>| {
        let mut further = further.layer(Answers(response("")));
        async move {
            further.call(get("http://prices/42")).await.unwrap();
            Ok::<_, Infallible>(response(""))
        }
    }));
    let cx =
        Context::current_with_value(UrlTemplate::new("/items/{id}")).with_value(ResendCount::new());
    let sent = async {
        for _ in 0..2 {
            service.call(get(URL)).await.unwrap();
        }
    };
    sent.with_context(cx).await;
    let outer =
        || Described::asked(200).named("GET /items/{id}").with("url.template", "/items/{id}");
    let inner = || at("http://prices/42", Some(("prices", 80)));
    let spans: Vec<_> = recorder.spans().into_iter().map(Described::from).collect();
    let again = outer().with("http.request.resend_count", 1);
    assert_eq!(spans, [inner(), outer(), inner(), again]);
}

#[test]
fn a_name_of_ones_own_comes_before_the_template() {
    let named: SetUp = |layer| {
        layer.with_span_name(|head| match head.method().as_str() {
            "GET" => Some(format!("fetch {}", head.route().unwrap_or("?")).into()),
            "POST" => Some("".into()),
            "PUT" => panic!("the function panics, as it was told to"),
            _ => None,
        })
    };
    for (method, template, name) in [
        ("GET", Some("/items/{id}"), "fetch /items/{id}"),
        ("GET", None, "fetch ?"),
        ("POST", Some("/items/{id}"), "POST /items/{id}"),
        ("POST", None, "POST"),
        ("PUT", Some("/items/{id}"), "PUT /items/{id}"),
        ("PURGE", Some("/items/{id}"), "HTTP /items/{id}"),
        ("PURGE", None, "HTTP"),
    ] {
        let request = Request::builder().method(method).uri(URL);
        let request = match template {
            Some(template) => request.extension(UrlTemplate::new(template)),
            None => request,
        };
        let span = client_span_of(named, request.body(()).unwrap(), response(""));
        assert_eq!(span.name, name, "{method}");
        let recorded = span.attributes.get("url.template").map(ToString::to_string);
        assert_eq!(recorded.as_deref(), template, "the name changes nothing else");
    }
}

#[test]
fn headers_that_are_asked_for_are_recorded_as_lists_and_no_secret_with_them() {
    let mut request = Request::get(URL)
        .header("X-Test-One", "1")
        .header("x-test-one", "2")
        .header("x-test-two", HeaderValue::from_bytes(b"\xff").unwrap())
        .header("authorization", "Bearer s3cret")
        .header("referer", "https://user:s3cret@shop.example/?sig=s3cret")
        .header("x-other", "other")
        .body(())
        .unwrap();
    let mut key = HeaderValue::from_static("s3cret");
    key.set_sensitive(true);
    request.headers_mut().insert("x-test-key", key);
    let mut answer = response("");
    answer.headers_mut().append("x-test-answer", HeaderValue::from_static("yes"));
    answer.headers_mut().append("x-test-answer", HeaderValue::from_static("and no"));
    answer.headers_mut().insert("set-cookie", HeaderValue::from_static("session=s3cret"));
    answer.headers_mut().insert("x-other", HeaderValue::from_static("other"));
    let set_up: SetUp = |layer| {
        layer
            .with_request_headers(headers(&["X-Test-*", "authorization", "referer", "absent"]))
            .with_response_headers(headers(&["x-test-answer", "set-cookie"]))
    };
    let mut expected = Described::asked(200);
    for (key, values) in [
        ("http.request.header.x-test-one", &["1", "2"][..]),
        ("http.request.header.x-test-two", &["\u{fffd}"]),
        ("http.request.header.x-test-key", &["REDACTED"]),
        ("http.request.header.authorization", &["REDACTED"]),
        ("http.request.header.referer", &["https://REDACTED:REDACTED@shop.example/?sig=REDACTED"]),
        ("http.response.header.x-test-answer", &["yes", "and no"]),
        ("http.response.header.set-cookie", &["REDACTED"]),
    ] {
        expected = expected.with(key, strings(values));
    }
    assert_eq!(either_span_of(set_up, request, answer), expected);
}

/// Each side's variables, and the methods, which are of both.
const VARIABLES: [(&str, &str); 5] = [
    ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE"),
    ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", "X-Client, x-d"),
    ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS", "x-client-*"),
    ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", "x-server"),
    ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS", "x-server"),
];

fn telemetry(
    variables: &'static [(&'static str, &'static str)],
) -> (Telemetry, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let all = [("OTEL_TRACES_EXPORTER", "none")].into_iter().chain(variables.iter().copied());
    let builder = Telemetry::builder().with_environment(all);
    let telemetry = builder.with_span_exporter(exporter.clone()).build().unwrap();
    (telemetry, exporter)
}

#[test]
fn the_environment_says_which_headers_and_methods_where_the_code_does_not() {
    let request = || {
        let request = Request::builder().method("PURGE").uri(URL);
        request.header("x-client", "c").header("x-server", "s").header("x-b", "b").body(()).unwrap()
    };
    let mut answer = response("");
    answer.headers_mut().insert("x-client-a", HeaderValue::from_static("a"));
    answer.headers_mut().insert("x-server", HeaderValue::from_static("s"));
    let span = |set_up: SetUp| {
        let (telemetry, exporter) = telemetry(&VARIABLES);
        let layer = set_up(ClientTraceLayer::new()).with_telemetry(&telemetry);
        assert_eq!(layer.warnings(), []);
        exchange(&layer, request(), answer.clone());
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
        Described::from(exporter.get_finished_spans().unwrap().remove(0))
    };
    let purged = || {
        let span = Described::asked(200).named("PURGE").with("http.request.method", "PURGE");
        span.with("http.request.header.x-client", strings(&["c"]))
            .with("http.response.header.x-client-a", strings(&["a"]))
    };
    assert_eq!(span(|layer| layer), purged());

    // Also where the code comes first in time.
    let by_code = span(|layer| {
        layer
            .with_known_methods([Method::GET])
            .with_request_headers(headers(&["x-b"]))
            .with_response_headers(HeaderSelector::default())
    });
    let expected = Described::asked(200)
        .named("HTTP")
        .with("http.request.method", "_OTHER")
        .with("http.request.method_original", "PURGE")
        .with("http.request.header.x-b", strings(&["b"]));
    assert_eq!(by_code, expected);

    // Each setting for itself.
    let of_request = span(|layer| layer.with_request_headers(headers(&["x-b"])));
    let expected = purged()
        .without("http.request.header.x-client")
        .with("http.request.header.x-b", strings(&["b"]));
    assert_eq!(of_request, expected);
}

#[test]
fn what_the_environment_says_of_clients_is_not_said_of_servers() {
    let (telemetry, exporter) = telemetry(&VARIABLES);
    let layer = tower_telemetry::TraceLayer::new().with_telemetry(&telemetry);
    let request = Request::builder().header("x-client", "c").header("x-server", "s");
    let mut answer = response("");
    answer.headers_mut().insert("x-client-a", HeaderValue::from_static("a"));
    answer.headers_mut().insert("x-server", HeaderValue::from_static("s"));
    exchange(&layer, request.body(()).unwrap(), answer);
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    let span = Described::from(exporter.get_finished_spans().unwrap().remove(0));
    let expected = Described::of_a_plain_request()
        .with("http.request.header.x-server", strings(&["s"]))
        .with("http.response.header.x-server", strings(&["s"]));
    assert_eq!(span, expected);
}

#[test]
fn what_the_environment_says_wrong_is_a_warning_and_the_rest_is_in_force() {
    const BAD: [(&str, &str); 3] = [
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,not a method"),
        ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", "no header,x-a"),
        ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS", "é"),
    ];
    let (telemetry, exporter) = telemetry(&BAD);
    let warned: Vec<_> = telemetry.warnings().iter().map(|w| (w.variable(), w.value())).collect();
    assert_eq!(warned, [(BAD[0].0, "not a method"), (BAD[1].0, "no header"), (BAD[2].0, "é")]);

    let layer = ClientTraceLayer::new().with_telemetry(&telemetry);
    let request = Request::get(URL).header("x-a", "a").body(()).unwrap();
    exchange(&layer, request, response(""));
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    let span = Described::from(exporter.get_finished_spans().unwrap().remove(0));
    assert_eq!(span, Described::asked(200).with("http.request.header.x-a", strings(&["a"])));
}

#[test]
fn some_attributes_are_there_only_for_those_who_ask() {
    let request = || {
        let request = Request::get("https://inventory/items/42");
        request.header("user-agent", "shop/2.1").body(()).unwrap()
    };
    let default = || at("https://inventory/items/42", Some(("inventory", 443)));
    assert_eq!(either_span_of(|layer| layer, request(), response("an item")), default());

    let all: SetUp = |layer| {
        layer
            .with_span_end(SpanEnd::Body)
            .with_url_scheme()
            .with_user_agent()
            .with_response_body_size()
    };
    let expected = default()
        .with("url.scheme", "https")
        .with("user_agent.original", "shop/2.1")
        .with("http.response.body.size", 7);
    assert_eq!(either_span_of(all, request(), response("an item")), expected);

    // Where there is no user agent there is none, and what nobody says of a scheme is that it is
    // the plain one; the size of what was not waited for is not known.
    let head: SetUp = |layer| layer.with_url_scheme().with_user_agent().with_response_body_size();
    let span = client_span_of(head, get("/a"), response("an item"));
    assert_eq!(span, at("/a", None).with("url.scheme", "http"));
    let origin = |layer| head(layer).with_origin("https://inventory").unwrap();
    let span = client_span_of(origin, get("/a"), response("an item"));
    let expected = at("https://inventory/a", Some(("inventory", 443)));
    assert_eq!(span, expected.with("url.scheme", "https"));
}

#[test]
fn a_user_agent_is_redacted_like_any_other_header() {
    let redacts: SetUp = |layer| {
        let redaction = Redaction::new().with_headers(["user-agent"]).unwrap();
        layer.with_user_agent().with_redaction(redaction)
    };
    for (set_up, sensitive, recorded) in [
        (ClientTraceLayer::with_user_agent as SetUp, false, "shop/\u{fffd}"),
        (ClientTraceLayer::with_user_agent, true, "REDACTED"),
        (redacts, false, "REDACTED"),
        (|layer| layer.with_user_agent().with_redaction(Redaction::off()), true, "REDACTED"),
    ] {
        let mut request = get(URL);
        let mut agent = HeaderValue::from_bytes(b"shop/\xff").unwrap();
        agent.set_sensitive(sensitive);
        request.headers_mut().insert("user-agent", agent);
        let span = either_span_of(set_up, request, response(""));
        assert_eq!(span, Described::asked(200).with("user_agent.original", recorded));
    }
}

#[tokio::test]
async fn the_size_of_the_response_is_what_was_read_of_it() {
    let body = || Script::new([Step::Data("abc"), Step::Pending, Step::Data("defg")]);
    for (frames, size) in [(0, 0), (1, 3), (2, 7), (3, 7)] {
        let recorder = Recorder::new();
        let layer = recorder.client_layer().with_span_end(SpanEnd::Body).with_response_body_size();
        let mut service = layer
            .layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(body())))));
        let mut body = service.call(get(URL)).await.unwrap().into_body();
        for _ in 0..frames {
            let _ = body.frame().await;
        }
        drop(body);
        let expected = Described::asked(200).with("http.response.body.size", size);
        assert_eq!(Described::from(recorder.span()), expected, "after {frames} frames");
    }
}

#[test]
fn an_empty_response_has_a_size_and_none_that_never_came() {
    let sized: SetUp = ClientTraceLayer::with_response_body_size;
    let span = either_span_of(sized, get(URL), response(""));
    assert_eq!(span, Described::asked(200).with("http.response.body.size", 0));

    let recorder = Recorder::new();
    let layer = sized(recorder.client_layer()).with_span_end(SpanEnd::Body);
    let failing = service_fn(|_: Request<()>| ready(Err::<Response<String>, _>(fmt::Error)));
    tokio_test::block_on(layer.layer(failing).call(get(URL))).unwrap_err();
    assert_eq!(Described::from(recorder.span()), unanswered().failed("core::fmt::Error"));
}

/// Of a request without a response.
fn unanswered() -> Described {
    Described::asked(200).without("http.response.status_code").without("network.protocol.version")
}

#[test]
fn what_a_span_waits_for_is_said_by_the_layer_a_predicate_or_the_response() {
    let none: SetUp = |layer| layer;
    let body: SetUp = |layer| layer.with_span_end(SpanEnd::Body);
    let by: SetUp = |layer| {
        layer.with_span_end_by(|response| match response.status_code() {
            StatusCode::ACCEPTED => SpanEnd::Head,
            _ => SpanEnd::Body,
        })
    };
    let body_unless: SetUp = |layer| {
        let layer = layer.with_span_end(SpanEnd::Body);
        layer.with_span_end_by(|_| panic!("the predicate panics, as it was told to"))
    };
    let last: SetUp =
        |layer| layer.with_span_end_by(|_| SpanEnd::Body).with_span_end(SpanEnd::Head);
    for (set_up, method, status_code, content, said, waits) in [
        (none, "GET", 200, "an item", None, false),
        (none, "GET", 200, "an item", Some(SpanEnd::Body), true),
        (body, "GET", 200, "an item", None, true),
        (body, "GET", 200, "an item", Some(SpanEnd::Head), false),
        (by, "GET", 200, "an item", None, true),
        (by, "GET", 202, "an item", None, false),
        (body_unless, "GET", 200, "an item", None, true),
        (last, "GET", 200, "an item", None, false),
        // Nothing comes after these heads.
        (body, "GET", 200, "", None, false),
        (body, "HEAD", 200, "an item", None, false),
        (body, "CONNECT", 200, "an item", None, false),
        (body, "CONNECT", 400, "an item", None, true),
        (body, "GET", 204, "an item", None, false),
        (body, "GET", 304, "an item", None, false),
    ] {
        let case = format!("{method} {status_code} {content} {said:?}");
        let answer = || {
            let mut answer = response(content);
            *answer.status_mut() = StatusCode::from_u16(status_code).unwrap();
            if let Some(said) = said {
                answer.extensions_mut().insert(said);
            }
            answer
        };
        let request = || Request::builder().method(method).uri(URL).body(()).unwrap();
        let mut times = Vec::new();
        let recorder = Recorder::new();
        exchange(&set_up(recorder.client_layer()), request(), answer());
        times.push(attribute(&recorder.span(), "tower_telemetry.time_to_head"));
        let recorder = Recorder::new();
        reqwest_exchange(
            &set_up(recorder.client_layer()),
            reqwest::Request::try_from(request().map(|()| "")).unwrap(),
            answer(),
        );
        times.push(attribute(&recorder.span(), "tower_telemetry.time_to_head"));
        let waited: Vec<_> = times.iter().map(Option::is_some).collect();
        assert_eq!(waited, [waits; 2], "{case}");
    }
}

#[test]
fn the_protocols_version_is_the_responses() {
    for (version, recorded) in [
        (Version::HTTP_09, "0.9"),
        (Version::HTTP_10, "1.0"),
        (Version::HTTP_11, "1.1"),
        (Version::HTTP_2, "2"),
        (Version::HTTP_3, "3"),
    ] {
        let request = Request::get(URL).version(Version::HTTP_3).body(()).unwrap();
        let mut answer = response("an item");
        *answer.version_mut() = version;
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let span =
                either_span_of(|layer| layer.with_span_end(end), request.clone(), answer.clone());
            assert_eq!(span, Described::asked(200).with("network.protocol.version", recorded));
        }
    }
}

#[test]
fn a_status_code_of_400_or_more_is_an_error_and_is_called_by_its_number() {
    for status_code in [
        100, 101, 199, 200, 201, 204, 299, 301, 302, 304, 399, 400, 401, 403, 404, 418, 429, 499,
        500, 501, 503, 504, 599, 600, 999,
    ] {
        for end in [SpanEnd::Head, SpanEnd::Body] {
            let set_up = |layer: ClientTraceLayer| layer.with_span_end(end);
            let span = either_span_of(set_up, get(URL), status(status_code));
            assert_eq!(span, Described::asked(status_code.into()), "{status_code}");
        }
    }
}

#[test]
fn a_predicate_or_a_classifier_says_what_counts_as_a_failure_and_the_last_one_counts() {
    let by: SetUp = |layer| {
        layer.with_failure_by(|response| match response.status_code().as_u16() {
            404 => false,
            503 => panic!("the predicate panics, as it was told to"),
            _ => response.headers().contains_key("x-failed"),
        })
    };
    let range: SetUp = |layer| {
        layer.with_classifier(StatusInRangeAsFailures::new(400..=499).into_make_classifier())
    };
    let replaced: SetUp = |layer| {
        let range = StatusInRangeAsFailures::new(400..=499).into_make_classifier();
        layer.with_failure_by(|_| true).with_classifier(range)
    };
    let the_other_way_round: SetUp = |layer| {
        let range = StatusInRangeAsFailures::new(400..=499).into_make_classifier();
        layer.with_classifier(range).with_failure_by(|_| false)
    };
    for (set_up, status_code, marked, error) in [
        (by, 200, false, None),
        (by, 200, true, Some("_OTHER")),
        (by, 302, true, Some("_OTHER")),
        (by, 404, true, None),
        (by, 500, false, None),
        (by, 500, true, Some("500")),
        (by, 503, false, Some("503")),
        (range, 200, true, None),
        (range, 404, false, Some("404")),
        (range, 500, false, None),
        (replaced, 500, false, None),
        (the_other_way_round, 404, false, None),
    ] {
        let mut answer = status(status_code);
        if marked {
            answer.headers_mut().insert("x-failed", HeaderValue::from_static("1"));
        }
        let expected =
            Described::asked(200).with("http.response.status_code", i64::from(status_code));
        let expected = match error {
            Some(error) => expected.failed(error),
            None => expected,
        };
        assert_eq!(either_span_of(set_up, get(URL), answer), expected, "{status_code} {marked}");
    }
}

/// Expects that a HEAD finds nothing, and panics where it is told to.
#[derive(Clone, Copy)]
struct Probes {
    expects_404: bool,
    panics: Option<Panics>,
}

#[derive(Clone, Copy, PartialEq)]
enum Panics {
    InTheMaking,
    AtTheHead,
    AtTheEnd,
}

impl Probes {
    const NEW: Self = Self { expects_404: false, panics: None };

    fn at(self, place: Panics) {
        assert!(self.panics != Some(place), "the classifier panics, as it was told to");
    }
}

impl MakeClassifier for Probes {
    type Classifier = Self;
    type FailureClass = ();
    type ClassifyEos = Self;

    fn make_classifier<B>(&self, request: &Request<B>) -> Self {
        self.at(Panics::InTheMaking);
        let ours = request.uri().host() == Some("inventory")
            && request.version() == Version::HTTP_2
            && request.headers().contains_key("x-probe")
            && !request.headers().contains_key("traceparent");
        Self { expects_404: ours && *request.method() == Method::HEAD, ..*self }
    }
}

impl ClassifyResponse for Probes {
    type FailureClass = ();
    type ClassifyEos = Self;

    fn classify_response<B>(self, response: &Response<B>) -> ClassifiedResponse<(), Self> {
        self.at(Panics::AtTheHead);
        match response.status().as_u16() {
            404 if self.expects_404 => ClassifiedResponse::Ready(Ok(())),
            200..400 => ClassifiedResponse::RequiresEos(self),
            _ => ClassifiedResponse::Ready(Err(())),
        }
    }

    fn classify_error<E: fmt::Display + 'static>(self, _: &E) {}
}

impl ClassifyEos for Probes {
    type FailureClass = ();

    fn classify_eos(self, _: Option<&HeaderMap>) -> Result<(), ()> {
        self.at(Panics::AtTheEnd);
        Ok(())
    }

    fn classify_error<E: fmt::Display + 'static>(self, _: &E) {}
}

#[test]
fn a_classifier_is_shown_the_request() {
    for (method, url, probe, status_code, failed) in [
        ("HEAD", URL, true, 404, false),
        ("HEAD", URL, true, 410, true),
        ("HEAD", URL, false, 404, true),
        ("GET", URL, true, 404, true),
        ("HEAD", "http://prices/", true, 404, true),
    ] {
        let mut request = Request::builder().method(method).uri(url).version(Version::HTTP_2);
        if probe {
            request = request.header("x-probe", "1");
        }
        let request = request.body(()).unwrap();
        let set_up: SetUp = |layer| layer.with_classifier(Probes::NEW);
        let span = either_span_of(set_up, request, status(status_code));
        assert_eq!(span.attributes.contains_key("error.type"), failed, "{method} {url}");
    }
}

#[test]
fn a_classifier_that_panics_classifies_nothing_and_the_request_arrives_whole() {
    for (panics, status_code) in
        [(Panics::InTheMaking, 502), (Panics::AtTheHead, 502), (Panics::AtTheEnd, 200)]
    {
        let set_up = |layer: ClientTraceLayer| {
            layer.with_classifier(Probes { panics: Some(panics), ..Probes::NEW })
        };
        let span = either_span_of(set_up, get(URL), status(status_code));
        assert_eq!(span, Described::asked(status_code.into()));

        let recorder = Recorder::new();
        let mut service =
            set_up(recorder.client_layer()).layer(service_fn(move |request: Request<()>| {
                assert_eq!(request.headers()["x-probe"], "1");
                assert!(request.headers().contains_key("traceparent"));
                assert!(request.extensions().get::<UrlTemplate>().is_some());
                ready(Ok::<_, Infallible>(status(status_code)))
            }));
        let mut request = with_template(URL, "/items/{id}");
        request.headers_mut().insert("x-probe", HeaderValue::from_static("1"));
        tokio_test::block_on(service.call(request)).unwrap();
    }
}

#[tokio::test]
async fn a_classifier_may_wait_for_the_trailers_if_the_span_does() {
    for (end, grpc_status, error) in [
        (SpanEnd::Body, "0", None),
        (SpanEnd::Body, "13", Some("_OTHER")),
        // Nobody has seen them.
        (SpanEnd::Head, "13", None),
    ] {
        let recorder = Recorder::new();
        let classifier = SharedClassifier::new(GrpcErrorsAsFailures::new());
        let layer = recorder.client_layer().with_span_end(end).with_classifier(classifier);
        let mut service = layer.layer(service_fn(move |_: Request<()>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", grpc_status.parse().unwrap());
            let body = Script::new([Step::Data("a"), Step::Trailers(trailers)]);
            ready(Ok::<_, Infallible>(Response::new(body)))
        }));
        let response = service.call(get(URL)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let expected = match error {
            Some(error) => Described::asked(200).failed(error),
            None => Described::asked(200),
        };
        assert_eq!(Described::from(recorder.span()), expected, "{grpc_status}");
    }
}

/// A client's error.
#[derive(Debug)]
struct Busy {
    for_seconds: u64,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "busy for {} s", self.for_seconds)
    }
}

impl Error for Busy {}

/// The span of a request that has failed with this.
fn failed_with<E: 'static>(
    set_up: impl FnOnce(ClientTraceLayer) -> ClientTraceLayer,
    error: impl Fn() -> E,
) -> Described {
    let recorder = Recorder::new();
    let mut service = set_up(recorder.client_layer())
        .layer(service_fn(|_: Request<()>| ready(Err::<Response<String>, E>(error()))));
    assert!(tokio_test::block_on(service.call(get(URL))).is_err());
    recorder.span().into()
}

#[test]
fn an_error_is_called_by_what_a_function_for_its_type_says_or_by_its_type() {
    fn busy(name: &'static str) -> impl Fn(&Busy) -> Option<Cow<'static, str>> {
        move |_| Some(name.into())
    }
    let by_type = std::any::type_name::<Busy>();
    let foreign: SetUp = |layer| layer.with_error_type(busy("busy"));
    let first: SetUp = |layer| layer.with_error_type(busy("first")).with_error_type(busy("second"));
    let second: SetUp =
        |layer| layer.with_error_type(|_: &Busy| None).with_error_type(busy("second"));
    let of_another: SetUp = |layer| layer.with_error_type(|_: &fmt::Error| Some("fmt".into()));
    let looks: SetUp = |layer| {
        layer.with_error_type(|busy: &Busy| {
            (busy.for_seconds > 60).then(|| format!("busy_{}", busy.for_seconds).into())
        })
    };
    let none: SetUp = |layer| layer.with_error_type(|_: &Busy| None);
    let empty: SetUp = |layer| layer.with_error_type(busy(""));
    let panics: SetUp =
        |layer| layer.with_error_type(|_: &Busy| panic!("the function panics, as it was told to"));
    for (set_up, for_seconds, error_type) in [
        ((|layer| layer) as SetUp, 1, by_type),
        (foreign, 1, "busy"),
        (first, 1, "first"),
        (second, 1, "second"),
        (of_another, 1, by_type),
        (looks, 1, by_type),
        (looks, 61, "busy_61"),
        (none, 1, by_type),
        (empty, 1, by_type),
        (panics, 1, by_type),
    ] {
        let span = failed_with(set_up, || Busy { for_seconds });
        assert_eq!(span, unanswered().failed(error_type));
    }
}

#[test]
fn what_is_no_error_is_called_by_its_type_and_an_io_error_can_be_told_apart() {
    #[derive(Debug)]
    struct NoError;

    let span = failed_with(|layer| layer, || NoError);
    assert_eq!(span, unanswered().failed(std::any::type_name::<NoError>()));

    let names: SetUp = |layer| {
        layer.with_error_type(|error: &std::io::Error| {
            (error.to_string() == "no route for this tenant").then(|| "no_route".into())
        })
    };
    let span = failed_with(names, || std::io::Error::other("no route for this tenant"));
    assert_eq!(span, unanswered().failed("no_route"));
}

/// What has caused the error, in another one.
#[derive(Debug)]
struct Failed<E>(E);

impl<E> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl<E: Error + 'static> Error for Failed<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn an_error_in_a_box_and_what_caused_it_are_asked_for_too() {
    use std::io::{self, ErrorKind};

    const BUSY: Busy = Busy { for_seconds: 1 };
    type Outer = Failed<Failed<Busy>>;

    fn reset() -> io::Error {
        ErrorKind::ConnectionReset.into()
    }
    let busy: SetUp = |layer| layer.with_error_type(|_: &Busy| Some("busy".into()));
    let both: SetUp = |layer| {
        let layer = layer.with_error_type(|_: &Busy| Some("busy".into()));
        layer.with_error_type(|_: &Outer| Some("outer".into()))
    };
    let outer_knows_nothing: SetUp = |layer| {
        let layer = layer.with_error_type(|_: &Outer| None);
        layer.with_error_type(|_: &Busy| Some("busy".into()))
    };
    let none: SetUp = |layer| layer.with_error_type(|_: &io::Error| None);
    let empty: SetUp = |layer| layer.with_error_type(|_: &io::Error| Some("".into()));
    let gone: SetUp = |layer| {
        layer.with_error_type(|error: &io::Error| {
            (error.kind() == ErrorKind::ConnectionReset).then(|| "gone".into())
        })
    };
    let panics: SetUp = |layer| {
        layer.with_error_type(|_: &io::Error| panic!("the function panics, as it was told to"))
    };
    type Make = fn() -> tower::BoxError;
    for (set_up, error, error_type) in [
        ((|layer| layer) as SetUp, (|| BUSY.into()) as Make, "_OTHER"),
        (busy, || BUSY.into(), "busy"),
        (busy, || Failed(BUSY).into(), "busy"),
        (busy, || Failed(Failed(BUSY)).into(), "busy"),
        (busy, || io::Error::other(BUSY).into(), "busy"),
        (busy, || Failed(io::Error::other(Failed(BUSY))).into(), "busy"),
        (both, || Failed(Failed(BUSY)).into(), "outer"),
        (both, || Failed(BUSY).into(), "busy"),
        (outer_knows_nothing, || Failed(Failed(BUSY)).into(), "busy"),
        (busy, || reset().into(), "connection_reset"),
        (none, || reset().into(), "connection_reset"),
        (none, || Failed(reset()).into(), "connection_reset"),
        (empty, || reset().into(), "connection_reset"),
        (gone, || Failed(reset()).into(), "gone"),
        (panics, || reset().into(), "_OTHER"),
    ] {
        assert_eq!(failed_with(set_up, error), unanswered().failed(error_type), "{:?}", error());
    }

    // Not in a box, but of a type that has a function.
    let outer = || Failed(Failed(BUSY));
    assert_eq!(failed_with(outer_knows_nothing, outer), unanswered().failed("busy"));
    let by_type = std::any::type_name::<Outer>();
    assert_eq!(failed_with(busy, outer), unanswered().failed(by_type));
    let of_failed: SetUp = |layer| layer.with_error_type(|_: &Failed<io::Error>| None);
    assert_eq!(failed_with(of_failed, || Failed(reset())), unanswered().failed("connection_reset"));
    assert_eq!(failed_with(|layer| layer, reset), unanswered().failed("connection_reset"));
}

#[tokio::test]
async fn an_error_of_the_body_is_called_like_one_of_the_client() {
    let names: SetUp = |layer| {
        layer.with_error_type(|error: &std::io::Error| {
            (error.to_string() == "the disk is gone").then(|| "disk".into())
        })
    };
    let recorder = Recorder::new();
    let layer = names(recorder.client_layer()).with_span_end(SpanEnd::Body);
    let mut service = layer.layer(service_fn(|_: Request<()>| {
        let body = Script::new([Step::Data("a"), Step::Error]);
        ready(Ok::<_, Infallible>(Response::new(body)))
    }));
    let response = service.call(get(URL)).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    assert_eq!(Described::from(recorder.span()), Described::asked(200).failed("disk"));
}

#[test]
fn a_foreign_sampler_sees_the_attributes() {
    for (request, name, keys) in [
        (
            get(URL),
            "GET",
            &["http.request.method", "url.full", "server.address", "server.port"][..],
        ),
        (get("/"), "GET", &["http.request.method", "url.full"]),
        (
            {
                let mut request = with_template("https://inventory/", "/{id}");
                *request.method_mut() = Method::from_bytes(b"PURGE").unwrap();
                request.headers_mut().insert("user-agent", HeaderValue::from_static("shop/2.1"));
                request
            },
            "HTTP /{id}",
            &[
                "http.request.method",
                "http.request.method_original",
                "url.full",
                "server.address",
                "server.port",
                "url.template",
                "url.scheme",
                "user_agent.original",
                "http.request.header.user-agent",
            ],
        ),
    ] {
        let looked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&looked);
        let looks = Decides::new(SamplingDecision::Drop, move |shown, kind, attributes| {
            assert_eq!((shown, kind), (name, &SpanKind::Client));
            let shown: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
            assert_eq!(shown, keys);
            count.fetch_add(1, Ordering::Relaxed);
        });
        let provider = SdkTracerProvider::builder().with_sampler(looks).build();
        let mut layer = ClientTraceLayer::new().with_tracer_provider(&provider);
        if name != "GET" {
            layer = layer
                .with_url_scheme()
                .with_user_agent()
                .with_request_headers(headers(&["user-agent"]));
        }
        exchange(&layer, request, response(""));
        assert_eq!(looked.load(Ordering::Relaxed), 1, "a sampler's panic would be contained");
    }
}

/// How often each of a layer's functions was called.
fn counting(layer: ClientTraceLayer) -> (ClientTraceLayer, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = || {
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (template, name, request, answered, failure, end, error) =
        (count(), count(), count(), count(), count(), count(), count());
    let layer = layer
        .with_url_template(move |_| {
            template();
            None
        })
        .with_span_name(move |_| {
            name();
            None
        })
        .with_failure_by(move |_| {
            failure();
            true
        })
        .on_request(move |_, _| request())
        .on_response(move |_, _| answered())
        .on_error(move |_, _| error())
        .on_end(move |_, _| end());
    (layer, asked)
}

#[test]
fn of_a_request_that_is_sampled_out_nothing_is_built() {
    let telemetry = |sampler| {
        Telemetry::builder()
            .with_environment([("OTEL_TRACES_EXPORTER", "none")])
            .with_sampler(sampler)
            .build()
            .unwrap()
    };
    for (sampler, all) in [(SamplerBuilder::new().with_always_off(), 0), (SamplerBuilder::new(), 7)]
    {
        let telemetry = telemetry(sampler);
        let (layer, asked) = counting(ClientTraceLayer::new().with_telemetry(&telemetry));
        exchange(&layer, get(URL), status(500));
        assert_eq!(asked.load(Ordering::Relaxed), all);
    }
    // Nor where no provider makes spans.
    let (layer, asked) = counting(ClientTraceLayer::new());
    exchange(&layer, get(URL), status(500));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // Nor where it is left out.
    let recorder = Recorder::new();
    let (layer, asked) = counting(recorder.client_layer());
    let request = Request::get(URL).extension(Verdict::none()).body(()).unwrap();
    exchange(&layer, request, status(500));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(recorder.spans().is_empty());
}

#[test]
fn a_span_says_the_same_whether_it_was_likely_recorded_or_not() {
    let set_up: SetUp = |layer| {
        layer
            .with_span_name(|head| head.route().map(|route| format!("to {route}").into()))
            .with_url_scheme()
            .with_request_headers(headers(&["x-a"]))
            .on_request(|_, attributes| attributes.set("mine", 1))
    };
    let request = || {
        let mut request = with_template(URL, "/items/{id}");
        request.headers_mut().insert("x-a", HeaderValue::from_static("a"));
        request
    };
    let expected = || {
        Described::asked(404)
            .named("to /items/{id}")
            .with("url.template", "/items/{id}")
            .with("url.scheme", "http")
            .with("http.request.header.x-a", strings(&["a"]))
            .with("mine", 1)
    };
    assert_eq!(client_span_of(set_up, request(), status(404)), expected());
    // One that is likely not recorded is described once it is known that it is.
    for ratio in [0.1, 0.9] {
        let exporter = InMemorySpanExporter::default();
        let telemetry = Telemetry::builder()
            .with_environment([("OTEL_TRACES_EXPORTER", "none")])
            .with_span_exporter(exporter.clone())
            .with_sampler(SamplerBuilder::new().with_ratio(ratio))
            .build()
            .unwrap();
        let layer = set_up(ClientTraceLayer::new()).with_telemetry(&telemetry);
        for _ in 0..1_000 {
            exchange(&layer, request(), status(404));
        }
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
        let span = exporter.get_finished_spans().unwrap().remove(0);
        assert_eq!(Described::from(span), expected(), "{ratio}");
    }
}

#[test]
fn debug_shows_what_is_set() {
    let layer = ClientTraceLayer::new()
        .with_span_end(SpanEnd::Body)
        .with_filter(|_| Verdict::all())
        .with_origin("http://inventory:50051")
        .unwrap()
        .with_error_type(|_: &Busy| None);
    let shown = format!("{layer:?}");
    for part in ["ClientTraceLayer", "Body", "1 predicates", "inventory:50051", "of 1 types"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn no_secret_of_an_origin_is_in_debug() {
    let layer = ClientTraceLayer::new().with_origin("http://user:s3cret@inventory").unwrap();
    let shown = format!("{layer:?}");
    assert!(shown.contains("inventory") && !shown.contains("s3cret"), "{shown}");
}
