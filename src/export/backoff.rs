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
    /// It failed, and is left alone until then (nanoseconds).
    Paused(u64),
    /// It failed, and one request asks whether it is well again.
    Probing,
}

/// Spares a collector that fails: a random pause, one request to see whether it is back, and only
/// then the rest. Pauses are drawn from the whole range ("full jitter"), so that the proxies that
/// lost a collector together do not come back together.
///
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
pub(super) struct Backoff {
    state: State,
    failures: u32,
    dice: Xoshiro256PlusPlus,
}

impl Backoff {
    /// For a collector that is well; the seed is random.
    pub(super) fn new(seed: u64) -> Self {
        let dice = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { state: State::Open, failures: 0, dice }
    }

    /// Whether the collector is well, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether a request may leave at `now`.
    pub(super) fn allows(&self, now: u64) -> bool {
        match self.state {
            State::Open => true,
            State::Paused(until) => now >= until,
            State::Probing => false,
        }
    }

    /// A request has left; whether it is the one that asks.
    pub(super) fn sent(&mut self) -> bool {
        let asks = !self.is_open();
        if asks {
            self.state = State::Probing;
        }
        asks
    }

    /// The collector has dealt with a request; with one that `asked`, it is well again.
    pub(super) fn answered(&mut self, asked: bool) {
        if asked || self.is_open() {
            self.state = State::Open;
            self.failures = 0;
        }
    }

    /// A request failed at `now`, and the collector wants to be left alone for `after`. Of requests
    /// that were on their way together only the first counts, the others say nothing new.
    pub(super) fn failed(&mut self, asked: bool, now: u64, after: Option<Duration>) {
        let counts = asked || self.is_open();
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
            State::Paused(earlier) => State::Paused(until.max(earlier)),
            State::Probing if !asked => State::Probing,
            State::Open | State::Probing => State::Paused(until),
        };
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
