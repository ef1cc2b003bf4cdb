//! A collector that hangs, under spans without end: what is held is what the settings say.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{fs::read_to_string, net::TcpListener, time::Duration};

use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, Tracer, TracerProvider},
};
use tower_telemetry::{
    Telemetry,
    sdk::{BatchSettings, export::Otlp},
};

const QUEUE: usize = 2048;
const BATCH: usize = 512;
const EXPORTS: usize = 16;
const SPANS: usize = 300_000;
/// What each has in its attributes.
const VALUE: usize = 1000;
/// What a span takes beside: itself, its vector, and some room of the allocator's.
const REST: usize = 1000;

fn main() {
    if !cfg!(target_os = "linux") {
        println!("memory is only looked at on Linux, so it was NOT");
        return;
    }
    // It is connected to, and never answers.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = Telemetry::builder()
        .with_environment([("", ""); 0])
        .with_batch(
            BatchSettings::new()
                .with_max_queue_size(QUEUE)
                .with_max_export_batch_size(BATCH)
                .with_max_concurrent_exports(EXPORTS)
                .with_export_timeout(Duration::ZERO),
        )
        .with_otlp(
            Otlp::new()
                .with_endpoint(format!("http://{}", collector.local_addr().unwrap()))
                .with_timeout(Duration::ZERO),
        )
        .build()
        .unwrap();
    let tracer = telemetry.tracer_provider().tracer("test");
    let before = resident();
    for _ in 0..SPANS {
        let value = KeyValue::new("value", "v".repeat(VALUE));
        drop(tracer.build(SpanBuilder::from_name("span").with_attributes([value])));
    }
    let held = resident().saturating_sub(before);

    let health = telemetry.health();
    let exporter = health.exporters().next().unwrap();
    let most = QUEUE + BATCH * EXPORTS;
    assert_eq!(exporter.ended(), SPANS as u64);
    assert_eq!(exporter.in_flight(), most as u64);
    assert_eq!(exporter.queue_full(), (SPANS - most) as u64);
    // A span that is on its way is there in the encoded form, too.
    let bound = most * (2 * VALUE + REST);
    assert!(held < bound, "{held} bytes of {bound} for {most} spans");
    assert!(telemetry.shutdown(Duration::ZERO).unwrap_err().is_timeout());
    println!("{held} bytes of {bound} were held for {most} of {SPANS} spans: ok");
}

/// The bytes of this process that are in memory.
fn resident() -> usize {
    let pages = read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
