//! The `ot` member of a `tracestate`: which share of its traces a sampler keeps, and the randomness
//! to go by.

use opentelemetry::trace::TraceState;

use crate::sdk::sampler::threshold::{Randomness, Threshold};

const MEMBER: &str = "ot";

/// How long [the list may be][length].
///
/// [length]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/
const LONGEST: usize = 256;

/// What the member says. One that [breaks the format][format] says nothing, and goes as soon as
/// there is something to say.
///
/// [format]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/
#[derive(Clone, Copy, Default)]
pub(super) struct Ot<'a> {
    list: &'a str,
    /// There is a `th`, good or bad.
    says_threshold: bool,
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
}

impl<'a> Ot<'a> {
    #[inline]
    pub(super) fn of(state: &'a TraceState) -> Self {
        if *state == TraceState::NONE {
            return Self::default();
        }
        state.get(MEMBER).and_then(Self::parse).unwrap_or_default()
    }

    fn parse(list: &'a str) -> Option<Self> {
        let mut ot = Self { list, ..Self::default() };
        for (key, value) in pairs(list) {
            match key? {
                "th" if ot.says_threshold => return None,
                "th" => {
                    ot.says_threshold = true;
                    ot.threshold = Threshold::parse(value);
                }
                "rv" => ot.randomness = ot.randomness.or(Randomness::parse(value)),
                _ => {}
            }
        }
        Some(ot)
    }

    /// The threshold of the samplers so far, if it is known.
    pub(super) fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// Whether a threshold is said, be it one that cannot be read.
    pub(super) fn says_threshold(&self) -> bool {
        self.says_threshold
    }

    /// The [explicit randomness][rv], which goes before that of the trace's id.
    ///
    /// [rv]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/#explicit-randomness-value-rv
    pub(super) fn randomness(&self) -> Option<Randomness> {
        self.randomness
    }

    /// The state with this threshold in place of its own. The other pairs stay; without room for
    /// all of them there is no threshold.
    #[inline]
    pub(super) fn write(&self, state: &TraceState, threshold: Option<Threshold>) -> TraceState {
        if threshold == self.threshold && threshold.is_some() == self.says_threshold {
            return state.clone();
        }
        self.rewrite(state, threshold)
    }

    fn rewrite(&self, state: &TraceState, threshold: Option<Threshold>) -> TraceState {
        let mut list = String::with_capacity(self.list.len() + ";th:".len() + 14);
        for (key, value) in pairs(self.list) {
            if let Some(key) = key.filter(|key| *key != "th") {
                push(&mut list, key, value);
            }
        }
        let length = list.len();
        if let Some(threshold) = threshold {
            push(&mut list, "th", "");
            list.extend(threshold.digits());
        }
        if list.len() > LONGEST {
            list.truncate(length);
        }
        // Neither fails: the key is a good one, and so are values that have been in a state.
        if !list.is_empty() {
            return state.insert(MEMBER, list).unwrap_or_else(|_| state.clone());
        }
        let left = state.delete(MEMBER).unwrap_or_else(|_| state.clone());
        // One without a member is another one to OpenTelemetry's `==`.
        if left.into_iter().next().is_none() { TraceState::NONE } else { left }
    }
}

fn push(list: &mut String, key: &str, value: &str) {
    let separator = if list.is_empty() { "" } else { ";" };
    list.extend([separator, key, ":", value]);
}

/// The pairs of a list; one without a key is none.
fn pairs(list: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let list = Some(list).filter(|list| !list.is_empty());
    list.into_iter().flat_map(|list| list.split(';')).map(|pair| match pair.split_once(':') {
        Some((key, value)) if is_key(key) && is_value(value) => (Some(key), value),
        Some(_) | None => (None, pair),
    })
}

fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(list: &str) -> TraceState {
        TraceState::from_key_value([("a", "1"), (MEMBER, list), ("b", "2")]).unwrap()
    }

    fn written(list: &str, threshold: Option<&str>) -> String {
        let state = state(list);
        let threshold = threshold.map(|digits| Threshold::parse(digits).unwrap());
        Ot::of(&state).write(&state, threshold).header()
    }

    #[test]
    fn the_threshold_is_written_and_the_rest_stays() {
        for (list, threshold, expected) in [
            ("th:8", Some("c"), "ot=th:c,a=1,b=2"),
            ("th:8", None, "a=1,b=2"),
            ("th:8", Some("8"), "a=1,ot=th:8,b=2"),
            ("th:80", Some("8"), "a=1,ot=th:80,b=2"),
            ("rv:6e6d1a75832a2f", Some("8"), "ot=rv:6e6d1a75832a2f;th:8,a=1,b=2"),
            ("th:8;rv:6e6d1a75832a2f", None, "ot=rv:6e6d1a75832a2f,a=1,b=2"),
            ("p:8;th:8;r:62", Some("0"), "ot=p:8;r:62;th:0,a=1,b=2"),
            ("k1:13", None, "a=1,ot=k1:13,b=2"),
            // One that cannot be read is one that is wrong.
            ("th:xyz", None, "a=1,b=2"),
            ("th:", Some("8"), "ot=th:8,a=1,b=2"),
            // What breaks the format is nobody's.
            ("garbage", Some("8"), "ot=th:8,a=1,b=2"),
            ("th:8;th:c", Some("e"), "ot=th:e,a=1,b=2"),
            ("th:8;k:1;th:8", Some("8"), "ot=th:8,a=1,b=2"),
            ("garbage", None, "a=1,ot=garbage,b=2"),
        ] {
            assert_eq!(written(list, threshold), expected, "{list} {threshold:?}");
        }
        let ot = Ot::of(&TraceState::NONE);
        let eighth = Threshold::parse("e");
        assert_eq!(ot.write(&TraceState::NONE, eighth).header(), "ot=th:e");
        assert_eq!(ot.write(&TraceState::NONE, None), TraceState::NONE);
    }

    #[test]
    fn without_room_there_is_no_threshold() {
        // `;th:abc12` has nine characters.
        for (length, fits) in [(246, true), (247, true), (248, false), (256, false)] {
            let list = format!("k:{}", "x".repeat(length - 2));
            let with = written(&list, Some("abc12"));
            assert_eq!(with.contains("th:"), fits, "{length}");
            assert!(with.contains(&list), "{length}");
        }
        // One that was there goes, since it is wrong now.
        let list = format!("th:8;k:{}", "x".repeat(247));
        assert_eq!(written(&list, Some("abc12")), format!("ot=k:{},a=1,b=2", "x".repeat(247)));
    }

    #[test]
    fn the_randomness_has_fourteen_digits_or_is_none() {
        let explicit = Randomness::parse("6e6d1a75832a2f");
        for (list, expected) in [
            ("rv:6e6d1a75832a2f", explicit),
            ("th:0;rv:6e6d1a75832a2f", explicit),
            // Two are one too many, and the first is as good as any.
            ("rv:6e6d1a75832a2f;rv:00000000000000", explicit),
            ("rv:6e6d1a75832a2", None),
            ("rv:6E6D1A75832A2F", None),
            ("rv:6e6d1a75832a2f;x", None),
            ("th:8", None),
        ] {
            let state = state(list);
            assert_eq!(Ot::of(&state).randomness(), expected, "{list}");
        }
    }

    #[test]
    fn a_list_has_keys_and_values_of_the_format() {
        for list in ["a", "a:b;", ";a:b", "A:b", "1a:b", ":b", "a:b c", "a:b:c", "a:é"] {
            let list = format!("{list};th:8");
            let state = state(&list);
            assert!(!Ot::of(&state).says_threshold(), "{list}");
        }
        for list in ["a:", "a1:Z.z_9-", "a:b;c:d"] {
            let list = format!("{list};th:8");
            let state = state(&list);
            assert_eq!(Ot::of(&state).threshold(), Threshold::parse("8"), "{list}");
        }
    }
}
