//! What a collector's answer means for the spans that it answers.

use super::http_date;
use super::retry_info::RetryInfo;
use std::time::Duration;

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

    /// Reads an answer over gRPC: its status, nothing for one that is no number, the message and the
    /// `RetryInfo` that came with it. Envoy answers UNAVAILABLE itself where the collector does not.
    ///
    /// <https://opentelemetry.io/docs/specs/otlp/#failures>
    pub(super) fn from_grpc(status: Option<u32>, message: &str, info: Option<RetryInfo>) -> Self {
        match (status, info) {
            (Some(8 | 11), None) if is_of_size(message) => Self::TooLarge,
            (Some(0), _) => Self::ACCEPTED,
            // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
            (Some(1 | 4 | 10 | 11 | 14 | 15), info) => {
                Self::Later { after: info.and_then(|info| info.delay) }
            }
            // RESOURCE_EXHAUSTED: with RetryInfo for the time being, without it for good.
            (Some(8), Some(info)) => Self::Later { after: info.delay },
            _ => Self::Rejected,
        }
    }
}

/// What gRPC's servers say of a message that is larger than they read: in Go, C++, Python, Node.js, Java,
/// .NET, Swift and Rust (the one with OUT_OF_RANGE). gRPC has no status of its own for it.
const OF_SIZE: [&str; 5] = [
    "larger than max",
    "exceeds maximum size",
    "exceeds the maximum configured message size",
    "exceeded the configured maximum payload size",
    "message length too large",
];

fn is_of_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let says = |words: &&str| {
        message.as_bytes().windows(words.len()).any(|bytes| bytes == words.as_bytes())
    };
    OF_SIZE.iter().any(says)
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
    Some(http_date::parse(text)?.saturating_sub(Duration::from_nanos(now)))
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
    fn the_grpc_status_says_what_becomes_of_the_spans() {
        let delay = Some(Duration::from_secs(7));
        let waits = Answer::Later { after: delay };
        for (status, plain, with_info) in [
            (Some(0), Answer::ACCEPTED, Answer::ACCEPTED),
            (Some(1), LATER, waits),
            (Some(2), Answer::Rejected, Answer::Rejected),
            (Some(3), Answer::Rejected, Answer::Rejected),
            (Some(4), LATER, waits),
            (Some(5), Answer::Rejected, Answer::Rejected),
            (Some(6), Answer::Rejected, Answer::Rejected),
            (Some(7), Answer::Rejected, Answer::Rejected),
            (Some(8), Answer::Rejected, waits),
            (Some(9), Answer::Rejected, Answer::Rejected),
            (Some(10), LATER, waits),
            (Some(11), LATER, waits),
            (Some(12), Answer::Rejected, Answer::Rejected),
            (Some(13), Answer::Rejected, Answer::Rejected),
            (Some(14), LATER, waits),
            (Some(15), LATER, waits),
            (Some(16), Answer::Rejected, Answer::Rejected),
            (Some(17), Answer::Rejected, Answer::Rejected),
            (None, Answer::Rejected, Answer::Rejected),
        ] {
            assert_eq!(Answer::from_grpc(status, "no", None), plain, "{status:?}");
            let info = Some(RetryInfo { delay });
            assert_eq!(
                Answer::from_grpc(status, "no", info),
                with_info,
                "{status:?} with RetryInfo"
            );
        }
        assert_eq!(Answer::from_grpc(Some(8), "", Some(RetryInfo { delay: None })), LATER);
    }

    #[test]
    fn a_grpc_message_that_is_too_large_is_known_by_the_servers_words() {
        for (status, message, expected) in [
            (8, "grpc: received message larger than max (5000000 vs. 4194304)", Answer::TooLarge),
            (8, "grpc: received message after decompression larger than max 4", Answer::TooLarge),
            (8, "SERVER: Received message larger than max (5 vs. 4)", Answer::TooLarge),
            (8, "gRPC message exceeds maximum size 4194304: 5000000", Answer::TooLarge),
            (8, "Received message exceeds the maximum configured message size.", Answer::TooLarge),
            (
                8,
                "Message has exceeded the configured maximum payload size (max: 4)",
                Answer::TooLarge,
            ),
            (
                11,
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
                Answer::TooLarge,
            ),
            (8, "quota exceeded", Answer::Rejected),
            (11, "out of range", LATER),
            (14, "received message larger than max", LATER),
            (3, "received message larger than max", Answer::Rejected),
        ] {
            assert_eq!(Answer::from_grpc(Some(status), message, None), expected, "{message}");
        }
        let wait = Some(RetryInfo { delay: Some(Duration::from_secs(1)) });
        let later = Answer::Later { after: Some(Duration::from_secs(1)) };
        assert_eq!(Answer::from_grpc(Some(8), "larger than max", wait), later);
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
