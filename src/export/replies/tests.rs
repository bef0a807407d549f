//! What replies mean, protocol by protocol.

use super::*;
use std::time::Duration;

const LATER: Answer = Answer::Later { after: None };

/// `ExportTraceServiceResponse` with 3 rejected spans and the message `old`.
const PARTIAL: &[u8] = b"\x0a\x07\x08\x03\x12\x03old";
const FRAMED: &[u8] = b"\0\0\0\0\x09\x0a\x07\x08\x03\x12\x03old";

/// A `google.rpc.Status` with a `RetryInfo` of 7 seconds, in base64.
const RETRY_INFO: &[u8] =
    b"CAgaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIBw==";

fn grpc(status: &[u8]) -> Reply {
    Reply { status: Some(200), grpc_status: Some(status.to_vec()), ..Reply::default() }
}

#[test]
fn a_reply_means_what_its_protocol_says() {
    use Protocol::{Grpc, HttpProtobuf, Zipkin};
    let http = |status, body: &[u8]| Reply { status, body: body.to_vec(), ..Reply::default() };
    let with_body = |body: &[u8]| Reply { body: body.to_vec(), ..grpc(b"0") };
    let said = |message: &[u8]| Reply { grpc_message: Some(message.to_vec()), ..grpc(b"14") };
    let three = Answer::Accepted { rejected: 3 };
    for (name, protocol, reply, answer, words) in [
        ("Zipkin", Zipkin, http(Some(202), b""), Answer::ACCEPTED, ""),
        ("a body to Zipkin", Zipkin, http(Some(202), PARTIAL), Answer::ACCEPTED, ""),
        ("http", HttpProtobuf, http(Some(200), b""), Answer::ACCEPTED, ""),
        ("http, partial", HttpProtobuf, http(Some(200), PARTIAL), three, "old"),
        ("http, garbage", HttpProtobuf, http(Some(200), b"\xff"), Answer::ACCEPTED, ""),
        (
            "http, partial of an error",
            HttpProtobuf,
            http(Some(503), PARTIAL),
            LATER,
            "it answered 503",
        ),
        ("http, broken", HttpProtobuf, http(None, b""), LATER, "its answer broke off"),
        ("grpc", Grpc, with_body(b"\0\0\0\0\0"), Answer::ACCEPTED, ""),
        ("grpc, no message", Grpc, with_body(b""), Answer::ACCEPTED, ""),
        ("grpc, partial", Grpc, with_body(FRAMED), three, "old"),
        ("grpc, not framed", Grpc, with_body(PARTIAL), Answer::ACCEPTED, ""),
        ("grpc, error", Grpc, grpc(b"3"), Answer::Rejected, "it answered gRPC status 3"),
        ("grpc, away", Grpc, said(b""), LATER, "it answered gRPC status 14"),
        ("grpc, says why", Grpc, said(b"a%20b%"), LATER, "it answered gRPC status 14 (\"a b%\")"),
        (
            "grpc, says bytes",
            Grpc,
            said(b"%ff\n"),
            LATER,
            "it answered gRPC status 14 (\"\u{fffd}\\n\")",
        ),
        (
            "grpc, word",
            Grpc,
            grpc(b"OK"),
            Answer::Rejected,
            "it answered a gRPC status that is none",
        ),
        (
            "grpc, bytes",
            Grpc,
            grpc(b"\xff"),
            Answer::Rejected,
            "it answered a gRPC status that is none",
        ),
        (
            "grpc, empty",
            Grpc,
            grpc(b""),
            Answer::Rejected,
            "it answered a gRPC status that is none",
        ),
        ("grpc, 503", Grpc, http(Some(503), b""), LATER, "it answered 503"),
        ("grpc, 413", Grpc, http(Some(413), b""), Answer::TooLarge, "it answered 413"),
        ("grpc, 404", Grpc, http(Some(404), b""), Answer::Rejected, "it answered 404"),
        ("grpc, broken", Grpc, http(None, b""), LATER, "its answer broke off"),
        (
            "grpc, a web page",
            Grpc,
            http(Some(200), b"<html>"),
            Answer::Rejected,
            "it answered without a gRPC status",
        ),
    ] {
        let expected = Meaning { answer, words: words.to_owned() };
        assert_eq!(reply.meaning(protocol, 0), expected, "{name}");
    }
}

#[test]
fn a_collectors_words_are_cut() {
    let long = vec![b'x'; 10_000];
    let reply = Reply { grpc_message: Some(long), ..grpc(b"14") };
    assert!(reply.meaning(Protocol::Grpc, 0).words.len() < MAX_WORDS + 50);
}

#[test]
fn a_wait_is_that_of_retry_info() {
    for (status, details, expected) in [
        (b"8", Some(RETRY_INFO), Answer::Later { after: Some(Duration::from_secs(7)) }),
        (b"8", None, Answer::Rejected),
        (b"8", Some(b"garbage"), Answer::Rejected),
    ] {
        let details = details.map(<[u8]>::to_vec);
        let reply = Reply { grpc_status_details: details, ..grpc(status) };
        assert_eq!(reply.meaning(Protocol::Grpc, 0).answer, expected);
    }
}
