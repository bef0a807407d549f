//! The exporter without Envoy: when batches leave. What answers do to them, and the books after every
//! step of long runs, have files of their own.

mod answers;
mod books;
mod links;

use super::*;
use crate::config::Overflow;
use crate::export::batch::{Held, SPAN_OVERHEAD};
use crate::trace::{SpanKind, sample};
use std::collections::VecDeque;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// No batch left.
const NOTHING: [usize; 0] = [];

/// Encodes a span as one byte for each character of its name.
struct Letters;

impl Encoder for Letters {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn span(&mut self, span: &Span) -> Vec<u8> {
        span.name.clone().into_bytes()
    }

    fn link(&mut self, span: &mut Vec<u8>, link: &Link) {
        span.extend(format!("->{:x}", link.span_id.value()).bytes());
    }

    fn batch(&self, spans: &VecDeque<Vec<u8>>) -> Vec<u8> {
        Vec::from(spans.clone()).join(&b',')
    }
}

fn span(name: &str, end: u64) -> Span<'static> {
    Span { name: name.to_owned(), start_time: end, duration: 0, ..sample::span(SpanKind::Server) }
}

const LATER: Answer = Answer::Later { after: None };

/// The longest pause, which no jitter goes beyond.
const PAUSE: u64 = 4 * SECOND;

fn exporter(max_spans: usize, max_bytes: usize, batch: usize, interval_s: u64) -> Exporter {
    let interval = Duration::from_secs(interval_s);
    Exporter::new(
        Box::new(Letters),
        QueueLimits { max_spans, max_bytes, overflow: Overflow::DropNewest },
        BatchLimits { max_spans: batch, interval },
        ExportLimits { max_in_flight: 4 },
        1,
    )
}

/// An exporter with its books and the batches that left it.
struct Run {
    exporter: Exporter,
    stats: Stats,
    totals: [i64; Metric::ALL.len()],
    next_token: u32,
}

impl Run {
    fn new(exporter: Exporter) -> Self {
        Self { exporter, stats: Stats::default(), totals: [0; Metric::ALL.len()], next_token: 0 }
    }

    fn total(&mut self, metric: Metric) -> i64 {
        let totals = &mut self.totals;
        self.stats.flush(|metric, change| totals[metric as usize] += change);
        self.totals[metric as usize]
    }

    fn push(&mut self, name: &str, end: u64) {
        self.exporter.push(&span(name, end), &mut self.stats);
    }

    fn push_many(&mut self, count: usize, end: u64) {
        (0..count).for_each(|_| self.push("a", end));
    }

    /// Sends the batches that are ready; their sizes.
    fn send(&mut self, now: u64, horizon: u64) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some((batch, _)) = self.exporter.next_batch(now, horizon) {
            sizes.push(batch.spans.len());
            self.exporter.sent(self.next_token, batch, now, &mut self.stats);
            self.next_token += 1;
        }
        sizes
    }

    fn answer(&mut self, token: u32, answer: Answer, now: u64) {
        self.exporter.answered(token, answer, now, &mut self.stats);
    }

    fn check_books(&mut self) {
        let dropped = [
            Metric::SpansDroppedQueueFull,
            Metric::SpansDroppedRejected,
            Metric::SpansDroppedRetriesExhausted,
            Metric::SpansDroppedTooLarge,
        ]
        .map(|metric| self.total(metric))
        .iter()
        .sum::<i64>();
        let waiting = self.total(Metric::QueueSpans);
        let exported = self.total(Metric::SpansExported);
        assert_eq!(self.total(Metric::SpansSampled), exported + dropped + waiting);
        let exporter = &self.exporter;
        let mut lent = Held::default();
        exporter.in_flight.iter().for_each(|(_, sent)| lent.add(sent.batch.size()));
        assert_eq!(exporter.queue.lent(), lent);
        let mut held = exporter.queue.counted();
        held.add(lent);
        assert_eq!(exporter.queue.held(), held);
        let Held { spans, bytes } = held;
        assert!(spans <= exporter.queue_limits.max_spans);
        assert!(bytes <= exporter.queue_limits.max_bytes);
        assert!(exporter.in_flight.len() <= exporter.export_limits.max_in_flight);
        assert_eq!(exporter.is_empty(), spans == 0);
        assert_eq!((waiting, self.total(Metric::QueueBytes)), (spans as i64, bytes as i64));
    }
}

#[test]
fn the_queue_takes_what_fits_and_counts_the_rest_by_reason() {
    let fits = |bytes: usize| "a".repeat(bytes - SPAN_OVERHEAD);
    for (name, max_spans, max_bytes, given, waiting, full, too_large) in [
        ("nothing", 2, 1024, vec![], 0, 0, 0),
        ("as many as allowed", 2, 1024, vec![100, 100], 2, 0, 0),
        ("one more than allowed", 2, 1024, vec![100, 100, 100], 2, 1, 0),
        ("as many bytes as allowed", 9, 1024, vec![512, 512], 2, 0, 0),
        ("one byte more than allowed", 9, 1024, vec![512, 513], 1, 1, 0),
        ("a small one still fits", 9, 1024, vec![900, 500, 124], 2, 1, 0),
        ("as large as the queue", 9, 1024, vec![1024], 1, 0, 0),
        ("larger than the queue", 9, 1024, vec![1025, 100], 1, 0, 1),
        ("too large wins over full", 1, 1024, vec![100, 1025, 100], 1, 1, 1),
    ] {
        let mut run = Run::new(exporter(max_spans, max_bytes, 9, 1));
        for bytes in &given {
            run.push(&fits(*bytes), 0);
            run.check_books();
        }
        let metrics =
            [Metric::QueueSpans, Metric::SpansDroppedQueueFull, Metric::SpansDroppedTooLarge];
        assert_eq!(metrics.map(|metric| run.total(metric)), [waiting, full, too_large], "{name}");
    }
}

#[test]
fn a_batch_leaves_when_it_is_full_or_its_interval_ends_before_the_next_chance() {
    for (name, spans, now, horizon, expected) in [
        ("nothing waits", 0, 99, 99, vec![]),
        ("the interval ends after the next chance", 1, 5, 9, vec![]),
        ("it ends at the next chance", 1, 5, 10, vec![]),
        ("it ends before the next chance", 1, 5, 11, vec![1]),
        ("full batches alone where no chance is named", 25, 5, 5, vec![10, 10]),
        ("it is over", 3, 12, 13, vec![3]),
        ("one span less than a batch", 9, 5, 6, vec![]),
        ("a full batch", 10, 5, 6, vec![10]),
        ("a full batch and a rest that waits", 15, 5, 6, vec![10]),
        ("a full batch and a rest at the end", 15, 10, 11, vec![10, 5]),
        ("no more than four at once", 60, 10, 11, vec![10, 10, 10, 10]),
    ] {
        let mut run = Run::new(exporter(1000, 1 << 20, 10, 10));
        run.push_many(spans, 0);
        assert_eq!(run.send(now * SECOND, horizon * SECOND), expected, "{name}");
        run.check_books();
    }
}

#[test]
fn a_batch_is_due_when_full_or_the_queue_is_half_full() {
    for (name, max_spans, max_bytes, batch, spans, expected) in [
        ("nothing waits", 100, 1 << 20, 10, 0, false),
        ("less than a batch", 100, 1 << 20, 10, 9, false),
        ("a batch", 100, 1 << 20, 10, 10, true),
        ("less than half of the spans", 10, 1 << 20, 10, 4, false),
        ("half of the spans", 10, 1 << 20, 10, 5, true),
        ("less than half of the bytes", 100, 1024, 100, 7, false),
        ("half of the bytes", 100, 1024, 100, 8, true),
    ] {
        let mut run = Run::new(exporter(max_spans, max_bytes, batch, 10));
        run.push_many(spans, 0);
        assert_eq!(run.exporter.is_due(), expected, "{name}");
    }
}

#[test]
fn the_interval_counts_from_the_oldest_span_that_waits() {
    let mut run = Run::new(exporter(100, 1 << 20, 2, 10));
    run.push("a", 0);
    run.push("b", 9 * SECOND);
    run.push("c", 9 * SECOND);
    assert_eq!(run.send(9 * SECOND, 10 * SECOND), [2], "the full batch");
    assert_eq!(run.send(18 * SECOND, 19 * SECOND), NOTHING, "the rest is younger");
    assert_eq!(run.send(18 * SECOND, 19 * SECOND + 1), [1]);
}

#[test]
fn after_a_flush_nothing_waits_for_its_interval() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 300));
    run.push_many(13, 0);
    run.exporter.flush(1);
    assert_eq!(run.send(1, 2), [10, 3]);
    // What ends later, such as a request that was under way, does not wait either.
    run.push("late", 1);
    assert_eq!(run.send(1, 2), [1]);
}
