//! The host: which machine, and what it is.

use opentelemetry::KeyValue;

use crate::sdk::resource::detect::{
    cloud, container, kubernetes,
    system::System,
    value::{Found, is_hex, plausible},
};

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    Found::default()
        .text("host.id", id(system))
        .text("host.name", name(system))
        .text("host.arch", Some(arch(system.process.arch)))
        .into_attributes()
}

/// [The cloud's id of the instance, or the machine's own][id]. What a container has in place of the
/// latter came with its image.
///
/// [id]: https://opentelemetry.io/docs/specs/semconv/resource/host/#collecting-hostid-from-non-containerized-systems
fn id(system: &System<'_>) -> Option<String> {
    if cloud::platform::is_one(system) {
        return cloud::platform::instance_id(system);
    }
    if is_contained(system) {
        return None;
    }
    if system.process.os.ends_with("bsd") || system.process.os == "dragonfly" {
        return system.read("/etc/hostid");
    }
    // An image that has not run yet has a word here, or nothing.
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(|path| {
        system.read(path).map(|id| id.trim().to_owned()).filter(|id| is_hex(id, 32))
    })
}

fn is_contained(system: &System<'_>) -> bool {
    kubernetes::is_inside(system)
        || system.has("/.dockerenv")
        || system.has("/run/.containerenv")
        || container::id(system).is_some()
        || container::is_on_layers(system)
}

fn name(system: &System<'_>) -> Option<String> {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .into_iter()
        .find_map(|path| system.read(path).and_then(plausible))
        .or_else(|| system.first_variable(&["HOSTNAME", "COMPUTERNAME"]))
}

/// The [conventions'][arch] word for what Rust calls the architecture.
///
/// [arch]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/host/
fn arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" | "arm64ec" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        // `x86` and `s390x` are the same word in both.
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::ThisProcess;
    use crate::sdk::resource::detect::system::tests::{World, hostile, linux};

    use super::*;

    const ID: &str = "fdbf79e8af94cb7f9e8df36789187052";

    fn machine() -> World {
        World::new()
            .file("/etc/machine-id", format!("{ID}\n"))
            .file("/proc/sys/kernel/hostname", "web-1\n")
            .file("/proc/self/cgroup", "0::/system.slice/shop.service\n")
    }

    fn id_of(world: World) -> Option<String> {
        let found = world.find(detect);
        found.iter().find_map(|found| found.strip_prefix("host.id=").map(str::to_owned))
    }

    #[test]
    fn a_machine_has_its_id_its_name_and_its_architecture() {
        let expected = [&format!("host.id={ID}"), "host.name=web-1", "host.arch=amd64"];
        assert_eq!(machine().find(detect), expected);
    }

    #[test]
    fn the_id_is_also_looked_for_where_dbus_has_it() {
        let dbus = "/var/lib/dbus/machine-id";
        for first in ["", "uninitialized\n", "not hexadecimal, but 32 letters.", "0123456789abcdef"]
        {
            let world = machine().file("/etc/machine-id", first);
            assert_eq!(id_of(world), None, "{first}");
            let world = machine().file("/etc/machine-id", first).file(dbus, ID);
            assert_eq!(id_of(world).as_deref(), Some(ID));
        }
        assert_eq!(id_of(World::new().file(dbus, ID)).as_deref(), Some(ID));
    }

    #[test]
    fn a_container_has_no_id_of_a_machine() {
        let docker = format!("0::/system.slice/docker-{}.scope\n", ID.repeat(2));
        for world in [
            machine().file("/.dockerenv", ""),
            machine().file("/run/.containerenv", ""),
            machine().file("/proc/self/cgroup", docker),
            machine().variable("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            machine().variable("K_SERVICE", "shop"),
            // containerd's own tools leave nothing else.
            machine().file(
                "/proc/self/mountinfo",
                "9 8 0:55 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/a\n",
            ),
        ] {
            assert_eq!(id_of(world), None);
        }
    }

    #[test]
    fn a_machine_that_runs_containers_is_none() {
        let world = machine().file(
            "/proc/self/mountinfo",
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
             2 1 0:55 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw\n",
        );
        assert_eq!(id_of(world).as_deref(), Some(ID));
    }

    #[test]
    fn in_a_cloud_the_id_is_the_instances() {
        let world = machine().variable("FLY_APP_NAME", "shop").variable("FLY_MACHINE_ID", "148e");
        assert_eq!(id_of(world).as_deref(), Some("148e"));
        let world =
            machine().variable("WEBSITE_SITE_NAME", "shop").variable("WEBSITE_INSTANCE_ID", "33bb");
        assert_eq!(id_of(world).as_deref(), Some("33bb"));
    }

    #[test]
    fn bsd_has_an_id_of_its_own() {
        let uuid = "c64f5ba5-1a4f-11ee-8f2e-589cfc0f81b0";
        for os in ["freebsd", "netbsd", "openbsd", "dragonfly"] {
            let process = ThisProcess { os, ..linux("/bin/shop") };
            let world = World::new().process(process).file("/etc/hostid", uuid);
            assert_eq!(id_of(world.file("/etc/machine-id", ID)).as_deref(), Some(uuid), "{os}");
        }
        assert_eq!(id_of(World::new().file("/etc/hostid", uuid)), None, "not on Linux");
    }

    #[test]
    fn the_name_is_the_kernels_or_the_files_or_a_variables() {
        let name = |world: World| world.find(detect).remove(0);
        let world = || World::new().variable("COMPUTERNAME", "C");
        assert_eq!(name(world()), "host.name=C");
        let world = || world().variable("HOSTNAME", "B");
        assert_eq!(name(world()), "host.name=B");
        let world = || world().file("/etc/hostname", "A\n");
        assert_eq!(name(world()), "host.name=A");
        assert_eq!(name(world().file("/proc/sys/kernel/hostname", "\n")), "host.name=A");
        assert_eq!(name(world().file("/proc/sys/kernel/hostname", "K\n")), "host.name=K");
    }

    #[test]
    fn architectures_have_the_conventions_names() {
        for (rust, word) in [
            ("x86_64", "amd64"),
            ("x86", "x86"),
            ("aarch64", "arm64"),
            ("arm64ec", "arm64"),
            ("arm", "arm32"),
            ("powerpc", "ppc32"),
            ("powerpc64", "ppc64"),
            ("s390x", "s390x"),
            ("riscv64", "riscv64"),
        ] {
            let process = ThisProcess { arch: rust, ..linux("/bin/shop") };
            assert_eq!(World::new().process(process).find(detect), [format!("host.arch={word}")]);
        }
    }

    #[test]
    fn hostile_files_are_no_ids_and_no_names() {
        for bytes in hostile() {
            let world = World::new()
                .file("/etc/machine-id", &bytes)
                .file("/var/lib/dbus/machine-id", &bytes)
                .file("/etc/hostname", &bytes)
                .file("/proc/self/cgroup", &bytes)
                .file("/proc/self/mountinfo", &bytes);
            for found in world.find(detect) {
                assert!(!found.starts_with("host.id=") && found.len() < 4200, "{found}");
            }
        }
    }
}
