//! `describe()`: the configuration in force, without secrets, and hints that come and go.

use std::time::Duration;

use http::StatusCode;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::InMemorySpanExporter;
use tower_telemetry::{
    ResourceBuilder, SamplerBuilder, Telemetry, TelemetryBuilder, TraceLayer,
    sdk::{BatchSettings, Limits, export::Otlp, sampler::Rule, tail::TailSampling},
};

use crate::support::{
    collector::{Answer, Collector},
    exchange::{exchange, response},
    sdk::Hooks,
};

fn builder<const N: usize>(variables: [(&str, &str); N]) -> TelemetryBuilder {
    let resource = ResourceBuilder::new()
        .with_service_name("shop")
        .with_attribute("service.instance.id", "shop-0");
    Telemetry::builder().with_resource(resource).with_environment(variables)
}

/// With an exporter that takes everything.
fn exporting<const N: usize>(variables: [(&str, &str); N]) -> TelemetryBuilder {
    builder(variables).with_span_exporter(InMemorySpanExporter::default())
}

/// Of all layers in the process, so other tests make this one come and go. `tests/global.rs` has it.
const OF_THE_PROCESS: &str = "layers that were given no telemetry have served";

fn hints(telemetry: &Telemetry) -> Vec<String> {
    let description = telemetry.describe();
    let own = description.hints().filter(|hint| !hint.starts_with(OF_THE_PROCESS));
    own.map(str::to_owned).collect()
}

fn shown(telemetry: &Telemetry) -> String {
    let shown = telemetry.describe().to_string();
    let own = shown.lines().filter(|line| !line.contains(OF_THE_PROCESS));
    own.collect::<Vec<_>>().join("\n")
}

/// Has a request served by a layer with it.
fn serve(telemetry: &Telemetry) {
    let layer = TraceLayer::new().with_telemetry(telemetry);
    exchange(&layer, http::Request::new(()), response(""));
}

#[test]
fn a_description_is_the_whole_configuration_in_force() {
    let telemetry = builder([
        ("OTEL_RESOURCE_ATTRIBUTES", "team=checkout"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret,x-tenant=7"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4096"),
        ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PURGE"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "rpc/dup"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_CONFIG_FILE", "otel.yaml"),
    ])
    .with_limits(Limits::new().with_event_count(16))
    .with_batch(BatchSettings::new().with_max_export_batch_size(256))
    .with_otlp(Otlp::new().with_endpoint("https://user:s3cret@collector/base?key=s3cret"))
    .with_span_processor(Hooks::default())
    .build()
    .unwrap();
    let layer = TraceLayer::new().with_telemetry(&telemetry);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "\
tower-telemetry {version} on opentelemetry_sdk 0.33.1
  service        shop
  resource       service.instance.id=shop-0
                 team=checkout
                 telemetry.distro.name=tower-telemetry
                 telemetry.distro.version={version}
                 telemetry.sdk.language=rust
                 telemetry.sdk.name=opentelemetry
                 telemetry.sdk.version=0.33.1
  sampler        ParentBased{{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,\
remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,\
localParentNotSampled:AlwaysOffSampler}}
  tail sampling  none
  limits         128 attributes, 16 events, 128 links a span; 128 attributes an event, 128 a link; \
texts of 4096 characters
  batches        256 spans, or what there is after 5s; 2048 wait at most; 16 exports at once, each \
within 30s
  destination    OTLP to collector/base/v1/traces
                   protocol     http/protobuf
                   endpoint     https://collector/base/v1/traces
                   timeout      3s
                   compression  none
                   headers      x-api-key, x-tenant
                   proxy        none
                   TLS          system roots
                 it::support::sdk::Hooks
  spans          OTLP to collector/base/v1/traces: 0 spans ended, 0 exported
  metrics        not switched on
  logs           not switched on
  propagators    tracecontext, baggage
  layers         known methods: GET, PURGE
                 names of a gRPC status: old and new
  used           by layers
  warning        OTEL_CONFIG_FILE is `otel.yaml`: no file is read by this version; the other \
variables count
                 OTEL_TRACES_SAMPLER is `sometimes`: must be always_on, always_off or traceidratio, \
alone or after parentbased_; parentbased_always_on is used
  hint           no span of this telemetry has started so far: send a request through a layer that \
has it, and look at what that layer's filter leaves out"
    );
    assert_eq!(shown(&telemetry), expected);
    drop(layer);
}

#[test]
fn what_is_switched_off_says_that_and_no_more_hints() {
    let telemetry = builder([("OTEL_SDK_DISABLED", "true")]).build().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "\
tower-telemetry {version} on opentelemetry_sdk 0.33.1
  disabled     by OTEL_SDK_DISABLED
  service      shop
  resource     service.instance.id=shop-0
               telemetry.distro.name=tower-telemetry
               telemetry.distro.version={version}
               telemetry.sdk.language=rust
               telemetry.sdk.name=opentelemetry
               telemetry.sdk.version=0.33.1
  propagators  tracecontext, baggage
  used         by nobody so far
  hint         the SDK is disabled by OTEL_SDK_DISABLED: unset that variable"
    );
    assert_eq!(shown(&telemetry), expected);
    let by_code = builder([]).with_sdk_disabled().build().unwrap();
    assert_eq!(hints(&by_code), ["the SDK is disabled by `with_sdk_disabled()`: leave that out"]);
}

#[test]
fn a_description_shows_no_secret() {
    let pem = "-----BEGIN PRIVATE KEY-----s3cret-----END PRIVATE KEY-----";
    let resource = ResourceBuilder::new()
        .with_attribute("db.password", "s3cret")
        .with_attribute("vault-token", pem)
        .with_attribute("vendor.api.key", "s3cret")
        .with_attribute("aws.access_key_id", "s3cret")
        .with_attribute("ssh.private-key", "s3cret")
        .with_attribute("process.command_line", "shop --key s3cret");
    let telemetry = Telemetry::builder()
        .with_environment([
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret,s3cret"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://s3cret:s3cret@collector/?s3cret"),
            // One bad pair, and a warning tells all of them.
            ("OTEL_RESOURCE_ATTRIBUTES", "team=a,db.password=s3cret,s3cret,api.key=s3cret"),
        ])
        .with_resource(resource)
        .with_otlp(Otlp::new().with_header("x-api-key", "s3cret"))
        .with_otlp(Otlp::new().with_traces_endpoint("http://s3cret@other/in?s3cret=s3cret"))
        .build()
        .unwrap();
    let description = telemetry.describe();
    for shown in [description.to_string(), format!("{description:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    let shown = description.to_string();
    for line in
        ["headers      authorization, x-api-key", "db.password=REDACTED", "OTLP to other/in"]
    {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn without_a_layer_and_not_global_it_is_used_by_nobody() {
    const NOBODY: &str = "nothing uses this telemetry so far: ";
    const NO_SPAN: &str = "no span of this telemetry has started so far: ";

    let telemetry = exporting([]).build().unwrap();
    assert!(matches!(&hints(&telemetry)[..], [hint] if hint.starts_with(NOBODY)));
    let layer = TraceLayer::new().with_telemetry(&telemetry);
    assert!(matches!(&hints(&telemetry)[..], [hint] if hint.starts_with(NO_SPAN)));
    exchange(&layer, http::Request::new(()), response(""));
    assert_eq!(hints(&telemetry), [""; 0]);

    // Whoever takes spans from the provider uses it, too.
    let telemetry = exporting([]).build().unwrap();
    let tracer = telemetry.tracer_provider().tracer("mine");
    assert!(matches!(&hints(&telemetry)[..], [hint] if hint.starts_with(NO_SPAN)));
    drop(tracer.start("span"));
    assert_eq!(hints(&telemetry), [""; 0]);

    // Also one that is not sampled.
    let sampler = SamplerBuilder::new().with_ratio(1e-9);
    let unsampled = exporting([]).with_sampler(sampler).build().unwrap();
    drop(unsampled.tracer_provider().tracer("mine").start("span"));
    assert_eq!(hints(&unsampled), [""; 0]);
    assert!(
        telemetry.describe().to_string().contains("used           through `tracer_provider()`")
    );
}

#[test]
fn nowhere_to_go_is_a_hint() {
    let telemetry = builder([("OTEL_TRACES_EXPORTER", "none")]).build().unwrap();
    serve(&telemetry);
    assert_eq!(
        hints(&telemetry),
        ["spans go nowhere: name an exporter in OTEL_TRACES_EXPORTER, or in code, with \
          `with_otlp(..)` for one"]
    );
}

#[test]
fn a_sampler_that_samples_nothing_is_a_hint_unless_something_may_be_kept() {
    const ALL: &str = "the sampler samples nothing: ";
    const BEGUN_HERE: &str = "the sampler samples no trace that begins here, ";

    let with = |sampler: SamplerBuilder| exporting([]).with_sampler(sampler);
    let off = || SamplerBuilder::new().with_always_off();
    let drops = || Rule::drop().with_path("/healthz");
    let keeps = || Rule::keep().with_path_prefix("/orders");
    for (builder, hint) in [
        (exporting([]), None),
        (with(SamplerBuilder::new().with_ratio(0.001)), None),
        (with(off()), Some(BEGUN_HERE)),
        (with(off().without_parent()), Some(ALL)),
        (with(SamplerBuilder::new().with_ratio(0.0)), Some(BEGUN_HERE)),
        (with(off().with_always_record()), Some(BEGUN_HERE)),
        (with(off().with_rule(drops())), Some(BEGUN_HERE)),
        (with(off().with_rule(keeps())), None),
        (with(off()).with_tail_sampling(TailSampling::new()), None),
        (exporting([("OTEL_TRACES_SAMPLER", "always_off")]), Some(ALL)),
        (exporting([("OTEL_TRACES_SAMPLER", "parentbased_always_off")]), Some(BEGUN_HERE)),
    ] {
        let telemetry = builder.build().unwrap();
        serve(&telemetry);
        let hints = hints(&telemetry);
        match hint {
            None => assert_eq!(hints, [""; 0], "{telemetry:?}"),
            Some(start) => {
                assert!(matches!(&hints[..], [hint] if hint.starts_with(start)), "{hints:?}");
            }
        }
    }
    // As of now.
    let telemetry = with(off()).build().unwrap();
    serve(&telemetry);
    assert_eq!(hints(&telemetry).len(), 1);
    telemetry.sampler().update(SamplerBuilder::with_always_on).unwrap();
    assert_eq!(hints(&telemetry), [""; 0]);
}

#[test]
fn what_was_lost_and_a_shutdown_are_hints() {
    let collector = Collector::start([Answer::Status(StatusCode::BAD_REQUEST)]);
    let otlp = Otlp::new().with_endpoint(collector.url());
    let telemetry = builder([]).with_otlp(otlp).build().unwrap();
    serve(&telemetry);
    assert_eq!(hints(&telemetry), [""; 0]);
    let flushed = telemetry.force_flush(Duration::from_secs(5));
    assert!(flushed.is_err(), "{}", telemetry.describe());
    let lost = "1 span is lost so far: look at what is said of them beside their exporter";
    assert_eq!(hints(&telemetry), [lost]);
    let shown = shown(&telemetry);
    assert!(shown.contains("1 span ended, 0 exported, 1 lost: "), "{shown}");
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
    let shut_down = "the telemetry is shut down: shut it down after all that is to be traced";
    assert_eq!(hints(&telemetry), [shut_down, lost]);
}
