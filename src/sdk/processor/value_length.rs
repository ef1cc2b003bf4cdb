//! How long a text may be that is an attribute's value, and what is made of a longer one.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// The most characters of a text that is an attribute's value. The SDK has no such [limit].
///
/// [limit]: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueLength(pub(crate) u32);

impl ValueLength {
    /// Cuts what is too long on the span, its events and its links. Nothing is allocated for what
    /// is not.
    pub(crate) fn cut(self, span: &mut SpanData) {
        self.cut_all(&mut span.attributes);
        for event in &mut span.events.events {
            self.cut_all(&mut event.attributes);
        }
        for link in &mut span.links.links {
            self.cut_all(&mut link.attributes);
        }
    }

    fn cut_all(self, attributes: &mut [KeyValue]) {
        for KeyValue { value, .. } in attributes {
            match value {
                Value::String(text) => self.cut_one(text),
                Value::Array(Array::String(texts)) => {
                    texts.iter_mut().for_each(|text| self.cut_one(text));
                }
                // The other values have no length.
                _ => {}
            }
        }
    }

    fn cut_one(self, text: &mut StringValue) {
        if let Some(end) = self.end_of(text.as_str()) {
            *text = text.as_str()[..end].to_owned().into();
        }
    }

    /// Where a text that is too long is to end, in bytes.
    pub(crate) fn end_of(self, text: &str) -> Option<usize> {
        // No character is less than a byte, so what has so few bytes needs no counting.
        if text.len() <= self.most() {
            return None;
        }
        text.char_indices().nth(self.most()).map(|(end, _)| end)
    }

    pub(crate) fn most(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(most: u32, value: impl Into<Value>) -> Value {
        let mut attributes = [KeyValue::new("key", value)];
        ValueLength(most).cut_all(&mut attributes);
        let [KeyValue { value, .. }] = attributes;
        value
    }

    #[test]
    fn a_text_is_cut_between_characters_and_counted_in_them() {
        for (most, text, expected) in [
            (0, "abc", ""),
            (2, "abc", "ab"),
            (3, "abc", "abc"),
            (4, "abc", "abc"),
            (0, "", ""),
            (2, "名前だ", "名前"),
            (3, "名前だ", "名前だ"),
            (1, "🦀🦀", "🦀"),
            // What looks like one character may be two.
            (1, "e\u{301}", "e"),
        ] {
            assert_eq!(cut(most, text), Value::from(expected), "{most} of {text}");
        }
    }

    #[test]
    fn each_text_of_an_array_is_cut_and_nothing_but_texts() {
        let texts = Array::from(vec![StringValue::from("abc"), "d".into(), "名前だ".into()]);
        let expected = Array::from(vec![StringValue::from("ab"), "d".into(), "名前".into()]);
        assert_eq!(cut(2, Value::Array(texts)), Value::Array(expected));
        for value in [
            Value::from(1_234_567),
            Value::from(true),
            Value::from(1.234_567),
            Value::Array(Array::from(vec![1_234_567, 2])),
        ] {
            assert_eq!(cut(0, value.clone()), value);
        }
    }
}
