//! Durations as they are written in the configuration: `250ms`, `5s`, `1.5m`.

use std::time::Duration;

/// The duration that `text` writes, longer than nothing: `1.5s` is one, `5`, `0s` and `5 parsecs` are none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds_per_unit = match text.get(digits.len()..)? {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (digits, "0"),
    };
    // Signs, exponents, `inf` and `nan` would pass f64's parser.
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let seconds = digits.parse::<f64>().ok()? * seconds_per_unit;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}
