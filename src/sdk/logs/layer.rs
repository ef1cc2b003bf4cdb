//! `LogLayer`: the events of `tracing` as log records.

use std::fmt;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::contained::contained;

/// A layer of `tracing-subscriber` that makes a log record of each event. From
/// [`Telemetry::log_layer`](crate::Telemetry::log_layer).
///
/// Of an event
///
/// * the message is the body, and the other fields are the attributes; one that is an error is
///   `exception.message`,
/// * the level is the severity: `TRACE` is 1, `DEBUG` 5, `INFO` 9, `WARN` 13, `ERROR` 17,
/// * the target is the name of the scope under which it is filed,
/// * a [name](tracing::event!) that was given is the event's name; the one that `tracing` makes of
///   file and line is not exported,
/// * ids and flags are those of the span that is current: in a handler behind a
///   [`TraceLayer`](crate::TraceLayer), in a task that
///   [carries the Context](opentelemetry::context::FutureExt::with_current_context), and in the
///   spans of `tracing-opentelemetry` for as long as it [activates] them, which is its default.
///   Without a span there are none.
///
/// The fields of `tracing`'s own spans are not on it.
///
/// # What is exported
///
/// All that comes by, so say how much that is to be, with a filter of the layer's own, or of the
/// whole subscriber:
///
/// ```
/// use tower_telemetry::{Telemetry, sdk::logs::LogSettings};
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
///
/// let telemetry = Telemetry::builder().with_logs(LogSettings::new()).build()?;
/// let subscriber = tracing_subscriber::registry()
///     .with(tracing_subscriber::fmt::layer())
///     .with(telemetry.log_layer().with_filter(LevelFilter::INFO));
/// // To be made the process's by `subscriber.init()`.
/// # drop(subscriber);
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// What the filter leaves out costs nothing. An event that is exported takes whoever logs it some
/// 0.3 µs and an allocation for each text, and never waits for an export.
///
/// # Nothing feeds back
///
/// Not exported is what is logged while an export runs, by whatever it calls: exporters, also your
/// own, are called in a Context [without telemetry], and ours run without a subscriber at that. Nor
/// are this crate's lines, and those of the crates that are called `opentelemetry…`: they say how
/// the telemetry is, in the program's own log. What an exporter of your own hands to a task or a
/// thread of its own is out of sight; have it carry the Context, or filter it.
///
/// [activates]: https://docs.rs/tracing-opentelemetry/latest/tracing_opentelemetry/struct.OpenTelemetryLayer.html#method.with_context_activation
/// [without telemetry]: opentelemetry::Context::enter_telemetry_suppressed_scope
#[must_use = "a layer does nothing until it is part of a subscriber"]
pub struct LogLayer {
    bridge: OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>,
}

impl LogLayer {
    pub(in crate::sdk) fn new(provider: &SdkLoggerProvider) -> Self {
        // The SDK would remark on the scope's name, which is empty for the target to take its
        // place.
        let bridge = tracing::dispatcher::with_default(&tracing::Dispatch::none(), || {
            OpenTelemetryTracingBridge::new(provider)
        });
        Self { bridge }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        // Here and not before: other layers want them.
        if !is_of_telemetry(event.metadata().target()) {
            // A thread that ends may log when its Context is gone, and to panic then would end the
            // process.
            contained(|| self.bridge.on_event(event, cx));
        }
    }
}

impl fmt::Debug for LogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer").finish_non_exhaustive()
    }
}

/// Whether it is about the telemetry itself.
fn is_of_telemetry(target: &str) -> bool {
    target == env!("CARGO_PKG_NAME")
        || target.starts_with("opentelemetry")
        || target
            .strip_prefix("tower_telemetry")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_the_telemetry_are_known_and_others_are_not() {
        for target in [
            "tower-telemetry",
            "tower_telemetry",
            "tower_telemetry::sdk",
            "opentelemetry_sdk",
            "opentelemetry-otlp",
        ] {
            assert!(is_of_telemetry(target), "{target}");
        }
        for target in ["", "shop", "hyper::client", "tower_telemetry_demo", "tower"] {
            assert!(!is_of_telemetry(target), "{target}");
        }
    }
}
