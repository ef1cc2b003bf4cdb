//! Where a JSON object ends, and whether it has a member of some name.

/// An object, as far as something is to be added to it.
///
/// It is read no further than that takes: what is inside of a member has to end, and no more. The
/// formatter has written it a moment ago, and with a parser of JSON the lines of text would pay for
/// its crates.
#[derive(Debug, PartialEq)]
pub(super) struct Object {
    /// Behind the last member.
    pub(super) end: usize,
    pub(super) is_empty: bool,
    /// One of its own members has a name that was looked for.
    pub(super) has_name: bool,
}

impl Object {
    /// Reads one, with white space around it, and nothing else; `None` if it is something else. A
    /// name is compared as it is written.
    pub(super) fn read(text: &[u8], is_name: impl Fn(&[u8]) -> bool) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        reader.take(b'{')?;
        let mut object = Self { end: reader.at, is_empty: true, has_name: false };
        if reader.next()? != b'}' {
            loop {
                object.has_name |= is_name(reader.string()?);
                reader.take(b':')?;
                reader.value()?;
                object.end = reader.at;
                object.is_empty = false;
                if reader.next()? == b'}' {
                    break;
                }
                reader.take(b',')?;
            }
        }
        reader.take(b'}')?;
        // Nothing is behind it.
        reader.next().is_none().then_some(object)
    }
}

/// Where a string's text is not itself.
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = true;
        control += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        let white = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += white.count();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.next()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// What is between quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.iter().position(|byte| SPECIAL[usize::from(*byte)])?;
            self.at += plain;
            match rest[plain] {
                b'"' => break,
                b'\\' => self.at += 2,
                // A line break in a string is none of JSON's.
                _ => return None,
            }
        }
        let string = self.text.get(start..self.at)?;
        self.at += 1;
        Some(string)
    }

    /// A string, a number or a word; or an object or an array, up to where it is closed.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                _ => self.word()?,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// `true`, `-1.5e3`, and whatever else looks like that.
    fn word(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let is_of_word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(*byte);
        let length = rest.iter().take_while(is_of_word).count();
        self.at += length;
        (length > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn read(text: &str) -> Option<Object> {
        Object::read(text.as_bytes(), |name| name == b"a")
    }

    #[test]
    fn an_object_is_read_to_its_last_member() {
        for (text, end, has_name) in [
            (r#"{"b":1}"#, 6, false),
            (r#"{"a":"}"}"#, 8, true),
            (r#"{"b":"\"a\":","c":{"a":[{},{"a":1}]},"d":null}"#, 45, false),
            ("{ \"b\" : [ 1 , -2.5e+3 , true ] , \"a\" : {\n} \n}\r\n", 42, true),
        ] {
            let object = Object { end, is_empty: false, has_name };
            assert_eq!(read(text), Some(object), "{text}");
        }
        for text in ["{}", " { }\n"] {
            let end = text.find('{').unwrap() + 1;
            assert_eq!(read(text), Some(Object { end, is_empty: true, has_name: false }));
        }
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in [
            "",
            "\n",
            "{",
            "}",
            "[]",
            "1",
            "\"a\"",
            "{a}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"a\":1} b",
            "{\"a\":1}{}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\",
            "{\"a\":\"\\\"}",
            "{\"a\":[}",
            "{\"a\":1 2}",
            "{,\"a\":1}",
            "a {\"a\":1}",
            "{\"a\" 1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                members(inner).prop_map(Value::from),
            ]
        })
    }

    fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof![Just("a".to_owned()), any::<String>()];
        prop::collection::vec((name, value), 0..4).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_object_can_be_added_to(object in members(value()), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&object).unwrap(),
                false => serde_json::to_string(&object).unwrap(),
            };
            let found = read(&text).unwrap();
            prop_assert_eq!(found.is_empty, object.is_empty());
            prop_assert_eq!(found.has_name, object.contains_key("a"));

            let comma = if found.is_empty { "" } else { "," };
            let (before, after) = text.split_at(found.end);
            let added = format!("{before}{comma}\"added\":1{after}");
            // A float may be read as another, so that what is compared has been read, too.
            let mut expected: Map<_, _> = serde_json::from_str(&text).unwrap();
            expected.insert("added".to_owned(), 1.into());
            prop_assert_eq!(serde_json::from_str::<Map<_, _>>(&added).unwrap(), expected);
        }

        #[test]
        fn nothing_breaks_it(text: String, bytes: Vec<u8>, json in r#"[{}\[\]",:\\a1 ]{0,12}"#) {
            read(&text);
            read(&json);
            Object::read(&bytes, |_| false);
            // Whatever JSON takes for an object is one.
            if serde_json::from_str::<Map<String, Value>>(&json).is_ok() {
                prop_assert!(read(&json).is_some());
            }
        }
    }
}
