//! A part of the benchmark, in a process of its own.

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
};

/// It says what it has to say line by line, and goes on until its input is closed.
pub(crate) struct Child {
    process: process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { process, input, output })
    }

    pub(crate) fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            Err("a part has ended before its time".into())
        } else {
            Ok(line.trim().to_owned())
        }
    }

    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    pub(crate) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.close();
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a part has failed: {status}").into()) }
    }
}

/// Says it to whoever has started this one.
pub(crate) fn say(line: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Until whoever has started this one wants no more of it.
pub(crate) async fn closed() {
    let _ = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await;
}
