//! Requests of anybody, by what is configured of trust: what goes on and what responses say of it.

use super::lines::{Header, headers, value};
use super::request::{Lines, Route, apply};
use meshspan::attributes::Resource;
use meshspan::config::{Format, MeshConfig, PluginConfig, Settings, settings};
use meshspan::propagation::{Extracted, Incoming, Propagator};
use meshspan::trace::{Decision, TraceId};
use meshspan::tracer::{Started, Tracer};

const CONTEXTS: [&str; 3] = ["continue", "link", "ignore"];
const SAMPLED: [&str; 3] = ["keep", "limit", "ignore"];

/// Names of headers that others believe, of which none goes on from a stranger.
const STRAYS: [&str; 5] =
    ["baggage", "sw8", "x-amzn-trace-id", "jaeger-debug-id", "grpc-trace-bin"];

/// The headers of a request; `fact-peer` and `fact-identity` are who sends it.
pub fn check(input: &[u8]) {
    // No other names come through Envoy's codecs.
    let is_name = |(name, _): &Header| name.iter().all(u8::is_ascii_graphic);
    let lines: Vec<Header> = headers(input).into_iter().filter(is_name).collect();
    let incoming = Incoming::collect(lines.iter().copied());
    let came_in: Vec<TraceId> =
        Format::ALL.into_iter().filter_map(|format| trace(format, &incoming)).collect();
    let is_trusted = value(&lines, "fact-peer").is_some_and(|it| it.starts_with(b"10.0.0."))
        || value(&lines, "fact-identity")
            .is_some_and(|it| it.starts_with(b"spiffe://cluster.local/ns/web/"));
    let check_one = |configured: &Configured| {
        let Configured { context, sampled, at, settings } = configured;
        let mut tracer = Tracer::new(settings, Resource::default(), [1; 32], |_| None);
        let started = tracer.start(&lines, &Route(&lines));
        let went_out = apply(&lines, &started.edits);
        let is_new = !came_in.contains(&started.context.trace_id);
        check_answer(&started, *at == "everywhere" || is_new);
        check_one_trace(&started, &went_out);
        if is_trusted || value(&lines, "fact-peer").is_some() {
            return;
        }
        let replaces = *context != "continue";
        assert!(is_new || !replaces, "a stranger's trace goes on");
        let is_stray = |(name, _): &(Vec<u8>, Vec<u8>)| {
            STRAYS.iter().any(|stray| stray.as_bytes() == name.as_slice())
        };
        assert!(!replaces || !went_out.iter().any(is_stray), "a stray goes on");
        if *sampled == "ignore" {
            assert!(!started.decision.is_sampled(), "by a stranger's word");
        }
        assert!(*sampled == "keep" || started.decision != Decision::Debug);
    };
    CONFIGURED.with(|all| all.iter().for_each(check_one));
}

struct Configured {
    context: &'static str,
    sampled: &'static str,
    at: &'static str,
    settings: Settings,
}

thread_local! {
    /// Every way of trust, twice.
    static CONFIGURED: Vec<Configured> = {
        let ways = CONTEXTS.into_iter().flat_map(|context| SAMPLED.map(|sampled| (context, sampled)));
        let all = ways.flat_map(|(context, sampled)| ["edge", "everywhere"].map(|at| (context, sampled, at)));
        all.map(|(context, sampled, at)| {
            Configured { context, sampled, at, settings: configured(context, sampled, at) }
        })
        .collect()
    };
}

/// Nothing is sampled but for what a request says.
fn configured(context: &str, sampled: &str, at: &str) -> Settings {
    let json = format!(
        r#"{{"sampling": {{"percent": 0, "force": {{"header": "x-force", "value": "yes"}},
            "keep": {{"errors": true}}}},
            "response": {{"traceresponse": true, "header": "x-trace-id", "at": "{at}"}},
            "trust": {{"context": "{context}", "sampled": "{sampled}",
            "from": ["10.0.0.0/24", "spiffe://cluster.local/ns/web/*"]}}}}"#
    );
    settings(PluginConfig::parse(json.as_bytes()).unwrap(), MeshConfig::default())
}

fn trace(format: Format, incoming: &Incoming) -> Option<TraceId> {
    match Propagator::new(vec![format], Vec::new()).extract(incoming).context {
        Extracted::Context(context) => Some(context.trace_id),
        _ => None,
    }
}

/// A response says the ids that go on, in the form of `traceparent`, or nothing.
fn check_answer(started: &Started, is_wanted: bool) {
    assert_eq!(!started.answer.is_empty(), is_wanted, "{started:?}");
    if is_wanted {
        let header: Header = (b"traceparent", &started.answer);
        let incoming = Incoming::collect([header]);
        let read = Propagator::new(vec![Format::TraceContext], Vec::new()).extract(&incoming);
        let Extracted::Context(context) = read.context else { panic!("{:?}", started.answer) };
        let ids = (context.trace_id, context.span_id);
        assert_eq!(ids, (started.context.trace_id, started.context.span_id));
        assert_eq!(
            context.decision.is_some_and(Decision::is_sampled),
            started.decision.is_sampled()
        );
        assert_eq!(started.answer.len(), 55);
    }
}

/// Whatever came in, all that goes on is of the trace that goes on.
fn check_one_trace(started: &Started, went_out: &Lines) {
    let lines = went_out.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let after = Incoming::collect(lines);
    for format in Format::ALL {
        if let Some(trace) = trace(format, &after) {
            assert_eq!(trace, started.context.trace_id, "{format:?}");
        }
    }
}
