//! A collector's reply as it came, and what it means in each protocol.

mod answer;
mod http_date;
mod partial_success;
mod protobuf_reader;
mod retry_info;

pub use answer::Answer;

use super::formats::message;
use crate::config::{Protocol, quoted};
use partial_success::PartialSuccess;
use percent_encoding::percent_decode;
use retry_info::RetryInfo;

/// The most of a collector's own words that is kept for the log, in bytes.
const MAX_WORDS: usize = 256;

/// A collector's reply. Every field is as it came, and any bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// `:status`; nothing for a reply that broke off.
    pub status: Option<u16>,
    /// `retry-after`.
    pub retry_after: Option<Vec<u8>>,
    /// `grpc-status`, from the trailers or, where there are none, the headers.
    pub grpc_status: Option<Vec<u8>>,
    /// `grpc-message`, likewise.
    pub grpc_message: Option<Vec<u8>>,
    /// `grpc-status-details-bin`, likewise.
    pub grpc_status_details: Option<Vec<u8>>,
    /// The body, or as much of it as [`Self::MAX_BODY`].
    pub body: Vec<u8>,
}

/// What a reply means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// For the spans.
    pub answer: Answer,
    /// For the log: of spans that are accepted what the collector adds, else what it did.
    pub words: String,
}

impl Reply {
    /// The most bytes of a body that are of interest.
    pub const MAX_BODY: usize = 65_536;

    /// What the reply means if it came at `now` (nanoseconds).
    pub fn meaning(&self, protocol: Protocol, now: u64) -> Meaning {
        if let (Protocol::Grpc, Some(status)) = (protocol, &self.grpc_status) {
            return self.by_grpc_status(status);
        }
        let answer = Answer::from_http(self.status, self.retry_after.as_deref(), now);
        match (answer, protocol) {
            (Answer::Accepted { .. }, Protocol::Grpc) => Meaning {
                // For gRPC that is UNKNOWN; it was answered by something else.
                answer: Answer::Rejected,
                words: "it answered without a gRPC status".to_owned(),
            },
            (Answer::Accepted { .. }, Protocol::HttpProtobuf) => accepted(&self.body),
            (Answer::Accepted { .. }, Protocol::Zipkin) => Meaning { answer, words: String::new() },
            _ => Meaning { answer, words: by_status(self.status) },
        }
    }

    fn by_grpc_status(&self, status: &[u8]) -> Meaning {
        let code = core::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
        if code == Some(0) {
            return accepted(message(&self.body).unwrap_or_default());
        }
        let info = self.grpc_status_details.as_deref().and_then(RetryInfo::from_header);
        let mut words = match code {
            Some(code) => format!("it answered gRPC status {code}"),
            None => "it answered a gRPC status that is none".to_owned(),
        };
        let message = percent_decode(self.grpc_message.as_deref().unwrap_or_default());
        let message = excerpt(&message.take(MAX_WORDS).collect::<Vec<_>>());
        if !message.is_empty() {
            words.push_str(&format!(" ({})", quoted(&message)));
        }
        Meaning { answer: Answer::from_grpc(code, &message, info), words }
    }
}

fn accepted(response: &[u8]) -> Meaning {
    let PartialSuccess { rejected, message } = PartialSuccess::parse(response);
    Meaning { answer: Answer::Accepted { rejected }, words: excerpt(message) }
}

fn by_status(status: Option<u16>) -> String {
    match status {
        Some(status) => format!("it answered {status}"),
        None => "its answer broke off".to_owned(),
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..MAX_WORDS).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests;
