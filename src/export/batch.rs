//! Spans that are sent together, and the room that they take.

use std::collections::VecDeque;

/// What a span costs in memory beyond its bytes: its place in the queue and the allocator's own.
pub(super) const SPAN_OVERHEAD: usize = 64;

/// The room that an encoded span takes, in bytes.
pub(super) fn cost(span: &[u8]) -> usize {
    span.len() + SPAN_OVERHEAD
}

/// Room that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) spans: usize,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn add(&mut self, other: Self) {
        self.spans = self.spans.saturating_add(other.spans);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.spans = self.spans.saturating_sub(other.spans);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Spans that are sent together.
#[derive(Debug)]
pub struct Batch {
    pub(super) spans: VecDeque<Vec<u8>>,
    /// When the first of them ended, in nanoseconds since the epoch.
    pub(super) oldest: u64,
    /// How often it failed.
    pub(super) failures: usize,
}

impl Batch {
    pub(super) fn new(spans: VecDeque<Vec<u8>>, oldest: u64) -> Self {
        Self { spans, oldest, failures: 0 }
    }

    pub(super) fn size(&self) -> Held {
        let bytes = self.spans.iter().map(|span| cost(span)).sum();
        Held { spans: self.spans.len(), bytes }
    }

    /// Both halves of a batch that is too large; nothing if it is a single span.
    pub(super) fn halves(mut self) -> Result<[Self; 2], Self> {
        if self.spans.len() < 2 {
            return Err(self);
        }
        let second = self.spans.split_off(self.spans.len() / 2);
        Ok([self.spans, second].map(|spans| Self::new(spans, self.oldest)))
    }
}
