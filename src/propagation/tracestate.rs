//! W3C Trace Context, level 2: the header `tracestate`. It belongs to the vendors and passes
//! untouched, but for the sampling threshold in OpenTelemetry's own member, `ot=th:fd70a4`.
//!
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header>,
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>
//!
//! Valid: `congo=t61rcWkgMzE, rojo=00f067aa0ba902b7`. Invalid: `FOO=1`, `foo=`, `foo=bar=baz`.

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
fn members<'h>(lines: &[&'h [u8]]) -> impl Iterator<Item = &'h [u8]> {
    let members = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The members of all lines as one list, as a span keeps it: of more than 512 bytes, only the first
/// members that fit.
pub(super) fn list(lines: &[&[u8]]) -> String {
    let mut list = String::new();
    for member in members(lines) {
        if list.len() + 1 + member.len() > MAX_RECORDED {
            break;
        }
        push(&mut list, ',', member);
    }
    list
}

/// What OpenTelemetry's member says; what cannot be read counts as absent.
pub(super) fn probability(lines: &[&[u8]]) -> Probability {
    let mut probability = Probability::default();
    for field in members(lines).find_map(opentelemetry).into_iter().flat_map(fields) {
        if let Some(digits) = field.strip_prefix(b"th:") {
            probability.threshold = Threshold::from_hex(digits);
        } else if let Some(digits) = field.strip_prefix(b"rv:") {
            probability.randomness = Randomness::from_hex(digits);
        }
    }
    probability
}

/// The same list with this threshold in OpenTelemetry's member, which comes first, or with none.
/// Everything else in that member stays, and so do the other members, but for the last of 32 where
/// there was none of OpenTelemetry's.
pub(super) fn with_threshold(lines: &[&[u8]], threshold: Option<Threshold>) -> String {
    let mut value = String::new();
    let present = members(lines).find_map(opentelemetry).into_iter().flat_map(fields);
    for field in present.filter(|field| !field.starts_with(b"th:")) {
        push(&mut value, ';', field);
    }
    if let Some(field) = threshold.map(|threshold| format!("th:{}", threshold.hex()))
        && value.len() + 1 + field.len() <= MAX_VALUE
    {
        push(&mut value, ';', field.as_bytes());
    }
    let mut list = String::new();
    if !value.is_empty() {
        list.push_str("ot=");
        list.push_str(&value);
    }
    let others = members(lines).filter(|member| opentelemetry(member).is_none());
    for member in others.take(MAX_MEMBERS - usize::from(!list.is_empty())) {
        push(&mut list, ',', member);
    }
    list
}

/// The value of a member that is OpenTelemetry's.
fn opentelemetry(member: &[u8]) -> Option<&[u8]> {
    member.strip_prefix(b"ot=")
}

fn fields(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';')
}

/// Appends to a list; what is in a valid one is ASCII.
fn push(list: &mut String, separator: char, item: &[u8]) {
    if !list.is_empty() {
        list.push(separator);
    }
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
