use super::*;

const SECOND: u64 = 1_000_000_000;

const HALF: &[u8] = br#"{"probabilisticSampling":{"samplingRate":0.5}}"#;
const QUARTER: &[u8] = br#"{"strategyType":0,"probabilisticSampling":{"samplingRate":0.25}}"#;

fn remote(interval: u64) -> Remote {
    Remote::new(Duration::from_secs(interval), 7)
}

fn percent(remote: &Remote) -> Option<f64> {
    remote.strategy().map(|strategy| strategy.share.percent())
}

/// Asks as soon as it is due after `now`, to the millisecond; when that was.
fn ask_next(remote: &mut Remote, call: u32, now: u64) -> u64 {
    let due = (now..).step_by(1_000_000).find(|now| remote.is_due(*now)).unwrap();
    remote.asked(Some(call), due);
    due
}

#[test]
fn the_last_good_answer_is_kept() {
    let refused = |reason: &str| Some(Err(reason.to_owned()));
    let long = vec![b' '; Remote::MAX_BODY];
    let mut remote = remote(60);
    for (rule, status, body, outcome, known) in [
        (
            "nothing is known before an answer",
            None,
            &b""[..],
            refused("its answer broke off"),
            None,
        ),
        ("a status other than 200", Some(404), HALF, refused("it answered 404"), None),
        ("nothing has come in time", Some(504), b"", refused("it answered 504"), None),
        ("the first good one", Some(200), HALF, Some(Ok(())), Some(50.0)),
        ("the same again", Some(200), HALF, Some(Ok(())), Some(50.0)),
        (
            "one that is none",
            Some(200),
            b"{",
            refused("answer: not JSON: value or end of sequence expected at line 1 column 2"),
            Some(50.0),
        ),
        (
            "one that is too long",
            Some(200),
            &long,
            refused("answer: 131073 bytes; allowed: at most 131072"),
            Some(50.0),
        ),
        (
            "a share that is none",
            Some(200),
            br#"{"probabilisticSampling":{"samplingRate":50}}"#,
            refused("answer.probabilisticSampling.samplingRate: 50 is not a number from 0 to 1"),
            Some(50.0),
        ),
        ("no status", None, b"", refused("its answer broke off"), Some(50.0)),
        ("another good one", Some(200), QUARTER, Some(Ok(())), Some(25.0)),
    ] {
        remote.asked(Some(3), 0);
        assert_eq!(remote.answered(3, status, body, 0), outcome, "{rule}");
        assert_eq!(percent(&remote), known, "{rule}");
    }
}

#[test]
fn only_the_answer_that_is_waited_for_counts_and_only_once() {
    let mut remote = remote(60);
    assert_eq!(remote.answered(1, Some(200), HALF, 0), None);
    remote.asked(Some(1), 0);
    assert_eq!(remote.answered(2, Some(200), HALF, 0), None);
    assert_eq!(percent(&remote), None);
    assert_eq!(remote.answered(1, Some(200), HALF, 0), Some(Ok(())));
    assert_eq!(remote.answered(1, Some(200), QUARTER, 0), None);
    remote.asked(Some(2), 0);
    remote.asked(None, 0);
    assert_eq!(remote.answered(2, Some(200), QUARTER, 0), None);
    assert_eq!(percent(&remote), Some(50.0));
}

#[test]
fn the_server_is_asked_at_once_and_then_at_each_interval_give_or_take_a_tenth() {
    let mut remote = remote(60);
    assert!(remote.is_due(0));
    remote.asked(Some(0), SECOND);
    remote.answered(0, Some(200), HALF, SECOND);
    let mut now = SECOND;
    let mut pauses = Vec::new();
    for call in 1..100 {
        let due = ask_next(&mut remote, call, now);
        remote.answered(call, Some(200), HALF, due);
        pauses.push(due - now);
        now = due;
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!((54 * SECOND..55 * SECOND).contains(least), "{least}");
    assert!((65 * SECOND..=66 * SECOND).contains(most), "{most}");
}

#[test]
fn it_is_asked_again_soon_until_there_is_a_good_answer() {
    for (rule, call, status, body, seconds) in [
        ("no call could be made", None, None, &b""[..], 5),
        ("it was down", Some(1), Some(503), b"", 5),
        ("it said nothing of use", Some(1), Some(200), b"{}", 5),
        ("it answered", Some(1), Some(200), HALF, 60),
    ] {
        for interval in [3, 60] {
            let mut remote = remote(interval);
            remote.asked(call, 0);
            remote.answered(1, status, body, 0);
            let seconds = seconds.min(interval);
            assert!(!remote.is_due(seconds * SECOND * 9 / 10 - 1), "{rule}, {interval} s");
            assert!(remote.is_due(seconds * SECOND * 11 / 10), "{rule}, {interval} s");
        }
    }
}

#[test]
fn one_that_fails_later_is_asked_at_each_interval() {
    let mut remote = remote(60);
    remote.asked(Some(1), 0);
    remote.answered(1, Some(200), HALF, 0);
    remote.asked(Some(2), 60 * SECOND);
    remote.answered(2, Some(503), b"", 61 * SECOND);
    assert!(!remote.is_due(113 * SECOND));
    assert!(remote.is_due(126 * SECOND));
}

#[test]
fn proxies_that_start_together_do_not_ask_together() {
    let next = |seed| {
        let mut remote = Remote::new(Duration::from_secs(60), seed);
        remote.asked(None, 0);
        remote.next
    };
    let all: std::collections::HashSet<u64> = (0..100).map(next).collect();
    assert_eq!(all.len(), 100);
    assert_eq!(next(1), next(1));
}

#[test]
fn an_answer_has_come_or_failed_to_before_the_next_question() {
    for (interval, timeout) in [(1, 500), (5, 2500), (60, 4000), (3600, 4000)] {
        let mut remote = remote(interval);
        let timeout = Duration::from_millis(timeout);
        assert_eq!(remote.timeout(), timeout);
        remote.asked(Some(1), 0);
        assert!(!remote.is_due(timeout.as_nanos() as u64));
    }
}

#[test]
fn no_interval_and_no_time_is_too_large() {
    let mut remote = Remote::new(Duration::MAX, 7);
    remote.asked(Some(1), u64::MAX);
    remote.answered(1, Some(200), HALF, u64::MAX);
    assert!(remote.is_due(u64::MAX));
    assert!(Remote::new(Duration::ZERO, 7).is_due(0));
}

#[test]
fn the_question_names_the_service_whatever_is_in_it() {
    for (path, service, expected) in [
        ("/api/sampling", "reviews.default", "/api/sampling?service=reviews.default"),
        ("/sampling", "a-b_c~d.9", "/sampling?service=a-b_c~d.9"),
        ("/s", "a b&c=d/é%\n", "/s?service=a%20b%26c%3dd%2f%c3%a9%25%0a"),
        ("/s", "", "/s?service="),
    ] {
        assert_eq!(question(path, service), expected);
    }
}
