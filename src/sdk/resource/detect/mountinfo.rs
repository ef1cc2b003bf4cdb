//! `/proc/self/mountinfo`: what is mounted where.

/// One mount, as far as it tells where the process runs.
#[derive(Debug, PartialEq)]
pub(super) struct Mount<'a> {
    /// What is mounted, as a path on its own file system.
    pub(super) root: &'a str,
    /// Where it is mounted.
    pub(super) point: &'a str,
    pub(super) file_system: &'a str,
}

/// The file's mounts, [line by line][format].
///
/// [format]: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
pub(super) fn mounts(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        // Some number of optional fields comes before the dash.
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        Some(Mount { root, point, file_system: after.split(' ').next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_any_number_of_optional_fields() {
        let text = "\
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw\n\
            37 35 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n\
            half a line\n\
            1 2 - x\n";
        let expected = [
            Mount { root: "/mnt1", point: "/mnt2", file_system: "ext3" },
            Mount { root: "/", point: "/sys/fs/cgroup", file_system: "cgroup2" },
        ];
        assert_eq!(mounts(text).collect::<Vec<_>>(), expected);
    }
}
