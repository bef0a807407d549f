//! The pauses, with time and chance passed in.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Many pauses after so many failures in a row, in order of their length.
fn pauses(failures: u32, after: Option<Duration>) -> Vec<u64> {
    let pause = |seed| {
        let mut backoff = Backoff::new(seed);
        for _ in 1..failures {
            backoff.failed(!backoff.is_open(), 0, None);
            backoff.sent();
        }
        backoff.failed(!backoff.is_open(), 0, after);
        until(&backoff)
    };
    let mut pauses: Vec<u64> = (0..1000).map(pause).collect();
    pauses.sort_unstable();
    pauses
}

fn until(backoff: &Backoff) -> u64 {
    match backoff.state {
        State::Paused(until) => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pauses_are_drawn_from_the_whole_of_a_range_that_doubles_up_to_a_cap() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (failures, after, least, most) in [
        (1, None, 0, 1),
        (2, None, 0, 2),
        (3, None, 0, 4),
        (4, None, 0, 4),
        (1000, None, 0, 4),
        (1, seconds(0), 0, 1),
        (1, seconds(7), 7, 8),
        (5, seconds(7), 7, 8),
        (1, seconds(60), 60, 61),
        (1, seconds(3600), 60, 61),
        (1, Some(Duration::MAX), 60, 61),
    ] {
        let pauses = pauses(failures, after);
        let share = |percent: u64| least * SECOND + (most - least) * SECOND * percent / 100;
        // Each quarter of them is spread over its quarter of the range.
        for (quarter, pauses) in pauses.chunks(250).enumerate() {
            let (first, last) = (pauses[0], pauses[249]);
            let (from, to) = (25 * quarter as u64, 25 * (quarter as u64 + 1));
            let near = |pause: u64, percent: u64| {
                (share(percent.saturating_sub(5))..=share((percent + 5).min(100))).contains(&pause)
            };
            let name = format!("{failures} failures, {after:?}: {first} to {last}");
            assert!(near(first, from) && near(last, to), "{name}");
        }
    }
}

#[test]
fn two_proxies_do_not_pause_alike() {
    let pause = |seed| {
        let mut backoff = Backoff::new(seed);
        backoff.failed(false, 0, None);
        until(&backoff)
    };
    assert_ne!(pause(1), pause(2));
}

#[test]
fn after_the_pause_one_request_asks_and_its_answer_decides() {
    for (name, well) in [("back", true), ("still away", false)] {
        let mut backoff = Backoff::new(1);
        assert!(!backoff.sent(), "a collector that is well is not asked");
        backoff.failed(false, SECOND, None);
        let until = until(&backoff);
        assert!(!backoff.allows(until - 1));
        assert!(backoff.allows(until));
        assert!(backoff.sent());
        assert!(!backoff.allows(u64::MAX), "the others wait for its answer");
        if well {
            backoff.answered(true);
        } else {
            backoff.failed(true, until, None);
        }
        assert_eq!(backoff.is_open(), well, "{name}");
        assert_eq!(backoff.failures, if well { 0 } else { 2 }, "{name}");
    }
}

#[test]
fn what_was_on_its_way_at_the_first_failure_says_nothing_new() {
    let mut backoff = Backoff::new(1);
    backoff.failed(false, 0, None);
    let before = until(&backoff);
    backoff.failed(false, 0, None);
    backoff.answered(false);
    assert_eq!((backoff.failures, backoff.state), (1, State::Paused(before)));
    backoff.failed(false, 0, Some(Duration::from_secs(9)));
    assert!(until(&backoff) >= 9 * SECOND, "a wait that it asks for counts all the same");
    backoff.sent();
    backoff.failed(false, 0, None);
    backoff.answered(false);
    assert_eq!((backoff.failures, backoff.state), (1, State::Probing));
}
