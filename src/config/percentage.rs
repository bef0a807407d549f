//! A share of new traces, as operators write it and as the sampler compares it.

/// The number of values that 56 bits of randomness take.
const RANDOMNESS: u64 = 1 << 56;

/// A percentage from 0 to 100, finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percentage(f64);

impl Percentage {
    /// What Istio samples when nobody says a percentage: 1 percent.
    pub const DEFAULT: Self = Self(1.0);

    /// No trace.
    pub(super) const NONE: Self = Self(0.0);

    /// Everything: 100 percent.
    pub(super) const ALL: Self = Self(100.0);

    /// What a value has to be, as messages say it.
    pub(super) const KIND: &'static str = "a percentage from 0 to 100";

    /// The percentage, unless `percent` lies outside 0 to 100: `60.0` is one, `140.0` and NaN are none.
    pub fn new(percent: f64) -> Option<Self> {
        // Adding zero turns -0.0 into 0.0, which would otherwise show in log lines.
        (0.0..=100.0).contains(&percent).then_some(Self(percent + 0.0))
    }

    /// The percentage as it was written, 0 to 100.
    pub fn percent(self) -> f64 {
        self.0
    }

    /// The rejection threshold T in 0..=2^56, rounded: a trace is sampled iff its 56 bits of
    /// randomness are at least T, so 0 percent gives 2^56 and 100 percent gives 0.
    /// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>
    pub fn threshold(self) -> u64 {
        // The share that is kept is rounded, not the one that is rejected: small percentages
        // would lose their digits beside 1. A float to integer cast saturates.
        let kept = (self.0 * RANDOMNESS as f64 / 100.0).round() as u64;
        RANDOMNESS.saturating_sub(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_from_0_to_100_are_percentages() {
        for good in [0.0, -0.0, f64::MIN_POSITIVE, 0.0001, 1.0, 60.0, 99.9999, 100.0] {
            assert!(Percentage::new(good).is_some(), "{good}");
        }
        for bad in [-1e-9, 100.000_001, 140.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Percentage::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn minus_zero_is_zero() {
        let zero = Percentage::new(-0.0).unwrap();
        assert!(zero.percent().is_sign_positive());
        assert_eq!(zero.threshold(), 1 << 56);
    }

    #[test]
    fn threshold_is_the_rejected_share_of_2_to_the_56_rounded() {
        for (percent, threshold) in [
            (0.0, 1 << 56),
            (f64::MIN_POSITIVE, 1 << 56),
            (0.0001, (1 << 56) - 72_057_594_038),
            (0.01, (1 << 56) - 7_205_759_403_793),
            (1.0, (1 << 56) - 720_575_940_379_279),
            (25.0, 3 << 54),
            (50.0, 1 << 55),
            (60.0, (1 << 56) - 43_234_556_422_756_760),
            (100.0, 0),
        ] {
            assert_eq!(
                Percentage::new(percent).unwrap().threshold(),
                threshold,
                "{percent} percent"
            );
        }
    }
}
