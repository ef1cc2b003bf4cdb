//! Asks which compiler builds the crate: it is a resource's `process.runtime.*`.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    // Only who has the SDK has a resource.
    if env::var_os("CARGO_FEATURE_SDK").is_none() {
        return;
    }
    // A compiler that does not answer is one that is not named.
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(compiler).arg("--version").output();
    if let Some(version) = answer.ok().and_then(|answer| String::from_utf8(answer.stdout).ok()) {
        println!(
            "cargo::rustc-env=TOWER_TELEMETRY_RUSTC={}",
            version.lines().next().unwrap_or_default()
        );
    }
}
