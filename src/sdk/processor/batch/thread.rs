//! The export thread, and the runtime that it has to itself.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use tokio::runtime::Builder;

use crate::sdk::{
    export::{exporter::Target, item::Item},
    processor::batch::{queue::Queue, settings::Resolved, worker},
};

/// Starts the thread that empties the queue. When this is back, the exporter has been made.
///
/// The runtime is the thread's own, so there is none of the program's that could be missing, busy
/// with the very call that waits for an export, or dropped before.
pub(super) fn start<T: Item>(
    queue: Arc<Queue<T>>,
    target: Arc<Target<T>>,
    settings: Resolved,
    resource: Resource,
) -> io::Result<()> {
    let (tell, told) = mpsc::sync_channel(1);
    let work = move || {
        // When all is said, or something has panicked.
        let _leaves = Leaves(Arc::clone(&queue));
        // Exports make no spans, nor do the tasks that are polled here.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        runtime.block_on(async {
            let exporter = (target.make)(&resource);
            let _ = tell.send(Ok(()));
            worker::run(&queue, exporter, settings, &target.name).await;
        });
        // An exporter that hangs is left behind.
        runtime.shutdown_background();
    };
    thread::Builder::new().name("otel-export".to_owned()).spawn(work)?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("the exporter panicked")))
}

struct Leaves<T: Item>(Arc<Queue<T>>);

impl<T: Item> Drop for Leaves<T> {
    fn drop(&mut self) {
        self.0.stopped();
    }
}
