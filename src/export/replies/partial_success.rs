//! What an OTLP collector says of spans that it did not take although it answered well.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#partial-success>

use super::protobuf_reader::{Value, read};

/// `ExportTracePartialSuccess`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PartialSuccess<'a> {
    /// `rejected_spans`.
    pub(super) rejected: usize,
    /// `error_message`; alone it is a warning.
    pub(super) message: &'a [u8],
}

impl<'a> PartialSuccess<'a> {
    /// Reads an `ExportTraceServiceResponse`. What is none says nothing of a rejection.
    pub(super) fn parse(response: &'a [u8]) -> Self {
        let mut found = Self::default();
        let whole = read(response, &mut |number, value| match (number, value) {
            (1, Value::Bytes(partial)) => read(partial, &mut |number, value| {
                match (number, value) {
                    // An int64: what is negative cannot be meant.
                    (1, Value::Integer(count)) => {
                        let count = i64::try_from(count).unwrap_or(0);
                        found.rejected = usize::try_from(count).unwrap_or(usize::MAX);
                    }
                    (2, Value::Bytes(message)) => found.message = message,
                    _ => {}
                }
                Some(())
            }),
            _ => Some(()),
        });
        whole.map_or_else(Self::default, |()| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message;

    #[test]
    fn what_the_generated_types_write_is_read() {
        for (rejected_spans, error_message, rejected) in
            [(0, "", 0), (3, "too old", 3), (0, "slow down", 0), (-1, "odd", 0), (i64::MIN, "", 0)]
        {
            let partial =
                ExportTracePartialSuccess { rejected_spans, error_message: error_message.into() };
            let response = ExportTraceServiceResponse { partial_success: Some(partial) };
            let expected = PartialSuccess { rejected, message: error_message.as_bytes() };
            assert_eq!(PartialSuccess::parse(&response.encode_to_vec()), expected);
        }
    }

    #[test]
    fn garbage_rejects_nothing() {
        for (name, body) in [
            ("nothing", b"".as_slice()),
            ("an empty partial success", b"\x0a\x00"),
            ("unknown fields alone", b"\x10\x07\x1a\x01a"),
            ("another wire type", b"\x08\x07"),
            ("a count that is text", b"\x0a\x03\x0a\x01a"),
            ("a count and then garbage", b"\x0a\x02\x08\x03\xff"),
            ("a count in a message that ends early", b"\x0a\x09\x08\x03"),
            ("JSON", b"{\"partialSuccess\":{\"rejectedSpans\":3}}"),
        ] {
            assert_eq!(PartialSuccess::parse(body), PartialSuccess::default(), "{name}");
        }
    }

    #[test]
    fn of_a_field_that_comes_twice_the_last_counts_and_others_are_skipped() {
        let body = b"\x0a\x06\x08\x03\x12\x02no\x12\x01x\x0a\x05\x1a\x01?\x08\x05";
        assert_eq!(PartialSuccess::parse(body), PartialSuccess { rejected: 5, message: b"no" });
    }
}
