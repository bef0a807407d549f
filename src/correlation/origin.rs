//! What a request in flight hands on to the calls that it causes.

use crate::trace::{Decision, Evidence, SpanId, Threshold, TraceContext, TraceFlags, TraceId};

/// The trace that a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The place of the request in flight.
    pub context: Context,
    /// Whether the call is a child of the context's span, or only of its trace.
    pub is_parent: bool,
    /// How that is known.
    pub evidence: Evidence,
}

/// A request's place in its trace, as it is kept and shared between workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span, or its own parent where it passed untouched.
    pub span_id: SpanId,
    /// Whether the trace is recorded.
    pub decision: Decision,
    /// How likely that was, where it is known.
    pub threshold: Option<Threshold>,
    /// The trace's flags.
    pub flags: TraceFlags,
}

impl Context {
    /// Of a request that goes on with this context.
    pub fn of(context: &TraceContext, decision: Decision, threshold: Option<Threshold>) -> Self {
        let TraceContext { trace_id, span_id, flags, .. } = *context;
        Self { trace_id, span_id, decision, threshold, flags }
    }
}
