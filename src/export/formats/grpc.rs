//! OTLP over gRPC: the messages of OTLP over HTTP in gRPC's framing.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use super::{Encoder, Otlp};
use crate::attributes::Resource;
use crate::trace::{Link, Span};
use std::collections::VecDeque;

/// One byte that says whether the message is compressed, four for its length.
const PREFIX: usize = 5;

/// The encoder of requests to `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
#[derive(Debug)]
pub struct Grpc(Otlp);

impl Grpc {
    /// An encoder of this proxy's spans.
    pub fn new(resource: &Resource) -> Self {
        Self(Otlp::new(resource))
    }
}

impl Encoder for Grpc {
    fn content_type(&self) -> &'static str {
        "application/grpc"
    }

    fn span(&mut self, span: &Span) -> Vec<u8> {
        self.0.span(span)
    }

    fn link(&mut self, span: &mut Vec<u8>, link: &Link) {
        self.0.link(span, link);
    }

    fn batch(&self, spans: &VecDeque<Vec<u8>>) -> Vec<u8> {
        let body = self.0.batch(spans);
        // A queue holds 1 GiB at most.
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[0], length.as_slice(), &body].concat()
    }
}

/// The one message of a body; nothing if it is compressed, which nobody asked for, cut off or not
/// the only one.
pub(in crate::export) fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = *prefix else {
        return None;
    };
    (usize::try_from(u32::from_be_bytes(length)).ok()? == message.len()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_that_of_otlp_with_its_length_before_it() {
        let resource = Resource::default();
        let (grpc, otlp) = (Grpc::new(&resource), Otlp::new(&resource));
        for spans in [VecDeque::new(), vec![vec![1; 70_000]].into()] {
            let expected = otlp.batch(&spans);
            assert_eq!(message(&grpc.batch(&spans)), Some(expected.as_slice()));
        }
    }

    #[test]
    fn a_body_is_one_message_or_none() {
        for (name, body, expected) in [
            ("empty message", b"\0\0\0\0\0".as_slice(), Some(b"".as_slice())),
            ("a message", b"\0\0\0\0\x02ab", Some(b"ab")),
            ("nothing", b"", None),
            ("half a prefix", b"\0\0\0", None),
            ("cut off", b"\0\0\0\0\x03ab", None),
            ("more than the message", b"\0\0\0\0\x01ab", None),
            ("compressed", b"\x01\0\0\0\x02ab", None),
            ("nearly 4 GiB", b"\0\xff\xff\xff\xffab", None),
        ] {
            assert_eq!(message(body), expected, "{name}");
        }
    }
}
