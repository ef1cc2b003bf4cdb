//! What may be the reason that no traces appear, and what to do.

#[cfg(feature = "logs")]
use crate::sdk::export::item::Items;
use crate::{
    sdk::{Telemetry, describe::linked, disabled::Disabled, sampler::Unsampled},
    tracer::{global_is_noop, has_served_without_provider},
};

/// Sentences, in the order in which to look.
pub(super) fn of(telemetry: &Telemetry) -> Vec<String> {
    let configuration = &telemetry.configuration;
    let used = &configuration.used;
    let mut hints = Vec::new();
    let mut hint = |hint: &str| hints.push(hint.to_owned());

    if let Some(disabled) = configuration.disabled {
        // What else there may be is nothing as long as that is so.
        hint(match disabled {
            Disabled::ByCode => "the SDK is disabled by `with_sdk_disabled()`: leave that out",
            Disabled::ByEnvironment => {
                "the SDK is disabled by OTEL_SDK_DISABLED: unset that variable"
            }
        });
        return hints;
    }
    if telemetry.fan_out.is_shut_down() {
        hint("the telemetry is shut down: shut it down after all that is to be traced");
    }
    if telemetry.destinations().next().is_none() {
        hint(if cfg!(any(feature = "otlp-http", feature = "otlp-grpc")) {
            "spans go nowhere: name an exporter in OTEL_TRACES_EXPORTER, or in code, with \
             `with_otlp(..)` for one"
        } else {
            "spans go nowhere: turn on the feature `otlp-http` or `otlp-grpc` of tower-telemetry, or \
             name an exporter in code, with `with_span_exporter(..)` for one"
        });
    }
    if used.by().is_empty() {
        hint(
            "nothing uses this telemetry so far: build layers with `with_telemetry(&telemetry)`, or \
             call `telemetry.set_global()`",
        );
    } else if !used.is_started() {
        hint(
            "no span of this telemetry has started so far: send a request through a layer that has \
             it, and look at what that layer's filter leaves out",
        );
    }
    if used.is_global() {
        if !telemetry.fan_out.is_shut_down() && global_is_noop() {
            hint(
                "this telemetry was made global, and the global provider makes no spans now: look \
                 who has set another one",
            );
        }
    } else if has_served_without_provider() && global_is_noop() {
        hint(
            "layers that were given no telemetry have served, and there is no global provider: \
             build them with `with_telemetry(&telemetry)`, or call `telemetry.set_global()`",
        );
    }
    let lost = telemetry.health().lost();
    if lost > 0 {
        let lost = if lost == 1 { "1 span is".to_owned() } else { format!("{lost} spans are") };
        hint(&format!("{lost} lost so far: look at what is said of them beside their exporter"));
    }
    for signal in &configuration.not_switched_on {
        hint(signal);
    }
    #[cfg(feature = "metrics")]
    if telemetry.meters.as_ref().is_some_and(|meters| meters.readers().next().is_none()) {
        hint(
            "metrics go nowhere: name an exporter in OTEL_METRICS_EXPORTER, or in code, with \
             `MetricSettings::with_otlp(..)` for one",
        );
    }
    #[cfg(feature = "logs")]
    of_logs(telemetry, &mut hint);
    // What is held and found worth it is exported all the same.
    if configuration.tail_sampling.is_none() {
        match telemetry.sampler.unsampled() {
            None => {}
            Some(Unsampled::All) => hint(
                "the sampler samples nothing: give it another root decision, in code or in \
                 OTEL_TRACES_SAMPLER",
            ),
            Some(Unsampled::BegunHere) => hint(
                "the sampler samples no trace that begins here, and others only if their callers \
                 have: give it another root decision, in code or in OTEL_TRACES_SAMPLER",
            ),
        }
    }
    // Two of the SDK come with two of the API, and are the same trouble.
    if let Some((name, versions)) = linked::twice().first() {
        let versions = versions.join(" and ");
        hint(&format!(
            "versions {versions} of `{name}` are linked, and none sees the globals and the contexts \
             of the other: `cargo tree --duplicates` shows who brings which",
        ));
    }
    hints
}

#[cfg(feature = "logs")]
fn of_logs(telemetry: &Telemetry, hint: &mut impl FnMut(&str)) {
    let Some(logs) = &telemetry.logs else {
        return;
    };
    if logs.fan_out.settings().next().is_none() {
        hint(
            "log records go nowhere: name an exporter in OTEL_LOGS_EXPORTER, or in code, with \
             `LogSettings::with_otlp(..)` for one",
        );
    } else if !telemetry.configuration.used.is_by_loggers() {
        hint(
            "logs are switched on, and nothing hands any over: put `telemetry.log_layer()` into the \
             program's subscriber",
        );
    }
    let lost = telemetry.health().lost_log_records();
    if lost > 0 {
        let are = if lost == 1 { "is" } else { "are" };
        let lost = Items::LogRecords.count(lost);
        hint(&format!(
            "{lost} {are} lost so far: look at what is said of them beside their exporter"
        ));
    }
}

impl Disabled {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::ByCode => "by `with_sdk_disabled()`",
            Self::ByEnvironment => "by OTEL_SDK_DISABLED",
        }
    }
}
