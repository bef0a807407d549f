//! Joint hypotheses: of each request, which of the things that it may have done it has.

use super::beam::{REQUESTS, Shares};
use super::maths::{added, exp};
use super::request::{NONE, Request, Track};
use super::states::{NOWHERE, Turn};
use crate::correlation::keys::mixed;

/// Of each request, which track is right.
#[derive(Clone, Debug)]
pub(super) struct Hypothesis {
    pub(super) weight: f32,
    pub(super) signature: u64,
    pub(super) of: [u8; REQUESTS],
    /// Of each call how likely it is each of the first requests', where that is kept.
    pub(super) shares: Vec<Shares>,
}

/// Requests in one state according to a hypothesis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) state: u16,
    /// Since when the first has been in it, how often that does what is looked at, and how often all do.
    pub(super) first: u64,
    pub(super) of_first: f32,
    pub(super) of_all: f32,
}

fn code(slot: u8, track: u8) -> u64 {
    mixed(u64::from(slot) << 8 | u64::from(track))
}

impl Hypothesis {
    /// Adds another one that will fare the same.
    pub(super) fn add(&mut self, other: &Self) {
        if !self.shares.is_empty() {
            let part = 1.0 / (1.0 + exp(self.weight - other.weight));
            let shares = self.shares.as_flattened_mut().iter_mut();
            for (share, other) in shares.zip(other.shares.as_flattened()) {
                *share += (other - *share) * part;
            }
        }
        self.weight = added(self.weight, other.weight);
    }

    /// Which track of a request is right, or [`NONE`].
    pub(super) fn of(&self, slot: u8) -> u8 {
        self.of.get(usize::from(slot)).copied().unwrap_or(NONE)
    }

    /// Another track is right; which it was.
    pub(super) fn set(&mut self, slot: u8, track: u8) {
        if let Some(of) = self.of.get_mut(usize::from(slot)) {
            for track in [*of, track] {
                if track != NONE {
                    self.signature ^= code(slot, track);
                }
            }
            *of = track;
        }
    }
}

impl Queue {
    pub(super) const EMPTY: Self =
        Self { state: NOWHERE, first: u64::MAX, of_first: 0.0, of_all: 0.0 };

    /// Whether this is the queue of a track, which then is in it.
    pub(super) fn add(&mut self, track: &Track) -> bool {
        if self.first == u64::MAX && self.state == NOWHERE {
            self.state = track.state;
        }
        let is_its = self.state == track.state;
        if is_its {
            self.of_all += track.often;
            if track.time < self.first {
                (self.first, self.of_first) = (track.time, track.often);
            }
        }
        is_its
    }

    /// Whether a track of it is before the first, and how likely that would be by chance.
    pub(super) fn turn(&self, track: &Track) -> Turn {
        let expected = 1.0 - self.of_first / self.of_all;
        Turn { is_early: track.time > self.first, expected }
    }
}

/// Where a request is by a hypothesis.
pub(super) fn at<'r>(
    requests: &'r [Request],
    hypothesis: &Hypothesis,
    slot: u8,
) -> Option<(&'r Request, &'r Track)> {
    let request = requests.get(usize::from(slot))?;
    Some((request, request.tracks.get(usize::from(hypothesis.of(slot)))?))
}
