//! Spans of calls, which wait for their links.

use super::*;
use crate::trace::sample;

impl Run {
    fn push_call(&mut self, name: &str, end: u64, call: u32) {
        self.exporter.push_call(&span(name, end), Some(call), &mut self.stats);
        self.check_books();
    }

    /// Looks for the links of at most so many; those whose number is odd have one to a span of that number.
    /// Which were looked for.
    pub(super) fn link(&mut self, now: u64, most: usize) -> Vec<u32> {
        let mut asked = Vec::new();
        let mut find = |call: u32| {
            asked.push(call);
            (call % 2 == 1).then(|| sample::link(1, call.into()))
        };
        self.exporter.link(now, most, &mut find, &mut self.stats);
        self.check_books();
        asked
    }

    fn body(&mut self, now: u64) -> String {
        let Some((batch, body)) = self.exporter.next_batch(now, u64::MAX) else {
            return String::new();
        };
        self.exporter.sent(self.next_token, batch, now, &mut self.stats);
        self.next_token += 1;
        String::from_utf8(body).unwrap()
    }
}

#[test]
fn the_span_of_a_call_goes_a_second_later_with_the_link_that_is_found_then() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 1));
    run.push_call("a", SECOND, 1);
    run.push("b", SECOND);
    run.push_call("c", SECOND + 5, 2);
    assert_eq!(run.link(SECOND + SECOND / 2 + 1, 9), [1], "a first look");
    assert_eq!(run.link(2 * SECOND, 9), [2], "at the other, too");
    assert_eq!(run.body(2 * SECOND), "b", "others do not wait");
    assert_eq!(run.link(2 * SECOND + 1, 9), [1]);
    assert_eq!(run.body(2 * SECOND + 1), "a->1");
    assert_eq!(run.link(3 * SECOND, 9), [2]);
    assert_eq!(run.body(3 * SECOND), "c", "nothing was found");
    assert_eq!(run.total(Metric::CorrelationLinks), 1);
}

#[test]
fn so_many_are_looked_for_at_once_and_all_at_the_end_are_let_go() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 1));
    (1..=5).for_each(|call| run.push_call("a", 8 * SECOND, call));
    assert_eq!(run.link(10 * SECOND, 2), [1, 2, 1, 2], "two looks at each");
    assert_eq!(run.body(10 * SECOND), "a->1,a");
    run.push_call("late", 20 * SECOND, 7);
    run.exporter.flush(10 * SECOND);
    assert_eq!(run.link(10 * SECOND, 1), [3, 3], "the rest goes as it is");
    run.push_call("later", 20 * SECOND, 9);
    assert_eq!(run.body(10 * SECOND), "a->3,a,a,late,later", "and nothing waits any more");
}

#[test]
fn what_has_waited_for_long_goes_as_it_is() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 1));
    (1..=5).for_each(|call| run.push_call("a", u64::from(call) * SECOND, call));
    assert_eq!(run.link(6 * SECOND + 1, 1), [1, 1]);
    assert_eq!(run.body(7 * SECOND), "a->1,a,a", "two are more than three seconds old");
}

#[test]
fn where_the_queue_is_half_full_no_span_waits_for_its_link() {
    for (name, others, expected) in [("less", 4, "a,a,a,a"), ("half full", 5, "a,a,a,a,a,call")] {
        let mut run = Run::new(exporter(10, 1 << 20, 10, 1));
        run.push_many(others, 0);
        run.push_call("call", 0, 1);
        assert_eq!(run.body(SECOND), expected, "{name}");
    }
}

#[test]
fn a_link_that_there_is_no_room_for_is_left_out() {
    for (name, max_bytes, expected) in [("room", 4096, "->1"), ("no room", 1024, "")] {
        let mut run = Run::new(exporter(10, max_bytes, 10, 1));
        run.push_call("call", 0, 1);
        run.push(&"b".repeat(800), 0);
        assert_eq!(run.link(2 * SECOND, 9), [1, 1]);
        let ends = run.body(2 * SECOND).ends_with(&format!("call{expected}"));
        assert!(ends, "{name}");
    }
}

#[test]
fn a_full_queue_drops_what_waits_for_its_link_last() {
    let mut run = Run::new(exporter(4, 1 << 20, 10, 1));
    run.exporter.queue_limits.overflow = Overflow::DropOldest;
    run.exporter.queue = Queue::new(run.exporter.queue_limits);
    run.push_call("first", 0, 1);
    run.push_call("second", 0, 3);
    ["a", "b", "c", "d", "e"].iter().for_each(|name| run.push(name, SECOND));
    assert_eq!(run.total(Metric::SpansDroppedQueueFull), 3);
    run.check_books();
    assert_eq!(run.link(2 * SECOND, 9), [1, 3, 1, 3]);
    assert_eq!(run.body(2 * SECOND), "d,e,first->1,second->3");
}
