//! Jaeger's `uber-trace-id: {trace id}:{span id}:{parent id}:{flags}`.
//!
//! <https://www.jaegertracing.io/docs/1.76/client-libraries/#tracespan-identity>
//!
//! Read: ids of fewer digits than their width (`1f:2:0:1`), colons as `%3A`.
//! Refused: an id of zeros or of more digits than its width, five fields, flags that are not hex.

use super::headers::{Edits, Header, Incoming};
use super::{Extracted, Malformed, Value};
use crate::trace::{Decision, SpanId, TraceContext, TraceFlags, TraceId};
use percent_encoding::percent_decode;

const SAMPLED: u64 = 0b01;
const DEBUG: u64 = 0b10;

pub(super) fn extract(incoming: &Incoming) -> Result<Extracted, Malformed> {
    match incoming.value(Header::UberTraceId)? {
        None => Ok(Extracted::Nothing),
        Some(value) => parse(value).map(Extracted::Context).ok_or(Malformed),
    }
}

fn parse(value: &[u8]) -> Option<TraceContext> {
    // Some clients percent-encode the whole value.
    let value: std::borrow::Cow<[u8]> = percent_decode(value).into();
    let mut fields = value.split(|byte| *byte == b':');
    let trace_id = TraceId::new(number(fields.next()?, 32)?)?;
    let span_id = SpanId::new(number(fields.next()?, 16)? as u64)?;
    // Zero says that there is none.
    let parent_id = SpanId::new(number(fields.next()?, 16)? as u64);
    let flags = number(fields.next()?, 16)? as u64;
    fields.next().is_none().then_some(TraceContext {
        trace_id,
        span_id,
        parent_id,
        decision: Some(if flags & DEBUG != 0 {
            Decision::Debug
        } else if flags & SAMPLED != 0 {
            Decision::Sample
        } else {
            Decision::Drop
        }),
        flags: TraceFlags::default(),
    })
}

/// A hex number of at most so many digits; Jaeger's clients leave leading zeros away.
fn number(digits: &[u8], width: usize) -> Option<u128> {
    if digits.is_empty() || digits.len() > width || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

pub(super) fn inject(context: &TraceContext, decision: Decision, edits: &mut Edits) {
    let mut value = Value::EMPTY;
    super::b3::push_trace_id(&mut value, context.trace_id);
    value.push(b":");
    value.push(&context.span_id.hex());
    value.push(b":");
    match context.parent_id {
        Some(parent_id) => value.push(&parent_id.hex()),
        None => value.push(b"0"),
    }
    value.push(match decision {
        Decision::Drop => b":0",
        Decision::Sample => b":1",
        Decision::Debug => b":3",
    });
    edits.set(Header::UberTraceId, value);
}
