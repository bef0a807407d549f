//! Header bytes to context and back: one file a format, one composite that keeps them consistent.

mod b3;
mod b3multi;
mod composite;
mod headers;
mod jaeger;
mod strays;
mod tracecontext;
mod tracestate;
mod value;

pub use composite::{Extraction, Propagator, TraceState};
pub use headers::{Edit, Header, Incoming};
pub use strays::without_strays;
pub use tracecontext::traceparent;
pub use value::Value;

use crate::config::Format;
use crate::trace::{Decision, TraceContext};

impl Format {
    /// The headers that make up the format.
    fn headers(self) -> &'static [Header] {
        match self {
            Self::TraceContext => &[Header::Traceparent],
            Self::B3 => &[Header::B3],
            Self::B3Multi => &[
                Header::B3TraceId,
                Header::B3SpanId,
                Header::B3ParentSpanId,
                Header::B3Sampled,
                Header::B3Flags,
            ],
            Self::Jaeger => &[Header::UberTraceId],
        }
    }

    fn extract(self, incoming: &Incoming) -> Result<Extracted, Malformed> {
        match self {
            Self::TraceContext => tracecontext::extract(incoming),
            Self::B3 => b3::extract(incoming),
            Self::B3Multi => b3multi::extract(incoming),
            Self::Jaeger => jaeger::extract(incoming),
        }
    }
}

/// What the headers of one format hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extracted {
    /// Ids, with or without a decision.
    Context(TraceContext),
    /// A decision for a trace that has not begun: `b3: 0`.
    Decision(Decision),
    /// Nothing at all.
    Nothing,
}

/// The headers of a format came in and cannot be read as that format; they count as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[cfg(test)]
#[rustfmt::skip] // One case a line reads better than one field a line.
mod tests;
