//! B3 in the headers `x-b3-traceid`, `x-b3-spanid`, `x-b3-parentspanid`, `x-b3-sampled` and
//! `x-b3-flags`.
//!
//! <https://github.com/openzipkin/b3-propagation#multiple-headers>
//!
//! Read: both ids, with or without the others; `x-b3-sampled` or `x-b3-flags: 1` alone.
//! Refused: one id without the other, ids of another length than 16 or (trace) 32 digits.

use super::b3::{push_trace_id, trace_id};
use super::headers::{Edits, Header, Incoming};
use super::{Extracted, Malformed, Value};
use crate::trace::{Decision, SpanId, TraceContext, TraceFlags};

pub(super) fn extract(incoming: &Incoming) -> Result<Extracted, Malformed> {
    let decision = decision(incoming)?;
    let context = match (incoming.value(Header::B3TraceId)?, incoming.value(Header::B3SpanId)?) {
        (Some(trace), Some(span)) => TraceContext {
            trace_id: trace_id(trace).ok_or(Malformed)?,
            span_id: SpanId::from_hex(span).ok_or(Malformed)?,
            parent_id: match incoming.value(Header::B3ParentSpanId)? {
                None => None,
                Some(parent) => Some(SpanId::from_hex(parent).ok_or(Malformed)?),
            },
            decision,
            flags: TraceFlags::default(),
        },
        (None, None) => return Ok(decision.map_or(Extracted::Nothing, Extracted::Decision)),
        _ => return Err(Malformed),
    };
    Ok(Extracted::Context(context))
}

fn decision(incoming: &Incoming) -> Result<Option<Decision>, Malformed> {
    // The debug flag implies a decision to sample, whatever else is said.
    if incoming.value(Header::B3Flags)? == Some(b"1") {
        return Ok(Some(Decision::Debug));
    }
    match incoming.value(Header::B3Sampled)? {
        None => Ok(None),
        // `true` and `false` were sent by early tracers.
        Some(b"0" | b"false") => Ok(Some(Decision::Drop)),
        Some(b"1" | b"true") => Ok(Some(Decision::Sample)),
        Some(b"d") => Ok(Some(Decision::Debug)),
        Some(_) => Err(Malformed),
    }
}

pub(super) fn inject(context: &TraceContext, decision: Decision, edits: &mut Edits) {
    let mut trace_id = Value::EMPTY;
    push_trace_id(&mut trace_id, context.trace_id);
    edits.set(Header::B3TraceId, trace_id);
    edits.set(Header::B3SpanId, Value::of(&context.span_id.hex()));
    // It may be left out, and of a span that nobody records nobody asks for the parent.
    let says_parent = decision.is_sampled() || edits.incoming.holds(Header::B3ParentSpanId);
    match context.parent_id.filter(|_| says_parent) {
        Some(parent) => edits.set(Header::B3ParentSpanId, Value::of(&parent.hex())),
        None => edits.clear(Header::B3ParentSpanId),
    }
    // Debug implies sampled, and the specification asks not to send both.
    match decision {
        Decision::Debug => {
            edits.clear(Header::B3Sampled);
            edits.set(Header::B3Flags, Value::of(b"1"));
        }
        Decision::Sample => {
            edits.set(Header::B3Sampled, Value::of(b"1"));
            edits.clear(Header::B3Flags);
        }
        Decision::Drop => {
            edits.set(Header::B3Sampled, Value::of(b"0"));
            edits.clear(Header::B3Flags);
        }
    }
}
