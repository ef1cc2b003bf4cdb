//! The operating system, as the process sees it.

use opentelemetry::KeyValue;

use crate::sdk::resource::detect::{
    lines::shell_value,
    system::System,
    value::{Found, plausible},
};

pub(crate) fn detect(system: &System<'_>) -> Vec<KeyValue> {
    let kind = kind(system.process.os);
    let found = Found::default().text("os.type", Some(kind));
    match kind {
        "darwin" => of_darwin(system, found),
        "windows" => found,
        _ => of_unix(system, found),
    }
    .into_attributes()
}

/// The [conventions'][type] word for what Rust calls the system.
///
/// [type]: https://opentelemetry.io/docs/specs/semconv/resource/os/
fn kind(os: &str) -> &str {
    match os {
        "android" => "linux",
        "macos" | "ios" | "tvos" | "watchos" | "visionos" => "darwin",
        "dragonfly" => "dragonflybsd",
        "illumos" => "solaris",
        other => other,
    }
}

/// What [os-release] says; the second file is for where there is no first.
///
/// [os-release]: https://www.freedesktop.org/software/systemd/man/latest/os-release.html
fn of_unix(system: &System<'_>, found: Found) -> Found {
    let own = system.read("/etc/os-release");
    let vendors = system.read("/usr/lib/os-release");
    let release = own.as_deref().or(vendors.as_deref()).unwrap_or_default();
    let build = [own.as_deref(), vendors.as_deref()]
        .into_iter()
        .flatten()
        .find_map(|release| shell_value(release, "BUILD_ID").and_then(plausible));
    found
        .text("os.name", shell_value(release, "NAME"))
        .text("os.version", shell_value(release, "VERSION_ID"))
        .text("os.description", shell_value(release, "PRETTY_NAME"))
        .text("os.build_id", build.or_else(|| system.read("/proc/sys/kernel/osrelease")))
}

fn of_darwin(system: &System<'_>, found: Found) -> Found {
    let files = ["SystemVersion", "ServerVersion"]
        .map(|name| system.read(&format!("/System/Library/CoreServices/{name}.plist")));
    let value = |key| files.iter().flatten().find_map(|file| property(file, key));
    let (name, version) = (value("ProductName"), value("ProductVersion"));
    let description = name.as_ref().zip(version.as_ref());
    let description = description.map(|(name, version)| format!("{name} {version}"));
    found
        .text("os.name", name)
        .text("os.version", version)
        .text("os.description", description)
        .text("os.build_id", value("ProductBuildVersion"))
}

/// The text of a property in a list of them, which is XML of the plainest kind.
fn property(list: &str, key: &str) -> Option<String> {
    let (_, after) = list.split_once(&format!("<key>{key}</key>"))?;
    let (text, _) = after.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::sdk::resource::detect::system::ThisProcess;
    use crate::sdk::resource::detect::system::tests::{World, hostile, linux};

    use super::*;

    fn on(os: &'static str) -> World {
        World::new().process(ThisProcess { os, ..linux("/bin/shop") })
    }

    const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n\
                          NAME=\"Debian GNU/Linux\"\n\
                          VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\n";

    #[test]
    fn linux_is_what_os_release_says_with_the_kernel_for_a_build() {
        let world = on("linux")
            .file("/etc/os-release", DEBIAN)
            .file("/usr/lib/os-release", "NAME=Other\n")
            .file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        let expected = [
            "os.type=linux",
            "os.name=Debian GNU/Linux",
            "os.version=12",
            "os.description=Debian GNU/Linux 12 (bookworm)",
            "os.build_id=6.1.0-18-amd64",
        ];
        assert_eq!(world.find(detect), expected);
    }

    #[test]
    fn a_build_that_os_release_names_wins_over_the_kernel_and_each_file_is_asked() {
        let kernel = || on("linux").file("/proc/sys/kernel/osrelease", "6.1\n");
        let own = kernel().file("/etc/os-release", "NAME='Arch Linux'\nBUILD_ID=rolling\n");
        assert_eq!(own.find(detect)[1..], ["os.name=Arch Linux", "os.build_id=rolling"]);
        let vendors = kernel().file("/usr/lib/os-release", "NAME=Arch\nBUILD_ID=7\n");
        assert_eq!(vendors.find(detect)[1..], ["os.name=Arch", "os.build_id=7"]);
        let both = kernel()
            .file("/etc/os-release", "NAME=Own\nBUILD_ID=\n")
            .file("/usr/lib/os-release", "NAME=Vendor\nBUILD_ID=8\n");
        assert_eq!(both.find(detect)[1..], ["os.name=Own", "os.build_id=8"]);
    }

    #[test]
    fn where_no_file_tells_there_is_the_type_alone() {
        for (rust, word) in [
            ("linux", "linux"),
            ("android", "linux"),
            ("macos", "darwin"),
            ("ios", "darwin"),
            ("windows", "windows"),
            ("freebsd", "freebsd"),
            ("dragonfly", "dragonflybsd"),
            ("solaris", "solaris"),
            ("illumos", "solaris"),
            ("aix", "aix"),
            ("haiku", "haiku"),
        ] {
            assert_eq!(on(rust).find(detect), [format!("os.type={word}")]);
        }
    }

    #[test]
    fn macos_is_what_its_property_list_says() {
        let list = "<?xml version=\"1.0\"?>\n<plist version=\"1.0\">\n<dict>\n\
            \t<key>ProductBuildVersion</key>\n\t<string>23E224</string>\n\
            \t<key>ProductName</key>\n\t<string>macOS</string>\n\
            \t<key>ProductVersion</key>\n\t<string>14.4.1</string>\n</dict>\n</plist>\n";
        for file in ["SystemVersion", "ServerVersion"] {
            let path = format!("/System/Library/CoreServices/{file}.plist");
            let expected = [
                "os.type=darwin",
                "os.name=macOS",
                "os.version=14.4.1",
                "os.description=macOS 14.4.1",
                "os.build_id=23E224",
            ];
            assert_eq!(on("macos").file(path.leak(), list).find(detect), expected);
        }
    }

    #[test]
    fn hostile_files_are_no_end() {
        for bytes in hostile() {
            for os in ["linux", "macos"] {
                let world = on(os)
                    .file("/etc/os-release", &bytes)
                    .file("/usr/lib/os-release", &bytes)
                    .file("/proc/sys/kernel/osrelease", &bytes)
                    .file("/System/Library/CoreServices/SystemVersion.plist", &bytes);
                for found in world.find(detect) {
                    assert!(found.len() < 4200 && !found.contains('\0'), "{found:?}");
                }
            }
        }
    }
}
