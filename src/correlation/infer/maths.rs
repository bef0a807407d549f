//! Logarithms and powers as exactly as weights need them, in a tenth of the bytes of exact ones.

use core::f32::consts::{LN_2, LOG2_E};

/// The natural logarithm, to a millionth; that of the smallest number where there is none.
#[inline(never)]
pub(super) fn ln(number: f32) -> f32 {
    let bits = number.max(f32::MIN_POSITIVE).to_bits();
    // What is left lies between the root of one half and that of two.
    let power = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let rest = f32::from_bits(bits.wrapping_sub((power as u32) << 23));
    let part = (rest - 1.0) / (rest + 1.0);
    let square = part * part;
    power as f32 * LN_2
        + 2.0 * part * (1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square / 7.0)))
}

/// The natural exponential, to a ten thousandth of it; never zero and never infinite.
#[inline(never)]
pub(super) fn exp(power: f32) -> f32 {
    let power = (power * LOG2_E).clamp(-126.0, 126.0);
    let whole = (power + 0.5).floor();
    let part = (power - whole) * LN_2;
    let series = 1.0 + part * (1.0 + part * (0.5 + part * (1.0 / 6.0 + part / 24.0)));
    series * f32::from_bits(((whole as i32).saturating_add(127) as u32) << 23)
}

/// The logarithm of the sum of two numbers, of which the logarithms are given.
pub(super) fn added(a: f32, b: f32) -> f32 {
    a.max(b) + ln(1.0 + exp(-(a - b).abs()))
}

/// Microseconds between two moments.
pub(super) fn us(from: u64, to: u64) -> f32 {
    to.saturating_sub(from) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_as_exact_as_they_say() {
        for step in -8_000..8_000 {
            let power = step as f32 / 100.0;
            let error = exp(power) / power.exp() - 1.0;
            assert!(error.abs() < 1e-4, "{power} {error}");
            let number = power.exp();
            assert!((ln(number) - number.ln()).abs() < 1e-5 * power.abs().max(1.0), "{number}");
        }
    }

    #[test]
    fn what_has_no_logarithm_or_power_gives_a_number_all_the_same() {
        for number in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN] {
            assert!(ln(number).is_finite() || number == f32::INFINITY, "{number}");
            assert!(exp(number).is_finite() || number.is_nan(), "{number}");
        }
    }
}
