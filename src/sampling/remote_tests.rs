use super::*;

/// A random number, where it is of no account.
const RANDOM: u16 = 12_345;

const SECOND: u64 = 1_000_000_000;

const HALF: &[u8] = br#"{"probabilisticSampling":{"samplingRate":0.5}}"#;
const QUARTER: &[u8] = br#"{"strategyType":0,"probabilisticSampling":{"samplingRate":0.25}}"#;

fn remote(interval: u64) -> Remote {
    Remote::new(Duration::from_secs(interval))
}

/// What an answer says: a percentage, or why it is none.
fn said(answer: Result<Strategy, String>) -> Result<f64, String> {
    answer.map(|strategy| strategy.share.percent())
}

#[test]
fn an_answer_is_a_strategy_or_is_refused() {
    let refused = |reason: &str| Err(reason.to_owned());
    let long = vec![b' '; Remote::MAX_BODY];
    let mut remote = remote(60);
    for (rule, status, body, outcome) in [
        ("nothing is known before an answer", None, &b""[..], refused("its answer broke off")),
        ("a status other than 200", Some(404), HALF, refused("it answered 404")),
        ("nothing has come in time", Some(504), b"", refused("it answered 504")),
        ("the first good one", Some(200), HALF, Ok(50.0)),
        ("the same again", Some(200), HALF, Ok(50.0)),
        (
            "one that is none",
            Some(200),
            b"{",
            refused("answer: not JSON: value or end of sequence expected at line 1 column 2"),
        ),
        (
            "one that is too long",
            Some(200),
            &long,
            refused("answer: 131073 bytes; allowed: at most 131072"),
        ),
        (
            "a share that is none",
            Some(200),
            br#"{"probabilisticSampling":{"samplingRate":50}}"#,
            refused("answer.probabilisticSampling.samplingRate: 50 is not a number from 0 to 1"),
        ),
        ("no status", None, b"", refused("its answer broke off")),
        ("another good one", Some(200), QUARTER, Ok(25.0)),
    ] {
        remote.asked(Some(3), 0, RANDOM);
        assert_eq!(said(remote.answered(status, body, 0, RANDOM)), outcome, "{rule}");
        let is_first = rule.starts_with("nothing") || rule.starts_with("a status");
        assert_eq!(remote.has_answered(), !is_first, "{rule}");
    }
}

#[test]
fn it_waits_for_one_answer_and_for_that_only_once() {
    let mut remote = remote(60);
    assert!(!remote.waits_for(1));
    remote.asked(Some(1), 0, RANDOM);
    assert!(remote.waits_for(1) && !remote.waits_for(2));
    remote.answered(Some(200), HALF, 0, RANDOM).unwrap();
    assert!(!remote.waits_for(1));
    remote.asked(Some(2), 0, RANDOM);
    remote.asked(None, 0, RANDOM);
    assert!(!remote.waits_for(2));
}

#[test]
fn the_server_is_asked_at_once_and_then_at_each_interval_give_or_take_a_tenth() {
    let mut remote = remote(60);
    assert!(remote.is_due(0));
    remote.asked(Some(0), SECOND, RANDOM);
    let _ = remote.answered(Some(200), HALF, SECOND, RANDOM);
    let mut now = SECOND;
    for (random, seconds) in [(0, 54.0), (1 << 14, 57.0), (1 << 15, 60.0), (u16::MAX, 66.0)] {
        remote.asked(Some(1), now, random);
        let due = (now..).step_by(1_000_000).find(|now| remote.is_due(*now)).unwrap();
        let pause = (due - now) as f64 / SECOND as f64;
        assert!((pause - seconds).abs() < 0.01, "{random}: {pause}");
        let _ = remote.answered(Some(200), HALF, due, RANDOM);
        now = due;
    }
}

#[test]
fn it_is_asked_again_soon_until_there_is_a_good_answer() {
    for (rule, call, status, body, seconds) in [
        ("no call could be made", None, None, &b""[..], 5),
        ("it was down", Some(1), Some(503), b"", 5),
        ("it said nothing of use", Some(1), Some(200), b"{}", 5),
        ("it answered", Some(1), Some(200), HALF, 60),
    ] {
        for (interval, random) in [(3, 0), (60, 0), (60, u16::MAX)] {
            let mut remote = remote(interval);
            remote.asked(call, 0, random);
            let _ = remote.answered(status, body, 0, random);
            let seconds = seconds.min(interval);
            assert!(!remote.is_due(seconds * SECOND * 9 / 10 - 1), "{rule}, {interval} s");
            assert!(remote.is_due(seconds * SECOND * 11 / 10), "{rule}, {interval} s");
        }
    }
}

#[test]
fn one_that_fails_later_is_asked_at_each_interval() {
    let mut remote = remote(60);
    remote.asked(Some(1), 0, RANDOM);
    let _ = remote.answered(Some(200), HALF, 0, RANDOM);
    remote.asked(Some(2), 60 * SECOND, RANDOM);
    let _ = remote.answered(Some(503), b"", 61 * SECOND, RANDOM);
    assert!(!remote.is_due(113 * SECOND));
    assert!(remote.is_due(126 * SECOND));
}

#[test]
fn an_answer_has_come_or_failed_to_before_the_next_question() {
    for (interval, timeout) in [(1, 500), (5, 2500), (60, 4000), (3600, 4000)] {
        let mut remote = remote(interval);
        let timeout = Duration::from_millis(timeout);
        assert_eq!(remote.timeout(), timeout);
        remote.asked(Some(1), 0, 0);
        assert!(!remote.is_due(timeout.as_nanos() as u64));
    }
}

#[test]
fn no_interval_and_no_time_is_too_large() {
    let mut remote = Remote::new(Duration::MAX);
    remote.asked(Some(1), u64::MAX, RANDOM);
    let _ = remote.answered(Some(200), HALF, u64::MAX, RANDOM);
    assert!(remote.is_due(u64::MAX));
    assert!(Remote::new(Duration::ZERO).is_due(0));
}

#[test]
fn the_question_names_the_service_whatever_is_in_it() {
    for (path, service, expected) in [
        ("/api/sampling", "reviews.default", "/api/sampling?service=reviews.default"),
        ("/sampling", "a-b_c~d.9", "/sampling?service=a-b_c~d.9"),
        ("/s", "a b&c=d/é%\n", "/s?service=a%20b%26c%3dd%2f%c3%a9%25%0a"),
        ("/s", "", "/s?service="),
        ("/s?key=1", "a", "/s?key=1&service=a"),
    ] {
        assert_eq!(question(path, service), expected);
    }
}
