//! B3 in one header: `b3: {trace id}-{span id}[-{decision}[-{parent id}]]`, or a decision alone.
//!
//! <https://github.com/openzipkin/b3-propagation#single-header>
//!
//! Read: `80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90`, `0`, `d`.
//! Refused: upper-case ids, an id of zeros, `…-…-x`, a parent id without a decision.

use super::headers::{Edits, Header, Incoming};
use super::{Extracted, Malformed, Value};
use crate::trace::{Decision, SpanId, TraceContext, TraceFlags, TraceId};

pub(super) fn extract(incoming: &Incoming) -> Result<Extracted, Malformed> {
    match incoming.value(Header::B3)? {
        None => Ok(Extracted::Nothing),
        Some(value) => parse(value).ok_or(Malformed),
    }
}

fn parse(value: &[u8]) -> Option<Extracted> {
    if let Some(decision) = decision(value) {
        return Some(Extracted::Decision(decision));
    }
    let mut fields = value.split(|byte| *byte == b'-');
    let context = TraceContext {
        trace_id: trace_id(fields.next()?)?,
        span_id: SpanId::from_hex(fields.next()?)?,
        decision: match fields.next() {
            None => None,
            Some(field) => Some(decision(field)?),
        },
        parent_id: match fields.next() {
            None => None,
            Some(field) => Some(SpanId::from_hex(field)?),
        },
        flags: TraceFlags::default(),
    };
    fields.next().is_none().then_some(Extracted::Context(context))
}

fn decision(field: &[u8]) -> Option<Decision> {
    match field {
        b"0" => Some(Decision::Drop),
        b"1" => Some(Decision::Sample),
        b"d" => Some(Decision::Debug),
        _ => None,
    }
}

/// B3's trace ids have 16 or 32 lower-case hex digits; the shorter one is padded to the left.
pub(super) fn trace_id(hex: &[u8]) -> Option<TraceId> {
    match hex.len() {
        16 => TraceId::new(u128::from(SpanId::from_hex(hex)?.value())),
        _ => TraceId::from_hex(hex),
    }
}

/// Writes a trace id as B3 systems do: 16 digits where 16 suffice.
pub(super) fn push_trace_id(value: &mut Value, id: TraceId) {
    let [upper, lower] = id.hex();
    if !id.is_64_bit() {
        value.push(&upper);
    }
    value.push(&lower);
}

pub(super) fn inject(context: &TraceContext, decision: Decision, edits: &mut Edits) {
    let mut value = Value::EMPTY;
    push_trace_id(&mut value, context.trace_id);
    value.push(b"-");
    value.push(&context.span_id.hex());
    value.push(match decision {
        Decision::Drop => b"-0",
        Decision::Sample => b"-1",
        Decision::Debug => b"-d",
    });
    if let Some(parent_id) = context.parent_id {
        value.push(b"-");
        value.push(&parent_id.hex());
    }
    edits.set(Header::B3, value);
}
