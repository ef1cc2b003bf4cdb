//! The plan: settings that fit into a number, as most do.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use opentelemetry::{
    Context, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult};

use crate::sdk::sampler::{
    decided::Decided,
    foreseen::{By, Foreseen, wants_attributes},
    parent::is_to_follow,
    root::{Decider, is_low},
    threshold::{Randomness, Threshold},
    trace::{Presumed, Trace},
};

/// A parent's decision, if that is followed, or else the root's, and nothing beside them: no rule,
/// no limit, nobody else's sampler.
///
/// It is a number, so that one place can hold it: an `ArcSwap` costs as much to look into as the
/// whole decision.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Plan(u64);

/// A ratio from 0 to 1 has no sign, and no exponent above 1023: both of these bits are free.
const FOLLOWED: u64 = 1 << 63;
const TRACE_ID_RATIO: u64 = 1 << 62;
/// Of the others; a threshold has 56 bits.
const KIND: u64 = 0b111 << 56;
const NONE: u64 = 0 << 56;
const ON: u64 = 1 << 56;
const OFF: u64 = 2 << 56;
const RATIO: u64 = 3 << 56;

impl Plan {
    pub(super) fn new(followed: bool, root: Decider) -> Self {
        let root = match root {
            Decider::AlwaysOn => ON,
            Decider::AlwaysOff | Decider::Ratio(Threshold::KEEP_NONE) => OFF,
            Decider::Ratio(threshold) => RATIO | threshold.bits(),
            Decider::TraceIdRatio(ratio) => TRACE_ID_RATIO | ratio.abs().to_bits(),
        };
        Self(if followed { FOLLOWED | root } else { root })
    }

    fn follows(self) -> bool {
        self.0 & FOLLOWED != 0
    }

    fn root(self) -> Decider {
        let bits = self.0 & !FOLLOWED;
        if bits & TRACE_ID_RATIO != 0 {
            return Decider::TraceIdRatio(f64::from_bits(bits & !TRACE_ID_RATIO));
        }
        match bits & KIND {
            ON => Decider::AlwaysOn,
            RATIO => Decider::Ratio(Threshold::of_bits(bits & !KIND)),
            _ => Decider::AlwaysOff,
        }
    }

    /// What is decided over a span. It is inlined, and the rarer half of it is not, since it takes
    /// little more than a call does.
    #[inline(always)]
    pub(super) fn decide(
        self,
        parent_cx: &Context,
        trace_id: TraceId,
        presumed: &Presumed,
    ) -> SamplingResult {
        let parent = parent_cx.span();
        let parent = parent.span_context();
        if *parent.trace_state() == TraceState::NONE
            && let Some(sampled) = self.decide_plainly(parent_cx, parent, trace_id)
        {
            let decision =
                if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
            let (attributes, trace_state) = (Vec::new(), TraceState::NONE);
            return SamplingResult { decision, attributes, trace_state };
        }
        self.decide_over(parent_cx, &Trace::new(trace_id, parent), presumed)
    }

    /// Whether a span is sampled whose trace came without a state, if it stays without one: by far
    /// the most do, and have nothing to keep, to correct or to take out.
    #[inline(always)]
    fn decide_plainly(
        self,
        parent_cx: &Context,
        parent: &SpanContext,
        trace_id: TraceId,
    ) -> Option<bool> {
        if self.is_to_follow(parent_cx, parent) {
            return Some(parent.is_sampled());
        }
        match self.root() {
            Decider::AlwaysOn => Some(true),
            Decider::AlwaysOff => Some(false),
            Decider::TraceIdRatio(ratio) => Some(is_low(trace_id, ratio)),
            Decider::Ratio(threshold)
                if !parent.is_valid() && !threshold.keeps(Randomness::of_id(trace_id)) =>
            {
                Some(false)
            }
            Decider::Ratio(_) => None,
        }
    }

    #[inline(never)]
    fn decide_over(
        self,
        parent_cx: &Context,
        trace: &Trace<'_>,
        presumed: &Presumed,
    ) -> SamplingResult {
        let decided = if self.is_to_follow(parent_cx, trace.parent()) {
            Decided::as_parent(trace)
        } else {
            self.root().decide(trace, presumed)
        };
        decided.result(trace)
    }

    /// Which share of the spans below this parent is sampled.
    fn share(self, parent_cx: &Context) -> f64 {
        let parent = parent_cx.span();
        let parent = parent.span_context();
        match self.is_to_follow(parent_cx, parent) {
            true if parent.is_sampled() => 1.0,
            true => 0.0,
            false => self.root().share(),
        }
    }

    /// What can be told of a request before its span starts.
    pub(super) fn foresee(self, parent_cx: &Context, observed: bool, sampler: usize) -> Foreseen {
        Foreseen {
            wants_attributes: wants_attributes(Some(self.share(parent_cx)), observed),
            follows_parents: self.follows(),
            sampler,
            by: By::Plan(self),
        }
    }

    #[inline]
    fn is_to_follow(self, parent_cx: &Context, parent: &SpanContext) -> bool {
        self.follows() && is_to_follow(parent_cx, parent)
    }
}

/// Shows what it comes down to.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("follows", &self.follows())
            .field("root", &self.root())
            .finish()
    }
}

/// A place for a plan, or for none.
#[derive(Debug)]
pub(super) struct Slot(AtomicU64);

impl Slot {
    pub(super) fn new(plan: Option<Plan>) -> Self {
        Self(AtomicU64::new(bits(plan)))
    }

    pub(super) fn store(&self, plan: Option<Plan>) {
        self.0.store(bits(plan), Ordering::Release);
    }

    #[inline]
    pub(super) fn load(&self) -> Option<Plan> {
        match self.0.load(Ordering::Acquire) {
            NONE => None,
            bits => Some(Plan(bits)),
        }
    }
}

fn bits(plan: Option<Plan>) -> u64 {
    plan.map_or(NONE, |Plan(bits)| bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_out_as_it_went_in() {
        let keep = |ratio| Decider::Ratio(Threshold::of_setting("ratio", ratio).unwrap());
        for root in [
            Decider::AlwaysOn,
            Decider::AlwaysOff,
            keep(1.0),
            keep(0.1),
            keep(1.0 / (1_u64 << 56) as f64),
            Decider::TraceIdRatio(0.0),
            Decider::TraceIdRatio(f64::MIN_POSITIVE),
            Decider::TraceIdRatio(1e-6),
            Decider::TraceIdRatio(1.0),
        ] {
            for followed in [false, true] {
                let plan = Plan::new(followed, root);
                assert_eq!((plan.follows(), plan.root()), (followed, root));
                assert_eq!(Slot::new(Some(plan)).load(), Some(plan));
            }
        }
        assert_eq!(Slot::new(None).load(), None);
        for (root, comes_to) in [
            (Decider::TraceIdRatio(-0.0), Decider::TraceIdRatio(0.0)),
            (Decider::Ratio(Threshold::KEEP_NONE), Decider::AlwaysOff),
        ] {
            assert_eq!(Plan::new(true, root).root(), comes_to);
        }
    }
}
