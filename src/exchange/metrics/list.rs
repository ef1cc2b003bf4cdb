//! Attributes on the stack.

use std::array;

use opentelemetry::{KeyValue, Value};

/// All that a layer puts on a metric.
const ROOM: usize = 10;

/// The attributes of one measurement.
pub(super) struct List {
    attributes: [KeyValue; ROOM],
    length: usize,
}

impl List {
    pub(super) fn new() -> Self {
        Self { attributes: array::from_fn(|_| KeyValue::new("", 0)), length: 0 }
    }

    pub(super) fn push(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(place) = self.attributes.get_mut(self.length) {
            *place = KeyValue::new(key, value);
            self.length += 1;
        }
    }

    /// Adds one, if there is a value for it.
    pub(super) fn extend(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.push(key, value);
        }
    }

    pub(super) fn as_slice(&self) -> &[KeyValue] {
        &self.attributes[..self.length]
    }
}
