//! What is recorded only if somebody asks for it, and what never is.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use opentelemetry::Value;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::classify::{GrpcErrorsAsFailures, SharedClassifier, StatusInRangeAsFailures};
use tower_telemetry::{
    HeaderSelector, Redaction, Telemetry, TraceLayer, Warning,
    propagation::ResponsePropagation,
    server::{
        Connection, ErrorTypeLayer, Forwarded, LegacyNames, RequestBody, RequestBodySizeLayer,
        ServerSpan, SpanEnd,
    },
};

use crate::support::{
    body::{Script, Step},
    exchange::{exchange, headers, response, span_of},
    recorder::{Described, Recorder, attribute, strings},
};

#[test]
fn headers_that_are_asked_for_are_recorded_as_lists_and_no_secret_with_them() {
    let mut request = Request::builder()
        .header("X-Test-One", "1")
        .header("x-test-one", "2")
        .header("x-test-two", "two")
        .header("authorization", "Bearer s3cret")
        .header("x-other", "other")
        .body(())
        .unwrap();
    let mut key = HeaderValue::from_static("s3cret");
    key.set_sensitive(true);
    request.headers_mut().insert("x-test-key", key);
    let mut answer = response("");
    answer.headers_mut().insert("x-test-answer", HeaderValue::from_static("yes"));
    answer.headers_mut().insert("set-cookie", HeaderValue::from_static("session=s3cret"));
    let span = span_of(
        |layer| {
            layer
                .with_request_headers(headers(&["X-Test-*", "authorization", "absent"]))
                .with_response_headers(headers(&["x-test-answer", "set-cookie"]))
        },
        request,
        answer,
    );
    for (key, values) in [
        ("http.request.header.x-test-one", &["1", "2"][..]),
        ("http.request.header.x-test-two", &["two"]),
        ("http.request.header.x-test-key", &["REDACTED"]),
        ("http.request.header.authorization", &["REDACTED"]),
        ("http.response.header.x-test-answer", &["yes"]),
        ("http.response.header.set-cookie", &["REDACTED"]),
    ] {
        assert_eq!(span.attributes[key], strings(values), "{key}");
    }
    assert!(!span.attributes.contains_key("http.request.header.x-other"));
    assert!(!span.attributes.contains_key("http.request.header.absent"));
}

#[test]
fn what_is_marked_as_sensitive_is_in_no_other_attribute_either() {
    let names = [
        "user-agent",
        "host",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
    ];
    let request = |sensitive: bool| {
        let lines =
            ["s3cret/1", "s3cret.example", "for=192.0.2.1;host=s3cret.example", "192.0.2.1"];
        let lines = lines.into_iter().chain(["https", "s3cret.example"]);
        let mut request = Request::new(());
        for (name, line) in names.into_iter().zip(lines) {
            let mut value = HeaderValue::from_static(line);
            value.set_sensitive(sensitive);
            request.headers_mut().insert(name, value);
        }
        request
    };
    let span = |sensitive, set_up: fn(TraceLayer) -> TraceLayer| {
        let set_up = |layer: TraceLayer| {
            let layer = layer.with_forwarded(Forwarded::from_proxies(1));
            set_up(layer.with_legacy_names(LegacyNames::Beside))
        };
        span_of(set_up, request(sensitive), response(""))
    };
    let clear = span(false, |layer| layer);
    assert_eq!(clear.attributes["user_agent.original"], "s3cret/1".into());
    assert_eq!(clear.attributes["server.address"], "s3cret.example".into());
    assert_eq!(clear.attributes["client.address"], "192.0.2.1".into());

    for set_up in [|layer| layer, |layer: TraceLayer| layer.with_redaction(Redaction::off())]
        as [fn(TraceLayer) -> TraceLayer; 2]
    {
        let span = span(true, set_up);
        assert_eq!(span.attributes["user_agent.original"], "REDACTED".into());
        assert_eq!(span.attributes["url.scheme"], "http".into());
        let texts: Vec<_> = span.attributes.values().map(ToString::to_string).collect();
        let told = texts.iter().find(|text| text.contains("s3cret") || text.contains("192.0.2.1"));
        assert_eq!(told, None);
    }
}

#[test]
fn the_environment_says_which_headers_and_methods_where_the_code_does_not() {
    let telemetry = |variables: &[(&'static str, &'static str)]| {
        let all = [("OTEL_TRACES_EXPORTER", "none")].into_iter().chain(variables.iter().copied());
        Telemetry::builder().with_environment(all)
    };
    let span = |variables: &[(&'static str, &'static str)],
                set_up: fn(TraceLayer) -> TraceLayer| {
        let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
        let telemetry = telemetry(variables).with_span_exporter(exporter.clone()).build().unwrap();
        let request = Request::builder()
            .method("PURGE")
            .header("x-a", "a")
            .header("x-b", "b")
            .body(())
            .unwrap();
        let mut answer = response("");
        answer.headers_mut().insert("x-c", HeaderValue::from_static("c"));
        exchange(&set_up(TraceLayer::new().with_telemetry(&telemetry)), request, answer);
        telemetry.force_flush(Duration::from_secs(30)).unwrap();
        Described::from(exporter.get_finished_spans().unwrap().remove(0))
    };
    let variables = [
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE"),
        ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", "X-A, x-d"),
        ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS", "x-c"),
    ];
    let by_environment = span(&variables, |layer| layer);
    assert_eq!(by_environment.name, "PURGE");
    assert_eq!(by_environment.attributes["http.request.method"], "PURGE".into());
    assert_eq!(by_environment.attributes["http.request.header.x-a"], strings(&["a"]));
    assert_eq!(by_environment.attributes["http.response.header.x-c"], strings(&["c"]));

    let by_code = span(&variables, |layer| {
        layer
            .with_known_methods([Method::GET])
            .with_request_headers(headers(&["x-b"]))
            .with_response_headers(HeaderSelector::default())
    });
    assert_eq!(by_code.name, "HTTP");
    assert_eq!(by_code.attributes["http.request.method"], "_OTHER".into());
    assert_eq!(by_code.attributes["http.request.method_original"], "PURGE".into());
    assert_eq!(by_code.attributes["http.request.header.x-b"], strings(&["b"]));
    assert!(!by_code.attributes.contains_key("http.request.header.x-a"));
    assert!(!by_code.attributes.contains_key("http.response.header.x-c"));

    let bad = telemetry(&[
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,not a method"),
        ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", "x-a,no header"),
    ]);
    let warnings = bad.build().unwrap().warnings().to_vec();
    let warned: Vec<_> = warnings.iter().map(Warning::value).collect();
    assert_eq!(warned, ["not a method", "no header"]);
}

#[test]
fn a_replaced_list_of_methods_is_the_whole_list() {
    let known =
        |layer: TraceLayer| layer.with_known_methods([Method::from_bytes(b"PURGE").unwrap()]);
    for (method, recorded, name) in [("PURGE", "PURGE", "PURGE"), ("GET", "_OTHER", "HTTP")] {
        let request = Request::builder().method(method).body(()).unwrap();
        let span = span_of(known, request, response(""));
        assert_eq!(
            (span.name.as_str(), &span.attributes["http.request.method"]),
            (name, &recorded.into())
        );
    }
}

#[test]
fn the_connection_is_on_the_span_as_far_as_it_is_known_and_asked_for() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let request = |connection: Connection| {
        let mut request = Request::builder()
            .header("user-agent", "kube-probe/1.31")
            .version(Version::HTTP_3)
            .body(())
            .unwrap();
        request.extensions_mut().insert(connection);
        request
    };
    let connection = Connection::new()
        .with_peer(address("[::ffff:192.0.2.1]:5000"))
        .with_local(address("[2001:db8::1]:443"))
        .with_tls();
    let mut expected = vec![
        ("http.request.method", Value::from("GET")),
        ("url.path", "/".into()),
        ("url.scheme", "https".into()),
        ("client.address", "192.0.2.1".into()),
        ("user_agent.original", "kube-probe/1.31".into()),
        ("network.protocol.version", "3".into()),
        ("network.peer.address", "192.0.2.1".into()),
        ("network.peer.port", 5000.into()),
        ("http.response.status_code", 200.into()),
    ];
    let described = |attributes: &[(&str, Value)]| Described {
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        ..Described::server("GET", [])
    };
    let default = span_of(|layer| layer, request(connection), response(""));
    assert_eq!(default, described(&expected));

    let all = |layer: TraceLayer| {
        layer
            .with_client_port()
            .with_network_local()
            .with_network_transport()
            .with_user_agent_synthetic_type()
            .with_response_body_size()
    };
    expected.extend([
        ("client.port", 5000.into()),
        ("network.local.address", "2001:db8::1".into()),
        ("network.local.port", 443.into()),
        ("network.transport", "quic".into()),
        ("user_agent.synthetic.type", "test".into()),
        ("http.response.body.size", 5.into()),
    ]);
    assert_eq!(span_of(all, request(connection), response("hello")), described(&expected));
    // What is not known is not recorded, whoever asks.
    let unknown = span_of(all, request(Connection::new()), response(""));
    for key in ["client.port", "network.local.address", "network.transport", "client.address"] {
        assert!(!unknown.attributes.contains_key(key), "{key}");
    }
}

#[test]
fn an_encrypted_connection_is_https_whatever_the_target_says() {
    for (tls, scheme) in [(true, "https"), (false, "http")] {
        let mut request = Request::builder().uri("http://shop.example/").body(()).unwrap();
        let connection = Connection::new();
        let connection = if tls { connection.with_tls() } else { connection };
        request.extensions_mut().insert(connection);
        let span = span_of(|layer| layer, request, response(""));
        assert_eq!(span.attributes["url.scheme"], scheme.into());
    }
}

#[tokio::test]
async fn the_sizes_of_the_bodies_are_the_bytes_that_were_read() {
    for (read_all, request_size) in [(true, 11), (false, 5)] {
        let recorder = Recorder::new();
        let mut service = ServiceBuilder::new()
            .layer(recorder.layer().with_response_body_size())
            .layer(RequestBodySizeLayer::new())
            .layer(RequestBodySizeLayer::new())
            .service(service_fn(
                move |request: Request<RequestBody<RequestBody<Script>>>| async move {
                    let mut body = std::pin::pin!(request.into_body());
                    while let Some(Ok(_)) = body.frame().await {
                        if !read_all {
                            break;
                        }
                    }
                    Ok::<_, Infallible>(Response::new(Script::new([
                        Step::Data("abc"),
                        Step::Pending,
                        Step::Data("defg"),
                    ])))
                },
            ));
        let body = Script::new(["hello", " ", "world"].map(Step::Data));
        let response = service.call(Request::new(body)).await.unwrap();
        response.into_body().collect().await.unwrap();
        let span = Described::from(recorder.span());
        assert_eq!(span.attributes["http.request.body.size"], request_size.into());
        assert_eq!(span.attributes["http.response.body.size"], 7.into());
    }
}

#[test]
fn a_span_ends_with_the_head_where_that_is_the_policy_of_layer_predicate_or_response() {
    use tokio_test::{assert_ready_ok, task};

    let head = |layer: TraceLayer| layer.with_span_end(SpanEnd::Head);
    let by = |layer: TraceLayer| {
        layer.with_span_end_by(|response| match response.status_code() {
            StatusCode::ACCEPTED => SpanEnd::Head,
            _ => SpanEnd::Body,
        })
    };
    let panics = |layer: TraceLayer| layer.with_span_end_by(|_| panic!("as it was told to"));
    let last =
        |layer: TraceLayer| layer.with_span_end_by(|_| SpanEnd::Head).with_span_end(SpanEnd::Body);
    type SetUp = fn(TraceLayer) -> TraceLayer;
    for (set_up, status_code, said, ends) in [
        ((|layer| layer) as SetUp, 200, None, false),
        (head, 200, None, true),
        (by, 200, None, false),
        (by, 202, None, true),
        (by, 202, Some(SpanEnd::Body), false),
        (|layer| layer, 200, Some(SpanEnd::Head), true),
        (head, 200, Some(SpanEnd::Body), false),
        (panics, 200, None, false),
        (last, 200, None, false),
    ] {
        let recorder = Recorder::new();
        let mut service = set_up(recorder.layer()).layer(service_fn(move |_: Request<()>| {
            let mut response = Response::new(Script::new([Step::Data("abc"), Step::Error]));
            *response.status_mut() = StatusCode::from_u16(status_code).unwrap();
            if let Some(said) = said {
                response.extensions_mut().insert(said);
            }
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
        assert_eq!(recorder.spans().len(), usize::from(ends));
        drop(response);
        let span = recorder.span();
        let ended_by_head = !span
            .attributes
            .iter()
            .any(|attribute| attribute.key.as_str() == "tower_telemetry.time_to_head");
        assert_eq!(
            ended_by_head, ends,
            "the time to the head is on record where it is not the end"
        );
        assert_eq!(Described::from(span).attributes.contains_key("error.type"), !ends);
    }
}

#[test]
fn a_span_that_ends_with_its_head_has_no_time_to_it_but_the_size_of_an_empty_body() {
    let recorder = Recorder::new();
    exchange(&recorder.layer().with_response_body_size(), Request::new(()), response(""));
    let span = recorder.span();
    assert_eq!(attribute(&span, "tower_telemetry.time_to_head"), None);
    assert_eq!(attribute(&span, "http.response.body.size").as_deref(), Some("0"));
}

#[test]
fn the_time_to_the_head_is_no_longer_than_the_span() {
    let recorder = Recorder::new();
    exchange(&recorder.layer(), Request::new(()), response("hello"));
    let span = recorder.span();
    let duration = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64();
    let key = "tower_telemetry.time_to_head";
    let value = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    let Some(Value::F64(time)) = value.map(|attribute| &attribute.value) else {
        panic!("{value:?}");
    };
    assert!(*time > 0.0 && *time <= duration, "{time} of {duration}");
}

#[test]
fn a_classifier_says_what_counts_as_a_failure() {
    let client_errors = |layer: TraceLayer| {
        layer.with_classifier(StatusInRangeAsFailures::new(400..=499).into_make_classifier())
    };
    for (status_code, error) in [(200, None), (404, Some("404")), (500, None)] {
        let mut answer = response("");
        *answer.status_mut() = StatusCode::from_u16(status_code).unwrap();
        let span = span_of(client_errors, Request::new(()), answer);
        let error_type = span.attributes.get("error.type").map(ToString::to_string);
        assert_eq!(error_type.as_deref(), error, "{status_code}");
    }
}

#[test]
fn a_classifier_is_asked_of_a_response_whose_body_is_not_waited_for() {
    let client_errors = |layer: TraceLayer| {
        layer
            .with_span_end(SpanEnd::Head)
            .with_classifier(StatusInRangeAsFailures::new(400..=499).into_make_classifier())
    };
    let mut answer = response("no");
    *answer.status_mut() = StatusCode::NOT_FOUND;
    let span = span_of(client_errors, Request::new(()), answer);
    assert_eq!(span.attributes["error.type"], "404".into());
}

#[tokio::test]
async fn a_classifier_may_wait_for_the_trailers() {
    for (grpc_status, error) in [("0", None), ("13", Some("_OTHER"))] {
        let recorder = Recorder::new();
        let classifier = SharedClassifier::new(GrpcErrorsAsFailures::new());
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", grpc_status.parse().unwrap());
        let mut body = Some(Script::new([Step::Data("a"), Step::Trailers(trailers)]));
        let mut service =
            recorder.layer().with_classifier(classifier).layer(service_fn(move |_: Request<()>| {
                std::future::ready(Ok::<_, Infallible>(Response::new(body.take().unwrap())))
            }));
        let response = service.call(Request::new(())).await.unwrap();
        response.into_body().collect().await.unwrap();
        let span = Described::from(recorder.span());
        let error_type = span.attributes.get("error.type").map(ToString::to_string);
        assert_eq!(error_type.as_deref(), error, "{grpc_status}");
    }
}

#[tokio::test]
async fn a_service_can_say_what_its_errors_are() {
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(recorder.layer())
        .layer(ErrorTypeLayer::new())
        .service(service_fn(|_: Request<()>| async {
            Err::<Response<String>, tower::BoxError>(
                std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
            )
        }));
    service.call(Request::new(())).await.unwrap_err();
    assert_eq!(
        Described::from(recorder.span()).attributes["error.type"],
        "connection_reset".into()
    );
}

#[test]
fn a_span_begins_when_the_request_began_where_somebody_knows() {
    use std::time::{Duration, Instant};
    use tower_telemetry::server::RequestStart;

    let recorder = Recorder::new();
    let ago = Duration::from_secs(60);
    let mut request = Request::new(());
    request.extensions_mut().insert(RequestStart::at(Instant::now() - ago));
    exchange(&recorder.layer(), request, response(""));
    let span = recorder.span();
    assert!(span.end_time.duration_since(span.start_time).unwrap() >= ago);
    assert!(span.end_time <= std::time::SystemTime::now());
}

#[tokio::test]
async fn an_error_that_was_made_good_inside_is_not_what_the_response_failed_with() {
    // Asks again after an error, with another request like the first.
    let recorder = Recorder::new();
    let mut attempts = 0;
    let flaky = ErrorTypeLayer::new().layer(service_fn(move |_: Request<()>| {
        attempts += 1;
        std::future::ready(if attempts == 1 {
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
        } else {
            Ok(Response::builder().status(500).body(String::new()).unwrap())
        })
    }));
    let flaky = std::sync::Arc::new(tokio::sync::Mutex::new(flaky));
    let mut service = recorder.layer().layer(service_fn(move |request: Request<()>| {
        let flaky = std::sync::Arc::clone(&flaky);
        async move {
            let mut flaky = flaky.lock().await;
            match flaky.call(request.clone()).await {
                Ok(response) => Ok(response),
                Err(_) => flaky.call(request).await,
            }
        }
    }));
    service.call(Request::new(())).await.unwrap();
    assert_eq!(Described::from(recorder.span()).attributes["error.type"], "500".into());
}

#[test]
fn a_header_that_holds_a_url_is_redacted_as_one() {
    let request = Request::builder()
        .header("referer", "https://user:secret@shop.example/?sig=s3cret&page=2")
        .body(())
        .unwrap();
    let mut answer = response("");
    let location = HeaderValue::from_static("/items?sig=s3cret#top");
    answer.headers_mut().insert("location", location);
    let span = span_of(
        |layer| {
            layer
                .with_request_headers(headers(&["referer"]))
                .with_response_headers(headers(&["location"]))
        },
        request,
        answer,
    );
    assert_eq!(
        span.attributes["http.request.header.referer"],
        strings(&["https://REDACTED:REDACTED@shop.example/?sig=REDACTED&page=2"])
    );
    assert_eq!(
        span.attributes["http.response.header.location"],
        strings(&["/items?sig=REDACTED#top"])
    );
}

#[test]
fn what_a_hook_is_shown_shows_no_secret_of_its_own() {
    let shown = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let (request, answer) = (std::sync::Arc::clone(&shown), std::sync::Arc::clone(&shown));
    let mut secret = response("");
    secret.headers_mut().insert("set-cookie", HeaderValue::from_static("s3cret"));
    span_of(
        |layer| {
            layer
                .on_request(move |head, _| request.lock().unwrap().push_str(&format!("{head:?}")))
                .on_response(move |head, _| answer.lock().unwrap().push_str(&format!("{head:?}")))
        },
        Request::builder()
            .uri("/items?key=s3cret")
            .header("authorization", "s3cret")
            .body(())
            .unwrap(),
        secret,
    );
    let shown = shown.lock().unwrap();
    assert!(shown.contains("/items") && shown.contains("200"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_handler_can_say_why_it_failed_and_only_then() {
    for (status_code, error) in [(200, None), (404, None), (503, Some("database_gone"))] {
        let recorder = Recorder::new();
        let mut service = recorder.layer().layer(service_fn(move |request: Request<()>| {
            ServerSpan::of(request.extensions()).set_error_type("database_gone");
            let response = Response::builder().status(status_code).body(String::new()).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        service.call(Request::new(())).await.unwrap();
        let span = Described::from(recorder.span());
        let error_type = span.attributes.get("error.type").map(ToString::to_string);
        assert_eq!(error_type.as_deref(), error, "{status_code}");
    }
}

#[test]
fn a_response_names_its_span_if_it_is_asked_to_sampled_or_not() {
    let both = ResponsePropagation::none().with_traceresponse().with_server_timing();
    let recorder = Recorder::new();
    let answer = exchange(&recorder.layer(), Request::new(()), response(""));
    assert!(answer.headers().is_empty(), "it is off by default");

    let layer = recorder.layer().with_response_propagation(both);
    let mut before = response("");
    before.headers_mut().insert("traceresponse", HeaderValue::from_static("somebody's"));
    let answer = exchange(&layer, Request::new(()), before);
    let span = recorder.spans().remove(1).span_context;
    let id = format!("00-{}-{}-01", span.trace_id(), span.span_id());
    assert_eq!(answer.headers()["traceresponse"], id);
    assert_eq!(answer.headers()["server-timing"], format!("trace;desc=\"{id}\""));
    assert_eq!(answer.headers().get_all("traceresponse").iter().count(), 1);

    // Nothing comes after this head that could do it.
    let mut upgrade = response("");
    *upgrade.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = exchange(&layer, Request::new(()), upgrade);
    let span = recorder.spans().remove(2).span_context;
    let id = format!("00-{}-{}-01", span.trace_id(), span.span_id());
    assert_eq!(answer.headers()["traceresponse"], id);

    let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let telemetry = Telemetry::builder().with_environment([("OTEL_TRACES_EXPORTER", "none")]);
    let telemetry = telemetry.build().unwrap();
    let layer = TraceLayer::new().with_telemetry(&telemetry).with_response_propagation(both);
    let request = Request::builder().header("traceparent", not_sampled).body(()).unwrap();
    let answer = exchange(&layer, request, response(""));
    let traceresponse = answer.headers()["traceresponse"].to_str().unwrap();
    assert!(traceresponse.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traceresponse}");
    assert!(traceresponse.ends_with("-00") && !traceresponse.contains("b7ad6b7169203331"));
}

#[test]
fn the_old_names_are_there_for_those_who_ask() {
    let request = || {
        Request::builder()
            .uri("/items?sig=s3cret")
            .header("host", "shop.example:8080")
            .header("user-agent", "curl/8.0")
            .body(())
            .unwrap()
    };
    let old = [
        ("http.method", Value::from("GET")),
        ("http.target", "/items?sig=REDACTED".into()),
        ("http.url", "http://shop.example:8080/items?sig=REDACTED".into()),
        ("http.scheme", "http".into()),
        ("http.host", "shop.example:8080".into()),
        ("net.host.name", "shop.example".into()),
        ("net.host.port", 8080.into()),
        ("http.flavor", "1.1".into()),
        ("http.user_agent", "curl/8.0".into()),
        ("http.status_code", 200.into()),
        ("http.response_content_length", 5.into()),
    ];
    let legacy = |names| move |layer: TraceLayer| layer.with_legacy_names(names);
    let instead = span_of(legacy(LegacyNames::Instead), request(), response("hello"));
    assert_eq!(instead, Described::server("GET", old.clone()));

    let beside = span_of(legacy(LegacyNames::Beside), request(), response("hello"));
    let sizes = |layer: TraceLayer| layer.with_response_body_size();
    let mut both = span_of(sizes, request(), response("hello"));
    both.attributes.extend(old.map(|(key, value)| (key.to_owned(), value)));
    assert_eq!(beside, both);
}

#[test]
fn redaction_is_one_policy_for_path_query_and_headers() {
    let request = || {
        Request::builder()
            .uri("/reset/t0ken?page=2&key=s3cret")
            .header("x-key", "s3cret")
            .body(())
            .unwrap()
    };
    let policy = Redaction::new()
        .with_path_patterns(["/reset/{token}"])
        .unwrap()
        .with_only_query_keys(["page"])
        .with_headers(["x-key"])
        .unwrap();
    let layer = |policy| {
        move |layer: TraceLayer| {
            layer.with_redaction(policy).with_request_headers(headers(&["x-key"]))
        }
    };
    let span = span_of(layer(policy), request(), response(""));
    assert_eq!(span.attributes["url.path"], "/reset/REDACTED".into());
    assert_eq!(span.attributes["url.query"], "page=2&key=REDACTED".into());
    assert_eq!(span.attributes["http.request.header.x-key"], strings(&["REDACTED"]));

    let span = span_of(layer(Redaction::off()), request(), response(""));
    assert_eq!(span.attributes["url.path"], "/reset/t0ken".into());
    assert_eq!(span.attributes["url.query"], "page=2&key=s3cret".into());
    assert_eq!(span.attributes["http.request.header.x-key"], strings(&["s3cret"]));
}

#[test]
fn debug_shows_what_is_set() {
    let layer = TraceLayer::new()
        .with_span_end(SpanEnd::Head)
        .with_filter(|_| tower_telemetry::server::Verdict::all());
    let shown = format!("{layer:?}");
    for part in ["TraceLayer", "Head", "1 predicates", "Nobody"] {
        assert!(shown.to_lowercase().contains(&part.to_lowercase()), "{part}: {shown}");
    }
}

#[test]
fn a_classifier_that_panics_classifies_nothing() {
    use tower_http::classify::{
        ClassifiedResponse, ClassifyResponse, MakeClassifier, NeverClassifyEos,
    };

    #[derive(Clone, Copy)]
    enum Panics {
        InTheMaking,
        AtTheHead,
    }

    impl MakeClassifier for Panics {
        type Classifier = Self;
        type FailureClass = ();
        type ClassifyEos = NeverClassifyEos<()>;

        fn make_classifier<B>(&self, _: &Request<B>) -> Self {
            assert!(!matches!(self, Self::InTheMaking), "as it was told to");
            *self
        }
    }

    impl ClassifyResponse for Panics {
        type FailureClass = ();
        type ClassifyEos = NeverClassifyEos<()>;

        fn classify_response<B>(
            self,
            _: &Response<B>,
        ) -> ClassifiedResponse<(), NeverClassifyEos<()>> {
            panic!("the classifier panics, as it was told to")
        }

        fn classify_error<E: std::fmt::Display + 'static>(self, _: &E) {}
    }

    for panics in [Panics::InTheMaking, Panics::AtTheHead] {
        let mut answer = response("");
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        let span = span_of(|layer| layer.with_classifier(panics), Request::new(()), answer);
        assert_eq!(span.attributes["error.type"], "502".into());
    }
}

#[tokio::test]
async fn a_classifier_is_asked_only_of_a_response_that_was_handed_over_to_its_end() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tower_http::classify::{ClassifiedResponse, ClassifyEos, ClassifyResponse};

    static ASKED: AtomicU32 = AtomicU32::new(0);

    #[derive(Clone, Copy)]
    struct Counts;

    impl ClassifyResponse for Counts {
        type FailureClass = ();
        type ClassifyEos = Self;

        fn classify_response<B>(self, _: &Response<B>) -> ClassifiedResponse<(), Self> {
            ClassifiedResponse::RequiresEos(self)
        }

        fn classify_error<E: std::fmt::Display + 'static>(self, _: &E) {}
    }

    impl ClassifyEos for Counts {
        type FailureClass = ();

        fn classify_eos(self, _: Option<&http::HeaderMap>) -> Result<(), ()> {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn classify_error<E: std::fmt::Display + 'static>(self, _: &E) {}
    }

    for (reads, asked) in [(false, 0), (true, 1)] {
        let recorder = Recorder::new();
        let mut service = recorder.layer().with_classifier(SharedClassifier::new(Counts)).layer(
            service_fn(|_: Request<()>| {
                let body = Script::new([Step::Data("abc")]);
                std::future::ready(Ok::<_, Infallible>(Response::new(body)))
            }),
        );
        let response = service.call(Request::new(())).await.unwrap();
        if reads {
            response.into_body().collect().await.unwrap();
        } else {
            drop(response);
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), asked);
    }
}

#[test]
fn a_response_names_no_span_where_none_was_made() {
    let propagation = ResponsePropagation::none().with_traceresponse().with_server_timing();
    let layer = TraceLayer::new()
        .with_tracer_provider(&opentelemetry::trace::noop::NoopTracerProvider::new())
        .with_propagator(tower_telemetry::propagation::TraceContext::new())
        .with_response_propagation(propagation);
    let callers = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Request::builder().header("traceparent", callers).body(()).unwrap();
    assert!(exchange(&layer, request, response("")).headers().is_empty());
}

#[test]
fn however_many_headers_match_a_glob_the_rest_of_the_span_is_there() {
    let mut request = Request::new(());
    let mut answer = response("");
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    for at in 0..2_000 {
        let name: http::HeaderName = format!("x-{at}").parse().unwrap();
        request.headers_mut().insert(&name, HeaderValue::from_static("v"));
        answer.headers_mut().insert(name, HeaderValue::from_static("v"));
    }
    let all = |layer: TraceLayer| {
        layer
            .with_request_headers(HeaderSelector::all())
            .with_response_headers(HeaderSelector::all())
    };
    let span = span_of(all, request, answer);
    assert_eq!(span.attributes["http.response.status_code"], 500.into());
    assert_eq!(span.attributes["error.type"], "500".into());
    for prefix in ["http.request.header.", "http.response.header."] {
        let captured = span.attributes.keys().filter(|key| key.starts_with(prefix));
        assert_eq!(captured.count(), 32);
    }
}

#[test]
fn what_is_told_goes_nowhere_once_the_span_has_ended() {
    let recorder = Recorder::new();
    let kept = std::sync::Arc::new(std::sync::Mutex::new(ServerSpan::default()));
    let inside = std::sync::Arc::clone(&kept);
    let mut service = recorder.layer().layer(service_fn(move |request: Request<()>| {
        *inside.lock().unwrap() = ServerSpan::of(request.extensions());
        std::future::ready(Ok::<_, Infallible>(Response::new(Script::new([Step::Data("a")]))))
    }));
    let response = tokio_test::block_on(service.call(Request::new(()))).unwrap();
    let kept = kept.lock().unwrap().clone();
    assert!(kept.is_recording());
    drop(response);
    assert!(!kept.is_recording());
    kept.set_name("too late");
    kept.set_route("/too/late");
    assert_eq!(recorder.span().name, "GET");
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_asked_what_it_is_arrives_all_the_same() {
    use tower_telemetry::server::ErrorType;

    #[derive(Debug)]
    struct Panics;

    impl ErrorType for Panics {
        fn error_type(&self) -> std::borrow::Cow<'static, str> {
            panic!("the error panics, as it was told to")
        }
    }

    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(recorder.layer())
        .layer(ErrorTypeLayer::new())
        .service(service_fn(|_: Request<()>| async { Err::<Response<String>, _>(Panics) }));
    let Panics = service.call(Request::new(())).await.unwrap_err();
    let error_type = std::any::type_name::<Panics>();
    assert_eq!(Described::from(recorder.span()).attributes["error.type"], error_type.into());
}

#[tokio::test]
async fn the_size_of_data_is_that_of_all_its_parts() {
    use bytes::{Buf, Bytes};
    use http_body_util::Full;

    let parts = || Full::new(Bytes::from_static(b"abc").chain(Bytes::from_static(b"de")));
    let recorder = Recorder::new();
    let mut service = ServiceBuilder::new()
        .layer(recorder.layer().with_response_body_size())
        .layer(RequestBodySizeLayer::new())
        .service(service_fn(|request: Request<RequestBody<Full<_>>>| async {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(parts()))
        }));
    let response = service.call(Request::new(parts())).await.unwrap();
    response.into_body().collect().await.unwrap();
    let span = Described::from(recorder.span());
    assert_eq!(span.attributes["http.request.body.size"], 5.into());
    assert_eq!(span.attributes["http.response.body.size"], 5.into());
}

#[test]
fn what_was_not_waited_for_has_no_size_and_what_was_not_answered_no_time() {
    let absent = |span: &Described, keys: &[&str]| {
        for key in keys {
            assert!(!span.attributes.contains_key(*key), "{key}");
        }
    };
    let head = |layer: TraceLayer| layer.with_response_body_size().with_span_end(SpanEnd::Head);
    let span = span_of(head, Request::new(()), response("hello"));
    absent(&span, &["http.response.body.size"]);

    let recorder = Recorder::new();
    let mut service = recorder
        .layer()
        .with_response_body_size()
        .layer(service_fn(|_: Request<()>| async { Err::<Response<String>, _>(std::fmt::Error) }));
    tokio_test::block_on(service.call(Request::new(()))).unwrap_err();
    let keys = recorder.span().attributes;
    assert!(keys.iter().all(|attribute| attribute.key.as_str() != "tower_telemetry.time_to_head"));
    let span = Described::from(recorder.span());
    absent(&span, &["http.response.body.size", "http.response.status_code"]);
}

#[test]
fn a_predicate_that_panics_leaves_the_end_to_what_was_set_before() {
    let head_unless = |layer: TraceLayer| {
        layer
            .with_response_body_size()
            .with_span_end(SpanEnd::Head)
            .with_span_end_by(|_| panic!("the predicate panics, as it was told to"))
    };
    let span = span_of(head_unless, Request::new(()), response("hello"));
    assert!(!span.attributes.contains_key("http.response.body.size"));
}

#[test]
fn a_span_that_ends_with_its_head_has_no_time_to_it_as_that_is_all_of_it() {
    for (method, status_code, body, is_there) in [
        (Method::GET, 200, "hello", true),
        (Method::GET, 200, "", false),
        (Method::HEAD, 200, "hello", false),
        (Method::GET, 304, "hello", false),
    ] {
        let recorder = Recorder::new();
        let request = Request::builder().method(&method).body(()).unwrap();
        let mut answer = response(body);
        *answer.status_mut() = StatusCode::from_u16(status_code).unwrap();
        exchange(&recorder.layer(), request, answer);
        let key = "tower_telemetry.time_to_head";
        let time = attribute(&recorder.span(), key);
        assert_eq!(time.is_some(), is_there, "{method} {status_code}");
    }
}
