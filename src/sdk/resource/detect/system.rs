//! All that a detector sees of the world: files, variables, and what the process knows of itself.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process,
};

use crate::sdk::env::Env;

/// As much of a file as is read.
const LIMIT: u64 = 1 << 20;

/// The world, or in tests one that is made up.
pub(crate) struct System<'env> {
    env: &'env Env,
    files: Files,
    pub(crate) process: ThisProcess,
}

enum Files {
    Machine,
    #[cfg(test)]
    MadeUp(Vec<(&'static str, Vec<u8>)>),
}

/// What a process knows of itself.
pub(crate) struct ThisProcess {
    pub(crate) id: u32,
    pub(crate) executable: Option<PathBuf>,
    pub(crate) arguments: Vec<OsString>,
    /// `std::env::consts::OS`.
    pub(crate) os: &'static str,
    /// `std::env::consts::ARCH`.
    pub(crate) arch: &'static str,
}

impl<'env> System<'env> {
    pub(crate) fn new(env: &'env Env, process: ThisProcess) -> Self {
        Self { env, files: Files::Machine, process }
    }

    /// The variable's value. One that is no text is none: it was not set for us.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.env.read(name).ok().flatten()
    }

    /// The first of the variables that is set.
    pub(crate) fn first_variable(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// What the file holds, as far as it is text. Of one that is too long the lines that fit.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        match &self.files {
            Files::Machine => text(&open(Path::new(path))?),
            #[cfg(test)]
            Files::MadeUp(files) => {
                let (_, bytes) = files.iter().find(|(made_up, _)| *made_up == path)?;
                text(&bytes[..bytes.len().min(LIMIT as usize + 1)])
            }
        }
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &str) -> bool {
        match &self.files {
            Files::Machine => Path::new(path).exists(),
            #[cfg(test)]
            Files::MadeUp(files) => files.iter().any(|(made_up, _)| *made_up == path),
        }
    }
}

impl ThisProcess {
    pub(crate) fn new() -> Self {
        Self {
            id: process::id(),
            executable: env::current_exe().ok(),
            arguments: env::args_os().collect(),
            os: env::consts::OS,
            arch: env::consts::ARCH,
        }
    }

    /// The executable's path as text. Linux says of one that has been replaced that it is deleted.
    pub(crate) fn executable_path(&self) -> Option<String> {
        let path = self.executable.as_deref()?.to_string_lossy();
        Some(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
    }

    pub(crate) fn executable_name(&self) -> Option<String> {
        let path = self.executable_path()?;
        Some(Path::new(&path).file_name()?.to_string_lossy().into_owned())
    }
}

/// The file's first bytes, one more than the limit at most. Opening what is no file could wait for
/// somebody to write, and reading it could last forever.
fn open(path: &Path) -> Option<Vec<u8>> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LIMIT + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn text(bytes: &[u8]) -> Option<String> {
    let too_long = bytes.len() as u64 > LIMIT;
    // Half a line may look like a whole one.
    let end = if too_long { bytes.iter().rposition(|&byte| byte == b'\n')? } else { bytes.len() };
    Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use opentelemetry::KeyValue;

    use super::*;

    /// What is looked at in place of the machine.
    #[derive(Default)]
    pub(crate) struct World {
        env: Env,
        variables: HashMap<String, String>,
        files: Vec<(&'static str, Vec<u8>)>,
        process: Option<ThisProcess>,
    }

    impl World {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn file(mut self, path: &'static str, text: impl AsRef<[u8]>) -> Self {
            self.files.retain(|(other, _)| *other != path);
            self.files.push((path, text.as_ref().to_vec()));
            self
        }

        pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
            self.variables.insert(name.to_owned(), value.to_owned());
            self
        }

        pub(crate) fn process(mut self, process: ThisProcess) -> Self {
            self.process = Some(process);
            self
        }

        /// What a detector finds there, as `key=value`, in order.
        pub(crate) fn find(mut self, detect: fn(&System<'_>) -> Vec<KeyValue>) -> Vec<String> {
            self.env = Env::fixed(self.variables);
            let system = System {
                env: &self.env,
                files: Files::MadeUp(self.files),
                process: self.process.unwrap_or_else(|| linux("/usr/bin/shop")),
            };
            let show = |KeyValue { key, value, .. }| format!("{key}={value}");
            detect(&system).into_iter().map(show).collect()
        }
    }

    /// A process on Linux.
    pub(crate) fn linux(executable: &str) -> ThisProcess {
        ThisProcess {
            id: 4242,
            executable: Some(executable.into()),
            arguments: vec![executable.into()],
            os: "linux",
            arch: "x86_64",
        }
    }

    /// Files that no program would have written.
    pub(crate) fn hostile() -> Vec<Vec<u8>> {
        let lines = |line: &str| line.repeat(3 * LIMIT as usize / line.len()).into_bytes();
        let one_line = |part: &str| part.repeat(LIMIT as usize / part.len()).into_bytes();
        vec![
            Vec::new(),
            b"\n".to_vec(),
            b" \n\n\0\n".to_vec(),
            vec![0; 3000],
            vec![0xff; 3 * LIMIT as usize],
            (0..=255).cycle().take(100_000).collect(),
            one_line("/"),
            one_line("/ecs/0123456789abcdef0123456789abcdef-/"),
            one_line("/pods/containers/"),
            one_line("-pod_"),
            lines(":/- \n"),
            lines("A=\"\\\n"),
            lines("<key>ProductName</key><string>"),
            lines("1 (x) ) "),
            "99999999999999999999 ".repeat(60).into_bytes(),
            format!("1 (x) R {}", "18446744073709551615 ".repeat(60)).into_bytes(),
            b"btime 18446744073709551615\nUid: -1 x\n".to_vec(),
            "ü".repeat(5000).into_bytes(),
        ]
    }

    #[test]
    fn what_is_read_of_a_file_is_whole_lines_up_to_a_mebibyte() {
        let limit = LIMIT as usize;
        assert_eq!(text(b"a\nb").unwrap(), "a\nb");
        assert_eq!(text(&vec![b'x'; limit]).unwrap().len(), limit);
        assert_eq!(text(&vec![b'x'; limit + 1]), None);
        let mut bytes = vec![b'x'; limit + 1];
        bytes[7] = b'\n';
        assert_eq!(text(&bytes).unwrap(), "xxxxxxx");
        assert_eq!(text(b"a\xffb").unwrap(), "a\u{fffd}b");
    }

    #[test]
    fn the_machines_files_are_read_and_only_files() {
        let path = env::temp_dir().join(format!("tower-telemetry-{}", process::id()));
        fs::write(&path, "text").unwrap();
        assert_eq!(open(&path).unwrap(), b"text");
        File::options().write(true).open(&path).unwrap().set_len(3 * LIMIT).unwrap();
        assert_eq!(open(&path).unwrap().len() as u64, LIMIT + 1);
        let env = Env::fixed(HashMap::new());
        let system = System::new(&env, ThisProcess::new());
        assert!(system.has(path.to_str().unwrap()));
        fs::remove_file(&path).unwrap();
        assert!(!system.has(path.to_str().unwrap()));
        assert_eq!(system.read(path.to_str().unwrap()), None);
        assert_eq!(open(&env::temp_dir()), None);
        // It has no end.
        #[cfg(unix)]
        assert_eq!(open(Path::new("/dev/zero")), None);
    }

    #[test]
    fn an_executable_that_was_replaced_is_called_what_it_was() {
        let process = linux("/usr/bin/shop (deleted)");
        assert_eq!(process.executable_path().unwrap(), "/usr/bin/shop");
        assert_eq!(process.executable_name().unwrap(), "shop");
    }
}
