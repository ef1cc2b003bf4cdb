//! The builder: code over environment over defaults, attribute by attribute.

use std::env;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, TelemetryResourceDetector},
};

use crate::{
    SCHEMA_URL,
    error::BuildError,
    sdk::{env::Env, resource::from_env},
};

pub(super) const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_VERSION: &str = "service.version";

/// Builds a [`Resource`]: who sends the telemetry.
///
/// Attributes from code win over those of the environment (`OTEL_SERVICE_NAME`, then
/// `OTEL_RESOURCE_ATTRIBUTES`), and these over the defaults: `telemetry.sdk.*`, and a
/// `service.name` of [`unknown_service:` and the executable's name][unknown].
///
/// ```
/// use tower_telemetry::{ResourceBuilder, Telemetry};
///
/// let resource = ResourceBuilder::new()
///     .with_service_name("shop")
///     .with_service_namespace("market")
///     .with_service_version(env!("CARGO_PKG_VERSION"))
///     .with_attribute("deployment.environment.name", "staging");
/// let telemetry = Telemetry::builder().with_resource(resource).build()?;
///
/// let name = telemetry.resource().get(&"service.name".into());
/// assert_eq!(name, Some("shop".into()));
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// [unknown]: https://opentelemetry.io/docs/specs/semconv/resource/#service
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct ResourceBuilder {
    attributes: Vec<KeyValue>,
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
    pub fn with_service_namespace(self, namespace: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_NAMESPACE, namespace.into())
    }

    /// Sets `service.version`, for one to `env!("CARGO_PKG_VERSION")` of your own package.
    pub fn with_service_version(self, version: impl Into<String>) -> Self {
        self.with_attribute(SERVICE_VERSION, version.into())
    }

    /// Sets any attribute. Of two with the same key the later one counts; an empty key is an error
    /// of [`build`](Self::build).
    pub fn with_attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Sets any number of attributes.
    pub fn with_attributes(mut self, attributes: impl IntoIterator<Item = KeyValue>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    /// The resource, with what the process's environment adds to it.
    ///
    /// # Errors
    ///
    /// The service name is empty, or an attribute's key is.
    pub fn build(self) -> Result<Resource, BuildError> {
        self.resolve(&mut Env::process())
    }

    pub(crate) fn resolve(self, env: &mut Env) -> Result<Resource, BuildError> {
        if self.attributes.iter().any(|attribute| attribute.key.as_str().is_empty()) {
            return Err(BuildError::new("resource attribute key", "", "must not be empty"));
        }
        let mut latest = self.attributes.iter().rev();
        if let Some(name) = latest.find(|attribute| attribute.key.as_str() == SERVICE_NAME)
            && name.value.as_str().trim().is_empty()
        {
            return Err(BuildError::new("service name", &name.value, "must not be empty"));
        }
        let sdk = TelemetryResourceDetector.detect();
        // Later ones win.
        let attributes = [KeyValue::new(SERVICE_NAME, unknown_service())]
            .into_iter()
            .chain(sdk.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
            .chain(from_env::attributes(env))
            .chain(self.attributes);
        Ok(Resource::builder_empty().with_schema_url(attributes, SCHEMA_URL).build())
    }
}

fn unknown_service() -> String {
    let executable = env::current_exe().ok();
    match executable.as_deref().and_then(|path| path.file_name()) {
        Some(name) => format!("unknown_service:{}", name.to_string_lossy()),
        None => "unknown_service".to_owned(),
    }
}
