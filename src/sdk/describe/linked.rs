//! Which versions of OpenTelemetry's crates are in this program, as far as its file tells.

use std::{
    collections::BTreeSet,
    env,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::MAIN_SEPARATOR,
    sync::OnceLock,
};

/// The crates that do not work together across versions: what is global, and what a provider is, is
/// another thing in each.
const CRATES: [&str; 2] = ["opentelemetry", "opentelemetry_sdk"];
/// As much of the program's file as is read. Where panics and logs say that they come from is in
/// front; behind it are symbols, which tell nothing new.
const MOST: u64 = 256 << 20;
/// As much as is read at once. Most of what is looked at lies between two separators in it.
const BUFFER: usize = 1 << 18;

/// As much as may be between two separators.
const LONGEST_PART: u64 = 4096;

/// A crate, and one of its versions.
type Found = BTreeSet<(&'static str, String)>;

/// The crates of which the program has more than one version, with all of them.
pub(super) fn twice() -> &'static [(&'static str, Vec<String>)] {
    static TWICE: OnceLock<Vec<(&str, Vec<String>)>> = OnceLock::new();
    TWICE.get_or_init(|| {
        // What cannot be read tells nothing.
        let program = env::current_exe().and_then(File::open);
        program.map_or_else(|_| Vec::new(), |program| more_than_one(&found(program.take(MOST))))
    })
}

fn more_than_one(found: &Found) -> Vec<(&'static str, Vec<String>)> {
    let versions = |name| {
        let of_name = found.iter().filter(|(other, _)| *other == name);
        (name, of_name.map(|(_, version)| version.clone()).collect::<Vec<_>>())
    };
    CRATES.into_iter().map(versions).filter(|(_, versions)| versions.len() > 1).collect()
}

/// A panic and a log say which file of which package they come from, and the package's folder has
/// its version: `…/opentelemetry-0.33.1/src/context.rs`. So these are in the program's file, and
/// nothing else there looks like them.
///
/// Read from separator to separator, which the standard library finds fast also in a debug build.
fn found(program: impl Read) -> Found {
    let mut program = BufReader::with_capacity(BUFFER, program);
    let mut found = Found::new();
    let mut folder = Vec::new();
    let mut part = Vec::new();
    // A folder's name is short: what is longer is read as several, and found to be none.
    while (&mut program)
        .take(LONGEST_PART)
        .read_until(MAIN_SEPARATOR as u8, &mut part)
        .is_ok_and(|read| read > 0)
    {
        if part.strip_suffix(&[MAIN_SEPARATOR as u8]) == Some(b"src")
            && let Some(package) = package(&folder)
        {
            found.insert(package);
        }
        std::mem::swap(&mut folder, &mut part);
        part.clear();
    }
    found
}

fn package(folder: &[u8]) -> Option<(&'static str, String)> {
    let folder = str::from_utf8(folder).ok()?.strip_suffix(MAIN_SEPARATOR)?;
    let (name, version) = folder.split_once('-')?;
    let name = CRATES.into_iter().find(|known| *known == name)?;
    let is_version = version.starts_with(|char: char| char.is_ascii_digit())
        && version.len() < 64
        && version.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    is_version.then(|| (name, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program's file that has these paths in it. They are put together here, for this program's
    /// own file is not to have them.
    fn program(paths: &[&[&str]]) -> Vec<u8> {
        let separator = MAIN_SEPARATOR.to_string();
        let mut bytes = b"\x7fELF\0\xff/\xfe//".to_vec();
        for path in paths {
            bytes.extend([separator.as_bytes(), path.join(&separator).as_bytes()].concat());
            bytes.extend(b"attempt to \xff\xff");
        }
        bytes
    }

    fn twice_in(paths: &[&[&str]]) -> Vec<(&'static str, Vec<String>)> {
        more_than_one(&found(&program(paths)[..]))
    }

    #[test]
    fn two_versions_are_seen_and_nothing_is_taken_for_one() {
        let one: &[&str] = &["registry", "opentelemetry-0.33.1", "src", "context.rs"];
        let other: &[&str] = &["registry", "opentelemetry-0.32.0", "src", "context.rs"];
        let sdk: &[&str] = &["registry", "opentelemetry_sdk-0.33.1", "src", "lib.rs"];
        assert_eq!(twice_in(&[]), []);
        assert_eq!(twice_in(&[one, one, sdk]), []);
        let versions = || vec!["0.32.0".to_owned(), "0.33.1".to_owned()];
        assert_eq!(twice_in(&[one, sdk, other]), [("opentelemetry", versions())]);
        let old_sdk: &[&str] = &["registry", "opentelemetry_sdk-0.32.0", "src", "lib.rs"];
        assert_eq!(
            twice_in(&[one, other, sdk, old_sdk]),
            [("opentelemetry", versions()), ("opentelemetry_sdk", versions())]
        );
        for nothing in [
            &["opentelemetry-0.32.0", "tests", "a.rs"][..],
            &["opentelemetry-otlp-0.32.0", "src", "a.rs"],
            &["opentelemetry-", "src", "a.rs"],
            &["opentelemetry-main", "src", "a.rs"],
            &["opentelemetry-0.32.0 and more", "src", "a.rs"],
            &["my-opentelemetry-0.32.0", "src", "a.rs"],
            &["opentelemetry-0.32.0", "src"],
        ] {
            assert_eq!(twice_in(&[one, nothing]), [], "{nothing:?}");
        }
    }

    #[test]
    fn this_program_is_seen_to_have_one_version_of_each() {
        let program = File::open(env::current_exe().unwrap()).unwrap();
        let names: Vec<_> = found(program).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, CRATES);
        assert_eq!(twice(), []);
    }
}
