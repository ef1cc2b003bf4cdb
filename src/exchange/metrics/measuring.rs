//! Whether a layer measures, and with what.

use std::{fmt, sync::Arc, time::Instant};

use crate::{
    exchange::{
        metrics::{instruments::Instruments, settings::Metrics},
        outcome::Side,
    },
    meter::{MeterSource, OnMeter},
};

/// What a layer that measures has for it.
#[derive(Clone)]
pub(crate) struct Measuring {
    side: Side,
    metrics: Arc<Metrics>,
    instruments: Arc<OnMeter<Instruments>>,
}

impl Measuring {
    pub(crate) fn new(side: Side, metrics: &Arc<Metrics>, meter: &MeterSource) -> Self {
        let instruments = OnMeter::new(meter, |meter| Instruments::new(meter, side, metrics));
        Self { side, metrics: Arc::clone(metrics), instruments: Arc::new(instruments) }
    }

    /// What a request that comes `now` is recorded with.
    pub(crate) fn at(&self, now: Instant) -> Arc<Instruments> {
        self.instruments.at(now, |meter| Instruments::new(meter, self.side, &self.metrics))
    }
}

impl fmt::Debug for Measuring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metrics.fmt(f)
    }
}
