//! Dates in each of HTTP's three formats.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7>

use std::time::Duration;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time since the epoch: of `Sun, 06 Nov 1994 08:49:37 GMT`, not of `06 Nov 1994`.
///
/// Weekday and separators are not looked at; the year of two digits is one from 1970 to 2069.
pub(super) fn parse(date: &str) -> Option<Duration> {
    let words = date.split([' ', ',', '-', ':']).filter(|word| !word.is_empty());
    let (day, month, year, time) = match *words.collect::<Vec<_>>() {
        [_, day, month, year, hour, minute, second, "GMT"] => {
            (day, month, year, [hour, minute, second])
        }
        [_, month, day, hour, minute, second, year] => (day, month, year, [hour, minute, second]),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let year = match number(year, 9999)? {
        year @ 0..70 => 2000 + year,
        year @ 70..100 => 1900 + year,
        year => year,
    };
    let [hour, minute, second] = time;
    let seconds = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 59)?;
    let days = days(year, month, number(day, 31)?.checked_sub(1)?)?;
    Some(Duration::from_secs(days * 86_400 + seconds))
}

fn number(digits: &str, most: u64) -> Option<u64> {
    digits.parse().ok().filter(|number| *number <= most)
}

/// The days from 1970 to a date whose month and day count from 0.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that the leap day is its last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // From March on, five months have 153 days.
    (year * 365 + leap_days + (153 * month + 2) / 5 + day).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn dates_of_the_usual_format_are_read_until_the_year_9999() {
        for days in (0..2_932_896).step_by(101) {
            let time = UNIX_EPOCH + Duration::from_secs(days * 86_400 + days * 7919 % 86_400);
            let date = httpdate::fmt_http_date(time);
            assert_eq!(parse(&date), time.duration_since(UNIX_EPOCH).ok(), "{date}");
        }
    }

    #[test]
    fn the_two_formats_of_old_are_read() {
        for (date, seconds) in [
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
            ("Thursday, 29-Feb-24 23:59:59 GMT", 1_709_251_199),
        ] {
            assert_eq!(parse(date), Some(Duration::from_secs(seconds)), "{date}");
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for date in [
            "",
            "Sun",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 10000 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(parse(date), None, "{date}");
        }
    }
}
