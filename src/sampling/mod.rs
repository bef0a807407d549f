//! One decision for one request: what came in is kept, otherwise the percentage decides.

use crate::config::Percentage;
use crate::trace::{Decision, TraceId};

/// Decides for new traces, alike in every proxy that has the same percentage.
///
/// The trace id's lowest 56 bits are compared with a threshold, as OpenTelemetry's consistent
/// probability sampling says, so that a service with a smaller percentage keeps a subset.
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    threshold: u64,
}

impl Sampler {
    /// A sampler that keeps this share of new traces.
    pub fn new(share: Percentage) -> Self {
        Self { threshold: share.threshold() }
    }

    /// The decision that came in or, without one, that of the percentage.
    pub fn decide(self, incoming: Option<Decision>, trace_id: TraceId) -> Decision {
        match incoming {
            Some(decision) => decision,
            None if trace_id.randomness() >= self.threshold => Decision::Sample,
            None => Decision::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::IdGenerator;

    fn sampler(percent: f64) -> Sampler {
        Sampler::new(Percentage::new(percent).unwrap())
    }

    fn sampled(percent: f64, ids: usize) -> usize {
        let mut generator = IdGenerator::new([7; 32]);
        let sampler = sampler(percent);
        (0..ids).filter(|_| sampler.decide(None, generator.trace_id()).is_sampled()).count()
    }

    #[test]
    fn a_decision_that_came_in_is_kept_at_any_percentage() {
        let id = TraceId::new(1).unwrap();
        for percent in [0.0, 60.0, 100.0] {
            for decision in [Decision::Drop, Decision::Sample, Decision::Debug] {
                assert_eq!(sampler(percent).decide(Some(decision), id), decision);
            }
        }
    }

    #[test]
    fn zero_and_one_hundred_percent_are_exact_whatever_the_id() {
        for id in [1, u128::MAX, 1 << 127, (1 << 56) - 1, 1 << 56] {
            let id = TraceId::new(id).unwrap();
            assert_eq!(sampler(0.0).decide(None, id), Decision::Drop);
            assert_eq!(sampler(100.0).decide(None, id), Decision::Sample);
        }
    }

    #[test]
    fn the_share_is_right_and_0_01_percent_is_not_0_02() {
        // Five standard deviations of a binomial distribution over a million ids.
        for (percent, expected, deviation) in [
            (60.0, 600_000.0, 490.0),
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
            let one = sampler(1.0).decide(None, id).is_sampled();
            assert!(!one || sampler(10.0).decide(None, id).is_sampled());
        }
    }
}
