//! The `tracestate` field: a list of what each vendor wants to know again.

use std::str;

use opentelemetry::trace::TraceState;

/// How many members a list [may have][limit].
///
/// [limit]: https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
const MEMBERS: usize = 32;

/// How many bytes are looked at. 32 of the longest members have half of that; the rest is room for
/// white space and empty members.
const LONGEST: usize = 32 * 1024;

/// How long a key or a value may be.
const LONGEST_PART: usize = 256;

/// All lines as one list: what OpenTelemetry's type holds of it, and the whole list if that is not
/// all. A list that cannot be read is [dropped whole][invalid].
///
/// [invalid]: https://www.w3.org/TR/trace-context-2/#tracestate-header
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> (TraceState, Option<Box<str>>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return (TraceState::NONE, None);
    }
    let mut members = Members::default();
    if members.read(lines).is_none() {
        return (TraceState::NONE, None);
    }
    if let Ok(state) = TraceState::from_key_value(members.iter()) {
        return (state, None);
    }
    let held = members.iter().filter(|(key, _)| is_held(key));
    let state = TraceState::from_key_value(held).unwrap_or_default();
    let whole = members.list().and_then(|list| String::from_utf8(list).ok());
    (state, whole.map(String::into_boxed_str))
}

/// The list for a span with this state, whose trace came with a list that the state does not hold
/// all of. None if it would be empty.
///
/// [What was changed comes first, the rest in its order][order]: what the state holds and the list
/// does not was added, what it holds otherwise was changed, and what it lacks but could hold was
/// taken out.
///
/// [order]: https://www.w3.org/TR/trace-context-2/#mutating-the-tracestate-field
pub(super) fn write(state: &TraceState, received: Option<&str>) -> Option<Vec<u8>> {
    let Some(received) = received else {
        if *state == TraceState::NONE {
            return None;
        }
        let mut members = Members::default();
        members.extend(state);
        return members.list();
    };
    let mut whole = Members::default();
    whole.read([received.as_bytes()].into_iter())?;
    let received = &whole;
    let mut members = Members::default();
    members.extend(state.into_iter().filter(|&(key, value)| received.get(key) != Some(value)));
    members.extend(
        received.iter().filter(|&(key, value)| {
            state.get(key).map_or_else(|| !is_held(key), |now| now == value)
        }),
    );
    members.list()
}

/// Whether OpenTelemetry's type has a place for the key. Its rules are those of Level 1.
fn is_held(key: &str) -> bool {
    TraceState::from_key_value([(key, "0")]).is_ok()
}

/// The members of a list that follows the format.
#[derive(Default)]
struct Members<'a> {
    members: [(&'a str, &'a str); MEMBERS],
    length: usize,
}

impl<'a> Members<'a> {
    /// Reads a list; gives none if it breaks the format.
    fn read(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Option<()> {
        let mut left = LONGEST;
        let mut count = 0;
        for line in lines {
            left = left.checked_sub(line.len())?;
            for member in str::from_utf8(line).ok()?.split(',') {
                let member = member.trim_matches([' ', '\t']);
                if member.is_empty() {
                    continue;
                }
                count += 1;
                if count > MEMBERS {
                    return None;
                }
                let (key, value) = split(member)?;
                self.add(key, value);
            }
        }
        Some(())
    }

    /// Takes a member that is valid, if there is room, and if its key is not there yet: [the first
    /// one is the last position][combined].
    ///
    /// [combined]: https://www.w3.org/TR/trace-context-2/#combined-header-value
    fn add(&mut self, key: &'a str, value: &'a str) {
        if self.length < MEMBERS && self.get(key).is_none() {
            self.members[self.length] = (key, value);
            self.length += 1;
        }
    }

    /// Takes those of which it can be said, and leaves the others out: what a program has put into
    /// a `TraceState` was not looked at closely.
    fn extend(&mut self, members: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (key, value) in members {
            if is_key(key) && is_value(value) {
                self.add(key, value);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.members[..self.length].iter().copied()
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// As it is sent.
    fn list(&self) -> Option<Vec<u8>> {
        let length = self.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>();
        let mut list = Vec::with_capacity(length.checked_sub(1)?);
        for (key, value) in self.iter() {
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend(key.as_bytes());
            list.push(b'=');
            list.extend(value.as_bytes());
        }
        Some(list)
    }
}

fn split(member: &str) -> Option<(&str, &str)> {
    let is_of_key = |byte: &u8| CLASSES[usize::from(*byte)] & KEY != 0;
    let end = member.bytes().position(|byte| !is_of_key(&byte))?;
    let (key, value) = member.split_at(end);
    let value = value.strip_prefix('=')?;
    (is_key(key) && is_value(value)).then_some((key, value))
}

/// The [grammar of Level 2][key], which no longer tells tenant and system apart.
///
/// [key]: https://www.w3.org/TR/trace-context-2/#key
fn is_key(key: &str) -> bool {
    (1..=LONGEST_PART).contains(&key.len())
        && CLASSES[usize::from(key.as_bytes()[0])] & KEYS_FIRST != 0
        && is_all(key, KEY)
}

/// [Printable][value], and not a space at the end.
///
/// [value]: https://www.w3.org/TR/trace-context-2/#value
fn is_value(value: &str) -> bool {
    (1..=LONGEST_PART).contains(&value.len()) && !value.ends_with(' ') && is_all(value, VALUE)
}

fn is_all(text: &str, class: u8) -> bool {
    text.bytes().fold(class, |all, byte| all & CLASSES[usize::from(byte)]) != 0
}

/// Where a byte may be.
const KEYS_FIRST: u8 = 0b001;
const KEY: u8 = 0b010;
const VALUE: u8 = 0b100;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        classes[byte as usize] = match byte {
            b',' | b'=' => 0,
            b'a'..=b'z' | b'0'..=b'9' => KEYS_FIRST | KEY | VALUE,
            b'_' | b'-' | b'*' | b'/' | b'@' => KEY | VALUE,
            _ => VALUE,
        };
        byte += 1;
    }
    classes
};
