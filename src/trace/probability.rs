//! Consistent probability: a trace's randomness, which all its services know, against a threshold.
//!
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>

use super::id::{digits_of, number_of};

/// How many values 56 bits take.
const VALUES: u64 = 1 << 56;

/// Hex digits of 56 bits.
const DIGITS: usize = 14;

/// 56 random bits of a trace: `rv` in its tracestate, else the last of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Randomness(u64);

/// The rejection threshold: how many of 2^56 traces are not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

/// A threshold's hex digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex {
    digits: [u8; DIGITS],
    length: usize,
}

impl Hex {
    /// 1 to 14 digits in lower case.
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }
}

impl Randomness {
    /// The lowest 56 bits.
    pub fn new(value: u64) -> Self {
        Self(value & (VALUES - 1))
    }

    /// Reads exactly 14 lower-case hex digits: `7479cfb506891d`.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        (digits.len() == DIGITS).then(|| number(digits)).flatten().map(Self)
    }
}

impl Threshold {
    /// Every trace is sampled.
    pub const ALWAYS: Self = Self(0);

    /// No trace is.
    pub const NEVER: Self = Self(VALUES);

    /// So many of 2^56 traces are not sampled.
    pub fn new(rejected: u64) -> Self {
        Self(rejected.min(VALUES))
    }

    /// So many of 2^56 traces are sampled.
    pub fn of_kept(kept: u64) -> Self {
        Self(VALUES.saturating_sub(kept))
    }

    /// Of what this samples the given share, 0 to 1, and at least one of 2^56 traces, unless this
    /// samples none.
    pub fn of_share(self, share: f64) -> Self {
        let kept = VALUES - self.0;
        Self(VALUES - ((kept as f64 * share) as u64).clamp(kept.min(1), kept))
    }

    /// How many of 2^56 traces are not sampled.
    pub fn rejected(self) -> u64 {
        self.0
    }

    /// Whether the trace with this randomness is sampled.
    pub fn samples(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    /// Reads 1 to 14 lower-case hex digits, to which zeros are added: `c` is 75 % rejected.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        (!digits.is_empty()).then(|| number(digits)).flatten().map(Self)
    }

    /// The hex digits without trailing zeros; `0` for a threshold that rejects nothing.
    pub fn hex(self) -> Hex {
        let rejected = self.0.min(VALUES - 1);
        let [_, _, digits @ ..] = digits_of(rejected);
        let zeros = (rejected.trailing_zeros() / 4) as usize;
        Hex { digits, length: DIGITS.saturating_sub(zeros).max(1) }
    }

    /// The share of traces that is sampled, to seven digits or so: `0.01`.
    pub fn probability(self) -> String {
        // A trifle more, so that what is cut is not 0.00999999.
        let mut rest = (VALUES - self.0) + ((VALUES - self.0) >> 24);
        if rest >= VALUES || rest == 0 {
            return if rest == 0 { "0" } else { "1" }.to_owned();
        }
        let mut text = String::from("0.");
        let mut written = 0;
        while written < 7 {
            rest *= 10;
            let digit = (rest / VALUES) as u8;
            rest %= VALUES;
            text.push(char::from(b'0' + digit));
            // Zeros count after the first other digit.
            written += usize::from(written > 0 || digit > 0);
        }
        text.truncate(text.trim_end_matches('0').len());
        text
    }

    /// The same as a number.
    pub fn probability_as_f64(self) -> f64 {
        (VALUES - self.0) as f64 / VALUES as f64
    }
}

/// The number that at most 14 lower-case hex digits say, with zeros added up to 14.
#[inline(never)]
fn number(digits: &[u8]) -> Option<u64> {
    let mut all = [b'0'; 16];
    all.get_mut(16 - DIGITS..)?.get_mut(..digits.len())?.copy_from_slice(digits);
    number_of(all)
}

/// What a tracestate says on the sampling of its trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probability {
    /// The threshold of the decision that came in.
    pub threshold: Option<Threshold>,
    /// The randomness, where it is not that of the trace id.
    pub randomness: Option<Randomness>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_1_to_14_lower_case_hex_digits() {
        for (digits, expected) in [
            ("0", Some(0)),
            ("8", Some(1 << 55)),
            ("c", Some(3 << 54)),
            ("fd70a4", Some(0xfd_70a4_0000_0000)),
            ("fd70a3d70a3d71", Some(0xfd_70a3_d70a_3d71)),
            ("00000000000001", Some(1)),
            ("", None),
            ("fd70a3d70a3d710", None),
            ("FD70A4", None),
            ("fd70g4", None),
            ("-1", None),
        ] {
            let threshold = Threshold::from_hex(digits.as_bytes());
            assert_eq!(threshold, expected.map(Threshold::new), "{digits:?}");
            if let Some(threshold) = threshold {
                assert_eq!(Threshold::from_hex(threshold.hex().digits()), Some(threshold));
            }
        }
    }

    #[test]
    fn a_threshold_is_written_without_trailing_zeros() {
        for (rejected, hex) in [
            (0, "0"),
            (1 << 55, "8"),
            (3 << 54, "c"),
            (1, "00000000000001"),
            (0xfd_70a4_0000_0000, "fd70a4"),
        ] {
            assert_eq!(Threshold::new(rejected).hex().digits(), hex.as_bytes());
        }
    }

    #[test]
    fn randomness_is_exactly_14_lower_case_hex_digits() {
        for (digits, expected) in [
            ("7479cfb506891d", Some(0x74_79cf_b506_891d)),
            ("00000000000000", Some(0)),
            ("7479cfb506891", None),
            ("7479cfb506891d0", None),
            ("7479CFB506891D", None),
            ("", None),
        ] {
            let randomness = Randomness::from_hex(digits.as_bytes());
            assert_eq!(randomness, expected.map(Randomness::new), "{digits:?}");
        }
    }

    #[test]
    fn a_trace_is_sampled_from_the_threshold_on() {
        let threshold = Threshold::new(5);
        for (randomness, sampled) in [(4, false), (5, true), (6, true)] {
            assert_eq!(threshold.samples(Randomness::new(randomness)), sampled);
        }
        for randomness in [0, u64::MAX] {
            assert!(Threshold::ALWAYS.samples(Randomness::new(randomness)));
            assert!(!Threshold::NEVER.samples(Randomness::new(randomness)));
        }
    }

    #[test]
    fn a_probability_is_a_decimal_of_seven_digits_at_most() {
        for (kept, text) in [
            (VALUES, "1"),
            (VALUES / 2, "0.5"),
            (43_234_556_422_756_762, "0.6"),
            (720_575_940_379_279, "0.01"),
            (7_205_759_403_793, "0.0001"),
            (72_057_594_038, "0.000001"),
            (VALUES / 3, "0.3333333"),
            (VALUES - 1, "1"),
            (1, "0.00000000000000001387778"),
            (0, "0"),
        ] {
            let threshold = Threshold::of_kept(kept);
            assert_eq!(threshold.probability(), text);
            let expected: f64 = text.parse().unwrap();
            let number = threshold.probability_as_f64();
            assert!((number - expected).abs() <= expected * 1e-6, "{text}: {number}");
        }
        let percent = Threshold::of_kept(720_575_940_379_279).probability_as_f64();
        assert!((percent - 0.01).abs() < 1e-17, "{percent}");
    }
}
