//! The batch processor: spans wait in a queue, a thread exports them.

use std::time::Duration;

use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanExporter, SpanProcessor,
};

use crate::sdk::env::Env;

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
        let delay =
            env.number("OTEL_BSP_SCHEDULE_DELAY", "must be milliseconds above 0", |&n| n > 0);
        let queue_size = env
            .number("OTEL_BSP_MAX_QUEUE_SIZE", "must be a number above 0", |&n| n > 0)
            .unwrap_or(2048);
        let batch_size = env
            .number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "must be a number above 0", |&n| n > 0)
            .unwrap_or(512);
        Self {
            delay: Duration::from_millis(delay.unwrap_or(5000)),
            queue_size,
            batch_size: batch_size.min(queue_size),
        }
    }

    /// A processor with a thread of its own in front of `exporter`.
    pub(crate) fn processor<E: SpanExporter + 'static>(
        self,
        exporter: E,
    ) -> Box<dyn SpanProcessor> {
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(self.delay)
            .with_max_queue_size(self.queue_size)
            .with_max_export_batch_size(self.batch_size)
            .build();
        Box::new(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
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
