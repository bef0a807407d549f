//! Trace and span ids: fixed width, never zero, parsed once.
//!
//! <https://www.w3.org/TR/trace-context-2/#trace-id>, <https://www.w3.org/TR/trace-context-2/#parent-id>

use core::num::{NonZeroU64, NonZeroU128};

use super::Randomness;
use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A 128-bit trace id that is not zero. A 64-bit id is one whose upper half is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// A 64-bit span id that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// The id of this number, or nothing for zero.
    pub fn new(value: u128) -> Option<Self> {
        NonZeroU128::new(value).map(Self)
    }

    /// The id as a number.
    pub fn value(self) -> u128 {
        self.0.get()
    }

    /// Reads exactly 32 lower-case hex digits: `4bf92f3577b34da6a3ce929d0e0e4736`, not `4BF9…`.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        (hex.len() == 32).then(|| lower_hex(hex)).flatten().and_then(Self::new)
    }

    /// Whether the id fits in 64 bits, as Zipkin's older ids do.
    pub fn is_64_bit(self) -> bool {
        self.value() >> 64 == 0
    }

    /// The lowest 56 bits, which OpenTelemetry's samplers take for random.
    pub fn randomness(self) -> Randomness {
        Randomness::new(self.value() as u64)
    }

    /// 32 lower-case hex digits.
    pub fn hex(self) -> [u8; 32] {
        hex_digits(&self.value().to_be_bytes())
    }
}

impl SpanId {
    /// The id of this number, or nothing for zero.
    pub fn new(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    /// The id as a number.
    pub fn value(self) -> u64 {
        self.0.get()
    }

    /// Reads exactly 16 lower-case hex digits: `00f067aa0ba902b7`, not `f067aa0ba902b7`.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        (hex.len() == 16)
            .then(|| lower_hex(hex))
            .flatten()
            .and_then(|value| Self::new(value as u64))
    }

    /// 16 lower-case hex digits.
    pub fn hex(self) -> [u8; 16] {
        hex_digits(&self.value().to_be_bytes())
    }
}

/// The number that at most 32 lower-case hex digits say; nothing for any other byte.
pub(super) fn lower_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(nibble))
    })
}

pub(super) fn hex_digits<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut digits = [b'0'; N];
    // The lengths agree at both call sites; a mismatch would leave zeros, never panic.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    digits
}

/// Random ids from a generator that is seeded once, so that ids cost no hostcall.
#[derive(Debug)]
pub struct IdGenerator(Xoshiro256PlusPlus);

impl IdGenerator {
    /// Starts a sequence; the seed is 32 bytes of entropy, drawn anew by every virtual machine.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Xoshiro256PlusPlus::from_seed(seed))
    }

    /// A random 128-bit trace id.
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            let value = u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64());
            if let Some(id) = TraceId::new(value) {
                return id;
            }
        }
    }

    /// A random span id.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.0.next_u64()) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_read_only_whole_lower_case_hex_that_is_not_zero() {
        let trace = |hex: &str| TraceId::from_hex(hex.as_bytes()).map(TraceId::value);
        for (name, input, expected) in [
            (
                "a valid id",
                "4bf92f3577b34da6a3ce929d0e0e4736",
                Some(0x4bf92f3577b34da6a3ce929d0e0e4736),
            ),
            ("leading zeros", "00000000000000000000000000000001", Some(1)),
            ("zero", "00000000000000000000000000000000", None),
            ("upper case", "4BF92F3577B34DA6A3CE929D0E0E4736", None),
            ("one digit short", "4bf92f3577b34da6a3ce929d0e0e473", None),
            ("one digit long", "4bf92f3577b34da6a3ce929d0e0e47361", None),
            ("a sign", "+bf92f3577b34da6a3ce929d0e0e4736", None),
            ("empty", "", None),
        ] {
            assert_eq!(trace(input), expected, "{name}");
        }
        assert_eq!(
            SpanId::from_hex(b"00f067aa0ba902b7").map(SpanId::value),
            Some(0xf067aa0ba902b7)
        );
        assert_eq!(SpanId::from_hex(b"0000000000000000"), None);
        assert_eq!(SpanId::from_hex(b"f067aa0ba902b7"), None);
    }

    #[test]
    fn hex_is_padded_and_reads_back() {
        let id = TraceId::new(0xabc).unwrap();
        assert_eq!(&id.hex(), b"00000000000000000000000000000abc");
        assert_eq!(TraceId::from_hex(&id.hex()), Some(id));
        assert_eq!(&SpanId::new(0xabc).unwrap().hex(), b"0000000000000abc");
    }

    #[test]
    fn generated_ids_never_repeat_and_seeds_give_sequences_of_their_own() {
        let mut seen = HashSet::new();
        for seed in [[1; 32], [2; 32]] {
            let mut ids = IdGenerator::new(seed);
            for _ in 0..10_000 {
                assert!(seen.insert(ids.trace_id().value()));
                assert!(seen.insert(u128::from(ids.span_id().value())));
            }
        }
    }

    #[test]
    fn an_all_zero_seed_still_gives_ids() {
        let mut ids = IdGenerator::new([0; 32]);
        assert_ne!(ids.trace_id(), ids.trace_id());
    }
}
