//! `OTEL_TRACES_SAMPLER` and its argument.

use crate::sdk::{
    env::Env,
    sampler::{SamplerBuilder, root::is_ratio},
};

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

const NOT_BUILT_IN: &str = "which is not built in; parentbased_always_on is used";

impl SamplerBuilder {
    /// What the [environment] says of sampling, or the default.
    ///
    /// [environment]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
    pub(crate) fn from_env(env: &mut Env) -> Self {
        let default = Self::new();
        let Some(value) = env.get(SAMPLER) else {
            return default;
        };
        let name = value.to_ascii_lowercase();
        let (root, parent) = match name.strip_prefix("parentbased_") {
            Some(root) => (root, default),
            None => (name.as_str(), default.without_parent()),
        };
        match root {
            "always_on" => parent.with_always_on(),
            "always_off" => parent.with_always_off(),
            "traceidratio" => parent.with_trace_id_ratio(ratio(env)),
            // The specification's, too, but no sampler of the SDK.
            "jaeger_remote" | "xray" => {
                env.warn(SAMPLER, value, format!("asks a server, {NOT_BUILT_IN}"));
                Self::new()
            }
            _ => {
                env.warn(
                    SAMPLER,
                    value,
                    "must be always_on, always_off or traceidratio, alone or after parentbased_; \
                     parentbased_always_on is used",
                );
                Self::new()
            }
        }
    }
}

fn ratio(env: &mut Env) -> f64 {
    env.number(ARGUMENT, "must be a ratio from 0 to 1", |&ratio| is_ratio(ratio)).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The builder's `Debug` and the variables warned of.
    fn from_env(sampler: &str, argument: &str) -> (String, Vec<String>) {
        let mut env = Env::fixed(HashMap::from([
            (SAMPLER.to_owned(), sampler.to_owned()),
            (ARGUMENT.to_owned(), argument.to_owned()),
        ]));
        let builder = SamplerBuilder::from_env(&mut env);
        let warned =
            env.into_warnings().iter().map(|warning| warning.variable().to_owned()).collect();
        (format!("{builder:?}"), warned)
    }

    #[test]
    fn each_name_of_the_specification_is_known() {
        let default = SamplerBuilder::new();
        for (sampler, argument, expected) in [
            ("", "", default.clone()),
            ("always_on", "", default.clone().without_parent()),
            ("always_off", "", default.clone().with_always_off().without_parent()),
            ("traceidratio", "0.25", default.clone().with_trace_id_ratio(0.25).without_parent()),
            ("traceidratio", "", default.clone().with_trace_id_ratio(1.0).without_parent()),
            ("parentbased_always_on", "", default.clone()),
            ("parentbased_always_off", "", default.clone().with_always_off()),
            ("parentbased_traceidratio", "0.5", default.clone().with_trace_id_ratio(0.5)),
            (" ParentBased_TraceIdRatio ", " 0.5 ", default.clone().with_trace_id_ratio(0.5)),
            // An argument that the sampler does not take is none of its business.
            ("always_off", "many", default.with_always_off().without_parent()),
        ] {
            let expected = (format!("{expected:?}"), vec![]);
            assert_eq!(from_env(sampler, argument), expected, "{sampler} {argument}");
        }
    }

    #[test]
    fn a_bad_value_is_a_warning_and_the_default() {
        let default = format!("{:?}", SamplerBuilder::new());
        for sampler in ["sometimes", "parentbased_", "parentbased_jaeger_remote", "xray"] {
            assert_eq!(from_env(sampler, ""), (default.clone(), vec![SAMPLER.to_owned()]));
        }
        let all = format!("{:?}", SamplerBuilder::new().with_trace_id_ratio(1.0));
        for argument in ["2", "-1", "NaN", "inf", "0,5", "half"] {
            assert_eq!(
                from_env("parentbased_traceidratio", argument),
                (all.clone(), vec![ARGUMENT.to_owned()]),
                "{argument}"
            );
        }
    }
}
