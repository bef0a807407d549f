//! Ceilings, by a simulation of workers that share a bucket and see it late.

use super::super::{Reason, Sampler, Surroundings, Verdict};
use super::LATE;
use crate::config::{Attribute, MeshConfig, PluginConfig, Strategy, settings};
use crate::trace::{Decision, IdGenerator, TraceId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

const SECOND: u64 = 1_000_000_000;

/// Shared data of a process, and its clock.
#[derive(Default)]
struct Process {
    now: Cell<u64>,
    /// Each key's values; a version is the number of values up to it.
    values: RefCell<HashMap<Vec<u8>, Vec<Vec<u8>>>>,
    /// Of so many reads one is late, and sees what was there two writes ago.
    late: Cell<u64>,
    reads: Cell<u64>,
    refused: Cell<u64>,
}

impl Surroundings for Process {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        self.now.get()
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.reads.set(self.reads.get() + 1);
        let values = self.values.borrow();
        let values = values.get(key)?;
        let is_late = self.late.get() > 0 && self.reads.get().is_multiple_of(self.late.get());
        let version = values.len() - if is_late { 2.min(values.len() - 1) } else { 0 };
        Some((values[version - 1].clone(), version as u32))
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        let mut all = self.values.borrow_mut();
        let values = all.entry(key.to_owned()).or_default();
        let is_written = version == 0 || version as usize == values.len();
        match is_written {
            true => values.push(value.to_vec()),
            false => self.refused.set(self.refused.get() + 1),
        }
        is_written
    }
}

fn workers(count: usize, sampling: &str) -> Vec<Sampler> {
    let json = format!(r#"{{"sampling": {sampling}}}"#);
    let plugin = PluginConfig::parse(json.as_bytes()).unwrap();
    let sampling = settings(plugin, MeshConfig::default()).sampling;
    (0..count).map(|_| Sampler::new(sampling.clone())).collect()
}

/// Requests at random times, each to one worker or another.
struct Load {
    process: Process,
    workers: Vec<Sampler>,
    ids: IdGenerator,
}

impl Load {
    fn new(count: usize, sampling: &str) -> Self {
        let process = Process::default();
        process.now.set(1_000 * SECOND);
        Self { process, workers: workers(count, sampling), ids: IdGenerator::new([9; 32]) }
    }

    fn id(&mut self) -> TraceId {
        self.ids.trace_id()
    }

    /// One request of this path.
    fn request(&mut self, path: &str) -> Verdict {
        let id = self.id();
        let worker = &self.workers[(id.value() >> 64) as usize % self.workers.len()];
        worker.decide(&[(b":path", path.as_bytes())], id.randomness(), &self.process)
    }

    /// So many requests a second for so long; what was sampled of them.
    fn run(&mut self, rate: f64, seconds: u64, path: &str) -> Vec<Verdict> {
        let end = self.process.now.get() + seconds * SECOND;
        let mut sampled = Vec::new();
        loop {
            let random = (self.id().value() >> 75) as f64 / (1_u64 << 53) as f64;
            let pause = -(1.0 - random).ln() / rate;
            let now = self.process.now.get() + (pause * SECOND as f64) as u64;
            self.process.now.set(now.min(end));
            if now >= end {
                return sampled;
            }
            let verdict = self.request(path);
            if verdict.decision.is_sampled() {
                sampled.push(verdict);
            }
        }
    }
}

fn is_within(count: usize, expected: f64, part: f64) -> bool {
    (count as f64 - expected).abs() <= expected * part
}

#[test]
fn ten_seconds_of_any_load_have_as_many_as_the_ceiling_says() {
    for workers in [1, 2, 4] {
        for late in [0, 2, 3] {
            for (ceiling, loads) in [
                (20.0, [40.0, 200.0, 2_000.0]),
                (50.0, [100.0, 1_000.0, 5_000.0]),
                (80.0, [160.0, 800.0, 1_600.0]),
            ] {
                let name = format!("{workers} workers, 1 of {late} reads late, {ceiling} a second");
                for load in loads {
                    let sampling = format!(r#"{{"percent": 100, "ratePerSecond": {ceiling}}}"#);
                    let mut test = Load::new(workers, &sampling);
                    test.process.late.set(late);
                    // A full bucket is in the first ten seconds, too.
                    for part in [0.10, 0.02, 0.02] {
                        let count = test.run(load, 10, "/").len();
                        let expected = ceiling * 10.0;
                        assert!(is_within(count, expected, part), "{name}: {count} of {load}");
                    }
                    assert_eq!(test.process.refused.get() > 0, late > 0, "{name}");
                }
            }
        }
    }
}

#[test]
fn a_load_that_changes_has_as_many_as_the_ceiling_says() {
    let mut test = Load::new(4, r#"{"percent": 100, "ratePerSecond": 50}"#);
    for (load, seconds) in [(100.0, 10), (50_000.0, 10), (100.0, 10), (5_000.0, 20), (200.0, 10)] {
        let count = test.run(load, seconds, "/").len();
        assert!(is_within(count, 50.0 * seconds as f64, 0.10), "{load}: {count}");
    }
}

#[test]
fn a_load_below_the_ceiling_is_sampled_whole() {
    let mut test = Load::new(2, r#"{"percent": 100, "ratePerSecond": 50}"#);
    let sampled = test.run(20.0, 100, "/");
    assert!(is_within(sampled.len(), 2_000.0, 0.1), "{}", sampled.len());
    assert!(sampled.iter().all(|it| it.threshold.unwrap().probability() == "1"));
}

#[test]
fn a_burst_passes_and_no_more_than_that() {
    for (sampling, most) in [
        (r#"{"percent": 100, "ratePerSecond": 10, "burst": 100}"#, 100),
        (r#"{"percent": 100, "ratePerSecond": 10, "burst": 1}"#, 1),
        (r#"{"percent": 100, "ratePerSecond": 10}"#, 5),
        (r#"{"percent": 100, "ratePerSecond": 0.01}"#, 1),
    ] {
        let mut test = Load::new(2, sampling);
        for _ in 0..2 {
            let verdicts: Vec<Verdict> = (0..2_000).map(|_| test.request("/")).collect();
            let is_whole = |verdict: &Verdict| verdict.threshold.unwrap().probability() == "1";
            // The bucket that has just become empty is not yet in debt.
            assert!(verdicts[..=most].iter().all(is_whole), "{sampling}");
            assert!(!verdicts[most + 1..].iter().any(is_whole), "{sampling}");
            let sampled = verdicts.iter().filter(|it| it.decision.is_sampled()).count();
            let debt = 12.0 * (most as f64 / 16.0).max(0.5) + 2.0;
            assert!(sampled as f64 <= most as f64 + debt, "{sampling}: {sampled}");
            // Long enough for the debt and a full bucket, whatever the ceiling.
            test.process.now.set(test.process.now.get() + 100_000 * SECOND);
        }
    }
}

#[test]
fn what_is_sampled_stands_for_what_came() {
    let mut test = Load::new(4, r#"{"percent": 25, "ratePerSecond": 50}"#);
    test.process.late.set(3);
    for load in [1_000.0, 100.0, 10_000.0] {
        let sampled = test.run(load, 100, "/");
        let weights = sampled.iter().map(|it| 1.0 / it.threshold.unwrap().probability_as_f64());
        // 5,000 spans or so, so that five standard deviations are 7 %, and more for those of a change.
        let came: f64 = weights.sum();
        assert!(is_within(came as usize, load * 100.0, 0.1), "{load}: {came}");
    }
}

#[test]
fn a_rule_has_a_ceiling_of_its_own_below_that_of_all() {
    let mut test = Load::new(
        2,
        r#"{"percent": 100, "ratePerSecond": 50, "rules": [
        {"name": "pay", "match": {"path": {"prefix": "/pay"}}, "percent": 100, "ratePerSecond": 20},
        {"name": "rest", "match": {"path": {"prefix": "/rest"}}}]}"#,
    );
    let mut counts = [0, 0, 0];
    for _ in 0..4_000 {
        for (count, path) in counts.iter_mut().zip(["/pay", "/rest", "/"]) {
            test.process.now.set(test.process.now.get() + SECOND / 300);
            *count += usize::from(test.request(path).decision.is_sampled());
        }
    }
    // Forty seconds. A third of 50 is less than 20, so that the rule's own ceiling holds nobody up.
    assert!(is_within(counts.iter().sum(), 2_000.0, 0.06), "{counts:?}");
    for count in counts {
        assert!(is_within(count, 2_000.0 / 3.0, 0.2), "{counts:?}");
    }
    let pay = test.run(1_000.0, 40, "/pay").len();
    assert!(is_within(pay, 800.0, 0.06), "{pay}");
}

#[test]
fn a_server_s_ceiling_is_for_all_that_has_its_share() {
    let mut test = Load::new(
        2,
        r#"{"percent": 0, "rules": [
        {"name": "own", "match": {"path": {"prefix": "/own"}}, "percent": 100},
        {"name": "rest", "match": {"path": {"prefix": "/rest"}}}]}"#,
    );
    let follow = |test: &mut Load, answer: &str| {
        let strategy = Strategy::parse(answer.as_bytes()).unwrap();
        test.workers.iter_mut().for_each(|worker| worker.follow(strategy.clone()));
    };
    let limit = |most| format!(r#"{{"rateLimitingSampling": {{"maxTracesPerSecond": {most}}}}}"#);
    follow(&mut test, &limit(20));
    for (path, expected, part) in [("/", 200.0, 0.1), ("/rest", 200.0, 0.1), ("/own", 5_000.0, 0.1)]
    {
        let count = test.run(500.0, 10, path).len();
        assert!(is_within(count, expected, part), "{path}: {count}");
    }
    // Another word, and none of it is left when the next one has no ceiling.
    follow(&mut test, &limit(50));
    test.run(500.0, 2, "/");
    let count = test.run(500.0, 10, "/").len();
    assert!(is_within(count, 500.0, 0.1), "{count}");
    follow(&mut test, &limit(0));
    assert_eq!(test.run(500.0, 10, "/"), []);
    follow(&mut test, r#"{"probabilisticSampling": {"samplingRate": 1}}"#);
    assert!(is_within(test.run(500.0, 10, "/").len(), 5_000.0, 0.1));
}

#[test]
fn who_is_not_sampled_anyway_asks_nobody() {
    let mut test = Load::new(1, r#"{"percent": 0, "ratePerSecond": 50}"#);
    assert_eq!(test.run(1_000.0, 10, "/"), []);
    assert_eq!(test.process.reads.get(), 0);
}

#[test]
fn what_the_ceiling_leaves_out_says_so() {
    let mut test = Load::new(1, r#"{"percent": 100, "ratePerSecond": 0.01}"#);
    let verdicts: Vec<Verdict> = (0..100).map(|_| test.request("/")).collect();
    let dropped = verdicts.iter().filter(|it| it.decision == Decision::Drop);
    assert!(dropped.clone().count() > 80);
    assert!(dropped.clone().all(|it| it.reason == Reason::Ceiling));
}

#[test]
fn a_clock_that_jumps_and_a_bucket_of_others_do_no_lasting_harm() {
    let (ceiling, load) = (50.0, 1_000.0);
    let bytes = |tokens: f64, at: u64| [tokens.to_le_bytes(), at.to_le_bytes()].concat();
    let start = 1_000 * SECOND;
    for (name, value, at) in [
        ("a clock set back by a day", bytes(0.0, start + 86_400 * SECOND), start),
        ("by less than workers may be late", bytes(0.0, start + LATE), start),
        ("a clock set forward by a day", bytes(-10.0, start), start + 86_400 * SECOND),
        ("a clock at its end", bytes(0.0, u64::MAX), start),
        ("deepest debt at a clock's end", bytes(f64::MIN, u64::MAX), start),
        ("no number at a clock's end", vec![0xff; 16], start),
        ("one byte more than ours", vec![0xff; 17], start),
        ("no number", bytes(f64::NAN, start), start),
        ("more than the bucket holds", bytes(f64::INFINITY, start), start),
        ("a debt for ever", bytes(f64::NEG_INFINITY, start), start),
        ("no bucket", b"hello".to_vec(), start),
        ("nothing", Vec::new(), start),
    ] {
        let mut test = Load::new(2, &format!(r#"{{"percent": 100, "ratePerSecond": {ceiling}}}"#));
        test.process.values.borrow_mut().insert(b"meshspan.ceiling".to_vec(), vec![value]);
        test.process.now.set(at);
        // A second for a clock that is late, one for the deepest debt; a full bucket at the most.
        test.run(load, 2, "/");
        let count = test.run(load, 10, "/").len();
        assert!(is_within(count, ceiling * 10.0, 0.05), "{name}: {count}");
    }
}
