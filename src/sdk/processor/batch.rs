//! The batch processor: spans wait in a queue, a thread exports them.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use crate::sdk::{
    env::Env,
    export::ledger::{Ledger, Recorded},
};

/// The SDK's queue takes its whole room at once, some 370 bytes a span.
const LONGEST_QUEUE: usize = 1 << 20;
/// A year, so that a clock can show when it is over.
const LONGEST_DELAY: u64 = 365 * 24 * 60 * 60 * 1000;

/// How many spans wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    delay: Duration,
    queue_size: usize,
    batch_size: usize,
}

impl BatchSettings {
    /// The [environment's] settings. None may be 0: with a delay of 0 the SDK's thread spins, with
    /// a queue of 0 every span is lost.
    ///
    /// [environment's]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
    pub(crate) fn from_env(env: &mut Env) -> Self {
        let spans = |env: &mut Env, variable| {
            env.number(variable, "must be a number from 1 to 1048576", |spans| {
                (1..=LONGEST_QUEUE).contains(spans)
            })
        };
        let delay =
            env.number("OTEL_BSP_SCHEDULE_DELAY", "must be milliseconds above 0", |delay| {
                (1..=LONGEST_DELAY).contains(delay)
            });
        let queue_size = spans(env, "OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(2048);
        let batch_size = spans(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE").unwrap_or(512);
        Self {
            delay: Duration::from_millis(delay.unwrap_or(5000)),
            queue_size,
            batch_size: batch_size.min(queue_size),
        }
    }

    /// A processor with a thread of its own in front of `exporter`, that keeps account in `ledger`.
    pub(crate) fn processor<E: SpanExporter + 'static>(
        self,
        exporter: E,
        ledger: Arc<Ledger>,
    ) -> Box<dyn SpanProcessor> {
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(self.delay)
            .with_max_queue_size(self.queue_size)
            .with_max_export_batch_size(self.batch_size)
            .build();
        let exporter = Recorded::new(exporter, Arc::clone(&ledger));
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Box::new(Batch { queue, ledger })
    }
}

/// The SDK's batch processor, with every span that it is given on record: it drops what finds its
/// queue full and has no number of that.
#[derive(Debug)]
struct Batch {
    queue: BatchSpanProcessor,
    ledger: Arc<Ledger>,
}

impl SpanProcessor for Batch {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.queue.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        // The SDK's takes spans that record without being sampled, too. They are for processors,
        // not for backends.
        if span.span_context.is_sampled() {
            self.ledger.ended();
            self.queue.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn from_env(variables: [(&str, &str); 3]) -> (BatchSettings, usize) {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut env = Env::fixed(HashMap::from(variables));
        (BatchSettings::from_env(&mut env), env.into_warnings().len())
    }

    fn settings(delay: u64, queue_size: usize, batch_size: usize) -> BatchSettings {
        BatchSettings { delay: Duration::from_millis(delay), queue_size, batch_size }
    }

    #[test]
    fn the_environment_is_read_and_zeros_are_not() {
        const NAMES: [&str; 3] = [
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        ];
        for (values, expected) in [
            (["", "", ""], (settings(5000, 2048, 512), 0)),
            (["100", "64", "16"], (settings(100, 64, 16), 0)),
            (["", "64", ""], (settings(5000, 64, 64), 0)),
            (["0", "0", "0"], (settings(5000, 2048, 512), 3)),
            (["18446744073709551615"; 3], (settings(5000, 2048, 512), 3)),
            (["", "100000000000", "1048577"], (settings(5000, 2048, 512), 2)),
            (["1", "1048576", "1048576"], (settings(1, 1_048_576, 1_048_576), 0)),
            (["soon", "-1", "1.5"], (settings(5000, 2048, 512), 3)),
        ] {
            let mut variables = NAMES.map(|name| (name, ""));
            for (variable, value) in variables.iter_mut().zip(values) {
                variable.1 = value;
            }
            assert_eq!(from_env(variables), expected, "{values:?}");
        }
    }
}
