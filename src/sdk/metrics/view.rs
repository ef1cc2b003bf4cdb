//! Views: how an instrument is aggregated, where its own wish is not to count.

use std::sync::Arc;

use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

use crate::contained::contained;

/// What code has given. It is asked whenever an instrument is made.
pub(super) type View = Arc<dyn Fn(&Instrument) -> Option<Stream> + Send + Sync>;

/// [The specification's][defaults] for exponential histograms.
///
/// [defaults]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#base2-exponential-bucket-histogram-aggregation
const EXPONENTIAL: Aggregation =
    Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };

/// What an instrument is that no view of the user's speaks of. The SDK has a view for all or none,
/// and makes a stream for each that speaks.
pub(super) struct Otherwise {
    pub(super) exponential: bool,
    pub(super) cardinality_limit: Option<usize>,
}

impl Otherwise {
    /// As a view after these.
    pub(super) fn after(self, views: &[View]) -> Option<View> {
        if !self.exponential && self.cardinality_limit.is_none() {
            return None;
        }
        let views = views.to_vec();
        Some(Arc::new(move |instrument| {
            let spoken = views.iter().any(|view| call(view, instrument).is_some());
            if spoken { None } else { self.stream(instrument) }
        }))
    }

    fn stream(&self, instrument: &Instrument) -> Option<Stream> {
        let mut stream = Stream::builder();
        if let Some(limit) = self.cardinality_limit {
            stream = stream.with_cardinality_limit(limit);
        }
        if self.exponential && instrument.kind() == InstrumentKind::Histogram {
            stream = stream.with_aggregation(EXPONENTIAL);
        }
        // Both have been looked at before.
        stream.build().ok()
    }
}

/// Instruments are made where requests are served, which a view that panics is not to harm.
pub(super) fn call(view: &View, instrument: &Instrument) -> Option<Stream> {
    contained(|| view(instrument)).flatten()
}
