//! What a request in flight hands on to the calls that it causes.

use crate::trace::{Decision, SpanId, TraceContext, TraceFlags, TraceId};

/// How it is known which request caused a call: the tag `meshspan.correlation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// `request_id`: the call has the x-request-id of one request in flight.
    RequestId,
    /// `header:x-session-id`: the same of a header of the operator's choice.
    Header(String),
}

impl Evidence {
    /// The tag's value.
    pub fn name(&self) -> String {
        match self {
            Self::RequestId => "request_id".to_owned(),
            Self::Header(name) => format!("header:{name}"),
        }
    }
}

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
    /// The trace's flags.
    pub flags: TraceFlags,
}

impl Context {
    /// How many bytes it is shared as.
    pub(super) const BYTES: usize = 25;

    /// Of a request that goes on with this context.
    pub fn of(context: &TraceContext, decision: Decision) -> Self {
        let TraceContext { trace_id, span_id, flags, .. } = *context;
        Self { trace_id, span_id, decision, flags }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.trace_id.value().to_le_bytes());
        bytes.extend_from_slice(&self.span_id.value().to_le_bytes());
        let decision = match self.decision {
            Decision::Drop => 0,
            Decision::Sample => 1,
            Decision::Debug => 2,
        };
        bytes.push(decision | u8::from(self.flags.random) << 2);
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk()?;
        let (span_id, rest) = rest.split_first_chunk()?;
        let [flags] = rest else { return None };
        Some(Self {
            trace_id: TraceId::new(u128::from_le_bytes(*trace_id))?,
            span_id: SpanId::new(u64::from_le_bytes(*span_id))?,
            decision: match flags & 3 {
                0 => Decision::Drop,
                1 => Decision::Sample,
                2 => Decision::Debug,
                _ => return None,
            },
            flags: TraceFlags { random: flags & 4 != 0 },
        })
    }
}
