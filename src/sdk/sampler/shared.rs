//! The sampler: settings that can be changed while it decides.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind},
};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use crate::{
    error::BuildError,
    head::RequestHead,
    sdk::sampler::{
        SamplerBuilder,
        asked::Asked,
        foreseen::{By, Foreseen},
        plan::Slot,
        settings::Settings,
        trace::Presumed,
        unsampled::Unsampled,
    },
};

/// What a [`SamplerBuilder`] builds: a sampler for any SDK tracer provider, and the handle to
/// change it by while the program runs.
///
/// Clones are the same sampler: what one is told, all do. A change is one swap, so that each span
/// is decided over by all of the settings before or by all of those after, and no request waits for
/// it. Traces that are under way keep their decision where the [parent is
/// followed](SamplerBuilder::with_parent).
///
/// ```
/// use tower_telemetry::{SamplerBuilder, Telemetry, sdk::sampler::Rule};
///
/// let telemetry = Telemetry::builder()
///     .with_sampler(SamplerBuilder::new().with_ratio(0.01))
///     .build()?;
///
/// // Something is wrong: look closer, for now.
/// let sampler = telemetry.sampler().clone();
/// let before = sampler.settings();
/// sampler.update(|sampler| sampler.with_rule(Rule::keep().with_path_prefix("/orders")))?;
/// // It was found.
/// sampler.replace(before)?;
/// # Ok::<(), tower_telemetry::BuildError>(())
/// ```
///
/// `Debug` and `Display` are the [description] that the specification asks for, as of now.
///
/// [description]: https://opentelemetry.io/docs/specs/otel/trace/sdk/#getdescription
#[derive(Clone)]
pub struct Sampler(Arc<Shared>);

struct Shared {
    /// The plan, if the settings come down to one. It is changed last: who does not find one yet
    /// looks at the settings, old or new.
    plan: Slot,
    settings: ArcSwap<Settings>,
    /// One change at a time; nobody who decides asks for it.
    changes: Mutex<()>,
    /// Whether everything is on record, whatever the settings say.
    records: bool,
    /// Whether it was said that ids are taken for random.
    presumed: Presumed,
}

impl Sampler {
    /// What it goes by: what it was built of, or changed to. That a telemetry with [tail
    /// sampling](crate::sdk::tail) has everything on record besides is not among it.
    ///
    /// ```
    /// use tower_telemetry::SamplerBuilder;
    ///
    /// let sampler = SamplerBuilder::new().with_ratio(0.1).build()?;
    /// assert!(sampler.settings().to_string().contains("ProbabilitySampler{0.1}"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    pub fn settings(&self) -> SamplerBuilder {
        self.0.settings.load().source.clone()
    }

    /// Goes by these settings from now on.
    ///
    /// A [rate limit](SamplerBuilder::with_rate_limit) that stays the same goes on counting; one
    /// that changes begins with its burst.
    ///
    /// # Errors
    ///
    /// What [`SamplerBuilder::build`] would refuse. Nothing has changed then.
    pub fn replace(&self, settings: SamplerBuilder) -> Result<(), BuildError> {
        self.update(|_| settings)
    }

    /// Changes some of the settings: `change` is given those that it goes by, and gives those that
    /// it is to go by. Changes wait for one another, so `change` must not change the sampler by
    /// another way; nor may the sampler become a part of itself.
    ///
    /// ```
    /// use tower_telemetry::SamplerBuilder;
    ///
    /// let sampler = SamplerBuilder::new().with_ratio(0.1).build()?;
    /// sampler.update(|sampler| sampler.with_ratio(0.5))?;
    /// assert!(sampler.update(|sampler| sampler.with_ratio(5.0)).is_err());
    /// assert!(sampler.to_string().contains("root:ProbabilitySampler{0.5}"));
    /// # Ok::<(), tower_telemetry::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What [`SamplerBuilder::build`] would refuse. Nothing has changed then.
    pub fn update<F>(&self, change: F) -> Result<(), BuildError>
    where
        F: FnOnce(SamplerBuilder) -> SamplerBuilder,
    {
        let _one_at_a_time = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.settings.load_full();
        let settings = change(before.source.clone());
        let settings = Settings::new(settings, self.0.records, Some(&before))?;
        let plan = settings.plan();
        self.0.settings.store(Arc::new(settings));
        self.0.plan.store(plan);
        Ok(())
    }

    /// A sampler of these settings, which has everything on record if it `records`, also after its
    /// settings have changed.
    pub(crate) fn new(settings: SamplerBuilder, records: bool) -> Result<Self, BuildError> {
        let settings = Settings::new(settings, records, None)?;
        Ok(Self(Arc::new(Shared {
            plan: Slot::new(settings.plan()),
            settings: ArcSwap::from_pointee(settings),
            changes: Mutex::default(),
            records,
            presumed: Presumed::new(),
        })))
    }

    /// What it is certain not to sample, by its settings as of now.
    pub(crate) fn unsampled(&self) -> Option<Unsampled> {
        self.0.settings.load().unsampled()
    }

    /// What tells it from other samplers, for as long as it is there.
    fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// What can be told of a request before its span starts; `observed` is whether somebody looks
    /// at the span when it does.
    pub(crate) fn foresee<'h>(
        &self,
        parent_cx: &Context,
        kind: &SpanKind,
        observed: bool,
        head: impl Fn() -> RequestHead<'h>,
    ) -> Foreseen {
        match self.0.plan.load() {
            Some(plan) => plan.foresee(parent_cx, observed, self.place()),
            None => {
                self.0.settings.load_full().foresee(parent_cx, kind, observed, self.place(), head)
            }
        }
    }

    /// By more than a plan, or by what was foreseen. Apart, so that a plan is not slower for it.
    #[inline(never)]
    fn decide(&self, asked: &Asked<'_>) -> SamplingResult {
        let Shared { settings, presumed, .. } = &*self.0;
        let place = self.place();
        match By::is_for(place).then(By::take).flatten() {
            None => settings.load().decide(asked, None, presumed, place),
            Some(By::Settings(settings, ruling)) => {
                settings.decide(asked, Some(ruling), presumed, place)
            }
            Some(By::Plan(plan)) => plan.decide(asked.parent_cx(), asked.trace_id(), presumed),
        }
    }
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if let Some(plan) = self.0.plan.load()
            && let Some(parent_cx) = parent_context
            && !By::is_for(self.place())
        {
            return plan.decide(parent_cx, trace_id, &self.0.presumed);
        }
        let asked = Asked::new(parent_context, trace_id, name, span_kind, attributes, links);
        self.decide(&asked)
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.0.settings.load();
        // It may be told so from outside.
        if settings.records() {
            settings.source.clone().with_always_record().fmt(f)
        } else {
            settings.source.fmt(f)
        }
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
