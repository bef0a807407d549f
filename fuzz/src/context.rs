//! Headers of every format, alone and together: what goes out is one context in all of them.

use super::lines::headers;
use super::request::{Lines, apply};
use meshspan::config::Format;
use meshspan::propagation::{Extracted, Extraction, Header, Incoming, Propagator};
use meshspan::trace::{Decision, SpanId, Threshold, TraceContext, TraceFlags, TraceId};

/// The threshold `0`.
const ALL: Threshold = Threshold::ALWAYS;

/// For every way to read and to write: nothing stale is left, and what was written is read back.
pub fn check(input: &[u8]) {
    let came_in = headers(input);
    let incoming = Incoming::collect(came_in.iter().copied());
    for extract in orders() {
        let extraction = Propagator::new(extract.clone(), Vec::new()).extract(&incoming);
        for inject in selections() {
            let propagator = Propagator::new(extract.clone(), inject.clone());
            let (context, decision) = next(&extraction);
            let said = propagator.probability(&incoming, &context).threshold;
            for threshold in [said, Some(ALL)] {
                let inject_into = |incoming: &Incoming| {
                    let state = propagator.trace_state(incoming, &context, decision, threshold);
                    propagator.inject(incoming, &context, decision, &state)
                };
                let went_out = apply(&came_in, &inject_into(&incoming));
                let after = Incoming::collect(pairs(&went_out));
                assert_eq!(others(pairs(&went_out)), others(came_in.iter().copied()));
                for format in Format::ALL {
                    let expected = inject.contains(&format) || came_in_as(format, &incoming);
                    check_format(format, &after, expected, &context, decision);
                }
                assert_eq!(inject_into(&after), [], "nothing is left to do");
                check_tracestate(&incoming, &after, &context);
            }
        }
    }
}

/// Each format alone, all of them, and all of them the other way round.
fn orders() -> Vec<Vec<Format>> {
    let reversed = Format::ALL.into_iter().rev().collect();
    let alone = Format::ALL.into_iter().map(|format| vec![format]);
    alone.chain([Format::ALL.to_vec(), reversed]).collect()
}

fn selections() -> Vec<Vec<Format>> {
    let alone = Format::ALL.into_iter().map(|format| vec![format]);
    alone.chain([vec![Format::TraceContext, Format::B3Multi], Format::ALL.to_vec()]).collect()
}

/// What this proxy would write, with ids that are not random.
fn next(extraction: &Extraction) -> (TraceContext, Decision) {
    let (parent, decision) = match extraction.context {
        Extracted::Context(parent) => (Some(parent), parent.decision),
        Extracted::Decision(decision) => (None, Some(decision)),
        Extracted::Nothing => (None, None),
    };
    let context = TraceContext {
        trace_id: parent.map_or(TraceId::new(7), |parent| Some(parent.trace_id)).unwrap(),
        span_id: SpanId::new(0xfeed).unwrap(),
        parent_id: parent.map(|parent| parent.span_id),
        decision,
        flags: parent.map_or(TraceFlags { random: true }, |parent| parent.flags),
    };
    (context, decision.unwrap_or(Decision::Drop))
}

fn pairs(lines: &Lines) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}

fn others<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(&'a [u8], &'a [u8])> {
    let is_known = |name: &[u8]| Header::ALL.iter().any(|known| known.name().as_bytes() == name);
    lines.filter(|(name, _)| !is_known(name)).collect()
}

/// Whether the format was there, readable or not.
fn came_in_as(format: Format, incoming: &Incoming) -> bool {
    let names: &[Header] = match format {
        Format::TraceContext => &[Header::Traceparent],
        Format::B3 => &[Header::B3],
        Format::B3Multi => &[
            Header::B3TraceId,
            Header::B3SpanId,
            Header::B3ParentSpanId,
            Header::B3Sampled,
            Header::B3Flags,
        ],
        Format::Jaeger => &[Header::UberTraceId],
    };
    names.iter().any(|name| incoming.holds(*name))
}

/// What a reader of this format alone finds is the context, as far as the format can say it.
fn check_format(
    format: Format,
    after: &Incoming,
    expected: bool,
    context: &TraceContext,
    decision: Decision,
) {
    let found = Propagator::new(vec![format], Vec::new()).extract(after);
    assert!(!found.malformed, "{format:?} can be read");
    let Extracted::Context(found) = found.context else {
        assert!(!expected && found.context == Extracted::Nothing, "{format:?}: {found:?}");
        return;
    };
    let knows_debug = format != Format::TraceContext;
    let knows_parent = format != Format::TraceContext;
    let knows_random = format == Format::TraceContext;
    let sampled = match decision {
        Decision::Debug if !knows_debug => Decision::Sample,
        other => other,
    };
    // Nobody asks for the parent of a span that nobody records; B3's header for it may be left out.
    let left_out = format == Format::B3Multi && !decision.is_sampled() && found.parent_id.is_none();
    let written = TraceContext {
        parent_id: context.parent_id.filter(|_| knows_parent && !left_out),
        decision: Some(sampled),
        flags: TraceFlags { random: context.flags.random && knows_random },
        ..*context
    };
    assert_eq!(found, written, "{format:?}");
}

/// `tracestate` goes with its trace or not at all; with another trace there is our own member alone.
fn check_tracestate(before: &Incoming, after: &Incoming, context: &TraceContext) {
    if !after.holds(Header::Tracestate) {
        return;
    }
    assert!(after.holds(Header::Traceparent), "a tracestate goes out without its traceparent");
    let tracecontext = Propagator::new(vec![Format::TraceContext], Vec::new());
    let belongs = match tracecontext.extract(before).context {
        Extracted::Context(parent) => parent.trace_id == context.trace_id,
        _ => false,
    };
    let state = tracecontext.trace_state(after, context, Decision::Drop, None);
    let list = state.into_list(after);
    assert!(belongs || list == "ot=th:0", "a tracestate went on with another trace: {list}");
}
