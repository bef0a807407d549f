//! `tracestate` against the grammar of its specification and the rules for OpenTelemetry's member of it,
//! written down a second time.
//!
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values>,
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>

use super::request::apply;
use meshspan::config::Format;
use meshspan::propagation::{Extracted, Incoming, Propagator};
use meshspan::trace::{Decision, Threshold};

const TRACEPARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const MAX_MEMBERS: usize = 32;
const MAX_VALUE: usize = 256;

/// Each line of the input is a `tracestate` line.
pub fn check(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let headers: Vec<_> = [(&b"traceparent"[..], TRACEPARENT)]
        .into_iter()
        .chain(lines.iter().map(|line| (&b"tracestate"[..], *line)))
        .collect();
    let incoming = Incoming::collect(headers.iter().copied());
    let propagator = Propagator::new(vec![Format::TraceContext], vec![Format::TraceContext]);
    let Extracted::Context(context) = propagator.extract(&incoming).context else {
        panic!("the traceparent is valid");
    };
    let members = if is_valid(&lines) { members(&lines) } else { Vec::new() };
    let said = threshold(&members);
    assert_eq!(propagator.probability(&incoming, &context).threshold, said, "what came in");
    let half = Threshold::new(1 << 55);
    for (decision, threshold) in [
        (Decision::Drop, None),
        (Decision::Sample, said),
        (Decision::Sample, None),
        (Decision::Sample, Some(half)),
    ] {
        let state = propagator.trace_state(&incoming, &context, decision, threshold);
        let edits = propagator.inject(&incoming, &context, decision, &state);
        let after = apply(&headers, &edits);
        let is_tracestate = |(name, _): &&(Vec<u8>, Vec<u8>)| name == b"tracestate";
        let after: Vec<&[u8]> =
            after.iter().filter(is_tracestate).map(|(_, value)| value.as_slice()).collect();
        if !members.is_empty() && (!decision.is_sampled() || threshold == said) {
            assert_eq!(after, lines, "nothing has to change");
        } else if !decision.is_sampled() {
            assert!(after.is_empty(), "it belongs to no trace: {after:?}");
        } else {
            let expected = with_threshold(&members, threshold);
            let found = self::members(&after);
            assert_eq!(found, expected.iter().map(|it| it.trim_ascii_end()).collect::<Vec<_>>());
        }
        assert!(after.is_empty() || is_valid(&after), "what goes out is a list: {after:?}");
        let recorded = state.into_list(&incoming);
        assert!(recorded.len() <= 512, "a span keeps {} bytes", recorded.len());
        assert!(recorded.is_empty() || !after.is_empty());
        if !recorded.is_empty() {
            assert!(is_valid(&[recorded.as_bytes()]), "what a span keeps is a list: {recorded}");
        }
    }
}

/// The members with another threshold in OpenTelemetry's, which comes first then.
fn with_threshold(members: &[&[u8]], threshold: Option<Threshold>) -> Vec<Vec<u8>> {
    let fields = opentelemetry(members).map(|value| split(value, b';')).unwrap_or_default();
    let stays = |it: &&[u8]| !it.starts_with(b"th:") && !it.trim_ascii().is_empty();
    let others: Vec<&[u8]> = fields.into_iter().filter(stays).collect();
    let first = threshold.map(|threshold| [b"th:", threshold.hex().digits()].concat());
    let with = first.iter().map(Vec::as_slice).chain(others.iter().copied());
    let mut value = with.collect::<Vec<_>>().join(&b';');
    if value.len() > MAX_VALUE {
        value = others.join(&b';');
    }
    let mut list = Vec::new();
    if !value.is_empty() {
        list.push([b"ot=", value.as_slice()].concat());
    }
    list.extend(members.iter().filter(|it| !it.starts_with(b"ot=")).map(|it| it.to_vec()));
    list.truncate(MAX_MEMBERS);
    list
}

/// The last threshold that is said, if it can be read.
fn threshold(members: &[&[u8]]) -> Option<Threshold> {
    let fields = split(opentelemetry(members)?, b';');
    let digits = fields.iter().rev().find_map(|field| field.strip_prefix(b"th:"))?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = (1..=14).contains(&digits.len()) && digits.iter().all(is_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    Some(Threshold::new(u64::from_str_radix(&format!("{text:0<14}"), 16).unwrap()))
}

fn opentelemetry<'a>(members: &[&'a [u8]]) -> Option<&'a [u8]> {
    members.iter().find_map(|member| member.strip_prefix(b"ot="))
}

/// What is between separators and is not empty.
fn split(text: &[u8], separator: u8) -> Vec<&[u8]> {
    text.split(|byte| *byte == separator).filter(|part| !part.is_empty()).collect()
}

/// The members of all lines, without the blanks around them; empty ones do not count.
fn members<'a>(lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let all = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
    all.map(|member| member.trim_ascii()).filter(|member| !member.is_empty()).collect()
}

fn is_valid(lines: &[&[u8]]) -> bool {
    let members = members(lines);
    (1..=MAX_MEMBERS).contains(&members.len()) && members.iter().all(|it| is_member(it))
}

fn is_member(member: &[u8]) -> bool {
    let Ok(Some((key, value))) = std::str::from_utf8(member).map(|it| it.split_once('=')) else {
        return false;
    };
    let starts = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let goes_on = |c: char| starts(c) || "_-*/@".contains(c);
    let printable = |c: char| (' '..='~').contains(&c) && c != ',' && c != '=';
    (1..=256).contains(&key.len())
        && key.starts_with(starts)
        && key.chars().all(goes_on)
        && (1..=MAX_VALUE).contains(&value.len())
        && value.chars().all(printable)
}
