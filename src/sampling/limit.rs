//! Ceilings on sampled new traces a second, each a token bucket that the workers of a proxy share.
//!
//! A bucket that is empty goes into debt, and the deeper it is the fewer are sampled: so each decision
//! has a probability, which is known before it is made and can stand in `tracestate`. Where the debt
//! settles, as many are sampled as the bucket fills by.

use super::{Reason, Surroundings};
use crate::config::Ceiling;
use crate::trace::{Randomness, Threshold};
use std::cell::Cell;

/// What stands before every key; without more it is the bucket of all traces.
const KEY: &str = "meshspan.ceiling";

const SECOND: f64 = 1e9;

/// How much earlier than others have said a clock may be, in nanoseconds: workers read it and write one
/// after the other. One that is earlier than that has been set back.
const LATE: u64 = 1_000_000_000;

/// How often the share halves at most: a load of a million times the ceiling halves it 20 times.
const MOST_HALVINGS: f64 = 32.0;

/// How often a token is taken out of a bucket that others write to meanwhile.
const ATTEMPTS: usize = 4;

/// One ceiling.
#[derive(Debug)]
pub(super) struct Limit {
    /// For what this decides on, a rule or a server; without one it is for all new traces.
    pub(super) of: Option<Reason>,
    key: String,
    ceiling: Ceiling,
    /// Tokens that this worker has still to take out.
    owed: Cell<f64>,
}

/// A bucket as one worker sees it. Others may have taken from it meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    tokens: f64,
    /// When it held them, on the shared clock.
    at: u64,
    version: u32,
    /// The share of traces that may be sampled.
    pub(super) share: f64,
}

impl Limit {
    /// The ceiling of what this decides on, or of all new traces. There is a key for each place of a
    /// rule, whatever rules are called, since no key is ever removed.
    #[inline(never)]
    pub(super) fn new(of: Option<Reason>, ceiling: Ceiling) -> Self {
        let key = match of {
            None => KEY.to_owned(),
            Some(Reason::Rule(place)) => format!("{KEY}.{place}"),
            Some(Reason::Parent) => format!("{KEY}.untrusted"),
            Some(_) => format!("{KEY}.remote"),
        };
        Self { of, key, ceiling, owed: Cell::new(0.0) }
    }

    /// Whether one of those with this randomness that the threshold takes is let through; if so, that
    /// has taken a token.
    pub(super) fn allows(
        &self,
        threshold: Threshold,
        randomness: Randomness,
        envoy: &dyn Surroundings,
    ) -> bool {
        let view = self.view(envoy);
        let allows = threshold.of_share(view.share).samples(randomness);
        if allows {
            self.take(view, envoy);
        }
        allows
    }

    /// The ceiling of what is kept.
    pub(super) fn of_kept(ceiling: Ceiling) -> Self {
        Self { of: None, key: "meshspan.kept".to_owned(), ceiling, owed: Cell::new(0.0) }
    }

    /// The bucket as it is now. One that nobody has written to, or not as we do, or at a time that is far
    /// ahead, is full.
    #[inline(never)]
    pub(super) fn view(&self, envoy: &dyn Surroundings) -> View {
        let now = envoy.clock();
        let (value, version) = envoy.shared_data(self.key.as_bytes()).unwrap_or_default();
        let Ceiling { per_second, burst } = self.ceiling;
        let mut view = View { tokens: burst, at: now, version, share: 1.0 };
        if let [tokens, at] = value.as_chunks().0 {
            let (tokens, at) = (f64::from_le_bytes(*tokens), u64::from_le_bytes(*at));
            if at.saturating_sub(now) <= LATE {
                // Of a number and none `max` takes the number.
                let tokens = tokens.max(-MOST_HALVINGS * self.step());
                let came_in = now.saturating_sub(at) as f64 * per_second / SECOND;
                view.tokens = burst.min(tokens + came_in);
                view.at = at.max(now);
            }
        }
        // Half of it for each step that the bucket is in debt, and in between on a straight line.
        let steps = (-view.tokens / self.step()).clamp(0.0, MOST_HALVINGS);
        let halvings = steps as u32;
        view.share = (1.0 - (steps - f64::from(halvings)) / 2.0) / (1_u64 << halvings) as f64;
        view
    }

    /// Takes a token out, which may not be there. A worker that others are always quicker than takes
    /// it out together with its next.
    #[inline(never)]
    pub(super) fn take(&self, mut view: View, envoy: &dyn Surroundings) {
        let owed = self.owed.replace(0.0) + 1.0;
        for _ in 0..ATTEMPTS {
            let value = [(view.tokens - owed).to_le_bytes(), view.at.to_le_bytes()];
            if envoy.set_shared_data(self.key.as_bytes(), value.as_flattened(), view.version) {
                return;
            }
            view = self.view(envoy);
        }
        self.owed.set(owed);
    }

    /// How many tokens of debt halve the share. Fewer would make it follow single traces; of more the
    /// debt under a heavy load would take long to pay back.
    fn step(&self) -> f64 {
        (self.ceiling.burst / 16.0).max(0.5)
    }
}

#[cfg(test)]
#[path = "tests/limit.rs"]
mod tests;
