//! The `tracestate` field: a list of what each vendor wants to know again.

use std::str;

use opentelemetry::trace::TraceState;

use crate::propagation::carrier::trimmed;

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
    let Some(members) = Members::parse(lines) else {
        return (TraceState::NONE, None);
    };
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
    let received = Members::parse([received.as_bytes()].into_iter())?;
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
    fn parse(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut members = Self::default();
        let mut left = LONGEST;
        let mut count = 0;
        for line in lines {
            left = left.checked_sub(line.len())?;
            for member in line.split(|&byte| byte == b',') {
                let member = trimmed(member);
                if member.is_empty() {
                    continue;
                }
                count += 1;
                if count > MEMBERS {
                    return None;
                }
                let (key, value) = split(member)?;
                members.add(key, value);
            }
        }
        Some(members)
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
            if is_key(key.as_bytes()) && is_value(value.as_bytes()) {
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

fn split(member: &[u8]) -> Option<(&str, &str)> {
    let at = member.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&member[..at], &member[at + 1..]);
    if !is_key(key) || !is_value(value) {
        return None;
    }
    // Both are ASCII.
    Some((str::from_utf8(key).ok()?, str::from_utf8(value).ok()?))
}

/// The [grammar of Level 2][key], which no longer tells tenant and system apart.
///
/// [key]: https://www.w3.org/TR/trace-context-2/#key
fn is_key(key: &[u8]) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_next = |byte: &u8| is_first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= LONGEST_PART
        && key
            .split_first()
            .is_some_and(|(first, next)| is_first(first) && next.iter().all(is_next))
}

/// [Printable][value], and not a space at the end.
///
/// [value]: https://www.w3.org/TR/trace-context-2/#value
fn is_value(value: &[u8]) -> bool {
    let is_char = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    value.len() <= LONGEST_PART
        && value.last().is_some_and(|&last| last != b' ')
        && value.iter().all(is_char)
}
