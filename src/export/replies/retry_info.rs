//! How a gRPC server asks to be left alone for a while.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling>

use super::protobuf_reader::{Value, read};
use base64ct::{Base64Unpadded, Encoding};
use std::time::Duration;

/// The longest `grpc-status-details-bin` that is read, in bytes: what gRPC keeps metadata to.
const MAX_HEADER: usize = 8192;

/// How such an error's type is named; the host before it is anyone's.
const TYPE: &[u8] = b"/google.rpc.RetryInfo";

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryInfo {
    /// `retry_delay`; nothing where it is absent, zero or not a duration.
    pub(super) delay: Option<Duration>,
}

impl RetryInfo {
    /// The one in the details of a `google.rpc.Status`, as the header `grpc-status-details-bin` has it.
    pub(super) fn from_header(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_HEADER {
            return None;
        }
        // gRPC sends binary metadata without padding and takes it with.
        let unpadded = core::str::from_utf8(value).ok()?.trim_end_matches('=');
        let status = Base64Unpadded::decode_vec(unpadded).ok()?;
        let mut found = None;
        read(&status, &mut |number, value| {
            if let (3, Value::Bytes(any)) = (number, value) {
                found = found.or(from_any(any)?);
            }
            Some(())
        })?;
        found
    }
}

/// Nothing for bytes that are no `google.protobuf.Any`, and nothing in it for one of another type.
fn from_any(any: &[u8]) -> Option<Option<RetryInfo>> {
    let (mut type_url, mut message): (&[u8], &[u8]) = (&[], &[]);
    read(any, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => type_url = bytes,
            (2, Value::Bytes(bytes)) => message = bytes,
            _ => {}
        }
        Some(())
    })?;
    if !type_url.ends_with(TYPE) {
        return Some(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    read(message, &mut |number, value| match (number, value) {
        (1, Value::Bytes(duration)) => read(duration, &mut |number, value| {
            match (number, value) {
                (1, Value::Integer(value)) => seconds = value,
                (2, Value::Integer(value)) => nanoseconds = value,
                _ => {}
            }
            Some(())
        }),
        _ => Some(()),
    })?;
    Some(Some(RetryInfo { delay: duration(seconds, nanoseconds) }))
}

/// Negative numbers have all of their highest bits set, and are out of range here.
fn duration(seconds: u64, nanoseconds: u64) -> Option<Duration> {
    let nanoseconds = u32::try_from(nanoseconds).ok().filter(|value| *value < 1_000_000_000)?;
    let seconds = i64::try_from(seconds).ok()?.unsigned_abs();
    Some(Duration::new(seconds, nanoseconds)).filter(|delay| !delay.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::formats::Message;
    use base64ct::Base64;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut message = Message::default();
        fields.iter().for_each(|(field, value)| message.bytes(*field, value));
        message.0.into_bytes()
    }

    fn any(type_url: &str, value: &[u8]) -> Vec<u8> {
        message(&[(1, type_url.as_bytes()), (2, value)])
    }

    fn retry_info(seconds: i64, nanoseconds: i64) -> Vec<u8> {
        let mut duration = Message::default();
        duration.varint(1, seconds as u64);
        duration.varint(2, nanoseconds as u64);
        any("type.googleapis.com/google.rpc.RetryInfo", &message(&[(1, duration.0.bytes())]))
    }

    fn found(status: &[u8]) -> Option<Option<Duration>> {
        let padded = RetryInfo::from_header(Base64::encode_string(status).as_bytes());
        assert_eq!(
            padded,
            RetryInfo::from_header(Base64Unpadded::encode_string(status).as_bytes())
        );
        padded.map(|info| info.delay)
    }

    #[test]
    fn the_delay_is_read_where_it_is_one() {
        for (seconds, nanoseconds, expected) in [
            (7, 0, Some(Duration::from_secs(7))),
            (0, 250_000_000, Some(Duration::from_millis(250))),
            (1, 999_999_999, Some(Duration::new(1, 999_999_999))),
            (i64::MAX, 0, Some(Duration::from_secs(i64::MAX as u64))),
            (0, 0, None),
            (-1, 0, None),
            (0, -1, None),
            (1, 1_000_000_000, None),
        ] {
            let status = message(&[(2, b"later"), (3, &retry_info(seconds, nanoseconds))]);
            assert_eq!(found(&status), Some(expected), "{seconds} s {nanoseconds} ns");
        }
    }

    #[test]
    fn it_is_found_among_other_details() {
        let other = any("type.googleapis.com/google.rpc.DebugInfo", b"\xff");
        let bare = any("/google.rpc.RetryInfo", b"");
        let second = Some(Some(Duration::from_secs(1)));
        for (name, status, expected) in [
            ("nothing", vec![], None),
            ("no details", message(&[(2, b"no")]), None),
            ("another alone", message(&[(3, &other)]), None),
            ("after another", message(&[(3, &other), (3, &retry_info(1, 0))]), second),
            (
                "the first of two",
                message(&[(3, &retry_info(1, 0)), (3, &retry_info(2, 0))]),
                second,
            ),
            ("without a delay", message(&[(3, &bare)]), Some(None)),
            ("a detail that is garbage", message(&[(3, b"\xff"), (3, &retry_info(1, 0))]), None),
            ("garbage after it", [message(&[(3, &retry_info(1, 0))]), vec![0xff]].concat(), None),
        ] {
            assert_eq!(found(&status), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_header_of_its_kind_says_nothing() {
        let good = Base64::encode_string(&message(&[(3, &retry_info(1, 0))]));
        assert!(RetryInfo::from_header(good.as_bytes()).is_some());
        let long = Base64::encode_string(&message(&[(2, &[b'a'; MAX_HEADER])]));
        for value in [&format!("{good},{good}"), &format!(" {good}"), "====", "\u{ff}", &long] {
            assert_eq!(RetryInfo::from_header(value.as_bytes()), None, "{value:.20}");
        }
    }
}
