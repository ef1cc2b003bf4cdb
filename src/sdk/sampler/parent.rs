//! The parent's decision: whether it is followed, and what else may be made of it.

use std::{fmt, sync::Arc};

use opentelemetry::{Context, trace::SpanContext};
use opentelemetry_sdk::trace::ShouldSample;

use crate::propagation::received::is_undecided;

/// What is made of a parent's decision.
#[derive(Clone, Debug)]
pub(super) struct Parent {
    pub(super) followed: bool,
    pub(super) branches: Branches,
}

/// The samplers of [`ParentBased`][branches] beside the root's. Without one the parent's decision
/// is the span's.
///
/// [branches]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#parentbased
#[derive(Clone, Debug, Default)]
pub(super) struct Branches {
    pub(super) remote_sampled: Option<Arc<dyn ShouldSample>>,
    pub(super) remote_not_sampled: Option<Arc<dyn ShouldSample>>,
    pub(super) local_sampled: Option<Arc<dyn ShouldSample>>,
    pub(super) local_not_sampled: Option<Arc<dyn ShouldSample>>,
}

impl Parent {
    /// Whether there is a parent to follow.
    pub(super) fn is_to_follow(&self, parent_cx: &Context, parent: &SpanContext) -> bool {
        self.followed && is_to_follow(parent_cx, parent)
    }

    /// Whether a span below a sampled one is always sampled.
    pub(super) fn keeps_sampled(&self) -> bool {
        let Branches { remote_sampled, local_sampled, .. } = &self.branches;
        self.followed && remote_sampled.is_none() && local_sampled.is_none()
    }
}

/// Whether there is a parent, and one that has decided.
#[inline]
pub(super) fn is_to_follow(parent_cx: &Context, parent: &SpanContext) -> bool {
    parent.is_valid() && !is_undecided(parent_cx, parent)
}

impl Branches {
    /// Whether a parent's decision is all that counts, whichever it is.
    pub(super) fn is_empty(&self) -> bool {
        let Self { remote_sampled, remote_not_sampled, local_sampled, local_not_sampled } = self;
        [remote_sampled, remote_not_sampled, local_sampled, local_not_sampled]
            .iter()
            .all(|branch| branch.is_none())
    }

    /// The one below this parent.
    pub(super) fn of(&self, parent: &SpanContext) -> Option<&dyn ShouldSample> {
        let branch = match (parent.is_remote(), parent.is_sampled()) {
            (true, true) => &self.remote_sampled,
            (true, false) => &self.remote_not_sampled,
            (false, true) => &self.local_sampled,
            (false, false) => &self.local_not_sampled,
        };
        branch.as_deref()
    }
}

impl Default for Parent {
    fn default() -> Self {
        Self { followed: true, branches: Branches::default() }
    }
}

/// The branches, as they stand behind the root's in a description.
impl fmt::Display for Branches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, branch, default) in [
            ("remoteParentSampled", &self.remote_sampled, "AlwaysOnSampler"),
            ("remoteParentNotSampled", &self.remote_not_sampled, "AlwaysOffSampler"),
            ("localParentSampled", &self.local_sampled, "AlwaysOnSampler"),
            ("localParentNotSampled", &self.local_not_sampled, "AlwaysOffSampler"),
        ] {
            match branch {
                None => write!(f, ",{name}:{default}")?,
                Some(sampler) => write!(f, ",{name}:{sampler:?}")?,
            }
        }
        Ok(())
    }
}
