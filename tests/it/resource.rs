//! Who sends the telemetry: what is said of it by default, by detectors, by the environment, by
//! code.

use std::{
    collections::BTreeMap,
    env, io, panic,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Key, KeyValue,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, SdkProvidedResourceDetector},
};
use tower_telemetry::{
    ResourceBuilder, SCHEMA_URL, Telemetry, package_resource, sdk::export::Otlp,
};

use crate::support::collector::Collector;

/// The resource, in an environment of these variables alone.
fn resolved<const N: usize>(
    resource: ResourceBuilder,
    variables: [(&str, &str); N],
) -> (Resource, Vec<String>) {
    let telemetry = Telemetry::builder()
        .with_environment([("OTEL_TRACES_EXPORTER", "none")].into_iter().chain(variables))
        .with_resource(resource)
        .build()
        .unwrap();
    let warned = telemetry.warnings().iter().map(ToString::to_string).collect();
    (telemetry.resource().clone(), warned)
}

fn attributes(resource: &Resource) -> BTreeMap<String, String> {
    resource.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn of<const N: usize>(
    resource: ResourceBuilder,
    variables: [(&str, &str); N],
) -> BTreeMap<String, String> {
    attributes(&resolved(resource, variables).0)
}

/// A detector of somebody else's.
struct Finds {
    attributes: Vec<KeyValue>,
    schema_url: &'static str,
}

fn finds<const N: usize>(attributes: [(&'static str, &'static str); N]) -> Finds {
    let attributes = attributes.map(|(key, value)| KeyValue::new(key, value)).to_vec();
    Finds { attributes, schema_url: "" }
}

impl ResourceDetector for Finds {
    fn detect(&self) -> Resource {
        Resource::builder_empty().with_schema_url(self.attributes.clone(), self.schema_url).build()
    }
}

/// A detector that panics, with what panics again when it is let go of.
struct Panics;

struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

impl ResourceDetector for Panics {
    fn detect(&self) -> Resource {
        panic::resume_unwind(Box::new(Again));
    }
}

#[test]
fn an_instance_is_a_random_uuid_of_its_own_each_time() {
    let builder = ResourceBuilder::new();
    let ids = [(); 3].map(|()| of(builder.clone(), []).remove("service.instance.id").unwrap());
    for id in &ids {
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{id}");
        assert_eq!(&id[14..15], "4", "version of {id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "variant of {id}");
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn an_instance_is_what_code_or_environment_says_it_is() {
    let said = [("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=shop-1")];
    assert_eq!(of(ResourceBuilder::new(), said)["service.instance.id"], "shop-1");
    let code = ResourceBuilder::new().with_service_instance_id("shop-0");
    assert_eq!(of(code, said)["service.instance.id"], "shop-0");
}

#[test]
fn in_kubernetes_an_instance_is_its_container_unless_it_was_said() {
    let builder = ResourceBuilder::new().with_kubernetes_detector();
    let pod = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("K8S_NAMESPACE_NAME", "market"),
        ("K8S_POD_NAME", "shop-7d4b9"),
        ("K8S_CONTAINER_NAME", "app"),
        ("OTEL_RESOURCE_ATTRIBUTES", ""),
    ];
    assert_eq!(of(builder.clone(), pod)["service.instance.id"], "market.shop-7d4b9.app");
    let mut said = pod;
    said[4].1 = "service.instance.id=shop-1,k8s.pod.name=other";
    let found = of(builder.clone(), said);
    assert_eq!(found["service.instance.id"], "shop-1");
    assert_eq!(found["k8s.pod.name"], "other");
    assert_eq!(found["k8s.container.name"], "app");
    let code = builder.with_service_instance_id("shop-0").with_attribute("k8s.pod.name", "third");
    let found = of(code, said);
    assert_eq!(found["service.instance.id"], "shop-0");
    assert_eq!(found["k8s.pod.name"], "third");

    let mut outside = pod;
    outside[0].1 = "";
    let found = of(ResourceBuilder::new().with_kubernetes_detector(), outside);
    assert!(found.keys().all(|key| !key.starts_with("k8s.")), "{found:?}");
    assert_eq!(found["service.instance.id"].len(), 36);
}

#[test]
fn code_wins_over_the_environment_that_over_detectors_and_these_over_defaults() {
    let all = finds([
        ("service.name", "detected"),
        ("service.version", "detected"),
        ("service.instance.id", "detected"),
        ("a", "detected"),
    ]);
    let environment = [
        ("OTEL_SERVICE_NAME", "by-environment"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.version=by-environment,a=by-environment"),
    ];
    let builder = || ResourceBuilder::new().with_package("package", "1");
    let found = of(builder(), []);
    assert_eq!((&*found["service.name"], &*found["service.version"]), ("package", "1"));

    let builder = builder().with_detector(all);
    let found = of(builder.clone(), []);
    for key in ["service.name", "service.version", "service.instance.id", "a"] {
        assert_eq!(found[key], "detected", "{key}");
    }
    let found = of(builder.clone(), environment);
    assert_eq!(found["service.name"], "by-environment");
    assert_eq!(found["service.version"], "by-environment");
    assert_eq!(found["a"], "by-environment");
    assert_eq!(found["service.instance.id"], "detected");

    // Whether it was said before or after the detector was asked for.
    let code = ResourceBuilder::new()
        .with_service_name("by-code")
        .with_attribute("a", "by-code")
        .with_detector(finds([("service.name", "detected"), ("a", "detected")]));
    let found = of(code, environment);
    assert_eq!((&*found["service.name"], &*found["a"]), ("by-code", "by-code"));
    assert_eq!(found["service.version"], "by-environment");
}

#[test]
fn of_two_detectors_the_later_one_counts() {
    let service = [("FLY_APP_NAME", "shop"), ("FLY_MACHINE_ID", "m")];
    let own = || finds([("cloud.provider", "own")]);
    let builder = ResourceBuilder::new().with_cloud_detector().with_detector(own());
    assert_eq!(of(builder, service)["cloud.provider"], "own");
    let builder = ResourceBuilder::new().with_detector(own()).with_cloud_detector();
    assert_eq!(of(builder, service)["cloud.provider"], "fly_io");
    let builder = ResourceBuilder::new()
        .with_detector(finds([("a", "1")]))
        .with_detector(finds([("a", "2")]));
    assert_eq!(of(builder, [])["a"], "2");
}

#[test]
fn no_detector_is_asked_by_default_and_all_but_one_by_one_call() {
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("K8S_POD_NAME", "shop-0"),
        ("AWS_LAMBDA_FUNCTION_NAME", "shop"),
    ];
    let is_ours = |key: &&String| !key.starts_with("service.") && !key.starts_with("telemetry.");
    assert_eq!(of(ResourceBuilder::new(), variables).keys().find(is_ours), None);

    let found = of(ResourceBuilder::new().with_all_detectors(), variables);
    for key in [
        "host.arch",
        "os.type",
        "process.pid",
        "process.executable.name",
        "process.runtime.name",
        "k8s.pod.name",
        "cloud.platform",
        "faas.name",
    ] {
        assert!(found.contains_key(key), "{key} in {found:?}");
    }
    assert!(!found.contains_key("process.command_args"), "{found:?}");
    assert!(!found.contains_key("process.command"), "{found:?}");
    assert!(found.values().all(|value| !value.is_empty()), "{found:?}");

    let found = of(ResourceBuilder::new().with_command_line_detector(), []);
    assert!(found.contains_key("process.command_args"), "{found:?}");
    assert!(!found.contains_key("process.pid"), "{found:?}");
}

#[test]
fn detectors_look_when_the_resource_is_built_and_not_before() {
    struct Counts(Arc<AtomicUsize>);

    impl ResourceDetector for Counts {
        fn detect(&self) -> Resource {
            self.0.fetch_add(1, Ordering::Relaxed);
            Resource::builder_empty().build()
        }
    }

    let count = Arc::new(AtomicUsize::new(0));
    let builder = ResourceBuilder::new().with_detector(Counts(Arc::clone(&count)));
    let telemetry = Telemetry::builder().with_resource(builder.clone());
    assert_eq!(count.load(Ordering::Relaxed), 0);
    drop(telemetry);
    of(builder.clone(), []);
    of(builder, []);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn a_detector_that_panics_is_left_out_and_the_others_are_not() {
    let builder = ResourceBuilder::new()
        .with_detector(finds([("a", "1")]))
        .with_detector(Panics)
        .with_detector(finds([("b", "2")]));
    let (resource, warned) = resolved(builder, []);
    let found = attributes(&resource);
    assert_eq!((&*found["a"], &*found["b"]), ("1", "2"));
    assert_eq!(resource.schema_url(), Some(SCHEMA_URL));
    assert_eq!(warned, [""; 0]);
}

#[test]
fn one_foreign_schema_url_leaves_the_resource_with_none_and_with_all_attributes() {
    let url = |builder: ResourceBuilder| {
        let (resource, warned) = resolved(builder, []);
        assert_eq!(warned, [""; 0]);
        resource.schema_url().map(str::to_owned)
    };
    let under = |schema_url, attributes| Finds { schema_url, attributes };
    let a = || vec![KeyValue::new("a", "1")];
    let ours = Some(SCHEMA_URL.to_owned());
    let other = "https://opentelemetry.io/schemas/1.20.0";

    assert_eq!(url(ResourceBuilder::new()), ours);
    assert_eq!(url(ResourceBuilder::new().with_all_detectors()), ours);
    assert_eq!(url(ResourceBuilder::new().with_detector(under("", a()))), ours);
    assert_eq!(url(ResourceBuilder::new().with_detector(under(SCHEMA_URL, a()))), ours);
    assert_eq!(url(ResourceBuilder::new().with_detector(under(other, Vec::new()))), ours);

    let foreign = ResourceBuilder::new()
        .with_detector(under(other, a()))
        .with_detector(under(SCHEMA_URL, vec![KeyValue::new("b", "2")]))
        .with_detector(under(other, vec![KeyValue::new("c", "3")]))
        .with_service_name("shop");
    assert_eq!(url(foreign.clone()), None);
    let found = of(foreign, []);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("service.name", "shop")] {
        assert_eq!(found[key], value);
    }
}

/// Set where the test below is the one in a process of its own, which has no other that logs.
const CHILD: &str = "TOWER_TELEMETRY_RESOURCE_TEST_IS_CHILD";

#[test]
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn what_becomes_of_a_foreign_detector_is_logged_once() {
    if env::var_os(CHILD).is_some() {
        let lines = Arc::new(Mutex::new(Vec::<u8>::new()));
        let written = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&written)))
            .finish();
        let foreign = || Finds {
            attributes: vec![KeyValue::new("a", "1")],
            schema_url: "https://example.com/\u{1b}[2J",
        };
        let builder = ResourceBuilder::new()
            .with_detector(Panics)
            .with_detector(foreign())
            .with_detector(foreign());
        tracing::subscriber::with_default(subscriber, || of(builder, []));
        let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        lines.lines().for_each(|line| println!("\nlogged: {}", line.trim()));
        return;
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("resource::what_becomes_of_a_foreign_detector_is_logged_once")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(child.stdout).unwrap();
    let logged: Vec<_> =
        printed.lines().filter_map(|line| line.strip_prefix("logged: WARN ")).collect();
    let [panicked, under] = &logged[..] else { panic!("{printed}") };
    assert!(panicked.starts_with("tower-telemetry: resource detector it::resource::Panics"));
    assert!(panicked.ends_with("panicked; it was left out"), "{panicked}");
    assert!(under.contains("schema URL https://example.com/\\u{1b}[2J; the"), "{under}");
}

/// Where the log is written.
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_sdk_says_of_itself_only_code_can_change() {
    let sdk = ["telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"];
    let defaults = of(ResourceBuilder::new(), []);
    assert_eq!(sdk.map(|key| &*defaults[key]), ["opentelemetry", "rust", "0.33.1"]);

    let variable = ("OTEL_RESOURCE_ATTRIBUTES", "telemetry.sdk.name=other,a=b");
    let detector = finds([("telemetry.sdk.name", "other"), ("telemetry.sdk.x", "y"), ("c", "d")]);
    let (resource, warned) = resolved(ResourceBuilder::new().with_detector(detector), [variable]);
    let found = attributes(&resource);
    assert_eq!(sdk.map(|key| &*found[key]), ["opentelemetry", "rust", "0.33.1"]);
    assert_eq!((&*found["a"], &*found["c"]), ("b", "d"));
    assert!(!found.contains_key("telemetry.sdk.x"));
    let [warning] = &warned[..] else { panic!("{warned:?}") };
    assert!(warning.starts_with("OTEL_RESOURCE_ATTRIBUTES is `telemetry.sdk.name=other`"));

    let code = ResourceBuilder::new().with_attribute("telemetry.sdk.name", "fork");
    assert_eq!(of(code, [variable])["telemetry.sdk.name"], "fork");
}

#[test]
fn a_distribution_is_ours_unless_another_names_itself_and_never_half_of_each() {
    let distribution = |builder: ResourceBuilder, list: &str| {
        let found = of(builder, [("OTEL_RESOURCE_ATTRIBUTES", list)]);
        ["name", "version"].map(|part| found.get(&format!("telemetry.distro.{part}")).cloned())
    };
    let some = |text: &str| Some(text.to_owned());
    let ours = [some("tower-telemetry"), some(env!("CARGO_PKG_VERSION"))];
    let named = "telemetry.distro.name=other";
    let code = ResourceBuilder::new().with_attribute("telemetry.distro.name", "mine");
    assert_eq!(distribution(ResourceBuilder::new(), ""), ours);
    assert_eq!(distribution(ResourceBuilder::new(), named), [some("other"), None]);
    assert_eq!(distribution(code.clone(), ""), [some("mine"), None]);
    let list = format!("{named},telemetry.distro.version=2");
    assert_eq!(distribution(ResourceBuilder::new(), &list), [some("other"), some("2")]);
    // A version without a name is nobody's.
    let version = "telemetry.distro.version=9";
    assert_eq!(distribution(ResourceBuilder::new(), version), ours);
}

#[test]
fn what_says_nothing_of_the_service_unnames_it_nowhere() {
    for blank in ["", "  "] {
        let detector = finds([("service.name", blank), ("service.instance.id", blank), ("a", "b")]);
        let found =
            of(ResourceBuilder::new().with_package("shop", "1").with_detector(detector), []);
        assert_eq!((&*found["service.name"], &*found["a"]), ("shop", "b"));
        assert!(!found["service.instance.id"].trim().is_empty());
    }
    let variable = ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.instance.id=%20");
    let found = of(ResourceBuilder::new(), [variable]);
    assert_eq!(found["a"], "b");
    assert!(!found["service.instance.id"].trim().is_empty());
}

#[test]
fn a_detector_that_begins_with_the_sdks_defaults_does_not_unname_the_service() {
    let package = || ResourceBuilder::new().with_package("shop", "1");
    let found = of(package().with_detector(SdkProvidedResourceDetector), []);
    assert_eq!(found["service.name"], "shop");
    let found = of(package().with_detector(finds([("", "x"), ("a", "b")])), []);
    assert!(!found.contains_key("") && found.contains_key("a"));
}

#[test]
fn a_package_names_the_service_where_nobody_else_does() {
    let found = of(package_resource!(), []);
    assert_eq!(found["service.name"], env!("CARGO_PKG_NAME"));
    assert_eq!(found["service.version"], env!("CARGO_PKG_VERSION"));

    let said = [
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,service.version=abc123"),
    ];
    let found = of(package_resource!(), said);
    assert_eq!((&*found["service.name"], &*found["service.version"]), ("shop", "abc123"));

    let code = package_resource!().with_service_name("mine").with_service_version("2");
    let found = of(code, said);
    assert_eq!((&*found["service.name"], &*found["service.version"]), ("mine", "2"));

    let found = of(ResourceBuilder::new().with_package("shop", ""), []);
    assert_eq!(found["service.name"], "shop");
    assert!(!found.contains_key("service.version"));
    assert!(!of(ResourceBuilder::new(), []).contains_key("service.version"));
}

#[test]
fn the_setters_set_what_they_are_called_after() {
    let builder = ResourceBuilder::new()
        .with_service_name("shop")
        .with_service_namespace("market")
        .with_service_version("2")
        .with_service_instance_id("shop-0")
        .with_deployment_environment("staging")
        .with_attributes([KeyValue::new("team", "a")]);
    let found = of(builder, []);
    for (key, value) in [
        ("service.name", "shop"),
        ("service.namespace", "market"),
        ("service.version", "2"),
        ("service.instance.id", "shop-0"),
        ("deployment.environment.name", "staging"),
        ("team", "a"),
    ] {
        assert_eq!(found[key], value);
    }
}

#[test]
fn a_name_or_an_id_that_is_empty_is_an_error_that_says_which() {
    let empty = ResourceBuilder::new;
    for (builder, setting) in [
        (empty().with_service_name(" "), "service name"),
        (empty().with_service_instance_id(""), "service instance id"),
        (empty().with_package(" ", "1"), "package name"),
        (empty().with_attribute("", "x"), "resource attribute key"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting(), setting);
        assert!(error.to_string().contains("must not be empty"), "{error}");
    }
    let later = empty().with_service_instance_id("").with_service_instance_id("shop-0");
    assert!(later.build().is_ok());
}

#[test]
fn a_builder_shows_its_detectors_and_goes_to_other_threads() {
    fn is_free<T: Send + Sync + Clone>(_: &T) {}

    let builder = ResourceBuilder::new().with_all_detectors().with_detector(Panics);
    is_free(&builder);
    let shown = format!("{builder:?}");
    for name in ["host", "os", "process", "container", "kubernetes", "cloud", "Panics"] {
        assert!(shown.contains(name), "{shown}");
    }
}

#[test]
fn the_resource_and_its_schema_url_go_out_with_the_spans() {
    let collector = Collector::start([]);
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_resource(ResourceBuilder::new().with_service_name("shop").with_os_detector())
        .with_otlp(Otlp::new().with_endpoint(collector.url()))
        .build()
        .unwrap();
    drop(telemetry.tracer_provider().tracer("test").start("span"));
    telemetry.shutdown(Duration::from_secs(5)).unwrap();

    let requests = collector.requests();
    let sent = &requests[0].body.resource_spans[0];
    assert_eq!(sent.schema_url, SCHEMA_URL);
    let keys = sent.resource.as_ref().unwrap().attributes.iter().map(|pair| &*pair.key);
    let keys: Vec<_> = keys.collect();
    for (key, _) in telemetry.resource() {
        assert_eq!(keys.iter().filter(|sent| **sent == key.as_str()).count(), 1, "{key}");
    }
    assert!(telemetry.resource().get(&Key::new("os.type")).is_some());
}
