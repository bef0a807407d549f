//! What is refused, and the line that says so.

use super::*;

#[test]
fn numbers_outside_their_range_are_refused() {
    check(&[
        (r#"{"sampling": 140}"#, "sampling: 140 is not a percentage from 0 to 100"),
        (r#"{"sampling": -0.1}"#, "sampling: -0.1 is not a percentage from 0 to 100"),
        (r#"{"sampling": "60"}"#, "sampling: \"60\" is not a percentage from 0 to 100"),
        (r#"{"sampling": 1e400}"#, "sampling: 1e400 is not a percentage from 0 to 100"),
        (r#"{"sampling": null}"#, "sampling: null is not a percentage from 0 to 100"),
        (
            r#"{"random_sampling_percentage": 101}"#,
            "random_sampling_percentage: 101 is not a percentage from 0 to 100",
        ),
        (r#"{"maxTagLength": 0}"#, "maxTagLength: 0 is not a whole number from 1 to 65536"),
        (r#"{"maxTagLength": 1.5}"#, "maxTagLength: 1.5 is not a whole number from 1 to 65536"),
        (
            r#"{"queue": {"maxSpans": "512"}}"#,
            "queue.maxSpans: \"512\" is not a whole number from 1 to 1000000",
        ),
        (
            r#"{"queue": {"maxSpans": 1000001}}"#,
            "queue.maxSpans: 1000001 is not a whole number from 1 to 1000000",
        ),
        (
            r#"{"queue": {"maxBytes": 1023}}"#,
            "queue.maxBytes: 1023 is not a whole number from 1024 to 1073741824",
        ),
        (
            r#"{"batch": {"maxSpans": -1}}"#,
            "batch.maxSpans: -1 is not a whole number from 1 to 65536",
        ),
        (
            r#"{"batch": {"maxSpans": 1e300}}"#,
            "batch.maxSpans: 1e300 is not a whole number from 1 to 65536",
        ),
        (
            r#"{"export": {"maxInFlight": 0}}"#,
            "export.maxInFlight: 0 is not a whole number from 1 to 64",
        ),
        (
            r#"{"export": {"maxInFlight": 65}}"#,
            "export.maxInFlight: 65 is not a whole number from 1 to 64",
        ),
    ]);
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    check(&[
        (
            r#"{"custmTags": {}}"#,
            "custmTags: unknown key; allowed: serviceName, sampling, trust, customTags, maxTagLength, \
             query, pathRedact, maskPatterns, clientAddress, accessLog, response, propagation, collector, queue, batch, export, correlation",
        ),
        (
            r#"{"service_name": "a"}"#,
            "service_name: unknown key; allowed: serviceName, sampling, trust, customTags, maxTagLength, query, pathRedact, maskPatterns, clientAddress, accessLog, response, propagation, collector, queue, batch, export, correlation",
        ),
        (
            r#"{"queue": {"max_spans": 1}}"#,
            "queue.max_spans: unknown key; allowed: maxSpans, maxBytes, overflow",
        ),
        (r#"{"batch": {"": 1}}"#, "batch.\"\": unknown key; allowed: maxSpans, interval"),
        (r#"{"export": {"retries": 1}}"#, "export.retries: unknown key; allowed: maxInFlight"),
        (
            r#"{"propagation": {"in\nject": []}}"#,
            "propagation.in\\nject: unknown key; allowed: extract, inject",
        ),
        (
            r#"{"collector": {"url": 1}}"#,
            "collector.url: unknown key; allowed: protocol, compression, cluster, path, authority, headers, timeout",
        ),
        (
            r#"{"customTags": {"a": {"formatter": {}}}}"#,
            "customTags.a.formatter: unknown key; allowed: literal, header, environment, allowSensitive",
        ),
        (
            r#"{"customTags": {"a": {"header": {"name": "h", "default": "d"}}}}"#,
            "customTags.a.header.default: unknown key; allowed: name, defaultValue",
        ),
    ]);
}

#[test]
fn objects_are_neither_arrays_nor_null_nor_text() {
    check(&[
        ("[]", "configuration: [] is not an object"),
        ("null", "configuration: null is not an object"),
        ("true", "configuration: true is not an object"),
        (r#""{}""#, r#"configuration: "{}" is not an object"#),
        (r#"{"queue": [1, 2]}"#, "queue: [1, 2] is not an object"),
        (r#"{"batch": null}"#, "batch: null is not an object"),
        (r#"{"propagation": ["b3"]}"#, "propagation: [\"…\"] is not an object"),
        (r#"{"collector": "zipkin"}"#, "collector: \"zipkin\" is not an object"),
        (r#"{"customTags": [{"a": 1}]}"#, "customTags: [{\"a\": 1}] is not an object"),
        (r#"{"customTags": {"a": "b"}}"#, "customTags.a: \"b\" is not an object"),
        (
            r#"{"customTags": {"a": {"literal": "prod"}}}"#,
            "customTags.a.literal: \"prod\" is not an object",
        ),
        (r#"{"serviceName": 7}"#, "serviceName: 7 is not a string"),
        (r#"{"export": 4}"#, "export: 4 is not an object"),
    ]);
}

#[test]
fn an_overflow_policy_is_one_of_two() {
    check(&[
        (
            r#"{"queue": {"overflow": "drop-random"}}"#,
            "queue.overflow: \"drop-random\" is not one of drop-newest, drop-oldest",
        ),
        (r#"{"accessLog": true}"#, "accessLog: true is not a string"),
        (r#"{"accessLog": "off"}"#, "accessLog: \"off\" is not one of none, sampled, all"),
        (r#"{"queue": {"overflow": true}}"#, "queue.overflow: true is not a string"),
    ]);
}

#[test]
fn correlation_has_modes_headers_and_limits() {
    check(&[
        (r#"{"correlation": "off"}"#, "correlation: \"off\" is not an object"),
        (
            r#"{"correlation": {"mode": "guess"}}"#,
            "correlation.mode: \"guess\" is not one of off, exact, sure, infer",
        ),
        (
            r#"{"correlation": {"header": []}}"#,
            "correlation.header: unknown key; allowed: mode, headers, parentThreshold, linkThreshold, maxInFlight, maxAge",
        ),
        (
            r#"{"correlation": {"headers": "x-id"}}"#,
            "correlation.headers: \"x-id\" is not an array of 0 to 4 entries",
        ),
        (
            r#"{"correlation": {"headers": [":path"]}}"#,
            "correlation.headers[0]: \":path\" is not the name of a header",
        ),
        (
            r#"{"correlation": {"headers": ["a", "a"]}}"#,
            "correlation.headers[1]: \"a\" given twice; allowed: each header once",
        ),
        (
            r#"{"correlation": {"headers": ["a", "A"]}}"#,
            "correlation.headers[1]: \"A\" given twice; allowed: each header once",
        ),
        (
            r#"{"correlation": {"headers": ["a", "b", "c", "d", "e"]}}"#,
            "correlation.headers: [\"…\", \"…\", \"…\", \"…\", \"…\"] is not an array of 0 to 4 entries",
        ),
        (
            r#"{"correlation": {"parentThreshold": 98}}"#,
            "correlation.parentThreshold: 98 is not a number from 0.5 to 1",
        ),
        (
            r#"{"correlation": {"linkThreshold": "0.9"}}"#,
            "correlation.linkThreshold: \"0.9\" is not a number from 0.5 to 1",
        ),
        (
            r#"{"correlation": {"maxInFlight": 0}}"#,
            "correlation.maxInFlight: 0 is not a whole number from 1 to 65536",
        ),
        (
            r#"{"correlation": {"maxAge": "500ms"}}"#,
            "correlation.maxAge: \"500ms\" is not a duration from 1s to 60m",
        ),
    ]);
}

#[test]
fn a_key_stands_there_once_and_not_beside_its_alias() {
    check(&[
        (r#"{"sampling": 1, "sampling": 1}"#, "sampling: given twice; allowed: each key once"),
        (
            r#"{"customTags": {"a": {"literal": {"value": "v"}}, "a": {"literal": {"value": "v"}}}}"#,
            "customTags.a: given twice; allowed: each key once",
        ),
        (
            r#"{"sampling": 1, "randomSamplingPercentage": 1}"#,
            "randomSamplingPercentage: the same as sampling, which is given too; allowed: one of the two",
        ),
        (
            r#"{"customTags": {}, "custom_tags": {}}"#,
            "custom_tags: the same as customTags, which is given too; allowed: one of the two",
        ),
    ]);
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    check(&[
        (
            "{\"sampling\": 1,\n\n     x}",
            "configuration: not JSON: string expected at line 3 column 6",
        ),
        ("{", "configuration: not JSON: value or end of sequence expected at line 1 column 2"),
        ("{} {}", "configuration: not JSON: end of file expected at line 1 column 4"),
        (r#"{"sampling": NaN}"#, "configuration: not JSON: value expected at line 1 column 14"),
        ("sampling: 60", "configuration: not JSON: value expected at line 1 column 2"),
        ("{\"a\\\t", r"configuration: not JSON: invalid escape character \t at line 1 column 6"),
        (
            "{\"a\\u00\0",
            r"configuration: not JSON: invalid hexadecimal character \u{0} at line 1 column 9",
        ),
        (
            // The Struct {sampling: 60} as Envoy passes it on.
            "\n\x15\n\x08sampling\x12\t\x11\0\0\0\0\0\0N@",
            "configuration: not JSON but binary, as Envoy passes a Struct on; \
             allowed: JSON text in a google.protobuf.StringValue",
        ),
    ]);
}

#[test]
fn a_custom_tag_has_one_source_with_a_name_or_value() {
    check(&[
        (
            r#"{"customTags": {"a": {}}}"#,
            "customTags.a: no source; allowed: exactly one of literal, header, environment",
        ),
        (
            r#"{"customTags": {"a": {"literal": {"value": "v"}, "header": {"name": "h"}}}}"#,
            "customTags.a: more than one source; allowed: exactly one of literal, header, environment",
        ),
        (
            r#"{"customTags": {"a": {"literal": {}}}}"#,
            "customTags.a.literal.value: missing; allowed: a string",
        ),
        (
            r#"{"customTags": {"a": {"literal": {"value": ""}}}}"#,
            "customTags.a.literal.value: \"\" is not a string of 1 to 65536 bytes",
        ),
        (
            r#"{"customTags": {"a": {"header": {"defaultValue": "d"}}}}"#,
            "customTags.a.header.name: missing; allowed: the name of a header",
        ),
        (
            r#"{"customTags": {"a": {"header": {"name": "x account"}}}}"#,
            "customTags.a.header.name: \"x account\" is not the name of a header",
        ),
        (
            r#"{"customTags": {"a": {"header": {"name": ":status"}}}}"#,
            "customTags.a.header.name: \":status\" is not the name of a header",
        ),
        (
            r#"{"customTags": {"a": {"header": {"name": "h", "defaultValue": 7}}}}"#,
            "customTags.a.header.defaultValue: 7 is not a string",
        ),
        (
            r#"{"customTags": {"a": {"environment": {}}}}"#,
            "customTags.a.environment.name: missing; allowed: the name of a variable",
        ),
        (
            r#"{"customTags": {"a": {"environment": {"name": "A=B"}}}}"#,
            "customTags.a.environment.name: \"A=B\" is not the name of an environment variable",
        ),
        (
            r#"{"customTags": {"": {"literal": {"value": "v"}}}}"#,
            "customTags.\"\": a tag's name of 0 bytes; allowed: 1 to 128 bytes",
        ),
    ]);
}

#[test]
fn more_than_64_custom_tags_are_refused() {
    let tags = |count: usize| {
        let tag = |n: usize| format!(r#""t{n}": {{"literal": {{"value": "v"}}}}"#);
        let tags: Vec<String> = (0..count).map(tag).collect();
        format!(r#"{{"customTags": {{{}}}}}"#, tags.join(", "))
    };
    assert_eq!(settings_of(&tags(64)).custom_tags.len(), 64);
    assert_eq!(refusal(tags(65).as_bytes()), "customTags: 65 entries; allowed: at most 64");
}

#[test]
fn formats_are_known_and_not_repeated_and_one_is_injected() {
    check(&[
        (
            r#"{"propagation": {"extract": ["b3", "b4"]}}"#,
            "propagation.extract[1]: \"b4\" is not one of tracecontext, b3, b3multi, jaeger",
        ),
        (
            r#"{"propagation": {"extract": ["B3"]}}"#,
            "propagation.extract[0]: \"B3\" is not one of tracecontext, b3, b3multi, jaeger",
        ),
        (
            r#"{"propagation": {"extract": ["b3", "jaeger", "b3"]}}"#,
            "propagation.extract[2]: \"b3\" given twice; allowed: each format once",
        ),
        (
            r#"{"propagation": {"inject": []}}"#,
            "propagation.inject: []; allowed: at least one of tracecontext, b3, b3multi, jaeger",
        ),
        (
            r#"{"propagation": {"inject": "b3"}}"#,
            "propagation.inject: \"b3\" is not an array of 0 to 4 entries",
        ),
        (r#"{"propagation": {"inject": [null]}}"#, "propagation.inject[0]: null is not a string"),
    ]);
}
