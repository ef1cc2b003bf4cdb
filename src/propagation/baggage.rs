//! W3C Baggage: the `baggage` header.

use std::str;

use http::HeaderName;
use opentelemetry::{
    Context,
    baggage::{BaggageExt, KeyValueMetadata},
    trace::TraceContextExt,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use crate::propagation::carrier::{BAGGAGE, Source, Target, trimmed};

/// The [W3C Baggage] format: entries that go along with the requests of a trace, and come to be
/// found in OpenTelemetry's [`Baggage`](opentelemetry::baggage::Baggage).
///
/// What is received: all lines as one list, of which the first 8192 bytes are read, and of the
/// entries in there the first 64, which is what [the format][limits] asks for and OpenTelemetry's
/// type holds. Values are [percent-encoded UTF-8][value], properties are kept as they are. An entry
/// that breaks the format, or that is not whole within the limit, is left out; of several with one
/// key the last counts. Entries replace those of the Context; without any they stay as they are.
///
/// What is sent: the entries of the Context, by their keys' order, up to 8192 bytes; one that does
/// not fit is left out whole. A client layer [sends none](crate::PropagationLayer::with_baggage_to)
/// unless it was told to whom.
///
/// Neither is ever logged.
///
/// [W3C Baggage]: https://www.w3.org/TR/baggage/
/// [limits]: https://www.w3.org/TR/baggage/#limits
/// [value]: https://www.w3.org/TR/baggage/#value
///
/// # Example
///
/// ```
/// use http::HeaderMap;
/// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
/// use tower_telemetry::propagation::{Baggage, Propagator};
///
/// let baggage = Propagator::new(Baggage::new());
/// let cx = Context::new().with_baggage([KeyValue::new("tenant", "Ørsted; 100%")]);
/// let mut headers = HeaderMap::new();
/// baggage.inject(&cx, &mut headers);
/// assert_eq!(headers["baggage"], "tenant=%C3%98rsted%3B%20100%25");
///
/// let cx = baggage.extract(&Context::new(), &headers);
/// assert_eq!(cx.baggage().get("tenant").unwrap().as_str(), "Ørsted; 100%");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Baggage {
    _private: (),
}

impl Baggage {
    /// The propagator; it has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

pub(super) static FIELDS: [&HeaderName; 1] = [&BAGGAGE];

/// How long a list is, at most, that is read or sent, and how many entries of it are read.
pub(super) const LONGEST: usize = 8192;
pub(super) const ENTRIES: usize = 64;

/// What is not [an octet of a value][octet], and what would not come back as it was.
///
/// [octet]: https://www.w3.org/TR/baggage/#definition
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The same of a property, whose percent signs are its own.
const ENCODED_IN_PROPERTY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\');

pub(super) fn extract(cx: &Context, from: &impl Source) -> Option<Context> {
    let mut lines = from.lines(&BAGGAGE).peekable();
    lines.peek()?;
    let mut entries = Vec::new();
    let mut left = LONGEST;
    for line in lines {
        entries.extend(whole(line, left).filter_map(entry).take(ENTRIES - entries.len()));
        // Between two lines there is a comma.
        left = left.saturating_sub(line.len() + 1);
        if left == 0 || entries.len() == ENTRIES {
            break;
        }
    }
    (!entries.is_empty()).then(|| cx.with_baggage(entries))
}

pub(super) fn inject(cx: &Context, to: &mut impl Target, allowed: bool) {
    let baggage = cx.baggage();
    if baggage.is_empty() || !allowed {
        // Who has written this was not our Context.
        if !allowed || cx.span().span_context().is_valid() {
            to.remove(&BAGGAGE);
        }
        return;
    }
    let mut entries: Vec<_> = baggage.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());
    let mut list = Vec::new();
    for (key, (value, metadata)) in entries {
        let before = list.len();
        if before > 0 {
            list.push(b',');
        }
        list.extend(key.as_str().as_bytes());
        list.push(b'=');
        push_encoded(&mut list, value.as_str(), ENCODED);
        for property in metadata.as_str().split(';') {
            push_property(&mut list, property);
        }
        if list.len() > LONGEST {
            list.truncate(before);
        }
    }
    if list.is_empty() {
        to.remove(&BAGGAGE);
    } else {
        to.set(&BAGGAGE, list);
    }
}

/// The members of a line, those that are whole within so many bytes.
fn whole(line: &[u8], left: usize) -> impl Iterator<Item = &[u8]> {
    let is_comma = |byte: &u8| *byte == b',';
    let line = match line.get(..=left) {
        None => Some(line),
        // The first byte that does not count may be the comma behind the last member that does.
        Some(start) => start.iter().rposition(is_comma).map(|end| &line[..end]),
    };
    line.into_iter().flat_map(move |line| line.split(is_comma))
}

/// Whether it is a [token], which keys are.
///
/// [token]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub(crate) fn is_key(key: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !key.is_empty() && key.bytes().all(is_char)
}

fn entry(member: &[u8]) -> Option<KeyValueMetadata> {
    let mut parts = member.split(|&byte| byte == b';');
    let (key, value) = pair(parts.next()?)?;
    let key = token(key)?;
    let value = percent_decode(octets(value?)?).decode_utf8_lossy().into_owned();
    let mut properties = String::new();
    for (key, value) in parts.filter_map(property) {
        if !properties.is_empty() {
            properties.push(';');
        }
        properties.push_str(key);
        if let Some(value) = value {
            properties.push('=');
            properties.push_str(value);
        }
    }
    Some(KeyValueMetadata::new(key.to_owned(), value, properties))
}

/// A key, and a value if there is one.
fn property(part: &[u8]) -> Option<(&str, Option<&str>)> {
    let (key, value) = pair(part)?;
    let value = match value {
        Some(value) => Some(str::from_utf8(octets(value)?).ok()?),
        None => None,
    };
    Some((token(key)?, value))
}

/// Key and value, which may have equals signs of its own.
fn pair(part: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut halves = part.splitn(2, |&byte| byte == b'=').map(trimmed);
    Some((halves.next()?, halves.next()))
}

fn token(key: &[u8]) -> Option<&str> {
    str::from_utf8(key).ok().filter(|key| is_key(key))
}

/// A value as it is sent.
fn octets(value: &[u8]) -> Option<&[u8]> {
    let is_octet =
        |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    value.iter().all(is_octet).then_some(value)
}

fn push_property(list: &mut Vec<u8>, property: &str) {
    let Some((key, value)) = pair(property.as_bytes()) else { return };
    let Some(key) = token(key) else { return };
    list.push(b';');
    list.extend(key.as_bytes());
    if let Some(value) = value.and_then(|value| str::from_utf8(value).ok()) {
        list.push(b'=');
        push_encoded(list, value, ENCODED_IN_PROPERTY);
    }
}

fn push_encoded(list: &mut Vec<u8>, text: &str, encoded: &'static AsciiSet) {
    for part in utf8_percent_encode(text, encoded) {
        list.extend(part.as_bytes());
    }
}
