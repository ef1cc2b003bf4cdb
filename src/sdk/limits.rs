//! How much a span may hold.

use opentelemetry_sdk::trace::SpanLimits;

use crate::sdk::env::Env;

/// The [environment's] limits, each 128 unless it says otherwise.
///
/// The SDK would read three of them by itself, from the process's environment and without a word on
/// what it cannot read.
///
/// [environment's]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits
pub(super) fn from_env(env: &mut Env) -> SpanLimits {
    let attributes = limit(env, "OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
    SpanLimits {
        max_attributes_per_span: limit(env, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes),
        max_events_per_span: limit(env, "OTEL_SPAN_EVENT_COUNT_LIMIT", 128),
        max_links_per_span: limit(env, "OTEL_SPAN_LINK_COUNT_LIMIT", 128),
        max_attributes_per_event: limit(env, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128),
        max_attributes_per_link: limit(env, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128),
    }
}

fn limit(env: &mut Env, variable: &'static str, default: u32) -> u32 {
    env.number(variable, "must be a number, 0 or more", |_| true).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn each_limit_has_its_variable_and_spans_fall_back_on_the_general_one() {
        let of = |variables: &[(&str, &str)]| {
            let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            let mut env = Env::fixed(variables.iter().map(own).collect::<HashMap<_, _>>());
            let limits = from_env(&mut env);
            let limits = [
                limits.max_attributes_per_span,
                limits.max_events_per_span,
                limits.max_links_per_span,
                limits.max_attributes_per_event,
                limits.max_attributes_per_link,
            ];
            (limits, env.into_warnings().len())
        };
        assert_eq!(of(&[]), ([128; 5], 0));
        assert_eq!(of(&[("OTEL_ATTRIBUTE_COUNT_LIMIT", "7")]), ([7, 128, 128, 128, 128], 0));
        let all = [
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "3"),
            ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "4"),
            ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "5"),
        ];
        assert_eq!(of(&all), ([1, 2, 3, 4, 5], 0));
        assert_eq!(of(&all.map(|(variable, _)| (variable, "-1"))), ([128; 5], 6));
    }
}
