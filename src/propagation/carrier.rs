//! What a format reads from and writes into: header maps, and OpenTelemetry's carriers.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry_http::HeaderInjector;

/// Where a format reads.
pub(super) trait Source {
    /// The lines of a field, in order, as they are: also those that are no text, since of a field
    /// that was sent twice one line could remain.
    fn lines<'a>(&'a self, name: &'static HeaderName) -> impl Iterator<Item = &'a [u8]>;

    /// The names of all fields.
    fn names(&self) -> impl Iterator<Item = &str>;

    /// The line of a field that has no other, without [white space] around it, which is the
    /// carrier's and not the field's.
    ///
    /// [white space]: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    #[inline]
    fn only_line<'a>(&'a self, name: &'static HeaderName) -> Option<&'a [u8]> {
        only(self.lines(name))
    }

    /// The same, by a name that is not known beforehand.
    fn only_line_of<'a>(&'a self, name: &str) -> Option<&'a [u8]>;
}

/// Where a format writes.
pub(super) trait Target {
    /// Replaces the field, if the value can be one.
    fn set(&mut self, name: &'static HeaderName, value: Vec<u8>);

    /// The same, of a name that is not known beforehand, if it can be one.
    fn set_named(&mut self, name: String, value: Vec<u8>);

    /// Takes the field away, where that can be done.
    fn remove(&mut self, name: &'static HeaderName);

    /// Takes away all fields whose names begin like that, where that can be done.
    fn remove_prefixed(&mut self, prefix: &str);
}

#[inline]
fn only<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(trimmed(line)),
        _ => None,
    }
}

/// Without white space around it, which in HTTP is spaces and tabs.
#[inline]
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

impl Source for HeaderMap {
    fn lines<'a>(&'a self, name: &'static HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.keys().map(HeaderName::as_str)
    }

    fn only_line_of<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        only(self.get_all(name).iter().map(HeaderValue::as_bytes))
    }
}

impl Target for HeaderMap {
    fn set(&mut self, name: &'static HeaderName, value: Vec<u8>) {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            // A map that is full takes nothing more, and what was there is not ours.
            if self.try_insert(name, value).is_err() {
                Self::remove(self, name);
            }
        }
    }

    fn set_named(&mut self, name: String, value: Vec<u8>) {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::from_maybe_shared(Bytes::from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            let _ = self.try_insert(name, value);
        }
    }

    fn remove(&mut self, name: &'static HeaderName) {
        Self::remove(self, name);
    }

    fn remove_prefixed(&mut self, prefix: &str) {
        let names = self.keys().filter(|name| name.as_str().starts_with(prefix));
        for name in names.cloned().collect::<Vec<_>>() {
            Self::remove(self, name);
        }
    }
}

/// Somebody else's carrier, to be read.
pub(super) struct Extracting<'a>(pub(super) &'a dyn Extractor);

impl Source for Extracting<'_> {
    fn lines<'a>(&'a self, name: &'static HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name.as_str()).into_iter().flatten().map(str::as_bytes)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().into_iter()
    }

    fn only_line_of<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        only(self.0.get_all(name)?.into_iter().map(str::as_bytes))
    }
}

/// Somebody else's carrier, to be written into. It cannot take away what is in there.
pub(super) struct Injecting<'a>(pub(super) &'a mut dyn Injector);

impl Target for Injecting<'_> {
    fn set(&mut self, name: &'static HeaderName, value: Vec<u8>) {
        if let Ok(value) = String::from_utf8(value) {
            self.0.set(name.as_str(), value);
        }
    }

    fn set_named(&mut self, name: String, value: Vec<u8>) {
        if let Ok(value) = String::from_utf8(value) {
            self.0.set(&name, value);
        }
    }

    fn remove(&mut self, _: &'static HeaderName) {}

    fn remove_prefixed(&mut self, _: &str) {}
}

/// A header map, for somebody else's propagator to read.
///
/// As opentelemetry-http's, but for two things. Lines that are no text are not left out. And
/// several lines of `baggage` are [one list][list], of which propagators only ever ask for the
/// first line.
///
/// [list]: https://www.w3.org/TR/baggage/#baggage-http-header-format
pub(super) struct Lines<'a> {
    headers: &'a HeaderMap,
    /// All lines of it.
    baggage: Option<Cow<'a, str>>,
}

/// The header of W3C's baggage.
pub(super) static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

impl<'a> Lines<'a> {
    pub(super) fn new(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(&BAGGAGE).iter().filter_map(|line| line.to_str().ok());
        Self { headers, baggage: joined(lines) }
    }
}

/// Several lines of a header that is a list, as one.
fn joined<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Cow<'a, str>> {
    let mut list = Cow::Borrowed(lines.next()?);
    for line in lines {
        let list = list.to_mut();
        list.push(',');
        list.push_str(line);
    }
    Some(list)
}

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key.eq_ignore_ascii_case(BAGGAGE.as_str()) {
            return self.baggage.as_deref();
        }
        self.headers.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let mut lines = self.headers.get_all(key).iter().peekable();
        lines.peek()?;
        // No format has this in it.
        Some(lines.map(|line| line.to_str().unwrap_or("\u{fffd}")).collect())
    }
}

/// A header map, for somebody else's propagator to write into.
///
/// As opentelemetry-http's, but that an [empty `tracestate`][empty], which OpenTelemetry's
/// propagator writes with every span, is not sent.
///
/// [empty]: https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values
pub(super) struct Written<'a>(pub(super) &'a mut HeaderMap);

impl Injector for Written<'_> {
    fn set(&mut self, key: &str, value: String) {
        // One that is full would panic.
        let has_room = self.0.try_reserve(1).is_ok();
        if has_room && !(value.is_empty() && key.eq_ignore_ascii_case("tracestate")) {
            HeaderInjector(self.0).set(key, value);
        }
    }

    fn reserve(&mut self, additional: usize) {
        // What there is no room for is left out.
        let _ = self.0.try_reserve(additional);
    }
}
