mod trust;

use super::*;
use crate::attributes::Service;
use crate::config::{Attribute, MeshConfig, PluginConfig, settings};
use crate::sampling::tests::Nowhere;
use crate::trace::SpanKind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

fn tracer(plugin: &str) -> Tracer {
    let plugin = PluginConfig::parse(plugin.as_bytes()).unwrap();
    let settings = settings(plugin, MeshConfig::default());
    Tracer::new(&settings, Resource::default(), [3; 32], |_| None)
}

fn headers<'h>(pairs: &[(&'h str, &'h str)]) -> Vec<(&'h [u8], &'h [u8])> {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// The value that an edit gives to a header.
fn written(started: &Started, name: &str) -> Option<String> {
    started.edits.iter().find_map(|edit| match edit {
        Edit::Add(header, value) | Edit::Replace(header, value) if header.name() == name => {
            Some(core::str::from_utf8(value.as_bytes()).unwrap().to_owned())
        }
        _ => None,
    })
}

fn facts() -> Facts {
    Facts {
        kind: SpanKind::Server,
        start_time: 1_000_000,
        duration: 1_000,
        protocol: Vec::new(),
        status_code: Some(200),
        request_size: 0,
        response_size: 0,
        flags: 0,
        cluster: None,
        route: None,
        service: Service::from_cluster("s"),
        peer: None,
        local: None,
        upstream: None,
        grpc_status: None,
        grpc_message: None,
        way: None,
    }
}

impl Naming for Nowhere {
    fn virtual_host(&self) -> Option<String> {
        None
    }

    fn cluster_service_host(&self) -> Option<String> {
        None
    }
}

fn told(tracer: &mut Tracer) -> Vec<(Metric, i64)> {
    let mut told = Vec::new();
    tracer.count();
    tracer.stats.flush(|metric, change| told.push((metric, change)));
    told
}

#[test]
fn a_request_without_context_starts_a_random_trace_by_the_percentage() {
    for (sampling, flags, sampled) in [(100, "-03", true), (0, "-02", false)] {
        let mut tracer = tracer(&format!(r#"{{"sampling": {sampling}}}"#));
        let started = tracer.start(&headers(&[(":path", "/")]), &Nowhere);
        assert!(written(&started, "traceparent").unwrap().ends_with(flags));
        assert!(written(&started, "x-b3-traceid").is_some());
        assert_eq!(started.recording.is_some(), sampled);
        assert_eq!(told(&mut tracer), [(Metric::ContextsStarted, 1)]);
    }
}

/// A request with these header lines, in which TRACE, OTHER and SPAN stand for ids.
fn start(tracer: &mut Tracer, lines: &str) -> Started {
    let lines = with_ids(lines);
    let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    tracer.start(&headers(&pairs), &Nowhere)
}

fn with_ids(lines: &str) -> String {
    let trace = &TRACEPARENT[3..35];
    let other = trace.replace('4', "5");
    lines.replace("TRACE", trace).replace("OTHER", &other).replace("SPAN", &TRACEPARENT[36..])
}

/// What the edits write, line by line in the order of names.
fn changes(started: &Started) -> String {
    let mut lines: Vec<String> = started
        .edits
        .iter()
        .map(|edit| match edit {
            Edit::Add(header, value) | Edit::Replace(header, value) => {
                format!("{}: {}", header.name(), value.as_bytes().escape_ascii())
            }
            Edit::Remove(_) | Edit::RemoveOther(_) => format!("no {}", edit.name()),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn an_unsampled_context_goes_on_as_it_came_and_only_what_does_not_say_it_is_written() {
    const TRACEPARENT: &str = "traceparent: 00-TRACE-SPAN-00";
    const B3: &str = "x-b3-sampled: 0\nx-b3-spanid: SPAN\nx-b3-traceid: TRACE";
    let both = &format!("{TRACEPARENT}\n{B3}");
    let and = |line: &str| format!("{both}\n{line}");
    for (name, lines, expected) in [
        ("both formats", both.clone(), ""),
        ("with the random flag", both.replace("-00", "-02"), ""),
        ("with the span's parent", and("x-b3-parentspanid: 00000000000000ab"), ""),
        ("with a third format", and("b3: TRACE-SPAN-0"), ""),
        ("traceparent alone", TRACEPARENT.to_owned(), B3),
        ("B3 alone", B3.to_owned(), TRACEPARENT),
        ("B3 in one header", "b3: TRACE-SPAN-0-00000000000000ab".to_owned(), both),
        (
            "without a decision",
            B3.replace("x-b3-sampled: 0\n", ""),
            "traceparent: 00-TRACE-SPAN-00\nx-b3-sampled: 0",
        ),
        (
            "a third format says another span",
            and("b3: TRACE-00000000000000ab-0"),
            "b3: TRACE-SPAN-0",
        ),
        ("a third format is malformed", and("b3: x"), "b3: TRACE-SPAN-0"),
        (
            "another trace",
            format!("{TRACEPARENT}\n{}", B3.replace("TRACE", "OTHER")),
            "x-b3-traceid: TRACE",
        ),
        ("another decision", both.replace("sampled: 0", "sampled: 1"), "x-b3-sampled: 0"),
        ("written otherwise", both.replace("sampled: 0", "sampled: false"), "x-b3-sampled: 0"),
        ("a line twice", and(TRACEPARENT), TRACEPARENT),
    ] {
        let started = start(&mut tracer(r#"{"sampling": 0}"#), &lines);
        assert_eq!(changes(&started), with_ids(expected), "{name}");
        assert!(started.recording.is_none(), "{name}");
    }
}

#[test]
fn an_unsampled_context_gets_a_span_id_where_one_is_asked_for() {
    const ALONE: &str = "traceparent: 00-TRACE-SPAN-00";
    const RANDOM: &str = "traceparent: 00-TRACE-SPAN-02";
    const BOTH: &str =
        "traceparent: 00-TRACE-SPAN-00\nx-b3-traceid: TRACE\nx-b3-spanid: SPAN\nx-b3-sampled: 0";
    const KEEP: &str = r#"{"errors": true}"#;
    const NONE: &str = r#"{"errors": true, "percent": 0}"#;
    for (name, lines, keep, is_new) in [
        ("it has one", ALONE, NONE, false),
        ("by the W3C's suite", RANDOM, NONE, true),
        ("by who may keep the span", ALONE, KEEP, true),
        ("by who may keep the span, in both formats", BOTH, KEEP, true),
    ] {
        let mut tracer = tracer(&format!(r#"{{"sampling": {{"percent": 0, "keep": {keep}}}}}"#));
        let started = start(&mut tracer, lines);
        assert_eq!(started.unsampled.is_some(), keep == KEEP, "{name}");
        let out = written(&started, "traceparent");
        assert_eq!(out.is_some(), is_new, "{name}");
        if let Some(out) = out {
            assert_eq!(out[..36], TRACEPARENT[..36], "{name}");
            assert_ne!(out[36..52], TRACEPARENT[36..52], "{name}");
            assert_eq!(written(&started, "x-b3-spanid").unwrap(), out[36..52], "{name}");
            // B3 allows to leave the parent out.
            assert_eq!(written(&started, "x-b3-parentspanid"), None, "{name}");
        }
    }
}

#[test]
fn a_sampled_context_is_continued_by_a_span_of_its_own() {
    let mut tracer = tracer(r#"{"sampling": 0}"#);
    let started = start(&mut tracer, "traceparent: 00-TRACE-SPAN-01");
    let out = written(&started, "traceparent").unwrap();
    assert_eq!(out[..36], TRACEPARENT[..36], "the trace id is kept");
    assert_ne!(out[36..52], TRACEPARENT[36..52], "the span id is new");
    assert_eq!(out[53..], *"01");
    assert_eq!(written(&started, "x-b3-parentspanid").unwrap(), TRACEPARENT[36..]);
    assert!(started.recording.is_some());
    assert_eq!(told(&mut tracer), [(Metric::ContextsContinued, 1)]);
}

#[test]
fn a_decision_without_ids_is_honoured_for_a_new_trace() {
    for (b3, sampling, sampled) in [("0", 100, false), ("1", 0, true), ("d", 0, true)] {
        let mut tracer = tracer(&format!(r#"{{"sampling": {sampling}}}"#));
        let started = tracer.start(&headers(&[("b3", b3)]), &Nowhere);
        assert_eq!(started.recording.is_some(), sampled, "{b3}");
        assert_eq!(told(&mut tracer), [(Metric::ContextsStarted, 1)]);
    }
}

#[test]
fn a_malformed_context_is_counted_and_a_trace_started() {
    let mut tracer = tracer("");
    let started =
        tracer.start(&headers(&[("traceparent", "garbage"), ("tracestate", "a=1")]), &Nowhere);
    assert!(written(&started, "traceparent").is_some());
    assert!(started.edits.contains(&Edit::Remove(crate::propagation::Header::Tracestate)));
    assert_eq!(told(&mut tracer), [(Metric::ContextsStarted, 1), (Metric::ContextsMalformed, 1)]);
}

#[test]
fn the_exported_span_is_the_one_that_the_headers_named() {
    let mut tracer = tracer(r#"{"sampling": 100, "batch": {"interval": "10ms"}}"#);
    let started = tracer.start(
        &headers(&[
            ("traceparent", &format!("{TRACEPARENT}-01")),
            (":method", "GET"),
            (":path", "/"),
        ]),
        &Nowhere,
    );
    let span_id = written(&started, "x-b3-spanid").unwrap();
    tracer.finish(started.recording.unwrap(), facts());
    let span = span(&mut tracer);
    assert_eq!(span["id"], span_id);
    assert_eq!(span["parentId"], "00f067aa0ba902b7");
    assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span["kind"], "SERVER");
}

#[test]
fn a_span_for_otlp_has_the_trace_state_that_went_on() {
    for (name, traceparent, tracestate, expected) in [
        ("kept", TRACEPARENT, "a=1", "a=1"),
        ("malformed", TRACEPARENT, "A=1", ""),
        ("of no trace", "00-0", "a=1", "ot=th:0"),
        (
            "a threshold that agrees",
            TRACEPARENT,
            "a=1,ot=rv:80000000000000;th:8",
            "a=1,ot=rv:80000000000000;th:8",
        ),
        (
            "a threshold that does not",
            TRACEPARENT,
            "a=1,ot=rv:7fffffffffffff;th:8",
            "ot=rv:7fffffffffffff,a=1",
        ),
    ] {
        let mut tracer = tracer(
            r#"{"sampling": 100, "batch": {"interval": "10ms"}, "collector": {"protocol": "http/protobuf"}}"#,
        );
        let traceparent = format!("{traceparent}-01");
        let headers = headers(&[("traceparent", &traceparent), ("tracestate", tracestate)]);
        let started = tracer.start(&headers, &Nowhere);
        tracer.finish(started.recording.unwrap(), facts());
        let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.trace_state, expected, "{name}");
    }
}

/// The one span that waits, as Zipkin has it.
fn span(tracer: &mut Tracer) -> Value {
    let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
    let spans: Value = serde_json::from_slice(&body).unwrap();
    spans[0].clone()
}

#[test]
fn a_span_says_what_decided_and_how_likely_that_was() {
    let traceparent = format!("traceparent: {TRACEPARENT}-01\n");
    for (name, lines, rule, probability) in [
        ("a new trace", String::new(), "percent", Some("1")),
        ("ids without a decision", format!("b3: {}", &TRACEPARENT[3..]), "percent", Some("1")),
        ("a decision that came in", traceparent.clone(), "parent", None),
        ("with its threshold", format!("{traceparent}tracestate: ot=th:c"), "parent", Some("0.25")),
        (
            "with one that it contradicts",
            format!("{traceparent}tracestate: ot=th:ff"),
            "parent",
            None,
        ),
        ("a decision alone", "b3: 1".to_owned(), "parent", None),
        ("debug", "b3: d".to_owned(), "debug", None),
    ] {
        let mut tracer = tracer(r#"{"sampling": 100, "batch": {"interval": "10ms"}}"#);
        let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
        let started = tracer.start(&headers(&pairs), &Nowhere);
        tracer.finish(started.recording.unwrap(), facts());
        let tags = span(&mut tracer)["tags"].clone();
        assert_eq!(tags["sampling.rule"], rule, "{name}");
        assert_eq!(tags["sampling.probability"].as_str(), probability, "{name}");
        let erased = told(&mut tracer).contains(&(Metric::ThresholdsErased, 1));
        assert_eq!(erased, name == "with one that it contradicts", "{name}");
    }
}

#[test]
fn a_new_trace_says_its_threshold_only_if_it_is_sampled() {
    for (sampling, expected) in [(0, None), (100, Some("ot=th:0"))] {
        let started =
            tracer(&format!(r#"{{"sampling": {sampling}}}"#)).start(&headers(&[]), &Nowhere);
        assert_eq!(written(&started, "tracestate").as_deref(), expected);
    }
}

/// A tracer that samples nothing and keeps errors, and what takes more than a millisecond.
fn keeping(more: &str) -> Tracer {
    let keep = r#""keep": {"errors": true, "slowerThan": "1ms"}"#;
    tracer(&format!(
        r#"{{"batch": {{"interval": "10ms"}}, "sampling": {{"percent": 0, {keep}{more}}}}}"#
    ))
}

/// What is kept of a request with these lines, whose headers become what the edits make of them.
fn keep(tracer: &mut Tracer, lines: &str, facts: Facts) -> Option<(Started, Value)> {
    let lines = with_ids(lines);
    let came_in: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut started = tracer.start(&headers(&came_in), &Nowhere);
    let mut became = headers(&came_in);
    for edit in &started.edits {
        became.retain(|(name, _)| *name != edit.name().as_bytes());
        if let Edit::Add(header, value) | Edit::Replace(header, value) = edit {
            became.push((header.name().as_bytes(), value.as_bytes()));
        }
    }
    let recording = tracer.keep(started.unsampled.take()?, &became, &facts, &Nowhere)?;
    tracer.finish(recording, facts);
    Some((started, span(tracer)))
}

#[test]
fn what_fails_or_is_slow_is_kept_by_the_ids_that_went_on() {
    const UNSAMPLED: &str = "traceparent: 00-TRACE-SPAN-00\ntracestate: a=1";
    for (name, lines, parent) in [
        ("a new trace", ":path: /", None),
        ("a trace that is not sampled", UNSAMPLED, Some("00f067aa0ba902b7")),
        ("in B3", "b3: TRACE-SPAN-0", Some("00f067aa0ba902b7")),
        ("a trace that nobody has decided on", "b3: TRACE-SPAN", Some("00f067aa0ba902b7")),
    ] {
        for (facts, kept) in [
            (Facts { status_code: Some(503), ..facts() }, Some("error")),
            (Facts { duration: 1_000_001, ..facts() }, Some("slow")),
            (facts(), None),
        ] {
            let mut tracer = keeping("");
            let found = keep(&mut tracer, lines, facts);
            assert_eq!(found.is_some(), kept.is_some(), "{name}");
            let Some((started, span)) = found else { continue };
            let out = written(&started, "traceparent").unwrap();
            assert!(out.ends_with("00") || out.ends_with("02"), "{name}: {out}");
            assert_eq!(out[3..35], *span["traceId"].as_str().unwrap(), "{name}");
            assert_eq!(out[36..52], *span["id"].as_str().unwrap(), "{name}");
            assert_eq!(span["parentId"].as_str(), parent, "{name}");
            let tags = &span["tags"];
            assert_eq!(tags["sampling.kept"].as_str(), kept, "{name}");
            assert_eq!(tags["sampling.rule"], "keep", "{name}");
            assert_eq!(tags["sampling.probability"], Value::Null, "{name}");
            assert_eq!(written(&started, "tracestate"), None, "{name}");
            assert!(told(&mut tracer).contains(&(Metric::SpansKept, 1)), "{name}");
        }
    }
}

#[test]
fn probes_and_what_asks_not_to_be_traced_are_not_kept() {
    let failed = || Facts { status_code: Some(503), ..facts() };
    const NO_PROBES: &str = r#", "dropProbes": false"#;
    const RULE: &str =
        r#", "rules": [{"name": "none", "match": {"path": {"exact": "/z"}}, "percent": 0}]"#;
    for (name, more, lines, is_kept) in [
        ("a decision alone", "", "b3: 0", false),
        ("a probe", "", "user-agent: kube-probe/1.34", false),
        ("a probe of a trace that came in", "", "b3: TRACE-SPAN-0\nuser-agent: GoogleHC/1", false),
        ("a probe that is not dropped", NO_PROBES, "user-agent: kube-probe/1.34", true),
        ("what a rule of 0 % takes", RULE, ":path: /z", true),
        ("a probe that a rule takes", RULE, ":path: /z\nuser-agent: kube-probe/1.34", true),
    ] {
        assert_eq!(keep(&mut keeping(more), lines, failed()).is_some(), is_kept, "{name}");
    }
}

#[test]
fn what_a_ceiling_leaves_out_is_counted() {
    let mut tracer =
        tracer(r#"{"sampling": {"percent": 0, "keep": {"errors": true, "ratePerSecond": 1}}}"#);
    let failed = Facts { status_code: Some(503), ..facts() };
    let found = keep_below(&mut tracer, &failed, &Empty);
    assert_eq!(found, (0, 100));
    let found = keep_below(&mut tracer, &failed, &Nowhere);
    assert_eq!(found, (100, 0));
}

/// How many of 100 requests are kept, and how many the ceiling leaves out.
fn keep_below(
    tracer: &mut Tracer,
    facts: &Facts,
    envoy: &(impl Surroundings + Naming),
) -> (i64, i64) {
    for _ in 0..100 {
        let unsampled = tracer.start(&[], envoy).unsampled.unwrap();
        let _ = tracer.keep(unsampled, &[], facts, envoy);
    }
    let told = told(tracer);
    let of = |wanted| told.iter().find(|(metric, _)| *metric == wanted).map_or(0, |(_, n)| *n);
    (of(Metric::SpansKept), of(Metric::SpansKeptLimited))
}

/// A bucket that is in debt as deep as it goes.
struct Empty;

impl Naming for Empty {
    fn virtual_host(&self) -> Option<String> {
        None
    }

    fn cluster_service_host(&self) -> Option<String> {
        None
    }
}

impl Surroundings for Empty {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
    }

    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, _: &[u8]) -> Option<(Vec<u8>, u32)> {
        Some(([(-1e9_f64).to_le_bytes(), 0_u64.to_le_bytes()].concat(), 1))
    }

    fn set_shared_data(&self, _: &[u8], _: &[u8], _: u32) -> bool {
        true
    }
}

#[test]
fn who_keeps_nothing_remembers_nothing_of_a_request_that_is_not_sampled() {
    for lines in [":path: /", "traceparent: 00-TRACE-SPAN-00", "b3: 0"] {
        assert!(start(&mut tracer(r#"{"sampling": 0}"#), lines).unsampled.is_none(), "{lines}");
    }
}

#[test]
fn debug_reaches_the_span() {
    let mut tracer = tracer(r#"{"sampling": 0}"#);
    let started = tracer.start(&headers(&[("b3", "d")]), &Nowhere);
    tracer.finish(started.recording.unwrap(), facts());
    assert_eq!(span(&mut tracer)["debug"], true);
}

#[test]
fn two_proxies_decide_alike_for_the_same_trace() {
    let decide = |seed: u8, trace: &str| {
        let plugin = PluginConfig::parse(br#"{"sampling": 50}"#).unwrap();
        let settings = settings(plugin, MeshConfig::default());
        let mut tracer = Tracer::new(&settings, Resource::default(), [seed; 32], |_| None);
        tracer
            .start(&headers(&[("b3", &format!("{trace}-00f067aa0ba902b7"))]), &Nowhere)
            .recording
            .is_some()
    };
    let mut ids = IdGenerator::new([5; 32]);
    for _ in 0..200 {
        let hex = ids.trace_id().hex();
        let trace = core::str::from_utf8(hex.as_flattened()).unwrap();
        assert_eq!(decide(1, trace), decide(2, trace), "{trace}");
    }
}

/// A route to a cluster, or to none.
struct Route(&'static str);

impl Surroundings for Route {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        match attribute {
            Attribute::Cluster => self.0.as_bytes().to_vec(),
            _ => Vec::new(),
        }
    }

    fn clock(&self) -> u64 {
        0
    }

    fn shared_data(&self, _: &[u8]) -> Option<(Vec<u8>, u32)> {
        None
    }

    fn set_shared_data(&self, _: &[u8], _: &[u8], _: u32) -> bool {
        true
    }
}

impl Naming for Route {
    fn virtual_host(&self) -> Option<String> {
        Some("inbound|http|80".to_owned())
    }

    fn cluster_service_host(&self) -> Option<String> {
        Some("reviews.default.svc.cluster.local".to_owned())
    }
}

#[test]
fn an_operation_has_the_name_that_the_span_will_have() {
    for (cluster, authority, method, name) in [
        ("outbound|9080||a.b.svc.cluster.local", "any", "GET", "a.b.svc.cluster.local:9080/*"),
        ("inbound|9080||", "any", "GET", "reviews.default.svc.cluster.local:80/*"),
        ("PassthroughCluster", "user@example.com:443", "GET", "example.com:443/*"),
        ("", "h", "GET", "h/*"),
        ("", "no host", "POST", "POST"),
        ("", "no host", "Post", "HTTP"),
    ] {
        let operation =
            format!(r#"{{"operation": "{name}", "probabilisticSampling": {{"samplingRate": 1}}}}"#);
        let answer =
            format!(r#"{{"operationSampling": {{"perOperationStrategies": [{operation}]}}}}"#);
        let mut tracer = tracer(r#"{"sampling": 0}"#);
        tracer.follow(Strategy::parse(answer.as_bytes()).unwrap());
        let headers = headers(&[(":authority", authority), (":method", method), (":path", "/")]);
        let envoy = Route(cluster);
        let recording = tracer.start(&headers, &envoy).recording.expect(name);
        let cluster = Some(cluster).filter(|cluster| !cluster.is_empty());
        let service = tracer.service(cluster, &envoy);
        tracer.finish(recording, Facts { service, ..facts() });
        let span = span(&mut tracer);
        assert_eq!(span["name"], name);
        assert_eq!(span["tags"]["sampling.rule"], "remote", "{name}");
    }
}

#[test]
fn an_operation_by_a_template_has_the_name_that_the_span_will_have() {
    let config = r#"{"sampling": 0, "spanName": {"template": "{method} {service} {route}"}, "operations": ["/u/{id}"]}"#;
    let answer = r#"{"operationSampling": {"perOperationStrategies": [
        {"operation": "GET a.b /u/{id}", "probabilisticSampling": {"samplingRate": 1}}]}}"#;
    for (path, cluster, name) in [
        ("/u/1?q=2", "outbound|80||a.b.svc.cluster.local", Some("GET a.b /u/{id}")),
        ("/u/1/2", "outbound|80||a.b.svc.cluster.local", None),
        ("/u/1", "outbound|80||b.b.svc.cluster.local", None),
    ] {
        let mut tracer = tracer(config);
        assert!(tracer.asks_for_route());
        tracer.follow(Strategy::parse(answer.as_bytes()).unwrap());
        let headers = headers(&[(":authority", "h"), (":method", "GET"), (":path", path)]);
        let envoy = Route(cluster);
        let recording = tracer.start(&headers, &envoy).recording;
        assert_eq!(recording.is_some(), name.is_some(), "{path} {cluster}");
        if let Some(recording) = recording {
            let service = tracer.service(Some(cluster), &envoy);
            let route = Some("default".to_owned());
            tracer.finish(recording, Facts { service, route, ..facts() });
            assert_eq!(span(&mut tracer)["name"].as_str(), name);
        }
    }
}

#[test]
fn only_the_root_of_a_trace_that_the_server_decided_on_says_so_in_jaeger_s_words() {
    for (name, sampling, follows, headers_in, counts) in [
        ("a root by the server's word", "0", true, &[][..], true),
        ("a root by the percentage", "100", false, &[], false),
        (
            "a root by a rule",
            r#"{"rules": [{"name": "r", "match": {"path": {"prefix": "/"}}, "percent": 100}]}"#,
            true,
            &[],
            false,
        ),
        (
            "a child by the server's word",
            "0",
            true,
            &[("b3", "4bf92f3577b34da6-00f067aa0ba902b7")],
            false,
        ),
        ("a child", "0", true, &[("b3", "4bf92f3577b34da6-00f067aa0ba902b7-1")], false),
        ("a root by what came in", "0", true, &[("b3", "1")], false),
    ] {
        let mut tracer = tracer(&format!(r#"{{"sampling": {sampling}}}"#));
        if follows {
            let answer = br#"{"probabilisticSampling": {"samplingRate": 1}}"#;
            tracer.follow(Strategy::parse(answer).unwrap());
        }
        let pairs = [headers_in, &[(":path", "/")]].concat();
        let started = tracer.start(&headers(&pairs), &Nowhere);
        tracer.finish(started.recording.expect(name), facts());
        let tags = span(&mut tracer)["tags"].clone();
        assert_eq!(tags["sampler.type"].as_str(), counts.then_some("probabilistic"), "{name}");
        assert_eq!(tags["sampler.param"].as_str(), counts.then_some("1"), "{name}");
    }
}

#[test]
fn a_response_tells_of_its_trace_at_the_edge_or_everywhere() {
    let gateway = "router~10.0.0.1~gateway.demo~demo.svc.cluster.local";
    let sampled = format!("{TRACEPARENT}-01");
    let unsampled = format!("{TRACEPARENT}-00");
    for (config, node_id, traceparent, expected) in [
        ("{}", "", None, None),
        (r#"{"response": {"at": "everywhere"}}"#, gateway, None, None),
        (r#"{"response": {"traceresponse": true}}"#, "", None, Some("01")),
        (r#"{"response": {"header": "x-trace-id"}}"#, "sidecar~1~a~b", None, Some("01")),
        (r#"{"response": {"traceresponse": true}}"#, "", Some(&sampled), None),
        (r#"{"response": {"traceresponse": true}}"#, gateway, Some(&sampled), Some("01")),
        (r#"{"response": {"traceresponse": true}}"#, gateway, Some(&unsampled), Some("00")),
        (
            r#"{"response": {"traceresponse": true, "at": "everywhere"}}"#,
            "",
            Some(&sampled),
            Some("01"),
        ),
        (
            r#"{"response": {"traceresponse": true, "at": "everywhere"}}"#,
            "",
            Some(&unsampled),
            Some("00"),
        ),
    ] {
        let config = config.replacen('{', r#"{"sampling": 100, "#, 1).replace(", }", "}");
        let plugin = PluginConfig::parse(config.as_bytes()).unwrap();
        let settings = settings(plugin, MeshConfig::default());
        let resource = Resource { node_id: node_id.to_owned(), ..Resource::default() };
        let mut tracer = Tracer::new(&settings, resource, [3; 32], |_| None);
        let lines: Vec<_> =
            traceparent.map(|value| ("traceparent", value.as_str())).into_iter().collect();
        let started = tracer.start(&headers(&lines), &Nowhere);
        let answer = String::from_utf8(started.answer).unwrap();
        let context = started.context;
        let expected = expected.map(|flags| {
            let random = context.flags.random;
            let flags = if random { "03" } else { flags };
            let ids = context.trace_id.hex();
            let ids = ids.as_flattened();
            let (trace_id, span_id) = (String::from_utf8_lossy(ids), context.span_id.hex());
            format!("00-{trace_id}-{}-{flags}", String::from_utf8_lossy(&span_id))
        });
        assert_eq!(answer, expected.unwrap_or_default(), "{config} {node_id} {traceparent:?}");
    }
}

#[test]
fn what_caps_cut_and_leave_out_is_counted() {
    let long = "v".repeat(5_000);
    let url = format!("/{}", "a/".repeat(200));
    let query = format!("/?a={long}");
    let short = r#"{"sampling": 100, "maxTagLength": 16, "hashKey": "0123456789abcdef", "customTags": {
        "plain": {"header": {"name": "x-plain"}}, "hash": {"header": {"name": "x-hash"}, "mode": "hash"}}}"#;
    let named = r#"{"sampling": 100, "spanName": {"template": "{route}"}}"#;
    for (name, config, lines, cut) in [
        ("nothing", "{\"sampling\": 100}", vec![(":path", "/"), ("user-agent", "a")], 0),
        ("a path", "{\"sampling\": 100}", vec![(":path", url.as_str())], 1),
        ("a path whose query is shortened", "{\"sampling\": 100}", vec![(":path", &query)], 0),
        ("a path and a user agent", short, vec![(":path", &url), ("user-agent", &long)], 2),
        ("a tag of its own", short, vec![("x-plain", "0123456789abcdefg")], 1),
        ("one that just fits", short, vec![("x-plain", "0123456789abcdef")], 0),
        ("one that is hashed", short, vec![("x-hash", &long)], 1),
        ("one that nothing asks for", short, vec![("x-other", &long)], 0),
        ("one of another length", named, vec![("user-agent", &long)], 1),
    ] {
        let mut tracer = tracer(config);
        let started = tracer.start(&headers(&lines), &Nowhere);
        tracer.finish(started.recording.unwrap(), facts());
        let counted = told(&mut tracer).contains(&(Metric::ValuesCut, cut));
        assert!(counted || cut == 0, "{name}");
    }
}

/// What clients choose, each time something else: nothing is kept of it but names, which have a limit.
#[test]
fn values_that_are_ever_new_make_nothing_grow() {
    let mut tracer = tracer(
        r#"{"sampling": {"percent": 100, "keep": {"errors": true},
            "rules": [{"name": "r", "match": {"path": {"prefix": "/p"}}, "ratePerSecond": 100000}]},
            "spanName": {"template": "{method} {service} {route}"}, "operations": ["/{x}"],
            "queue": {"maxSpans": 10, "overflow": "drop-oldest"},
            "customTags": {"a": {"header": {"name": "x-a"}}}}"#,
    );
    let mut limited = 0;
    for number in 0..1_000 {
        let text = number.to_string();
        let authority = format!("h{number}:80");
        let path = format!("/p{number}?q={number}");
        let lines = [(":authority", &authority), (":path", &path), ("x-a", &text)];
        let lines = lines.map(|(name, value)| (name, value.as_str()));
        let started = tracer.start(&headers(&lines), &Nowhere);
        let route = Some(text);
        tracer.finish(started.recording.unwrap(), Facts { service: None, route, ..facts() });
        let told = told(&mut tracer);
        limited += told.iter().filter(|(it, _)| *it == Metric::NamesLimited).count();
    }
    // The first 256 names of spans; of the authorities the first 100, and then none of a span.
    assert_eq!(limited, 1_000 - 100);
    let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
    let spans: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(spans.as_array().unwrap().len(), 10);
}

#[test]
fn a_request_that_goes_on_has_two_spans_and_both_are_counted() {
    let mut tracer = tracer(r#"{"sampling": 100, "collector": {"protocol": "http/protobuf"}}"#);
    let started = tracer.start(&headers(&[(":method", "GET"), (":path", "/")]), &Nowhere);
    let mut recording = started.recording.unwrap();
    let beginning = tracer.take_beginning(&mut recording);
    tracer.finish(beginning, Facts { status_code: None, ..facts() });
    tracer.finish(recording, facts());
    let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let [beginning, whole] = spans.as_slice() else { panic!("{} spans", spans.len()) };
    assert_eq!(beginning.span_id, started.context.span_id.value().to_be_bytes());
    assert_eq!((&whole.parent_span_id, &whole.trace_id), (&beginning.span_id, &beginning.trace_id));
    assert!(whole.span_id != beginning.span_id && beginning.parent_span_id.is_empty());
    let told = told(&mut tracer);
    assert!(told.contains(&(Metric::StreamsShown, 1)) && told.contains(&(Metric::SpansSampled, 2)));
}

#[test]
fn the_span_of_a_call_waits_unless_it_says_already_what_caused_it() {
    let context = crate::correlation::Context {
        trace_id: crate::trace::TraceId::new(1).unwrap(),
        span_id: crate::trace::SpanId::new(2).unwrap(),
        decision: Decision::Sample,
        threshold: None,
        flags: TraceFlags { random: true },
    };
    let evidence = Evidence { name: "single".to_owned(), confidence: None };
    let origin = Origin { context, is_parent: true, evidence };
    let own = r#", "customTags": {"meshspan.link": {"literal": {"value": "mine"}}}"#;
    for (name, tags, call, origin, links) in [
        ("a call", "", Some(7), None, 1),
        ("one that is not watched", "", None, None, 0),
        ("one that has a parent", "", Some(7), Some(origin), 0),
        ("one with a tag of that name", own, Some(7), None, 0),
    ] {
        let mut tracer = tracer(&format!(r#"{{"sampling": 100{tags}}}"#));
        let lines = headers(&[(":method", "GET"), (":path", "/")]);
        let started = tracer.start_from(&lines, &Nowhere, &mut || origin.clone());
        tracer.finish_call(started.recording.unwrap(), facts(), call);
        let Tracer { exporter, stats, .. } = &mut tracer;
        let mut find = |_| Some(crate::trace::sample::link(0xabc, 1));
        exporter.link(u64::MAX, 1, &mut find, stats);
        let (_, body) = tracer.exporter.next_batch(u64::MAX, u64::MAX).unwrap();
        let spans: Value = serde_json::from_slice(&body).unwrap();
        let link = &spans[0]["tags"]["meshspan.link"];
        assert_eq!(link == "0000000000000abc-0000000000000001", links == 1, "{name}");
        let told = told(&mut tracer);
        assert_eq!(told.contains(&(Metric::CorrelationLinks, 1)), links == 1, "{name}");
    }
}

#[test]
fn a_text_that_a_pattern_is_not_looked_for_in_to_its_end_is_counted() {
    let rule = r#"{"sampling": {"percent": 0, "rules": [{"name": "r", "percent": 100,
        "match": {"headers": {"x-a": {"regex": "a.*b.*c|x$"}}}}]}}"#;
    let (long, longer) = ("a".repeat(1_000), "a".repeat(9_000));
    let found = format!("abc{longer}");
    for (name, config, value, is_sampled, count) in [
        ("no pattern", r#"{"sampling": 0}"#, longer.as_str(), false, None),
        ("a text that is long enough", rule, &long, false, None),
        ("one that is too long", rule, &longer, false, Some(1)),
        ("one that has it before", rule, &found, true, None),
    ] {
        let mut tracer = tracer(config);
        let started = tracer.start(&headers(&[("x-a", value)]), &Nowhere);
        assert_eq!(started.recording.is_some(), is_sampled, "{name}");
        let told = told(&mut tracer);
        let counted = told.iter().find(|(metric, _)| *metric == Metric::PatternsUnfinished);
        assert_eq!(counted.map(|(_, count)| *count), count, "{name}");
    }
}
