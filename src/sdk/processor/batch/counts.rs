//! The account of one exporter: what came, and what became of it.

use std::mem;

use crate::sdk::export::{exporter::Loss, item::Items};

/// Every way in which what has come can fail to be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sdk) enum Fate {
    /// The queue was full.
    QueueFull,
    /// It came when the processor no longer took any.
    AfterShutdown,
    /// An export was made of it, and failed.
    Failed(Loss),
}

/// How many fates there are.
const FATES: usize = 6;

impl Fate {
    pub(in crate::sdk) const ALL: [Self; FATES] = [
        Self::QueueFull,
        Self::AfterShutdown,
        Self::Failed(Loss::Rejected),
        Self::Failed(Loss::GivenUp),
        Self::Failed(Loss::TimedOut),
        Self::Failed(Loss::Panicked),
    ];

    fn at(self) -> usize {
        match self {
            Self::QueueFull => 0,
            Self::AfterShutdown => 1,
            Self::Failed(Loss::Rejected) => 2,
            Self::Failed(Loss::GivenUp) => 3,
            Self::Failed(Loss::TimedOut) => 4,
            Self::Failed(Loss::Panicked) => 5,
        }
    }
}

/// So many items of each fate, and what was last said of it.
#[derive(Clone, Debug, Default)]
pub(in crate::sdk) struct Counts {
    pub(in crate::sdk) items: Items,
    /// What the processor was given: sampled spans, or log records.
    pub(in crate::sdk) ended: u64,
    pub(in crate::sdk) exported: u64,
    /// In the queue.
    pub(in crate::sdk) waiting: u64,
    /// Taken out of it, with no answer yet.
    pub(in crate::sdk) exporting: u64,
    lost: [u64; FATES],
    reasons: [String; FATES],
    /// What of `lost` a flush or a shutdown has told.
    told: [u64; FATES],
}

impl Counts {
    pub(super) fn new(items: Items) -> Self {
        Self { items, ..Self::default() }
    }

    pub(super) fn lose(&mut self, items: u64, fate: Fate) {
        self.lost[fate.at()] += items;
    }

    pub(super) fn lose_because(&mut self, items: u64, fate: Fate, reason: String) {
        self.lose(items, fate);
        self.reasons[fate.at()] = reason;
    }

    pub(in crate::sdk) fn lost(&self, fate: Fate) -> u64 {
        self.lost[fate.at()]
    }

    /// What was last said of it; empty if it has not happened.
    pub(in crate::sdk) fn reason(&self, fate: Fate) -> &str {
        match fate {
            _ if self.lost(fate) == 0 => "",
            Fate::QueueFull => "the queue was full",
            Fate::AfterShutdown => match self.items {
                Items::Spans => "they ended after the shutdown",
                Items::LogRecords => "they were emitted after the shutdown",
                Items::Collections => "they were made after the shutdown",
            },
            Fate::Failed(_) => &self.reasons[fate.at()],
        }
    }

    pub(in crate::sdk) fn all_lost(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// So many of those that were lost have been told of.
    pub(super) fn told(&mut self, items: u64, fate: Fate) {
        self.told[fate.at()] += items;
    }

    /// What was lost since it was told the last time: how many, why, and whether by running out of
    /// time.
    pub(super) fn tell(&mut self) -> Vec<(Fate, u64, String)> {
        let told = mem::replace(&mut self.told, self.lost);
        let fresh = |fate: &Fate| self.lost[fate.at()] - told[fate.at()];
        let fates = Fate::ALL.iter().filter(|fate| fresh(fate) > 0);
        fates.map(|fate| (*fate, fresh(fate), self.reason(*fate).to_owned())).collect()
    }
}
