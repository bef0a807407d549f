//! `tracestate` against the grammar of its specification, written down a second time.
//!
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header-field-values>

use meshspan::config::Format;
use meshspan::propagation::{Extracted, Header, Incoming, Propagator};
use meshspan::trace::Decision;

const TRACEPARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Each line of the input is a `tracestate` line.
pub fn check(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let headers = lines.iter().map(|line| (&b"tracestate"[..], *line));
    let incoming =
        Incoming::collect([(&b"traceparent"[..], TRACEPARENT)].into_iter().chain(headers));
    let propagator = Propagator::new(vec![Format::TraceContext], vec![Format::TraceContext]);
    let Extracted::Context(context) = propagator.extract(&incoming).context else {
        panic!("the traceparent is valid");
    };
    let edits = propagator.inject(&incoming, &context, Decision::Sample);
    let goes_on = !edits.iter().any(|edit| format!("{edit:?}").contains("Tracestate"));
    assert!(incoming.holds(Header::Tracestate));
    assert_eq!(goes_on, is_valid(&lines), "by the grammar");
    let recorded = propagator.trace_state(&incoming, &context);
    assert!(recorded.len() <= 512, "a span keeps {} bytes", recorded.len());
    assert!(goes_on || recorded.is_empty());
    if !recorded.is_empty() {
        assert!(is_valid(&[recorded.as_bytes()]), "what a span keeps is a list: {recorded}");
    }
}

fn is_valid(lines: &[&[u8]]) -> bool {
    let Ok(list) = String::from_utf8(lines.join(&b',')) else { return false };
    let blank = |c: char| c.is_ascii_whitespace();
    let members: Vec<&str> = list
        .split(',')
        .map(|member| member.trim_matches(blank))
        .filter(|it| !it.is_empty())
        .collect();
    (1..=32).contains(&members.len()) && members.iter().all(|member| is_member(member))
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let starts = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    let goes_on = |c: char| starts(c) || "_-*/@".contains(c);
    let printable = |c: char| (' '..='~').contains(&c) && c != ',' && c != '=';
    (1..=256).contains(&key.len())
        && key.starts_with(starts)
        && key.chars().all(goes_on)
        && (1..=256).contains(&value.len())
        && value.chars().all(printable)
}
