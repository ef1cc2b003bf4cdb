//! What must not leave the process: secrets in queries, paths, userinfo and headers.

use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue, header};

use crate::{error::BuildError, exchange::capture::HeaderSelector};

/// In place of a secret.
const REDACTED: &str = "REDACTED";

/// The keys whose values [should be redacted][keys], over all versions of the conventions that
/// have listed any.
///
/// [keys]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
const SECRET_KEYS: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
];

/// The headers that exist to carry credentials. The conventions list none.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    // Where browsers, which can set no other on a websocket, put a token.
    "sec-websocket-protocol",
    "set-cookie",
];

/// What is in the names of those that proxies and products have of their own: `x-auth-token`,
/// `x-api-key`, `cf-access-jwt-assertion`.
const SECRET_PARTS: [&str; 6] = ["token", "secret", "password", "jwt", "api-key", "apikey"];

/// The headers whose value is a URL, or has one in it.
const URL_HEADERS: [&str; 9] = [
    "content-location",
    "link",
    "location",
    "referer",
    "refresh",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// What is replaced by `REDACTED` in a span's URLs, queries, paths and headers.
///
/// | where | default | set by |
/// |---|---|---|
/// | query values | those of [seven keys][url]: `AWSAccessKeyId`, `Signature`, `sig`, `X-Goog-Signature`, `X-Amz-Signature`, `X-Amz-Credential`, `X-Amz-Security-Token` | [`with_query_keys`](Self::with_query_keys), [`with_only_query_keys`](Self::with_only_query_keys) |
/// | userinfo of a URL | [always][url]: `https://REDACTED:REDACTED@host/` | [`off`](Self::off) |
/// | path segments | none | [`with_path_patterns`](Self::with_path_patterns) |
/// | values of [captured][HeaderSelector] headers | those of `authorization`, `cookie`, `proxy-authorization`, `sec-websocket-protocol`, `set-cookie`, and of names with `token`, `secret`, `password`, `jwt`, `api-key` or `apikey` in them | [`with_headers`](Self::with_headers) |
///
/// A captured header whose value is a URL (`location`, `content-location`, `link`, `referer`,
/// `refresh`, `x-forwarded-uri`, `x-original-uri`, `x-original-url`, `x-rewrite-url`) is redacted
/// as one. Names stay, and so does all else, byte for byte. A percent-encoded key or segment is
/// read as the server would read it, so that encoding hides nothing.
///
/// A header value that is marked as [sensitive](HeaderValue::is_sensitive) is redacted under every
/// policy: whoever marked it has decided.
///
/// ```
/// use http::Request;
/// use opentelemetry::KeyValue;
/// use tower_telemetry::{Redaction, TraceLayer};
#[doc = include_str!("../server/span_of.md")]
///
/// // All query values but those of `page`, and the token in the path.
/// let redaction = Redaction::new()
///     .with_only_query_keys(["page"])
///     .with_path_patterns(["/reset/{token}"])?;
///
/// let request = Request::builder().uri("/reset/1f3870be?page=2&key=s3cret").body(String::new())?;
/// let span = span_of(TraceLayer::new().with_redaction(redaction), request);
/// assert!(span.attributes.contains(&KeyValue::new("url.path", "/reset/REDACTED")));
/// assert!(span.attributes.contains(&KeyValue::new("url.query", "page=2&key=REDACTED")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Redaction {
    query: Query,
    userinfo: Userinfo,
    paths: Vec<PathPattern>,
    headers: Headers,
}

impl Redaction {
    /// The default.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// assert_eq!(Redaction::new(), Redaction::default());
    /// ```
    pub const fn new() -> Self {
        Self {
            query: Query::Secrets,
            userinfo: Userinfo::Redacted,
            paths: Vec::new(),
            headers: Headers::Secrets,
        }
    }

    /// Redacts nothing but header values that are [sensitive](HeaderValue::is_sensitive).
    ///
    /// What is set afterwards is redacted. Userinfo stays readable, which the conventions [do not
    /// allow][url]: for URLs that cannot have one, or spans that stay at home.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// let url = "https://user:secret@shop.example/?sig=secret";
    /// assert_eq!(Redaction::off().url(url), url);
    /// ```
    ///
    /// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
    pub const fn off() -> Self {
        Self {
            query: Query::Listed(Vec::new()),
            userinfo: Userinfo::Kept,
            paths: Vec::new(),
            headers: Headers::Listed(HeaderSelector::none()),
        }
    }

    /// The query keys whose values are redacted. Default: the seven of the [conventions][url].
    ///
    /// They [replace][list] the keys that were there; without any, no value is redacted. They are
    /// compared with case.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// let redaction = Redaction::new().with_query_keys(["token", "code"]);
    /// // Replaced, not added to.
    /// let redaction = redaction.with_query_keys(["session"]);
    /// assert_eq!(redaction.url("/?token=1&session=2"), "/?token=1&session=REDACTED");
    /// ```
    ///
    /// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
    /// [list]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
    pub fn with_query_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.query = Query::Listed(keys.into_iter().map(Into::into).collect());
        self
    }

    /// The only query keys whose values are kept. Default: not set; see
    /// [`with_query_keys`](Self::with_query_keys), which this takes the place of.
    ///
    /// What has no `=` is a value too: `?1f3870be` becomes `?REDACTED`, unless it is one of the
    /// keys. They are compared with case; without any, every value is redacted.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// let redaction = Redaction::new().with_only_query_keys(["page", "limit"]);
    /// assert_eq!(redaction.url("/items?page=2&key=s3cret"), "/items?page=2&key=REDACTED");
    /// ```
    pub fn with_only_query_keys(
        mut self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.query = Query::AllBut(keys.into_iter().map(Into::into).collect());
        self
    }

    /// The path segments that are redacted. Default: none.
    ///
    /// A pattern describes how a path begins. `{name}` is a segment that becomes `REDACTED`, `*` is
    /// any one segment, and all else is a segment as it stands, compared with case. So
    /// `/users/*/keys/{key}` makes `/users/7/keys/REDACTED/log` of `/users/7/keys/1f3870be/log`.
    /// Empty segments are passed over: `//` hides nothing. Of several patterns, all that match
    /// apply.
    ///
    /// They replace the patterns that were there. The conventions want the path [scrubbed][url]
    /// where secrets can be told, which only the service can.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// # fn main() -> Result<(), tower_telemetry::BuildError> {
    /// let redaction = Redaction::new().with_path_patterns(["/reset/{token}", "/k/*/{key}"])?;
    /// assert_eq!(redaction.url("/k/7/1f3870be/log"), "/k/7/REDACTED/log");
    ///
    /// let error = Redaction::new().with_path_patterns(["reset/{token}"]).unwrap_err();
    /// assert_eq!(error.to_string(), "invalid path pattern `reset/{token}`: must begin with `/`");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a pattern does not begin with `/`, has no `{name}`, or has `{name}` or `*` as a part of a
    /// segment.
    ///
    /// [url]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
    pub fn with_path_patterns(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, BuildError> {
        self.paths = patterns
            .into_iter()
            .map(|pattern| PathPattern::parse(pattern.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The headers whose values are redacted where they are captured. Default: those in the
    /// [table](Self).
    ///
    /// Names or globs, as in [`HeaderSelector::new`]. They replace the list that was there; without
    /// any, only [sensitive](HeaderValue::is_sensitive) values are redacted.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// # fn main() -> Result<(), tower_telemetry::BuildError> {
    /// let redaction = Redaction::new().with_headers(["Authorization", "*-token"])?;
    /// assert_eq!(redaction, Redaction::new().with_headers(["authorization", "*-TOKEN"])?);
    ///
    /// assert!(Redaction::new().with_headers(["authorization:"]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a pattern is empty or could be no header's name.
    pub fn with_headers(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, BuildError> {
        self.headers = Headers::Listed(HeaderSelector::new(patterns)?);
        Ok(self)
    }

    /// The query, without its `?`; the same one if nothing in it is secret.
    ///
    /// Keys are compared [with case][case].
    ///
    /// [case]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
    pub(crate) fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if !query.split('&').any(|pair| self.query.redacts(pair)) {
            return Cow::Borrowed(query);
        }
        let mut clean = String::with_capacity(query.len() + REDACTED.len());
        for (at, pair) in query.split('&').enumerate() {
            if at > 0 {
                clean.push('&');
            }
            if !self.query.redacts(pair) {
                clean.push_str(pair);
                continue;
            }
            if let Some((key, _)) = pair.split_once('=') {
                clean.push_str(key);
                clean.push('=');
            }
            clean.push_str(REDACTED);
        }
        Cow::Owned(clean)
    }

    /// The path; the same one if no pattern matches.
    pub(crate) fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        // Collecting none allocates nothing.
        let matching: Vec<_> = self.paths.iter().filter(|pattern| pattern.matches(path)).collect();
        if matching.is_empty() {
            return Cow::Borrowed(path);
        }
        let mut clean = String::with_capacity(path.len() + REDACTED.len());
        let mut place = 0;
        for (at, segment) in path.split('/').enumerate() {
            if at > 0 {
                clean.push('/');
            }
            if segment.is_empty() {
                continue;
            }
            let secret = matching.iter().any(|pattern| pattern.redacts(place));
            clean.push_str(if secret { REDACTED } else { segment });
            place += 1;
        }
        Cow::Owned(clean)
    }

    /// A whole URL, its fragment included, without what is redacted; for hooks that record one.
    ///
    /// ```
    /// use tower_telemetry::Redaction;
    ///
    /// let url = "https://user:secret@shop.example/items?page=2&sig=secret#top";
    /// assert_eq!(
    ///     Redaction::new().url(url),
    ///     "https://REDACTED:REDACTED@shop.example/items?page=2&sig=REDACTED#top",
    /// );
    /// ```
    #[must_use]
    pub fn url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let (before, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
        let (before, query) = before.split_at(before.find('?').unwrap_or(before.len()));
        let (scheme, authority, path) = split_authority(before);

        let userinfo = match self.userinfo {
            Userinfo::Redacted => authority.rsplit_once('@'),
            Userinfo::Kept => None,
        };
        let clean_path = self.path(path);
        let clean_query = self.query(query.strip_prefix('?').unwrap_or_default());
        if let (None, Cow::Borrowed(_), Cow::Borrowed(_)) = (userinfo, &clean_path, &clean_query) {
            return Cow::Borrowed(url);
        }

        let mut clean = String::with_capacity(url.len() + 2 * REDACTED.len());
        clean.push_str(scheme);
        match userinfo {
            Some((_, host)) => {
                clean.extend([REDACTED, ":", REDACTED, "@", host]);
            }
            None => clean.push_str(authority),
        }
        clean.push_str(&clean_path);
        if !query.is_empty() {
            clean.push('?');
        }
        clean.push_str(&clean_query);
        clean.push_str(fragment);
        Cow::Owned(clean)
    }

    /// The user agent as it may be recorded: a header, but one whose name holds no secret and whose
    /// value is no URL, which need not be found out with each request.
    pub(crate) fn user_agent<'a>(&self, value: &'a HeaderValue) -> Cow<'a, str> {
        match &self.headers {
            Headers::Secrets if !value.is_sensitive() => String::from_utf8_lossy(value.as_bytes()),
            _ => self.header(&header::USER_AGENT, value),
        }
    }

    /// A header's value as it may be recorded. Bytes that are not UTF-8 become `U+FFFD`.
    pub(crate) fn header<'a>(&self, name: &HeaderName, value: &'a HeaderValue) -> Cow<'a, str> {
        let listed = || match &self.headers {
            Headers::Secrets => {
                let name = name.as_str();
                SECRET_HEADERS.contains(&name)
                    || SECRET_PARTS.iter().any(|part| name.contains(part))
            }
            Headers::Listed(headers) => headers.selects(name),
        };
        if value.is_sensitive() || listed() {
            return Cow::Borrowed(REDACTED);
        }
        match String::from_utf8_lossy(value.as_bytes()) {
            Cow::Borrowed(url) if URL_HEADERS.contains(&name.as_str()) => self.url(url),
            Cow::Owned(url) if URL_HEADERS.contains(&name.as_str()) => {
                Cow::Owned(self.url(&url).into_owned())
            }
            text => text,
        }
    }
}

/// Of which keys the values are secret.
#[derive(Clone, Debug, Default, PartialEq)]
enum Query {
    #[default]
    Secrets,
    Listed(Vec<String>),
    AllBut(Vec<String>),
}

impl Query {
    fn redacts(&self, pair: &str) -> bool {
        let (key, has_value) = pair.split_once('=').map_or((pair, false), |(key, _)| (key, true));
        // In a form `+` is a space; whether this is one, only the service knows.
        let as_form = key.contains('+').then(|| key.replace('+', " "));
        let is = |listed: &str| {
            let form = as_form.as_deref().is_some_and(|key| decoded(key).eq(listed.bytes()));
            form || decoded(key).eq(listed.bytes())
        };
        match self {
            Self::Secrets => has_value && SECRET_KEYS.iter().any(|listed| is(listed)),
            Self::Listed(keys) => has_value && keys.iter().any(|listed| is(listed)),
            Self::AllBut(keys) => !pair.is_empty() && !keys.iter().any(|listed| is(listed)),
        }
    }
}

/// What becomes of a URL's user and password.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Userinfo {
    #[default]
    Redacted,
    Kept,
}

/// Which headers' values are secret.
#[derive(Clone, Debug, Default, PartialEq)]
enum Headers {
    #[default]
    Secrets,
    Listed(HeaderSelector),
}

/// How a path begins that has a secret in it.
#[derive(Clone, PartialEq)]
struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, PartialEq)]
enum Segment {
    /// Percent-decoded.
    Literal(Vec<u8>),
    Any,
    Secret,
}

impl PathPattern {
    fn parse(text: &str) -> Result<Self, BuildError> {
        let error = |reason| BuildError::new("path pattern", text, reason);
        if !text.starts_with('/') {
            return Err(error("must begin with `/`"));
        }
        let segments: Vec<_> = segments(text)
            .map(|segment| {
                Segment::parse(segment).ok_or_else(|| {
                    error("each segment must be `{name}`, `*`, or text without any of `{}*?#`")
                })
            })
            .collect::<Result<_, _>>()?;
        if !segments.contains(&Segment::Secret) {
            return Err(error("must have a segment to redact, such as `{token}`"));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    fn matches(&self, path: &str) -> bool {
        let mut sent = segments(path);
        path.starts_with('/')
            && self
                .segments
                .iter()
                .all(|segment| sent.next().is_some_and(|sent| segment.matches(sent)))
    }

    fn redacts(&self, place: usize) -> bool {
        self.segments.get(place) == Some(&Segment::Secret)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Segment {
    /// `None` for what looks like more than it would do: `{*rest}`, `a*`, `{a}{b}`.
    fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if text == "*" {
            Some(Self::Any)
        } else if inner.unwrap_or(text).contains(['{', '}', '*', '?', '#']) || inner == Some("") {
            None
        } else if inner.is_some() {
            Some(Self::Secret)
        } else {
            Some(Self::Literal(decoded(text).collect()))
        }
    }

    fn matches(&self, sent: &str) -> bool {
        match self {
            Self::Literal(text) => decoded(sent).eq(text.iter().copied()),
            Self::Any | Self::Secret => true,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Up to and with `//`, the authority, and the path, of a URL without query and fragment.
fn split_authority(url: &str) -> (&str, &str, &str) {
    // A `//` that stands after another `/` is part of the path.
    let start = url.find("//").filter(|at| {
        url.get(..*at)
            .is_some_and(|scheme| scheme.is_empty() || scheme.find([':', '/']) == Some(at - 1))
    });
    let Some(start) = start else { return ("", "", url) };
    let (scheme, rest) = url.split_at(start + "//".len());
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (scheme, authority, path)
}

/// The bytes that percent-encoded text stands for. What is no encoding stands for itself.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let mut ahead = bytes.clone();
        let digits = ahead.next().and_then(hex).zip(ahead.next().and_then(hex));
        Some(digits.map_or(byte, |(high, low)| {
            bytes = ahead;
            high << 4 | low
        }))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn a_plus_in_a_key_may_be_a_space() {
        let listed = Redaction::new().with_query_keys(["my key", "a+b"]);
        assert_eq!(
            listed.query("my+key=1&my%20key=2&my%2Bkey=3&a+b=4&a%2bb=5"),
            "my+key=REDACTED&my%20key=REDACTED&my%2Bkey=3&a+b=REDACTED&a%2bb=REDACTED"
        );
        let allowed = Redaction::new().with_only_query_keys(["my key"]);
        assert_eq!(allowed.query("my+key=1&mykey=2"), "my+key=1&mykey=REDACTED");
    }

    #[test]
    fn the_target_that_a_proxy_has_rewritten_is_a_url() {
        for name in ["x-original-uri", "x-forwarded-uri", "x-original-url", "x-rewrite-url"] {
            let (name, value) =
                (HeaderName::from_static(name), HeaderValue::from_static("/a?sig=s3cret"));
            assert_eq!(Redaction::new().header(&name, &value), "/a?sig=REDACTED", "{name}");
        }
    }

    #[test]
    fn values_of_secret_keys_are_replaced_and_all_else_stays() {
        let redaction = Redaction::new();
        for (sent, recorded) in [
            ("", ""),
            ("a=b", "a=b"),
            ("sig=s3cret", "sig=REDACTED"),
            ("sig=", "sig=REDACTED"),
            ("sig", "sig"),
            ("sig=x&a=b", "sig=REDACTED&a=b"),
            ("a=b&sig=s3cret&c=d", "a=b&sig=REDACTED&c=d"),
            ("a=b&sig=x", "a=b&sig=REDACTED"),
            ("sig=1&sig=2", "sig=REDACTED&sig=REDACTED"),
            ("sig=1&a=b&Signature=2", "sig=REDACTED&a=b&Signature=REDACTED"),
            ("sig=a=b", "sig=REDACTED"),
            ("sig=%", "sig=REDACTED"),
            ("sig=a?b/c@d:e", "sig=REDACTED"),
            ("SIG=x&Sig=y", "SIG=x&Sig=y"),
            ("signature=x", "signature=x"),
            ("asig=x&siga=x", "asig=x&siga=x"),
            ("&aa&bb", "&aa&bb"),
            ("&&", "&&"),
            ("=", "="),
            ("=x", "=x"),
            ("&&aa&&sig=x&", "&&aa&&sig=REDACTED&"),
            ("s%69g=x", "s%69g=REDACTED"),
            ("%73%69%67=x", "%73%69%67=REDACTED"),
            ("sig%=x", "sig%=x"),
            ("sig%6=x&%zz=x", "sig%6=x&%zz=x"),
            ("s%é=x&ü=ö", "s%é=x&ü=ö"),
            ("X%2DAmz%2dCredential=x", "X%2DAmz%2dCredential=REDACTED"),
        ] {
            assert_eq!(redaction.query(sent), recorded);
        }
        for key in SECRET_KEYS {
            let sent = format!("{key}=x&a=b");
            assert_eq!(redaction.query(&sent), format!("{key}=REDACTED&a=b"));
            assert_eq!(Redaction::off().query(&sent), sent);
        }
    }

    #[test]
    fn a_list_of_keys_replaces_the_one_before() {
        for (keys, sent, recorded) in [
            (&[][..], "sig=x&a=b", "sig=x&a=b"),
            (&["a"], "sig=x&a=b", "sig=x&a=REDACTED"),
            (&["a", "c"], "a=b&c=d&A=B&a", "a=REDACTED&c=REDACTED&A=B&a"),
            (&["a b", "é"], "a%20b=x&%C3%A9=x&é=x", "a%20b=REDACTED&%C3%A9=REDACTED&é=REDACTED"),
            (&["[id]"], "[id]=x&%5Bid%5D=x", "[id]=REDACTED&%5Bid%5D=REDACTED"),
        ] {
            let redaction = Redaction::new().with_query_keys(keys.iter().copied());
            assert_eq!(redaction.query(sent), recorded);
        }
    }

    #[test]
    fn an_allow_list_redacts_all_else() {
        for (keys, sent, recorded) in [
            (&[][..], "a=b&c=", "a=REDACTED&c=REDACTED"),
            (&["page"], "page=2&sig=x", "page=2&sig=REDACTED"),
            (&["page"], "Page=2&pag%65=2", "Page=REDACTED&pag%65=2"),
            (&["page"], "secret", "REDACTED"),
            (&["page"], "page", "page"),
            (&["page"], "page&secret&page=1", "page&REDACTED&page=1"),
            (&["page"], "=x", "=REDACTED"),
            (&["page"], "", ""),
            (&["page"], "&&page=1&", "&&page=1&"),
            (&["page"], "%", "REDACTED"),
        ] {
            let redaction = Redaction::new().with_only_query_keys(keys.iter().copied());
            assert_eq!(redaction.query(sent), recorded);
        }
    }

    #[test]
    fn segments_in_braces_are_replaced() {
        for (patterns, sent, recorded) in [
            (&["/reset/{token}"][..], "/reset/abc", "/reset/REDACTED"),
            (&["/reset/{token}"], "/reset/abc/more/", "/reset/REDACTED/more/"),
            (&["/reset/{token}"], "/r%65set/abc", "/r%65set/REDACTED"),
            (&["/reset/{token}"], "/reset/a%2Fb", "/reset/REDACTED"),
            (&["/reset/{token}"], "//reset//abc", "//reset//REDACTED"),
            (&["/reset/{token}"], "/reset", "/reset"),
            (&["/reset/{token}"], "/reset/", "/reset/"),
            (&["/reset/{token}"], "/Reset/abc", "/Reset/abc"),
            (&["/reset/{token}"], "/api/reset/abc", "/api/reset/abc"),
            (&["/reset/{token}"], "reset/abc", "reset/abc"),
            (&["/reset/{token}"], "*", "*"),
            (&["/reset/{token}"], "", ""),
            (&["/reset/{token}/"], "/reset/abc", "/reset/REDACTED"),
            (&["/caf%C3%A9/{t}", "/th\u{e9}/{t}"], "/café/x", "/café/REDACTED"),
            (&["/caf%C3%A9/{t}", "/th\u{e9}/{t}"], "/th%c3%a9/x", "/th%c3%a9/REDACTED"),
            (&["/users/*/keys/{key}"], "/users/7/keys/abc", "/users/7/keys/REDACTED"),
            (&["/users/*/keys/{key}"], "/users/7/locks/abc", "/users/7/locks/abc"),
            (&["/{a}/b/{c}"], "/x/b/z", "/REDACTED/b/REDACTED"),
            (&["/a/{b}", "/*/*/{c}"], "/a/b/c/d", "/a/REDACTED/REDACTED/d"),
        ] {
            let redaction = Redaction::off().with_path_patterns(patterns).unwrap();
            assert_eq!(redaction.path(sent), recorded, "{patterns:?}");
        }
    }

    #[test]
    fn a_path_pattern_that_would_do_less_than_it_says_is_an_error() {
        for (pattern, reason) in [
            ("", "must begin"),
            ("reset/{token}", "must begin"),
            ("{token}", "must begin"),
            ("/", "must have"),
            ("/reset", "must have"),
            ("/reset/*", "must have"),
            ("/reset/{token", "each segment"),
            ("/reset/token}", "each segment"),
            ("/reset/{}", "each segment"),
            ("/reset/{a}{b}", "each segment"),
            ("/reset/{{a}}", "each segment"),
            ("/reset/x{a}", "each segment"),
            ("/files/{*path}", "each segment"),
            ("/a*/{b}", "each segment"),
            ("/reset/{token}?a=b", "each segment"),
            ("/a?b/{c}", "each segment"),
        ] {
            let error = Redaction::new().with_path_patterns(["/ok/{x}", pattern]).unwrap_err();
            assert_eq!((error.setting(), error.value()), ("path pattern", pattern));
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn urls_lose_their_userinfo_and_nothing_else() {
        for (sent, recorded) in [
            ("https://user:secret@host/", "https://REDACTED:REDACTED@host/"),
            ("https://user:secret@host", "https://REDACTED:REDACTED@host"),
            ("https://user@host:8080/p", "https://REDACTED:REDACTED@host:8080/p"),
            ("https://:secret@host/", "https://REDACTED:REDACTED@host/"),
            ("https://:@host/", "https://REDACTED:REDACTED@host/"),
            ("https://user:a@b@host/", "https://REDACTED:REDACTED@host/"),
            ("https://user:x@[::1]:80/", "https://REDACTED:REDACTED@[::1]:80/"),
            ("https://user:x@host?a=b", "https://REDACTED:REDACTED@host?a=b"),
            ("https://user:x@host#a@b", "https://REDACTED:REDACTED@host#a@b"),
            ("https://user:x@host/p?q=@#f", "https://REDACTED:REDACTED@host/p?q=@#f"),
            ("//user:x@host/", "//REDACTED:REDACTED@host/"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host/http://a:b@c/", "https://host/http://a:b@c/"),
            ("https://host?to=a:b@c", "https://host?to=a:b@c"),
            ("https://host?to=http://a:b@c/", "https://host?to=http://a:b@c/"),
            ("https://host#a:b@c", "https://host#a:b@c"),
            ("/http://a:b@c/", "/http://a:b@c/"),
            ("user:secret@host/", "user:secret@host/"),
            ("mailto:user@host", "mailto:user@host"),
            ("https://", "https://"),
            ("https:///@", "https:///@"),
            ("://", "://"),
            ("/", "/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(Redaction::new().url(sent), recorded);
            let off = Redaction::off();
            assert!(matches!(off.url(sent), Cow::Borrowed(same) if same == sent));
        }
    }

    #[test]
    fn a_url_is_redacted_in_all_its_parts() {
        let redaction = Redaction::new().with_path_patterns(["/reset/{token}"]).unwrap();
        for (sent, recorded) in [
            ("https://host/p?sig=x#ref", "https://host/p?sig=REDACTED#ref"),
            ("https://host?sig=x", "https://host?sig=REDACTED"),
            ("https://host/#sig=x", "https://host/#sig=x"),
            ("https://host/#?sig=x", "https://host/#?sig=x"),
            ("https://host/reset/x?", "https://host/reset/REDACTED?"),
            ("https://host/reset/x?a=b?#", "https://host/reset/REDACTED?a=b?#"),
            (
                "https://u:p@host/reset/x?sig=x#f",
                "https://REDACTED:REDACTED@host/reset/REDACTED?sig=REDACTED#f",
            ),
            ("/reset/x?sig=x", "/reset/REDACTED?sig=REDACTED"),
            ("https://host/?sig=x?sig=y", "https://host/?sig=REDACTED"),
        ] {
            assert_eq!(redaction.url(sent), recorded);
        }
    }

    #[test]
    fn what_has_no_secret_is_not_copied() {
        let redaction = Redaction::new().with_path_patterns(["/reset/{token}"]).unwrap();
        assert!(matches!(redaction.query("a=b&c=d"), Cow::Borrowed(_)));
        assert!(matches!(redaction.path("/a/b"), Cow::Borrowed(_)));
        assert!(matches!(redaction.url("https://host/a/b?c=d#e"), Cow::Borrowed(_)));
    }

    #[test]
    fn headers_with_credentials_are_redacted() {
        let value = HeaderValue::from_static("s3cret");
        let text = |redaction: &Redaction, name| {
            redaction.header(&HeaderName::from_static(name), &value).into_owned()
        };
        let named =
            ["x-auth-token", "x-api-key", "cf-access-jwt-assertion", "x-forwarded-access-token"];
        for name in SECRET_HEADERS.into_iter().chain(named) {
            assert_eq!(text(&Redaction::new(), name), "REDACTED");
            assert_eq!(text(&Redaction::off(), name), "s3cret");
            assert_eq!(text(&Redaction::new().with_headers(NONE).unwrap(), name), "s3cret");
        }
        assert_eq!(text(&Redaction::new(), "x-request-id"), "s3cret");

        let redaction = Redaction::new().with_headers(["X-*-Id", "accept"]).unwrap();
        for (name, recorded) in
            [("x-request-id", "REDACTED"), ("accept", "REDACTED"), ("authorization", "s3cret")]
        {
            assert_eq!(text(&redaction, name), recorded);
        }
    }

    #[test]
    fn a_sensitive_value_is_redacted_even_if_redaction_is_off() {
        let mut value = HeaderValue::from_static("s3cret");
        value.set_sensitive(true);
        for redaction in [Redaction::new(), Redaction::off()] {
            assert_eq!(redaction.header(&header::ACCEPT, &value), "REDACTED");
        }
    }

    #[test]
    fn a_value_that_is_not_utf8_is_shown_as_far_as_it_is() {
        let value = HeaderValue::from_bytes(b"a\xffb").unwrap();
        assert_eq!(Redaction::new().header(&header::ACCEPT, &value), "a\u{fffd}b");
    }

    #[test]
    fn debug_says_what_is_redacted() {
        let redaction = Redaction::new()
            .with_query_keys(["token"])
            .with_path_patterns(["/reset/{token}"])
            .unwrap()
            .with_headers(["X-Secret-*"])
            .unwrap();
        let shown = format!("{redaction:?}");
        for part in ["token", "/reset/{token}", "x-secret-*", "Redacted"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
