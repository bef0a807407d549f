//! What becomes of a batch that left, and when the next one may.

use super::*;

#[test]
fn a_batch_that_fails_is_sent_again_after_a_pause_for_as_long_as_it_takes() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(3, 0);
    let mut now = 20 * SECOND;
    for token in 0..1000 {
        assert_eq!(run.send(now, now + SECOND), [3]);
        run.answer(token, LATER, now);
        run.check_books();
        now += PAUSE;
    }
    assert_eq!(run.send(now, now + SECOND), [3]);
    run.answer(1000, Answer::ACCEPTED, now);
    run.check_books();
    assert!(run.exporter.is_empty());
    let metrics = [Metric::SpansExported, Metric::ExportRequests, Metric::ExportFailures];
    assert_eq!(metrics.map(|metric| run.total(metric)), [3, 1001, 1000]);
}

#[test]
fn a_collector_that_asks_for_time_gets_it() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(3, 0);
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), [3]);
    run.answer(0, Answer::Later { after: Some(Duration::from_secs(30)) }, 10 * SECOND);
    assert_eq!(run.send(40 * SECOND - 1, 41 * SECOND), NOTHING);
    assert_eq!(run.send(41 * SECOND, 42 * SECOND), [3]);
    // But no more than a minute, and a second at random.
    run.answer(1, Answer::Later { after: Some(Duration::from_hours(1)) }, 50 * SECOND);
    assert_eq!(run.send(110 * SECOND - 1, 110 * SECOND - 1), NOTHING);
    assert_eq!(run.send(111 * SECOND, 111 * SECOND), [3]);
}

#[test]
fn when_the_collector_may_be_back_one_request_asks_and_then_come_the_rest() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(60, 0);
    let mut now = 10 * SECOND;
    assert_eq!(run.send(now, now + SECOND), [10, 10, 10, 10]);
    (0..4).for_each(|token| run.answer(token, LATER, now));
    assert!(!run.exporter.is_due(), "the collector is spared");
    for token in 4..8 {
        now += PAUSE;
        assert_eq!(run.send(now, now + SECOND), [10], "one asks");
        assert_eq!(run.send(now + PAUSE - 1, now + PAUSE), NOTHING, "and no other");
        run.answer(token, LATER, now);
        run.check_books();
    }
    now += PAUSE;
    assert_eq!(run.send(now, now + SECOND), [10]);
    run.answer(8, Answer::ACCEPTED, now);
    assert_eq!(run.send(now, now + SECOND), [10, 10, 10, 10], "as many as may be on their way");
    run.answer(9, Answer::ACCEPTED, now);
    assert_eq!(run.send(now, now + SECOND), [10]);
    run.check_books();
}

#[test]
fn a_batch_that_never_succeeds_does_not_stop_the_others() {
    let mut run = Run::new(exporter(1000, 1 << 20, 10, 1));
    let mut now = 10 * SECOND;
    run.push_many(10, now);
    assert_eq!(run.send(now, now), [10]);
    run.answer(0, LATER, now);
    for round in 1..=50 {
        run.push("good", now);
        now += PAUSE;
        for size in run.send(now, now) {
            let token = run.exporter.in_flight.iter().map(|(token, _)| *token).max().unwrap();
            let answer = if size == 10 { LATER } else { Answer::ACCEPTED };
            run.answer(token, answer, now);
        }
        run.check_books();
        assert!(run.total(Metric::SpansExported) + 2 >= round, "round {round}");
    }
}

#[test]
fn a_call_that_cannot_be_made_is_a_failure_and_no_request_and_its_spans_wait() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(3, 0);
    let mut now = 10 * SECOND;
    for failures in 1..100 {
        let (batch, _) = run.exporter.next_batch(now, now + SECOND).unwrap();
        assert_eq!(batch.failures, 0);
        run.exporter.unsent(batch, now, &mut run.stats);
        run.check_books();
        assert_eq!(run.total(Metric::ExportFailures), failures);
        now += PAUSE;
    }
    assert_eq!(run.total(Metric::ExportRequests), 0);
    assert_eq!(run.send(now, now + SECOND), [3]);
}

#[test]
fn an_answer_decides_what_becomes_of_its_batch() {
    for (answer, exported, rejected, waiting) in [
        (Answer::ACCEPTED, 3, 0, 0),
        (Answer::Accepted { rejected: 1 }, 2, 1, 0),
        (Answer::Accepted { rejected: 3 }, 0, 3, 0),
        (Answer::Accepted { rejected: 999 }, 0, 3, 0),
        (Answer::Rejected, 0, 3, 0),
        (Answer::TooLarge, 0, 0, 3),
        (LATER, 0, 0, 3),
    ] {
        let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
        run.push_many(3, 0);
        assert_eq!(run.send(10 * SECOND, 11 * SECOND), [3]);
        run.answer(0, answer, 10 * SECOND);
        run.check_books();
        let metrics = [Metric::SpansExported, Metric::SpansDroppedRejected, Metric::QueueSpans];
        assert_eq!(metrics.map(|m| run.total(m)), [exported, rejected, waiting], "{answer:?}");
        let accepted = matches!(answer, Answer::Accepted { .. });
        assert_eq!(run.total(Metric::ExportFailures), i64::from(!accepted), "{answer:?}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_only_what_is_too_large_is_dropped() {
    for (name, spans, largest, requests, dropped) in [
        ("all fit in halves", vec![1; 8], 4, 3, 0),
        ("an odd number", vec![1; 7], 3, 5, 0),
        ("one by one", vec![1; 4], 1, 7, 0),
        ("one is too large", vec![1, 1, 1, 99, 1, 1, 1, 1], 8, 7, 1),
        ("all are too large", vec![99; 4], 8, 7, 4),
    ] {
        let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
        spans.iter().for_each(|size| run.push(&"a".repeat(*size), 0));
        let mut exported = 0;
        while !run.exporter.is_empty() {
            assert!(!run.send(10 * SECOND, 11 * SECOND).is_empty(), "no pause between halves");
            let sent = |(token, sent): &(u32, Sent)| {
                let bytes: usize = sent.batch.spans.iter().map(Vec::len).sum();
                (*token, bytes, sent.batch.spans.len())
            };
            for (token, bytes, spans) in run.exporter.in_flight.iter().map(sent).collect::<Vec<_>>()
            {
                let answer = if bytes > largest { Answer::TooLarge } else { Answer::ACCEPTED };
                exported += if bytes > largest { 0 } else { spans };
                run.answer(token, answer, 10 * SECOND);
                run.check_books();
            }
        }
        let metrics = [Metric::SpansExported, Metric::SpansDroppedTooLarge, Metric::ExportRequests];
        let expected = [exported as i64, dropped, requests];
        assert_eq!(metrics.map(|metric| run.total(metric)), expected, "{name}");
    }
}

#[test]
fn only_a_configuration_that_was_replaced_gives_up_and_after_five_minutes() {
    const END: u64 = 10 * SECOND + 300 * SECOND;
    for (name, replaced, now, dropped) in [
        ("in force", false, u64::MAX, 0),
        ("replaced", true, END - 1, 0),
        ("replaced five minutes ago", true, END, 15),
    ] {
        let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
        run.push_many(25, 0);
        assert_eq!(run.send(5 * SECOND, 5 * SECOND), [10, 10]);
        run.answer(0, LATER, 5 * SECOND);
        if replaced {
            run.exporter.flush(10 * SECOND);
        }
        run.exporter.give_up(now, &mut run.stats);
        run.check_books();
        // What is on its way may still arrive.
        assert_eq!(run.total(Metric::SpansDroppedRetriesExhausted), dropped, "{name}");
        run.answer(1, LATER, now);
        run.exporter.give_up(now, &mut run.stats);
        run.check_books();
        assert_eq!(run.exporter.is_empty(), dropped > 0, "{name}");
    }
}

#[test]
fn answers_come_in_any_order_once_and_for_our_own_tokens_only() {
    let mut run = Run::new(exporter(100, 1 << 20, 10, 10));
    run.push_many(35, 0);
    assert_eq!(run.send(10 * SECOND, 11 * SECOND), [10, 10, 10, 5]);
    for (token, exported) in [(3, 5), (99, 5), (1, 15), (3, 15), (0, 25), (2, 35), (2, 35)] {
        run.answer(token, Answer::ACCEPTED, 10 * SECOND);
        run.check_books();
        assert_eq!(run.total(Metric::SpansExported), exported, "{token}");
    }
    assert!(run.exporter.is_empty());
}
