//! What the environment says: under the code, over the defaults, and never the end of the program.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    io::{self, Write},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::Request;
use opentelemetry::{KeyValue, trace::Status};
use tower_telemetry::{
    ClientTraceLayer, Grpc, ResourceBuilder, SamplerBuilder, Telemetry, TelemetryBuilder,
    TraceLayer,
    sdk::{Limits, export::Otlp},
};

use crate::support::{
    exchange::{client_span_of, exchange, response, span_of},
    recorder::{Described, Recorder},
};

/// Without an exporter, unless the test names one.
fn builder<const N: usize>(variables: [(&str, &str); N]) -> TelemetryBuilder {
    Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")].into_iter().chain(variables))
}

fn resource(telemetry: &Telemetry) -> BTreeMap<String, String> {
    telemetry.resource().iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn warned(telemetry: &Telemetry) -> Vec<(&str, &str)> {
    telemetry.warnings().iter().map(|warning| (warning.variable(), warning.value())).collect()
}

#[test]
fn the_resource_has_the_defaults() {
    let telemetry = builder([]).build().unwrap();
    let resource = resource(&telemetry);
    let executable = env::current_exe().unwrap();
    let executable = executable.file_name().unwrap().to_str().unwrap();
    assert_eq!(resource["service.name"], format!("unknown_service:{executable}"));
    assert_eq!(resource["telemetry.sdk.name"], "opentelemetry");
    assert_eq!(resource["telemetry.sdk.language"], "rust");
    assert_eq!(resource["telemetry.sdk.version"], "0.33.1");
    assert_eq!(resource["telemetry.distro.name"], "tower-telemetry");
    assert_eq!(resource["telemetry.distro.version"], env!("CARGO_PKG_VERSION"));
    assert!(resource.contains_key("service.instance.id"));
    assert_eq!(resource.len(), 7, "{resource:?}");
    assert_eq!(telemetry.resource().schema_url(), Some(tower_telemetry::SCHEMA_URL));
}

#[test]
fn code_wins_over_the_environment_attribute_by_attribute() {
    let variables = [
        ("OTEL_SERVICE_NAME", "by-name"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-list,service.version=1,team=a%20b"),
    ];
    let from_env = resource(&builder(variables).build().unwrap());
    assert_eq!(from_env["service.name"], "by-name");
    assert_eq!(from_env["service.version"], "1");
    assert_eq!(from_env["team"], "a b");

    let own = ResourceBuilder::new()
        .with_service_name("by-code")
        .with_service_namespace("market")
        .with_service_version("2")
        .with_attributes([KeyValue::new("number", 3), KeyValue::new("number", 4)]);
    let from_code = resource(&builder(variables).with_resource(own).build().unwrap());
    assert_eq!(from_code["service.name"], "by-code");
    assert_eq!(from_code["service.namespace"], "market");
    assert_eq!(from_code["service.version"], "2");
    assert_eq!(from_code["team"], "a b");
    assert_eq!(from_code["number"], "4");
}

#[test]
fn one_bad_pair_discards_the_list_with_one_warning() {
    let telemetry = builder([("OTEL_RESOURCE_ATTRIBUTES", "team=a,oops")]).build().unwrap();
    assert_eq!(warned(&telemetry), [("OTEL_RESOURCE_ATTRIBUTES", "team=a,oops")]);
    assert!(!resource(&telemetry).contains_key("team"));
}

#[test]
fn a_bad_value_is_one_warning_and_an_empty_one_is_none() {
    let bad = [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "later"),
    ];
    let telemetry = builder(bad).build().unwrap();
    assert_eq!(warned(&telemetry), bad);

    let empty = bad.map(|(variable, _)| (variable, ""));
    assert_eq!(warned(&builder(empty).build().unwrap()), []);
}

#[test]
fn what_the_code_says_is_not_asked_of_the_environment() {
    let variables = [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "smoke-signals"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ];
    let telemetry = builder(variables)
        .with_sampler(SamplerBuilder::new())
        .with_otlp(
            Otlp::new()
                .with_endpoint("http://localhost:4318")
                .with_protocol("http/protobuf")
                .with_timeout(Duration::from_secs(1)),
        )
        .build()
        .unwrap();
    assert_eq!(warned(&telemetry), []);
}

#[test]
fn the_exporters_variables_are_read() {
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "smoke-signals"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no pair"),
        ])
        .build()
        .unwrap();
    let mut warned = warned(&telemetry);
    warned.sort_unstable();
    assert_eq!(
        warned,
        [
            ("OTEL_EXPORTER_OTLP_HEADERS", "REDACTED"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "smoke-signals"),
        ]
    );
}

#[test]
fn a_bad_endpoint_is_an_error_that_names_the_variable() {
    for variable in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        let error =
            Telemetry::builder().with_environment([(variable, "nowhere")]).build().unwrap_err();
        assert_eq!((error.setting(), error.value()), (variable, "nowhere"));
    }
}

#[test]
fn exporters_that_cannot_be_used_are_skipped_with_a_warning() {
    const CONSOLE: &str = "tower_telemetry::sdk::export::console::ConsoleExporter";
    const OTLP: &str = "OTLP to localhost:4318/v1/traces";
    for (list, destinations, bad) in [
        ("none", &[][..], &[][..]),
        ("none, zipkin,,carrier-pigeon", &[], &["zipkin", "carrier-pigeon"]),
        ("Console,otlp/stdout", &[CONSOLE], &["otlp/stdout"]),
        ("none,console", &[CONSOLE], &["none"]),
        ("console,NONE,otlp", &[CONSOLE, OTLP], &["NONE"]),
        // As if it were not set.
        ("zipkin", &[OTLP], &["zipkin"]),
        ("logging", &[OTLP], &["logging"]),
        (" , ", &[OTLP], &[]),
    ] {
        let telemetry = Telemetry::builder()
            .with_environment([("OTEL_TRACES_EXPORTER", list)])
            .build()
            .unwrap();
        let expected: Vec<_> = bad.iter().map(|name| ("OTEL_TRACES_EXPORTER", *name)).collect();
        assert_eq!(warned(&telemetry), expected, "{list}");
        assert_eq!(telemetry.destinations().collect::<Vec<_>>(), destinations, "{list}");
    }
}

#[test]
fn a_file_of_settings_is_not_read_and_the_other_variables_count() {
    for variable in ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] {
        let variables = [(variable, "otel.yaml"), ("OTEL_SERVICE_NAME", "shop")];
        let telemetry = builder(variables).build().unwrap();
        assert_eq!(warned(&telemetry), [(variable, "otel.yaml")]);
        assert_eq!(resource(&telemetry)["service.name"], "shop");
    }
}

/// The lines that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn of<T>(&self, job: impl FnOnce() -> T) -> T {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, job)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn a_warning_is_logged_once() {
    // In a process of its own: if a test without a subscriber logs at the same place for the first
    // time just when this one sets its own, tracing may take it that nobody listens there.
    if env::var_os(CHILD).is_some() {
        let log = Log::default();
        let telemetry = log.of(|| builder([("OTEL_TRACES_SAMPLER", "sometimes")]).build().unwrap());
        println!("\nwarnings: {}", telemetry.warnings().len());
        log.lines().iter().for_each(|line| println!("logged: {line}"));
        return;
    }
    let printed = in_a_process("a_warning_is_logged_once", &[]);
    assert!(printed.contains(&"warnings: 1".to_owned()), "{printed:?}");
    let logged: Vec<_> = printed.iter().filter(|line| line.starts_with("logged: ")).collect();
    let [line] = &logged[..] else {
        panic!("{printed:?}");
    };
    let expected = "logged: WARN tower-telemetry: OTEL_TRACES_SAMPLER is `sometimes`: must be ";
    assert!(line.starts_with(expected), "{line}");
}

#[test]
fn where_spans_go_is_said_and_an_exporter_named_twice_is_wanted_once() {
    let destinations = |exporters| {
        let telemetry = Telemetry::builder()
            .with_environment([
                ("OTEL_TRACES_EXPORTER", exporters),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@collector:4318/?key=s3cret"),
            ])
            .build()
            .unwrap();
        telemetry.destinations().map(str::to_owned).collect::<Vec<_>>()
    };
    let console = "tower_telemetry::sdk::export::console::ConsoleExporter";
    assert_eq!(destinations(""), ["OTLP to collector:4318/v1/traces"]);
    assert_eq!(destinations("otlp, console,OTLP"), ["OTLP to collector:4318/v1/traces", console]);
    assert_eq!(destinations("none"), [""; 0]);
}

#[test]
fn a_builder_shows_no_secret() {
    let builder = builder([("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret")])
        .with_otlp(Otlp::new().with_endpoint("http://user:s3cret@host").with_header("a", "s3cret"));
    let shown = format!("{builder:?}");
    assert!(shown.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_limit_is_in_force() {
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    let exporter = InMemorySpanExporter::default();
    let telemetry = builder([("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")])
        .with_span_exporter(exporter.clone())
        .build()
        .unwrap();
    let mut span = telemetry.tracer_provider().tracer("test").start("span");
    for number in 0..5 {
        span.set_attribute(KeyValue::new(number.to_string(), number));
    }
    drop(span);
    telemetry.force_flush(Duration::from_secs(30)).unwrap();
    assert_eq!(exporter.get_finished_spans().unwrap()[0].attributes.len(), 2);
}

#[test]
fn texts_are_cut_before_anybody_sees_them() {
    use opentelemetry::{
        Array, SpanId, StringValue, TraceFlags, TraceId, Value,
        trace::{Event, Link, Span, SpanContext, TraceState, Tracer, TracerProvider},
    };
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor, SpanData};

    let (trace, span) = (TraceId::from(1), SpanId::from(1));
    let other = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
    let texts = |texts: [&'static str; 2]| {
        Value::Array(Array::String(texts.map(StringValue::from).to_vec()))
    };
    let long = || KeyValue::new("long", "名前と値");
    let cut = || KeyValue::new("long", "名前と");
    let span_of = |builder: TelemetryBuilder| -> Vec<SpanData> {
        let (exported, processed) =
            (InMemorySpanExporter::default(), InMemorySpanExporter::default());
        let resource = ResourceBuilder::new().with_attribute("long", "of the resource");
        let telemetry = builder
            .with_resource(resource)
            .with_span_exporter(exported.clone())
            .with_span_processor(SimpleSpanProcessor::new(processed.clone()))
            .build()
            .unwrap();
        let of_the_resource = telemetry.resource().get(&"long".into());
        assert_eq!(of_the_resource, Some("of the resource".into()));
        let tracer = telemetry.tracer_provider().tracer("test");
        let builder = tracer
            .span_builder("a long name")
            .with_attributes([
                long(),
                KeyValue::new("list", texts(["abcd", "abc"])),
                KeyValue::new("number", 12345),
            ])
            .with_events(vec![Event::new("a long event", SystemTime::now(), vec![long()], 0)])
            .with_links(vec![Link::new(other.clone(), vec![long()], 0)]);
        let mut span = builder.start(&tracer);
        span.set_status(Status::error("a long status"));
        drop(span);
        telemetry.force_flush(Duration::from_secs(5)).unwrap();
        let spans = [exported, processed].map(|spans| spans.get_finished_spans().unwrap());
        spans.into_iter().flatten().collect()
    };
    for span in
        span_of(builder([("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")])).into_iter().chain(span_of(
            builder([("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100")])
                .with_limits(Limits::new().with_attribute_value_length(3)),
        ))
    {
        let list = KeyValue::new("list", texts(["abc", "abc"]));
        assert_eq!(span.attributes, [cut(), list, KeyValue::new("number", 12345)]);
        assert_eq!(span.events[0].attributes, [cut()]);
        assert_eq!(span.links[0].attributes, [cut()]);
        assert_eq!((&*span.name, &*span.events[0].name), ("a long name", "a long event"));
        assert_eq!(span.status, Status::error("a long status"));
        assert_eq!(span.dropped_attributes_count, 0);
    }
    let spans = span_of(builder([]));
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.attributes[0] == long()));
}

#[test]
fn propagators_are_those_of_the_code_or_the_environment_or_the_w3cs() {
    use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};

    let names = |telemetry: Telemetry| format!("{:?}", telemetry.propagator());
    let of = |list| builder([("OTEL_PROPAGATORS", list)]).build().unwrap();
    assert_eq!(names(builder([]).build().unwrap()), "[tracecontext, baggage]");
    assert_eq!(names(of("")), "[tracecontext, baggage]");
    assert_eq!(names(of("b3, TraceContext,b3,xray")), "[b3, tracecontext, xray]");
    assert_eq!(names(of("none")), "[]");
    assert_eq!(
        names(builder([("OTEL_PROPAGATORS", "b3")]).with_propagators(["jaeger"]).build().unwrap()),
        "[jaeger]"
    );
    let none = TextMapCompositePropagator::new(Vec::new());
    assert_eq!(
        builder([]).with_propagator(none).build().unwrap().propagator().fields().next(),
        None
    );
}

#[test]
fn a_propagator_that_is_not_known_is_a_warning_of_the_environment_and_an_error_of_the_code() {
    for (list, used, bad) in [
        ("tracecontext,w3c", "[tracecontext]", "w3c"),
        ("ottrace", "[tracecontext, baggage]", "ottrace"),
        ("none,b3multi", "[b3multi]", "none"),
    ] {
        let telemetry = builder([("OTEL_PROPAGATORS", list)]).build().unwrap();
        assert_eq!(format!("{:?}", telemetry.propagator()), used, "{list}");
        let [warning] = telemetry.warnings() else { panic!("one warning for {list}") };
        assert_eq!((warning.variable(), warning.value()), ("OTEL_PROPAGATORS", bad));
    }
    for (names, value) in [(["b3", "w3c"], "w3c"), (["none", "b3"], "none"), (["b3", ""], "")] {
        let error = builder([]).with_propagators(names).build().unwrap_err();
        assert_eq!((error.setting(), error.value()), ("propagator", value));
    }
}

#[test]
fn a_service_name_of_the_builder_wins_over_that_of_a_resource() {
    for telemetry in [
        builder([]).with_service_name("builder").with_resource(named("resource")),
        builder([]).with_resource(named("resource")).with_service_name("builder"),
        builder([]).with_resource(named("").with_service_name("builder")),
    ] {
        assert_eq!(resource(&telemetry.build().unwrap())["service.name"], "builder");
    }
}

fn named(name: &str) -> ResourceBuilder {
    ResourceBuilder::new().with_service_name(name)
}

/// Runs one of this module's tests in another process, since the environment of this one is not to
/// be changed, and gives what it has printed.
fn in_a_process(test: &str, variables: &[(&str, &OsStr)]) -> Vec<String> {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("environment::{test}"), "--nocapture"])
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8(child.stdout).unwrap();
    printed.lines().map(str::to_owned).collect()
}

/// Set where a test is the one in the other process.
const CHILD: &str = "TOWER_TELEMETRY_TEST_IS_CHILD";

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn the_environment_of_the_process_is_read() {
    if env::var_os(CHILD).is_some() {
        let log = Log::default();
        let telemetry = log.of(|| Telemetry::builder().build().unwrap());
        println!("\nname: {}", resource(&telemetry)["service.name"]);
        println!("warned: {:?}", warned(&telemetry));
        println!("logged: {}", log.lines().len());
        return;
    }
    let printed = in_a_process(
        "the_environment_of_the_process_is_read",
        &[
            ("OTEL_SERVICE_NAME", OsStr::new("by-process")),
            ("OTEL_TRACES_EXPORTER", OsStr::new("none")),
            ("OTEL_TRACES_SAMPLER", OsStr::new("sometimes")),
        ],
    );
    for line in
        ["name: by-process", r#"warned: [("OTEL_TRACES_SAMPLER", "sometimes")]"#, "logged: 1"]
    {
        assert!(printed.iter().any(|printed| printed == line), "{line} in {printed:#?}");
    }
}

#[cfg(unix)]
#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn what_is_not_utf_8_is_a_warning_or_for_an_endpoint_an_error_and_never_repeated() {
    use std::os::unix::ffi::OsStrExt;

    if env::var_os(CHILD).is_some() {
        match Telemetry::builder().build() {
            Ok(telemetry) => println!("\nwarned: {:?}", warned(&telemetry)),
            Err(error) => println!("\nerror: {error}"),
        }
        return;
    }
    let junk = OsStr::from_bytes(b"s3cret\xff");
    for (variable, line) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", r#"warned: [("OTEL_EXPORTER_OTLP_HEADERS", "REDACTED")]"#),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "error: invalid OTEL_EXPORTER_OTLP_ENDPOINT `REDACTED`: must be UTF-8",
        ),
    ] {
        let printed = in_a_process(
            "what_is_not_utf_8_is_a_warning_or_for_an_endpoint_an_error_and_never_repeated",
            &[(variable, junk)],
        );
        assert!(printed.iter().any(|printed| printed == line), "{line} in {printed:#?}");
        assert!(!printed.concat().contains("s3cret"));
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn a_layer_of_its_own_reads_the_environment_of_the_process() {
    if env::var_os(CHILD).is_some() {
        let recorder = Recorder::new();
        let layer = recorder.layer();
        let request = Request::builder().method("PURGE").header("x-a", "a").body(()).unwrap();
        exchange(&layer, request, response(""));
        let span = Described::from(recorder.span());
        println!("\nmethod: {}", span.attributes["http.request.method"]);
        println!("header: {}", span.attributes["http.request.header.x-a"]);
        let warned: Vec<_> =
            layer.warnings().iter().map(|warning| (warning.variable(), warning.value())).collect();
        println!("warned: {warned:?}");
        return;
    }
    let headers = "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS";
    let printed = in_a_process(
        "a_layer_of_its_own_reads_the_environment_of_the_process",
        &[
            ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", OsStr::new("GET,PURGE,(")),
            (headers, OsStr::new("X-A")),
            // Empty is unset.
            ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS", OsStr::new(" ")),
        ],
    );
    for line in [
        "method: PURGE",
        r#"header: ["a"]"#,
        r#"warned: [("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "(")]"#,
    ] {
        assert!(printed.contains(&line.to_owned()), "{line}: {printed:?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn a_client_layer_of_its_own_reads_what_is_said_of_clients() {
    if env::var_os(CHILD).is_some() {
        let recorder = Recorder::of_spans_alone();
        let layer = ClientTraceLayer::new().with_tracer_provider(&recorder.provider);
        let request = Request::builder().method("PURGE").header("x-a", "a").header("x-b", "b");
        let mut answer = response("");
        answer.headers_mut().insert("x-c", "c".parse().unwrap());
        exchange(&layer, request.body(()).unwrap(), answer);
        let span = Described::from(recorder.span());
        println!("\nkeys: {:?}", span.attributes.keys().collect::<Vec<_>>());
        let warned: Vec<_> =
            layer.warnings().iter().map(|warning| (warning.variable(), warning.value())).collect();
        println!("warned: {warned:?}");
        return;
    }
    let printed = in_a_process(
        "a_client_layer_of_its_own_reads_what_is_said_of_clients",
        &[
            ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", OsStr::new("GET,PURGE")),
            ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", OsStr::new("X-A, a b")),
            ("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS", OsStr::new("x-c")),
            ("OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", OsStr::new("x-b")),
        ],
    );
    for line in [
        r#"keys: ["http.request.header.x-a", "http.request.method", "http.response.header.x-c", "#,
        r#"warned: [("OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", "a b")]"#,
    ] {
        assert!(printed.iter().any(|printed| printed.starts_with(line)), "{line}: {printed:?}");
    }
    assert!(!printed.concat().contains("header.x-b"), "{printed:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn the_environment_chooses_the_name_of_a_calls_status_unless_the_code_does() {
    if env::var_os(CHILD).is_some() {
        let call =
            || Request::post("/shop.v1.Inventory/Get").header("content-type", "application/grpc");
        let names = |span: Described| {
            let names = span.attributes.into_keys().filter(|key| key.ends_with("status_code"));
            names.collect::<Vec<_>>().join(" ")
        };
        let mut answer = response("");
        answer.headers_mut().insert("grpc-status", "0".parse().unwrap());
        let span = |layer: fn(TraceLayer) -> TraceLayer| {
            names(span_of(layer, call().body(()).unwrap(), answer.clone()))
        };
        println!("\nserver: {}", span(|layer| layer));
        println!("set: {}", span(|layer| layer.with_grpc(Grpc::new().with_legacy_names(None))));
        println!("other: {}", span(|layer| layer.with_grpc(Grpc::new())));
        let of_client = client_span_of(|layer| layer, call().body(()).unwrap(), answer.clone());
        println!("client: {}", names(of_client));
        println!("warned: {:?}", TraceLayer::new().warnings());
        return;
    }
    let (old, new) = ("rpc.response.status_code", "rpc.status_code");
    let both = format!("{old} {new}");
    for (opt_in, names, warned) in [
        ("", new, None),
        ("http/dup", new, None),
        ("rpc", new, None),
        ("rpc/dup", &both, None),
        (" http , rpc/dup,rpc ", &both, None),
        ("rpc/old", old, None),
        ("rpc/old,rpc", new, None),
        ("rpc/oldest", new, Some("rpc/oldest")),
    ] {
        let printed = in_a_process(
            "the_environment_chooses_the_name_of_a_calls_status_unless_the_code_does",
            &[("OTEL_SEMCONV_STABILITY_OPT_IN", OsStr::new(opt_in))],
        );
        for line in [
            format!("server: {names}"),
            format!("set: {new}"),
            format!("other: {names}"),
            format!("client: {names}"),
        ] {
            assert!(printed.contains(&line), "{opt_in}: {line} in {printed:#?}");
        }
        let line = printed.iter().find(|line| line.starts_with("warned: ")).unwrap();
        match warned {
            Some(entry) => assert!(line.contains("STABILITY_OPT_IN") && line.contains(entry)),
            None => assert_eq!(line, "warned: []", "{opt_in}"),
        }
    }
}
