//! Batches on their way to the collector, and what becomes of them.
//!
//! sampled = exported + dropped + waiting, at every moment; what is on its way counts as waiting.

use super::backoff::Backoff;
use super::queue::Queue;
use super::{Answer, Batch, Encoder};
use crate::config::{BatchLimits, ExportLimits, QueueLimits};
use crate::stats::{Metric, Stats};
use crate::trace::{Link, Span};
use std::time::Duration;

/// How long a configuration that has been replaced goes on trying, in nanoseconds. Without an end
/// each change of the configuration would leave one more full queue behind while the collector is away.
const LONGEST_DRAIN: u64 = 300_000_000_000;

/// How long after its end it is asked for the first time what a call is linked to, and for the second; and how
/// long its span waits at the most, in nanoseconds.
const WAITS: [u64; 3] = [500_000_000, 1_000_000_000, 3_000_000_000];

/// A batch on its way.
struct Sent {
    batch: Batch,
    /// Its number for [`Backoff`].
    request: u64,
}

/// Queues spans and keeps the books of their delivery. It makes no calls itself: the host asks
/// for the next batch, sends it, and says what came of it.
///
/// A batch that fails waits for as long as it takes: while the collector is away only a queue that
/// is full loses spans. The one end is that of a configuration that has been replaced, see
/// [`Self::give_up`].
pub struct Exporter {
    encoder: Box<dyn Encoder>,
    queue: Queue,
    queue_limits: QueueLimits,
    batch_limits: BatchLimits,
    export_limits: ExportLimits,
    /// By their tokens; never many.
    in_flight: Vec<(u32, Sent)>,
    backoff: Backoff,
    /// When it gives up, in nanoseconds; a configuration in force never does.
    end: Option<u64>,
}

impl Exporter {
    /// An empty queue within these limits; `seed` is random, for pauses of its own.
    pub fn new(
        encoder: Box<dyn Encoder>,
        queue_limits: QueueLimits,
        batch_limits: BatchLimits,
        export_limits: ExportLimits,
        seed: u64,
    ) -> Self {
        Self {
            encoder,
            queue: Queue::new(queue_limits),
            queue_limits,
            batch_limits,
            export_limits,
            in_flight: Vec::new(),
            backoff: Backoff::new(seed),
            end: None,
        }
    }

    /// Takes a finished span, or counts what is dropped for want of room.
    pub fn push(&mut self, span: &Span, stats: &mut Stats) {
        self.push_call(span, None, stats);
    }

    /// The same of a call by its number, whose span goes nowhere before [`Self::link`]: for that there is a
    /// second, unless the queue is half full or the configuration was replaced.
    pub fn push_call(&mut self, span: &Span, call: Option<u32>, stats: &mut Stats) {
        stats.add(Metric::SpansSampled, 1);
        let end = span.start_time.saturating_add(span.duration);
        let call = call.filter(|_| self.end.is_none() && !self.is_half_full());
        self.queue.push(self.encoder.span(span), end, call, stats);
    }

    /// Lets go on the spans of calls that ended a second before `now` (nanoseconds), each with the link that
    /// `find` has for it. It is asked at most so often, and once before for each, since what it finds for
    /// some makes it surer of others. What has waited for long, and all once the configuration was
    /// replaced, goes without.
    pub fn link(
        &mut self,
        now: u64,
        most: usize,
        find: &mut dyn FnMut(u32) -> Option<Link>,
        stats: &mut Stats,
    ) {
        let [unseen, mut until, mut late] = WAITS.map(|wait| now.saturating_sub(wait));
        if self.end.is_some() {
            (until, late) = (u64::MAX, u64::MAX);
        }
        for _ in 0..most {
            let Some(call) = self.queue.next_unseen(unseen) else { break };
            find(call);
        }
        let mut looks = 0;
        while let Some(call) = self.queue.next_unlinked(until) {
            if looks >= most && self.queue.next_unlinked(late).is_none() {
                return;
            }
            let link = if looks < most { find(call) } else { None };
            looks += 1;
            let encoder = &mut self.encoder;
            let add = link.map(|link| move |span: &mut Vec<u8>| encoder.link(span, &link));
            self.queue.link(add, stats);
        }
    }

    /// Whether a batch should leave now and not wait for the interval's end: it is full, or the
    /// queue is half full.
    pub fn is_due(&self) -> bool {
        self.in_flight.len() < self.export_limits.max_in_flight
            && self.backoff.is_open()
            && self.is_full()
    }

    fn is_full(&self) -> bool {
        let fresh = self.queue.fresh();
        fresh > 0 && (fresh >= self.batch_limits.max_spans || self.is_half_full())
    }

    fn is_half_full(&self) -> bool {
        let held = self.queue.held();
        held.spans * 2 >= self.queue_limits.max_spans
            || held.bytes * 2 >= self.queue_limits.max_bytes
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.queue.held().spans == 0
    }

    /// The next batch to send at `now` (nanoseconds) and its body. A batch that is not full goes
    /// only if its interval ends before `horizon`, when the next chance comes. Nothing goes while
    /// too many are on their way or the collector is being spared. Hand the batch back with
    /// [`Self::sent`] or [`Self::unsent`].
    pub fn next_batch(&mut self, now: u64, horizon: u64) -> Option<(Batch, Vec<u8>)> {
        if self.in_flight.len() >= self.export_limits.max_in_flight || !self.backoff.allows(now) {
            return None;
        }
        let fresh_may_go = self.is_full() || self.oldest_waited_by(horizon);
        let batch = self.queue.lend(fresh_may_go, self.batch_limits.max_spans)?;
        let body = self.encoder.batch(&batch.spans);
        Some((batch, body))
    }

    /// Whether some span's interval ends before `horizon`.
    fn oldest_waited_by(&self, horizon: u64) -> bool {
        let interval = u64::try_from(self.batch_limits.interval.as_nanos()).unwrap_or(u64::MAX);
        self.queue.oldest_end().is_some_and(|end| end.saturating_add(interval) < horizon)
    }

    /// The configuration was replaced at `now`: from now on no span waits for its interval, and
    /// none for ever.
    pub fn flush(&mut self, now: u64) {
        self.batch_limits.interval = Duration::ZERO;
        self.end = Some(now.saturating_add(LONGEST_DRAIN));
    }

    /// Drops what waits, if a configuration that was replaced has tried for long enough at `now`.
    pub fn give_up(&mut self, now: u64, stats: &mut Stats) {
        if self.end.is_some_and(|end| now >= end) {
            let spans = self.queue.clear(stats);
            stats.add(Metric::SpansDroppedRetriesExhausted, spans as i64);
        }
    }

    /// The `content-type` of the bodies.
    pub fn content_type(&self) -> &'static str {
        self.encoder.content_type()
    }

    /// The batch left at `now` and is on its way under this token.
    pub fn sent(&mut self, token: u32, batch: Batch, now: u64, stats: &mut Stats) {
        stats.add(Metric::ExportRequests, 1);
        let request = self.backoff.sent(now);
        self.in_flight.push((token, Sent { batch, request }));
    }

    /// The batch could not be sent at `now`: there is no such cluster, or no host in it.
    pub fn unsent(&mut self, batch: Batch, now: u64, stats: &mut Stats) {
        stats.add(Metric::ExportFailures, 1);
        self.queue.give_back_unseen(batch);
        let request = self.backoff.sent(now);
        self.backoff.failed(request, now, None);
    }

    /// The collector answered the call with this token at `now`. A token that is not ours is
    /// ignored.
    pub fn answered(&mut self, token: u32, answer: Answer, now: u64, stats: &mut Stats) {
        let Some(place) = self.in_flight.iter().position(|(sent, _)| *sent == token) else {
            return;
        };
        let (_, Sent { batch, request }) = self.in_flight.swap_remove(place);
        if !matches!(answer, Answer::Accepted { .. }) {
            stats.add(Metric::ExportFailures, 1);
        }
        match answer {
            Answer::Later { after } => self.backoff.failed(request, now, after),
            _ => self.backoff.answered(request),
        }
        match answer {
            Answer::Accepted { rejected } => self.leave(&batch, rejected, stats),
            Answer::Rejected => self.leave(&batch, batch.spans.len(), stats),
            Answer::TooLarge => self.halve(batch, stats),
            Answer::Later { .. } => self.queue.give_back(batch),
        }
    }

    /// The batch is exported, but for so many spans that were rejected.
    fn leave(&mut self, batch: &Batch, rejected: usize, stats: &mut Stats) {
        let spans = batch.spans.len();
        let rejected = rejected.min(spans);
        self.queue.leave(batch, stats);
        stats.add(Metric::SpansExported, (spans - rejected) as i64);
        stats.add(Metric::SpansDroppedRejected, rejected as i64);
    }

    fn halve(&mut self, batch: Batch, stats: &mut Stats) {
        match batch.halves() {
            Ok([first, second]) => {
                self.queue.give_back_unseen(second);
                self.queue.give_back_unseen(first);
            }
            Err(single) => {
                self.queue.leave(&single, stats);
                stats.add(Metric::SpansDroppedTooLarge, single.spans.len() as i64);
            }
        }
    }
}

#[cfg(test)]
#[path = "exporter_tests/mod.rs"]
mod tests;
