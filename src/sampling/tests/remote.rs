//! What a server's word changes.

use super::*;
use crate::config::{MeshConfig, PluginConfig, Strategy, settings};
use std::cell::Cell;

/// A request whose span would have this name, and how often that was asked.
struct Span(&'static str, Cell<usize>);

impl Surroundings for Span {
    fn attribute(&self, _: Attribute) -> Vec<u8> {
        Vec::new()
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

    fn operation(&self) -> String {
        self.1.set(self.1.get() + 1);
        self.0.to_owned()
    }
}

fn follows(sampling: &str, answer: &str) -> Sampler {
    let plugin = PluginConfig::parse(format!(r#"{{"sampling": {sampling}}}"#).as_bytes());
    let mut sampler = Sampler::new(settings(plugin.unwrap(), MeshConfig::default()).sampling);
    sampler.follow(Strategy::parse(answer.as_bytes()).unwrap());
    sampler
}

/// What decides on a trace with the highest randomness, its probability, and how often the name of the
/// span was asked for.
fn decided(
    sampler: &Sampler,
    lines: &[(&str, &str)],
    span: &'static str,
) -> (String, String, usize) {
    let headers: Vec<_> = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let span = Span(span, Cell::new(0));
    let verdict = sampler.decide(&headers, Randomness::new(u64::MAX), &span);
    let probability = verdict.threshold.unwrap().probability();
    (sampler.name(verdict.reason).to_owned(), probability, span.1.get())
}

const OPERATIONS: &str = r#"{"operationSampling": {"defaultSamplingProbability": 0.25,
    "perOperationStrategies": [
        {"operation": "reviews/*", "probabilisticSampling": {"samplingRate": 0.5}},
        {"operation": "GET /pay", "probabilisticSampling": {"samplingRate": 0.75}},
        {"operation": "POST /pay", "probabilisticSampling": {"samplingRate": 0}}]}}"#;

#[test]
fn the_local_percentage_counts_until_there_is_an_answer_and_then_the_last_one() {
    let plugin = PluginConfig::parse(br#"{"sampling": {"percent": 50}}"#).unwrap();
    let mut sampler = Sampler::new(settings(plugin, MeshConfig::default()).sampling);
    let expected = |rule: &str, probability: &str| (rule.to_owned(), probability.to_owned(), 0);
    assert_eq!(decided(&sampler, &[], "s/*"), expected("percent", "0.5"));
    for (rate, probability) in [("1", "1"), ("0.001", "0.001"), ("0", "0"), ("0.25", "0.25")] {
        let answer = format!(r#"{{"probabilisticSampling": {{"samplingRate": {rate}}}}}"#);
        sampler.follow(Strategy::parse(answer.as_bytes()).unwrap());
        assert_eq!(decided(&sampler, &[], "s/*"), expected("remote", probability));
    }
}

#[test]
fn an_operation_is_found_by_the_name_of_its_span_and_then_by_method_and_path() {
    let sampler = follows(r#"{"percent": 0}"#, OPERATIONS);
    for (rule, lines, span, probability) in [
        ("by the name of the span", [(":method", "GET"), (":path", "/")], "reviews/*", "0.5"),
        ("by method and path", [(":method", "GET"), (":path", "/pay")], "pay/*", "0.75"),
        ("without the query", [(":method", "GET"), (":path", "/pay?a=/b")], "pay/*", "0.75"),
        ("the name comes first", [(":method", "GET"), (":path", "/pay")], "reviews/*", "0.5"),
        ("one of no share", [(":method", "POST"), (":path", "/pay")], "pay/*", "0"),
        ("one that is not named", [(":method", "PUT"), (":path", "/pay")], "pay/*", "0.25"),
        ("nothing begins so", [(":method", "GET"), (":path", "/pay/1")], "reviews", "0.25"),
    ] {
        let expected = ("remote".to_owned(), probability.to_owned(), 1);
        assert_eq!(decided(&sampler, &lines, span), expected, "{rule}");
    }
}

#[test]
fn rules_and_probes_come_before_a_server_s_word_and_a_rule_without_a_share_has_the_server_s() {
    let sampler = follows(
        r#"{"percent": 1, "rules": [
            {"name": "vip", "match": {"headers": {"x-vip": {"exact": "1"}}}, "percent": 100},
            {"name": "pay", "match": {"path": {"prefix": "/pay"}}}]}"#,
        OPERATIONS,
    );
    for (lines, rule, probability, asked) in [
        (vec![(":method", "GET"), (":path", "/pay"), ("x-vip", "1")], "vip", "1", 0),
        (vec![(":method", "GET"), (":path", "/pay")], "pay", "0.75", 1),
        (vec![(":method", "GET"), (":path", "/pay/1")], "pay", "0.25", 1),
        (vec![(":path", "/"), ("user-agent", "kube-probe/1.34")], "probes", "0", 0),
        (vec![(":path", "/")], "remote", "0.25", 1),
    ] {
        let expected = (rule.to_owned(), probability.to_owned(), asked);
        assert_eq!(decided(&sampler, &lines, "s/*"), expected, "{lines:?}");
    }
}

#[test]
fn nobody_asks_for_a_span_s_name_where_no_operation_is_named_or_none_would_sample_it() {
    let answer = r#"{"probabilisticSampling": {"samplingRate": 1}}"#;
    for (answer, randomness, asked) in [
        (answer, u64::MAX, 0),
        (OPERATIONS, u64::MAX, 1),
        // Just below what 75 % takes, and just as much.
        (OPERATIONS, (1 << 54) - 1, 0),
        (OPERATIONS, 1 << 54, 1),
    ] {
        let span = Span("s/*", Cell::new(0));
        let sampler = follows(r#"{"percent": 0, "dropProbes": false}"#, answer);
        sampler.decide(&[], Randomness::new(randomness), &span);
        assert_eq!(span.1.get(), asked, "{answer} {randomness}");
    }
}

#[test]
fn a_smaller_answer_keeps_a_subset_of_a_larger_one() {
    let mut generator = IdGenerator::new([9; 32]);
    let [small, large] = ["0.1", "0.3"].map(|rate| {
        follows("0", &format!(r#"{{"probabilisticSampling": {{"samplingRate": {rate}}}}}"#))
    });
    for _ in 0..10_000 {
        let id = generator.trace_id();
        assert!(!is_sampled(&small, id) || is_sampled(&large, id));
    }
}
