//! The meter provider, and the readers behind it.

use std::{sync::Arc, time::Duration};

use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::{
    meter::MeterSource,
    sdk::{
        error::Failure,
        metrics::{collected::Collected, stage::Stage},
        processor::{batch::processor::Batch, jobs::Jobs, member::Settings},
    },
};

/// What a telemetry with metrics has of them.
///
/// The provider is not shut down: its readers are, all at once and within one deadline, which it
/// would give to none of them. Who lets go of it has no other.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) provider: SdkMeterProvider,
    /// Held by each layer that measures here.
    layers: Arc<()>,
    jobs: Arc<Jobs<Stage>>,
    /// In words.
    settings: Settings,
}

impl Meters {
    pub(super) fn new(
        provider: SdkMeterProvider,
        jobs: Arc<Jobs<Stage>>,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Self { provider, layers: Arc::default(), jobs, settings })
    }

    /// For a layer: with this kept, metrics go on.
    pub(crate) fn for_layer(self: &Arc<Self>) -> MeterSource {
        let kept = (Arc::clone(&self.layers), Arc::clone(self));
        MeterSource::keeping(&self.provider, Arc::new(kept))
    }

    /// Whether a layer measures here.
    pub(crate) fn has_layers(&self) -> bool {
        Arc::strong_count(&self.layers) > 1
    }

    /// What its readers are called, with the settings of each.
    pub(crate) fn readers(&self) -> impl Iterator<Item = (&str, &Settings)> {
        let members = self.jobs.members().iter();
        members.map(|member| (member.name.as_str(), &member.settings))
    }

    /// Those of its readers that have an exporter of ours.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch<Collected>> {
        let stages = self.jobs.members().iter().map(|member| &member.stage);
        stages.filter_map(|stage| match stage {
            Stage::Ours(reader) => Some(reader.batch()),
            Stage::Foreign(_) => None,
        })
    }

    /// Has what is measured collected and exported, and says what could not be since the last
    /// report.
    pub(crate) fn flush(&self, timeout: Duration) -> Vec<Failure> {
        self.jobs.flush(timeout, timeout, || None)
    }

    /// The same for the last time.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Vec<Failure> {
        self.jobs.shutdown(timeout, timeout, || None)
    }

    /// What is in force for all readers, in words.
    pub(crate) fn describe(&self) -> Vec<String> {
        let words = self.settings.iter().map(|(what, is)| format!("{what}: {is}"));
        words.collect()
    }
}
