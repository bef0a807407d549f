//! The exporter without Envoy: each rule as a table, and the books after every step of long runs.

use super::*;
use crate::trace::{Endpoint, HttpRequest, HttpResponse, SpanId, SpanKind, TraceFlags, TraceId};
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

    fn span(&self, span: &Span) -> Vec<u8> {
        span.name.clone().into_bytes()
    }

    fn batch(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        spans.join(&b',')
    }
}

fn span(name: &str, end: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c").unwrap(),
        span_id: SpanId::from_hex(b"b7ad6b7169203331").unwrap(),
        parent_id: None,
        flags: TraceFlags::default(),
        trace_state: String::new(),
        kind: SpanKind::Server,
        name: name.to_owned(),
        start_time: end,
        duration: 0,
        debug: false,
        local: Endpoint::default(),
        remote: Endpoint::default(),
        request: HttpRequest::default(),
        response: HttpResponse::default(),
        custom_tags: Vec::new(),
    }
}

fn exporter(max_spans: usize, max_bytes: usize, batch: usize, interval_s: u64) -> Exporter {
    let interval = Duration::from_secs(interval_s);
    Exporter::new(
        Box::new(Letters),
        QueueLimits { max_spans, max_bytes },
        BatchLimits { max_spans: batch, interval },
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
            self.exporter.sent(self.next_token, batch, &mut self.stats);
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
        let batches = || exporter.again.iter().chain(exporter.in_flight.values());
        let spans: usize = batches().map(|batch| batch.spans.len()).sum();
        let bytes: usize = batches().map(Batch::bytes).sum();
        let queued: usize = exporter.queue.iter().map(|queued| cost(&queued.encoded)).sum();
        let (spans, bytes) = (exporter.queue.len() + spans, queued + bytes);
        assert_eq!((exporter.waiting_spans, exporter.waiting_bytes), (spans, bytes));
        assert!(spans <= exporter.queue_limits.max_spans);
        assert!(bytes <= exporter.queue_limits.max_bytes);
        assert!(exporter.in_flight.len() <= MAX_IN_FLIGHT);
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
    run.exporter.flush();
    assert_eq!(run.send(1, 2), [10, 3]);
    // What ends later, such as a request that was under way, does not wait either.
    run.push("late", 1);
    assert_eq!(run.send(1, 2), [1]);
}

#[test]
fn each_failure_in_a_row_doubles_the_pause_until_the_attempts_are_used_up() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(3, 0);
    let mut now = 20 * SECOND;
    for (token, pause) in [1, 2, 4, 8].into_iter().enumerate() {
        assert_eq!(run.send(now, now + SECOND), [3]);
        run.answer(token as u32, Answer::Failed, now);
        run.check_books();
        now += pause * SECOND;
        assert_eq!(run.send(now - 1, now + SECOND), NOTHING, "in the pause of {pause} s");
    }
    assert_eq!(run.send(now, now + SECOND), [3]);
    run.answer(4, Answer::Failed, now);
    run.check_books();
    assert!(run.exporter.is_empty());
    assert_eq!(run.total(Metric::SpansDroppedRetriesExhausted), 3);
    assert_eq!(run.total(Metric::ExportRequests), 5);
    assert_eq!(run.total(Metric::ExportFailures), 5);
}

#[test]
fn a_call_that_cannot_be_made_counts_as_a_failure_and_not_as_a_request() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(3, 0);
    let (batch, _) = run.exporter.next_batch(10 * SECOND, 11 * SECOND).unwrap();
    run.exporter.failed(batch, 10 * SECOND, &mut run.stats);
    run.check_books();
    assert_eq!(run.total(Metric::ExportRequests), 0);
    assert_eq!(run.total(Metric::ExportFailures), 1);
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), NOTHING);
    assert_eq!(run.send(11 * SECOND, 12 * SECOND), [3]);
}

#[test]
fn an_answer_decides_what_becomes_of_its_batch() {
    for (status, exported, rejected, waiting) in [
        (Some(200), 3, 0, 0),
        (Some(202), 3, 0, 0),
        (Some(301), 0, 3, 0),
        (Some(400), 0, 3, 0),
        (Some(401), 0, 3, 0),
        (Some(413), 0, 3, 0),
        (Some(408), 0, 0, 3),
        (Some(429), 0, 0, 3),
        (Some(500), 0, 0, 3),
        (Some(503), 0, 0, 3),
        (Some(504), 0, 0, 3),
        (None, 0, 0, 3),
    ] {
        let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
        run.push_many(3, 0);
        assert_eq!(run.send(10 * SECOND, 11 * SECOND), [3]);
        run.answer(0, Answer::from_status(status), 10 * SECOND);
        run.check_books();
        let metrics = [Metric::SpansExported, Metric::SpansDroppedRejected, Metric::QueueSpans];
        assert_eq!(metrics.map(|m| run.total(m)), [exported, rejected, waiting], "{status:?}");
    }
}

#[test]
fn answers_come_in_any_order_once_and_for_our_own_tokens_only() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(35, 0);
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), [10, 10, 10, 5]);
    for (token, exported) in [(3, 5), (99, 5), (1, 15), (3, 15), (0, 25), (2, 35), (2, 35)] {
        run.answer(token, Answer::Accepted, 10 * SECOND);
        run.check_books();
        assert_eq!(run.total(Metric::SpansExported), exported, "{token}");
    }
    assert!(run.exporter.is_empty());
}

#[test]
fn an_accepted_batch_ends_the_pause() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(20, 0);
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), [10, 10]);
    run.answer(0, Answer::Failed, 10 * SECOND);
    run.push_many(10, 0);
    assert!(!run.exporter.is_due(), "the collector is spared");
    run.answer(1, Answer::Accepted, 10 * SECOND);
    assert!(run.exporter.is_due());
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), [10, 10]);
}

/// A small generator of our own, so that a failing run can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn the_books_balance_after_every_step_of_long_random_runs() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let limits = (1 + dice.roll(60) as usize, 1024 + dice.roll(8192) as usize);
        let mut run = Run::new(exporter(limits.0, limits.1, 1 + dice.roll(20) as usize, 1));
        let mut now = SECOND;
        for _ in 0..2000 {
            step(&mut run, &mut dice, &mut now);
            run.check_books();
        }
        // With a healthy collector all that waits is delivered in the end.
        run.exporter.flush();
        for _ in 0..1000 {
            now += SECOND;
            run.send(now, now + SECOND);
            let tokens: Vec<u32> = run.exporter.in_flight.keys().copied().collect();
            tokens.into_iter().for_each(|token| run.answer(token, Answer::Accepted, now));
            run.check_books();
        }
        assert!(run.exporter.is_empty(), "seed {seed}");
    }
}

fn step(run: &mut Run, dice: &mut Dice, now: &mut u64) {
    match dice.roll(10) {
        0..=5 => {
            let largest = if dice.roll(20) == 0 { 12_000 } else { 200 };
            let size = dice.roll(largest);
            run.push(&"a".repeat(size as usize), *now);
        }
        6 => {
            run.send(*now, *now + SECOND);
        }
        7 => {
            if let Some((batch, _)) = run.exporter.next_batch(*now, u64::MAX) {
                run.exporter.failed(batch, *now, &mut run.stats);
            }
        }
        8 => {
            let token = run.next_token.saturating_sub(dice.roll(6) as u32);
            let answers = [Answer::Accepted, Answer::Accepted, Answer::Failed, Answer::Rejected];
            run.answer(token, answers[dice.roll(4) as usize], *now);
        }
        _ => *now += dice.roll(2 * SECOND),
    }
}
