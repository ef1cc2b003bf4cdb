//! The builder: code over environment over detectors over defaults, attribute by attribute.

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, TelemetryResourceDetector},
};

use crate::{
    error::BuildError,
    sdk::{
        env::Env,
        resource::{
            detect::system::{System, ThisProcess},
            detectors::{Detected, Detector},
            from_env, instance_id,
        },
    },
};

pub(super) const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_VERSION: &str = "service.version";
pub(super) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment.name";
const DISTRO_NAME: &str = "telemetry.distro.name";
const DISTRO_VERSION: &str = "telemetry.distro.version";

/// Builds a [`Resource`]: who sends the telemetry.
///
/// Attributes from code win over those of the environment (`OTEL_SERVICE_NAME`, then
/// `OTEL_RESOURCE_ATTRIBUTES`), these over what [detectors](#detectors) find, and that over the
/// defaults:
///
/// | attribute | default |
/// |---|---|
/// | `service.name` | [`unknown_service:` and the executable's name][unknown], or the [package's](crate::package_resource) |
/// | `service.version` | none, or the [package's](crate::package_resource) |
/// | `service.instance.id` | a [random UUID][instance], another one each time a resource is built |
/// | `telemetry.distro.name`, `telemetry.distro.version` | `tower-telemetry` and its version; a version without a name is not used |
/// | `telemetry.sdk.name`, `.language`, `.version` | those of the [SDK], which only code can change: the environment's are a [`Warning`](crate::Warning), a detector's are not used |
///
/// ```
/// use tower_telemetry::{ResourceBuilder, Telemetry};
///
/// let resource = ResourceBuilder::new()
///     .with_service_name("shop")
///     .with_service_namespace("market")
///     .with_service_version(env!("CARGO_PKG_VERSION"))
///     .with_deployment_environment("staging");
/// let telemetry = Telemetry::builder().with_resource(resource).build()?;
///
/// let name = telemetry.resource().get(&"service.name".into());
/// assert_eq!(name, Some("shop".into()));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// # Detectors
///
/// Where the program runs is found out by detectors. None is asked by default; each has a method
/// here, [`with_all_detectors`](Self::with_all_detectors) asks all of ours, and
/// [`with_detector`](Self::with_detector) one of anybody's. They look when the resource is built,
/// in the order in which they were asked for, and **of two that find the same attribute the later
/// one counts**. Among ours no two do.
///
/// Ours read files and variables, and nothing else: none starts a process or asks the network. Of a
/// file they read at most 1 MiB, and what is no regular file they do not open. What they do not
/// find is absent, and so is what cannot be meant: a value with control characters in it, or one of
/// more than 4096 bytes. [A detector that finds nothing is no error][no error].
///
/// Variables are those of [`with_environment`](crate::TelemetryBuilder::with_environment) where
/// that was called; files are always the machine's.
///
/// # Schema URL
///
/// The resource carries [`SCHEMA_URL`](crate::SCHEMA_URL), which is that of the attributes here and
/// of our detectors. A foreign detector without a schema URL, with the same one or without any
/// attribute changes nothing about that. One that has found something under another schema URL
/// makes for a resource that has all the attributes and [no schema URL][merge], since none would be
/// true; it is logged, and never an error.
///
/// [unknown]: https://opentelemetry.io/docs/specs/semconv/resource/#service
/// [instance]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
/// [SDK]: https://opentelemetry.io/docs/specs/semconv/resource/#telemetry-sdk
/// [no error]: https://opentelemetry.io/docs/specs/otel/resource/sdk/#detecting-resource-information-from-the-environment
/// [merge]: https://opentelemetry.io/docs/specs/otel/resource/sdk/#merge
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct ResourceBuilder {
    attributes: Vec<KeyValue>,
    package: Option<Package>,
    pub(super) detectors: Vec<Detector>,
}

/// What stands in for a name and a version that nobody has given.
#[derive(Clone, Debug)]
struct Package {
    name: String,
    version: String,
}

impl ResourceBuilder {
    /// A builder with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `service.name`: the logical name of the service, the same for all its instances. An
    /// empty one is an error of [`build`](Self::build).
    pub fn with_service_name(self, name: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_NAME, name.into())
    }

    /// Sets `service.namespace`: what tells services of the same name apart, a team for one.
    /// Default: none.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_service_namespace("market").build()?;
    /// assert_eq!(resource.get(&"service.namespace".into()), Some("market".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_service_namespace(self, namespace: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_NAMESPACE, namespace.into())
    }

    /// Sets `service.version`. Default: none, or that of the
    /// [package](crate::package_resource).
    pub fn with_service_version(self, version: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_VERSION, version.into())
    }

    /// Sets `service.instance.id`, which [must be another one][unique] for each instance of a
    /// service that runs at the same time. An empty one is an error of [`build`](Self::build).
    /// Default: a random UUID each time a resource is built, or what
    /// [Kubernetes](Self::with_kubernetes_detector) says.
    ///
    /// ```
    /// use opentelemetry::Key;
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// const ID: Key = Key::from_static_str("service.instance.id");
    ///
    /// let given = ResourceBuilder::new().with_service_instance_id("shop-0").build()?;
    /// assert_eq!(given.get(&ID), Some("shop-0".into()));
    ///
    /// let (one, other) = (ResourceBuilder::new().build()?, ResourceBuilder::new().build()?);
    /// assert_ne!(one.get(&ID), other.get(&ID));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [unique]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/service/
    pub fn with_service_instance_id(self, id: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_INSTANCE_ID, id.into())
    }

    /// Sets [`deployment.environment.name`][name]: `production`, `staging`, `test`, `development`
    /// or what else it is called. Default: none.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_deployment_environment("staging").build()?;
    /// let name = resource.get(&"deployment.environment.name".into());
    /// assert_eq!(name, Some("staging".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [name]: https://opentelemetry.io/docs/specs/semconv/resource/deployment-environment/
    pub fn with_deployment_environment(self, name: impl Into<String>) -> Self {
        self.with_attribute(DEPLOYMENT_ENVIRONMENT, name.into())
    }

    /// Sets the `service.name` and the `service.version` that count where neither code nor
    /// environment nor a detector has one. Default: `unknown_service:` and the executable's name,
    /// and no version. An empty name is an error of [`build`](Self::build); an empty version is
    /// none.
    ///
    /// [`package_resource!`](crate::package_resource) does it for your own package.
    ///
    /// ```
    /// use tower_telemetry::{ResourceBuilder, Telemetry};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_resource(ResourceBuilder::new().with_package("shop", "1.4.0"))
    ///     .with_environment([("OTEL_SERVICE_NAME", "shop-canary")])
    ///     .build()?;
    /// let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
    /// assert_eq!(of("service.name"), "shop-canary");
    /// assert_eq!(of("service.version"), "1.4.0");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_package(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.package = Some(Package { name: name.into(), version: version.into() });
        self
    }

    /// Sets any attribute. Of two with the same key the later one counts; an empty key is an error
    /// of [`build`](Self::build). An empty value is sent as it is. Default: none.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_attribute("team", "checkout").build()?;
    /// assert_eq!(resource.get(&"team".into()), Some("checkout".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Sets any number of attributes, as [`with_attribute`](Self::with_attribute) does. Default:
    /// none.
    pub fn with_attributes(mut self, attributes: impl IntoIterator<Item = KeyValue>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    /// The resource, with what the process's environment adds to it and what the detectors find.
    ///
    /// # Errors
    ///
    /// The service's or the package's name is empty, or the instance's id, or an attribute's key.
    pub fn build(self) -> Result<Resource, BuildError> {
        self.resolve(&mut Env::process())
    }

    pub(crate) fn resolve(self, env: &mut Env) -> Result<Resource, BuildError> {
        self.check()?;
        let process = ThisProcess::new();
        // Later ones win.
        let mut said: Vec<KeyValue> = defaults(&process, self.package).collect();
        let found = Detected::by(&self.detectors, &System::new(env, process));
        said.extend(found.attributes);
        let sdk = TelemetryResourceDetector.detect();
        said.extend(sdk.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
        said.extend(from_env::attributes(env));
        said.extend(self.attributes);
        said.extend(distribution(&said));

        let builder = Resource::builder_empty();
        let builder = match found.schema_url {
            Some(url) => builder.with_schema_url(said, url),
            None => builder.with_attributes(said),
        };
        Ok(builder.build())
    }

    fn check(&self) -> Result<(), BuildError> {
        if self.attributes.iter().any(|attribute| attribute.key.as_str().is_empty()) {
            return Err(BuildError::new("resource attribute key", "", "must not be empty"));
        }
        for (key, setting) in
            [(SERVICE_NAME, "service name"), (SERVICE_INSTANCE_ID, "service instance id")]
        {
            let mut latest = self.attributes.iter().rev();
            if let Some(set) = latest.find(|attribute| attribute.key.as_str() == key)
                && is_blank(&set.value)
            {
                return Err(BuildError::new(setting, &set.value, "must not be empty"));
            }
        }
        match &self.package {
            Some(package) if package.name.trim().is_empty() => {
                Err(BuildError::new("package name", &package.name, "must not be empty"))
            }
            _ => Ok(()),
        }
    }
}

/// Who has put the SDK together: this crate, unless somebody has said who. A version without a name
/// is nobody's, and our version beside another's name would be, too.
fn distribution(said: &[KeyValue]) -> Vec<KeyValue> {
    if said.iter().any(|attribute| attribute.key.as_str() == DISTRO_NAME) {
        return Vec::new();
    }
    vec![
        KeyValue::new(DISTRO_NAME, env!("CARGO_PKG_NAME")),
        KeyValue::new(DISTRO_VERSION, env!("CARGO_PKG_VERSION")),
    ]
}

pub(super) fn is_blank(value: &Value) -> bool {
    value.as_str().trim().is_empty()
}

fn defaults(process: &ThisProcess, package: Option<Package>) -> impl Iterator<Item = KeyValue> {
    let (name, version) = match package {
        Some(package) => (package.name, Some(package.version)),
        None => (unknown_service(process), None),
    };
    let version = version.filter(|version| !version.trim().is_empty());
    [
        Some(KeyValue::new(SERVICE_NAME, name)),
        version.map(|version| KeyValue::new(SERVICE_VERSION, version)),
        instance_id::random().map(|id| KeyValue::new(SERVICE_INSTANCE_ID, id)),
    ]
    .into_iter()
    .flatten()
}

fn unknown_service(process: &ThisProcess) -> String {
    match process.executable_name() {
        Some(name) => format!("unknown_service:{name}"),
        None => "unknown_service".to_owned(),
    }
}
