//! What waits for the collector, within the limits of the configuration.

use super::batch::{Batch, Held, cost};
use crate::config::{Overflow, QueueLimits};
use crate::stats::{Metric, Stats};
use std::collections::VecDeque;

/// Among how many batches that have to be sent again, the next ones, the oldest span is looked for: a
/// collector can have each span be a batch, and what a request waits for must not grow with them.
const LOOKED_AT: usize = 64;

/// A link takes fewer bytes than these in any format.
const LONGEST_LINK: usize = 256;

/// A span that was never sent.
struct Queued {
    encoded: Vec<u8>,
    /// When it ended, in nanoseconds since the epoch.
    end: u64,
}

/// Spans that were never sent, and batches that have to be sent again. What is on its way is lent
/// out: it goes on to take its room until [`Self::leave`].
pub(super) struct Queue {
    limits: QueueLimits,
    fresh: VecDeque<Queued>,
    /// Those that are never sent before it is known what they are linked to, by the numbers of calls.
    unlinked: VecDeque<(Queued, u32)>,
    /// How many of those that have waited longest were looked at for the first time.
    looked: usize,
    again: VecDeque<Batch>,
    held: Held,
    lent: Held,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            fresh: VecDeque::new(),
            unlinked: VecDeque::new(),
            looked: 0,
            again: VecDeque::new(),
            held: Held::default(),
            lent: Held::default(),
        }
    }

    /// How many spans were never sent.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// When the oldest of these ended.
    pub(super) fn oldest_end(&self) -> Option<u64> {
        self.fresh.front().map(|oldest| oldest.end)
    }

    /// What takes room here, lent out or not.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// Takes a span that ended at `end`, or counts which one is dropped. That of a call goes nowhere before
    /// [`Self::link`].
    pub(super) fn push(
        &mut self,
        mut encoded: Vec<u8>,
        end: u64,
        call: Option<u32>,
        stats: &mut Stats,
    ) {
        // Room that the encoder was given and did not need would not be counted.
        encoded.shrink_to_fit();
        let cost = cost(&encoded);
        if cost > self.limits.max_bytes {
            stats.add(Metric::SpansDroppedTooLarge, 1);
        } else if self.make_room(cost, stats) {
            self.held.add(Held { spans: 1, bytes: cost });
            stats.add(Metric::QueueSpans, 1);
            stats.add(Metric::QueueBytes, cost as i64);
            let queued = Queued { encoded, end };
            match call {
                Some(call) => self.unlinked.push_back((queued, call)),
                None => self.fresh.push_back(queued),
            }
        } else {
            stats.add(Metric::SpansDroppedQueueFull, 1);
        }
    }

    /// Whether a span that costs `cost` has room, after older ones were dropped for it.
    fn make_room(&mut self, cost: usize, stats: &mut Stats) -> bool {
        let has_room = |held: Held, limits: QueueLimits| {
            held.spans < limits.max_spans && held.bytes.saturating_add(cost) <= limits.max_bytes
        };
        while !has_room(self.held, self.limits) {
            // Nothing is dropped in vain: what is on its way keeps its room.
            let can_have = has_room(self.lent, self.limits);
            if self.limits.overflow == Overflow::DropNewest || !can_have {
                return false;
            }
            let Some(oldest) = self.pop_oldest() else { return false };
            let gone = Held { spans: 1, bytes: super::batch::cost(&oldest) };
            self.gone(gone, stats);
            stats.add(Metric::SpansDroppedQueueFull, 1);
        }
        true
    }

    /// The call of the span that has waited longest for a first look, if it ended before `until`; from now on it
    /// waits for the second.
    pub(super) fn next_unseen(&mut self, until: u64) -> Option<u32> {
        let (_, call) = self.unlinked.get(self.looked).filter(|(queued, _)| queued.end < until)?;
        self.looked += 1;
        Some(*call)
    }

    fn pop_unlinked(&mut self) -> Option<Queued> {
        self.looked = self.looked.saturating_sub(1);
        self.unlinked.pop_front().map(|(queued, _)| queued)
    }

    /// The call of the span that has waited longest for its link, if it ended before `until`.
    pub(super) fn next_unlinked(&self, until: u64) -> Option<u32> {
        self.unlinked.front().filter(|(queued, _)| queued.end < until).map(|(_, call)| *call)
    }

    /// From now on it waits as all others do. `add` adds its link, if there is room.
    pub(super) fn link(&mut self, add: Option<impl FnOnce(&mut Vec<u8>)>, stats: &mut Stats) {
        let Some(mut queued) = self.pop_unlinked() else { return };
        let has_room = self.held.bytes.saturating_add(LONGEST_LINK) <= self.limits.max_bytes;
        if let Some(add) = add.filter(|_| has_room) {
            let before = cost(&queued.encoded);
            add(&mut queued.encoded);
            queued.encoded.shrink_to_fit();
            let more = cost(&queued.encoded).saturating_sub(before);
            self.held.bytes = self.held.bytes.saturating_add(more);
            stats.add(Metric::QueueBytes, more as i64);
            stats.add(Metric::CorrelationLinks, 1);
        }
        self.fresh.push_back(queued);
    }

    fn pop_oldest(&mut self) -> Option<Vec<u8>> {
        let fresh = self.oldest_end().unwrap_or(u64::MAX);
        let oldest = self.again.iter_mut().take(LOOKED_AT).enumerate();
        let oldest = oldest.min_by_key(|(_, batch)| batch.oldest);
        let Some((place, batch)) = oldest.filter(|(_, batch)| batch.oldest <= fresh) else {
            let queued = self.fresh.pop_front().or_else(|| self.pop_unlinked());
            return queued.map(|queued| queued.encoded);
        };
        let span = batch.spans.pop_front();
        if batch.spans.is_empty() {
            self.again.remove(place);
        }
        span
    }

    /// Lends the next batch: one to be sent again or, if `fresh_may_go`, at most `count` spans that
    /// were never sent.
    pub(super) fn lend(&mut self, fresh_may_go: bool, count: usize) -> Option<Batch> {
        // One that fails and fails must not stand in the way of all others; yet a collector that is
        // away should not be shown ever more batches.
        let has_had_its_chance = |batch: &Batch| batch.failures > self.again.len();
        let batch = match self.again.front() {
            Some(first) if !(fresh_may_go && has_had_its_chance(first)) => {
                self.again.pop_front()?
            }
            _ if fresh_may_go => {
                let oldest = self.oldest_end()?;
                let mut spans = VecDeque::with_capacity(count.min(self.fresh.len()));
                while spans.len() < count
                    && let Some(queued) = self.fresh.pop_front()
                {
                    spans.push_back(queued.encoded);
                }
                Batch::new(spans, oldest)
            }
            _ => return None,
        };
        self.lent.add(batch.size());
        Some(batch)
    }

    /// Takes back a batch that failed; all others come before it.
    pub(super) fn give_back(&mut self, mut batch: Batch) {
        self.lent.subtract(batch.size());
        batch.failures = batch.failures.saturating_add(1);
        self.again.push_back(batch);
    }

    /// Takes back a batch that nobody saw; it is the next.
    pub(super) fn give_back_unseen(&mut self, batch: Batch) {
        self.lent.subtract(batch.size());
        self.again.push_front(batch);
    }

    /// A batch that was lent is exported or dropped.
    pub(super) fn leave(&mut self, batch: &Batch, stats: &mut Stats) {
        self.lent.subtract(batch.size());
        self.gone(batch.size(), stats);
    }

    /// Lets go of all that is not lent; how many spans these are.
    pub(super) fn clear(&mut self, stats: &mut Stats) -> usize {
        let mut gone = self.held;
        gone.subtract(self.lent);
        self.fresh.clear();
        self.unlinked.clear();
        self.looked = 0;
        self.again.clear();
        self.gone(gone, stats);
        gone.spans
    }

    fn gone(&mut self, gone: Held, stats: &mut Stats) {
        self.held.subtract(gone);
        stats.add(Metric::QueueSpans, -(gone.spans as i64));
        stats.add(Metric::QueueBytes, -(gone.bytes as i64));
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
