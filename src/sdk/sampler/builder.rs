//! The builder: rules, what is made of a parent's decision, the root decision, and a limit.

use std::{fmt, sync::Arc};

use opentelemetry_sdk::trace::ShouldSample;

use crate::{
    error::BuildError,
    sdk::sampler::{
        RateLimit, Rule, Sampler,
        parent::{Branches, Parent},
        root::Root,
    },
};

/// Builds a [`Sampler`]: which traces are recorded.
///
/// By default every trace is, and a request that belongs to a trace follows its parent's decision,
/// recorded or not: the [specification's default], `parentbased_always_on`.
///
/// ```
/// use tower_telemetry::{SamplerBuilder, Telemetry, sdk::sampler::{RateLimit, Rule}};
///
/// // One new trace in ten, at most 100 a second, and none of the health checks. What a caller has
/// // decided stays decided.
/// let sampler = SamplerBuilder::new()
///     .with_rule(Rule::drop().with_path("/healthz"))
///     .with_ratio(0.1)
///     .with_rate_limit(RateLimit::per_second(100.0));
/// let telemetry = Telemetry::builder().with_sampler(sampler).build()?;
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// It works without a [`Telemetry`](crate::Telemetry) as well: what [`build`](Self::build) gives
/// goes into any SDK tracer provider.
///
/// ```
/// use opentelemetry::trace::{Span, Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use tower_telemetry::SamplerBuilder;
///
/// let sampler = SamplerBuilder::new().with_always_off().build()?;
/// let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
/// assert!(!provider.tracer("test").start("span").is_recording());
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// In which order all of this decides, see the [module docs](crate::sdk::sampler).
///
/// [specification's default]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers
#[must_use]
#[derive(Clone)]
pub struct SamplerBuilder {
    pub(super) rules: Vec<Rule>,
    pub(super) parent: Parent,
    pub(super) root: Root,
    pub(super) limit: Option<RateLimit>,
    pub(super) records: bool,
}

impl SamplerBuilder {
    /// The default: every trace, after its parent's decision.
    pub fn new() -> Self {
        Self {
            rules: Vec::new(),
            parent: Parent::default(),
            root: Root::AlwaysOn,
            limit: None,
            records: false,
        }
    }

    /// Samples every trace that starts here, as the specification's [`AlwaysOn`][on] does. This is
    /// the default.
    ///
    /// [on]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#alwayson
    pub fn with_always_on(mut self) -> Self {
        self.root = Root::AlwaysOn;
        self
    }

    /// Samples no trace that starts here, as the specification's [`AlwaysOff`][off] does.
    ///
    /// ```
    /// use tower_telemetry::SamplerBuilder;
    ///
    /// let sampler = SamplerBuilder::new().with_always_off();
    /// assert!(sampler.to_string().contains("root:AlwaysOffSampler"));
    /// ```
    ///
    /// [off]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#alwaysoff
    pub fn with_always_off(mut self) -> Self {
        self.root = Root::AlwaysOff;
        self
    }

    /// Samples this share of the traces that start here: 0 (none), or from 2⁻⁵⁶ to 1 (all).
    /// Anything else, NaN included, is an error of [`build`](Self::build).
    ///
    /// This is [consistent probability sampling][consistent]: the trace's own randomness decides,
    /// 56 bits of its id or the `rv` that came with it, so that of two services the one with the
    /// higher ratio samples all that the other does. The share travels with the trace as
    /// `ot=th:…` in `tracestate`, and is on each span that is exported: so a backend can tell for
    /// how many spans one stands. It is met [to four digits][digits] in hexadecimal.
    ///
    /// [consistent]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
    /// [digits]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#converting-floating-point-probability-to-threshold-value
    pub fn with_ratio(mut self, ratio: f64) -> Self {
        self.root = Root::Ratio(ratio);
        self
    }

    /// Samples this share, from 0 to 1, by the older arithmetic of the Rust SDK's
    /// [`TraceIdRatioBased`][old]: for fleets in which other services go by that one. It agrees
    /// with no other language, and tells nobody the share. What is not from 0 to 1 is an error of
    /// [`build`](Self::build).
    ///
    /// It is what `traceidratio` in `OTEL_TRACES_SAMPLER` stands for.
    ///
    /// [old]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased
    pub fn with_trace_id_ratio(mut self, ratio: f64) -> Self {
        self.root = Root::TraceIdRatio(ratio);
        self
    }

    /// Lets a sampler of your own decide over the traces that start here. Whatever is built of this
    /// builder and its clones asks that same one.
    ///
    /// ```
    /// use opentelemetry_sdk::trace::Sampler;
    /// use tower_telemetry::SamplerBuilder;
    ///
    /// let sampler = SamplerBuilder::new().with_root(Sampler::AlwaysOff).build()?;
    /// assert!(sampler.to_string().starts_with("ParentBased{root:AlwaysOff,"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// It is asked with name and attributes, as the SDK asks it: rules that it has itself do not
    /// see the request.
    pub fn with_root<S: ShouldSample + 'static>(mut self, sampler: S) -> Self {
        self.root = Root::Custom(Arc::new(sampler));
        self
    }

    /// Adds a rule, which is asked after those that are there, and before the root decision.
    /// Default: none.
    ///
    /// ```
    /// use tower_telemetry::{SamplerBuilder, sdk::sampler::Rule};
    ///
    /// let sampler = SamplerBuilder::new().with_rule(Rule::drop().with_path("/healthz")).build()?;
    /// # let _ = sampler;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Takes all rules out again.
    pub fn without_rules(mut self) -> Self {
        self.rules.clear();
        self
    }

    /// Limits the traces that start here to so many a second, whatever the ratio and the rules say.
    /// Where parents are followed, what is below a sampled one is not counted, nor what a
    /// [branch](Self::with_remote_parent_sampled) decides. Default: no limit.
    ///
    /// How many were dropped for each that is sampled nobody can tell beforehand, so the traces
    /// carry no threshold.
    ///
    /// ```
    /// use tower_telemetry::{SamplerBuilder, sdk::sampler::RateLimit};
    ///
    /// let sampler = SamplerBuilder::new().with_rate_limit(RateLimit::per_second(100.0));
    /// assert!(sampler.to_string().contains("RateLimiting{100,"));
    /// assert!(!sampler.without_rate_limit().to_string().contains("RateLimiting"));
    /// ```
    pub fn with_rate_limit(mut self, limit: RateLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Takes the limit away again.
    pub fn without_rate_limit(mut self) -> Self {
        self.limit = None;
        self
    }

    /// Follows the parent's decision where there is a parent, as is the default: a request of a
    /// trace that is recorded is recorded, one of a trace that is not is not. A caller that has
    /// left the decision to others, as [B3](crate::propagation::B3) and
    /// [X-Ray](crate::propagation::XRay) can say, is no parent to follow.
    ///
    /// The parent's threshold goes along, unless it [cannot be true][threshold].
    ///
    /// [threshold]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#parent-based-threshold
    pub fn with_parent(mut self) -> Self {
        self.parent.followed = true;
        self
    }

    /// Decides over every span as if it were the first of its trace, whatever its parent's decision
    /// was. With a [ratio](Self::with_ratio) the parts of a trace are those that their own ratio
    /// samples; with anything else traces may come out with holes, and a
    /// [limit](Self::with_rate_limit) is one of spans. Samplers for branches below a parent are not
    /// asked then.
    pub fn without_parent(mut self) -> Self {
        self.parent.followed = false;
        self
    }

    /// Lets this sampler decide below a remote parent that is sampled, as
    /// [`remoteParentSampled`][branches] of the specification. Default: the span is sampled, too.
    ///
    /// What it decides is not counted by the [limit](Self::with_rate_limit).
    ///
    /// ```
    /// use tower_telemetry::SamplerBuilder;
    ///
    /// // The gateway samples all it sends. A hundredth is enough here, the same in each service.
    /// let hundredth = SamplerBuilder::new().with_ratio(0.01).without_parent().build()?;
    /// let sampler = SamplerBuilder::new().with_remote_parent_sampled(hundredth).build()?;
    /// # let _ = sampler;
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// It is no defence against strangers, who can choose ids that every ratio samples: where they
    /// get in, begin new traces ([`RemoteParent::Link`](crate::server::RemoteParent::Link)).
    ///
    /// This and its three likes follow parents, also if [that was off](Self::without_parent).
    ///
    /// [branches]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#parentbased
    pub fn with_remote_parent_sampled<S: ShouldSample + 'static>(self, sampler: S) -> Self {
        self.with_branch(|branches| &mut branches.remote_sampled, sampler)
    }

    /// Lets this sampler decide below a remote parent that is not sampled, as
    /// `remoteParentNotSampled` of the specification. Default: the span is not sampled either.
    pub fn with_remote_parent_not_sampled<S: ShouldSample + 'static>(self, sampler: S) -> Self {
        self.with_branch(|branches| &mut branches.remote_not_sampled, sampler)
    }

    /// Lets this sampler decide below a sampled parent of this process, as `localParentSampled` of
    /// the specification. Default: the span is sampled, too.
    pub fn with_local_parent_sampled<S: ShouldSample + 'static>(self, sampler: S) -> Self {
        self.with_branch(|branches| &mut branches.local_sampled, sampler)
    }

    /// Lets this sampler decide below a parent of this process that is not sampled, as
    /// `localParentNotSampled` of the specification. Default: the span is not sampled either.
    pub fn with_local_parent_not_sampled<S: ShouldSample + 'static>(self, sampler: S) -> Self {
        self.with_branch(|branches| &mut branches.local_not_sampled, sampler)
    }

    /// Records what is dropped without sampling it, as the specification's [`AlwaysRecord`][record]
    /// does: processors see those spans, exporters do not. Default: what is dropped is not
    /// recorded.
    ///
    /// What a [rule](Rule::drop) drops stays dropped, and so does all that is below it, if a layer
    /// [with the telemetry](crate::TraceLayer::with_telemetry) has started it.
    ///
    /// The SDK's own batch processor (0.33.1) exports such spans although they are not sampled, as
    /// it should not. Those of a [`Telemetry`](crate::Telemetry) do not.
    ///
    /// Every request costs then what a sampled one does, but for its export. To export those that
    /// have turned out to matter, see
    /// [`with_tail_sampling`](crate::TelemetryBuilder::with_tail_sampling), which has no need of
    /// this one.
    ///
    /// [record]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#alwaysrecord
    pub fn with_always_record(mut self) -> Self {
        self.records = true;
        self
    }

    /// Records only what is sampled again.
    pub fn without_always_record(mut self) -> Self {
        self.records = false;
        self
    }

    /// The sampler.
    ///
    /// # Errors
    ///
    /// A ratio, a rate or a burst is out of its range, or a rule has a path or a route that none
    /// can be, or a name that no header can have.
    pub fn build(self) -> Result<Sampler, BuildError> {
        Sampler::new(self, false)
    }

    fn with_branch<S: ShouldSample + 'static>(
        mut self,
        branch: fn(&mut Branches) -> &mut Option<Arc<dyn ShouldSample>>,
        sampler: S,
    ) -> Self {
        *branch(&mut self.parent.branches) = Some(Arc::new(sampler));
        self.with_parent()
    }
}

impl Default for SamplerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

/// The [description] of the sampler that it builds.
///
/// [description]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#getdescription
impl fmt::Display for SamplerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, parent, root, limit, records } = self;
        let mut text = root.to_string();
        if !rules.is_empty() {
            let rules: Vec<String> = rules.iter().map(Rule::to_string).collect();
            text = format!("RuleBased{{{},{text}}}", rules.join(","));
        }
        if let Some(limit) = limit {
            text = format!("RateLimiting{{{limit},{text}}}");
        }
        if parent.followed {
            text = format!("ParentBased{{root:{text}{}}}", parent.branches);
        }
        if *records {
            text = format!("AlwaysRecord{{{text}}}");
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for SamplerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
