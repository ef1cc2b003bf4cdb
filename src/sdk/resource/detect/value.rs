//! What can be an attribute's value, and what only looks like one.

use opentelemetry::{KeyValue, StringValue, Value};

/// The longest value, in bytes: a path can be as long, and nothing else is.
pub(super) const LONGEST: usize = 4096;

/// Texts and numbers that were found, as attributes.
#[derive(Default)]
pub(super) struct Found(Vec<KeyValue>);

impl Found {
    /// A text, if there is one and it can be meant.
    pub(super) fn text(mut self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        self.0.extend(value.and_then(plausible).map(|value| KeyValue::new(key, value)));
        self
    }

    /// The same, as a list of one.
    pub(super) fn list(mut self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        let list = value.and_then(plausible).map(|value| vec![StringValue::from(value)]);
        self.0.extend(list.map(|list| KeyValue::new(key, Value::Array(list.into()))));
        self
    }

    pub(super) fn number(mut self, key: &'static str, value: Option<i64>) -> Self {
        self.0.extend(value.map(|value| KeyValue::new(key, value)));
        self
    }

    pub(super) fn into_attributes(self) -> Vec<KeyValue> {
        self.0
    }
}

/// The text without what is around it, unless it is empty, too long, or no text.
pub(super) fn plausible(text: impl Into<String>) -> Option<String> {
    let text = text.into();
    let trimmed = text.trim();
    let is_plausible = !trimmed.is_empty()
        && trimmed.len() <= LONGEST
        && !trimmed.contains(|char: char| char.is_control() || char == char::REPLACEMENT_CHARACTER);
    is_plausible.then(|| trimmed.to_owned())
}

/// Whether this is so many hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this is a UUID as people write it.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.split('-').count() == lengths.len()
        && text.split('-').zip(lengths).all(|(group, digits)| is_hex(group, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_line_of_text_and_not_too_long() {
        assert_eq!(plausible(" a b\n").as_deref(), Some("a b"));
        assert_eq!(plausible("名前").as_deref(), Some("名前"));
        assert!(plausible("x".repeat(LONGEST)).is_some());
        for text in ["", " \n", "a\nb", "a\0", "\u{1b}[2J", "a\u{fffd}", &"x".repeat(LONGEST + 1)] {
            assert_eq!(plausible(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_uuid_is_five_groups_of_hexadecimal_digits() {
        assert!(is_uuid("4d067662-b250-46f6-b1d1-82195608c00f"));
        for text in [
            "",
            "----",
            "4d067662-b250-46f6-b1d1-82195608c00",
            "4d067662-b250-46f6-b1d1-82195608c00g",
            "4d067662-b250-46f6-b1d1-82195608c00f-",
            "4d067662-b250-46f6-b1d182195608c00f",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
