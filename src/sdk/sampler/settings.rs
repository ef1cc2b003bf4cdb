//! The settings of a sampler: what decides, in which order.

use std::sync::{Arc, Once};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult};
use tracing::warn;

use crate::{
    error::BuildError,
    head::RequestHead,
    propagation::received::RANDOM,
    sdk::sampler::{
        Candidate, SamplerBuilder,
        asked::Asked,
        decided::Decided,
        limit::Bucket,
        ot::Ot,
        root::Decider,
        rule,
        ruling::{Ruled, Ruling},
        threshold::Threshold,
    },
};

/// What decides, looked at as a whole. It does not change; a sampler gets others.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) source: SamplerBuilder,
    rules: Vec<rule::Compiled>,
    /// Whether a rule is asked also where there is a parent to follow.
    overrule_parents: bool,
    root: Decider,
    bucket: Option<Arc<Bucket>>,
    /// Whether what is dropped is on record all the same.
    records: bool,
}

/// What can be told before a span starts.
pub(crate) struct Foreseen {
    /// Whether the span should have its attributes when it starts, and not only once it is known to
    /// record.
    pub(crate) wants_attributes: bool,
    /// Whether whatever is below a sampled span is sampled.
    pub(crate) follows_parents: bool,
    pub(crate) ruled: Ruled,
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

    /// What is decided over a span: the rule that holds, or else the parent, or else the root
    /// decision; and what is decided here is limited.
    pub(super) fn decide(
        &self,
        asked: &Asked<'_>,
        ruled: Option<Ruled>,
        presumed: &Once,
    ) -> SamplingResult {
        let parent_cx = asked.parent_cx();
        let parent = parent_cx.span();
        let parent = parent.span_context();
        let followed = self.source.parent.is_to_follow(parent_cx, parent);
        let ruled = ruled.unwrap_or_else(|| {
            self.ruled(parent_cx, asked.kind(), followed, |_| asked.candidate())
        });
        let decided = match ruled.0 {
            Some(ruling) => Decided::By(ruling),
            None if followed => self.source.parent.decide(asked, parent),
            None => self.root.decide(asked),
        };

        let state = parent.trace_state();
        let ot = Ot::of(state);
        if let Decided::By(Ruling::Keep(threshold)) = &decided {
            presume(*threshold, parent, &ot, presumed);
        }
        let mut decided = decided.settled(parent, &ot, ot.randomness(asked.trace_id));
        if let Some(bucket) = &self.bucket
            && (ruled.0.is_some() || !followed)
        {
            decided = decided.limited(|| bucket.take());
        }
        let mut result = decided.result(state, &ot);
        if self.records
            && result.decision == SamplingDecision::Drop
            && ruled.0 != Some(Ruling::Drop)
            && !is_below_a_dropped(parent_cx, parent)
        {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }

    /// What can be told of a request before its span starts.
    ///
    /// Our own samplers do not look at attributes. A processor may, when the span starts; if there
    /// is one (`observed`), only a span that is certain to be dropped goes without. Otherwise
    /// nobody can tell, and what is more likely decides.
    pub(super) fn foresee<'h>(
        &self,
        parent_cx: &Context,
        kind: &SpanKind,
        observed: bool,
        head: impl Fn() -> RequestHead<'h>,
    ) -> Foreseen {
        let parent = parent_cx.span();
        let parent = parent.span_context();
        let followed = self.source.parent.is_to_follow(parent_cx, parent);
        let ruled =
            self.ruled(parent_cx, kind, followed, |cx| Candidate::of_request(kind, cx, head()));
        let share = match ruled.0 {
            Some(ruling) => Some(ruling.ratio()),
            None if followed => self.source.parent.share(parent),
            None => self.root.share(),
        };
        let is_limited = ruled.0.is_some() || !followed;
        let share = match &self.bucket {
            Some(bucket) if is_limited && bucket.is_empty() => share.map(|_| 0.0),
            _ => share,
        };
        let records = self.records && ruled.0 != Some(Ruling::Drop);
        let least = if observed { 0.0 } else { 0.5 };
        Foreseen {
            wants_attributes: records || share.is_none_or(|share| share > least),
            follows_parents: self.source.parent.keeps_sampled() && !self.overrule_parents,
            ruled,
        }
    }

    /// What the first rule says that holds.
    fn ruled<'a>(
        &self,
        parent_cx: &'a Context,
        kind: &SpanKind,
        followed: bool,
        candidate: impl Fn(&'a Context) -> Candidate<'a>,
    ) -> Ruled {
        if self.rules.is_empty() || followed && !self.overrule_parents {
            return Ruled(None);
        }
        let mut seen = None;
        let rule = self
            .rules
            .iter()
            .filter(|rule| !followed || rule.overrules_parents())
            // What a client's request looks like takes work to find out.
            .filter(|rule| rule.is_for(kind))
            .find(|rule| rule.holds(seen.get_or_insert_with(|| candidate(parent_cx))));
        Ruled(rule.map(rule::Compiled::ruling))
    }
}

/// Whether there is a span of this process above that does not record. What is below it would be on
/// record without it.
fn is_below_a_dropped(parent_cx: &Context, parent: &SpanContext) -> bool {
    parent.is_valid() && !parent.is_remote() && !parent_cx.span().is_recording()
}

/// Says once that a trace's id is [taken for random][presume], though nobody has said that it is.
///
/// [presume]: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#migration-to-consistent-probability-samplers
fn presume(threshold: Threshold, parent: &SpanContext, ot: &Ot<'_>, presumed: &Once) {
    let is_known = !parent.is_valid()
        || parent.trace_flags() & RANDOM == RANDOM
        || ot.is_explicit()
        || threshold == Threshold::KEEP_ALL;
    if !is_known && !presumed.is_completed() {
        presumed.call_once(|| {
            warn!(
                target: env!("CARGO_PKG_NAME"),
                "a ratio is applied to traces of callers that do not say that their ids are \
                 random; if they are not, other shares than that are sampled"
            );
        });
    }
}
