//! W3C Trace Context, level 2: the header `traceparent`.
//!
//! <https://www.w3.org/TR/trace-context-2/#traceparent-header>
//!
//! Read: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
//! Refused: the same with version `ff`, with upper-case digits, or with `-anything` after version 00.

use super::headers::{Edits, Header, Incoming};
use super::{Extracted, Malformed, Value};
use crate::trace::{Decision, SpanId, TraceContext, TraceFlags, TraceId};

const SAMPLED: u8 = 0b01;
const RANDOM: u8 = 0b10;

pub(super) fn extract(incoming: &Incoming) -> Result<Extracted, Malformed> {
    match incoming.value(Header::Traceparent)? {
        None => Ok(Extracted::Nothing),
        Some(value) => parse(value).map(Extracted::Context).ok_or(Malformed),
    }
}

fn parse(value: &[u8]) -> Option<TraceContext> {
    let (fixed, future) = value.split_first_chunk::<55>()?;
    let [v1, v2, b'-', ids @ .., b'-', f1, f2] = fixed else { return None };
    let (trace_id, span_id) = ids.split_first_chunk::<32>()?;
    let span_id = SpanId::from_hex(span_id.strip_prefix(b"-")?)?;
    let trace_id = TraceId::from_hex(trace_id)?;
    let flags = hex_byte([*f1, *f2])?;
    let whole = match hex_byte([*v1, *v2])? {
        0xff => false,
        0 => future.is_empty(),
        // A later version may append fields, each after a dash.
        _ => future.is_empty() || future.starts_with(b"-"),
    };
    whole.then_some(TraceContext {
        trace_id,
        span_id,
        parent_id: None,
        decision: Some(if flags & SAMPLED != 0 { Decision::Sample } else { Decision::Drop }),
        flags: TraceFlags { random: flags & RANDOM != 0 },
    })
}

fn hex_byte([upper, lower]: [u8; 2]) -> Option<u8> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(nibble(upper)? << 4 | nibble(lower)?)
}

pub(super) fn inject(context: &TraceContext, decision: Decision, edits: &mut Edits) {
    edits.set(Header::Traceparent, traceparent(context, decision));
}

/// What `traceparent` says of a context: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
pub fn traceparent(context: &TraceContext, decision: Decision) -> Value {
    let mut flags = 0;
    if decision.is_sampled() {
        flags |= SAMPLED;
    }
    if context.flags.random {
        flags |= RANDOM;
    }
    let mut value = Value::of(b"00-");
    let [upper, lower] = context.trace_id.hex();
    value.push(&upper);
    value.push(&lower);
    value.push(b"-");
    value.push(&context.span_id.hex());
    value.push(match flags {
        0 => b"-00",
        1 => b"-01",
        2 => b"-02",
        _ => b"-03",
    });
    value
}
