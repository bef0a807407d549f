//! Durations as they are written in the configuration: `250ms`, `5s`, `1.5m`.

use std::time::Duration;

/// The duration that `text` writes: `1.5s` is one, `5`, `-1s` and `5 parsecs` are none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(u8::is_ascii_alphabetic)?;
    let (digits, unit) = bytes.split_at_checked(end)?;
    let unit: u64 = match unit {
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        _ => return None,
    };
    let mut nanoseconds: u64 = 0;
    // Behind the point digit by digit, as far as there are nanoseconds.
    let mut fraction = None;
    let mut is_digit = false;
    for byte in digits {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        match &mut fraction {
            None if *byte == b'.' && is_digit => {
                fraction = Some(unit);
                is_digit = false;
                continue;
            }
            _ if digit > 9 => return None,
            None => {
                nanoseconds = nanoseconds.checked_mul(10)?.checked_add(unit * digit)?;
            }
            Some(part) => {
                *part /= 10;
                nanoseconds = nanoseconds.checked_add(*part * digit)?;
            }
        }
        is_digit = true;
    }
    is_digit.then_some(Duration::from_nanos(nanoseconds))
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
