//! The place in Kubernetes: pod, container, namespace, node.

use opentelemetry::KeyValue;

use crate::sdk::resource::{
    builder::SERVICE_INSTANCE_ID,
    detect::{
        mountinfo::{Mount, mounts},
        system::System,
        value::{Found, is_hex, is_uuid, plausible},
    },
};

const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The longest name that a host can have. A longer one of a pod is cut off to make the host's.
const LONGEST_HOSTNAME: usize = 63;

/// What the workload is that the pod is of, and the variable that says so.
const WORKLOADS: [(&str, &str); 6] = [
    ("k8s.deployment.name", "K8S_DEPLOYMENT_NAME"),
    ("k8s.replicaset.name", "K8S_REPLICASET_NAME"),
    ("k8s.statefulset.name", "K8S_STATEFULSET_NAME"),
    ("k8s.daemonset.name", "K8S_DAEMONSET_NAME"),
    ("k8s.cronjob.name", "K8S_CRONJOB_NAME"),
    ("k8s.job.name", "K8S_JOB_NAME"),
];

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    if !is_inside(system) {
        return Vec::new();
    }
    let mountinfo = system.read("/proc/self/mountinfo").unwrap_or_default();
    let of_mounts = |pick: fn(Pod<'_>) -> Option<&str>| {
        mounts(&mountinfo).find_map(|mount| pick(of_mount(&mount)?)).map(str::to_owned)
    };
    let namespace = system
        .first_variable(&[
            "K8S_NAMESPACE_NAME",
            "K8S_NAMESPACE",
            "KUBERNETES_NAMESPACE",
            "KUBE_NAMESPACE",
            "POD_NAMESPACE",
            "MY_POD_NAMESPACE",
        ])
        .or_else(|| system.read(NAMESPACE));
    let node = system.first_variable(&[
        "K8S_NODE_NAME",
        "KUBERNETES_NODE_NAME",
        "KUBE_NODE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
        "NODE_NAME",
        "MY_NODE_NAME",
    ]);
    let pod = system.first_variable(&[
        "K8S_POD_NAME",
        "KUBERNETES_POD_NAME",
        "KUBE_POD_NAME",
        "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
        "POD_NAME",
        "MY_POD_NAME",
    ]);
    let uid = system
        .first_variable(&[
            "K8S_POD_UID",
            "KUBERNETES_POD_UID",
            "KUBE_POD_UID",
            "OTEL_RESOURCE_ATTRIBUTES_POD_UID",
            "POD_UID",
            "MY_POD_UID",
        ])
        .or_else(|| of_mounts(|pod| Some(pod.uid)))
        .or_else(|| of_groups(system));
    let container = system
        .first_variable(&[
            "K8S_CONTAINER_NAME",
            "KUBERNETES_CONTAINER_NAME",
            "KUBE_CONTAINER_NAME",
            "OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME",
        ])
        .or_else(|| of_mounts(|pod| pod.container));
    let cluster =
        system.first_variable(&["K8S_CLUSTER_NAME", "OTEL_K8S_CLUSTER_NAME", "KUBE_CLUSTER_NAME"]);

    let instance = instance_id([&namespace, &pod, &container]);
    let pod = pod.or_else(|| hostname(system, node.as_deref()));
    let found = Found::default()
        .text("k8s.namespace.name", namespace)
        .text("k8s.pod.name", pod)
        .text("k8s.pod.uid", uid)
        .text("k8s.container.name", container)
        .text("k8s.node.name", node)
        .text("k8s.cluster.name", cluster)
        .text("k8s.cluster.uid", system.variable("K8S_CLUSTER_UID"))
        .text(SERVICE_INSTANCE_ID, instance);
    WORKLOADS
        .into_iter()
        .fold(found, |found, (key, variable)| found.text(key, system.variable(variable)))
        .into_attributes()
}

/// Whether the process runs in a pod. Kubernetes gives each container this variable.
pub(super) fn is_inside(system: &System<'_>) -> bool {
    system.variable("KUBERNETES_SERVICE_HOST").is_some()
}

/// What a mount gives away of the pod that it is in.
#[derive(Debug, PartialEq)]
pub(super) struct Pod<'a> {
    pub(super) uid: &'a str,
    pub(super) container: Option<&'a str>,
}

/// The kubelet mounts `…/pods/uid/etc-hosts`, and `…/pods/uid/containers/name/…` for the message
/// that a container leaves when it ends. Other paths below `pods` may be those of other pods.
pub(super) fn of_mount<'a>(mount: &Mount<'a>) -> Option<Pod<'a>> {
    let (_, after) = mount.root.split_once("/pods/")?;
    let mut segments = after.split('/');
    let uid = segments.next().filter(|uid| is_uid(uid))?;
    match (segments.next()?, segments.next(), segments.next()) {
        ("etc-hosts", None, None) if mount.point == "/etc/hosts" => {
            Some(Pod { uid, container: None })
        }
        ("containers", Some(name), Some(_)) if !mount.point.contains("/pods/") => {
            Some(Pod { uid, container: Some(name) })
        }
        _ => None,
    }
}

/// The uid in a control group's path: `…/poduid/…`, or `…-pod4d06_b250.slice/…`.
fn of_groups(system: &System<'_>) -> Option<String> {
    let groups = system.read("/proc/self/cgroup")?;
    groups.split(['/', '\n', ':']).find_map(|segment| {
        let name = segment.strip_suffix(".slice").unwrap_or(segment);
        let (_, uid) = name.rsplit_once("pod")?;
        Some(uid.replace('_', "-")).filter(|uid| is_uid(uid))
    })
}

/// A pod that the kubelet has read from a file has a hash in place of a UUID.
fn is_uid(text: &str) -> bool {
    is_uuid(text) || is_hex(text, 32)
}

/// The pod's name, as far as the host has it. It is the node's name in a pod on the node's network.
fn hostname(system: &System<'_>, node: Option<&str>) -> Option<String> {
    let name = system.variable("HOSTNAME")?;
    (name.len() < LONGEST_HOSTNAME && node != Some(&name)).then_some(name)
}

/// [Namespace, pod and container][id], if all are known.
///
/// [id]: https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/#how-serviceinstanceid-should-be-calculated
fn instance_id(names: [&Option<String>; 3]) -> Option<String> {
    let names: Option<Vec<_>> = names.into_iter().map(|name| plausible(name.clone()?)).collect();
    Some(names?.join("."))
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::tests::{World, hostile};

    use super::*;

    const UID: &str = "4d067662-b250-46f6-b1d1-82195608c00f";
    const STATIC: &str = "0123456789abcdef0123456789abcdef";

    fn inside() -> World {
        World::new().variable("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    }

    fn mounted(root: &str, point: &str) -> String {
        format!("1 2 8:1 {root} {point} rw - ext4 /dev/sda1 rw\n")
    }

    fn kubelet() -> String {
        mounted(&format!("/var/lib/kubelet/pods/{UID}/etc-hosts"), "/etc/hosts")
            + &mounted(
                &format!("/var/lib/kubelet/pods/{UID}/containers/app/2b8ca9a1"),
                "/dev/termination-log",
            )
    }

    #[test]
    fn outside_of_kubernetes_nothing_is_found() {
        let world = World::new()
            .variable("HOSTNAME", "laptop")
            .variable("K8S_POD_NAME", "shop-0")
            .variable("POD_NAMESPACE", "market")
            .file(NAMESPACE, "market")
            .file("/proc/self/mountinfo", kubelet());
        assert_eq!(world.find(detect), [""; 0]);
    }

    #[test]
    fn a_pod_that_says_nothing_is_known_by_its_files_and_its_name() {
        let world = inside()
            .variable("HOSTNAME", "shop-7d4b9-x2x")
            .file(NAMESPACE, "market\n")
            .file("/proc/self/mountinfo", kubelet());
        let expected = [
            "k8s.namespace.name=market",
            "k8s.pod.name=shop-7d4b9-x2x",
            &format!("k8s.pod.uid={UID}"),
            "k8s.container.name=app",
        ];
        assert_eq!(world.find(detect), expected);
    }

    #[test]
    fn variables_win_over_files_and_make_the_instances_id() {
        let world = inside()
            .variable("HOSTNAME", "host")
            .variable("K8S_NAMESPACE_NAME", "market")
            .variable("K8S_POD_NAME", "shop-0")
            .variable("K8S_POD_UID", "uid")
            .variable("K8S_CONTAINER_NAME", "main")
            .variable("K8S_NODE_NAME", "node-1")
            .variable("K8S_CLUSTER_NAME", "prod")
            .variable("K8S_CLUSTER_UID", "cluster")
            .variable("K8S_DEPLOYMENT_NAME", "a")
            .variable("K8S_REPLICASET_NAME", "b")
            .variable("K8S_STATEFULSET_NAME", "c")
            .variable("K8S_DAEMONSET_NAME", "d")
            .variable("K8S_CRONJOB_NAME", "e")
            .variable("K8S_JOB_NAME", "f")
            .file(NAMESPACE, "other")
            .file("/proc/self/mountinfo", kubelet());
        let expected = [
            "k8s.namespace.name=market",
            "k8s.pod.name=shop-0",
            "k8s.pod.uid=uid",
            "k8s.container.name=main",
            "k8s.node.name=node-1",
            "k8s.cluster.name=prod",
            "k8s.cluster.uid=cluster",
            "service.instance.id=market.shop-0.main",
            "k8s.deployment.name=a",
            "k8s.replicaset.name=b",
            "k8s.statefulset.name=c",
            "k8s.daemonset.name=d",
            "k8s.cronjob.name=e",
            "k8s.job.name=f",
        ];
        assert_eq!(world.find(detect), expected);
    }

    #[test]
    fn each_name_for_a_variable_is_known() {
        for (key, variables) in [
            (
                "k8s.namespace.name",
                "K8S_NAMESPACE_NAME K8S_NAMESPACE KUBERNETES_NAMESPACE KUBE_NAMESPACE \
                 POD_NAMESPACE MY_POD_NAMESPACE",
            ),
            (
                "k8s.pod.name",
                "K8S_POD_NAME KUBERNETES_POD_NAME KUBE_POD_NAME OTEL_RESOURCE_ATTRIBUTES_POD_NAME \
                 POD_NAME MY_POD_NAME HOSTNAME",
            ),
            (
                "k8s.pod.uid",
                "K8S_POD_UID KUBERNETES_POD_UID KUBE_POD_UID OTEL_RESOURCE_ATTRIBUTES_POD_UID \
                 POD_UID MY_POD_UID",
            ),
            (
                "k8s.container.name",
                "K8S_CONTAINER_NAME KUBERNETES_CONTAINER_NAME KUBE_CONTAINER_NAME \
                 OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME",
            ),
            (
                "k8s.node.name",
                "K8S_NODE_NAME KUBERNETES_NODE_NAME KUBE_NODE_NAME \
                 OTEL_RESOURCE_ATTRIBUTES_NODE_NAME NODE_NAME MY_NODE_NAME",
            ),
            ("k8s.cluster.name", "K8S_CLUSTER_NAME OTEL_K8S_CLUSTER_NAME KUBE_CLUSTER_NAME"),
        ] {
            for variable in variables.split(' ') {
                let found = inside().variable(variable, "x").find(detect);
                assert_eq!(found, [format!("{key}=x")], "{variable}");
            }
        }
    }

    #[test]
    fn a_name_that_may_be_the_nodes_or_cut_off_is_not_the_pods() {
        let named = |name: &str| inside().variable("HOSTNAME", name);
        assert_eq!(named("node-1").variable("NODE_NAME", "node-1").find(detect).len(), 1);
        assert_eq!(named("pod").variable("NODE_NAME", "node-1").find(detect).len(), 2);
        assert_eq!(named(&"x".repeat(62)).find(detect).len(), 1);
        assert_eq!(named(&"x".repeat(63)).find(detect).len(), 0);
    }

    #[test]
    fn an_instance_is_not_named_after_what_may_be_the_nodes_name() {
        let world = inside()
            .variable("HOSTNAME", "shop-0")
            .variable("K8S_NAMESPACE_NAME", "market")
            .variable("K8S_CONTAINER_NAME", "main");
        let found = world.find(detect);
        assert!(found.contains(&"k8s.pod.name=shop-0".to_owned()), "{found:?}");
        assert!(found.iter().all(|found| !found.starts_with("service.")), "{found:?}");
    }

    #[test]
    fn mounts_of_this_pod_are_told_from_those_of_others() {
        let of = |root: &str, point: &str| {
            let line = mounted(root, point);
            let mount = mounts(&line).next().unwrap();
            of_mount(&mount).map(|pod| (pod.uid.to_owned(), pod.container.map(str::to_owned)))
        };
        let app = Some((UID.to_owned(), Some("app".to_owned())));
        let pods = format!("/var/lib/kubelet/pods/{UID}");
        assert_eq!(of(&format!("{pods}/containers/app/1"), "/dev/termination-log"), app);
        assert_eq!(of(&format!("/pods/{UID}/containers/app/1"), "/log"), app);
        assert_eq!(of(&format!("{pods}/etc-hosts"), "/etc/hosts"), Some((UID.to_owned(), None)));
        let of_file = Some((STATIC.to_owned(), None));
        assert_eq!(of(&format!("/kubelet/pods/{STATIC}/etc-hosts"), "/etc/hosts"), of_file);
        for (root, point) in [
            (format!("{pods}/etc-hosts"), "/other/hosts".to_owned()),
            (format!("{pods}/etc-hosts/x"), "/etc/hosts".to_owned()),
            (format!("{pods}/volumes/kubernetes.io~secret/x"), "/secrets".to_owned()),
            (format!("{pods}/containers/app/1"), format!("{pods}/containers/app/1")),
            (format!("{pods}/containers/app"), "/x".to_owned()),
            ("/var/lib/kubelet/pods/x/etc-hosts".to_owned(), "/etc/hosts".to_owned()),
            ("/var/lib/kubelet/pods".to_owned(), "/etc/hosts".to_owned()),
        ] {
            assert_eq!(of(&root, &point), None, "{root} {point}");
        }
    }

    #[test]
    fn the_control_group_has_the_uid_where_no_mount_has() {
        let underscored = UID.replace('-', "_");
        for (path, uid) in [
            (format!("/kubepods/burstable/pod{UID}/abc"), UID),
            (
                format!("/kubepods.slice/kubepods-burstable-pod{underscored}.slice/crio-a.scope"),
                UID,
            ),
            (format!("/s/kubepods-pod{underscored}.slice:cri-containerd:abc"), UID),
            (format!("/kubepods/pod{STATIC}/abc"), STATIC),
        ] {
            let world = inside().file("/proc/self/cgroup", format!("1:cpu:/\n0::{path}\n"));
            assert_eq!(world.find(detect), [format!("k8s.pod.uid={uid}")], "{path}");
        }
        let world = inside().file("/proc/self/cgroup", "0::/kubepods/podx/abc\n");
        assert_eq!(world.find(detect), [""; 0]);
    }

    #[test]
    fn hostile_files_tell_nothing_that_is_too_long() {
        for bytes in hostile() {
            let world = inside()
                .file(NAMESPACE, &bytes)
                .file("/proc/self/cgroup", &bytes)
                .file("/proc/self/mountinfo", &bytes);
            for found in world.find(detect) {
                assert!(found.starts_with("k8s.namespace.name=") && found.len() < 4200, "{found}");
            }
        }
    }
}
