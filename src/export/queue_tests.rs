//! What is dropped when the queue is full, and which batch comes next.

use super::*;
use crate::export::batch::SPAN_OVERHEAD;

impl Queue {
    /// What takes room here and is not lent, counted anew.
    pub(in crate::export) fn counted(&self) -> Held {
        let mut held = Held::default();
        let unlinked = self.unlinked.iter().map(|(queued, _)| queued);
        for queued in self.fresh.iter().chain(unlinked) {
            held.add(Held { spans: 1, bytes: cost(&queued.encoded) });
            assert_eq!(queued.encoded.capacity(), queued.encoded.len(), "room that is not counted");
        }
        for batch in &self.again {
            assert!(!batch.spans.is_empty());
            held.add(batch.size());
        }
        held
    }

    /// What is lent.
    pub(in crate::export) fn lent(&self) -> Held {
        self.lent
    }
}

/// A queue of spans with one letter each for a name, which ended in the order of the alphabet.
fn queue(overflow: Overflow, max_spans: usize, names: &str) -> (Queue, Stats) {
    let mut stats = Stats::default();
    let mut queue = Queue::new(QueueLimits { max_spans, max_bytes: 1 << 20, overflow });
    push(&mut queue, names, &mut stats);
    (queue, stats)
}

fn push(queue: &mut Queue, names: &str, stats: &mut Stats) {
    for name in names.bytes() {
        // An encoder knows beforehand how much a span takes at most.
        let mut encoded = Vec::with_capacity(1024);
        encoded.push(name);
        queue.push(encoded, u64::from(name), None, stats);
    }
}

fn names<'s>(spans: impl IntoIterator<Item = &'s Vec<u8>>) -> String {
    spans.into_iter().map(|span| String::from_utf8_lossy(span).into_owned()).collect()
}

fn waiting(queue: &Queue) -> String {
    let again: Vec<String> = queue.again.iter().map(|batch| names(&batch.spans)).collect();
    let fresh = names(queue.fresh.iter().map(|queued| &queued.encoded));
    format!("{} {fresh}", again.join(","))
}

fn full(stats: &mut Stats) -> i64 {
    let mut dropped = 0;
    stats.flush(|metric, change| {
        if metric == Metric::SpansDroppedQueueFull {
            dropped += change;
        }
    });
    dropped
}

#[test]
fn a_full_queue_keeps_the_oldest_or_the_newest() {
    for (overflow, given, kept, dropped) in [
        (Overflow::DropNewest, "abc", " abc", 0),
        (Overflow::DropNewest, "abcde", " abc", 2),
        (Overflow::DropOldest, "abc", " abc", 0),
        (Overflow::DropOldest, "abcde", " cde", 2),
    ] {
        let (queue, mut stats) = queue(overflow, 3, given);
        assert_eq!((waiting(&queue), full(&mut stats)), (kept.to_owned(), dropped), "{overflow:?}");
        assert_eq!(queue.counted(), queue.held());
    }
}

#[test]
fn the_oldest_goes_wherever_it_waits_and_what_is_on_its_way_stays() {
    let (mut queue, mut stats) = queue(Overflow::DropOldest, 6, "abcdef");
    let first = queue.lend(true, 2).unwrap();
    let second = queue.lend(true, 2).unwrap();
    queue.give_back(second);
    assert_eq!(waiting(&queue), "cd ef");
    push(&mut queue, "g", &mut stats);
    assert_eq!(waiting(&queue), "d efg");
    queue.give_back(first);
    assert_eq!(waiting(&queue), "d,ab efg");
    push(&mut queue, "hijk", &mut stats);
    assert_eq!(waiting(&queue), " fghijk");
    assert_eq!(full(&mut stats), 5);
    // All room is taken by what is on its way: the new one goes.
    let all = queue.lend(true, 6).unwrap();
    push(&mut queue, "x", &mut stats);
    assert_eq!((waiting(&queue), full(&mut stats)), (" ".to_owned(), 1));
    queue.leave(&all, &mut stats);
    assert_eq!((queue.held(), queue.lent()), (Held::default(), Held::default()));
}

#[test]
fn as_many_of_the_oldest_go_as_make_room_and_none_in_vain() {
    let span = |bytes: usize| vec![b'a'; bytes - SPAN_OVERHEAD];
    for (name, on_its_way, new, waiting, dropped) in [
        ("one makes room", 0, 200, 4, 1),
        ("three make room", 0, 600, 2, 3),
        ("all make room", 0, 1024, 1, 4),
        ("the rest makes room", 2, 500, 3, 2),
        ("the rest would not", 2, 700, 4, 1),
    ] {
        let mut stats = Stats::default();
        let overflow = Overflow::DropOldest;
        let mut queue = Queue::new(QueueLimits { max_spans: 99, max_bytes: 1024, overflow });
        (0..4).for_each(|end| queue.push(span(250), end, None, &mut stats));
        let _lent = (on_its_way > 0).then(|| queue.lend(true, on_its_way));
        queue.push(span(new), 9, None, &mut stats);
        assert_eq!((queue.held().spans, full(&mut stats)), (waiting, dropped), "{name}");
    }
}

#[test]
fn of_many_batches_only_the_next_ones_are_looked_at_for_the_oldest() {
    for (name, younger, kept) in
        [("the last looked at", LOOKED_AT - 1, false), ("one beyond", LOOKED_AT, true)]
    {
        let mut stats = Stats::default();
        let limits = QueueLimits {
            max_spans: younger + 1,
            max_bytes: 1 << 20,
            overflow: Overflow::DropOldest,
        };
        let mut queue = Queue::new(limits);
        for end in 0..=younger as u64 {
            queue.push(vec![if end == 0 { b'o' } else { b'y' }], end, None, &mut stats);
        }
        let oldest = queue.lend(true, 1).unwrap();
        let others: Vec<Batch> = (0..younger).map(|_| queue.lend(true, 1).unwrap()).collect();
        others.into_iter().for_each(|batch| queue.give_back(batch));
        queue.give_back(oldest);
        push(&mut queue, "z", &mut stats);
        assert_eq!(waiting(&queue).contains('o'), kept, "{name}");
        assert_eq!(full(&mut stats), 1, "{name}");
    }
}

#[test]
fn what_failed_goes_again_before_what_is_new_unless_it_fails_and_fails() {
    let (mut queue, _) = queue(Overflow::DropNewest, 99, "abcdefghijkl");
    let mut order = String::new();
    // A collector that is away: each request fails.
    for _ in 0..12 {
        let batch = queue.lend(true, 2).unwrap();
        order += &names(batch.spans.iter().take(1));
        queue.give_back(batch);
    }
    // Round by round one batch more.
    assert_eq!(order, ["a", "ac", "ace", "aceg", "ac"].concat());
}

#[test]
fn new_spans_wait_for_their_turn_while_nothing_else_does() {
    let (mut queue, _) = queue(Overflow::DropNewest, 99, "abc");
    assert!(queue.lend(false, 2).is_none());
    let batch = queue.lend(true, 2).unwrap();
    queue.give_back_unseen(batch);
    assert_eq!(names(&queue.lend(false, 2).unwrap().spans), "ab");
}
