//! The plan: settings that fit into a number, as most do.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::{
    Context, TraceId,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::trace::SamplingResult;

use crate::sdk::sampler::{
    decided::Decided,
    foreseen::{By, Foreseen},
    parent::is_to_follow,
    root::Decider,
    ruling::Ruling,
    settings::wants_attributes,
    threshold::Threshold,
    trace::{Presumed, Trace},
};

/// A parent's decision, if that is followed, or else the root's, and nothing beside them: no rule,
/// no limit, nobody else's sampler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) followed: bool,
    pub(super) root: Decider,
}

impl Plan {
    #[inline]
    pub(super) fn decide(
        self,
        parent_cx: &Context,
        trace_id: TraceId,
        presumed: &Presumed,
    ) -> SamplingResult {
        let parent = parent_cx.span();
        let trace = Trace::new(trace_id, parent.span_context());
        let decided = if self.is_to_follow(parent_cx, trace.parent()) {
            Decided::as_parent(&trace)
        } else {
            self.root.decide(&trace, presumed)
        };
        decided.result(&trace)
    }

    /// Which share of the spans below this parent is sampled.
    fn share(self, parent_cx: &Context) -> f64 {
        let parent = parent_cx.span();
        let parent = parent.span_context();
        match self.is_to_follow(parent_cx, parent) {
            true if parent.is_sampled() => 1.0,
            true => 0.0,
            false => self.root.share(),
        }
    }

    /// What can be told of a request before its span starts.
    pub(super) fn foresee(self, parent_cx: &Context, observed: bool) -> Foreseen {
        Foreseen {
            wants_attributes: wants_attributes(Some(self.share(parent_cx)), observed),
            follows_parents: self.followed,
            by: By::Plan(self),
        }
    }

    #[inline]
    fn is_to_follow(self, parent_cx: &Context, parent: &SpanContext) -> bool {
        self.followed && is_to_follow(parent_cx, parent)
    }
}

/// A place for a plan, or for none. Read in one go, it needs no guard: an `ArcSwap` costs as much to
/// look into as the whole decision.
#[derive(Debug)]
pub(super) struct Slot(AtomicU64);

/// A ratio from 0 to 1 has no sign, and no exponent above 1023: both of these bits are free.
const FOLLOWED: u64 = 1 << 63;
const TRACE_ID_RATIO: u64 = 1 << 62;
/// Of the others; a threshold has 56 bits.
const KIND: u64 = 0b111 << 56;
const NONE: u64 = 0 << 56;
const ON: u64 = 1 << 56;
const OFF: u64 = 2 << 56;
const RATIO: u64 = 3 << 56;

impl Slot {
    pub(super) fn new(plan: Option<Plan>) -> Self {
        Self(AtomicU64::new(encoded(plan)))
    }

    pub(super) fn store(&self, plan: Option<Plan>) {
        self.0.store(encoded(plan), Ordering::Release);
    }

    #[inline]
    pub(super) fn load(&self) -> Option<Plan> {
        decoded(self.0.load(Ordering::Acquire))
    }
}

fn encoded(plan: Option<Plan>) -> u64 {
    let Some(Plan { followed, root }) = plan else {
        return NONE;
    };
    let root = match root {
        Decider::AlwaysOn => ON,
        Decider::AlwaysOff | Decider::Ratio(Ruling::Drop) => OFF,
        Decider::Ratio(Ruling::Keep(threshold)) => RATIO | threshold.bits(),
        Decider::TraceIdRatio(ratio) => TRACE_ID_RATIO | ratio.abs().to_bits(),
    };
    if followed { FOLLOWED | root } else { root }
}

#[inline]
fn decoded(bits: u64) -> Option<Plan> {
    let followed = bits & FOLLOWED != 0;
    let root = if bits & TRACE_ID_RATIO != 0 {
        Decider::TraceIdRatio(f64::from_bits(bits & !(FOLLOWED | TRACE_ID_RATIO)))
    } else {
        match bits & KIND {
            ON => Decider::AlwaysOn,
            OFF => Decider::AlwaysOff,
            RATIO => Decider::Ratio(Ruling::Keep(Threshold::of_bits(bits & !(FOLLOWED | KIND)))),
            _ => return None,
        }
    };
    Some(Plan { followed, root })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_out_as_it_went_in() {
        let keep = |ratio| Decider::Ratio(Ruling::Keep(Threshold::of_ratio(ratio).unwrap()));
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
                let plan = Some(Plan { followed, root });
                assert_eq!(Slot::new(plan).load(), plan);
            }
        }
        assert_eq!(Slot::new(None).load(), None);
        let negative = Plan { followed: false, root: Decider::TraceIdRatio(-0.0) };
        assert_eq!(Slot::new(Some(negative)).load().unwrap().root, Decider::TraceIdRatio(0.0));
    }
}
