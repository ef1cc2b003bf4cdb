//! The alarm: one line when spans or log records begin to get lost, one when they no longer do.

use std::time::Duration;

use tokio::time::Instant;

use crate::sdk::processor::batch::counts::{Counts, Fate};

/// Watches the counts. It says nothing twice: while something gets lost, the counts tell how much.
#[derive(Debug)]
pub(super) struct Alarm {
    /// How long nothing must get lost to be well again.
    quiet: Duration,
    /// What was lost when it was looked at last, fate by fate.
    seen: [u64; Fate::ALL.len()],
    losing: Option<Losing>,
}

#[derive(Debug)]
struct Losing {
    since: Instant,
    /// What had been lost before.
    before: u64,
    last: Instant,
    /// What had been exported when the last was lost.
    exported: u64,
}

/// What there is to say.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Lost(String),
    Recovered(String),
}

impl Alarm {
    pub(super) fn new(quiet: Duration) -> Self {
        Self { quiet, seen: [0; Fate::ALL.len()], losing: None }
    }

    pub(super) fn look(&mut self, now: Instant, counts: &Counts) -> Option<Said> {
        let seen = self.seen;
        self.seen = Fate::ALL.map(|fate| counts.lost(fate));
        let before: u64 = seen.iter().sum();
        let lost = counts.all_lost() - before;
        match &mut self.losing {
            None if lost == 0 => None,
            None => {
                let exported = counts.exported;
                self.losing = Some(Losing { since: now, before, last: now, exported });
                let fates = Fate::ALL.iter().zip(seen);
                let reason = fates
                    .filter(|&(fate, seen)| counts.lost(*fate) > seen)
                    .map(|(fate, _)| counts.reason(*fate))
                    .next()
                    .unwrap_or_default();
                let (items, lost) = (counts.items.name(), counts.items.count(lost));
                Some(Said::Lost(format!(
                    "{items} are being lost, {lost} so far: {reason}; `Telemetry::health` counts them"
                )))
            }
            Some(losing) if lost > 0 => {
                losing.last = now;
                losing.exported = counts.exported;
                None
            }
            Some(losing)
                if now >= losing.last + self.quiet && counts.exported > losing.exported =>
            {
                let items = counts.items.name();
                let lost = counts.items.count(counts.all_lost() - losing.before);
                let within = losing.last.duration_since(losing.since).as_secs();
                self.losing = None;
                Some(Said::Recovered(format!(
                    "{items} are exported again, after {lost} were lost within {within} s"
                )))
            }
            Some(_) => None,
        }
    }

    /// Whether something is being lost, as far as is known.
    pub(super) fn is_raised(&self) -> bool {
        self.losing.is_some()
    }

    /// When to look again, if nothing happens before.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        let quiet = self.losing.as_ref().map(|losing| losing.last + self.quiet);
        quiet.filter(|&quiet| quiet > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::export::item::Items;

    const QUIET: Duration = Duration::from_secs(5);

    #[test]
    fn the_first_loss_and_the_recovery_are_one_line_each() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut alarm = Alarm::new(QUIET);
        let mut counts = Counts::default();
        counts.exported = 10;
        assert_eq!(alarm.look(at(0), &counts), None);
        assert_eq!(alarm.until(at(0)), None);

        counts.lose(3, Fate::QueueFull);
        let said = "spans are being lost, 3 spans so far: the queue was full; `Telemetry::health` \
                    counts them";
        assert_eq!(alarm.look(at(1), &counts), Some(Said::Lost(said.to_owned())));
        assert_eq!(alarm.until(at(1)), Some(at(6)));

        // It goes on, though some get through.
        counts.lose(1, Fate::QueueFull);
        counts.exported = 20;
        assert_eq!(alarm.look(at(4), &counts), None);
        assert_eq!(alarm.until(at(4)), Some(at(9)));
        counts.exported = 30;
        assert_eq!(alarm.look(at(8), &counts), None);

        let said = "spans are exported again, after 4 spans were lost within 3 s";
        assert_eq!(alarm.look(at(9), &counts), Some(Said::Recovered(said.to_owned())));
        assert_eq!(alarm.until(at(9)), None);

        // And once more.
        counts.lose(1, Fate::AfterShutdown);
        assert!(matches!(alarm.look(at(10), &counts), Some(Said::Lost(_))));
    }

    #[test]
    fn log_records_are_called_what_they_are() {
        let mut alarm = Alarm::new(QUIET);
        let mut counts = Counts::new(Items::LogRecords);
        counts.lose(1, Fate::AfterShutdown);
        let said = "log records are being lost, 1 log record so far: they were emitted after the \
                    shutdown; `Telemetry::health` counts them";
        assert_eq!(alarm.look(Instant::now(), &counts), Some(Said::Lost(said.to_owned())));
    }

    #[test]
    fn silence_is_no_recovery() {
        let start = Instant::now();
        let mut alarm = Alarm::new(QUIET);
        let mut counts = Counts::default();
        counts.lose(1, Fate::QueueFull);
        assert!(alarm.look(start, &counts).is_some());
        let later = start + QUIET * 100;
        assert_eq!(alarm.look(later, &counts), None);
        // Nothing is to be waited for but an export.
        assert_eq!(alarm.until(later), None);
        counts.exported += 1;
        assert!(matches!(alarm.look(later, &counts), Some(Said::Recovered(_))));
    }
}
