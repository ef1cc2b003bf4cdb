//! The container's id, as control groups and mounts give it away.

use opentelemetry::KeyValue;

use crate::sdk::resource::detect::{
    kubernetes,
    mountinfo::{Mount, mounts},
    system::System,
    value::{Found, is_hex},
};

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    Found::default().text("container.id", id(system)).into_attributes()
}

/// The id of the container that the process is in.
///
/// Its control group is named after it, in the first file or, where only the mounts show it, in the
/// second. In a control group namespace of its own neither does: then some runtimes still mount
/// files out of a directory that is.
pub(super) fn id(system: &System<'_>) -> Option<String> {
    let groups = system.read("/proc/self/cgroup").unwrap_or_default();
    if let Some(id) = groups.lines().find_map(|line| of_group(line.splitn(3, ':').nth(2)?)) {
        return Some(id.to_owned());
    }
    let text = system.read("/proc/self/mountinfo")?;
    let is_group = |mount: &Mount<'_>| matches!(mount.file_system, "cgroup" | "cgroup2");
    let of_groups = || mounts(&text).filter(is_group).find_map(|mount| of_group(mount.root));
    let of_files = || mounts(&text).find_map(|mount| of_own_file(&mount));
    let of_shared = || mounts(&text).find_map(|mount| of_name(&mount));
    let in_pod = kubernetes::is_inside(system)
        || mounts(&text).any(|mount| kubernetes::of_mount(&mount).is_some());
    let id = of_groups().or_else(of_files).or_else(|| if in_pod { None } else { of_shared() })?;
    Some(id.to_owned())
}

/// The id in a control group's path. Containers may be in containers; the innermost comes last.
fn of_group(path: &str) -> Option<&str> {
    let is_of_ecs = path.contains("/ecs/");
    path.rsplit('/').find_map(|segment| {
        let name = segment.strip_suffix(".scope").unwrap_or(segment);
        // `kubepods-pod42.slice:cri-containerd:id`
        let name = name.rsplit(':').next()?;
        if is_id(name) || is_of_ecs && is_task(name) {
            return Some(name);
        }
        // `docker-id`, `cri-containerd-id`, `crio-id`, `libpod-id`; `crio-conmon-id` watches one.
        let (runtime, id) = name.rsplit_once('-')?;
        (is_id(id) && !runtime.ends_with("conmon")).then_some(id)
    })
}

/// The id in the path of a file that runtimes mount for this container and no other.
fn of_own_file<'a>(mount: &Mount<'a>) -> Option<&'a str> {
    if mount.point == "/run/.containerenv" {
        return of_directory(mount.root);
    }
    // Volumes of an image, under containerd.
    let (_, after) = mount.root.split_once("/io.containerd.grpc.v1.cri/containers/")?;
    after.split('/').next().filter(|id| is_id(id))
}

/// The id in the path of the file with the host's name. In a pod it is the sandbox's, whose name
/// and network the containers share.
fn of_name<'a>(mount: &Mount<'a>) -> Option<&'a str> {
    if mount.point == "/etc/hostname" { of_directory(mount.root) } else { None }
}

/// `…/docker/containers/id/hostname`, `…/overlay-containers/id/userdata/hostname`, and, with
/// containerd's namespace between, `…/nerdctl/1935db59/containers/default/id/hostname`. Containers
/// may be in containers; the innermost comes last.
fn of_directory(path: &str) -> Option<&str> {
    let segments: Vec<&str> = path.split('/').collect();
    let is_of_nerdctl = segments.contains(&"nerdctl");
    segments.windows(3).rev().find_map(|window| {
        let [grandparent, parent, id] = *window else { return None };
        let holds = parent == "containers"
            || parent.ends_with("-containers")
            || is_of_nerdctl && grandparent == "containers";
        (holds && is_id(id)).then_some(id)
    })
}

/// Whether the root is layers of an image on top of one another.
pub(super) fn is_on_layers(system: &System<'_>) -> bool {
    let text = system.read("/proc/self/mountinfo").unwrap_or_default();
    mounts(&text).any(|mount| mount.point == "/" && mount.file_system == "overlay")
}

fn is_id(text: &str) -> bool {
    is_hex(text, 64)
}

/// On Fargate a container is a numbered part of its task.
fn is_task(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| {
        is_hex(task, 32)
            && (1..=20).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::tests::{World, hostile};

    use super::*;

    const ID: &str = "3726eef1c4e5a0d0b7f9a1b3c5d7e9f00123456789abcdef0123456789abcdef";
    const SANDBOX: &str = "c12c805d6314549dc42365c22d74814e277b971b835bffb1db79772d2abefcb0";
    const POD: &str = "4d067662-b250-46f6-b1d1-82195608c00f";

    fn found(cgroup: &str, mountinfo: &str) -> Option<String> {
        let fill = |text: &str| {
            text.replace("ID", ID)
                .replace("SANDBOX", SANDBOX)
                .replace("POD_", &POD.replace('-', "_"))
                .replace("POD", POD)
        };
        let world = World::new()
            .file("/proc/self/cgroup", fill(cgroup))
            .file("/proc/self/mountinfo", fill(mountinfo));
        let found = world.find(detect);
        assert!(found.len() <= 1);
        found.first().map(|found| found.strip_prefix("container.id=").unwrap().to_owned())
    }

    #[track_caller]
    fn is_the_container(cgroup: &str, mountinfo: &str) {
        assert_eq!(found(cgroup, mountinfo).as_deref(), Some(ID), "{cgroup}{mountinfo}");
    }

    #[track_caller]
    fn is_none(cgroup: &str, mountinfo: &str) {
        assert_eq!(found(cgroup, mountinfo), None, "{cgroup}{mountinfo}");
    }

    #[test]
    fn docker_on_cgroup_v1_names_the_group() {
        is_the_container(
            "12:pids:/docker/ID\n11:memory:/docker/ID\n1:name=systemd:/docker/ID\n0::/\n",
            "",
        );
        is_the_container("11:devices:/system.slice/docker-ID.scope\n", "");
        // In another container, whose id comes first.
        is_the_container("4:cpu:/docker/SANDBOX/docker/ID\n", "");
    }

    #[test]
    fn docker_on_cgroup_v2_is_known_by_where_its_hostname_comes_from() {
        is_the_container("0::/system.slice/docker-ID.scope\n", "");
        let mountinfo = "\
1573 1471 0:286 / / rw,relatime master:533 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X
1577 1573 0:289 / /sys ro,nosuid - sysfs sysfs ro
1578 1577 0:31 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw
2302 1573 254:1 /docker/containers/ID/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
2303 1573 254:1 /docker/containers/ID/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
2304 1573 254:1 /docker/containers/ID/hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
";
        is_the_container("0::/\n", mountinfo);
        is_the_container("", &mountinfo.replace("/docker/", "/var/lib/docker/"));
    }

    #[test]
    fn podman_is_known_with_and_without_root() {
        is_the_container("0::/machine.slice/libpod-ID.scope\n", "");
        is_the_container("0::/machine.slice/libpod-ID.scope/container\n", "");
        is_the_container("1:name=systemd:/machine.slice/libpod-ID.scope/init.scope\n", "");
        is_the_container(
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope\n",
            "",
        );
        is_the_container("12:pids:/libpod_parent/libpod-ID\n", "");
        let root = "\
1010 900 0:22 /containers/storage/overlay-containers/ID/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw
1011 900 0:22 /containers/storage/overlay-containers/ID/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw
";
        is_the_container("0::/\n", root);
        let rootless = "\
760 700 0:50 /containers/overlay-containers/ID/userdata/.containerenv /run/.containerenv rw,nosuid - tmpfs tmpfs rw
761 700 0:50 /containers/overlay-containers/ID/userdata/hostname /etc/hostname rw,nosuid - tmpfs tmpfs rw
";
        is_the_container("0::/\n", rootless);
        // In one of Podman's pods the network's files are the infra container's.
        let pod = "\
760 700 0:50 /containers/overlay-containers/SANDBOX/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw
761 700 0:50 /containers/overlay-containers/SANDBOX/userdata/resolv.conf /etc/resolv.conf rw - tmpfs tmpfs rw
762 700 0:50 /containers/overlay-containers/ID/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw
";
        is_the_container("0::/\n", pod);
        is_the_container("0::/\n", &root.replace("overlay-", "vfs-"));
    }

    #[test]
    fn nerdctl_has_a_namespace_in_its_paths() {
        is_the_container("0::/default/nerdctl-ID.scope\n", "");
        let mountinfo = "\
9 8 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/containerd/a
10 9 8:1 /var/lib/nerdctl/1935db59/containers/default/ID/hostname /etc/hostname rw - ext4 /dev/sda1 rw
";
        is_the_container("0::/\n", mountinfo);
        is_none("0::/\n", &mountinfo.replace("/containers/", "/other/"));
        is_none("0::/\n", &mountinfo.replace("/default/", "/default/sandboxes/"));
        is_none("0::/\n", &mountinfo.replace("/nerdctl/", "/storage/"));
    }

    #[test]
    fn of_several_ids_in_a_path_the_innermost_containers_counts() {
        for path in [
            "/var/lib/docker/volumes/SANDBOX/_data/containers/ID/hostname",
            "/var/lib/docker/containers/SANDBOX/docker/containers/ID/hostname",
            "/snap-ID/docker/containers/ID/hostname",
        ] {
            is_the_container(
                "0::/\n",
                &format!("1 2 8:1 {path} /etc/hostname rw - ext4 /dev/sda1 rw\n"),
            );
        }
        for path in ["/containers/storage/ID/hostname", "/volumes/ID/hostname", "/ID/ID/ID/ID"] {
            is_none("0::/\n", &format!("1 2 8:1 {path} /etc/hostname rw - ext4 /dev/sda1 rw\n"));
        }
    }

    #[test]
    fn containerd_under_kubernetes_on_cgroup_v1_is_known_by_the_group() {
        is_the_container("11:memory:/kubepods/burstable/podPOD/ID\n", "");
        is_the_container(
            "11:memory:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podPOD_.slice/cri-containerd-ID.scope\n",
            "",
        );
        is_the_container(
            "11:memory:/system.slice/containerd.service/kubepods-besteffort-podPOD_.slice:cri-containerd:ID\n",
            "",
        );
        // The group's own mount shows it where the other file does not.
        let mountinfo = "\
30 20 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 /kubepods/burstable/podPOD/ID /sys/fs/cgroup/systemd ro,nosuid master:9 - cgroup cgroup rw,name=systemd
32 20 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/SANDBOX/hostname /etc/hostname rw - ext4 /dev/sda1 rw
";
        is_the_container("11:memory:/\n", mountinfo);
    }

    const CONTAINERD: &str = "\
1320 1357 0:377 / / rw,relatime master:247 - overlay overlay rw,upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/155/fs
1324 1323 0:32 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw
1325 1320 259:1 /var/lib/kubelet/pods/POD/etc-hosts /etc/hosts rw,noatime - xfs /dev/nvme0n1p1 rw
1326 1321 259:1 /var/lib/kubelet/pods/POD/containers/app/2b8ca9a1 /dev/termination-log rw,noatime - xfs /dev/nvme0n1p1 rw
1327 1320 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/SANDBOX/hostname /etc/hostname rw,noatime - xfs /dev/nvme0n1p1 rw
1328 1320 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/SANDBOX/resolv.conf /etc/resolv.conf rw,noatime - xfs /dev/nvme0n1p1 rw
1329 1321 0:370 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k
";

    #[test]
    fn a_sandbox_is_not_mistaken_for_the_container() {
        is_none("0::/\n", CONTAINERD);
        // Docker's and CRI-O's have paths like those of containers.
        let docker = "/var/lib/docker/containers/SANDBOX/hostname /etc/hostname";
        let crio = "/containers/storage/overlay-containers/SANDBOX/userdata/hostname /etc/hostname";
        for hostname in [docker, crio] {
            let mount = format!("1 2 8:1 {hostname} rw - ext4 /dev/sda1 rw\n");
            let pod =
                "3 2 8:1 /var/lib/kubelet/pods/POD/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";
            is_none("0::/\n", &format!("{mount}{pod}"));
            let text = mount.replace("SANDBOX", SANDBOX);
            let world = World::new()
                .variable("KUBERNETES_SERVICE_HOST", "10.96.0.1")
                .file("/proc/self/mountinfo", text);
            assert_eq!(world.find(detect), [""; 0]);
        }
    }

    #[test]
    fn containerd_on_cgroup_v2_is_known_by_what_is_mounted_for_it_alone() {
        is_the_container("0::/kubepods/burstable/podPOD/ID\n", CONTAINERD);
        let volume = "1330 1320 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/containers/ID/volumes/abc /data rw - ext4 /dev/sda1 rw\n";
        is_the_container("0::/\n", &format!("{CONTAINERD}{volume}"));
    }

    #[test]
    fn crio_is_known_and_what_watches_it_is_not() {
        is_the_container(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/crio-ID.scope\n",
            "",
        );
        is_the_container("0::/kubepods.slice/kubepods-podPOD_.slice/crio-ID.scope/container\n", "");
        is_none("0::/kubepods.slice/kubepods-podPOD_.slice/crio-conmon-ID.scope\n", "");
        let own = "\
1 2 0:22 /containers/storage/overlay-containers/SANDBOX/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw
3 2 0:22 /containers/storage/overlay-containers/ID/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw
4 2 8:1 /var/lib/kubelet/pods/POD/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw
";
        is_the_container("0::/\n", own);
    }

    #[test]
    fn ecs_is_known_on_machines_and_on_fargate() {
        is_the_container("9:perf_event:/ecs/task/0123456789abcdef0123456789abcdef/ID\n", "");
        let fargate = "0123456789abcdef0123456789abcdef-2495160603";
        let path = format!("1:name=systemd:/ecs/0123456789abcdef0123456789abcdef/{fargate}\n");
        assert_eq!(found(&path, "").as_deref(), Some(fargate));
    }

    #[test]
    fn outside_of_containers_there_is_none() {
        for cgroup in [
            "",
            "0::/\n",
            "0::/init.scope\n",
            "0::/system.slice/sshd.service\n",
            "0::/user.slice/user-1000.slice/session-3.scope\n",
            "0::/user.slice/user-1000.slice/user@1000.service/tmux-spawn-0267755b-4639-4a27-90ed-f19f88e53748.scope\n",
            "4:memory:/process_api/e447bd337ad8db620dc1860922d641e3\n",
            "0::/machine.slice/libpod_pod_ID.slice\n",
            "0::/docker/IDID\n",
            "0::/ecs/0123456789abcdef0123456789abcdef-\n",
            "0::/ecs/0123456789abcdef0123456789abcdef-1x\n",
            "0::/user.slice/0123456789abcdef0123456789abcdef-42\n",
            "ID\n0:ID\n",
        ] {
            is_none(cgroup, "21 41 0:20 / /sys rw,nosuid shared:6 - sysfs sysfs rw\n");
        }
        // Directories of containers, for one who looks after them.
        let mountinfo = "\
1 2 8:1 /var/lib/docker/containers /var/lib/docker/containers rw - ext4 /dev/sda1 rw
3 2 8:1 /var/lib/docker/containers/ID /logs rw - ext4 /dev/sda1 rw
4 2 8:1 /srv/ID/hostname /etc/hostname rw - ext4 /dev/sda1 rw
";
        is_none("0::/system.slice/docker.service\n", mountinfo);
    }

    #[test]
    fn hostile_files_have_no_id() {
        for bytes in hostile() {
            let world =
                World::new().file("/proc/self/cgroup", &bytes).file("/proc/self/mountinfo", &bytes);
            assert_eq!(world.find(detect), [""; 0]);
        }
        // Cut off in the middle.
        is_none(&format!("0::/docker/{}", &ID[..63]), "");
        is_none("0::/\n", &format!("1 2 8:1 /docker/containers/{} /etc/hostn", &ID[..40]));
    }
}
