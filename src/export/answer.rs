//! What a collector's answer means for the spans that it answers.

use std::time::{Duration, UNIX_EPOCH};

/// What a collector's answer means for the spans that it answers. Each protocol reads its own
/// answers into this; what follows from it is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the spans, all but so many that it will never take (OTLP's `partial_success`).
    Accepted {
        /// The spans that it refused.
        rejected: usize,
    },
    /// It will never take them.
    Rejected,
    /// It may take fewer at once.
    TooLarge,
    /// It may take them later.
    Later {
        /// For how long it asks to be left alone.
        after: Option<Duration>,
    },
}

impl Answer {
    /// It has all the spans.
    pub const ACCEPTED: Self = Self::Accepted { rejected: 0 };

    /// Reads an answer over HTTP that came at `now` (nanoseconds): its status, nothing for one that
    /// broke off, and its `Retry-After`. Envoy answers 503 or 504 itself where the collector does not.
    ///
    /// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>
    pub fn from_http(status: Option<u16>, retry_after: Option<&[u8]>, now: u64) -> Self {
        match status {
            Some(200..=299) => Self::ACCEPTED,
            Some(413) => Self::TooLarge,
            None | Some(429 | 502 | 503 | 504) => {
                Self::Later { after: retry_after.and_then(|value| wait(value, now)) }
            }
            Some(_) => Self::Rejected,
        }
    }
}

/// The wait that a `Retry-After` asks for: `120` and `Sun, 06 Nov 1994 08:49:37 GMT` do, `-1` and
/// `soon` do not.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
fn wait(value: &[u8], now: u64) -> Option<Duration> {
    let text = core::str::from_utf8(value).ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_nanos(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Answer = Answer::Later { after: None };

    #[test]
    fn the_status_says_what_becomes_of_the_spans() {
        for (status, expected) in [
            (Some(200), Answer::ACCEPTED),
            (Some(202), Answer::ACCEPTED),
            (Some(301), Answer::Rejected),
            (Some(400), Answer::Rejected),
            (Some(401), Answer::Rejected),
            (Some(408), Answer::Rejected),
            (Some(413), Answer::TooLarge),
            (Some(429), LATER),
            (Some(500), Answer::Rejected),
            (Some(501), Answer::Rejected),
            (Some(502), LATER),
            (Some(503), LATER),
            (Some(504), LATER),
            (Some(505), Answer::Rejected),
            (None, LATER),
        ] {
            assert_eq!(Answer::from_http(status, None, 0), expected, "{status:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 784_111_777_000_000_000;
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:49:38 GMT", Some(1)),
            ("Sun Nov  6 08:49:38 1994", Some(1)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ] {
            let answer = Answer::from_http(Some(429), Some(value.as_bytes()), now);
            let after = seconds.map(Duration::from_secs);
            assert_eq!(answer, Answer::Later { after }, "{value:?}");
        }
        assert_eq!(Answer::from_http(Some(503), Some(b"\xff"), now), LATER);
    }
}
