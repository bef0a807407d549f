//! What travels between services: ids, flags and the sampling decision.

use super::{Link, SpanId, TraceId};

/// What somebody upstream decided about recording this trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do not record.
    Drop,
    /// Record.
    Sample,
    /// Record whatever limits say: B3's debug flag, Jaeger's debug bit.
    Debug,
}

impl Decision {
    /// Whether spans of the trace are recorded.
    pub fn is_sampled(self) -> bool {
        !matches!(self, Self::Drop)
    }
}

/// The W3C trace flags other than `sampled`, which [`Decision`] holds.
/// <https://www.w3.org/TR/trace-context-2/#trace-flags>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags {
    /// The trace id's lowest 56 bits are random (level 2).
    pub random: bool,
}

/// One position in one trace: what a header says, and what is written upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that the next one is a child of.
    pub span_id: SpanId,
    /// That span's own parent, where it is known: B3 and Jaeger carry it.
    pub parent_id: Option<SpanId>,
    /// The decision, or nothing where it was left to us (B3's "no decision yet").
    pub decision: Option<Decision>,
    /// The remaining flags.
    pub flags: TraceFlags,
}

impl TraceContext {
    /// A link to it, for a span of another trace.
    pub fn link(&self) -> Link {
        Link { trace_id: self.trace_id, span_id: self.span_id, confidence: None }
    }
}
