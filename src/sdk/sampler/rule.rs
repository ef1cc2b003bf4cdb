//! Rules: what is decided over a span because of what it is.

use std::{fmt, sync::Arc};

use http::{HeaderName, Method};
use opentelemetry::trace::SpanKind;

use crate::{
    contained::contained,
    error::BuildError,
    sdk::sampler::{
        Candidate,
        pattern::{Pattern, is_below},
        ruling::Ruling,
        threshold::Threshold,
    },
};

/// What is decided over a span because of what it is.
///
/// A rule has a verdict and any number of conditions, all of which must hold; without any it holds
/// for every span. Of several rules the first that holds decides, in the order in which they were
/// given to [`SamplerBuilder::with_rule`](crate::SamplerBuilder::with_rule).
///
/// Rules are asked before the decision over traces that start here. What a parent has decided stays
/// decided, so that no trace comes out with holes, but for rules that are
/// [told otherwise](Self::with_parent_overruled).
///
/// ```
/// use http::Method;
/// use tower_telemetry::{SamplerBuilder, sdk::sampler::Rule};
///
/// let sampler = SamplerBuilder::new()
///     .with_rule(Rule::drop().with_path("/healthz"))
///     .with_rule(Rule::keep().with_header("x-debug", "*"))
///     .with_rule(Rule::ratio(0.01).with_method(Method::GET).with_path_prefix("/static"))
///     .with_ratio(0.1)
///     .build()?;
/// # let _ = sampler;
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// A path is compared as it was sent, without its query and with its `%`s.
#[must_use]
#[derive(Clone)]
pub struct Rule {
    verdict: Verdict,
    conditions: Vec<Condition>,
    overrules_parents: bool,
}

#[derive(Clone, Copy)]
enum Verdict {
    Drop,
    Keep,
    Ratio(f64),
}

#[derive(Clone)]
enum Condition {
    Kind(SpanKind),
    Method(Method),
    Path(String),
    PathPrefix(String),
    Route(String),
    Header { name: String, value: String },
    Predicate(Predicate),
}

type Predicate = Arc<dyn Fn(&Candidate<'_>) -> bool + Send + Sync>;

impl Rule {
    /// Does not record the span, not even if everything is [to be
    /// recorded](crate::SamplerBuilder::with_always_record).
    pub fn drop() -> Self {
        Self::new(Verdict::Drop)
    }

    /// Samples the span. It goes on record as one for which no other was dropped.
    pub fn keep() -> Self {
        Self::new(Verdict::Keep)
    }

    /// Samples this share of the traces, as
    /// [`SamplerBuilder::with_ratio`](crate::SamplerBuilder::with_ratio) does, with the same range.
    /// What it does not sample it drops like any other; 0 is not [`drop`](Self::drop).
    pub fn ratio(ratio: f64) -> Self {
        Self::new(Verdict::Ratio(ratio))
    }

    fn new(verdict: Verdict) -> Self {
        Self { verdict, conditions: Vec::new(), overrules_parents: false }
    }

    /// Only for spans of this kind.
    ///
    /// ```
    /// use opentelemetry::trace::SpanKind;
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// // Not the requests of ours to other services' `/healthz`.
    /// let rule = Rule::drop().with_kind(SpanKind::Server).with_path("/healthz");
    /// # let _ = rule;
    /// ```
    pub fn with_kind(self, kind: SpanKind) -> Self {
        self.and(Condition::Kind(kind))
    }

    /// Only for requests with this method.
    ///
    /// ```
    /// use http::Method;
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// let rule = Rule::keep().with_method(Method::DELETE);
    /// assert_eq!(rule.to_string(), "keep{method=DELETE}");
    /// ```
    pub fn with_method(self, method: Method) -> Self {
        self.and(Condition::Method(method))
    }

    /// Only for this path. `*` stands for anything, also for several segments or nothing, and `?`
    /// for one character. It has to begin with `/` or `*`.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// let probes = Rule::drop().with_path("/healthz");
    /// let images = Rule::ratio(0.001).with_path("*.png");
    /// # let _ = (probes, images);
    /// ```
    pub fn with_path(self, path: impl Into<String>) -> Self {
        self.and(Condition::Path(path.into()))
    }

    /// Only for this path and those below it: `/admin` has `/admin/users` below it, and not
    /// `/administrators`. It has to begin with `/`.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// let rule = Rule::drop().with_path_prefix("/internal");
    /// assert_eq!(rule.to_string(), "drop{path prefix=/internal}");
    /// ```
    pub fn with_path_prefix(self, prefix: impl Into<String>) -> Self {
        self.and(Condition::PathPrefix(prefix.into()))
    }

    /// Only for this route, such as `/items/{id}`, or a glob as in [`with_path`](Self::with_path).
    /// It has to begin with `/` or `*`.
    ///
    /// A route counts where it is [known before the start](crate::server::RequestHead::route): with
    /// a layer on axum's router it is, with one around the router it is not. On a client it is the
    /// URL's template.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// let rule = Rule::ratio(0.5).with_route("/items/{id}");
    /// assert_eq!(rule.to_string(), "ratio 0.5{route=/items/{id}}");
    /// ```
    pub fn with_route(self, route: impl Into<String>) -> Self {
        self.and(Condition::Route(route.into()))
    }

    /// Only for requests with this header and value, or a glob for the value as in
    /// [`with_path`](Self::with_path); of several lines one is enough. What strangers send decides
    /// here: see [`SamplerBuilder::with_rate_limit`](crate::SamplerBuilder::with_rate_limit).
    ///
    /// A span that no layer with the telemetry starts has the header if it is among its attributes,
    /// as `http.request.header.NAME`.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// let rule = Rule::keep().with_header("x-debug", "*").with_header("user-agent", "curl/*");
    /// assert_eq!(rule.to_string(), "keep{header=x-debug, header=user-agent}");
    /// ```
    pub fn with_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.and(Condition::Header { name: name.into(), value: value.into() })
    }

    /// Only if this function says so. It is asked on the way of a request, and must not wait. One
    /// that panics says no.
    ///
    /// ```
    /// use tower_telemetry::sdk::sampler::Rule;
    ///
    /// // What a beta's users do is looked at more closely.
    /// let rule = Rule::ratio(0.5).with_predicate(|candidate| {
    ///     let head = candidate.request();
    ///     head.is_some_and(|head| head.uri().query().is_some_and(|query| query.contains("beta")))
    /// });
    /// # let _ = rule;
    /// ```
    pub fn with_predicate<F>(self, predicate: F) -> Self
    where
        F: Fn(&Candidate<'_>) -> bool + Send + Sync + 'static,
    {
        self.and(Condition::Predicate(Arc::new(predicate)))
    }

    /// Holds whatever the parent's decision was, remote or local. By default a rule is not asked
    /// where there is a parent to follow.
    ///
    /// ```
    /// use tower_telemetry::{SamplerBuilder, sdk::sampler::Rule};
    ///
    /// // The load balancer's probes come with a sampled trace.
    /// let probes = Rule::drop().with_path("/healthz").with_parent_overruled();
    /// let sampler = SamplerBuilder::new().with_rule(probes).build()?;
    /// # let _ = sampler;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_parent_overruled(mut self) -> Self {
        self.overrules_parents = true;
        self
    }

    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    pub(super) fn compile(&self) -> Result<Compiled, BuildError> {
        let ruling = match self.verdict {
            Verdict::Drop => Ruling::Drop,
            Verdict::Keep => Ruling::Keep(Threshold::KEEP_ALL),
            Verdict::Ratio(ratio) => {
                Ruling::Keep(Threshold::of_setting("sampling rule's ratio", ratio)?)
            }
        };
        let tests = self.conditions.iter().map(Condition::test).collect::<Result<_, _>>()?;
        Ok(Compiled { ruling, overrules_parents: self.overrules_parents, tests })
    }
}

impl Condition {
    fn test(&self) -> Result<Test, BuildError> {
        Ok(match self {
            Self::Kind(kind) => Test::Kind(kind.clone()),
            Self::Method(method) => Test::Method(method.clone()),
            Self::Path(path) => Test::Path(pattern("sampling rule's path", path)?),
            Self::PathPrefix(prefix) if prefix.starts_with('/') => {
                Test::PathPrefix(prefix.as_str().into())
            }
            Self::PathPrefix(prefix) => {
                let must = "must begin with `/`";
                return Err(BuildError::new("sampling rule's path prefix", prefix, must));
            }
            Self::Route(route) => Test::Route(pattern("sampling rule's route", route)?),
            Self::Header { name, value } => {
                let parsed = HeaderName::try_from(name).map_err(|_| {
                    BuildError::new("sampling rule's header", name, "must be a header's name")
                })?;
                let key = format!("http.request.header.{parsed}").into();
                Test::Header { name: parsed, key, value: Pattern::glob(value) }
            }
            Self::Predicate(predicate) => Test::Predicate(Arc::clone(predicate)),
        })
    }
}

fn pattern(setting: &'static str, text: &str) -> Result<Pattern, BuildError> {
    if text.starts_with(['/', '*']) {
        Ok(Pattern::glob(text))
    } else {
        Err(BuildError::new(setting, text, "must begin with `/` or `*`"))
    }
}

/// A rule as the sampler asks it.
pub(super) struct Compiled {
    ruling: Ruling,
    overrules_parents: bool,
    tests: Vec<Test>,
}

enum Test {
    Kind(SpanKind),
    Method(Method),
    Path(Pattern),
    PathPrefix(Box<str>),
    Route(Pattern),
    Header { name: HeaderName, key: Box<str>, value: Pattern },
    Predicate(Predicate),
}

impl Compiled {
    pub(super) fn ruling(&self) -> Ruling {
        self.ruling
    }

    pub(super) fn overrules_parents(&self) -> bool {
        self.overrules_parents
    }

    /// Whether it can hold for spans of this kind, whatever else they are.
    pub(super) fn is_for(&self, kind: &SpanKind) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Kind(wanted) => wanted == kind,
            _ => true,
        })
    }

    pub(super) fn holds(&self, candidate: &Candidate<'_>) -> bool {
        self.tests.iter().all(|test| test.holds(candidate))
    }
}

impl Test {
    fn holds(&self, candidate: &Candidate<'_>) -> bool {
        match self {
            Self::Kind(kind) => candidate.kind() == kind,
            Self::Method(method) => candidate.method() == Some(method.as_str()),
            Self::Path(pattern) => candidate.path().is_some_and(|path| pattern.matches(path)),
            Self::PathPrefix(prefix) => candidate.path().is_some_and(|path| is_below(prefix, path)),
            Self::Route(pattern) => candidate.route().is_some_and(|route| pattern.matches(route)),
            Self::Header { name, key, value } => {
                candidate.has_header(name, key, |line| value.matches(line))
            }
            Self::Predicate(predicate) => contained(|| predicate(candidate)).unwrap_or(false),
        }
    }
}

/// The verdict and the conditions: `drop{path=/healthz}`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Drop => f.write_str("drop")?,
            Verdict::Keep => f.write_str("keep")?,
            Verdict::Ratio(ratio) => write!(f, "ratio {ratio}")?,
        }
        f.write_str("{")?;
        for (at, condition) in self.conditions.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{condition}")?;
        }
        f.write_str("}")?;
        if self.overrules_parents { f.write_str(" over parents") } else { Ok(()) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "kind={kind:?}"),
            Self::Method(method) => write!(f, "method={method}"),
            Self::Path(path) => write!(f, "path={path}"),
            Self::PathPrefix(prefix) => write!(f, "path prefix={prefix}"),
            Self::Route(route) => write!(f, "route={route}"),
            // The value may be what lets somebody in.
            Self::Header { name, .. } => write!(f, "header={name}"),
            Self::Predicate(_) => f.write_str("predicate"),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
