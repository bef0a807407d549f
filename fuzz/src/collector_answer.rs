//! What collectors answer, in each protocol: what it means is bounded, and what the log says is short.

use super::lines::{headers_and_body, value};
use super::span::with_spans;
use meshspan::config::Protocol;
use meshspan::export::{Answer, Meaning, Reply};
use meshspan::stats::Metric;
use meshspan::tracer::Tracer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_700_000_000 * SECOND;

/// The longest that a collector is left alone: 60 s that it may ask for, and a second at random.
const LONGEST_WAIT: u64 = 61 * SECOND;

/// The most characters of a collector's own words in the log: 256 bytes, each written as an escape.
const MAX_WORDS: usize = 2048;

/// Headers, an empty line, and the body.
pub fn check(input: &[u8]) {
    let (headers, body) = headers_and_body(input);
    let header = |name| value(&headers, name).map(<[u8]>::to_vec);
    let status = header(":status");
    let reply = Reply {
        status: status.and_then(|value| String::from_utf8(value).ok()?.parse().ok()),
        retry_after: header("retry-after"),
        grpc_status: header("grpc-status"),
        grpc_message: header("grpc-message"),
        grpc_status_details: header("grpc-status-details-bin"),
        body: body.to_vec(),
    };
    for (_, protocol) in Protocol::NAMED {
        let Meaning { answer, words } = reply.meaning(protocol, NOW);
        let logged = match answer {
            Answer::Accepted { .. } => format!("{words:?}"),
            _ => words,
        };
        assert!(logged.chars().count() <= MAX_WORDS, "{} characters", logged.chars().count());
        assert!(!logged.chars().any(char::is_control), "{logged:?}");
        check_delivery(answer);
    }
    check_partial_success(&reply);
}

/// `partial_success` is what the generated types write it as. They skip groups, which no message of
/// OTLP's has; ours refuses them, and a body that is refused says nothing of a rejection.
fn check_partial_success(reply: &Reply) {
    let Ok(response) = ExportTraceServiceResponse::decode(reply.body.as_slice()) else { return };
    let meaning = |body: Vec<u8>| {
        let ok = Reply { status: Some(200), body, ..reply.clone() };
        ok.meaning(Protocol::HttpProtobuf, NOW)
    };
    let written = meaning(response.encode_to_vec());
    let partial = response.partial_success.unwrap_or_default();
    let expected = usize::try_from(partial.rejected_spans).unwrap_or(0);
    assert_eq!(written.answer, Answer::Accepted { rejected: expected });
    assert!(partial.error_message.is_empty() || !written.words.is_empty());
    let came = meaning(reply.body.clone());
    let nothing = Answer::Accepted { rejected: 0 };
    assert!(came.answer == written.answer || came.answer == nothing, "{:?}", came.answer);
}

/// A batch of three that gets this answer is exported, dropped or sent again soon, and the books
/// balance.
fn check_delivery(answer: Answer) {
    let Tracer { mut exporter, mut stats, .. } = with_spans(3);
    let (batch, _) = exporter.next_batch(NOW, u64::MAX).expect("three spans wait");
    exporter.sent(1, batch, NOW, &mut stats);
    exporter.answered(1, answer, NOW, &mut stats);
    let mut told = [0; Metric::ALL.len()];
    stats.flush(|metric, change| told[metric as usize] += change);
    let told = |metric: Metric| told[metric as usize];
    let dropped = told(Metric::SpansDroppedRejected)
        + told(Metric::SpansDroppedTooLarge)
        + told(Metric::SpansDroppedQueueFull)
        + told(Metric::SpansDroppedRetriesExhausted);
    assert_eq!(told(Metric::SpansSampled), 3);
    assert_eq!(3, told(Metric::SpansExported) + dropped + told(Metric::QueueSpans), "{answer:?}");
    if told(Metric::QueueSpans) > 0 {
        assert!(exporter.next_batch(NOW + LONGEST_WAIT, u64::MAX).is_some(), "{answer:?}");
    }
    if let Answer::Later { after: Some(after) } = answer {
        let wait = u64::try_from(after.min(Duration::from_secs(60)).as_nanos()).unwrap();
        assert!(wait == 0 || exporter.next_batch(NOW + wait - 1, u64::MAX).is_none(), "{answer:?}");
    }
}
