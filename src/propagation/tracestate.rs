//! W3C Trace Context, level 2: the header `tracestate`. It belongs to the vendors and passes
//! untouched, but for the sampling threshold in OpenTelemetry's own member, `ot=th:fd70a4`.
//!
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header>,
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>
//!
//! Valid: `congo=t61rcWkgMzE, rojo=00f067aa0ba902b7`. Invalid: `FOO=1`, `foo=`, `foo=bar=baz`.

use super::Value;
use crate::trace::{Probability, Randomness, Threshold};

const MAX_MEMBERS: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;

/// How much of a list a span keeps, in bytes: what every vendor should be able to propagate, section 3.3.1.5.
const MAX_RECORDED: usize = 512;

/// Whether the lines, taken as one list, hold from 1 to 32 members and all of them are valid.
pub(super) fn is_valid(lines: &[&[u8]]) -> bool {
    let mut count = 0;
    for member in members(lines) {
        count += 1;
        if count > MAX_MEMBERS || !is_member(member) {
            return false;
        }
    }
    count > 0
}

/// The members of all lines; empty ones are allowed, and do not count.
fn members<'l, 'h>(lines: &'l [&'h [u8]]) -> Members<'l, 'h> {
    Members { rest: None, lines }
}

struct Members<'l, 'h> {
    /// What is left of the line that is being read.
    rest: Option<&'h [u8]>,
    lines: &'l [&'h [u8]],
}

impl<'h> Iterator for Members<'_, 'h> {
    type Item = &'h [u8];

    // Adapters of the standard library would be a kilobyte in each place.
    #[inline(never)]
    fn next(&mut self) -> Option<&'h [u8]> {
        loop {
            let Some(line) = self.rest.take() else {
                let (line, lines) = self.lines.split_first()?;
                (self.rest, self.lines) = (Some(*line), lines);
                continue;
            };
            let end = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
            let (member, rest) = line.split_at_checked(end)?;
            self.rest = rest.split_first().map(|(_, rest)| rest);
            match member.trim_ascii() {
                [] => {}
                member => return Some(member),
            }
        }
    }
}

/// The members of all lines as one list, as a span keeps it: of more than 512 bytes, only the first
/// members that fit.
pub(super) fn list(lines: &[&[u8]]) -> String {
    let mut list = String::new();
    for member in members(lines) {
        if list.len() + 1 + member.len() > MAX_RECORDED {
            break;
        }
        push(&mut list, ["", ","], member);
    }
    list
}

/// The same of a list that was written here.
pub(super) fn list_of(written: &[u8]) -> String {
    match core::str::from_utf8(written) {
        Ok(list) if list.len() <= MAX_RECORDED => list.to_owned(),
        _ => list(&[written]),
    }
}

/// What OpenTelemetry's member says; what cannot be read counts as absent.
#[inline(never)]
pub(super) fn probability(lines: &[&[u8]]) -> Probability {
    let mut probability = Probability::default();
    for field in fields(lines) {
        match field.split_first_chunk() {
            Some((b"th:", digits)) => probability.threshold = Threshold::from_hex(digits),
            Some((b"rv:", digits)) => probability.randomness = Randomness::from_hex(digits),
            _ => {}
        }
    }
    probability
}

/// The list of a trace that came in with none.
pub(super) fn of_threshold(threshold: Threshold) -> Value {
    let mut list = Value::of(b"ot=th:");
    for digit in threshold.hex().digits() {
        list.push(&[*digit]);
    }
    list
}

/// The same list with this threshold in OpenTelemetry's member, which comes first, or with none.
/// Everything else in that member stays, and so do the other members, but for the last of 32 where
/// there was none of OpenTelemetry's. A threshold for which that member has no room is left out.
pub(super) fn with_threshold(lines: &[&[u8]], threshold: Option<Threshold>) -> String {
    let mut list = String::new();
    if let Some(threshold) = threshold {
        push(&mut list, ["ot=th:", ""], threshold.hex().digits());
    }
    for field in
        fields(lines).filter(|field| !field.trim_ascii().is_empty() && !field.starts_with(b"th:"))
    {
        push(&mut list, ["ot=", ";"], field);
    }
    if list.len() > "ot=".len() + MAX_VALUE {
        return with_threshold(lines, None);
    }
    let others = members(lines).filter(|member| opentelemetry(member).is_none());
    for member in others.take(MAX_MEMBERS - usize::from(!list.is_empty())) {
        push(&mut list, ["", ","], member);
    }
    list
}

/// The value of a member that is OpenTelemetry's.
fn opentelemetry(member: &[u8]) -> Option<&[u8]> {
    member.strip_prefix(b"ot=")
}

/// The fields of that member.
fn fields<'h>(lines: &[&'h [u8]]) -> impl Iterator<Item = &'h [u8]> {
    let value = members(lines).find_map(opentelemetry).unwrap_or_default();
    value.split(|byte| *byte == b';')
}

/// Appends to a list, after one text where it is empty and another where it is not. What is in a
/// valid list is ASCII.
#[inline(never)]
fn push(list: &mut String, [first, next]: [&str; 2], item: &[u8]) {
    list.push_str(if list.is_empty() { first } else { next });
    list.push_str(core::str::from_utf8(item).unwrap_or_default());
}

fn is_member(member: &[u8]) -> bool {
    let mut halves = member.splitn(2, |byte| *byte == b'=');
    match (halves.next(), halves.next()) {
        (Some(key), Some(value)) => is_key(key) && is_value(value),
        _ => false,
    }
}

fn is_key(key: &[u8]) -> bool {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= MAX_KEY
        && key.first().is_some_and(first)
        && key.iter().all(|byte| first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// Leading spaces belong to the value; trailing ones were trimmed with the member.
fn is_value(value: &[u8]) -> bool {
    !value.is_empty()
        && value.len() <= MAX_VALUE
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b',' && *byte != b'=')
}
