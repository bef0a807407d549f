//! W3C Trace Context, level 2: the header `traceparent`.
//!
//! <https://www.w3.org/TR/trace-context-2/#traceparent-header>
//!
//! Read: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
//! Refused: the same with version `ff`, with upper-case digits, or with `-anything` after version 00.

use super::headers::{Edits, Header, Incoming};
use super::{Extracted, Malformed};
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
    let (fixed, future) = value.split_at_checked(55)?;
    let mut fields = fixed.split(|byte| *byte == b'-');
    let version = hex_byte(fields.next()?)?;
    let trace_id = TraceId::from_hex(fields.next()?)?;
    let span_id = SpanId::from_hex(fields.next()?)?;
    let flags = hex_byte(fields.next()?)?;
    let whole = match version {
        0xff => false,
        0 => future.is_empty(),
        // A later version may append fields, each after a dash.
        _ => future.is_empty() || future.starts_with(b"-"),
    };
    (whole && fields.next().is_none()).then_some(TraceContext {
        trace_id,
        span_id,
        parent_id: None,
        decision: Some(if flags & SAMPLED != 0 { Decision::Sample } else { Decision::Drop }),
        flags: TraceFlags { random: flags & RANDOM != 0 },
    })
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    Some(u8::from_be_bytes(byte))
}

pub(super) fn inject(context: &TraceContext, decision: Decision, edits: &mut Edits) {
    let mut flags = 0;
    if decision.is_sampled() {
        flags |= SAMPLED;
    }
    if context.flags.random {
        flags |= RANDOM;
    }
    let mut value = String::with_capacity(55);
    value.push_str("00-");
    super::push_hex(&mut value, &context.trace_id.hex());
    value.push('-');
    super::push_hex(&mut value, &context.span_id.hex());
    value.push_str(match flags {
        0 => "-00",
        1 => "-01",
        2 => "-02",
        _ => "-03",
    });
    edits.set(Header::Traceparent, value);
}
