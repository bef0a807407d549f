//! The pauses, with time and chance passed in.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A collector that has just failed, at 0.
fn closed(seed: u64) -> Backoff {
    let mut backoff = Backoff::new(seed);
    let request = backoff.sent(0);
    backoff.failed(request, 0, None);
    backoff
}

fn until(backoff: &Backoff) -> u64 {
    match backoff.state {
        State::Closed { until, .. } => until,
        State::Open => panic!("it is open"),
    }
}

/// Many pauses after so many failures in a row, in order of their length.
fn pauses(failures: u32, after: Option<Duration>) -> Vec<u64> {
    let pause = |seed| {
        let mut backoff = Backoff::new(seed);
        for failure in 1..=failures {
            let request = backoff.sent(0);
            backoff.failed(request, 0, after.filter(|_| failure == failures));
        }
        until(&backoff)
    };
    let mut pauses: Vec<u64> = (0..1000).map(pause).collect();
    pauses.sort_unstable();
    pauses
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
    assert_ne!(until(&closed(1)), until(&closed(2)));
}

#[test]
fn after_the_pause_one_request_asks_and_its_answer_decides() {
    for (name, well) in [("back", true), ("still away", false)] {
        let mut backoff = closed(1);
        let pause = until(&backoff);
        assert!(!backoff.allows(pause - 1));
        assert!(backoff.allows(pause));
        let asks = backoff.sent(pause);
        assert!(!backoff.allows(pause + LONGEST_PAUSE - 1), "the others wait for its answer");
        if well {
            backoff.answered(asks);
        } else {
            backoff.failed(asks, pause, None);
            assert!(until(&backoff) <= pause + 2 * SECOND, "no longer than it is known to be away");
        }
        assert_eq!(backoff.is_open(), well, "{name}");
        assert_eq!(backoff.failures, if well { 0 } else { 2 }, "{name}");
    }
}

#[test]
fn one_that_asks_and_gets_no_answer_is_followed_by_another_and_the_first_answer_decides() {
    for answered in 0..3 {
        let mut backoff = closed(1);
        let mut now = until(&backoff);
        let asking = [(); 3].map(|()| {
            let request = backoff.sent(now);
            now += LONGEST_PAUSE;
            assert!(!backoff.allows(now - 1) && backoff.allows(now));
            request
        });
        backoff.answered(asking[answered]);
        assert!(backoff.is_open());
        // The earlier ones say nothing any more, a later one does.
        for (number, request) in asking.into_iter().enumerate().filter(|(n, _)| *n != answered) {
            let mut backoff = Backoff { dice: Xoshiro256PlusPlus::seed_from_u64(1), ..backoff };
            backoff.failed(request, now, None);
            assert_eq!(backoff.is_open(), number < answered, "{number} after {answered}");
        }
    }
}

#[test]
fn of_several_that_ask_only_the_failure_of_the_last_begins_a_pause() {
    let mut backoff = closed(1);
    let first = backoff.sent(10 * SECOND);
    let second = backoff.sent(14 * SECOND);
    backoff.failed(first, 15 * SECOND, None);
    assert_eq!((backoff.failures, until(&backoff)), (1, 18 * SECOND));
    backoff.failed(second, 16 * SECOND, None);
    assert_eq!(backoff.failures, 2);
    assert!(until(&backoff) <= 18 * SECOND);
}

#[test]
fn what_was_on_its_way_at_the_first_failure_says_nothing_new() {
    let mut backoff = Backoff::new(1);
    let requests = [(); 5].map(|()| backoff.sent(0));
    backoff.failed(requests[2], 0, None);
    let before = backoff.state;
    backoff.failed(requests[1], 0, None);
    backoff.answered(requests[0]);
    assert_eq!((backoff.failures, backoff.state), (1, before));
    backoff.failed(requests[3], 0, Some(Duration::from_secs(9)));
    assert!(until(&backoff) >= 9 * SECOND, "a wait that it asks for counts all the same");
    backoff.sent(0);
    let before = backoff.state;
    backoff.failed(requests[4], 0, None);
    assert_eq!((backoff.failures, backoff.state), (1, before));
}

#[test]
fn a_failure_says_nothing_once_a_later_request_was_answered() {
    let mut backoff = Backoff::new(1);
    let [first, second, third] = [(); 3].map(|()| backoff.sent(0));
    backoff.answered(second);
    backoff.failed(first, 5 * SECOND, None);
    assert!(backoff.is_open());
    backoff.failed(third, 5 * SECOND, None);
    assert!(!backoff.is_open());
}
