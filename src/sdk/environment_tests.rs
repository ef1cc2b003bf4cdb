//! The table of variables in the docs is what the code asks for and does.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use crate::{
    error::BuildError,
    sdk::{ResourceBuilder, Telemetry, env::asked, logs::LogSettings, metrics::MetricSettings},
};

/// A row of the table.
struct Row {
    /// Tried one after the other.
    variables: &'static [&'static str],
    /// In words.
    default: &'static str,
    /// A value that says what is so anyway.
    is: Option<&'static str>,
    /// A value that says something else.
    other: Option<&'static str>,
    /// Where the code says it.
    code: &'static str,
    bad: Bad,
    /// What has to be set for the variable to count.
    with: &'static [(&'static str, &'static str)],
}

/// What becomes of a value that cannot be used, and in words.
enum Bad {
    /// There is none.
    None,
    /// A warning that shows this of it; and then it is as if that were its value, or it not set.
    Warned { value: &'static str, shown: &'static str, as_if: &'static str, words: &'static str },
    /// A [`BuildError`], and what else there is to say.
    Error { value: &'static str, words: &'static str },
}

const fn row(
    variables: &'static [&'static str],
    default: &'static str,
    code: &'static str,
    bad: Bad,
) -> Row {
    Row { variables, default, is: None, other: None, code, bad, with: &[] }
}

/// The same value is shown.
const fn warned(value: &'static str, words: &'static str) -> Bad {
    Bad::Warned { value, shown: value, as_if: "", words }
}

/// A list that loses one of its entries.
const fn loses(value: &'static str, shown: &'static str, as_if: &'static str) -> Bad {
    Bad::Warned { value, shown, as_if, words: ENTRY }
}

impl Row {
    const fn is(self, value: &'static str) -> Self {
        Self { is: Some(value), ..self }
    }

    const fn other(self, value: &'static str) -> Self {
        Self { other: Some(value), ..self }
    }

    const fn with(self, with: &'static [(&'static str, &'static str)]) -> Self {
        Self { with, ..self }
    }
}

const DEFAULT: &str = "the default";
const UNUSED: &str = "; for an `http` endpoint it is not used, with a warning";
const ENTRY: &str = "the entry is skipped";

const HTTP: &[(&str, &str)] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")];
const HTTPS: &[(&str, &str)] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318")];
const PROXY: &[(&str, &str)] = &[HTTP[0], ("HTTP_PROXY", "http://proxy:3128")];

const ROWS: &[Row] = &[
    row(
        &["OTEL_SDK_DISABLED"],
        "`false`",
        "[`with_sdk_disabled`](TelemetryBuilder::with_sdk_disabled)",
        warned("yes", DEFAULT),
    )
    .is("False")
    .other("TRUE"),
    row(
        &["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"],
        "none",
        "–",
        warned("otel.yaml", "no file is read, and the other variables count"),
    ),
    row(
        &["OTEL_SERVICE_NAME"],
        "`unknown_service:` and the executable's name, or the [package's][package]",
        "[`with_service_name`](TelemetryBuilder::with_service_name)",
        Bad::None,
    )
    .other("shop"),
    row(
        &["OTEL_RESOURCE_ATTRIBUTES"],
        "none",
        "[`ResourceBuilder::with_attribute`](ResourceBuilder::with_attribute)",
        warned(
            "oops",
            "none of the attributes are used; of `telemetry.sdk.*` and an empty \
             `service.instance.id`, that one is not",
        ),
    )
    .other("team=a"),
    row(
        &["OTEL_TRACES_SAMPLER"],
        "`parentbased_always_on`; or `always_on`, `always_off`, `traceidratio`, \
         `parentbased_always_off`, `parentbased_traceidratio`",
        "[`with_sampler`](TelemetryBuilder::with_sampler)",
        warned(
            "jaeger_remote",
            "the default, also for `jaeger_remote`, `parentbased_jaeger_remote` and `xray`, which \
             are not built in",
        ),
    )
    .is("parentbased_always_on")
    .other("always_off"),
    row(
        &["OTEL_TRACES_SAMPLER_ARG"],
        "`1.0`; the ratio, from 0 to 1, by the older arithmetic",
        "[`with_trace_id_ratio`](SamplerBuilder::with_trace_id_ratio)",
        warned("2", DEFAULT),
    )
    .with(&[("OTEL_TRACES_SAMPLER", "traceidratio")])
    .is("1.0")
    .other("0.5"),
    row(
        &["OTEL_PROPAGATORS"],
        "`tracecontext,baggage`; see [`Propagator::named`]",
        "[`with_propagators`](TelemetryBuilder::with_propagators)",
        warned("w3c", "the name is skipped; if no name is known, the default"),
    )
    .is("tracecontext,baggage")
    .other("b3"),
    row(
        &["OTEL_TRACES_EXPORTER"],
        "`otlp`, if it is built in; or `console`, both, or `none` alone",
        "[`with_otlp`](TelemetryBuilder::with_otlp) and those after it",
        warned(
            "zipkin",
            "the name is skipped; if no name is known, the default. So are `zipkin`, `logging` and \
             `otlp/stdout`, which are not built in",
        ),
    )
    .is("otlp")
    .other("none"),
    row(
        &["OTEL_METRICS_EXPORTER"],
        "`otlp`, if it is built in; or `none`. For metrics that are \
         [switched on](TelemetryBuilder::with_metrics), as all that has `METRIC` in it",
        "[`MetricSettings::with_otlp`](metrics::MetricSettings::with_otlp) and those after it",
        warned(
            "prometheus",
            "the name is skipped; if no name is known, the default. So are `prometheus`, which is \
             [a reader](metrics::MetricSettings::with_reader), and `console`, `logging` and \
             `otlp/stdout`, which are not built in",
        ),
    )
    .is("otlp")
    .other("none"),
    row(
        &["OTEL_LOGS_EXPORTER"],
        "`otlp`, if it is built in; or `none`. For logs that are [switched on](TelemetryBuilder::with_logs), \
         as all that has `LOGS`, `BLRP` or `LOGRECORD` in it",
        "[`LogSettings::with_otlp`](logs::LogSettings::with_otlp) and those after it",
        warned(
            "syslog",
            "the name is skipped; if no name is known, the default. So are `console`, `logging` and \
             `otlp/stdout`, which are not built in",
        ),
    )
    .is("otlp")
    .other("none"),
    row(
        &["OTEL_EXPORTER_OTLP_ENDPOINT"],
        "`http://localhost:4318`; for gRPC `http://localhost:4317`",
        "[`Otlp::with_endpoint`](export::Otlp::with_endpoint)",
        Bad::Error { value: "nowhere", words: "" },
    )
    .is("http://localhost:4318")
    .other("http://collector:4318"),
    row(
        &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        "the one above, for HTTP with `/v1/traces` behind it",
        "[`Otlp::with_traces_endpoint`](export::Otlp::with_traces_endpoint)",
        Bad::Error { value: "nowhere", words: "" },
    )
    .is("http://localhost:4318/v1/traces")
    .other("http://collector:4318/intake"),
    row(
        &["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"],
        "the general one, for HTTP with `/v1/metrics` behind it",
        "[`Otlp::with_metrics_endpoint`](export::Otlp::with_metrics_endpoint)",
        Bad::Error { value: "nowhere", words: "" },
    )
    .is("http://localhost:4318/v1/metrics")
    .other("http://collector:4318/intake"),
    row(
        &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
        "the general one, for HTTP with `/v1/logs` behind it",
        "[`Otlp::with_logs_endpoint`](export::Otlp::with_logs_endpoint)",
        Bad::Error { value: "nowhere", words: "" },
    )
    .is("http://localhost:4318/v1/logs")
    .other("http://collector:4318/intake"),
    row(
        &["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"],
        "`http/protobuf`, whatever is built in; or `http/json`, `grpc`",
        "[`Otlp::with_protocol`](export::Otlp::with_protocol)",
        warned("smoke-signals", DEFAULT),
    )
    .is("http/protobuf")
    .other("grpc"),
    row(
        &["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"],
        "none",
        "[`Otlp::with_header`](export::Otlp::with_header), header by header",
        loses("a=b,no pair", "REDACTED", "a=b"),
    )
    .other("a=b"),
    row(
        &["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"],
        "`10000` (ms; 0 is no limit)",
        "[`Otlp::with_timeout`](export::Otlp::with_timeout)",
        warned("soon", DEFAULT),
    )
    .is("10000")
    .other("0"),
    row(
        &["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION"],
        "`none`; or `gzip`, `zstd`",
        "[`Otlp::with_compression`](export::Otlp::with_compression)",
        warned("brotli", DEFAULT),
    )
    .is("none")
    .other("gzip"),
    row(
        &["OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_LOGS_INSECURE"],
        "`false`: over gRPC, an endpoint without a scheme is `https`",
        "[`Otlp::with_endpoint`](export::Otlp::with_endpoint), with the scheme",
        warned("yes", DEFAULT),
    )
    .with(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ])
    .is("false")
    .other("true"),
    row(
        &["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE"],
        "the system's roots; the path of a PEM",
        "[`Otlp::with_ca_certificate`](export::Otlp::with_ca_certificate)",
        Bad::Error { value: "/nowhere.pem", words: UNUSED },
    )
    .with(HTTPS),
    row(
        &["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE"],
        "none; the path of a PEM",
        "[`Otlp::with_client_certificate`](export::Otlp::with_client_certificate)",
        Bad::Error { value: "/nowhere.pem", words: UNUSED },
    )
    .with(HTTPS),
    row(
        &["OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"],
        "none; the path of a PEM",
        "[`Otlp::with_client_certificate`](export::Otlp::with_client_certificate)",
        Bad::Error { value: "/nowhere.pem", words: UNUSED },
    )
    .with(HTTPS),
    row(
        &["HTTPS_PROXY", "https_proxy"],
        "no proxy, for `https` endpoints",
        "[`Otlp::with_proxy`](export::Otlp::with_proxy)",
        warned("ftp://proxy", "no proxy"),
    )
    .with(HTTPS)
    .other("http://proxy:3128"),
    row(
        &["HTTP_PROXY", "http_proxy"],
        "no proxy, for `http` endpoints",
        "[`Otlp::with_proxy`](export::Otlp::with_proxy)",
        warned("ftp://proxy", "no proxy"),
    )
    .with(HTTP)
    .other("http://proxy:3128"),
    row(
        &["ALL_PROXY", "all_proxy"],
        "no proxy, where those above say nothing",
        "[`Otlp::with_proxy`](export::Otlp::with_proxy)",
        warned("ftp://proxy", "no proxy"),
    )
    .with(HTTP)
    .other("http://proxy:3128"),
    row(
        &["NO_PROXY", "no_proxy"],
        "none; hosts and networks, with commas",
        "[`Otlp::without_proxy`](export::Otlp::without_proxy)",
        Bad::None,
    )
    .with(PROXY)
    .other("collector"),
    row(
        &["REQUEST_METHOD"],
        "none; where it is set, as under CGI, `HTTP_PROXY` is not used",
        "–",
        Bad::None,
    )
    .with(PROXY)
    .other("GET"),
    row(
        &["OTEL_BSP_SCHEDULE_DELAY"],
        "`5000` (ms, above 0)",
        "[`with_schedule_delay`](BatchSettings::with_schedule_delay)",
        warned("0", DEFAULT),
    )
    .is("5000")
    .other("100"),
    row(
        &["OTEL_BSP_EXPORT_TIMEOUT"],
        "`30000` (ms; 0 is no limit)",
        "[`with_export_timeout`](BatchSettings::with_export_timeout)",
        warned("-1", DEFAULT),
    )
    .is("30000")
    .other("0"),
    row(
        &["OTEL_BSP_MAX_QUEUE_SIZE"],
        "`2048` (spans, 1 to 1048576)",
        "[`with_max_queue_size`](BatchSettings::with_max_queue_size)",
        warned("0", DEFAULT),
    )
    .is("2048")
    .other("1024"),
    row(
        &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
        "`512` (spans), at most the queue's size",
        "[`with_max_export_batch_size`](BatchSettings::with_max_export_batch_size)",
        warned("0", DEFAULT),
    )
    .is("512")
    .other("64"),
    row(
        &["OTEL_METRIC_EXPORT_INTERVAL"],
        "`60000` (ms, above 0)",
        "[`MetricSettings::with_interval`](metrics::MetricSettings::with_interval)",
        warned("0", DEFAULT),
    )
    .is("60000")
    .other("10000"),
    row(
        &["OTEL_METRIC_EXPORT_TIMEOUT"],
        "`30000` (ms; 0 is no limit)",
        "[`MetricSettings::with_timeout`](metrics::MetricSettings::with_timeout)",
        warned("-1", DEFAULT),
    )
    .is("30000")
    .other("0"),
    row(
        &["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
        "`cumulative`; or `delta`, `lowmemory`",
        "[`MetricSettings::with_temporality`](metrics::MetricSettings::with_temporality)",
        warned("monthly", DEFAULT),
    )
    .is("Cumulative")
    .other("delta"),
    row(
        &["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"],
        "`explicit_bucket_histogram`; or `base2_exponential_bucket_histogram`",
        "[`MetricSettings::with_exponential_histograms`](metrics::MetricSettings::with_exponential_histograms)",
        warned("summary", "the default; so is the other one where OTLP is not alone"),
    )
    .is("explicit_bucket_histogram")
    .other("base2_exponential_bucket_histogram"),
    row(
        &["OTEL_METRICS_EXEMPLAR_FILTER"],
        "`always_off`: the SDK has [no exemplars](metrics::MetricSettings#exemplars)",
        "–",
        warned("trace_based", "there are none all the same, as for `trace_based` and `always_on`"),
    )
    .is("always_off"),
    row(
        &["OTEL_BLRP_SCHEDULE_DELAY"],
        "`1000` (ms, above 0)",
        "[`with_schedule_delay`](BatchSettings::with_schedule_delay)",
        warned("0", DEFAULT),
    )
    .is("1000")
    .other("100"),
    row(
        &["OTEL_BLRP_EXPORT_TIMEOUT"],
        "`30000` (ms; 0 is no limit)",
        "[`with_export_timeout`](BatchSettings::with_export_timeout)",
        warned("-1", DEFAULT),
    )
    .is("30000")
    .other("0"),
    row(
        &["OTEL_BLRP_MAX_QUEUE_SIZE"],
        "`2048` (log records, 1 to 1048576)",
        "[`with_max_queue_size`](BatchSettings::with_max_queue_size)",
        warned("0", DEFAULT),
    )
    .is("2048")
    .other("1024"),
    row(
        &["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
        "`512` (log records), at most the queue's size",
        "[`with_max_export_batch_size`](BatchSettings::with_max_export_batch_size)",
        warned("0", DEFAULT),
    )
    .is("512")
    .other("64"),
    row(
        &["OTEL_ATTRIBUTE_COUNT_LIMIT"],
        "`128`, for spans and log records without a limit of their own",
        "[`with_attribute_count`](Limits::with_attribute_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"],
        "the one above",
        "[`with_attribute_count`](Limits::with_attribute_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_SPAN_EVENT_COUNT_LIMIT"],
        "`128`",
        "[`with_event_count`](Limits::with_event_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_SPAN_LINK_COUNT_LIMIT"],
        "`128`",
        "[`with_link_count`](Limits::with_link_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"],
        "`128`",
        "[`with_attribute_per_event_count`](Limits::with_attribute_per_event_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"],
        "`128`",
        "[`with_attribute_per_link_count`](Limits::with_attribute_per_link_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
        "no limit (characters), for spans and log records without a limit of their own",
        "[`with_attribute_value_length`](Limits::with_attribute_value_length)",
        warned("-1", DEFAULT),
    )
    .other("7"),
    row(
        &["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
        "the one above",
        "[`with_attribute_value_length`](Limits::with_attribute_value_length)",
        warned("-1", DEFAULT),
    )
    .other("7"),
    row(
        &["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"],
        "the general one",
        "[`LogSettings::with_attribute_count`](logs::LogSettings::with_attribute_count)",
        warned("-1", DEFAULT),
    )
    .is("128")
    .other("7"),
    row(
        &["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
        "the general one",
        "[`LogSettings::with_attribute_value_length`](logs::LogSettings::with_attribute_value_length)",
        warned("-1", DEFAULT),
    )
    .other("7"),
    row(
        &["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"],
        "those of the conventions",
        "[`with_known_methods`]",
        loses("GET,(", "(", "GET"),
    )
    .other("GET,PURGE"),
    row(
        &[
            "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS",
            "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS",
        ],
        "none; see the [server's]",
        "[`TraceLayer::with_request_headers`]",
        loses("x-a,a b", "a b", "x-a"),
    )
    .other("x-a"),
    row(
        &[
            "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS",
            "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS",
        ],
        "none; see the [client's]",
        "[`ClientTraceLayer::with_request_headers`]",
        loses("x-a,a b", "a b", "x-a"),
    )
    .other("x-a"),
    row(
        &["OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"],
        "`logs`; see [`Exceptions`]",
        "[`TraceLayer::with_exceptions`] and the client's",
        warned("events", DEFAULT),
    )
    .is("logs")
    .other("logs/dup"),
    row(
        &["OTEL_SEMCONV_STABILITY_OPT_IN"],
        "`rpc`; see the [server's]",
        "[`Grpc::with_legacy_names`]",
        loses("rpc/old,rpc/oldest", "rpc/oldest", "rpc/old"),
    )
    .is("rpc")
    .other("rpc/dup"),
];

/// What is asked for by detectors alone.
const OTHERS: &str = "\
| `HOSTNAME`, `K8S_*`, `AWS_*`, … | those of a [detector that was asked for](ResourceBuilder#detectors) | [`with_attribute`](ResourceBuilder::with_attribute) | it is absent, without a warning |
";

/// With these variables and no others, and all signals.
fn build(variables: &[(&str, &str)]) -> Result<Telemetry, BuildError> {
    // The one thing that is another each time.
    let resource = ResourceBuilder::new().with_attribute("service.instance.id", "1");
    Telemetry::builder()
        .with_resource(resource)
        .with_metrics(MetricSettings::new().without_self_metrics())
        .with_logs(LogSettings::new())
        .with_environment(variables.to_vec())
        .build()
}

/// The configuration in force, apart from warnings.
fn in_force(telemetry: &Telemetry) -> String {
    let text = telemetry.describe().to_string();
    let warnings: Vec<_> = telemetry.warnings().iter().map(ToString::to_string).collect();
    let is_warning = |line: &&str| warnings.iter().any(|warning| line.ends_with(warning));
    text.lines().filter(|line| !is_warning(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_table_of_variables_is_in_the_docs() {
    let mut table =
        "| variable | default | in code | a bad value |\n|---|---|---|---|\n".to_owned();
    for Row { variables, default, code, bad, .. } in ROWS {
        let names: Vec<_> = variables.iter().map(|name| format!("`{name}`")).collect();
        let bad = match bad {
            Bad::None => "–".to_owned(),
            Bad::Warned { words, .. } => (*words).to_owned(),
            Bad::Error { words, .. } => format!("[`BuildError`]{words}"),
        };
        table += &format!("| {} | {default} | {code} | {bad} |\n", names.join(", "));
    }
    table += OTHERS;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sdk/environment.md");
    if env::var_os("UPDATE_TABLES").is_some() {
        fs::write(&path, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), table, "{} is out of date", path.display());
}

#[test]
fn the_table_has_all_variables_that_are_asked_for_and_no_others() {
    let listed: BTreeSet<String> =
        ROWS.iter().flat_map(|row| row.variables).map(|&name| name.to_owned()).collect();
    let mut all = BTreeSet::new();
    asked::take();
    // What makes the code ask for more, one after the other.
    for variables in [
        &[][..],
        &[("OTEL_TRACES_SAMPLER", "traceidratio")],
        &[("OTEL_TRACES_EXPORTER", "otlp,console")],
        &[("OTEL_TRACES_EXPORTER", "none")],
        &[("OTEL_SDK_DISABLED", "true")],
        HTTP,
        HTTPS,
        PROXY,
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ],
    ] {
        drop(build(variables).unwrap());
        all.append(&mut asked::take());
    }
    assert_eq!(all, listed);
}

#[test]
fn what_the_table_says_of_each_variable_is_so() {
    for row in ROWS {
        for &variable in row.variables {
            let with = |value| [row.with, &[(variable, value)]].concat();
            let unset = in_force(&build(&with("")).unwrap());
            if let Some(is) = row.is {
                let telemetry = build(&with(is)).unwrap();
                assert!(telemetry.warnings().is_empty(), "{variable}={is}");
                assert_eq!(in_force(&telemetry), unset, "{variable}={is}");
            }
            if let Some(other) = row.other {
                let telemetry = build(&with(other)).unwrap();
                assert!(telemetry.warnings().is_empty(), "{variable}={other}");
                assert_ne!(in_force(&telemetry), unset, "{variable}={other}");
            }
            match row.bad {
                Bad::None => {}
                Bad::Warned { value, shown, as_if, .. } => {
                    let telemetry = build(&with(value)).unwrap();
                    let warnings = telemetry.warnings();
                    let warned: Vec<_> = warnings
                        .iter()
                        .map(|warning| (warning.variable(), warning.value()))
                        .collect();
                    assert_eq!(warned, [(variable, shown)]);
                    let expected = in_force(&build(&with(as_if)).unwrap());
                    assert_eq!(in_force(&telemetry), expected, "{variable}={value}");
                }
                Bad::Error { value, .. } => {
                    let error = build(&with(value)).unwrap_err();
                    assert_eq!((error.setting(), error.value()), (variable, value));
                }
            }
        }
    }
}
