use super::*;
use crate::trace::{SpanId, Threshold, TraceFlags, TraceId, sample};

mod tracestate;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SHORT_TRACE: &str = "a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const PARENT: &str = "05e3ac9a4f6e3b90";

type Headers = Vec<(String, String)>;

/// One header a line, `name: value`.
fn headers(lines: &str) -> Headers {
    lines
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            let value = value.replace("TRACE", TRACE).replace("SHORT", SHORT_TRACE).replace("SPAN", SPAN).replace("PARENT", PARENT);
            (name.to_owned(), value)
        })
        .collect()
}

fn incoming(headers: &Headers) -> Incoming<'_> {
    Incoming::collect(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn read(format: Format, lines: &str) -> Result<Extracted, Malformed> {
    let headers = headers(lines);
    format.extract(&incoming(&headers))
}

fn context(decision: Option<Decision>) -> TraceContext {
    TraceContext {
        trace_id: TraceId::from_hex(TRACE.as_bytes()).unwrap(),
        span_id: SpanId::from_hex(SPAN.as_bytes()).unwrap(),
        parent_id: None,
        decision,
        flags: TraceFlags::default(),
    }
}

fn short(decision: Option<Decision>) -> TraceContext {
    TraceContext { trace_id: TraceId::new(0xa3ce_929d_0e0e_4736).unwrap(), ..context(decision) }
}

fn with_parent(context: TraceContext) -> TraceContext {
    TraceContext { parent_id: SpanId::from_hex(PARENT.as_bytes()), ..context }
}

fn random(context: TraceContext) -> TraceContext {
    TraceContext { flags: TraceFlags { random: true }, ..context }
}

const SAMPLE: Option<Decision> = Some(Decision::Sample);
const DROP: Option<Decision> = Some(Decision::Drop);
const DEBUG: Option<Decision> = Some(Decision::Debug);

fn whole(context: TraceContext) -> Result<Extracted, Malformed> {
    Ok(Extracted::Context(context))
}

fn lone(decision: Decision) -> Result<Extracted, Malformed> {
    Ok(Extracted::Decision(decision))
}

fn check(format: Format, cases: &[(&str, &str, Result<Extracted, Malformed>)]) {
    for (name, lines, expected) in cases {
        assert_eq!(read(format, lines), *expected, "{format:?}: {name}");
    }
}

#[test]
fn traceparent_reads_version_00_and_the_fixed_part_of_later_ones() {
    let bad = Err(Malformed);
    check(
        Format::TraceContext,
        &[
            ("absent", "", Ok(Extracted::Nothing)),
            ("sampled", "traceparent: 00-TRACE-SPAN-01", whole(context(SAMPLE))),
            ("not sampled", "traceparent: 00-TRACE-SPAN-00", whole(context(DROP))),
            ("random", "traceparent: 00-TRACE-SPAN-02", whole(random(context(DROP)))),
            ("random and sampled", "traceparent: 00-TRACE-SPAN-03", whole(random(context(SAMPLE)))),
            ("unknown flags are ignored", "traceparent: 00-TRACE-SPAN-fd", whole(context(SAMPLE))),
            ("white space around", "traceparent:  \t00-TRACE-SPAN-01 \t", whole(context(SAMPLE))),
            ("a later version", "traceparent: cc-TRACE-SPAN-01", whole(context(SAMPLE))),
            ("a later version with more", "traceparent: cc-TRACE-SPAN-01-what-the-future", whole(context(SAMPLE))),
            ("a later version with an empty rest", "traceparent: cc-TRACE-SPAN-01-", whole(context(SAMPLE))),
            ("a later version with no dash before the rest", "traceparent: cc-TRACE-SPAN-01.what", bad),
            ("version ff", "traceparent: ff-TRACE-SPAN-01", bad),
            ("version 00 with more", "traceparent: 00-TRACE-SPAN-01-", bad),
            ("version in upper case", "traceparent: CC-TRACE-SPAN-01", bad),
            ("version that is not hex", "traceparent: .0-TRACE-SPAN-01", bad),
            ("version too long", "traceparent: 000-TRACE-SPAN-01", bad),
            ("version too short", "traceparent: 0-TRACE-SPAN-01", bad),
            ("trace id of zeros", "traceparent: 00-00000000000000000000000000000000-SPAN-01", bad),
            ("span id of zeros", "traceparent: 00-TRACE-0000000000000000-01", bad),
            ("trace id in upper case", "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-SPAN-01", bad),
            ("span id in upper case", "traceparent: 00-TRACE-00F067AA0BA902B7-01", bad),
            ("flags in upper case", "traceparent: 00-TRACE-SPAN-0A", bad),
            ("trace id too short", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-SPAN-01", bad),
            ("trace id too long", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e47361-SPAN-01", bad),
            ("a dash moved", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", bad),
            ("flags too short", "traceparent: 00-TRACE-SPAN-1", bad),
            ("flags missing", "traceparent: 00-TRACE-SPAN-", bad),
            ("underscores", "traceparent: 00_TRACE_SPAN_01", bad),
            ("empty", "traceparent:", bad),
            ("not ASCII", "traceparent: 00-TRACE-SPAN-0é", bad),
            ("repeated and different", "traceparent: 00-TRACE-SPAN-01\ntraceparent: 00-TRACE-PARENT-01", bad),
            ("repeated and the same", "traceparent: 00-TRACE-SPAN-01\ntraceparent: 00-TRACE-SPAN-01", whole(context(SAMPLE))),
        ],
    );
}

#[test]
fn b3_single_reads_every_form_of_the_specification() {
    let bad = Err(Malformed);
    check(
        Format::B3,
        &[
            ("absent", "", Ok(Extracted::Nothing)),
            ("sampled", "b3: TRACE-SPAN-1", whole(context(SAMPLE))),
            ("not sampled", "b3: TRACE-SPAN-0", whole(context(DROP))),
            ("debug", "b3: TRACE-SPAN-d", whole(context(DEBUG))),
            ("no decision yet", "b3: TRACE-SPAN", whole(context(None))),
            ("with parent", "b3: TRACE-SPAN-1-PARENT", whole(with_parent(context(SAMPLE)))),
            ("64-bit trace id", "b3: SHORT-SPAN-1", whole(short(SAMPLE))),
            ("deny alone", "b3: 0", lone(Decision::Drop)),
            ("accept alone", "b3: 1", lone(Decision::Sample)),
            ("debug alone", "b3: d", lone(Decision::Debug)),
            ("rejects upper case trace id", "b3: 4BF92F3577B34DA6A3CE929D0E0E4736-SPAN-1", bad),
            ("rejects a trace id of zeros", "b3: 00000000000000000000000000000000-SPAN-1", bad),
            ("rejects a span id of zeros", "b3: TRACE-0000000000000000-1", bad),
            ("rejects a 24-digit trace id", "b3: 4bf92f3577b34da6a3ce929d-SPAN-1", bad),
            ("rejects an unknown decision", "b3: TRACE-SPAN-x", bad),
            ("rejects an empty decision", "b3: TRACE-SPAN-", bad),
            ("rejects a parent without decision", "b3: TRACE-SPAN-PARENT", bad),
            ("rejects a malformed parent", "b3: TRACE-SPAN-1-x", bad),
            ("rejects a fifth field", "b3: TRACE-SPAN-1-PARENT-1", bad),
            ("rejects an id alone", "b3: TRACE", bad),
            ("rejects true", "b3: true", bad),
            ("rejects empty", "b3:", bad),
            ("rejects lines that differ", "b3: 0\nb3: 1", bad),
        ],
    );
}

#[test]
fn b3_multi_reads_every_form_of_the_specification() {
    let bad = Err(Malformed);
    let ids = "x-b3-traceid: TRACE\nx-b3-spanid: SPAN\n";
    for (name, more, expected) in [
        ("sampled", "x-b3-sampled: 1", whole(context(SAMPLE))),
        ("sampled as early tracers say it", "x-b3-sampled: true", whole(context(SAMPLE))),
        ("not sampled", "x-b3-sampled: 0", whole(context(DROP))),
        ("not sampled as early tracers say it", "x-b3-sampled: false", whole(context(DROP))),
        ("no decision yet", "", whole(context(None))),
        ("debug by the flag", "x-b3-flags: 1", whole(context(DEBUG))),
        ("debug wins over sampled", "x-b3-sampled: 0\nx-b3-flags: 1", whole(context(DEBUG))),
        ("the flag 0 says nothing", "x-b3-sampled: 1\nx-b3-flags: 0", whole(context(SAMPLE))),
        ("with parent", "x-b3-sampled: 1\nx-b3-parentspanid: PARENT", whole(with_parent(context(SAMPLE)))),
        ("rejects a malformed parent", "x-b3-parentspanid: 1", bad),
        ("rejects an unknown decision", "x-b3-sampled: yes", bad),
        ("rejects a second trace id", "x-b3-traceid: SHORT", bad),
    ] {
        assert_eq!(read(Format::B3Multi, &format!("{ids}{more}")), expected, "{name}");
    }
    check(
        Format::B3Multi,
        &[
            ("absent", "", Ok(Extracted::Nothing)),
            ("64-bit trace id", "x-b3-traceid: SHORT\nx-b3-spanid: SPAN", whole(short(None))),
            ("deny alone", "x-b3-sampled: 0", lone(Decision::Drop)),
            ("accept alone", "x-b3-sampled: 1", lone(Decision::Sample)),
            ("debug alone", "x-b3-flags: 1", lone(Decision::Debug)),
            ("rejects a trace id alone", "x-b3-traceid: TRACE", bad),
            ("rejects a span id alone", "x-b3-spanid: SPAN", bad),
            ("rejects upper case", "x-b3-traceid: 4BF92F3577B34DA6A3CE929D0E0E4736\nx-b3-spanid: SPAN", bad),
            ("rejects zeros", "x-b3-traceid: TRACE\nx-b3-spanid: 0000000000000000", bad),
        ],
    );
}

#[test]
fn jaeger_reads_ids_without_leading_zeros_and_percent_encoding() {
    let bad = Err(Malformed);
    let tiny = TraceContext { trace_id: TraceId::new(0x1f).unwrap(), span_id: SpanId::new(2).unwrap(), ..context(SAMPLE) };
    check(
        Format::Jaeger,
        &[
            ("absent", "", Ok(Extracted::Nothing)),
            ("sampled", "uber-trace-id: TRACE:SPAN:0:1", whole(context(SAMPLE))),
            ("not sampled", "uber-trace-id: TRACE:SPAN:0:0", whole(context(DROP))),
            ("debug", "uber-trace-id: TRACE:SPAN:0:3", whole(context(DEBUG))),
            ("flags of two digits", "uber-trace-id: TRACE:SPAN:0:01", whole(context(SAMPLE))),
            ("with parent", "uber-trace-id: TRACE:SPAN:PARENT:1", whole(with_parent(context(SAMPLE)))),
            ("without leading zeros", "uber-trace-id: 1f:2:0:1", whole(tiny)),
            ("percent-encoded", "uber-trace-id: TRACE%3ASPAN%3a0%3A1", whole(context(SAMPLE))),
            ("rejects zeros", "uber-trace-id: 0:SPAN:0:1", bad),
            ("rejects a span id of zeros", "uber-trace-id: TRACE:0:0:1", bad),
            ("rejects a sign", "uber-trace-id: +1f:2:0:1", bad),
            ("rejects too many digits", "uber-trace-id: 0TRACE:SPAN:0:1", bad),
            ("rejects three fields", "uber-trace-id: TRACE:SPAN:0", bad),
            ("rejects five fields", "uber-trace-id: TRACE:SPAN:0:1:1", bad),
            ("rejects empty flags", "uber-trace-id: TRACE:SPAN:0:", bad),
            ("rejects empty", "uber-trace-id:", bad),
        ],
    );
}

fn propagator(extract: &[Format], inject: &[Format]) -> Propagator {
    Propagator::new(extract.to_vec(), inject.to_vec())
}

const ORDER: [Format; 4] = [Format::TraceContext, Format::B3, Format::B3Multi, Format::Jaeger];

#[test]
fn the_first_valid_context_in_the_configured_order_wins() {
    let other_order = [Format::Jaeger, Format::B3Multi, Format::B3, Format::TraceContext];
    for (name, order, lines, expected, malformed) in [
        ("nothing", ORDER, "", Extracted::Nothing, false),
        ("traceparent before b3", ORDER, "b3: SHORT-SPAN-0\ntraceparent: 00-TRACE-SPAN-01", Extracted::Context(context(SAMPLE)), false),
        ("b3 before traceparent", other_order, "b3: SHORT-SPAN-0\ntraceparent: 00-TRACE-SPAN-01", Extracted::Context(short(DROP)), false),
        ("a malformed one is absent and counted", ORDER, "traceparent: 00-x\nb3: SHORT-SPAN-0", Extracted::Context(short(DROP)), true),
        ("a tracestate that is no list is counted", ORDER, "traceparent: 00-TRACE-SPAN-01\ntracestate: a", Extracted::Context(context(SAMPLE)), true),
        ("so is one of another's trace", ORDER, "tracestate: a=1\ntracestate: ,=\nb3: SHORT-SPAN-0", Extracted::Context(short(DROP)), true),
        ("but not where nobody reads it", [Format::B3; 4], "traceparent: x\ntracestate: a\nb3: SHORT-SPAN-0", Extracted::Context(short(DROP)), false),
        ("nor an empty one", ORDER, "traceparent: 00-TRACE-SPAN-01\ntracestate:", Extracted::Context(context(SAMPLE)), false),
        ("a context beats a decision alone", other_order, "b3: 0\ntraceparent: 00-TRACE-SPAN-01", Extracted::Context(context(SAMPLE)), false),
        ("a decision alone completes a context that has none", ORDER, "b3: TRACE-SPAN\nx-b3-sampled: 0", Extracted::Context(context(DROP)), false),
        ("a decision alone", ORDER, "x-b3-sampled: 0", Extracted::Decision(Decision::Drop), false),
        ("a decision beside a malformed context", ORDER, "traceparent: x\nb3: 1", Extracted::Decision(Decision::Sample), true),
        (
            "debug in another format of the same trace is kept",
            ORDER,
            "traceparent: 00-TRACE-SPAN-01\nx-b3-traceid: TRACE\nx-b3-spanid: SPAN\nx-b3-flags: 1",
            Extracted::Context(context(DEBUG)),
            false,
        ),
        ("the random flag is kept beside another format", other_order, "traceparent: 00-TRACE-SPAN-02\nb3: TRACE-SPAN-0", Extracted::Context(random(context(DROP))), false),
        ("the random flag of another trace is not", other_order, "traceparent: 00-TRACE-SPAN-02\nb3: SHORT-SPAN-0", Extracted::Context(short(DROP)), false),
        ("debug of another trace is not", ORDER, "traceparent: 00-TRACE-SPAN-01\nb3: SHORT-SPAN-d", Extracted::Context(context(SAMPLE)), false),
        ("a decision of the same trace is kept", other_order, "b3: TRACE-SPAN\ntraceparent: 00-TRACE-SPAN-00", Extracted::Context(context(DROP)), false),
        ("a decision of another trace is not", other_order, "b3: TRACE-SPAN\ntraceparent: 00-0000000000000000SHORT-SPAN-00", Extracted::Context(context(None)), false),
        ("the random flag of the same trace is kept", other_order, "b3: TRACE-SPAN-1\ntraceparent: 00-TRACE-SPAN-03", Extracted::Context(random(context(SAMPLE))), false),
        ("the random flag of another trace is not", other_order, "b3: SHORT-SPAN-1\ntraceparent: 00-TRACE-SPAN-03", Extracted::Context(short(SAMPLE)), false),
        ("debug does not overrule a drop", ORDER, "traceparent: 00-TRACE-SPAN-00\nb3: TRACE-SPAN-d", Extracted::Context(context(DROP)), false),
    ] {
        let headers = headers(lines);
        let extraction = propagator(&order, &[]).extract(&incoming(&headers));
        assert_eq!(extraction.context, expected, "{name}");
        assert_eq!(extraction.malformed, malformed, "{name}");
    }
}

#[test]
fn the_other_traces_that_came_in_are_linked_once_each() {
    let other = "0af7651916cd43dd8448eb211c80319c";
    let link = sample::link(u128::from_str_radix(other, 16).unwrap(), 0x05e3_ac9a_4f6e_3b90);
    for (name, lines, expected) in [
        ("nothing else came in", "", vec![]),
        ("the trace itself", "b3: TRACE-SPAN-1", vec![]),
        ("the trace itself by another span", "b3: TRACE-PARENT-1", vec![]),
        ("the trace itself, its id cut to 64 bits", "b3: SHORT-PARENT-1", vec![]),
        ("another trace", "b3: OTHER-PARENT-1", vec![link]),
        ("another trace that is not sampled", "b3: OTHER-PARENT-0", vec![link]),
        ("another trace twice", "b3: OTHER-PARENT-1\nx-b3-traceid: OTHER\nx-b3-spanid: SPAN", vec![link]),
        ("two other traces", "b3: OTHER-PARENT-1\nuber-trace-id: 1:2:0:1", vec![link, sample::link(1, 2)]),
        ("a decision alone", "b3: 1", vec![]),
        ("a malformed one", "b3: OTHER-PARENT-x", vec![]),
    ] {
        let headers = headers(&format!("traceparent: 00-TRACE-SPAN-01\n{}", lines.replace("OTHER", other)));
        let extraction = propagator(&ORDER, &[]).extract(&incoming(&headers));
        assert_eq!(extraction.links, expected, "{name}");
    }
}

#[test]
fn a_format_that_is_not_configured_is_not_read() {
    let headers = headers("b3: TRACE-SPAN-1");
    let extraction = propagator(&[Format::TraceContext], &[]).extract(&incoming(&headers));
    assert_eq!(extraction.context, Extracted::Nothing);
}

/// The headers after the edits, sorted by name; the order of other headers does not matter here.
fn apply(headers: &Headers, edits: &[Edit]) -> Headers {
    let mut after = headers.clone();
    for edit in edits {
        match edit {
            Edit::Add(header, value) => {
                assert!(after.iter().all(|(name, _)| name != header.name()));
                after.push((header.name().to_owned(), value.as_bytes().iter().copied().map(char::from).collect()));
            }
            Edit::Replace(header, value) => {
                assert!(after.iter().any(|(name, _)| name == header.name()));
                after.retain(|(name, _)| name != header.name());
                after.push((header.name().to_owned(), value.as_bytes().iter().copied().map(char::from).collect()));
            }
            Edit::Remove(_) | Edit::RemoveOther(_) => after.retain(|(name, _)| name != edit.name()),
        }
    }
    after.sort();
    after
}

fn edits(inject: &[Format], headers: &Headers, context: &TraceContext, decision: Decision, threshold: Option<Threshold>) -> Vec<Edit> {
    let (propagator, incoming) = (propagator(&ORDER, inject), incoming(headers));
    let trace_state = propagator.trace_state(&incoming, context, decision, threshold);
    propagator.inject(&incoming, context, decision, &trace_state)
}

fn after(inject: &[Format], lines: &str, context: &TraceContext, decision: Decision) -> Headers {
    let headers = headers(lines);
    apply(&headers, &edits(inject, &headers, context, decision, None))
}

#[test]
fn every_format_writes_what_its_specification_says() {
    let all = with_parent(context(None));
    for (name, format, context, decision, expected) in [
        ("traceparent sampled", Format::TraceContext, all, Decision::Sample, "traceparent: 00-TRACE-SPAN-01"),
        ("traceparent debug", Format::TraceContext, all, Decision::Debug, "traceparent: 00-TRACE-SPAN-01"),
        ("traceparent dropped", Format::TraceContext, all, Decision::Drop, "traceparent: 00-TRACE-SPAN-00"),
        ("traceparent random", Format::TraceContext, random(all), Decision::Sample, "traceparent: 00-TRACE-SPAN-03"),
        ("traceparent random dropped", Format::TraceContext, random(all), Decision::Drop, "traceparent: 00-TRACE-SPAN-02"),
        ("a 64-bit id is padded", Format::TraceContext, short(None), Decision::Sample, "traceparent: 00-0000000000000000SHORT-SPAN-01"),
        ("b3 with parent", Format::B3, all, Decision::Sample, "b3: TRACE-SPAN-1-PARENT"),
        ("b3 debug", Format::B3, context_root(), Decision::Debug, "b3: TRACE-SPAN-d"),
        ("b3 dropped", Format::B3, context_root(), Decision::Drop, "b3: TRACE-SPAN-0"),
        ("b3 of a 64-bit id", Format::B3, short(None), Decision::Sample, "b3: SHORT-SPAN-1"),
        ("b3multi", Format::B3Multi, all, Decision::Sample, "x-b3-parentspanid: PARENT\nx-b3-sampled: 1\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE"),
        ("b3multi root", Format::B3Multi, context_root(), Decision::Drop, "x-b3-sampled: 0\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE"),
        ("b3multi debug", Format::B3Multi, context_root(), Decision::Debug, "x-b3-flags: 1\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE"),
        ("jaeger", Format::Jaeger, all, Decision::Sample, "uber-trace-id: TRACE:SPAN:PARENT:1"),
        ("jaeger debug", Format::Jaeger, context_root(), Decision::Debug, "uber-trace-id: TRACE:SPAN:0:3"),
        ("jaeger dropped", Format::Jaeger, context_root(), Decision::Drop, "uber-trace-id: TRACE:SPAN:0:0"),
    ] {
        assert_eq!(after(&[format], "", &context, decision), headers(expected), "{name}");
    }
}

fn context_root() -> TraceContext {
    context(None)
}

#[test]
fn what_goes_out_agrees_in_every_format_and_nothing_stays_stale() {
    let both = [Format::TraceContext, Format::B3Multi];
    for (name, inject, before, expected) in [
        ("a stale traceparent is replaced", &both[..1], "traceparent: 00-TRACE-PARENT-00", "traceparent: 00-TRACE-SPAN-01"),
        ("repeated lines become one", &both[..1], "traceparent: 00-TRACE-PARENT-00\ntraceparent: 00-TRACE-SPAN-01", "traceparent: 00-TRACE-SPAN-01"),
        (
            "a format that came in and is not configured is rewritten",
            &both[..1],
            "b3: SHORT-PARENT-0\nuber-trace-id: 1:2:0:0",
            "b3: TRACE-SPAN-1\ntraceparent: 00-TRACE-SPAN-01\nuber-trace-id: TRACE:SPAN:0:1",
        ),
        ("a stale parent and debug flag go", &both[1..], "x-b3-parentspanid: PARENT\nx-b3-flags: 1", "x-b3-sampled: 1\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE"),
        (
            "malformed values are replaced",
            &both[..],
            "traceparent: garbage\nx-b3-traceid: garbage\nuber-trace-id: garbage",
            "traceparent: 00-TRACE-SPAN-01\nuber-trace-id: TRACE:SPAN:0:1\nx-b3-sampled: 1\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE",
        ),
        (
            "all else passes untouched",
            &both[..1],
            "baggage: a=1\nx-ot-span-context: x\nx-request-id: r\nX-B3: y",
            "X-B3: y\nbaggage: a=1\ntraceparent: 00-TRACE-SPAN-01\nx-ot-span-context: x\nx-request-id: r",
        ),
        (
            "tracestate stays with its trace",
            &both[..1],
            "traceparent: 00-TRACE-PARENT-01\ntracestate: a=1\ntracestate: b=2",
            "traceparent: 00-TRACE-SPAN-01\ntracestate: a=1\ntracestate: b=2",
        ),
        ("tracestate of another trace goes", &both[..1], "traceparent: 00-00000000000000000000000000000001-SPAN-01\ntracestate: a=1", "traceparent: 00-TRACE-SPAN-01"),
        ("tracestate without traceparent goes", &both[..1], "tracestate: a=1", "traceparent: 00-TRACE-SPAN-01"),
        ("invalid tracestate goes, the trace stays", &both[..1], "traceparent: 00-TRACE-PARENT-01\ntracestate: FOO=1", "traceparent: 00-TRACE-SPAN-01"),
    ] {
        let mut expected = headers(expected);
        expected.sort();
        assert_eq!(after(inject, before, &context(None), Decision::Sample), expected, "{name}");
    }
}

#[test]
fn a_header_that_already_says_it_is_not_touched() {
    let headers = headers("traceparent: 00-TRACE-SPAN-01");
    let edits = edits(&[Format::TraceContext], &headers, &context(None), Decision::Sample, None);
    assert_eq!(edits, []);
}

#[test]
fn what_one_format_writes_it_reads_back() {
    for format in Format::ALL {
        for decision in [Decision::Drop, Decision::Sample, Decision::Debug] {
            for trace in [context(None), short(None)] {
                let written = after(&[format], "", &trace, decision);
                let expected = match (format, decision) {
                    // traceparent has no debug flag.
                    (Format::TraceContext, Decision::Debug) => Decision::Sample,
                    _ => decision,
                };
                assert_eq!(format.extract(&incoming(&written)), whole(TraceContext { decision: Some(expected), ..trace }), "{format:?}: {decision:?}");
            }
        }
    }
}

#[test]
fn random_bytes_never_panic_and_never_survive() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"0123456789abcdefABCDEFd-:%3,=\xff\x00 \tz";
    for _ in 0..20_000 {
        let values: Vec<(Header, Vec<u8>)> = Header::ALL
            .into_iter()
            .filter_map(|header| {
                let roll = random();
                (roll % 3 == 0).then(|| {
                    let length = 2 + (random() % 70) as usize;
                    let value = (0..length).map(|_| alphabet[random() as usize % alphabet.len()]).collect();
                    (header, value)
                })
            })
            .collect();
        let incoming = Incoming::collect(values.iter().map(|(header, value)| (header.name().as_bytes(), value.as_slice())));
        let propagator = propagator(&ORDER, &[Format::TraceContext]);
        propagator.extract(&incoming);
        let trace_state = propagator.trace_state(&incoming, &context(None), Decision::Sample, None);
        let edits = propagator.inject(&incoming, &context(None), Decision::Sample, &trace_state);
        for (header, _) in &values {
            assert!(
                edits.iter().any(|edit| matches!(
                    edit,
                    Edit::Replace(name, _) | Edit::Remove(name) if name == header
                )),
                "{header:?} stayed"
            );
        }
    }
}
