//! The settings of a sampler: what decides, in which order.

use std::{fmt, sync::Arc};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::{
    error::BuildError,
    head::RequestHead,
    sdk::sampler::{
        Candidate, SamplerBuilder,
        asked::Asked,
        decided::Decided,
        dropped::DroppedByRule,
        foreseen::{By, Foreseen, wants_attributes},
        limit::Bucket,
        ot::Ot,
        plan::Plan,
        root::{Decider, Who},
        rule,
        ruling::Ruling,
        trace::{Presumed, Trace},
        unsampled::Unsampled,
    },
};

/// What decides, looked at as a whole. It does not change; a sampler gets others.
pub(super) struct Settings {
    pub(super) source: SamplerBuilder,
    rules: Vec<rule::Compiled>,
    /// Whether a rule is asked also where there is a parent to follow.
    overrule_parents: bool,
    root: Who<Decider, Arc<dyn ShouldSample>>,
    bucket: Option<Arc<Bucket>>,
    /// Whether what is dropped is on record all the same.
    records: bool,
}

impl Settings {
    /// The settings in place of others, whose bucket stays if its limit does: a change of something
    /// else is to be no new burst.
    pub(super) fn new(
        source: SamplerBuilder,
        records: bool,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let rules = source.rules.iter().map(rule::Rule::compile).collect::<Result<Vec<_>, _>>()?;
        let kept = before.and_then(|before| before.bucket.as_ref());
        let bucket = match source.limit {
            None => None,
            Some(limit) => Some(match kept.filter(|bucket| bucket.limit() == limit) {
                Some(bucket) => Arc::clone(bucket),
                None => Arc::new(limit.bucket()?),
            }),
        };
        Ok(Self {
            overrule_parents: rules.iter().any(rule::Compiled::overrules_parents),
            rules,
            root: source.root.decider()?,
            bucket,
            records: records || source.records,
            source,
        })
    }

    /// The same as a number, if that is all there is to it.
    pub(super) fn plan(&self) -> Option<Plan> {
        let Self { source, rules, root, bucket, records, .. } = self;
        let Who::Ours(root) = *root else { return None };
        let is_all =
            rules.is_empty() && bucket.is_none() && !records && source.parent.branches.is_empty();
        is_all.then(|| Plan::new(source.parent.followed, root))
    }

    /// What is decided over a span: by the rule that holds, or else as the parent says, or else by
    /// the root decision. What is decided here is limited.
    pub(super) fn decide(
        &self,
        asked: &Asked<'_>,
        asked_before: Option<Option<Ruling>>,
        presumed: &Presumed,
        sampler: usize,
    ) -> SamplingResult {
        let parent_cx = asked.parent_cx();
        let parent = parent_cx.span();
        let parent = parent.span_context();
        let trace = Trace::new(asked.trace_id(), parent);
        let followed = self.source.parent.is_to_follow(parent_cx, parent);
        let ruling = asked_before.unwrap_or_else(|| {
            self.ruling(parent_cx, asked.kind(), followed, |_| asked.candidate())
        });
        let who = match ruling {
            Some(ruling) => Who::Ours(Decided::by(ruling, &trace, presumed)),
            None if followed => match self.source.parent.branches.of(parent) {
                None => Who::Ours(Decided::as_parent(&trace)),
                Some(branch) => Who::Theirs(branch),
            },
            None => match &self.root {
                Who::Ours(root) => Who::Ours(root.decide(&trace, presumed)),
                Who::Theirs(root) => Who::Theirs(&**root),
            },
        };
        let limit = self.limit(ruling, followed, parent);
        let mut result = match (who, limit) {
            (Who::Ours(decided), None) => decided.result(&trace),
            (Who::Ours(decided), Some(limit)) => decided.limited(|| limit.passes()).result(&trace),
            (Who::Theirs(theirs), None) => asked.ask(theirs),
            (Who::Theirs(theirs), Some(limit)) => limited(asked.ask(theirs), &limit),
        };
        if self.records
            && result.decision == SamplingDecision::Drop
            && ruling != Some(Ruling::Drop)
            && !DroppedByRule::is_above(parent_cx, parent, sampler)
        {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }

    /// What can be told of a request before its span starts.
    pub(super) fn foresee<'h>(
        self: Arc<Self>,
        parent_cx: &Context,
        kind: &SpanKind,
        observed: bool,
        sampler: usize,
        head: impl Fn() -> RequestHead<'h>,
    ) -> Foreseen {
        let parent = parent_cx.span();
        let parent = parent.span_context();
        let followed = self.source.parent.is_to_follow(parent_cx, parent);
        let ruling =
            self.ruling(parent_cx, kind, followed, |cx| Candidate::of_request(kind, cx, head()));
        let share = match (ruling, &self.root) {
            (Some(ruling), _) => Some(ruling.ratio()),
            (None, _) if followed => match self.source.parent.branches.of(parent) {
                None => Some(if parent.is_sampled() { 1.0 } else { 0.0 }),
                Some(_) => None,
            },
            (None, Who::Ours(root)) => Some(root.share()),
            (None, Who::Theirs(_)) => None,
        };
        let limit = self.limit(ruling, followed, parent);
        let share = match limit {
            // It may let more pass by the time that it matters.
            Some(limit) if !observed && limit.is_reached() => share.map(|_| 0.0),
            Some(_) | None => share,
        };
        let records = self.records
            && ruling != Some(Ruling::Drop)
            && !DroppedByRule::is_above(parent_cx, parent, sampler);
        Foreseen {
            wants_attributes: records || wants_attributes(share, observed),
            follows_parents: self.source.parent.keeps_sampled() && !self.overrule_parents,
            sampler,
            by: By::Settings(self, ruling),
        }
    }

    /// The limit of what is decided here: without a parent to follow, or by a rule over one.
    fn limit(
        &self,
        ruling: Option<Ruling>,
        followed: bool,
        parent: &SpanContext,
    ) -> Option<Limit<'_>> {
        let bucket = self.bucket.as_deref().filter(|_| !followed || ruling.is_some())?;
        Some(Limit { bucket, is_free: followed && parent.is_sampled() })
    }

    /// Whether what is dropped is on record all the same.
    pub(super) fn records(&self) -> bool {
        self.records
    }

    /// What is certain not to be sampled, whatever comes. Who is not ours may sample anything.
    pub(super) fn unsampled(&self) -> Option<Unsampled> {
        let none_at_the_root = matches!(&self.root, Who::Ours(root) if root.share() == 0.0);
        let none_by_a_rule = self.rules.iter().all(|rule| rule.ruling().ratio() == 0.0);
        if !none_at_the_root || !none_by_a_rule {
            None
        } else if !self.source.parent.followed {
            Some(Unsampled::All)
        } else {
            self.source.parent.branches.is_empty().then_some(Unsampled::BegunHere)
        }
    }

    /// What the first rule says that holds.
    fn ruling<'a>(
        &self,
        parent_cx: &'a Context,
        kind: &SpanKind,
        followed: bool,
        candidate: impl Fn(&'a Context) -> Candidate<'a>,
    ) -> Option<Ruling> {
        if self.rules.is_empty() || followed && !self.overrule_parents {
            return None;
        }
        let mut seen = None;
        let rule = self
            .rules
            .iter()
            .filter(|rule| !followed || rule.overrules_parents())
            // What a client's request looks like takes work to find out.
            .filter(|rule| rule.is_for(kind))
            .find(|rule| rule.holds(seen.get_or_insert_with(|| candidate(parent_cx))));
        rule.map(rule::Compiled::ruling)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// A limit, as one span meets it.
struct Limit<'a> {
    bucket: &'a Bucket,
    /// It takes no token: its parent was counted, wherever that was. Still nobody can tell how many
    /// it stands for, since others like it take one.
    is_free: bool,
}

impl Limit<'_> {
    fn passes(&self) -> bool {
        self.is_free || self.bucket.take()
    }

    fn is_reached(&self) -> bool {
        !self.is_free && self.bucket.is_empty()
    }
}

/// What somebody else's sampler says, with a limit.
fn limited(mut result: SamplingResult, limit: &Limit<'_>) -> SamplingResult {
    if result.decision == SamplingDecision::RecordAndSample {
        if !limit.passes() {
            result.decision = SamplingDecision::Drop;
        }
        result.trace_state = Ot::of(&result.trace_state).write(&result.trace_state, None);
    }
    result
}

#[cfg(test)]
mod tests {
    use http::{Extensions, HeaderMap, Method, Uri, Version};
    use opentelemetry::trace::{TraceFlags, TraceState};

    use super::*;
    use crate::propagation::{B3, Propagator};
    use crate::sdk::sampler::{RateLimit, Rule, Sampler, threshold::Threshold};

    fn parent(flags: TraceFlags, remote: bool) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            1_u128.into(),
            1_u64.into(),
            flags,
            remote,
            TraceState::NONE,
        ))
    }

    /// What is told of a request for a path, in a Context.
    fn told(sampler: &Sampler, cx: &Context, observed: bool, path: &'static str) -> Foreseen {
        let (uri, headers, extensions) =
            (Uri::from_static(path), HeaderMap::new(), Extensions::new());
        let (method, version) = (Method::GET, Version::HTTP_11);
        let head = || RequestHead::new(&method, &uri, version, &headers, &extensions, None);
        sampler.foresee(cx, &SpanKind::Server, observed, head)
    }

    #[test]
    fn attributes_are_wanted_where_somebody_may_look_or_the_span_is_likely_recorded() {
        let none = Context::new();
        let sampled = parent(TraceFlags::SAMPLED, true);
        let not = parent(TraceFlags::NOT_SAMPLED, true);
        let mut headers = HeaderMap::new();
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        headers.insert("b3", http::HeaderValue::from_static(ids));
        let undecided = Propagator::new(B3::new()).extract(&none, &headers);
        let new = SamplerBuilder::new;
        let off = || new().with_always_off();
        let ratio = |ratio| new().with_ratio(ratio);
        let foreign = || opentelemetry_sdk::trace::Sampler::AlwaysOff;
        let drops = || Rule::drop().with_path("/dropped");
        // Without a parent, with one that is sampled, with one that is not.
        for (name, builder, unobserved, observed) in [
            ("on", new(), [true, true, false], [true, true, false]),
            ("off", off(), [false, true, false], [false, true, false]),
            ("ratio 0", ratio(0.0), [false, true, false], [false, true, false]),
            ("low ratio", ratio(0.1), [false, true, false], [true, true, false]),
            ("high ratio", ratio(0.9), [true, true, false], [true, true, false]),
            (
                "low older ratio",
                new().with_trace_id_ratio(0.1),
                [false, true, false],
                [true, true, false],
            ),
            ("on without parent", new().without_parent(), [true; 3], [true; 3]),
            ("off without parent", off().without_parent(), [false; 3], [false; 3]),
            ("foreign", new().with_root(foreign()), [true, true, false], [true, true, false]),
            (
                "foreign branch",
                new().with_remote_parent_not_sampled(foreign()),
                [true; 3],
                [true; 3],
            ),
            (
                "another foreign branch",
                new().with_local_parent_not_sampled(foreign()),
                [true, true, false],
                [true, true, false],
            ),
            (
                "dropped by a rule",
                new().with_rule(drops()),
                [false, true, false],
                [false, true, false],
            ),
            (
                "dropped by a rule in any case",
                new().with_rule(drops().with_parent_overruled()).with_always_record(),
                [false; 3],
                [false; 3],
            ),
            (
                "dropped by a rule before a foreign one",
                new().with_rule(drops()).with_root(foreign()),
                [false, true, false],
                [false, true, false],
            ),
            (
                "a rule for others",
                off().with_rule(Rule::keep().with_path("/kept")),
                [false, true, false],
                [false, true, false],
            ),
            (
                "kept by a rule",
                off().with_rule(Rule::keep()),
                [true, true, false],
                [true, true, false],
            ),
            ("everything on record", off().with_always_record(), [true; 3], [true; 3]),
        ] {
            let sampler = builder.build().unwrap();
            for (is_observed, expected) in [(false, unobserved), (true, observed)] {
                let wants = |cx| told(&sampler, cx, is_observed, "/dropped").wants_attributes;
                let of_each = [&none, &sampled, &not].map(wants);
                assert_eq!(of_each, expected, "{name}, observed: {is_observed}");
                // One that has decided nothing is as good as none.
                assert_eq!(wants(&undecided), wants(&none), "{name}, observed: {is_observed}");
            }
        }
    }

    #[test]
    fn where_the_limit_is_reached_nothing_is_built() {
        let limit = RateLimit::per_second(1e-6).with_burst(1);
        let sampler = SamplerBuilder::new().with_rate_limit(limit).build().unwrap();
        let sampled = parent(TraceFlags::SAMPLED, true);
        let none = Context::new();
        let wants = |cx| told(&sampler, cx, false, "/").wants_attributes;
        assert!(wants(&none) && wants(&sampled));
        let asked = Asked::new(None, 1_u128.into(), "", &SpanKind::Server, &[], &[]);
        asked.ask(&sampler);
        assert!(!wants(&none) && wants(&sampled));
        // It may be fuller by the time that it matters, and somebody looks then.
        assert!(told(&sampler, &none, true, "/").wants_attributes);
        let foreign = opentelemetry_sdk::trace::Sampler::AlwaysOn;
        sampler.update(|sampler| sampler.with_root(foreign)).unwrap();
        assert!(wants(&none));
    }

    #[test]
    fn what_a_rule_says_of_a_request_is_told_with_it() {
        let sampler = SamplerBuilder::new()
            .with_rule(Rule::drop().with_path("/dropped"))
            .with_rule(Rule::keep().with_path("/kept").with_parent_overruled())
            .build()
            .unwrap();
        let keep = Some(Ruling::Keep(Threshold::KEEP_ALL));
        let ruled = |cx: &Context, path| match told(&sampler, cx, false, path).by {
            By::Settings(_, ruling) => ruling,
            By::Plan(plan) => panic!("{plan:?}"),
        };
        let sampled = parent(TraceFlags::SAMPLED, false);
        for (path, of_root, below) in
            [("/dropped", Some(Ruling::Drop), None), ("/kept", keep, keep), ("/", None, None)]
        {
            assert_eq!(ruled(&Context::new(), path), of_root, "{path}");
            assert_eq!(ruled(&sampled, path), below, "{path}");
        }
    }

    #[test]
    fn sampled_spans_have_only_sampled_ones_below_them_if_nothing_comes_between() {
        let new = SamplerBuilder::new;
        let off = opentelemetry_sdk::trace::Sampler::AlwaysOff;
        for (builder, follows) in [
            (new().with_ratio(0.1), true),
            (new().with_rule(Rule::drop()), true),
            (new().with_remote_parent_not_sampled(off.clone()), true),
            (new().with_remote_parent_sampled(off.clone()), false),
            (new().with_local_parent_sampled(off), false),
            (new().with_rule(Rule::drop().with_parent_overruled()), false),
            (new().without_parent(), false),
            (new().with_rule(Rule::drop()).without_parent(), false),
        ] {
            let sampler = builder.build().unwrap();
            let told = told(&sampler, &Context::new(), false, "/");
            assert_eq!(told.follows_parents, follows, "{sampler}");
        }
    }
}
