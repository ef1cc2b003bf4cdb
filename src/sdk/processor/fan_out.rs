//! One processor for all: each span to each, one deadline for the lot.

use std::{
    thread,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Span, SpanData, SpanProcessor},
};

/// Hands spans on to several processors, in order.
///
/// The SDK's provider would give each of its processors the whole timeout, one after the other;
/// here they share it.
#[derive(Debug)]
pub(crate) struct FanOut {
    processors: Vec<Box<dyn SpanProcessor>>,
}

impl FanOut {
    pub(crate) fn new(processors: Vec<Box<dyn SpanProcessor>>) -> Self {
        Self { processors }
    }

    /// Runs `job` on all processors at once, each on a thread of its own: what one waits for does
    /// not take from another's time.
    fn all(&self, job: impl Fn(&dyn SpanProcessor) -> OTelSdkResult + Sync) -> OTelSdkResult {
        let results: Vec<OTelSdkResult> = match self.processors.as_slice() {
            [] => Vec::new(),
            [one] => vec![job(one.as_ref())],
            several => thread::scope(|scope| {
                let running: Vec<_> =
                    several.iter().map(|one| scope.spawn(|| job(one.as_ref()))).collect();
                running
                    .into_iter()
                    .map(|one| one.join().unwrap_or_else(|_| Err(panicked())))
                    .collect()
            }),
        };
        let mut errors: Vec<OTelSdkError> = results.into_iter().filter_map(Result::err).collect();
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            // A deadline that has passed is what the caller has to know.
            _ => match errors.iter().position(|error| matches!(error, OTelSdkError::Timeout(_))) {
                Some(timeout) => Err(errors.swap_remove(timeout)),
                None => {
                    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    Err(OTelSdkError::InternalFailure(errors.join("; ")))
                }
            },
        }
    }
}

fn panicked() -> OTelSdkError {
    OTelSdkError::InternalFailure("a span processor panicked".to_owned())
}

impl SpanProcessor for FanOut {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        for processor in &self.processors {
            processor.on_start(span, cx);
        }
    }

    fn on_end(&self, span: SpanData) {
        let Some((last, others)) = self.processors.split_last() else {
            return;
        };
        for processor in others {
            processor.on_end(span.clone());
        }
        last.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.all(|processor| processor.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let deadline = Instant::now() + timeout;
        self.all(|processor| {
            processor.shutdown_with_timeout(deadline.saturating_duration_since(Instant::now()))
        })
    }

    fn set_resource(&mut self, resource: &Resource) {
        for processor in &mut self.processors {
            processor.set_resource(resource);
        }
    }
}
