//! What a request has failed with: where that is recorded, and that it is once.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::ready,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry::{
    Value,
    logs::{AnyValue, Severity},
    trace::noop::NoopTracerProvider,
};
use opentelemetry_sdk::{
    logs::{InMemoryLogExporter, SdkLoggerProvider},
    trace::SpanData,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_telemetry::{
    ClientTraceLayer, Exceptions, MetricsLayer, SamplerBuilder, Telemetry, TraceLayer,
    server::{ErrorType, ErrorTypeLayer, ServerSpan, Verdict},
};

use crate::support::{
    body::{Script, Step},
    meters::Meters,
    recorder::Recorder,
    sdk::sampled_by,
};

/// A place for log records.
#[derive(Debug)]
struct Logs {
    provider: SdkLoggerProvider,
    exporter: InMemoryLogExporter,
}

/// A record, to be compared as a whole.
#[derive(Debug, PartialEq)]
struct Said {
    event: Option<&'static str>,
    severity: Option<Severity>,
    /// Trace and span ids and flags.
    ids: Option<(String, String, u8)>,
    attributes: Vec<(String, String)>,
}

impl Logs {
    fn new() -> Self {
        let exporter = InMemoryLogExporter::default();
        let provider = SdkLoggerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { provider, exporter }
    }

    fn said(&self) -> Vec<Said> {
        let logs = self.exporter.get_emitted_logs().unwrap();
        logs.iter()
            .map(|log| {
                assert_eq!(log.instrumentation.name(), "tower-telemetry");
                assert_eq!(
                    log.record.severity_text(),
                    log.record.severity_number().map(|one| one.name())
                );
                assert!(log.record.timestamp().unwrap() <= SystemTime::now());
                let text = |value: &AnyValue| match value {
                    AnyValue::String(text) => text.to_string(),
                    other => panic!("{other:?}"),
                };
                let attributes = log.record.attributes_iter();
                Said {
                    event: log.record.event_name(),
                    severity: log.record.severity_number(),
                    ids: log.record.trace_context().map(|cx| {
                        let flags = cx.trace_flags.unwrap_or_default().to_u8();
                        (cx.trace_id.to_string(), cx.span_id.to_string(), flags)
                    }),
                    attributes: attributes
                        .map(|(key, value)| (key.to_string(), text(value)))
                        .collect(),
                }
            })
            .collect()
    }
}

fn ids(span: &SpanData) -> Option<(String, String, u8)> {
    let cx = &span.span_context;
    Some((cx.trace_id().to_string(), cx.span_id().to_string(), cx.trace_flags().to_u8()))
}

/// The exception events on a span, each with its attributes.
fn events(span: &SpanData) -> Vec<Vec<(String, String)>> {
    let exceptions = span.events.iter().inspect(|event| {
        assert_eq!(event.name, "exception");
        assert_eq!(event.timestamp, span.end_time);
    });
    exceptions
        .map(|event| {
            let attributes = event.attributes.iter();
            attributes.map(|one| (one.key.to_string(), one.value.to_string())).collect()
        })
        .collect()
}

fn typed(type_name: &str) -> Vec<(String, String)> {
    vec![("exception.type".to_owned(), type_name.to_owned())]
}

fn with_message(type_name: &str, message: &str) -> Vec<(String, String)> {
    let mut attributes = typed(type_name);
    attributes.push(("exception.message".to_owned(), message.to_owned()));
    attributes
}

const IO: &str = "std::io::error::Error";

async fn fails(_: Request<()>) -> Result<Response<String>, io::Error> {
    Err(io::Error::other("the disk is full"))
}

/// Runs one request through a layer that is set up like this, to the end of its body.
macro_rules! serve {
    ($layer:expr, $service:expr) => {
        serve!($layer, $service, Request::new(()))
    };
    ($layer:expr, $service:expr, $request:expr) => {{
        let (service, request) = ($layer.layer($service), $request);
        // A panic is the service's own.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            tokio_test::block_on(async {
                let response = service.oneshot(request).await.ok();
                if let Some(response) = response {
                    let _ = response.into_body().collect().await;
                }
            });
        }));
    }};
}

#[test]
fn an_exception_is_recorded_where_it_is_asked_for_and_once() {
    for (exceptions, on_span, in_logs) in [
        (None, 0, 1),
        (Some(Exceptions::Off), 0, 0),
        (Some(Exceptions::SpanEvent), 1, 0),
        (Some(Exceptions::Log), 0, 1),
        (Some(Exceptions::Both), 1, 1),
    ] {
        let (recorder, logs) = (Recorder::new(), Logs::new());
        let layer = recorder.layer().with_logger_provider(&logs.provider);
        let layer = match exceptions {
            Some(exceptions) => layer.with_exceptions(exceptions),
            None => layer,
        };
        serve!(layer, service_fn(fails));
        let span = recorder.span();
        assert_eq!(events(&span), vec![typed(IO); on_span], "{exceptions:?}");
        let said: Vec<_> = (0..in_logs)
            .map(|_| Said {
                event: Some("http.server.request.exception"),
                severity: Some(Severity::Error),
                ids: ids(&span),
                attributes: typed(IO),
            })
            .collect();
        assert_eq!(logs.said(), said, "{exceptions:?}");
    }
}

#[test]
fn a_client_warns() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let layer = recorder
        .client_layer()
        .with_logger_provider(&logs.provider)
        .with_exceptions(Exceptions::Both);
    serve!(layer, service_fn(fails));
    let span = recorder.span();
    assert_eq!(events(&span), [typed(IO)]);
    let [said] = &logs.said()[..] else { panic!("one record") };
    assert_eq!(said.event, Some("http.client.request.exception"));
    assert_eq!((said.severity, &said.ids), (Some(Severity::Warn), &ids(&span)));
    assert_eq!(said.attributes, typed(IO));
}

#[test]
fn without_a_logger_provider_there_is_no_record_and_nothing_else_is_missed() {
    let recorder = Recorder::new();
    serve!(recorder.layer().with_exceptions(Exceptions::Both), service_fn(fails));
    assert_eq!(events(&recorder.span()), [typed(IO)]);
    let recorder = Recorder::new();
    serve!(recorder.layer(), service_fn(fails));
    assert_eq!(events(&recorder.span()), [] as [Vec<_>; 0]);
}

#[test]
fn a_message_is_recorded_if_it_is_asked_for() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let server = recorder
        .layer()
        .with_logger_provider(&logs.provider)
        .with_exceptions(Exceptions::Both)
        .with_exception_messages();
    serve!(server, ServiceBuilder::new().layer(ErrorTypeLayer::new()).service_fn(fails));
    // Nobody can ask an error of any type for a message.
    serve!(server, service_fn(fails));
    let client = recorder
        .client_layer()
        .with_logger_provider(&logs.provider)
        .with_exceptions(Exceptions::Both)
        .with_exception_messages();
    serve!(client, service_fn(fails));
    let expected =
        [with_message(IO, "the disk is full"), typed(IO), with_message(IO, "the disk is full")];
    let said: Vec<_> = logs.said().into_iter().map(|said| said.attributes).collect();
    assert_eq!(said, expected);
    let on_spans: Vec<_> = recorder.spans().iter().flat_map(events).collect();
    assert_eq!(on_spans, expected);
}

#[test]
fn every_way_to_fail_is_an_exception_and_no_other_end_is() {
    let recorded = |service: fn(&TraceLayer)| {
        let (recorder, logs) = (Recorder::new(), Logs::new());
        let layer =
            recorder.layer().with_logger_provider(&logs.provider).with_exceptions(Exceptions::Both);
        service(&layer);
        let on_spans: Vec<_> = recorder.spans().iter().flat_map(events).collect();
        let in_logs: Vec<_> = logs.said().into_iter().map(|said| said.attributes).collect();
        assert_eq!(on_spans, in_logs);
        in_logs
    };
    fn body(
        step: Option<Step>,
    ) -> impl Fn(Request<()>) -> std::future::Ready<Result<Response<Script>, Infallible>> + Clone
    {
        let steps = std::sync::Arc::new(std::sync::Mutex::new(step));
        move |_| {
            let step = steps.lock().unwrap().take();
            ready(Ok(Response::new(Script::new(step))))
        }
    }
    let none: [Vec<(String, String)>; 0] = [];
    assert_eq!(recorded(|layer| serve!(layer, service_fn(body(Some(Step::Error))))), [typed(IO)]);
    assert_eq!(
        recorded(|layer| serve!(layer, service_fn(body(Some(Step::Panic))))),
        [typed("panic")]
    );
    assert_eq!(recorded(|layer| serve!(layer, service_fn(body(Some(Step::Data("fine")))))), none);
    assert_eq!(
        recorded(|layer| serve!(
            layer,
            service_fn(|_: Request<()>| async {
                if true {
                    panic!("the service panics, as it was told to");
                }
                Ok::<_, Infallible>(Response::new(String::new()))
            })
        )),
        [typed("panic")]
    );
    // A response that is a failure has no exception, unless somebody names one.
    assert_eq!(
        recorded(|layer| serve!(
            layer,
            service_fn(|_: Request<()>| async {
                Response::builder().status(500).body(String::new())
            })
        )),
        none
    );
    // Somebody who goes away has not failed.
    assert_eq!(
        recorded(|layer| {
            use tower::Service;
            let mut service = layer.layer(service_fn(fails));
            drop(service.call(Request::new(())));
        }),
        none
    );
}

#[derive(Debug)]
struct OutOfStock;

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no item 42")
    }
}

impl Error for OutOfStock {}

impl ErrorType for OutOfStock {
    fn message(&self) -> Option<String> {
        Some("said by hand".to_owned())
    }
}

#[test]
fn a_handler_says_what_made_it_give_up_and_has_the_first_word() {
    let mine = std::any::type_name::<OutOfStock>();
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let layer = recorder.layer().with_logger_provider(&logs.provider).with_exception_messages();
    let gives_up = |fails: bool| {
        service_fn(move |request: Request<()>| async move {
            let span = ServerSpan::of(request.extensions());
            span.record_exception(&OutOfStock);
            span.record_exception(&io::Error::other("later"));
            if fails {
                return Err(io::Error::other("later still"));
            }
            Ok(Response::builder().status(StatusCode::CONFLICT).body(String::new()).unwrap())
        })
    };
    serve!(layer, gives_up(false));
    serve!(layer, gives_up(true));
    serve!(layer, ServiceBuilder::new().layer(ErrorTypeLayer::new()).service(gives_up(true)));
    let said: Vec<_> = logs.said().into_iter().map(|said| said.attributes).collect();
    assert_eq!(said, vec![with_message(mine, "no item 42"); 3]);

    // The message that an error has for it.
    let logs = Logs::new();
    let layer = recorder.layer().with_logger_provider(&logs.provider).with_exception_messages();
    let failing = service_fn(|_: Request<()>| async { Err::<Response<String>, _>(OutOfStock) });
    serve!(layer, ServiceBuilder::new().layer(ErrorTypeLayer::new()).service(failing));
    assert_eq!(logs.said()[0].attributes, with_message(mine, "said by hand"));
}

#[test]
fn an_error_that_was_made_good_is_no_exception() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let layer = recorder.layer().with_logger_provider(&logs.provider);
    let failing = ErrorTypeLayer::new().layer(service_fn(fails));
    let caught = service_fn(move |request: Request<()>| {
        let failing = failing.clone();
        async move {
            failing.oneshot(request).await.unwrap_err();
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    serve!(layer, caught);
    assert_eq!(logs.said(), []);
}

#[test]
fn an_attempt_that_had_failed_is_no_exception_of_a_request_that_then_ends_otherwise() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let layer = recorder.layer().with_logger_provider(&logs.provider);
    let attempt = ErrorTypeLayer::new().layer(service_fn(fails));
    let tries_again = |then: fn()| {
        let attempt = attempt.clone();
        service_fn(move |request: Request<()>| {
            let attempt = attempt.clone();
            async move {
                attempt.oneshot(request).await.unwrap_err();
                then();
                std::future::pending::<Result<Response<String>, Infallible>>().await
            }
        })
    };
    // The caller goes away while it is tried again.
    let mut called =
        tokio_test::task::spawn(layer.layer(tries_again(|| {})).oneshot(Request::new(())));
    assert!(called.poll().is_pending());
    drop(called);
    assert_eq!(logs.said(), []);

    serve!(layer, tries_again(|| panic!("the service panics, as it was told to")));
    let said: Vec<_> = logs.said().into_iter().map(|said| said.attributes).collect();
    assert_eq!(said, [typed("panic")]);
}

#[test]
fn an_error_whose_type_nobody_knows_has_none_to_name() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let layer = recorder.layer().with_logger_provider(&logs.provider).with_exception_messages();
    let gives_up = |record: fn(ServerSpan, Box<dyn Error + Send + Sync>)| {
        service_fn(move |request: Request<()>| async move {
            record(ServerSpan::of(request.extensions()), OutOfStock.into());
            Response::builder().status(500).body(String::new())
        })
    };
    serve!(layer, gives_up(|span, error| span.record_exception(error.as_ref())));
    serve!(layer, gives_up(|span, error| span.record_exception(&error.as_ref())));
    serve!(layer, gives_up(|span, error| span.record_exception(error.as_ref() as &dyn Error)));
    let said: Vec<_> = logs.said().into_iter().map(|said| said.attributes).collect();
    assert_eq!(said, vec![with_message("_OTHER", "no item 42"); 3]);
}

#[test]
fn without_a_span_there_is_no_exception_however_many_layers_there_are() {
    let (recorder, logs) = (Recorder::of_spans_alone(), Logs::new());
    let noop = NoopTracerProvider::new();
    let layer = || {
        let layer = recorder.layer().with_logger_provider(&logs.provider);
        layer.with_tracer_provider(&noop)
    };
    serve!(layer(), ServiceBuilder::new().layer(layer()).service_fn(fails));
    let client = || {
        let layer = recorder.client_layer().with_logger_provider(&logs.provider);
        layer.with_tracer_provider(&noop)
    };
    serve!(client(), ServiceBuilder::new().layer(client()).service_fn(fails));
    assert_eq!(logs.said(), []);
}

#[test]
fn a_request_that_is_not_sampled_has_its_exceptions_in_the_log_with_its_ids() {
    let logs = Logs::new();
    let (telemetry, _) = sampled_by(SamplerBuilder::new().with_always_off());
    let layer = TraceLayer::new()
        .with_telemetry(&telemetry)
        .with_logger_provider(&logs.provider)
        .with_exception_messages();
    serve!(layer, ServiceBuilder::new().layer(ErrorTypeLayer::new()).service_fn(fails));
    let client =
        ClientTraceLayer::new().with_telemetry(&telemetry).with_logger_provider(&logs.provider);
    serve!(client, service_fn(fails));
    let [server, client] = &logs.said()[..] else { panic!("two records") };
    assert_eq!(server.attributes, with_message(IO, "the disk is full"));
    assert_eq!(client.attributes, typed(IO));
    for said in [server, client] {
        let (trace, span, flags) = said.ids.as_ref().unwrap();
        assert_ne!(
            (trace.as_str(), span.as_str()),
            ("0".repeat(32).as_str(), "0".repeat(16).as_str())
        );
        assert_eq!(flags & 1, 0);
    }
}

#[test]
fn what_is_filtered_or_only_measured_has_no_exceptions_and_two_layers_have_one() {
    let (recorder, logs) = (Recorder::of_spans_alone(), Logs::new());
    let layer = || recorder.layer().with_logger_provider(&logs.provider);
    let metrics = || MetricsLayer::from(layer().with_metrics(Meters::everything()));
    for verdict in [Verdict::none(), Verdict::all().without_span()] {
        serve!(
            layer().with_metrics(Meters::everything()).with_filter(move |_| verdict),
            service_fn(fails)
        );
    }
    serve!(metrics(), service_fn(fails));
    assert_eq!(logs.said(), []);
    serve!(layer(), ServiceBuilder::new().layer(layer()).layer(metrics()).service_fn(fails));
    assert_eq!(logs.said().len(), 1);
    serve!(metrics(), ServiceBuilder::new().layer(layer()).service_fn(fails));
    assert_eq!(logs.said().len(), 2);
}

#[test]
fn a_calls_exceptions_have_rpcs_name_and_its_status_is_none() {
    let (recorder, logs) = (Recorder::new(), Logs::new());
    let call =
        || Request::builder().header(header::CONTENT_TYPE, "application/grpc").body(()).unwrap();
    let client = recorder.client_layer().with_logger_provider(&logs.provider);
    serve!(recorder.layer().with_logger_provider(&logs.provider), service_fn(fails), call());
    serve!(client, service_fn(fails), call());
    let events: Vec<_> = logs.said().iter().map(|said| (said.event, said.severity)).collect();
    assert_eq!(
        events,
        [
            (Some("rpc.server.call.exception"), Some(Severity::Error)),
            (Some("rpc.client.call.exception"), Some(Severity::Warn)),
        ]
    );

    let status = service_fn(|_: Request<()>| async {
        Err::<Response<String>, _>(tonic::Status::not_found("no such item"))
    });
    serve!(client, status, call());
    assert_eq!(logs.said().len(), 2);
}

#[test]
fn the_environment_says_where_unless_the_code_does() {
    for (value, code, on_span, in_logs) in [
        (Some("logs"), None, 0, 1),
        (Some("logs/dup"), None, 1, 1),
        (Some("logs/dup"), Some(Exceptions::Off), 0, 0),
        (Some("events"), None, 0, 1),
        (None, None, 0, 1),
    ] {
        let name = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";
        let telemetry = Telemetry::builder()
            .with_environment(value.map(|value| (name, value)))
            .build()
            .unwrap();
        let warned: Vec<_> =
            telemetry.warnings().iter().map(|one| (one.variable(), one.value())).collect();
        let bad = value == Some("events");
        assert_eq!(warned, if bad { vec![(name, "events")] } else { vec![] });
        let (recorder, logs) = (Recorder::of_spans_alone(), Logs::new());
        let layer = TraceLayer::new()
            .with_telemetry(&telemetry)
            .with_tracer_provider(&recorder.provider)
            .with_logger_provider(&logs.provider);
        let layer = match code {
            Some(exceptions) => layer.with_exceptions(exceptions),
            None => layer,
        };
        serve!(layer, service_fn(fails));
        assert_eq!(
            (events(&recorder.span()).len(), logs.said().len()),
            (on_span, in_logs),
            "{value:?}"
        );
    }
}

#[test]
fn a_hook_sees_the_end_as_ever() {
    let recorder = Recorder::new();
    let layer =
        recorder.layer().with_exceptions(Exceptions::SpanEvent).on_error(|ended, attributes| {
            attributes.set("error", ended.error_type().unwrap().to_owned());
        });
    serve!(layer, service_fn(fails));
    let span = recorder.span();
    let error = span.attributes.iter().find(|one| one.key.as_str() == "error").unwrap();
    assert_eq!(error.value, Value::from(IO));
    assert_eq!(events(&span).len(), 1);
}
