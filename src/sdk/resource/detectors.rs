//! The detectors that were asked for: by which method, in which order, and what becomes of theirs.

use std::{any::type_name, fmt, sync::Arc};

use opentelemetry::KeyValue;
use opentelemetry_sdk::resource::ResourceDetector;
use tracing::warn;

use crate::{
    SCHEMA_URL,
    contained::contained,
    sdk::resource::{
        ResourceBuilder,
        builder::{SERVICE_INSTANCE_ID, SERVICE_NAME, is_blank},
        detect::{cloud, command_line, container, host, kubernetes, os, process, system::System},
        from_env::OF_THE_SDK,
    },
    text::legible,
};

/// How to find out where the program runs.
impl ResourceBuilder {
    /// Asks all detectors below but for the [command line's](Self::with_command_line_detector):
    /// [host](Self::with_host_detector), [operating system](Self::with_os_detector),
    /// [process](Self::with_process_detector), [container](Self::with_container_detector),
    /// [Kubernetes](Self::with_kubernetes_detector) and [cloud](Self::with_cloud_detector).
    /// Default: none of them.
    ///
    /// ```
    /// use tower_telemetry::{Telemetry, package_resource};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_resource(package_resource!().with_all_detectors())
    ///     .build()?;
    /// assert!(telemetry.resource().get(&"process.pid".into()).is_some());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_all_detectors(self) -> Self {
        self.with_host_detector()
            .with_os_detector()
            .with_process_detector()
            .with_container_detector()
            .with_kubernetes_detector()
            .with_cloud_detector()
    }

    /// Asks for the [host]. Default: not asked.
    ///
    /// | attribute | value | where it is read |
    /// |---|---|---|
    /// | `host.id` | in a cloud, the instance's id | `FLY_MACHINE_ID`, `FLY_ALLOC_ID`; `WEBSITE_INSTANCE_ID` in Azure |
    /// | | outside of clouds and containers, the machine's [id without privileges][id] | `/etc/machine-id`, `/var/lib/dbus/machine-id`; BSD: `/etc/hostid` |
    /// | `host.name` | the name | `/proc/sys/kernel/hostname`, `/etc/hostname`; `HOSTNAME`; Windows: `COMPUTERNAME` |
    /// | `host.arch` | `amd64`, `arm64`, `arm32`, `x86`, `ppc32`, `ppc64`, `s390x`, or what Rust calls it | what the program was built for |
    ///
    /// A root of layers (`overlay`) is taken for a container's. A container's `/etc/machine-id` is
    /// its image's, and the same wherever that runs, so there is no `host.id` in a container. On
    /// macOS and Windows there is none either: it would take a process or the registry.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_host_detector().build()?;
    /// # #[cfg(target_arch = "x86_64")]
    /// assert_eq!(resource.get(&"host.arch".into()), Some("amd64".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [host]: https://opentelemetry.io/docs/specs/semconv/resource/host/
    /// [id]: https://opentelemetry.io/docs/specs/semconv/resource/host/#collecting-hostid-from-non-containerized-systems
    pub fn with_host_detector(self) -> Self {
        self.with(Detector::Ours("host", host::detect))
    }

    /// Asks for the [operating system]. Default: not asked.
    ///
    /// | attribute | value | where it is read |
    /// |---|---|---|
    /// | `os.type` | `linux`, `darwin`, `windows`, `freebsd`, `netbsd`, `openbsd`, `dragonflybsd`, `solaris`, `aix`, or what Rust calls it | what the program was built for |
    /// | `os.name` | `NAME` | `/etc/os-release`, or else `/usr/lib/os-release` |
    /// | `os.version` | `VERSION_ID` | the same |
    /// | `os.description` | `PRETTY_NAME` | the same |
    /// | `os.build_id` | `BUILD_ID` | `/etc/os-release`, `/usr/lib/os-release`; or else `/proc/sys/kernel/osrelease` |
    ///
    /// On macOS they are `ProductName`, `ProductVersion` and `ProductBuildVersion` of
    /// `/System/Library/CoreServices/SystemVersion.plist` or `ServerVersion.plist`. In a container
    /// it is the system of the image, on the kernel of the host.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_os_detector().build()?;
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(resource.get(&"os.type".into()), Some("linux".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [operating system]: https://opentelemetry.io/docs/specs/semconv/resource/os/
    pub fn with_os_detector(self) -> Self {
        self.with(Detector::Ours("os", os::detect))
    }

    /// Asks for the [process], but not for its arguments. Default: not asked.
    ///
    /// | attribute | value | where it is read |
    /// |---|---|---|
    /// | `process.pid` | the number | – |
    /// | `process.executable.name`, `.path` | the executable | – |
    /// | `process.creation.time` | ISO 8601 in UTC, to the second or so | `/proc/self/stat`, `/proc/stat` |
    /// | `process.owner` | name of the effective user | `/proc/self/status`, `/etc/passwd` |
    /// | `process.runtime.name` | `rustc` | – |
    /// | `process.runtime.version`, `.description` | of the compiler | when this crate was built |
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_process_detector().build()?;
    /// let pid = i64::from(std::process::id());
    /// assert_eq!(resource.get(&"process.pid".into()), Some(pid.into()));
    /// assert!(resource.get(&"process.command_args".into()).is_none());
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [process]: https://opentelemetry.io/docs/specs/semconv/resource/process/
    pub fn with_process_detector(self) -> Self {
        self.with(Detector::Ours("process", process::detect))
    }

    /// Asks for the process's command line. Default: not asked, nor by
    /// [`with_all_detectors`](Self::with_all_detectors).
    ///
    /// **Arguments may be secrets**: a password, a token, a URL with either in it. They go out with
    /// everything that is exported, as they are. The [conventions] do not want them by default.
    ///
    /// | attribute | value | where it is read |
    /// |---|---|---|
    /// | `process.command` | the first of them, the command | the arguments |
    /// | `process.command_args` | all, the command included; the first 128, and of each the first 4096 bytes | the arguments |
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_command_line_detector().build()?;
    /// let command = std::env::args().next().unwrap();
    /// assert_eq!(resource.get(&"process.command".into()), Some(command.into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [conventions]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/process/
    pub fn with_command_line_detector(self) -> Self {
        self.with(Detector::Ours("command line", command_line::detect))
    }

    /// Asks for the [container]. Default: not asked.
    ///
    /// | attribute | value | where it is read |
    /// |---|---|---|
    /// | `container.id` | the id that Docker, Podman, containerd, CRI-O or ECS gave it | `/proc/self/cgroup`, or else `/proc/self/mountinfo` |
    ///
    /// A pod's sandbox is no container of yours, so what is mounted from there counts for nothing.
    /// Under Kubernetes with cgroup v2, where a container has a cgroup namespace of its own,
    /// containerd lets it see no id: then there is none, and a collector finds it by `k8s.pod.uid`
    /// and `k8s.container.name`.
    ///
    /// ```
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// let resource = ResourceBuilder::new().with_container_detector().build()?;
    /// if let Some(id) = resource.get(&"container.id".into()) {
    ///     assert!(id.as_str().len() >= 32);
    /// }
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [container]: https://opentelemetry.io/docs/specs/semconv/resource/container/
    pub fn with_container_detector(self) -> Self {
        self.with(Detector::Ours("container", container::detect))
    }

    /// Asks for the place in [Kubernetes]. Default: not asked. Where `KUBERNETES_SERVICE_HOST` is
    /// not set there is nothing to find.
    ///
    /// | attribute | where it is read |
    /// |---|---|
    /// | `k8s.namespace.name` | `K8S_NAMESPACE_NAME`, `K8S_NAMESPACE`, `KUBERNETES_NAMESPACE`, `KUBE_NAMESPACE`, `POD_NAMESPACE`, `MY_POD_NAMESPACE`; the service account's `namespace` file |
    /// | `k8s.pod.name` | `K8S_POD_NAME`, `KUBERNETES_POD_NAME`, `KUBE_POD_NAME`, `OTEL_RESOURCE_ATTRIBUTES_POD_NAME`, `POD_NAME`, `MY_POD_NAME`; or else it is `HOSTNAME`, unless that is the node's or may have been cut off |
    /// | `k8s.pod.uid` | `K8S_POD_UID`, `KUBERNETES_POD_UID`, `KUBE_POD_UID`, `OTEL_RESOURCE_ATTRIBUTES_POD_UID`, `POD_UID`, `MY_POD_UID`; `/proc/self/mountinfo`, `/proc/self/cgroup` |
    /// | `k8s.container.name` | `K8S_CONTAINER_NAME`, `KUBERNETES_CONTAINER_NAME`, `KUBE_CONTAINER_NAME`, `OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME`; `/proc/self/mountinfo` |
    /// | `k8s.node.name` | `K8S_NODE_NAME`, `KUBERNETES_NODE_NAME`, `KUBE_NODE_NAME`, `OTEL_RESOURCE_ATTRIBUTES_NODE_NAME`, `NODE_NAME`, `MY_NODE_NAME` |
    /// | `k8s.cluster.name`, `.uid` | `K8S_CLUSTER_NAME`, `OTEL_K8S_CLUSTER_NAME`, `KUBE_CLUSTER_NAME`; `K8S_CLUSTER_UID` |
    /// | `k8s.deployment.name` | `K8S_DEPLOYMENT_NAME`; so for `replicaset`, `statefulset`, `daemonset`, `cronjob`, `job` |
    /// | `service.instance.id` | namespace, pod and container, with dots between |
    ///
    /// A variable is there if the pod's specification [has it so][downward]. The [instance's id] is
    /// made only of a pod's name that a variable has: `HOSTNAME` may be that of a node, which
    /// several pods share, and two instances must not have the same id.
    ///
    /// ```
    /// use tower_telemetry::{ResourceBuilder, Telemetry};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_resource(ResourceBuilder::new().with_kubernetes_detector())
    ///     .with_environment([
    ///         ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
    ///         ("K8S_NAMESPACE_NAME", "market"),
    ///         ("K8S_POD_NAME", "shop-7d4b9"),
    ///         ("K8S_CONTAINER_NAME", "app"),
    ///     ])
    ///     .build()?;
    /// let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
    /// assert_eq!(of("k8s.pod.name"), "shop-7d4b9");
    /// assert_eq!(of("service.instance.id"), "market.shop-7d4b9.app");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [Kubernetes]: https://opentelemetry.io/docs/specs/semconv/resource/k8s/
    /// [downward]: https://kubernetes.io/docs/tasks/inject-data-application/environment-variable-expose-pod-information/
    /// [instance's id]: https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/#how-serviceinstanceid-should-be-calculated
    pub fn with_kubernetes_detector(self) -> Self {
        self.with(Detector::Ours("kubernetes", kubernetes::detect))
    }

    /// Asks for the [cloud], as far as it shows itself in variables. Default: not asked.
    ///
    /// | where | known by | `cloud.provider` | `cloud.platform` |
    /// |---|---|---|---|
    /// | AWS Lambda | `AWS_LAMBDA_FUNCTION_NAME` | `aws` | `aws_lambda` |
    /// | AWS ECS | `ECS_CONTAINER_METADATA_URI_V4`, `ECS_CONTAINER_METADATA_URI` | `aws` | `aws_ecs` |
    /// | Google Cloud Functions | `K_SERVICE` with `FUNCTION_TARGET` | `gcp` | `gcp_cloud_functions` |
    /// | Google Cloud Run, services | `K_SERVICE` outside of Kubernetes, where it is Knative's | `gcp` | `gcp_cloud_run` |
    /// | Google Cloud Run, jobs | `CLOUD_RUN_JOB` | `gcp` | `gcp_cloud_run` |
    /// | Azure Functions | `FUNCTIONS_EXTENSION_VERSION`, or `FUNCTIONS_WORKER_RUNTIME` with `WEBSITE_SITE_NAME` | `azure` | `azure.functions` |
    /// | Azure Container Apps | `CONTAINER_APP_NAME`, `CONTAINER_APP_JOB_NAME` | `azure` | `azure.container_apps` |
    /// | Azure App Service | `WEBSITE_SITE_NAME` | `azure` | `azure.app_service` |
    /// | Fly | `FLY_APP_NAME` with `FLY_MACHINE_ID` or `FLY_ALLOC_ID` | `fly_io` | `fly_io.machines` |
    ///
    /// | where | attribute | where it is read |
    /// |---|---|---|
    /// | Lambda | `cloud.region` | `AWS_REGION` |
    /// | | `faas.name`, `faas.version` | `AWS_LAMBDA_FUNCTION_NAME`, `AWS_LAMBDA_FUNCTION_VERSION` |
    /// | | `faas.instance`, `aws.log.stream.names` | `AWS_LAMBDA_LOG_STREAM_NAME` |
    /// | | `faas.max_memory` (bytes) | `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` (MiB) |
    /// | | `aws.log.group.names` | `AWS_LAMBDA_LOG_GROUP_NAME` |
    /// | ECS | `cloud.region` | `AWS_REGION` |
    /// | | `aws.ecs.launchtype` | `AWS_EXECUTION_ENV` |
    /// | Cloud Run services, Cloud Functions | `faas.name`, `faas.version` | `K_SERVICE`, `K_REVISION` |
    /// | Cloud Run jobs | `faas.name` | `CLOUD_RUN_JOB` |
    /// | | `gcp.cloud_run.job.execution`, `.task_index` | `CLOUD_RUN_EXECUTION`, `CLOUD_RUN_TASK_INDEX` |
    /// | Azure Functions, App Service | `cloud.account.id` | `WEBSITE_OWNER_NAME`, up to the `+` |
    /// | | `cloud.region` | `REGION_NAME` |
    /// | App Service | `cloud.resource_id` | `WEBSITE_OWNER_NAME`, `WEBSITE_RESOURCE_GROUP`, `WEBSITE_SITE_NAME` |
    /// | Azure Functions | `faas.instance` | `WEBSITE_INSTANCE_ID` |
    /// | | `faas.max_memory` (bytes) | `WEBSITE_MEMORY_LIMIT_MB` |
    /// | Container Apps | `azure.container_app.instance.id` | `CONTAINER_APP_REPLICA_NAME` |
    /// | | `azure.container_app.revision.name` | `CONTAINER_APP_REVISION` |
    /// | Fly | `cloud.region`, `fly.app.name` | `FLY_REGION`, `FLY_APP_NAME` |
    ///
    /// An Azure function's `faas.name` and `cloud.resource_id` are [those of one function][azure]
    /// of an app, so they belong on spans and are not here. Fly is none of the providers that the
    /// conventions know, so its three words are ours. Those of Container Apps are what other SDKs'
    /// detectors write; the conventions of [`SCHEMA_URL`] do not have them yet.
    ///
    /// ```
    /// use tower_telemetry::{ResourceBuilder, Telemetry};
    ///
    /// let telemetry = Telemetry::builder()
    ///     .with_resource(ResourceBuilder::new().with_cloud_detector())
    ///     .with_environment([("K_SERVICE", "shop"), ("K_REVISION", "shop-00042-abc")])
    ///     .build()?;
    /// let of = |key: &'static str| telemetry.resource().get(&key.into()).unwrap().to_string();
    /// assert_eq!(of("cloud.platform"), "gcp_cloud_run");
    /// assert_eq!(of("faas.version"), "shop-00042-abc");
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// [cloud]: https://opentelemetry.io/docs/specs/semconv/resource/cloud/
    /// [azure]: https://opentelemetry.io/docs/specs/semconv/resource/faas/
    pub fn with_cloud_detector(self) -> Self {
        self.with(Detector::Ours("cloud", cloud::platform::detect))
    }

    /// Asks a detector of another crate, or one of your own. Default: none.
    ///
    /// It runs when the resource is built. If it panics, that is logged and the resource is built
    /// without it. What it says of `telemetry.sdk.*` is not used, nor an empty `service.name` or
    /// `service.instance.id`, nor a name that begins with `unknown_service`, as one that starts
    /// from the SDK's default resource has. What its schema URL does is [above](#schema-url).
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use opentelemetry_sdk::{Resource, resource::ResourceDetector};
    /// use tower_telemetry::ResourceBuilder;
    ///
    /// struct Rack;
    ///
    /// impl ResourceDetector for Rack {
    ///     fn detect(&self) -> Resource {
    ///         Resource::builder_empty().with_attribute(KeyValue::new("rack", "b12")).build()
    ///     }
    /// }
    ///
    /// let resource = ResourceBuilder::new().with_detector(Rack).build()?;
    /// assert_eq!(resource.get(&"rack".into()), Some("b12".into()));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_detector<D>(self, detector: D) -> Self
    where
        D: ResourceDetector + Send + Sync + 'static,
    {
        self.with(Detector::Foreign(type_name::<D>(), Arc::new(detector)))
    }

    fn with(mut self, detector: Detector) -> Self {
        self.detectors.push(detector);
        self
    }
}

/// One that is to look, by its name.
#[derive(Clone)]
pub(super) enum Detector {
    Ours(&'static str, fn(&System<'_>) -> Vec<KeyValue>),
    Foreign(&'static str, Arc<dyn ResourceDetector + Send + Sync>),
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Ours(name, _) | Self::Foreign(name, _)) = self;
        f.write_str(name)
    }
}

/// What detectors have found.
pub(super) struct Detected {
    /// Of two with the same key the later one counts.
    pub(super) attributes: Vec<KeyValue>,
    /// What all of it is under, if there is such a thing.
    pub(super) schema_url: Option<&'static str>,
}

impl Detected {
    pub(super) fn by(detectors: &[Detector], system: &System<'_>) -> Self {
        let mut detected = Self { attributes: Vec::new(), schema_url: Some(SCHEMA_URL) };
        for detector in detectors {
            match detector {
                Detector::Ours(_, detect) => detected.attributes.extend(detect(system)),
                Detector::Foreign(name, detector) => detected.take(name, &**detector),
            }
        }
        detected
    }

    /// What a detector of somebody else's finds.
    fn take(&mut self, name: &str, detector: &dyn ResourceDetector) {
        let Some(resource) = contained(|| detector.detect()) else {
            warn!(
                target: env!("CARGO_PKG_NAME"),
                "resource detector {name} panicked; it was left out"
            );
            return;
        };
        if let Some(url) = resource.schema_url()
            && !resource.is_empty()
            && url != SCHEMA_URL
            && self.schema_url.take().is_some()
        {
            warn!(
                target: env!("CARGO_PKG_NAME"),
                "resource detector {name} has schema URL {}; the resource has none",
                legible(url)
            );
        }
        let free = resource.iter().filter(|(key, value)| {
            let is_nobodys = match key.as_str() {
                SERVICE_NAME => is_blank(value) || value.as_str().starts_with("unknown_service"),
                SERVICE_INSTANCE_ID => is_blank(value),
                _ => false,
            };
            !is_nobodys && !key.as_str().starts_with(OF_THE_SDK) && !key.as_str().is_empty()
        });
        self.attributes.extend(free.map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    }
}
