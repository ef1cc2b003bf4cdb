//! What a server layer measures: every metric as a whole.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    metrics::{
        InstrumentBuilder, InstrumentProvider, Meter, MeterProvider, SyncInstrument, UpDownCounter,
    },
};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData, SumDataPoint},
};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_telemetry::{
    Grpc, GrpcMethods, Metrics, MetricsLayer, RouteLayer, SamplerBuilder, TraceLayer,
    server::{
        Connection, ErrorTypeLayer, Forwarded, RequestBodySizeLayer, ServerSpan, SpanEnd, Verdict,
    },
};

use crate::support::{
    body::{Script, Step},
    exchange::{exchange, response},
    meters::{Instrument, Measurement, Meters},
    recorder::Recorder,
    sdk::sampled_by,
};

const DURATION: &str = "http.server.request.duration";
const ACTIVE: &str = "http.server.active_requests";
const REQUEST_SIZE: &str = "http.server.request.body.size";
const RESPONSE_SIZE: &str = "http.server.response.body.size";
const CALL: &str = "rpc.server.call.duration";
const STREAMS: &str = "tower_telemetry.server.streams";

fn attributes<const N: usize>(attributes: [(&str, Value); N]) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn request() -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri("/items/42?secret=1")
        .header(header::HOST, "shop.example:8080")
        .header(header::CONTENT_LENGTH, "11")
        .header(header::USER_AGENT, "Googlebot/2.1")
        .body(())
        .unwrap()
}

/// What is measured of an exchange under a metrics layer alone.
fn measured_by(
    metrics: Metrics,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Vec<Measurement> {
    let meters = Meters::default();
    let layer = MetricsLayer::new().with_meter_provider(&meters).with_metrics(metrics);
    exchange(&layer, request, response);
    meters.all()
}

/// The attributes of the duration that is measured of such an exchange.
fn duration_of(metrics: Metrics, request: Request<()>) -> BTreeMap<String, Value> {
    let mut measured = measured_by(metrics, request, response(""));
    assert_eq!(measured.len(), 1);
    measured.remove(0).attributes
}

fn plain() -> BTreeMap<String, Value> {
    attributes([
        ("http.request.method", "POST".into()),
        ("url.scheme", "http".into()),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", "1.1".into()),
    ])
}

#[test]
fn each_metric_has_the_name_the_unit_the_buckets_and_the_attributes_of_the_conventions() {
    let boundaries =
        [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let measured = measured_by(Meters::everything(), request(), response("an item"));
    let scope = measured[0].instrument.scope.clone();
    assert_eq!(scope.name(), "tower-telemetry");
    assert_eq!(scope.version(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(scope.schema_url(), Some(tower_telemetry::SCHEMA_URL));
    let made =
        |kind, name: &str, unit: &str, description: &str, boundaries: Option<&[f64]>| Instrument {
            scope: scope.clone(),
            kind,
            name: name.to_owned(),
            unit: unit.to_owned(),
            description: description.to_owned(),
            boundaries: boundaries.map(<[f64]>::to_vec),
        };
    let instruments: Vec<_> =
        measured.iter().map(|one| Instrument::clone(&one.instrument)).collect();
    let active = made(
        "up-down counter",
        ACTIVE,
        "{request}",
        "Number of active HTTP server requests.",
        None,
    );
    assert_eq!(
        instruments,
        [
            active.clone(),
            active,
            made(
                "histogram",
                DURATION,
                "s",
                "Duration of HTTP server requests.",
                Some(&boundaries)
            ),
            made("histogram", REQUEST_SIZE, "By", "Size of HTTP server request bodies.", None),
            made("histogram", RESPONSE_SIZE, "By", "Size of HTTP server response bodies.", None),
        ]
    );

    let at_start =
        attributes([("http.request.method", "POST".into()), ("url.scheme", "http".into())]);
    let [began, ended, duration, request_size, response_size] = &measured[..] else {
        panic!("five measurements")
    };
    assert_eq!((began.value, &began.attributes), (1.0, &at_start));
    assert_eq!((ended.value, &ended.attributes), (-1.0, &at_start));
    assert!(duration.value > 0.0 && duration.value < 60.0, "{}", duration.value);
    assert_eq!(duration.attributes, plain());
    assert_eq!((request_size.value, &request_size.attributes), (11.0, &plain()));
    assert_eq!((response_size.value, &response_size.attributes), (7.0, &plain()));
}

#[test]
fn a_call_has_one_metric_with_the_attributes_of_rpc() {
    let call = || {
        Request::post("/shop.v1.Inventory/Get")
            .version(Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::HOST, "shop.example")
            .body(())
            .unwrap()
    };
    let answer = |status: &'static str| {
        let mut answer = response("");
        answer.headers_mut().insert("grpc-status", status.parse().unwrap());
        answer.headers_mut().insert(header::CONTENT_TYPE, "application/grpc".parse().unwrap());
        answer
    };
    let measured = measured_by(Meters::everything(), call(), answer("0"));
    let [one] = &measured[..] else { panic!("{measured:#?}") };
    assert_eq!(one.instrument.name, CALL);
    assert_eq!(one.instrument.unit, "s");
    assert_eq!(one.instrument.boundaries.as_ref().map(Vec::len), Some(14));
    assert_eq!(
        one.attributes,
        attributes([
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", "shop.v1.Inventory/Get".into()),
            ("rpc.status_code", "OK".into()),
        ])
    );

    // A status that is a failure, and a method that has not succeeded yet.
    let measured = measured_by(Metrics::new(), call(), answer("14"));
    assert_eq!(
        measured[0].attributes,
        attributes([
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", "_OTHER".into()),
            ("rpc.status_code", "UNAVAILABLE".into()),
            ("error.type", "UNAVAILABLE".into()),
        ])
    );
}

#[test]
fn a_method_of_grpc_is_named_if_it_is_listed_or_once_it_has_succeeded() {
    let call = |method: &str| {
        Request::post(format!("/shop.v1.Inventory/{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .body(())
            .unwrap()
    };
    let methods_of = |grpc: Grpc, calls: &[(&str, &str)]| -> Vec<String> {
        let meters = Meters::default();
        let layer = TraceLayer::new().with_grpc(grpc).with_meter_provider(&meters);
        let layer = MetricsLayer::from(layer);
        for (method, status) in calls {
            let mut answer = response("");
            answer.headers_mut().insert("grpc-status", status.parse().unwrap());
            exchange(&layer, call(method), answer);
        }
        meters.of(CALL).iter().map(|one| one.attributes["rpc.method"].to_string()).collect()
    };
    let calls = [
        ("Get", "5"),
        ("Made-up", "12"),
        ("Get", "0"),
        ("Get", "5"),
        ("Made-up", "12"),
        ("Put", "0"),
    ];
    let (get, put, other) = ("shop.v1.Inventory/Get", "shop.v1.Inventory/Put", "_OTHER");
    assert_eq!(methods_of(Grpc::new(), &calls), [other, other, get, get, other, put]);
    // Of a service on the list a caller may still say anything.
    let service = Grpc::new().with_methods(GrpcMethods::new(["shop.v1.Inventory"]).unwrap());
    assert_eq!(methods_of(service, &calls), [other, other, get, get, other, put]);
    let method = Grpc::new().with_methods(GrpcMethods::new([get]).unwrap());
    assert_eq!(methods_of(method, &calls), [get, other, get, get, other, other]);
}

#[test]
fn what_a_stranger_can_make_up_is_on_no_metric() {
    for at in 0..100 {
        let request = Request::builder()
            .method(format!("X{at}").as_str())
            .uri(format!("/{at}?{at}"))
            .header(header::HOST, format!("{at}.example:{at}"))
            .header("x-forwarded-host", format!("{at}.example"))
            .header("x-forwarded-proto", format!("{at}"))
            .header(header::USER_AGENT, format!("{at}"))
            .header(header::CONTENT_LENGTH, format!("-{at}"))
            .body(())
            .unwrap();
        let mut expected = plain();
        expected.insert("http.request.method".to_owned(), "_OTHER".into());
        for measurement in measured_by(Meters::everything(), request, response("")) {
            let mut expected = expected.clone();
            if measurement.instrument.name == ACTIVE {
                expected
                    .retain(|key, _| ["http.request.method", "url.scheme"].contains(&key.as_str()));
            }
            assert_eq!(measurement.attributes, expected);
            assert_ne!(measurement.instrument.name, REQUEST_SIZE);
        }
    }
}

#[test]
fn a_host_is_named_if_it_is_listed_and_every_other_is_the_same() {
    let metrics = || Metrics::new().with_hosts(["shop.example", "admin.example:8443"]).unwrap();
    for (host, address, port) in [
        ("shop.example", "shop.example", None),
        ("SHOP.example:81", "shop.example", None),
        ("admin.example:8443", "admin.example", Some(8443)),
        ("admin.example", "_OTHER", None),
        ("evil.example:8443", "_OTHER", None),
    ] {
        let mut request = request();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        let mut expected = plain();
        expected.insert("server.address".to_owned(), address.into());
        if let Some(port) = port {
            expected.insert("server.port".to_owned(), Value::I64(port));
        }
        assert_eq!(duration_of(metrics(), request), expected, "{host}");
    }
    // Of a request that names none, there is none.
    let mut request = request();
    request.headers_mut().remove(header::HOST);
    assert_eq!(duration_of(metrics(), request), plain());

    // What is under way has it as well.
    let measured = measured_by(metrics().with_active_requests(), self::request(), response(""));
    let active: Vec<_> = measured.iter().filter(|one| one.instrument.name == ACTIVE).collect();
    assert_eq!(active.len(), 2);
    assert!(active.iter().all(|one| one.attributes["server.address"] == "shop.example".into()));
}

#[test]
fn a_list_of_hosts_with_something_else_on_it_is_an_error_that_says_so() {
    let error = Metrics::new().with_hosts(["shop.example", "http://shop.example/"]).unwrap_err();
    assert_eq!(error.setting(), "host of metrics");
    assert!(error.to_string().contains("such as `shop.example`"), "{error}");
}

#[test]
fn the_rest_can_be_asked_for() {
    let expected = |key: &str, value: &'static str| {
        let mut expected = plain();
        expected.insert(key.to_owned(), value.into());
        expected
    };
    let synthetic = Metrics::new().with_user_agent_synthetic_type();
    assert_eq!(duration_of(synthetic, request()), expected("user_agent.synthetic.type", "bot"));
    // A client's are nothing for a server.
    assert_eq!(
        duration_of(Metrics::new().with_url_template().with_url_scheme(), request()),
        plain()
    );

    // A known scheme, of a proxy that is trusted, or of the connection.
    let meters = Meters::default();
    let layer = TraceLayer::new()
        .with_forwarded(Forwarded::from_proxies(1))
        .with_metrics(Metrics::new())
        .with_meter_provider(&meters);
    let mut forwarded = request();
    forwarded.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    let peer = "192.0.2.1:1".parse().unwrap();
    forwarded.extensions_mut().insert(Connection::new().with_peer(peer));
    exchange(&layer, forwarded, response(""));
    assert_eq!(meters.one(DURATION).attributes["url.scheme"], "https".into());
}

#[test]
fn the_users_attributes_are_on_all_but_what_is_under_way_and_none_is_the_layers() {
    let metrics = Meters::everything()
        .on_request(|request, attributes| {
            attributes.set("shop.path", request.path().len() as i64);
            attributes.set("shop.first", true);
            for key in ["url.path", "http.request.method", "server.address", "error.type"] {
                attributes.set(key, "mine");
            }
        })
        .on_request(|_, _| panic!("the hook panics, as it was told to"))
        .on_end(|ended, attributes| {
            assert_eq!(ended.route(), None);
            attributes.set("shop.first", false);
            attributes.set("shop.size", ended.response_size() as i64);
            attributes.set("http.route", "/mine");
        })
        .on_end(|_, _| panic!("the hook panics, as it was told to"));
    let mut expected = plain();
    expected.insert("shop.path".to_owned(), 9.into());
    expected.insert("shop.first".to_owned(), true.into());
    expected.insert("shop.size".to_owned(), 7.into());
    let measured = measured_by(metrics, request(), response("an item"));
    assert_eq!(measured.len(), 5);
    for measurement in measured {
        if measurement.instrument.name == ACTIVE {
            assert_eq!(measurement.attributes.len(), 2);
        } else {
            assert_eq!(measurement.attributes, expected, "{}", measurement.instrument.name);
        }
    }
}

#[test]
fn what_the_user_puts_on_spans_is_on_no_metric_and_the_other_way_round() {
    let recorder = Recorder::new();
    let layer = recorder
        .layer()
        .with_metrics(Metrics::new().on_request(|_, attributes| attributes.set("metric", 1)))
        .on_request(|_, attributes| attributes.set("span", 1))
        .on_end(|_, attributes| attributes.set("end", 1));
    exchange(&layer, request(), response(""));
    let provider = recorder.exporter().get_finished_spans().unwrap();
    let keys: Vec<_> =
        provider[0].attributes.iter().map(|one| one.key.as_str().to_owned()).collect();
    assert!(keys.contains(&"span".to_owned()) && keys.contains(&"end".to_owned()));
    assert!(!keys.contains(&"metric".to_owned()));
    let mut expected = plain();
    expected.insert("metric".to_owned(), 1.into());
    assert_eq!(recorder.meters.one(DURATION).attributes, expected);
}

#[test]
fn a_request_is_measured_whether_it_is_sampled_or_not_and_without_a_tracer_at_all() {
    for sampler in [
        SamplerBuilder::new().with_always_off(),
        SamplerBuilder::new().with_ratio(0.0),
        SamplerBuilder::new(),
    ] {
        let (telemetry, _) = sampled_by(sampler);
        let meters = Meters::default();
        let layer = TraceLayer::new()
            .with_telemetry(&telemetry)
            .with_metrics(Meters::everything())
            .with_meter_provider(&meters);
        // With the route and the word that only the inside knows.
        let app = Router::new().route(
            "/items/{id}",
            get(|span: ServerSpan| async move {
                span.set_error_type("sold_out");
                StatusCode::SERVICE_UNAVAILABLE
            }),
        );
        let app = layer.layer(app.layer(RouteLayer::new()));
        let request = Request::get("/items/42").body(axum::body::Body::empty()).unwrap();
        tokio_test::block_on(async {
            app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        });
        let expected = attributes([
            ("http.request.method", "GET".into()),
            ("url.scheme", "http".into()),
            ("http.route", "/items/{id}".into()),
            ("http.response.status_code", 503.into()),
            ("error.type", "sold_out".into()),
            ("network.protocol.version", "1.1".into()),
        ]);
        assert_eq!(meters.one(DURATION).attributes, expected);
        assert_eq!(meters.active(ACTIVE), []);
    }
    assert_eq!(duration_of(Metrics::new(), request()), plain());
}

#[test]
fn a_filter_leaves_out_the_span_the_metrics_or_both() {
    for (verdict, spans, measured) in [
        (Verdict::all(), 1, 1),
        (Verdict::all().without_span(), 0, 1),
        (Verdict::all().without_metrics(), 1, 0),
        (Verdict::all().without_propagation(), 1, 1),
        (Verdict::all().without_span().without_propagation(), 0, 1),
        (Verdict::none(), 0, 0),
    ] {
        let recorder = Recorder::of_spans_alone();
        let layer = recorder.layer().with_metrics(Metrics::new()).with_filter(move |_| verdict);
        exchange(&layer, request(), response(""));
        assert_eq!(
            (recorder.spans().len(), recorder.meters.count(DURATION)),
            (spans, measured),
            "{verdict:?}"
        );

        let meters = Meters::default();
        let layer = TraceLayer::new().with_filter(move |_| verdict).with_meter_provider(&meters);
        exchange(&MetricsLayer::from(layer), request(), response(""));
        assert_eq!(meters.count(DURATION), measured, "{verdict:?}");
    }
}

#[test]
fn a_request_that_comes_through_several_layers_is_measured_once_and_told_of_everywhere() {
    let recorder = Recorder::of_spans_alone();
    let spans = || recorder.layer();
    let both = || recorder.layer().with_metrics(Meters::everything());
    let metrics =
        || MetricsLayer::new().with_telemetry(&recorder).with_metrics(Meters::everything());
    let sampled_out = || {
        let (telemetry, _) = sampled_by(SamplerBuilder::new().with_always_off());
        TraceLayer::new().with_telemetry(&telemetry)
    };
    let handler = service_fn(|request: Request<()>| {
        let span = ServerSpan::of(request.extensions());
        span.set_route("/told");
        span.set_error_type("told");
        ready(Response::builder().status(500).body(Full::<Bytes>::default()))
    });
    macro_rules! stacked {
        ($outer:expr, $inner:expr) => {{
            let before = (recorder.spans().len(), recorder.meters.count(DURATION));
            let service = ServiceBuilder::new().layer($outer).layer($inner).service(handler);
            tokio_test::block_on(async {
                let response = service.oneshot(request()).await.unwrap();
                response.into_body().collect().await.unwrap();
            });
            let (spans, measured) = (recorder.spans(), recorder.meters.of(DURATION));
            for span in &spans {
                assert_eq!(span.name, "POST /told");
            }
            for one in &measured {
                assert_eq!(one.attributes["http.route"], "/told".into());
                assert_eq!(one.attributes["error.type"], "told".into());
            }
            assert_eq!(recorder.meters.active(ACTIVE), []);
            (spans.len() - before.0, measured.len() - before.1)
        }};
    }
    assert_eq!(stacked!(both(), both()), (1, 1));
    assert_eq!(stacked!(spans(), metrics()), (1, 1));
    assert_eq!(stacked!(metrics(), spans()), (1, 1));
    assert_eq!(stacked!(metrics(), metrics()), (0, 1));
    assert_eq!(stacked!(metrics(), both()), (1, 1));
    assert_eq!(stacked!(both(), metrics()), (1, 1));
    assert_eq!(stacked!(spans(), both()), (1, 1));
    assert_eq!(stacked!(both(), spans()), (1, 1));
    assert_eq!(stacked!(sampled_out(), both()), (0, 1));
    assert_eq!(
        stacked!(sampled_out().with_telemetry(&recorder).with_filter(|_| Verdict::none()), both()),
        (1, 1)
    );
}

#[test]
fn streams_can_be_kept_out_of_the_durations_and_are_counted_still() {
    let events = || {
        let mut events = response("data: an event\n\n");
        events.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
        events
    };
    let everything = Meters::everything;
    let names = |measured: &[Measurement]| -> Vec<String> {
        measured.iter().map(|one| one.instrument.name.clone()).collect()
    };
    let apart = measured_by(everything().with_streams_apart(), request(), events());
    assert_eq!(names(&apart), [ACTIVE, ACTIVE, STREAMS, REQUEST_SIZE, RESPONSE_SIZE]);
    assert_eq!((apart[2].value, &apart[2].attributes), (1.0, &plain()));
    assert_eq!(
        (apart[2].instrument.kind, apart[2].instrument.unit.as_str()),
        ("counter", "{request}")
    );
    let among = measured_by(everything(), request(), events());
    assert_eq!(names(&among), [ACTIVE, ACTIVE, DURATION, REQUEST_SIZE, RESPONSE_SIZE]);
    let other = measured_by(everything().with_streams_apart(), request(), response(""));
    assert_eq!(names(&other), [ACTIVE, ACTIVE, DURATION, REQUEST_SIZE, RESPONSE_SIZE]);

    let mut upgraded = response("");
    *upgraded.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let upgraded = measured_by(everything().with_streams_apart(), request(), upgraded);
    assert_eq!(names(&upgraded)[2], STREAMS);

    let by =
        Metrics::new().with_streams_apart_by(|response| response.headers().contains_key("x-poll"));
    let mut polled = response("");
    polled.headers_mut().insert("x-poll", "1".parse().unwrap());
    assert_eq!(names(&measured_by(by.clone(), request(), polled)), [STREAMS]);
    assert_eq!(names(&measured_by(by, request(), events())), [DURATION]);
}

#[test]
fn a_request_counts_as_under_way_from_the_call_to_the_end_of_its_body() {
    let recorder = Recorder::new();
    let mut service = recorder.layer().layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Script::new([
            Step::Data("a"),
            Step::Pending,
            Step::Data("b"),
        ]))))
    }));
    let under_way = |count: f64| {
        let active = recorder.meters.active(ACTIVE);
        let attributes =
            attributes([("http.request.method", "POST".into()), ("url.scheme", "http".into())]);
        assert_eq!(active, if count == 0.0 { vec![] } else { vec![(attributes, count)] });
    };
    let first = service.call(request());
    let second = service.call(request());
    under_way(2.0);
    drop(first);
    under_way(1.0);
    let response = tokio_test::block_on(second).unwrap();
    under_way(1.0);
    let mut body = task::spawn(response.into_body());
    macro_rules! frame {
        () => {
            body.enter(|cx, body| http_body::Body::poll_frame(body, cx))
        };
    }
    assert!(frame!().is_ready());
    assert_pending!(frame!());
    under_way(1.0);
    assert!(frame!().is_ready());
    assert!(frame!().is_ready());
    under_way(0.0);
    assert_eq!(recorder.meters.of(RESPONSE_SIZE).last().unwrap().value, 2.0);
}

#[test]
fn a_future_that_is_never_polled_is_cancelled_and_has_no_size() {
    let recorder = Recorder::new();
    let mut service = recorder
        .layer()
        .layer(service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>()));
    drop(service.call(request()));
    assert_eq!(recorder.meters.active(ACTIVE), []);
    let cancelled = recorder.meters.one(DURATION);
    assert_eq!(cancelled.attributes["error.type"], "cancelled".into());
    assert!(!cancelled.attributes.contains_key("http.response.status_code"));
    // Of what is not answered, there is no size.
    assert_eq!(recorder.meters.count(RESPONSE_SIZE), 0);
}

#[test]
fn the_size_of_a_request_is_what_was_read_of_it_before_what_it_says() {
    let size_of = |counts: bool, said: Option<&str>| -> Vec<f64> {
        let meters = Meters::default();
        let layer = MetricsLayer::new()
            .with_meter_provider(&meters)
            .with_metrics(Metrics::new().with_request_body_size());
        let mut request = Request::new(Full::from("seven b"));
        if let Some(said) = said {
            request.headers_mut().insert(header::CONTENT_LENGTH, said.parse().unwrap());
        }
        async fn read<B: http_body::Body<Data = Bytes>>(
            request: Request<B>,
        ) -> Result<Response<String>, Infallible> {
            let _ = request.into_body().collect().await;
            Ok(Response::new(String::new()))
        }
        tokio_test::block_on(async {
            if counts {
                let counted = ServiceBuilder::new().layer(RequestBodySizeLayer::new());
                layer.layer(counted.service_fn(read)).oneshot(request).await.unwrap();
            } else {
                layer.layer(service_fn(read)).oneshot(request).await.unwrap();
            }
        });
        meters.of(REQUEST_SIZE).iter().map(|one| one.value).collect()
    };
    assert_eq!(size_of(true, Some("1000")), [7.0]);
    assert_eq!(size_of(true, None), [7.0]);
    assert_eq!(size_of(false, Some("7")), [7.0]);
    assert_eq!(size_of(false, None), [] as [f64; 0]);
}

#[test]
fn a_length_that_cannot_be_is_no_size() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let metrics = Metrics::new().with_request_body_size().with_response_body_size();
    let layer = MetricsLayer::new().with_meter_provider(&provider).with_metrics(metrics);
    for length in ["18446744073709551613", "18446744073709551615", "1099511627777", "11"] {
        let (mut request, mut answer) = (request(), response("an item"));
        request.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
        answer.extensions_mut().insert(SpanEnd::Head);
        exchange(&layer, request, answer);
    }
    provider.force_flush().unwrap();
    let collected = exporter.get_finished_metrics().unwrap();
    for name in [REQUEST_SIZE, RESPONSE_SIZE] {
        let scope = collected[0].scope_metrics().next().unwrap();
        let metric = scope.metrics().find(|metric| metric.name() == name).unwrap();
        let AggregatedMetrics::U64(MetricData::Histogram(histogram)) = metric.data() else {
            panic!("{metric:?}")
        };
        let point = histogram.data_points().next().unwrap();
        assert_eq!((point.count(), point.sum()), (1, 11), "{name}");
    }
}

#[test]
fn a_size_has_the_route_and_an_error_the_word_that_every_layer_is_told() {
    let (outer, inner) = (Meters::default(), Recorder::of_spans_alone());
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new().with_meter_provider(&outer).with_metrics(Meters::everything()))
        .layer(inner.layer())
        .layer(RouteLayer::of("/items/{id}"))
        .layer(ErrorTypeLayer::new())
        .service_fn(|request: Request<()>| {
            let fails = request.headers().contains_key("x-fails");
            let answer = Response::new(String::from("an item"));
            ready(if fails { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(answer) })
        });
    let mut failing = request();
    failing.headers_mut().insert("x-fails", "1".parse().unwrap());
    let _: std::io::Error = tokio_test::block_on(service.clone().oneshot(failing)).unwrap_err();
    let error_type = |meters: &Meters| meters.one(DURATION).attributes["error.type"].clone();
    assert_eq!(error_type(&outer), "timed_out".into());
    assert_eq!(inner.spans().len(), 1);

    tokio_test::block_on(async {
        let response = service.oneshot(request()).await.unwrap();
        response.into_body().collect().await.unwrap();
    });
    let mut expected = plain();
    expected.insert("http.route".to_owned(), "/items/{id}".into());
    assert_eq!(outer.of(DURATION)[1].attributes, expected);
    assert_eq!(outer.of(RESPONSE_SIZE)[0].attributes, expected);
}

#[test]
fn what_was_not_added_is_not_taken_away() {
    /// A counter whose first measurement panics.
    #[derive(Clone, Default)]
    struct Panics(Arc<AtomicI64>, Arc<AtomicBool>);

    impl SyncInstrument<i64> for Panics {
        fn measure(&self, value: i64, _: &[KeyValue]) {
            assert!(self.1.swap(true, Relaxed), "the instrument panics, as it was told to");
            self.0.fetch_add(value, Relaxed);
        }
    }

    impl InstrumentProvider for Panics {
        fn i64_up_down_counter(
            &self,
            _: InstrumentBuilder<'_, UpDownCounter<i64>>,
        ) -> UpDownCounter<i64> {
            UpDownCounter::new(Arc::new(self.clone()))
        }
    }

    impl MeterProvider for Panics {
        fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
            Meter::new(Arc::new(self.clone()))
        }
    }

    let panics = Panics::default();
    let layer = MetricsLayer::new()
        .with_meter_provider(&panics)
        .with_metrics(Metrics::new().with_active_requests());
    for _ in 0..2 {
        exchange(&layer, request(), response(""));
        assert_eq!(panics.0.load(Relaxed), 0);
    }
}

#[test]
fn each_byte_of_a_request_is_counted_once_for_each_layer() {
    let (outer, inner) = (Meters::default(), Recorder::of_spans_alone());
    let metrics = Metrics::new().with_request_body_size();
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new().with_meter_provider(&outer).with_metrics(metrics))
        .layer(RequestBodySizeLayer::new())
        .layer(inner.layer())
        .layer(RequestBodySizeLayer::new())
        .layer(RequestBodySizeLayer::new())
        .service_fn(async |request: Request<_>| {
            BodyExt::collect(request.into_body()).await?;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
    tokio_test::block_on(service.oneshot(Request::new(Full::<Bytes>::from("seven b")))).unwrap();
    assert_eq!(outer.one(REQUEST_SIZE).value, 7.0);
    let span = inner.span();
    let size = span.attributes.iter().find(|one| one.key.as_str() == "http.request.body.size");
    assert_eq!(size.unwrap().value, 7.into());
}

#[test]
fn a_response_whose_body_is_not_waited_for_is_as_large_as_it_says() {
    let meters = Meters::default();
    let layer = MetricsLayer::new()
        .with_meter_provider(&meters)
        .with_metrics(Metrics::new().with_response_body_size());
    let answers = |length: Option<&str>| {
        let mut answer = Response::new(Script::new([Step::Data("abc")]));
        answer.extensions_mut().insert(SpanEnd::Head);
        if let Some(length) = length {
            answer.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        let mut answer = Some(answer);
        let mut service = layer.layer(service_fn(move |_: Request<()>| {
            ready(Ok::<_, Infallible>(answer.take().unwrap()))
        }));
        drop(tokio_test::block_on(service.call(request())).unwrap());
    };
    answers(Some("3"));
    answers(None);
    let sizes: Vec<_> = meters.of(RESPONSE_SIZE).iter().map(|one| one.value).collect();
    assert_eq!(sizes, [3.0]);
    assert_eq!(meters.count(DURATION), 2);
}

#[test]
fn the_context_is_left_alone_where_there_is_nothing_but_metrics() {
    use opentelemetry::{Context, baggage::BaggageExt};

    let layer = MetricsLayer::new().with_meter_provider(&Meters::default());
    let service = layer.layer(service_fn(|_: Request<()>| async {
        let tenant = Context::current().baggage().get("tenant").map(ToString::to_string);
        Ok::<_, Infallible>(Response::new(tenant.unwrap_or_default()))
    }));
    // Called in one Context, and polled in another.
    let mut service = service;
    let called = service.call(request());
    let cx = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    let _attached = cx.attach();
    let response = tokio_test::block_on(called).unwrap();
    let body = tokio_test::block_on(response.into_body().collect()).unwrap().to_bytes();
    assert_eq!(body, "acme");
}

#[test]
fn the_sdk_exports_what_was_measured_in_the_conventions_buckets() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let layer =
        MetricsLayer::new().with_meter_provider(&provider).with_metrics(Meters::everything());
    for _ in 0..3 {
        exchange(&layer, request(), response("an item"));
    }
    provider.force_flush().unwrap();
    let collected = exporter.get_finished_metrics().unwrap();
    let scope = collected[0].scope_metrics().next().unwrap();
    assert_eq!(scope.scope().name(), "tower-telemetry");
    let mut names: Vec<_> = scope.metrics().map(|metric| metric.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, [ACTIVE, REQUEST_SIZE, DURATION, RESPONSE_SIZE]);
    for metric in scope.metrics() {
        match (metric.name(), metric.data()) {
            (DURATION, AggregatedMetrics::F64(MetricData::Histogram(histogram))) => {
                let point = histogram.data_points().next().unwrap();
                assert_eq!(point.count(), 3);
                assert_eq!(point.bounds().count(), 14);
                assert_eq!(point.attributes().count(), 4);
            }
            (ACTIVE, AggregatedMetrics::I64(MetricData::Sum(sum))) => {
                let points: Vec<_> = sum.data_points().map(SumDataPoint::value).collect();
                assert_eq!(points, [0]);
                assert!(!sum.is_monotonic());
            }
            (RESPONSE_SIZE, AggregatedMetrics::U64(MetricData::Histogram(histogram))) => {
                assert_eq!(histogram.data_points().next().unwrap().sum(), 21);
            }
            (REQUEST_SIZE, AggregatedMetrics::U64(MetricData::Histogram(histogram))) => {
                assert_eq!(histogram.data_points().next().unwrap().sum(), 33);
            }
            (name, data) => panic!("{name}: {data:?}"),
        }
    }
}
