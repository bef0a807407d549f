//! When the collector may be called after it failed.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use std::time::Duration;

/// The longest pause after the first failure in a row, in nanoseconds; each further one doubles it.
const FIRST_PAUSE: u64 = 1_000_000_000;

/// No pause is longer, in nanoseconds, unless the collector asks for it: with the second until the
/// next tick, a collector that is back is called within five.
const LONGEST_PAUSE: u64 = 4_000_000_000;

/// The longest that a collector can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether the collector may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is well.
    Open,
    /// It failed. One request at a time asks whether it is well again.
    Closed {
        /// The last request that left before the failure was known; those after it ask.
        since: u64,
        /// When the next may ask, in nanoseconds.
        until: u64,
    },
}

/// Spares a collector that fails: a random pause, one request to see whether it is back, and only
/// then the rest. Pauses are drawn from the whole range ("full jitter"), so that the proxies that
/// lost a collector together do not come back together.
///
/// Requests have numbers in the order in which they leave, because their answers come in any.
///
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
pub(super) struct Backoff {
    state: State,
    failures: u32,
    /// The request that left last.
    sent: u64,
    /// The latest request that the collector has dealt with.
    answered: u64,
    dice: Xoshiro256PlusPlus,
}

impl Backoff {
    /// For a collector that is well; the seed is random.
    pub(super) fn new(seed: u64) -> Self {
        let dice = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { state: State::Open, failures: 0, sent: 0, answered: 0, dice }
    }

    /// Whether the collector is well, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether a request may leave at `now`.
    pub(super) fn allows(&self, now: u64) -> bool {
        match self.state {
            State::Open => true,
            State::Closed { until, .. } => now >= until,
        }
    }

    /// A request leaves at `now`; its number. One that asks and gets no answer does not keep others
    /// from asking for longer than the longest pause: the collector may be back before its time is over.
    pub(super) fn sent(&mut self, now: u64) -> u64 {
        self.sent += 1;
        if let State::Closed { until, .. } = &mut self.state {
            *until = now.saturating_add(LONGEST_PAUSE);
        }
        self.sent
    }

    /// The collector has dealt with this request; with one that asked, it is well again.
    pub(super) fn answered(&mut self, request: u64) {
        self.answered = self.answered.max(request);
        match self.state {
            State::Closed { since, .. } if request <= since => {}
            _ => {
                self.state = State::Open;
                self.failures = 0;
            }
        }
    }

    /// This request failed at `now`, and the collector wants to be left alone for `after`.
    pub(super) fn failed(&mut self, request: u64, now: u64, after: Option<Duration>) {
        let counts = self.is_news(request);
        if counts {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = match after {
            Some(after) => {
                let wait = after.min(LONGEST_WAIT).as_nanos();
                u64::try_from(wait).unwrap_or(u64::MAX).saturating_add(self.roll(FIRST_PAUSE))
            }
            None if counts => self.roll(longest(self.failures)),
            None => return,
        };
        let until = now.saturating_add(pause);
        self.state = match self.state {
            State::Open => State::Closed { since: self.sent, until },
            // Instead of the time that it was given to answer.
            State::Closed { since, .. } if counts => State::Closed { since, until },
            State::Closed { since, until: other } => {
                State::Closed { since, until: until.max(other) }
            }
        };
    }

    /// Whether the failure of a request tells something of the collector as it is now: not if it has
    /// dealt with a later one since, nor if it was on its way with one that failed before.
    fn is_news(&self, request: u64) -> bool {
        match self.state {
            State::Open => request > self.answered,
            State::Closed { since, .. } => request > since && request == self.sent,
        }
    }

    /// A random number up to `most`.
    fn roll(&mut self, most: u64) -> u64 {
        self.dice.next_u64() % most.saturating_add(1)
    }
}

/// The longest pause after so many failures in a row.
fn longest(failures: u32) -> u64 {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
#[path = "backoff_tests.rs"]
mod tests;
