//! The queue, the batches on their way, and what becomes of them.
//!
//! sampled = exported + dropped + waiting, at every moment; what is on its way counts as waiting.

use super::Encoder;
use crate::config::{BatchLimits, QueueLimits};
use crate::stats::{Metric, Stats};
use crate::trace::Span;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What a span costs in memory beyond its bytes: its place in the queue and the allocator's own.
const SPAN_OVERHEAD: usize = 64;

/// Requests to the collector that may be on their way at once.
const MAX_IN_FLIGHT: usize = 4;

/// How often a batch is sent before its spans are dropped.
const MAX_ATTEMPTS: u32 = 5;

/// The pause after the first failure, in nanoseconds; each further one doubles it.
const FIRST_PAUSE: u64 = 1_000_000_000;

/// A span in the queue.
struct Queued {
    encoded: Vec<u8>,
    /// When it ended, in nanoseconds since the epoch.
    end: u64,
}

/// Spans that are sent together.
#[derive(Debug)]
pub struct Batch {
    spans: Vec<Vec<u8>>,
    attempts: u32,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.spans.iter().map(|span| cost(span)).sum()
    }
}

fn cost(span: &[u8]) -> usize {
    span.len() + SPAN_OVERHEAD
}

/// What a collector's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the spans.
    Accepted,
    /// It will never take them.
    Rejected,
    /// It may take them later.
    Failed,
}

impl Answer {
    /// Reads the answer's status; nothing stands for an answer that broke off.
    pub fn from_status(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Accepted,
            None | Some(408 | 429 | 500..=599) => Self::Failed,
            Some(_) => Self::Rejected,
        }
    }
}

/// Queues spans and keeps the books of their delivery. It makes no calls itself: the host asks
/// for the next batch, sends it, and says what came of it.
pub struct Exporter {
    encoder: Box<dyn Encoder>,
    queue_limits: QueueLimits,
    batch_limits: BatchLimits,
    queue: VecDeque<Queued>,
    again: VecDeque<Batch>,
    in_flight: HashMap<u32, Batch>,
    waiting_spans: usize,
    waiting_bytes: usize,
    failures: u32,
    paused_until: u64,
}

impl Exporter {
    /// An empty queue within these limits.
    pub fn new(encoder: Box<dyn Encoder>, queue: QueueLimits, batch: BatchLimits) -> Self {
        Self {
            encoder,
            queue_limits: queue,
            batch_limits: batch,
            queue: VecDeque::new(),
            again: VecDeque::new(),
            in_flight: HashMap::new(),
            waiting_spans: 0,
            waiting_bytes: 0,
            failures: 0,
            paused_until: 0,
        }
    }

    /// Takes a finished span, or counts why not.
    pub fn push(&mut self, span: &Span, stats: &mut Stats) {
        stats.add(Metric::SpansSampled, 1);
        let encoded = self.encoder.span(span);
        let cost = cost(&encoded);
        if cost > self.queue_limits.max_bytes {
            stats.add(Metric::SpansDroppedTooLarge, 1);
        } else if self.waiting_spans >= self.queue_limits.max_spans
            || self.waiting_bytes + cost > self.queue_limits.max_bytes
        {
            stats.add(Metric::SpansDroppedQueueFull, 1);
        } else {
            self.wait(1, cost, stats);
            let end = span.start_time.saturating_add(span.duration);
            self.queue.push_back(Queued { encoded, end });
        }
    }

    /// Whether a batch should leave now and not wait for the interval's end: it is full, or the
    /// queue is half full.
    pub fn is_due(&self) -> bool {
        let queued = self.queue.len();
        self.in_flight.len() < MAX_IN_FLIGHT
            && self.failures == 0
            && queued > 0
            && (queued >= self.batch_limits.max_spans
                || self.waiting_spans * 2 >= self.queue_limits.max_spans
                || self.waiting_bytes * 2 >= self.queue_limits.max_bytes)
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.waiting_spans == 0
    }

    /// The next batch to send at `now` (nanoseconds) and its body. A batch that is not full goes
    /// only if its interval ends before `horizon`, when the next chance comes. Nothing goes while
    /// too many are on their way or the collector is being spared. Hand the batch back with
    /// [`Self::sent`] or [`Self::failed`].
    pub fn next_batch(&mut self, now: u64, horizon: u64) -> Option<(Batch, Vec<u8>)> {
        if self.in_flight.len() >= MAX_IN_FLIGHT || now < self.paused_until {
            return None;
        }
        let batch = match self.again.pop_front() {
            Some(batch) => batch,
            None if self.is_due() || self.oldest_waited_by(horizon) => {
                let count = self.batch_limits.max_spans.min(self.queue.len());
                let spans = self.queue.drain(..count).map(|queued| queued.encoded);
                Batch { spans: spans.collect(), attempts: 0 }
            }
            None => return None,
        };
        let body = self.encoder.batch(&batch.spans);
        Some((batch, body))
    }

    /// Whether some span's interval ends before `horizon`.
    fn oldest_waited_by(&self, horizon: u64) -> bool {
        let interval = u64::try_from(self.batch_limits.interval.as_nanos()).unwrap_or(u64::MAX);
        self.queue.front().is_some_and(|oldest| oldest.end.saturating_add(interval) < horizon)
    }

    /// From now on no span waits for its interval.
    pub fn flush(&mut self) {
        self.batch_limits.interval = Duration::ZERO;
    }

    /// The `content-type` of the bodies.
    pub fn content_type(&self) -> &'static str {
        self.encoder.content_type()
    }

    /// The batch is on its way under this token.
    pub fn sent(&mut self, token: u32, batch: Batch, stats: &mut Stats) {
        stats.add(Metric::ExportRequests, 1);
        self.in_flight.insert(token, batch);
    }

    /// The collector answered the call with this token at `now`. A token that is not ours is
    /// ignored.
    pub fn answered(&mut self, token: u32, answer: Answer, now: u64, stats: &mut Stats) {
        let Some(batch) = self.in_flight.remove(&token) else {
            return;
        };
        match answer {
            Answer::Accepted => {
                self.failures = 0;
                self.paused_until = 0;
                self.leave(batch, Metric::SpansExported, stats);
            }
            Answer::Rejected => {
                stats.add(Metric::ExportFailures, 1);
                self.leave(batch, Metric::SpansDroppedRejected, stats);
            }
            Answer::Failed => self.failed(batch, now, stats),
        }
    }

    /// The batch could not be sent, or was not answered, at `now`: it waits for another attempt.
    pub fn failed(&mut self, mut batch: Batch, now: u64, stats: &mut Stats) {
        stats.add(Metric::ExportFailures, 1);
        batch.attempts += 1;
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE << (batch.attempts.min(MAX_ATTEMPTS) - 1);
        self.paused_until = self.paused_until.max(now.saturating_add(pause));
        if batch.attempts >= MAX_ATTEMPTS {
            self.leave(batch, Metric::SpansDroppedRetriesExhausted, stats);
        } else {
            self.again.push_back(batch);
        }
    }

    fn wait(&mut self, spans: usize, bytes: usize, stats: &mut Stats) {
        self.waiting_spans += spans;
        self.waiting_bytes += bytes;
        stats.add(Metric::QueueSpans, spans as i64);
        stats.add(Metric::QueueBytes, bytes as i64);
    }

    fn leave(&mut self, batch: Batch, reason: Metric, stats: &mut Stats) {
        let (spans, bytes) = (batch.spans.len(), batch.bytes());
        self.waiting_spans = self.waiting_spans.saturating_sub(spans);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        stats.add(Metric::QueueSpans, -(spans as i64));
        stats.add(Metric::QueueBytes, -(bytes as i64));
        stats.add(reason, spans as i64);
    }
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
