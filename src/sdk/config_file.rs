//! A file of settings that the environment names: it is not read, and that is said.

use crate::sdk::env::Env;

/// The specification's name, and the one that it had before.
const VARIABLES: [&str; 2] = ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"];

/// Where such a file is read, [it counts instead of every other variable][file]. Whoever names one
/// is to know that it is not so here.
///
/// [file]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#declarative-configuration
pub(super) fn warn(env: &mut Env) {
    for variable in VARIABLES {
        if let Some(path) = env.get(variable) {
            env.warn(variable, path, "no file is read by this version; the other variables count");
        }
    }
}
