//! What a client layer measures: every metric as a whole.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Pending, pending, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use opentelemetry::{Context, Value};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_telemetry::{
    ClientMetricsLayer, ClientTraceLayer, Metrics,
    client::{SpanEnd, UrlTemplate, Verdict},
};

use crate::support::{
    exchange::{exchange, reqwest_exchange, response},
    meters::{Measurement, Meters},
    recorder::Recorder,
};

const DURATION: &str = "http.client.request.duration";
const ACTIVE: &str = "http.client.active_requests";
const REQUEST_SIZE: &str = "http.client.request.body.size";
const RESPONSE_SIZE: &str = "http.client.response.body.size";
const CALL: &str = "rpc.client.call.duration";
const STREAMS: &str = "tower_telemetry.client.streams";

fn attributes<const N: usize>(attributes: [(&str, Value); N]) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn request() -> Request<()> {
    Request::get("http://inventory:3000/items/42")
        .header(header::CONTENT_LENGTH, "11")
        .extension(UrlTemplate::new("/items/{id}"))
        .body(())
        .unwrap()
}

fn answer() -> Response<Full<Bytes>> {
    let mut answer = response("an item");
    answer.headers_mut().insert(header::CONTENT_LENGTH, "7".parse().unwrap());
    answer
}

fn plain() -> BTreeMap<String, Value> {
    attributes([
        ("http.request.method", "GET".into()),
        ("server.address", "inventory".into()),
        ("server.port", 3000.into()),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", "1.1".into()),
    ])
}

fn with(
    mut attributes: BTreeMap<String, Value>,
    key: &str,
    value: &'static str,
) -> BTreeMap<String, Value> {
    attributes.insert(key.to_owned(), value.into());
    attributes
}

fn measured_by(
    set_up: impl FnOnce(ClientTraceLayer) -> ClientTraceLayer,
    metrics: Metrics,
    request: Request<()>,
    response: Response<Full<Bytes>>,
) -> Vec<Measurement> {
    let meters = Meters::default();
    let layer = set_up(ClientTraceLayer::new()).with_meter_provider(&meters).with_metrics(metrics);
    exchange(&ClientMetricsLayer::from(layer), request, response);
    meters.all()
}

fn duration_of(metrics: Metrics, request: Request<()>) -> BTreeMap<String, Value> {
    let mut measured = measured_by(|layer| layer, metrics, request, answer());
    assert_eq!(measured.len(), 1);
    measured.remove(0).attributes
}

#[test]
fn each_metric_has_the_name_the_unit_the_buckets_and_the_attributes_of_the_conventions() {
    let measured = measured_by(|layer| layer, Meters::everything(), request(), answer());
    let said: Vec<_> = measured
        .iter()
        .map(|one| {
            let instrument = &one.instrument;
            (
                instrument.kind,
                instrument.name.as_str(),
                instrument.unit.as_str(),
                instrument.description.as_str(),
            )
        })
        .collect();
    let active = ("up-down counter", ACTIVE, "{request}", "Number of active HTTP requests.");
    assert_eq!(
        said,
        [
            active,
            active,
            ("histogram", DURATION, "s", "Duration of HTTP client requests."),
            ("histogram", REQUEST_SIZE, "By", "Size of HTTP client request bodies."),
            ("histogram", RESPONSE_SIZE, "By", "Size of HTTP client response bodies."),
        ]
    );
    assert_eq!(measured[2].instrument.boundaries.as_ref().map(Vec::len), Some(14));

    let at_start = attributes([
        ("http.request.method", "GET".into()),
        ("server.address", "inventory".into()),
        ("server.port", 3000.into()),
        ("url.template", "/items/{id}".into()),
    ]);
    let sized = with(plain(), "url.template", "/items/{id}");
    let expected = [
        (1.0, &at_start),
        (-1.0, &at_start),
        (measured[2].value, &plain()),
        (11.0, &sized),
        (7.0, &sized),
    ];
    for (one, (value, attributes)) in measured.iter().zip(expected) {
        assert_eq!((one.value, &one.attributes), (value, attributes), "{}", one.instrument.name);
    }
}

#[test]
fn a_request_of_reqwests_is_measured_like_any_other() {
    let meters = Meters::default();
    let layer = ClientTraceLayer::new().with_metrics(Metrics::new()).with_meter_provider(&meters);
    let request = reqwest::Request::try_from(request().map(|()| "")).unwrap();
    reqwest_exchange(&layer, request, answer());
    assert_eq!(meters.one(DURATION).attributes, plain());
}

#[test]
fn a_request_of_reqwests_is_as_large_as_its_body_before_anybody_has_written_that() {
    let sizes_of = |request: reqwest::Request| -> Vec<f64> {
        let meters = Meters::default();
        let metrics = Metrics::new().with_request_body_size();
        let layer = ClientTraceLayer::new().with_metrics(metrics).with_meter_provider(&meters);
        reqwest_exchange(&layer, request, answer());
        meters.of(REQUEST_SIZE).iter().map(|one| one.value).collect()
    };
    let client = reqwest::Client::new();
    let post = || client.post("http://inventory:3000/items");
    assert_eq!(sizes_of(post().body("seven b").build().unwrap()), [7.0]);
    assert_eq!(sizes_of(post().build().unwrap()), [] as [f64; 0]);
    let said = post().body("seven b").header(header::CONTENT_LENGTH, "8").build().unwrap();
    assert_eq!(sizes_of(said), [8.0]);
}

#[test]
fn scheme_and_template_can_be_asked_for_and_hosts_be_bounded() {
    let metrics = Metrics::new().with_url_scheme().with_url_template();
    let expected = with(with(plain(), "url.scheme", "http"), "url.template", "/items/{id}");
    assert_eq!(duration_of(metrics, request()), expected);
    // Those of a server are nothing for a client.
    assert_eq!(duration_of(Metrics::new().with_user_agent_synthetic_type(), request()), plain());

    let hosts = |hosts: &[&str]| Metrics::new().with_hosts(hosts).unwrap();
    assert_eq!(duration_of(hosts(&["inventory:3000"]), request()), plain());
    let mut portless = plain();
    portless.remove("server.port");
    assert_eq!(duration_of(hosts(&["inventory"]), request()), portless);
    assert_eq!(duration_of(hosts(&[]), request()), with(portless, "server.address", "_OTHER"));
}

#[test]
fn a_port_that_is_not_written_is_the_schemes() {
    let request = Request::get("https://inventory/").body(()).unwrap();
    let mut expected = plain();
    expected.insert("server.port".to_owned(), 443.into());
    assert_eq!(duration_of(Metrics::new(), request), expected);
}

#[test]
fn a_call_is_measured_under_the_channels_target_and_whatever_its_method() {
    let call = Request::post("http://10.0.0.1:1/shop.v1.Inventory/Get")
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(())
        .unwrap();
    let mut refused = response("");
    refused.headers_mut().insert("grpc-status", "5".parse().unwrap());
    let set_up =
        |layer: ClientTraceLayer| layer.with_grpc_target("dns:///inventory:50051").unwrap();
    let measured = measured_by(set_up, Meters::everything(), call, refused);
    let [one] = &measured[..] else { panic!("{measured:#?}") };
    assert_eq!((one.instrument.name.as_str(), one.instrument.unit.as_str()), (CALL, "s"));
    assert_eq!(
        one.attributes,
        attributes([
            ("rpc.system.name", "grpc".into()),
            ("rpc.method", "shop.v1.Inventory/Get".into()),
            ("rpc.status_code", "NOT_FOUND".into()),
            ("error.type", "NOT_FOUND".into()),
            ("server.address", "inventory".into()),
            ("server.port", 50051.into()),
        ])
    );
}

#[test]
fn a_failure_is_the_spans_and_a_caller_that_goes_has_not_failed() {
    let recorder = Recorder::new();
    let asks = |outcome: Result<StatusCode, std::io::ErrorKind>| {
        let mut client = recorder.client_layer().layer(service_fn(move |_: Request<()>| {
            ready(
                outcome
                    .map(|code| Response::builder().status(code).body(String::new()).unwrap())
                    .map_err(std::io::Error::from),
            )
        }));
        drop(tokio_test::block_on(client.call(request())));
    };
    asks(Ok(StatusCode::NOT_FOUND));
    asks(Err(std::io::ErrorKind::ConnectionRefused));
    let mut client = recorder.client_layer().layer(service_fn(
        |_: Request<()>| -> Pending<Result<Response<String>, Infallible>> { pending() },
    ));
    drop(client.call(request()));

    let said: Vec<_> = recorder
        .meters
        .of(DURATION)
        .into_iter()
        .map(|one| {
            let text = |key: &str| one.attributes.get(key).map(ToString::to_string);
            (text("http.response.status_code"), text("error.type"))
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        said,
        [(text("404"), text("404")), (None, text("connection_refused")), (None, None)]
    );
    assert_eq!(recorder.clients().len(), 3);
    assert_eq!(recorder.meters.active(ACTIVE), []);
}

#[test]
fn a_response_that_is_waited_for_is_measured_at_its_end() {
    let recorder = Recorder::new();
    let layer = recorder.client_layer().with_span_end(SpanEnd::Body);
    let mut answer = answer();
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    exchange(&layer, request(), answer);
    assert_eq!(recorder.meters.one(RESPONSE_SIZE).value, 7.0);
    assert_eq!(recorder.clients().len(), 1);
}

#[test]
fn streams_are_counted_apart() {
    let mut events = response("data: an event\n\n");
    events.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
    let measured =
        measured_by(|layer| layer, Metrics::new().with_streams_apart(), request(), events);
    let [one] = &measured[..] else { panic!("{measured:#?}") };
    assert_eq!(
        (one.instrument.name.as_str(), one.value, &one.attributes),
        (STREAMS, 1.0, &plain())
    );
}

#[test]
fn each_attempt_is_measured_and_one_that_comes_through_two_layers_once() {
    let recorder = Recorder::of_spans_alone();
    let spans = || recorder.client_layer();
    let both = || recorder.client_layer().with_metrics(Meters::everything());
    let metrics =
        || ClientMetricsLayer::new().with_telemetry(&recorder).with_metrics(Meters::everything());
    let unsampled = || recorder.client_layer().with_filter(|_| Verdict::all().without_span());
    macro_rules! stacked {
        ($($layer:expr),+) => {{
            let before = (recorder.spans().len(), recorder.meters.count(DURATION));
            let client = ServiceBuilder::new()$(.layer($layer))+.service_fn(|_: Request<()>| {
                ready(Ok::<_, Infallible>(Response::new(String::new())))
            });
            for _ in 0..2 {
                tokio_test::block_on(client.clone().oneshot(request())).unwrap();
            }
            assert_eq!(recorder.meters.active(ACTIVE), []);
            let after = (recorder.spans().len(), recorder.meters.count(DURATION));
            (after.0 - before.0, after.1 - before.1)
        }};
    }
    for cx in
        [Context::new(), crate::support::far_side::elsewhere(opentelemetry::TraceFlags::SAMPLED)]
    {
        let _attached = cx.attach();
        assert_eq!(stacked!(both()), (2, 2));
        assert_eq!(stacked!(both(), both()), (2, 2));
        assert_eq!(stacked!(spans(), metrics()), (2, 2));
        assert_eq!(stacked!(metrics(), spans()), (2, 2));
        assert_eq!(stacked!(metrics(), metrics()), (0, 2));
        assert_eq!(stacked!(metrics(), both()), (2, 2));
        assert_eq!(stacked!(both(), metrics()), (2, 2));
        assert_eq!(stacked!(spans(), both()), (2, 2));
        assert_eq!(stacked!(both(), spans()), (2, 2));
        assert_eq!(stacked!(metrics(), spans(), both()), (2, 2));
        assert_eq!(stacked!(metrics(), spans(), metrics()), (2, 2));
        assert_eq!(stacked!(both(), spans(), metrics()), (2, 2));
        assert_eq!(stacked!(unsampled(), both()), (2, 2));
    }
}

#[test]
fn a_request_that_is_made_inside_of_another_is_measured_for_itself() {
    let recorder = Recorder::of_spans_alone();
    let metrics = || ClientMetricsLayer::new().with_telemetry(&recorder);
    let token = metrics().layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    let client = metrics().layer(service_fn(move |_: Request<()>| {
        let token = token.clone();
        async move {
            token.oneshot(Request::get("http://tokens/new").body(()).unwrap()).await.map(drop)?;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    }));
    tokio_test::block_on(client.oneshot(request())).unwrap();
    let hosts: Vec<_> = recorder
        .meters
        .of(DURATION)
        .iter()
        .map(|one| one.attributes["server.address"].to_string())
        .collect();
    assert_eq!(hosts, ["tokens", "inventory"]);
}

#[test]
fn a_request_that_is_made_inside_of_a_span_is_measured_for_itself() {
    let recorder = Recorder::new();
    let token =
        ClientMetricsLayer::new().with_telemetry(&recorder).layer(service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(String::new())))
        }));
    let client = recorder.client_layer().layer(service_fn(move |_: Request<()>| {
        let token = token.clone();
        token.oneshot(Request::get("http://tokens/new").body(()).unwrap())
    }));
    tokio_test::block_on(client.oneshot(request())).unwrap();
    assert_eq!(recorder.clients().len(), 1);
    assert_eq!(recorder.meters.count(DURATION), 2);
}

#[test]
fn a_filter_leaves_out_the_metrics() {
    for (verdict, spans, measured) in [
        (Verdict::all().without_metrics(), 1, 0),
        (Verdict::all().without_span(), 0, 1),
        (Verdict::none(), 0, 0),
    ] {
        let recorder = Recorder::of_spans_alone();
        let layer = recorder.client_layer().with_metrics(Meters::everything());
        exchange(&layer.with_filter(move |_| verdict), request(), answer());
        let left = (recorder.spans().len(), recorder.meters.count(DURATION));
        assert_eq!(left, (spans, measured), "{verdict:?}");
        assert_eq!(recorder.meters.count(ACTIVE), 2 * measured, "{verdict:?}");
    }
}

#[test]
fn what_an_exporter_sends_is_not_measured() {
    let meters = Meters::default();
    let layer = ClientMetricsLayer::new().with_meter_provider(&meters);
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    exchange(&layer, request(), answer());
    assert_eq!(meters.all(), []);
}

#[test]
fn headers_are_left_alone_where_there_is_nothing_but_metrics() {
    let cx = crate::support::far_side::elsewhere(opentelemetry::TraceFlags::SAMPLED);
    let _attached = cx.attach();
    let layer = ClientMetricsLayer::new().with_meter_provider(&Meters::default());
    let arrived = crate::support::far_side::received(&layer, &Request::new(()));
    assert!(arrived.iter().all(http::HeaderMap::is_empty), "{arrived:?}");
}
