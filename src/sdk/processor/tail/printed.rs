//! A kept trace on the console: printed whole.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::sdk::export::ConsoleExporter;

/// Prints spans as the tree that they make. As a processor the console would be told of one after
/// the other, none of which it has seen start, and make a tree of each.
pub(crate) fn print(console: &ConsoleExporter, spans: Vec<SpanData>) {
    let printing = pin!(console.export(spans));
    // It waits for nothing, and what cannot be printed is no error.
    let _ = printing.poll(&mut Context::from_waker(Waker::noop()));
}
