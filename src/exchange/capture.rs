//! Which headers become attributes.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll};
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};
use wildmatch::WildMatch;

use crate::{error::BuildError, exchange::redaction::Redaction};

/// How many headers of a message globs capture. A span has room for [128 attributes][limit] by
/// default, so that without a bound whoever sends enough headers would keep off what is set last:
/// status code and error.
///
/// [limit]: https://opentelemetry.io/docs/specs/otel/common/#configurable-parameters
const MOST_BY_GLOB: usize = 32;

/// Which headers are captured as attributes. Default: none.
///
/// Which ones is [for the user to say][source], as a header may hold anything. A captured header is
/// an attribute such as `http.request.header.x-tenant`: its name in lower case, its values as a
/// list of strings, one for each line. Values go through [`Redaction`] first.
///
/// A pattern is a name, or a glob: `*` stands for any number of characters, `?` for one. Neither
/// case nor white space around it matters. With a glob, whoever sends the headers names attributes,
/// so of each message globs capture 32 headers at most; names are the better choice where they are
/// known.
///
/// ```
/// use http::Request;
/// use tower_telemetry::{HeaderSelector, TraceLayer};
#[doc = include_str!("../server/span_of.md")]
///
/// let headers = HeaderSelector::new(["x-tenant", "X-Test-*"])?.without(["x-test-secret"])?;
///
/// let request = Request::builder()
///     .header("x-test-run", "7")
///     .header("x-test-secret", "1f3870be")
///     .body(String::new())?;
/// let span = span_of(TraceLayer::new().with_request_headers(headers), request);
/// let captured = |key| span.attributes.iter().any(|attribute| attribute.key.as_str() == key);
/// assert!(captured("http.request.header.x-test-run"));
/// assert!(!captured("http.request.header.x-test-secret"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [source]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct HeaderSelector {
    included: Names,
    excluded: Names,
}

impl HeaderSelector {
    /// The headers that match one of the patterns; of no patterns, none.
    ///
    /// ```
    /// use tower_telemetry::HeaderSelector;
    ///
    /// # fn main() -> Result<(), tower_telemetry::BuildError> {
    /// assert_eq!(HeaderSelector::new(["X-Tenant "])?, HeaderSelector::new(["x-tenant"])?);
    ///
    /// let error = HeaderSelector::new(["x tenant"]).unwrap_err();
    /// assert_eq!(error.setting(), "header pattern");
    /// assert_eq!(error.value(), "x tenant");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a pattern is empty, or has a character that [no header's name][token] has.
    ///
    /// [token]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BuildError> {
        Ok(Self { included: Names::parse(patterns)?, excluded: Names::none() })
    }

    /// Every header, as far as [globs](Self) go. To be used with [`without`](Self::without), or
    /// where one knows who is calling.
    ///
    /// ```
    /// use tower_telemetry::HeaderSelector;
    ///
    /// # fn main() -> Result<(), tower_telemetry::BuildError> {
    /// assert_eq!(HeaderSelector::all(), HeaderSelector::new(["*"])?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn all() -> Self {
        let included = Names { exact: Vec::new(), globs: vec![WildMatch::new("*")] };
        Self { included, excluded: Names::none() }
    }

    /// The same without the headers that match one of the patterns, whatever else they match.
    /// Default: nothing is left out.
    ///
    /// Called again, it leaves out more.
    ///
    /// ```
    /// use tower_telemetry::HeaderSelector;
    ///
    /// # fn main() -> Result<(), tower_telemetry::BuildError> {
    /// let headers = HeaderSelector::all().without(["x-internal-*"])?;
    /// assert_ne!(headers, HeaderSelector::all());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn without(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, BuildError> {
        for pattern in patterns {
            self.excluded.add(pattern.as_ref())?;
        }
        Ok(self)
    }

    /// Selects none.
    pub(crate) const fn none() -> Self {
        Self { included: Names::none(), excluded: Names::none() }
    }

    /// The patterns of a list with commas, as a variable has them, and those that are none. Empty
    /// entries say nothing.
    pub(crate) fn from_list(list: &str) -> (Self, Vec<&str>) {
        let mut selector = Self::none();
        let mut bad = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if selector.included.add(entry).is_err() {
                bad.push(entry);
            }
        }
        (selector, bad)
    }

    /// What it was made of, as a variable has it.
    #[cfg(feature = "sdk")]
    pub(crate) fn list(&self) -> String {
        let Names { exact, globs } = &self.included;
        let exact = exact.iter().map(|name| name.as_str().to_owned());
        exact.chain(globs.iter().map(WildMatch::pattern)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn selects(&self, name: &HeaderName) -> bool {
        self.included.has(name) && !self.excluded.has(name)
    }
}

/// A selector at work, for the headers of one direction.
#[derive(Clone, Debug)]
pub(crate) struct CapturedHeaders {
    prefix: &'static str,
    /// Looked up, with keys that are shared by all requests.
    exact: Vec<(HeaderName, Key)>,
    /// Held against every header there is, if it is there.
    globs: Option<HeaderSelector>,
}

impl CapturedHeaders {
    /// The prefix is the attributes' key without the header's name; see
    /// [`keys`](crate::semconv::keys).
    pub(crate) fn new(selector: HeaderSelector, prefix: &'static str) -> Self {
        let exact = (selector.included.exact.iter())
            .filter(|name| !selector.excluded.has(name))
            .map(|name| (name.clone(), Key::from(Arc::<str>::from(format!("{prefix}{name}")))))
            .collect();
        let globs = (!selector.included.globs.is_empty()).then_some(selector);
        Self { prefix, exact, globs }
    }

    /// Whether there is nothing to capture, whatever the headers are.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_none()
    }

    /// Adds an attribute for each header that is selected.
    pub(crate) fn capture(
        &self,
        headers: &HeaderMap,
        redaction: &Redaction,
        into: &mut Vec<KeyValue>,
    ) {
        for (name, key) in &self.exact {
            let values = headers.get_all(name);
            if values.iter().next().is_some() {
                into.push(KeyValue::new(key.clone(), texts(name, &values, redaction)));
            }
        }
        let Some(globs) = &self.globs else { return };
        let selected = headers
            .keys()
            .filter(|name| globs.selects(name) && !globs.included.exact.contains(name));
        for name in selected.take(MOST_BY_GLOB) {
            let key = format!("{}{name}", self.prefix);
            into.push(KeyValue::new(key, texts(name, &headers.get_all(name), redaction)));
        }
    }
}

/// A header's lines, in order.
fn texts(name: &HeaderName, values: &GetAll<'_, HeaderValue>, redaction: &Redaction) -> Value {
    let texts = values
        .iter()
        .map(|value| StringValue::from(redaction.header(name, value).into_owned()))
        .collect();
    Value::Array(Array::String(texts))
}

/// Names, and globs in lower case, each once.
#[derive(Clone, Default, PartialEq)]
struct Names {
    exact: Vec<HeaderName>,
    globs: Vec<WildMatch>,
}

impl Names {
    const fn none() -> Self {
        Self { exact: Vec::new(), globs: Vec::new() }
    }

    fn parse(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, BuildError> {
        let mut names = Self::none();
        for pattern in patterns {
            names.add(pattern.as_ref())?;
        }
        Ok(names)
    }

    fn add(&mut self, pattern: &str) -> Result<(), BuildError> {
        let error = || {
            let reason =
                "must be a header's name, such as `x-tenant`, or a glob, such as `x-test-*`";
            BuildError::new("header pattern", pattern, reason)
        };
        let trimmed = pattern.trim();
        // `*` may stand in a name, so with it in place of `?` a glob has to be one.
        let name =
            HeaderName::from_bytes(trimmed.replace('?', "*").as_bytes()).ok().ok_or_else(error)?;
        if trimmed.contains(['*', '?']) {
            let glob = WildMatch::new(&trimmed.to_ascii_lowercase());
            if !self.globs.contains(&glob) {
                self.globs.push(glob);
            }
        } else if !self.exact.contains(&name) {
            self.exact.push(name);
        }
        Ok(())
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.exact.contains(name) || self.globs.iter().any(|glob| glob.matches(name.as_str()))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.exact.iter().map(HeaderName::as_str))
            .entries(self.globs.iter().map(WildMatch::pattern))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semconv::keys;

    const NONE: [&str; 0] = [];

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn captured(selector: HeaderSelector, lines: &[(&str, &[u8])]) -> Vec<(String, Vec<String>)> {
        let captured = CapturedHeaders::new(selector, keys::REQUEST_HEADER);
        let mut attributes = Vec::new();
        captured.capture(&headers(lines), &Redaction::new(), &mut attributes);
        assert!(!captured.is_empty() || attributes.is_empty());
        let mut found: Vec<_> = attributes
            .into_iter()
            .map(|attribute| match attribute.value {
                Value::Array(Array::String(texts)) => {
                    (attribute.key.to_string(), texts.into_iter().map(String::from).collect())
                }
                other => panic!("{other:?} is no list of strings"),
            })
            .collect();
        found.sort();
        found
    }

    fn names(selector: HeaderSelector, sent: &[&str]) -> Vec<String> {
        let lines: Vec<_> = sent.iter().map(|name| (*name, &b"v"[..])).collect();
        captured(selector, &lines)
            .into_iter()
            .map(|(key, _)| key.strip_prefix("http.request.header.").unwrap().to_owned())
            .collect()
    }

    #[test]
    fn names_and_globs_select() {
        let sent = ["accept", "X-Test-A", "x-test-bc", "x-tes", "x-other"];
        for (include, exclude, expected) in [
            (&[][..], &[][..], &[][..]),
            (&["accept"], &[], &["accept"]),
            (&["ACCEPT", " X-Test-a\t"], &[], &["accept", "x-test-a"]),
            (&["x-absent"], &[], &[]),
            (&["X-TEST-*"], &[], &["x-test-a", "x-test-bc"]),
            (&["x-test-?"], &[], &["x-test-a"]),
            (&["x-?est-?*"], &[], &["x-test-a", "x-test-bc"]),
            (&["*"], &[], &["accept", "x-other", "x-tes", "x-test-a", "x-test-bc"]),
            (&["**e*"], &[], &["accept", "x-other", "x-tes", "x-test-a", "x-test-bc"]),
            (&["*-*"], &["x-test-*"], &["x-other", "x-tes"]),
            (&["accept", "x-*"], &["Accept", "x-t*"], &["x-other"]),
            (&["accept"], &["*"], &[]),
            (
                &["x-test-a", "x-test-*", "*", "X-Test-A"],
                &["accept", "x-o*", "x-tes"],
                &["x-test-a", "x-test-bc"],
            ),
        ] {
            let selector = HeaderSelector::new(include).unwrap().without(exclude).unwrap();
            assert_eq!(names(selector, &sent), expected, "{include:?} without {exclude:?}");
        }
        assert_eq!(names(HeaderSelector::default(), &sent), NONE);
        let rest = HeaderSelector::all().without(["accept"]).unwrap().without(["x-t*"]).unwrap();
        assert_eq!(names(rest, &sent), ["x-other"]);
    }

    #[test]
    fn a_pattern_that_could_be_no_name_is_an_error() {
        let long = "x".repeat(70_000);
        for pattern in [
            "", " ", "x y", "x:", "x,y", "é", "x-é-*", "(x)", "\"x\"", "x/*", "[ab]", "a\n*",
            "x\0", &long,
        ] {
            for error in [
                HeaderSelector::new(["ok", pattern]).unwrap_err(),
                HeaderSelector::all().without(["ok", pattern]).unwrap_err(),
            ] {
                assert_eq!(error.setting(), "header pattern");
                assert_eq!(error.value(), BuildError::new("", pattern, "").value());
                assert!(error.to_string().contains("`x-test-*`"), "{error}");
            }
        }
    }

    #[test]
    fn a_list_gives_what_is_good_and_tells_what_is_not() {
        for (list, include, bad) in [
            ("", &[][..], &[][..]),
            (" , ,", &[], &[]),
            ("accept", &["accept"], &[]),
            (" Accept ,x-test-*,", &["accept", "x-test-*"], &[]),
            ("a b,accept,x: y", &["accept"], &["a b", "x: y"]),
            ("é", &[], &["é"]),
        ] {
            assert_eq!(
                HeaderSelector::from_list(list),
                (HeaderSelector::new(include).unwrap(), bad.to_vec())
            );
        }
    }

    #[test]
    fn each_line_is_an_element_in_order_and_each_name_is_there_once() {
        let lines: &[(&str, &[u8])] =
            &[("x-a", b"1"), ("x-b", b"one"), ("X-A", b"2, 3"), ("x-a", b""), ("x-a", b"1")];
        let expected = [
            ("http.request.header.x-a", &["1", "2, 3", "", "1"][..]),
            ("http.request.header.x-b", &["one"]),
        ]
        .map(|(key, texts)| {
            (key.to_owned(), texts.iter().map(|text| (*text).to_owned()).collect())
        });
        for patterns in [&["x-a", "x-b"][..], &["x-*"], &["x-a", "x-*", "*", "x-?"]] {
            assert_eq!(captured(HeaderSelector::new(patterns).unwrap(), lines), expected);
        }
    }

    #[test]
    fn secrets_are_redacted_line_by_line() {
        let mut sent = headers(&[("cookie", b"a=b"), ("x-a", b"public"), ("x-a", b"secret")]);
        for value in sent.iter_mut().filter(|(_, value)| *value == "secret").map(|(_, value)| value)
        {
            value.set_sensitive(true);
        }
        for selector in [HeaderSelector::all(), HeaderSelector::new(["x-a", "cookie"]).unwrap()] {
            let captured = CapturedHeaders::new(selector, keys::RESPONSE_HEADER);
            let mut found = Vec::new();
            captured.capture(&sent, &Redaction::off(), &mut found);
            assert!(
                found.contains(&attribute("http.response.header.x-a", &["public", "REDACTED"]))
            );
            assert!(found.contains(&attribute("http.response.header.cookie", &["a=b"])));
            found.clear();
            captured.capture(&sent, &Redaction::new(), &mut found);
            assert!(found.contains(&attribute("http.response.header.cookie", &["REDACTED"])));
            assert_eq!(found.len(), 2);
        }
    }

    fn attribute(key: &'static str, texts: &[&'static str]) -> KeyValue {
        let texts = texts.iter().map(|text| StringValue::from(*text)).collect();
        KeyValue::new(key, Value::Array(Array::String(texts)))
    }

    #[test]
    fn hostile_headers_are_captured_as_far_as_they_can_be_read() {
        let long = format!("x-{}", "a".repeat(30_000));
        let found = captured(
            HeaderSelector::new(["x-*a*a*a*?a"]).unwrap(),
            &[(&long, b"\xff\xfe ok"), ("x-b", b"v"), (&format!("{long}b"), b"v")],
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, ["\u{fffd}\u{fffd} ok"]);
    }

    #[test]
    fn captured_headers_know_when_there_is_nothing_to_do() {
        for (selector, empty) in [
            (HeaderSelector::default(), true),
            (HeaderSelector::new(["a"]).unwrap().without(["a"]).unwrap(), true),
            (HeaderSelector::new(["a"]).unwrap(), false),
            (HeaderSelector::all(), false),
        ] {
            assert_eq!(CapturedHeaders::new(selector, keys::REQUEST_HEADER).is_empty(), empty);
        }
    }

    #[test]
    fn debug_shows_the_patterns() {
        let selector = HeaderSelector::new(["X-A", "x-*"]).unwrap().without(["y?"]).unwrap();
        assert_eq!(
            format!("{selector:?}"),
            r#"HeaderSelector { included: ["x-a", "x-*"], excluded: ["y?"] }"#
        );
    }
}
