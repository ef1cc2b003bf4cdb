//! `Batch`: the queue and its thread, as the fan-out knows them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwap;
use opentelemetry_sdk::{Resource, trace::SpanData};

use crate::{
    error::BuildError,
    sdk::{
        export::{exporter::Target, item::Item},
        processor::batch::{
            counts::{Counts, Fate},
            queue::Queue,
            settings::Resolved,
            thread,
        },
    },
};

/// A batch processor in front of one exporter.
pub(in crate::sdk) struct Batch<T: Item = SpanData> {
    /// Another one in a process that was forked.
    queue: ArcSwap<Queue<T>>,
    target: Arc<Target<T>>,
    settings: Resolved,
    resource: Resource,
    inheriting: Mutex<()>,
}

impl Batch {
    /// Takes a span that has ended. Those that only record are for processors, not for backends.
    pub(in crate::sdk) fn end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.push(span);
        }
    }
}

impl<T: Item> Batch<T> {
    /// Starts its thread.
    pub(in crate::sdk) fn start(
        target: Target<T>,
        settings: Resolved,
        resource: &Resource,
    ) -> Result<Self, BuildError> {
        let target = Arc::new(target);
        let queue = begin(&target, settings, resource).map_err(|error| {
            BuildError::new("exporter", &target.name, format!("cannot be started: {error}"))
        })?;
        Ok(Self {
            queue: ArcSwap::from(queue),
            target,
            settings,
            resource: resource.clone(),
            inheriting: Mutex::default(),
        })
    }

    pub(in crate::sdk) fn target(&self) -> &Target<T> {
        &self.target
    }

    pub(in crate::sdk) fn settings(&self) -> Resolved {
        self.settings
    }

    /// Takes an item.
    pub(in crate::sdk) fn push(&self, item: T) {
        let given_back = self.queue.load().push(item);
        if let Some(item) = given_back {
            // The queue of the process that it is now takes it.
            self.queue().push(item);
        }
    }

    pub(in crate::sdk) fn counts(&self) -> Counts {
        self.queue().counts()
    }

    /// What was lost since the last time, and what the exporter has complained of.
    pub(in crate::sdk) fn tell(&self) -> (Vec<(Fate, u64, String)>, Vec<String>) {
        self.queue().tell()
    }

    /// Keeps a complaint, for whoever is [told](Self::tell) next.
    #[cfg(feature = "metrics")]
    pub(in crate::sdk) fn complain(&self, what: String) {
        self.queue().complain(what);
    }

    /// Has what has come exported; [`wait_for_flush`](Self::wait_for_flush) waits for it.
    pub(in crate::sdk) fn begin_flush(&self) -> Option<u64> {
        self.queue().begin_flush()
    }

    /// How many items are still to go, if the flush is not done by then.
    pub(in crate::sdk) fn wait_for_flush(&self, flush: u64, deadline: Instant) -> Result<(), u64> {
        self.queue().wait_for_flush(flush, deadline)
    }

    /// Takes no more items, and has those that are there exported until then.
    pub(in crate::sdk) fn begin_shutdown(&self, deadline: Instant) {
        self.queue().begin_shutdown(deadline);
    }

    /// How many items are lost, if the shutdown is not done by then.
    pub(in crate::sdk) fn wait_for_shutdown(&self, deadline: Instant) -> Result<(), u64> {
        self.queue().wait_for_shutdown(deadline)
    }

    /// The queue of this process.
    fn queue(&self) -> Arc<Queue<T>> {
        let queue = self.queue.load_full();
        if !queue.is_inherited() {
            return queue;
        }
        let _one = self.inheriting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = self.queue.load_full();
        if !queue.is_inherited() {
            return queue;
        }
        let own = begin(&self.target, self.settings, &self.resource).unwrap_or_else(|_| {
            // Without a thread whatever comes is lost, and counted.
            let stopped = Arc::new(Queue::new(self.settings, 1));
            stopped.stopped();
            stopped
        });
        for item in queue.bequeath() {
            own.push(item);
        }
        self.queue.store(Arc::clone(&own));
        own
    }
}

fn begin<T: Item>(
    target: &Arc<Target<T>>,
    settings: Resolved,
    resource: &Resource,
) -> std::io::Result<Arc<Queue<T>>> {
    let concurrency = target.concurrency.min(settings.exports);
    let queue = Arc::new(Queue::new(settings, concurrency));
    thread::start(Arc::clone(&queue), Arc::clone(target), settings, resource.clone())?;
    Ok(queue)
}

impl<T: Item> Drop for Batch<T> {
    /// Who has not shut it down waits for nothing.
    fn drop(&mut self) {
        self.queue.load().begin_shutdown(Instant::now());
    }
}

impl<T: Item> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("exporter", &self.target.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
