mod remote;
mod rules;

use super::*;
use crate::config::{Attribute, Percentage};
use crate::trace::{IdGenerator, TraceId};

/// Envoy knows nothing yet.
pub(crate) struct Nowhere;

impl Surroundings for Nowhere {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, _: &[u8]) -> Option<(Vec<u8>, u32)> {
        None
    }

    fn set_shared_data(&self, _: &[u8], _: &[u8], _: u32) -> bool {
        true
    }
}

fn sampler(percent: f64) -> Sampler {
    let percent = Percentage::new(percent).unwrap();
    Sampler::new(Rc::new(Sampling { percent, ..Sampling::default() }))
}

fn is_sampled(sampler: &Sampler, id: TraceId) -> bool {
    sampler.decide(&[], id.randomness(), &Nowhere).decision.is_sampled()
}

fn sampled(percent: f64, ids: usize) -> usize {
    let mut generator = IdGenerator::new([7; 32]);
    let sampler = sampler(percent);
    (0..ids).filter(|_| is_sampled(&sampler, generator.trace_id())).count()
}

#[test]
fn a_decision_that_came_in_is_kept_with_a_threshold_that_agrees_with_it() {
    let threshold = |rejected| Some(Threshold::new(rejected));
    let randomness = Randomness::new(100);
    for (name, decision, came_in, expected, reason) in [
        ("sampled", Decision::Sample, threshold(100), threshold(100), Reason::Parent),
        ("sampled, without one", Decision::Sample, None, None, Reason::Parent),
        ("sampled in spite of it", Decision::Sample, threshold(101), None, Reason::Parent),
        ("debug", Decision::Debug, threshold(0), threshold(0), Reason::Debug),
        ("not sampled", Decision::Drop, None, None, Reason::Parent),
    ] {
        let came_in = Probability { threshold: came_in, randomness: None };
        let verdict = Verdict::of_parent(decision, came_in, randomness);
        assert_eq!(verdict, Verdict { decision, threshold: expected, reason }, "{name}");
    }
}

#[test]
fn zero_and_one_hundred_percent_are_exact_whatever_the_id() {
    for id in [1, u128::MAX, 1 << 127, (1 << 56) - 1, 1 << 56] {
        let id = TraceId::new(id).unwrap();
        assert!(!is_sampled(&sampler(0.0), id));
        assert!(is_sampled(&sampler(100.0), id));
    }
}

#[test]
fn the_share_is_right_and_0_01_percent_is_not_0_02() {
    // Five standard deviations of a binomial distribution over a million ids.
    for (percent, expected, deviation) in [
        (60.0, 600_000.0, 490.0),
        (10.0, 100_000.0, 300.0),
        (1.0, 10_000.0, 99.5),
        (0.01, 100.0, 10.0),
        (0.02, 200.0, 14.2),
    ] {
        let count = sampled(percent, 1_000_000) as f64;
        assert!((count - expected).abs() < 5.0 * deviation, "{percent}: {count}");
    }
    assert!(sampled(0.02, 1_000_000) > sampled(0.01, 1_000_000));
}

#[test]
fn a_smaller_percentage_keeps_a_subset_of_a_larger_one() {
    let mut generator = IdGenerator::new([9; 32]);
    for _ in 0..10_000 {
        let id = generator.trace_id();
        let one = is_sampled(&sampler(1.0), id);
        assert!(!one || is_sampled(&sampler(10.0), id));
    }
}

#[test]
fn the_threshold_of_a_decision_is_that_of_the_percentage() {
    for (percent, hex, probability) in [
        (100.0, "0", "1"),
        (50.0, "8", "0.5"),
        (25.0, "c", "0.25"),
        (1.0, "fd70a3d70a3d71", "0.01"),
        (0.01, "fff972474538ef", "0.0001"),
    ] {
        let threshold =
            sampler(percent).decide(&[], Randomness::new(u64::MAX), &Nowhere).threshold.unwrap();
        assert_eq!(threshold.hex().digits(), hex.as_bytes(), "{percent}");
        assert_eq!(threshold.probability(), probability, "{percent}");
    }
}
