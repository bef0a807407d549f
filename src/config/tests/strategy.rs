//! Answers of a server of Jaeger's remote sampling.

use crate::config::{Percentage, Strategy};

/// What an answer says, in one line: the share of other operations in percent, limits, operations.
fn said(json: &str, operations: &[&str]) -> String {
    let strategy =
        Strategy::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"));
    let mut line = strategy.share.percent().to_string();
    line.extend(strategy.at_most.map(|rate| format!(" at most {rate}")));
    for operation in operations {
        let share = strategy.share_of(operation.as_bytes()).map(Percentage::percent);
        line +=
            &format!(" {operation}={}", share.map_or("-".to_owned(), |share| share.to_string()));
    }
    line
}

#[test]
fn every_server_of_jaeger_s_remote_sampling_is_understood() {
    // Jaeger 1 writes names of types, Jaeger 2 numbers and null, and the OpenTelemetry Collector's
    // extension leaves out what is zero.
    for (rule, json, expected) in [
        (
            "a name of the type",
            r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#,
            "50",
        ),
        (
            "a number of the type",
            r#"{"strategyType":0,"probabilisticSampling":{"samplingRate":0.8},"rateLimitingSampling":null}"#,
            "80",
        ),
        ("no type", r#"{"probabilisticSampling":{"samplingRate":0.001}}"#, "0.1"),
        ("no share is none", r#"{"probabilisticSampling":{}}"#, "0"),
        (
            "a limit of traces",
            r#"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5}}"#,
            "100 at most 5",
        ),
        (
            "a limit of traces by number",
            r#"{"strategyType":1,"probabilisticSampling":null,"rateLimitingSampling":{"maxTracesPerSecond":0}}"#,
            "0",
        ),
        (
            "part of a trace a second",
            r#"{"rateLimitingSampling":{"maxTracesPerSecond":0.5}}"#,
            "100 at most 0.5",
        ),
        (
            "operations",
            r#"{"strategyType":"PROBABILISTIC","operationSampling":{"defaultSamplingProbability":0.001,
                "defaultLowerBoundTracesPerSecond":0.016666666666666666,"perOperationStrategies":[
                {"operation":"b","probabilisticSampling":{"samplingRate":0.25}},
                {"operation":"a","probabilisticSampling":{"samplingRate":1}}],
                "defaultUpperBoundTracesPerSecond":0}}"#,
            "0.1 a=100 b=25 c=-",
        ),
        (
            "operations come first",
            r#"{"probabilisticSampling":{"samplingRate":0.9},"rateLimitingSampling":{"maxTracesPerSecond":5},
                "operationSampling":{"defaultSamplingProbability":0.25}}"#,
            "25 a=- b=- c=-",
        ),
        (
            "a probability comes before a limit",
            r#"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5},
                "probabilisticSampling":{"samplingRate":0.75}}"#,
            "75",
        ),
        (
            "no list of operations, as null",
            r#"{"strategyType":0,"probabilisticSampling":null,"operationSampling":
                {"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,
                "perOperationStrategies":null,"defaultUpperBoundTracesPerSecond":30}}"#,
            "50 at most 30 a=- b=- c=-",
        ),
        (
            "an operation twice is as the last says",
            r#"{"operationSampling":{"perOperationStrategies":[
                {"operation":"a","probabilisticSampling":{"samplingRate":1}},
                {"operation":"b","probabilisticSampling":{"samplingRate":0.5}},
                {"operation":"a","probabilisticSampling":{}}]}}"#,
            "0 a=0 b=50 c=-",
        ),
        (
            "a type that is none does not matter",
            r#"{"strategyType":"ADAPTIVE","probabilisticSampling":{"samplingRate":1}}"#,
            "100",
        ),
        (
            "of a key that is there twice the last counts",
            r#"{"probabilisticSampling":{"samplingRate":1,"samplingRate":0.5,"samplingRate":null}}"#,
            "50",
        ),
        (
            "an operation without a share is as those that are not named",
            r#"{"operationSampling":{"perOperationStrategies":[
                {"operation":"a"},{"operation":"b","probabilisticSampling":null},
                {"probabilisticSampling":{"samplingRate":1}}]}}"#,
            "0 a=- b=- c=-",
        ),
        (
            "what is not known does not matter",
            r#"{"later":[1],"probabilisticSampling":{"samplingRate":1,"why":"x"}}"#,
            "100",
        ),
    ] {
        let operations = if json.contains("operationS") { &["a", "b", "c"][..] } else { &[] };
        assert_eq!(said(json, operations), expected, "{rule}");
    }
}

#[test]
fn what_is_no_strategy_is_refused_and_told() {
    let rate = |value: &str| format!(r#"{{"probabilisticSampling":{{"samplingRate":{value}}}}}"#);
    let operation =
        |value: &str| format!(r#"{{"operationSampling":{{"perOperationStrategies":[{value}]}}}}"#);
    let no_strategy = "answer: no strategy; allowed: operationSampling, probabilisticSampling or \
        rateLimitingSampling";
    for (json, line) in [
        (String::new(), "answer: not JSON: value expected at line 1 column 1"),
        ("null".to_owned(), "answer: null is not an object"),
        ("[]".to_owned(), "answer: [] is not an object"),
        ("collector error: no".to_owned(), "answer: not JSON: value expected at line 1 column 2"),
        ("{}".to_owned(), no_strategy),
        (r#"{"strategyType":"PROBABILISTIC"}"#.to_owned(), no_strategy),
        (r#"{"probabilisticSampling":null}"#.to_owned(), no_strategy),
        (
            r#"{"probabilisticSampling":0.5}"#.to_owned(),
            "answer.probabilisticSampling: 0.5 is not an object",
        ),
        (
            rate("1.01"),
            "answer.probabilisticSampling.samplingRate: 1.01 is not a number from 0 to 1",
        ),
        (
            rate("-0.1"),
            "answer.probabilisticSampling.samplingRate: -0.1 is not a number from 0 to 1",
        ),
        (
            rate("1e400"),
            "answer.probabilisticSampling.samplingRate: 1e400 is not a number from 0 to 1",
        ),
        (
            rate("\"NaN\""),
            "answer.probabilisticSampling.samplingRate: \"NaN\" is not a number from 0 to 1",
        ),
        (
            r#"{"rateLimitingSampling":{"maxTracesPerSecond":-1}}"#.to_owned(),
            "answer.rateLimitingSampling.maxTracesPerSecond: -1 is not a number from 0 to 2147483647",
        ),
        (
            r#"{"operationSampling":{"perOperationStrategies":{}}}"#.to_owned(),
            "answer.operationSampling.perOperationStrategies: {} is not an array of 0 to 500 entries",
        ),
        (
            r#"{"operationSampling":{"defaultSamplingProbability":2}}"#.to_owned(),
            "answer.operationSampling.defaultSamplingProbability: 2 is not a number from 0 to 1",
        ),
        (
            operation(r#"{"operation":7,"probabilisticSampling":{}}"#),
            "answer.operationSampling.perOperationStrategies[0].operation: 7 is not a string",
        ),
        (
            operation(r#"{"operation":"a","probabilisticSampling":{"samplingRate":"1"}}"#),
            "answer.operationSampling.perOperationStrategies[0].probabilisticSampling.samplingRate: \
             \"1\" is not a number from 0 to 1",
        ),
        ("[".repeat(100_000), "answer: not JSON: maximal depth exceeded at line 1 column 33"),
        (" ".repeat(131_073), "answer: 131073 bytes; allowed: at most 131072"),
    ] {
        let error = Strategy::parse(json.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), line, "{}", json.get(..200).unwrap_or(&json));
    }
}

#[test]
fn as_many_operations_as_allowed_are_allowed_and_no_more() {
    let answer = |operations: usize| {
        let one =
            |i| format!(r#"{{"operation":"/{i}","probabilisticSampling":{{"samplingRate":1}}}}"#);
        let all: Vec<String> = (0..operations).map(one).collect();
        format!(r#"{{"operationSampling":{{"perOperationStrategies":[{}]}}}}"#, all.join(","))
    };
    let strategy = Strategy::parse(answer(500).as_bytes()).unwrap();
    assert!((0..500).all(|i| strategy.share_of(format!("/{i}").as_bytes()).is_some()));
    assert_eq!(strategy.share_of(b"/500"), None);
    let line = Strategy::parse(answer(501).as_bytes()).unwrap_err().to_string();
    let path = "answer.operationSampling.perOperationStrategies: ";
    assert!(
        line.starts_with(path) && line.ends_with("is not an array of 0 to 500 entries"),
        "{line}"
    );
}

#[test]
fn no_byte_changed_or_cut_in_an_answer_makes_it_panic() {
    let json = br#"{"strategyType":0,"operationSampling":{"defaultSamplingProbability":0.5,
        "perOperationStrategies":[{"operation":"a","probabilisticSampling":{"samplingRate":1e-3}}]}}"#;
    for position in 0..json.len() {
        let _ = Strategy::parse(&json[..position]);
        for byte in [0x00, b'"', b'{', b']', b'9', b'\\', b'e', b'-', 0x80, 0xff] {
            let mut changed = json.to_vec();
            changed[position] = byte;
            let _ = Strategy::parse(&changed);
        }
    }
}
