//! The process: which one, whose, since when, and built by what.

use opentelemetry::KeyValue;

use crate::sdk::resource::detect::{system::System, time::iso_8601, value::Found};

/// What `rustc --version` has said of the compiler, if it could be asked.
const COMPILER: Option<&str> = option_env!("TOWER_TELEMETRY_RUSTC");

/// How many ticks a second has in what the kernel tells programs, on whatever Rust is built for.
const TICKS_PER_SECOND: u64 = 100;

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    Found::default()
        .number("process.pid", Some(system.process.id.into()))
        .text("process.executable.name", system.process.executable_name())
        .text("process.executable.path", system.process.executable_path())
        .text("process.creation.time", creation_time(system))
        .text("process.owner", owner(system))
        .text("process.runtime.name", Some("rustc"))
        .text("process.runtime.version", COMPILER.and_then(version))
        .text("process.runtime.description", COMPILER)
        .into_attributes()
}

/// The machine's start and how long after it the process was created.
fn creation_time(system: &System<'_>) -> Option<String> {
    let stat = system.read("/proc/self/stat")?;
    // The executable's name is in parentheses, and may have some of its own.
    let (_, after_name) = stat.rsplit_once(')')?;
    // The twenty-second field, where the name is the second.
    let ticks: u64 = after_name.split_ascii_whitespace().nth(19)?.parse().ok()?;

    let machine = system.read("/proc/stat")?;
    let start = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let start: u64 = start.trim().parse().ok()?;
    iso_8601(start.checked_mul(TICKS_PER_SECOND)?.checked_add(ticks)?)
}

/// The name of the user that the process has the rights of.
fn owner(system: &System<'_>) -> Option<String> {
    let status = system.read("/proc/self/status")?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let effective = ids.split_ascii_whitespace().nth(1)?;
    let users = system.read("/etc/passwd")?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == effective).then(|| name.to_owned())
    })
}

/// The `1.95.0` of `rustc 1.95.0 (f2d3ce0bd 2026-03-21)`.
fn version(compiler: &str) -> Option<&str> {
    compiler.split(' ').nth(1)
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::ThisProcess;
    use crate::sdk::resource::detect::system::tests::{World, hostile, linux};

    use super::*;

    const STAT: &str = "4242 (a (b) c) R 1 4242 4242 0 -1 4194560 102 0 0 0 0 0 0 0 20 0 1 0 \
                        2267939 3133440 389 18446744073709551615 1 1 0 0 0 0\n";
    const STATUS: &str =
        "Name:\tshop\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\n";
    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nreal:x:1000:5::/:/bin/sh\n\
                          half:x\nshop:x:1001:5:,,,:/home/shop:/bin/sh\n\
                          again:x:1001:5::/:/bin/sh\n";

    fn world() -> World {
        World::new()
            .file("/proc/self/stat", STAT)
            .file("/proc/stat", "cpu  1 2 3\nintr 4\nctxt 5\nbtime 1700000000\nprocesses 6\n")
            .file("/proc/self/status", STATUS)
            .file("/etc/passwd", PASSWD)
    }

    #[test]
    fn a_process_has_all_but_its_arguments() {
        let found = world().find(detect);
        let expected = [
            "process.pid=4242",
            "process.executable.name=shop",
            "process.executable.path=/usr/bin/shop",
            "process.creation.time=2023-11-15T04:31:19.390Z",
            "process.owner=shop",
            "process.runtime.name=rustc",
        ];
        assert_eq!(found[..6], expected);
        assert!(found[6].starts_with("process.runtime.version=1."), "{found:?}");
        assert!(found[7].starts_with("process.runtime.description=rustc 1."), "{found:?}");
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn what_no_file_tells_is_absent() {
        let process = ThisProcess { executable: None, ..linux("") };
        let found = World::new().process(process).find(detect);
        assert_eq!(found[..2], ["process.pid=4242", "process.runtime.name=rustc"]);
    }

    #[test]
    fn a_user_without_a_name_is_no_owner() {
        let found = world().file("/etc/passwd", "root:x:0:0::/:/bin/sh\n").find(detect);
        assert!(found.iter().all(|found| !found.starts_with("process.owner")), "{found:?}");
    }

    #[test]
    fn the_version_is_the_second_word_of_what_the_compiler_says() {
        assert_eq!(version("rustc 1.95.0 (f2d3ce0bd 2026-03-21)"), Some("1.95.0"));
        assert_eq!(version("rustc"), None);
    }

    #[test]
    fn hostile_files_tell_nothing() {
        for bytes in hostile() {
            let found = world()
                .file("/proc/self/stat", &bytes)
                .file("/proc/self/status", &bytes)
                .file("/etc/passwd", &bytes)
                .find(detect);
            assert_eq!(found[3], "process.runtime.name=rustc");
            let far = world().file("/proc/stat", "btime 18446744073709551615\n").find(detect);
            assert_eq!(far[3], "process.owner=shop");
            let found = world().file("/proc/stat", &bytes).find(detect);
            assert_eq!(found[3], "process.owner=shop");
        }
    }
}
