//! Durations as they are written in the configuration: `250ms`, `5s`, `1.5m`.

use std::time::Duration;

/// The duration that `text` writes: `1.5s` is one, `5`, `-1s` and `5 parsecs` are none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole = unit.checked_mul(whole.parse().ok()?)?;
    // Digit by digit, as far as there are nanoseconds.
    let mut part = unit;
    fraction.bytes().try_fold(whole, |sum, digit| {
        part /= 10;
        sum.checked_add(part * u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_digits_and_one_of_three_units() {
        for (text, nanoseconds) in [
            ("250ms", 250_000_000),
            ("5s", 5_000_000_000),
            ("1m", 60_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.25m", 15_000_000_000),
            ("0.3ms", 300_000),
            ("1.001s", 1_001_000_000),
            ("007s", 7_000_000_000),
            ("0s", 0),
        ] {
            let expected = Some(Duration::from_nanos(nanoseconds));
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_duration() {
        let huge = format!("{}s", "9".repeat(400));
        for text in [
            "",
            "5",
            "s",
            "ms",
            ".",
            ".s",
            "5.s",
            ".5s",
            "1.2.3s",
            "-1s",
            "+1s",
            "1e3s",
            "infs",
            "nans",
            "5 s",
            " 5s",
            "5s ",
            "5S",
            "5h",
            "5us",
            "5 parsecs",
            "1m30s",
            "1_000ms",
            "٣s",
            &huge,
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
