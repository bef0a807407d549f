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
        let (upper, lower) = hex.split_first_chunk()?;
        let lower = number_of(lower.try_into().ok()?)?;
        Self::new(u128::from(number_of(*upper)?) << 64 | u128::from(lower))
    }

    /// Whether the id fits in 64 bits, as Zipkin's older ids do.
    pub fn is_64_bit(self) -> bool {
        self.value() >> 64 == 0
    }

    /// The lowest 56 bits, which OpenTelemetry's samplers take for random.
    pub fn randomness(self) -> Randomness {
        Randomness::new(self.value() as u64)
    }

    /// 32 lower-case hex digits, in halves.
    pub fn hex(self) -> [[u8; 16]; 2] {
        [digits_of((self.value() >> 64) as u64), digits_of(self.value() as u64)]
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
        Self::new(number_of(hex.try_into().ok()?)?)
    }

    /// 16 lower-case hex digits.
    pub fn hex(self) -> [u8; 16] {
        digits_of(self.value())
    }
}

/// The number that 16 lower-case hex digits say; nothing where any of them is another byte.
pub(super) fn number_of(digits: [u8; 16]) -> Option<u64> {
    let both = u128::from_le_bytes(digits);
    let (first, last) = (both as u64, (both >> 64) as u64);
    let (high, low) = (nibbles_together(first), nibbles_together(last));
    let is_hex = eight_digits(high) == first && eight_digits(low) == last;
    is_hex.then_some(u64::from(high) << 32 | u64::from(low))
}

/// 16 lower-case hex digits.
pub(super) fn digits_of(number: u64) -> [u8; 16] {
    let (first, last) = (eight_digits((number >> 32) as u32), eight_digits(number as u32));
    (u128::from(first) | u128::from(last) << 64).to_le_bytes()
}

/// Eight digits, the first in the lowest byte. Eight at once take a fifth of the instructions of one by one, and an
/// unsampled request has nearly two hundred of them.
fn eight_digits(number: u32) -> u64 {
    let nibbles = nibbles_apart(number);
    // A carry into the upper half of a byte tells letters from digits.
    let letters = ((nibbles + EACH * 6) >> 4) & EACH;
    let distance = u64::from(b'a' - b'9' - 1);
    nibbles + EACH * u64::from(b'0') + letters * distance
}

/// One in each of eight bytes.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// Each of eight nibbles in a byte of its own, the highest in the lowest: WebAssembly has no instruction
/// that turns the bytes of a number round.
fn nibbles_apart(number: u32) -> u64 {
    let wide = u64::from(number);
    let wide = wide >> 16 | (wide & 0xffff) << 32;
    let wide = (wide >> 8 & 0x0000_00ff_0000_00ff) | (wide & 0x0000_00ff_0000_00ff) << 16;
    (wide >> 4 & 0x000f_000f_000f_000f) | (wide & 0x000f_000f_000f_000f) << 8
}

/// The other way, from digits; of bytes that are none some number or other.
fn nibbles_together(digits: u64) -> u32 {
    // Of the digits only letters have this bit.
    let letters = (digits >> 6) & EACH;
    let wide = (digits & (EACH * 0xf)).wrapping_add(letters * 9);
    let wide = (wide << 4 | wide >> 8) & 0x00ff_00ff_00ff_00ff;
    let wide = (wide << 8 | wide >> 16) & 0x0000_ffff_0000_ffff;
    (wide << 16 | wide >> 32) as u32
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
        assert_eq!(id.hex().as_flattened(), b"00000000000000000000000000000abc");
        assert_eq!(TraceId::from_hex(id.hex().as_flattened()), Some(id));
        assert_eq!(&SpanId::new(0xabc).unwrap().hex(), b"0000000000000abc");
    }

    #[test]
    fn every_digit_reads_back_in_every_place_and_no_other_byte_is_one() {
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"123456789abcdef1";
                digits[place] = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let id = SpanId::from_hex(&digits);
                assert_eq!(id.is_some(), is_digit, "{byte:#x} at {place}");
                let expected = core::str::from_utf8(&digits).ok();
                let expected = expected.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                assert_eq!(id.map(SpanId::value), expected.filter(|_| is_digit));
                assert!(id.is_none_or(|id| id.hex() == digits));
            }
        }
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
