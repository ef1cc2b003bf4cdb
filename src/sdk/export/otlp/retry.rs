//! Again and again, until a batch is settled or its time is over.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::sdk::export::{exporter::Loss, otlp::answer::Answer};

/// The most that is waited after a first failure. It doubles with each further one; how much of it
/// is waited is [left to chance][jitter], so that many exporters do not come back at once.
///
/// [jitter]: https://opentelemetry.io/docs/specs/otlp/#otlphttp-connection
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The most that a collector can ask for. It may have meant milliseconds, or have its clock wrong,
/// and nobody would ask it again for as long as the process lives.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What became of it after the last attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has arrived, but for so many items.
    Taken { rejected: u64, reason: String },
    /// It has not.
    Lost { loss: Loss, reason: String },
}

/// Until when a collector has asked to be left alone, by whatever was sent to it.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    until: Mutex<Option<Pause>>,
}

/// What was asked for, and how.
#[derive(Clone, Debug)]
struct Pause {
    until: Instant,
    reason: String,
}

impl Throttle {
    fn pause(&self, until: Instant, reason: &str) {
        let mut pause = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if pause.as_ref().is_none_or(|pause| pause.until < until) {
            *pause = Some(Pause { until, reason: reason.to_owned() });
        }
    }

    fn asked(&self) -> Option<Pause> {
        let mut pause = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = pause.take().filter(|pause| pause.until > Instant::now());
        pause.clone()
    }
}

/// Makes attempts until one has settled it, or until there is no time for another before the
/// deadline. The batch was handed over at `started`.
pub(super) async fn send<A>(
    attempt: impl Fn() -> A,
    throttle: &Throttle,
    started: Instant,
    deadline: Instant,
) -> Sent
where
    A: Future<Output = Answer>,
{
    let mut attempts = 0_u32;
    let mut last: Option<String> = None;
    let mut backoff = Backoff::default();
    let mut wait = Duration::ZERO;
    loop {
        let mut until = Instant::now() + wait;
        if let Some(pause) = throttle.asked() {
            if pause.until >= deadline {
                let others = || format!("not sent: another was {}", pause.reason);
                return given_up(&last.unwrap_or_else(others), attempts);
            }
            // All who wait for the same moment do not come in the same moment.
            let spread = chance(FIRST_WAIT.min(deadline - pause.until));
            until = until.max(pause.until + spread);
        }
        if until >= deadline
            && let Some(reason) = &last
        {
            return given_up(reason, attempts);
        }
        sleep_until(until).await;
        if throttle.asked().is_some() {
            // Another has been told to wait meanwhile, and that goes for all.
            wait = Duration::ZERO;
            continue;
        }
        attempts += 1;
        let Ok(answer) = timeout_at(deadline, attempt()).await else {
            return match last {
                Some(reason) => given_up(&reason, attempts),
                None => Sent::Lost {
                    loss: Loss::TimedOut,
                    reason: format!("no answer within {:?} (timeout)", deadline - started),
                },
            };
        };
        match answer {
            Answer::Taken { rejected, reason } => return Sent::Taken { rejected, reason },
            Answer::Refused(reason) => return Sent::Lost { loss: Loss::Rejected, reason },
            Answer::Hopeless(reason) => return given_up(&reason, 1),
            Answer::Busy { reason, pause } => {
                wait = backoff.next();
                if let Some(pause) = pause {
                    throttle.pause(Instant::now() + pause.min(LONGEST_PAUSE), &reason);
                }
                last = Some(reason);
            }
            Answer::Broken { reason, cut } => {
                // It may have been closed long since. Another connection knows better.
                let at_once = cut && last.is_none();
                wait = if at_once { Duration::ZERO } else { backoff.next() };
                last = Some(reason);
            }
        }
    }
}

fn given_up(reason: &str, attempts: u32) -> Sent {
    let reason = match attempts {
        0 | 1 => reason.to_owned(),
        _ => format!("{reason}, after {attempts} attempts"),
    };
    Sent::Lost { loss: Loss::GivenUp, reason }
}

/// How long to wait next.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let most = self.0;
        self.0 = (most * 2).min(LONGEST_WAIT);
        chance(most)
    }
}

/// Something from nothing up to `most`.
fn chance(most: Duration) -> Duration {
    // Who has no chance takes the middle.
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    most.mul_f64(f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future::pending};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is answered, and when it was asked for.
    struct Script {
        answers: Mutex<VecDeque<Answer>>,
        attempts: Mutex<Vec<Duration>>,
        started: Instant,
        throttle: Throttle,
    }

    impl Script {
        fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
            Self {
                answers: Mutex::new(answers.into_iter().collect()),
                attempts: Mutex::default(),
                started: Instant::now(),
                throttle: Throttle::default(),
            }
        }

        /// Sends with ten seconds of time. When there is no answer left, there is none.
        async fn send(&self) -> Sent {
            let attempt = || async {
                self.attempts.lock().unwrap().push(self.started.elapsed());
                let answer = self.answers.lock().unwrap().pop_front();
                match answer {
                    Some(answer) => answer,
                    None => pending().await,
                }
            };
            let now = Instant::now();
            send(attempt, &self.throttle, now, now + 10 * SECOND).await
        }

        fn attempts(&self) -> Vec<Duration> {
            self.attempts.lock().unwrap().clone()
        }
    }

    fn busy(pause: Option<Duration>) -> Answer {
        Answer::Busy { reason: "answered 503".to_owned(), pause }
    }

    fn broken(cut: bool) -> Answer {
        Answer::Broken { reason: "broken".to_owned(), cut }
    }

    fn taken() -> Answer {
        Answer::Taken { rejected: 0, reason: String::new() }
    }

    fn lost(loss: Loss, reason: &str) -> Sent {
        Sent::Lost { loss, reason: reason.to_owned() }
    }

    const TAKEN: Sent = Sent::Taken { rejected: 0, reason: String::new() };

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_is_not_tried_again() {
        let refused = Answer::Refused("no".to_owned());
        let hopeless = Answer::Hopeless("TLS".to_owned());
        for (answer, sent) in [
            (taken(), TAKEN),
            (refused, lost(Loss::Rejected, "no")),
            (hopeless, lost(Loss::GivenUp, "TLS")),
        ] {
            let script = Script::new([answer, taken()]);
            assert_eq!((script.send().await, script.attempts().len()), (sent, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_left_to_chance_and_may_double_up_to_five_seconds() {
        let mut longest = [Duration::ZERO; 4];
        for _ in 0..200 {
            let script = Script::new([busy(None), busy(None), broken(false), busy(None), taken()]);
            assert_eq!(script.send().await, TAKEN);
            for (at, pair) in script.attempts().windows(2).enumerate() {
                longest[at] = longest[at].max(pair[1] - pair[0]);
            }
        }
        let most = [200, 400, 800, 1600].map(Duration::from_millis);
        for (longest, most) in longest.into_iter().zip(most) {
            // A millisecond is what the clock ticks in.
            let at_most = most + Duration::from_millis(1);
            assert!(longest <= at_most && longest > most / 2, "{longest:?} of {most:?}");
        }
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            assert!(backoff.next() <= LONGEST_WAIT);
        }
        assert_eq!(backoff.0, LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_closed_meanwhile_is_replaced_at_once() {
        let script = Script::new([broken(true), taken()]);
        assert_eq!(script.send().await, TAKEN);
        assert_eq!(script.attempts(), [Duration::ZERO; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_the_least_that_is_waited_by_all() {
        let script = Script::new([busy(Some(3 * SECOND)), taken(), taken()]);
        let (first, second) = tokio::join!(script.send(), async {
            tokio::task::yield_now().await;
            script.send().await
        });
        assert_eq!((first, second), (TAKEN, TAKEN));
        let attempts = script.attempts();
        assert_eq!((attempts.len(), attempts[0]), (3, Duration::ZERO));
        for at in &attempts[1..] {
            assert!((3 * SECOND..4 * SECOND).contains(at), "{attempts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_kept_by_who_waits_for_another_attempt_already() {
        // The first is told to wait a little, and the second for long, before that is over.
        let answers = [busy(None), busy(Some(3 * SECOND)), taken(), taken()];
        let script = Script::new(answers);
        let (first, second) = tokio::join!(script.send(), async {
            tokio::task::yield_now().await;
            script.send().await
        });
        assert_eq!((first, second), (TAKEN, TAKEN));
        let attempts = script.attempts();
        assert_eq!(attempts[..2], [Duration::ZERO; 2]);
        for at in &attempts[2..] {
            assert!((3 * SECOND..4 * SECOND).contains(at), "{attempts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_the_deadline_is_the_end_for_all() {
        for pause in [10 * SECOND, Duration::MAX, Duration::from_secs(u64::MAX)] {
            let script = Script::new([busy(Some(pause))]);
            assert_eq!(script.send().await, lost(Loss::GivenUp, "answered 503"));
            assert_eq!(script.attempts(), [Duration::ZERO]);
        }
        let script = Script::new([busy(Some(60 * SECOND)), taken()]);
        script.send().await;
        let reason = "not sent: another was answered 503";
        assert_eq!(script.send().await, lost(Loss::GivenUp, reason));
        assert_eq!(script.attempts().len(), 1);
        // Its time comes.
        tokio::time::advance(51 * SECOND).await;
        assert_eq!(script.send().await, TAKEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_over_after_an_hour_whatever_was_asked_for() {
        for seconds in [7200, 1_000_000_000_000, u64::MAX] {
            let script = Script::new([busy(Some(Duration::from_secs(seconds))), taken()]);
            assert_eq!(script.send().await, lost(Loss::GivenUp, "answered 503"));
            tokio::time::advance(3580 * SECOND).await;
            let reason = "not sent: another was answered 503";
            assert_eq!(script.send().await, lost(Loss::GivenUp, reason));
            tokio::time::advance(20 * SECOND).await;
            assert_eq!(script.send().await, TAKEN, "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_time_is_over_the_last_failure_is_told_if_there_was_one() {
        let script = Script::new([]);
        let timed_out = lost(Loss::TimedOut, "no answer within 10s (timeout)");
        assert_eq!(script.send().await, timed_out);
        assert_eq!(script.started.elapsed().as_secs(), 10);

        let script = Script::new([busy(None), broken(false)]);
        let given_up = lost(Loss::GivenUp, "broken, after 3 attempts");
        assert_eq!(script.send().await, given_up);

        let script = Script::new((0..100).map(|_| busy(None)));
        let Sent::Lost { loss: Loss::GivenUp, reason } = script.send().await else {
            panic!("it was to be given up");
        };
        let attempts = script.attempts().len();
        assert_eq!(reason, format!("answered 503, after {attempts} attempts"));
        assert!(script.started.elapsed() < 10 * SECOND);
    }
}
