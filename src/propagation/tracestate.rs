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
    let mut members = Members::new();
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
        let mut members = Members::new();
        members.extend(state);
        return members.list();
    };
    let line = received.as_bytes();
    let mut received = Members::new();
    received.read([line].into_iter())?;
    let mut members = Members::new();
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
struct Members<'a> {
    members: [(&'a str, &'a str); MEMBERS],
    length: usize,
}

impl<'a> Members<'a> {
    fn new() -> Self {
        Self { members: [("", ""); MEMBERS], length: 0 }
    }

    /// Reads a list; gives none if it breaks the format. In place: it is a kilobyte to move.
    fn read(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> Option<()> {
        let mut left = LONGEST;
        let mut count = 0;
        for line in lines {
            left = left.checked_sub(line.len())?;
            let mut rest = str::from_utf8(line).ok()?;
            while !rest.is_empty() {
                let (member, next) = first(rest)?;
                rest = next;
                if let Some((key, value)) = member {
                    count += 1;
                    if count > MEMBERS {
                        return None;
                    }
                    self.add(key, value);
                }
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

type Member<'a> = Option<(&'a str, &'a str)>;

/// The first member, which may be empty, and what is behind its comma. None if it breaks the
/// format.
#[inline]
fn first(list: &str) -> Option<(Member<'_>, &str)> {
    let list = list.trim_start_matches([' ', '\t']);
    let (key, rest) = split(list, KEY);
    if key.is_empty() {
        return behind(rest).map(|rest| (None, rest));
    }
    let (value, rest) = split(rest.strip_prefix('=')?, VALUE);
    let rest = behind(rest.trim_start_matches([' ', '\t']))?;
    let value = value.trim_end_matches(' ');
    let is_valid = is_first(key) && fits(key) && fits(value);
    is_valid.then_some((Some((key, value)), rest))
}

/// Splits where a byte is not of the class.
#[inline]
fn split(text: &str, class: u8) -> (&str, &str) {
    let end = text.bytes().position(|byte| CLASSES[usize::from(byte)] & class == 0);
    text.split_at(end.unwrap_or(text.len()))
}

/// What is behind a member that ends here.
#[inline]
fn behind(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(',') }
}

/// The [grammar of Level 2][key], which no longer tells tenant and system apart.
///
/// [key]: https://www.w3.org/TR/trace-context-2/#key
fn is_key(key: &str) -> bool {
    is_first(key) && fits(key) && split(key, KEY).1.is_empty()
}

/// [Printable][value], and not a space at the end.
///
/// [value]: https://www.w3.org/TR/trace-context-2/#value
fn is_value(value: &str) -> bool {
    fits(value) && !value.ends_with(' ') && split(value, VALUE).1.is_empty()
}

fn is_first(key: &str) -> bool {
    key.bytes().next().is_some_and(|first| CLASSES[usize::from(first)] & KEYS_FIRST != 0)
}

fn fits(part: &str) -> bool {
    (1..=LONGEST_PART).contains(&part.len())
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
