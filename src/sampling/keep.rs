//! Requests of traces that are not sampled, and are exported all the same for how they ended.

use super::limit::Limit;
use super::{Surroundings, threshold};
use crate::config::Keep;
use crate::trace::{Kept, Randomness, Threshold, TraceId};

/// Chooses them, alike in every proxy that has the same settings.
#[derive(Debug)]
pub(super) struct Keeper {
    errors: bool,
    /// In nanoseconds.
    slower_than: Option<u64>,
    share: Threshold,
    limit: Limit,
}

impl Keeper {
    pub(super) fn new(keep: &Keep) -> Self {
        let nanoseconds = |limit: std::time::Duration| limit.as_nanos() as u64;
        Self {
            errors: keep.errors,
            slower_than: keep.slower_than.map(nanoseconds),
            share: threshold(keep.percent),
            limit: Limit::of_kept(keep.ceiling),
        }
    }

    /// Whether a request of this trace may be kept.
    pub(super) fn covers(&self, trace_id: TraceId) -> bool {
        self.share.samples(lot(trace_id))
    }

    /// What there is to keep of a request that has failed or not and took so many nanoseconds.
    pub(super) fn reason(&self, has_failed: bool, duration: u64) -> Option<Kept> {
        if self.errors && has_failed {
            return Some(Kept::Error);
        }
        self.slower_than.is_some_and(|limit| duration > limit).then_some(Kept::Slow)
    }

    /// Whether the ceiling lets one of this trace through, which is then counted.
    pub(super) fn has_room(&self, trace_id: TraceId, envoy: &dyn Surroundings) -> bool {
        self.limit.allows(self.share, lot(trace_id), envoy)
    }
}

/// What is drawn for a trace. Its randomness would not do: of traces that are not sampled it is low. So
/// the lower half of its id, which is what 64-bit systems know, is mixed by the end of SplitMix64.
/// <https://doi.org/10.1145/2660193.2660195>
fn lot(trace_id: TraceId) -> Randomness {
    let mut bits = trace_id.value() as u64;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Randomness::new(bits ^ (bits >> 31))
}

#[cfg(test)]
#[path = "tests/keep.rs"]
mod tests;
