//! What a telemetry was built of, as far as its parts do not tell.

use std::sync::Arc;

use crate::sdk::{
    describe::used::Used, disabled::Disabled, export::item::Items, limits::ResolvedLimits,
    processor::batch::settings::Resolved as ResolvedBatches,
};

/// What is kept of the settings, for a description.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) disabled: Option<Disabled>,
    pub(crate) limits: ResolvedLimits,
    pub(crate) batch: ResolvedBatches,
    /// The settings of tail sampling, if there is any.
    pub(crate) tail_sampling: Option<String>,
    pub(crate) used: Arc<Used>,
    /// What the environment says of a signal that the code has not switched on.
    pub(crate) not_switched_on: Vec<&'static str>,
}

impl ResolvedLimits {
    pub(super) fn describe(&self) -> String {
        let counts = &self.counts;
        let texts = match self.value_length {
            None => "texts of any length".to_owned(),
            Some(most) => format!("texts of {} characters", most.0),
        };
        format!(
            "{} attributes, {} events, {} links a span; {} attributes an event, {} a link; {texts}",
            counts.max_attributes_per_span,
            counts.max_events_per_span,
            counts.max_links_per_span,
            counts.max_attributes_per_event,
            counts.max_attributes_per_link,
        )
    }
}

impl ResolvedBatches {
    pub(crate) fn describe(&self, of: Items) -> String {
        let Self { queue_size, batch_size, delay, exports, .. } = *self;
        let within = match self.timeout() {
            Some(timeout) => format!("within {timeout:?}"),
            None => "without limit of time".to_owned(),
        };
        format!(
            "{batch_size} {}, or what there is after {delay:?}; {queue_size} wait at most; \
             {exports} exports at once, each {within}",
            of.name(),
        )
    }
}
