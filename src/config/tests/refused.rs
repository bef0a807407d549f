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
            "custmTags: unknown key; allowed: serviceName, sampling, trust, customTags, maxTagLength, hashKey, resource, \
             query, pathRedact, maskPatterns, clientAddress, accessLog, response, events, streams, spanName, operations, propagation, collector, queue, batch, export, correlation",
        ),
        (
            r#"{"service_name": "a"}"#,
            "service_name: unknown key; allowed: serviceName, sampling, trust, customTags, maxTagLength, hashKey, resource, query, pathRedact, maskPatterns, clientAddress, accessLog, response, events, streams, spanName, operations, propagation, collector, queue, batch, export, correlation",
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
            "customTags.a.formatter: unknown key; allowed: literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute, allowSensitive, mode, on, maxLength",
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
            "customTags.a: no source; allowed: exactly one of literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute",
        ),
        (
            r#"{"customTags": {"a": {"literal": {"value": "v"}, "header": {"name": "h"}}}}"#,
            "customTags.a: more than one source; allowed: exactly one of literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute",
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

#[test]
fn a_tags_source_says_what_it_is_asked_for() {
    let tag = |tag: &str| format!(r#"{{"customTags": {{"a": {{{tag}}}}}}}"#);
    for (source, line) in [
        (
            r#""cookie": {"name": "a=b"}"#,
            "cookie.name: \"a=b\" is not a name without =, &, ; and ,",
        ),
        (
            r#""queryParameter": {"name": "a b"}"#,
            "queryParameter.name: \"a b\" is not a string of visible ASCII characters",
        ),
        (r#""baggage": {}"#, "baggage.name: missing; allowed: a name without =, &, ; and ,"),
        (
            r#""pathSegment": {"template": "/users"}"#,
            "pathSegment.template: \"/users\" is not a path with one segment in braces, such as /users/{id}",
        ),
        (
            r#""pathSegment": {"template": "/{a}/{b}"}"#,
            "pathSegment.template: \"/{a}/{b}\" is not a path with one segment in braces, such as /users/{id}",
        ),
        (
            r#""pathSegment": {"template": "users/{id}"}"#,
            "pathSegment.template: \"users/{id}\" is not a path with one segment in braces, such as /users/{id}",
        ),
        (
            r#""responseHeader": {"name": "a b"}"#,
            "responseHeader.name: \"a b\" is not the name of a header",
        ),
        (
            r#""metadata": {"path": ["a"]}"#,
            "metadata.kind: missing; allowed: one of dynamic, route, cluster, host",
        ),
        (
            r#""metadata": {"kind": "request", "path": ["a"]}"#,
            "metadata.kind: \"request\" is not one of dynamic, route, cluster, host",
        ),
        (r#""metadata": {"kind": "route"}"#, "metadata.path: missing; allowed: a list of keys"),
        (
            r#""metadata": {"kind": "route", "path": []}"#,
            "metadata.path: [] is not an array of 1 to 16 entries",
        ),
        (r#""metadata": {"kind": "route", "path": [1]}"#, "metadata.path[0]: 1 is not a string"),
        (r#""attribute": {"name": ""}"#, "attribute.name: \"\" is not a string of 1 to 128 bytes"),
        (
            r#""attribute": {"name": "request.id", "value": 1}"#,
            "attribute.value: unknown key; allowed: name, defaultValue",
        ),
        (
            r#""header": {"name": "a"}, "mode": "secret""#,
            "mode: \"secret\" is not one of plain, hash, mask",
        ),
        (
            r#""header": {"name": "a"}, "on": "server""#,
            "on: \"server\" is not one of both, inbound, outbound",
        ),
        (
            r#""header": {"name": "a"}, "maxLength": 0"#,
            "maxLength: 0 is not a whole number from 1 to 65536",
        ),
    ] {
        assert_eq!(refusal(tag(source).as_bytes()), format!("customTags.a.{line}"), "{source}");
    }
    for constant in [r#""literal": {"value": "v"}"#, r#""environment": {"name": "V"}"#] {
        let line = "customTags.a: mode of what no request says; allowed: a source in the request";
        assert_eq!(refusal(tag(&format!(r#"{constant}, "mode": "hash""#)).as_bytes()), line);
    }
    check(&[
        (r#"{"hashKey": "short"}"#, "hashKey: its value is not a string of 16 to 64 bytes"),
        (
            r#"{"resource": {"": "v"}}"#,
            "resource.\"\": a name of no length or too long; allowed: 1 to 128 bytes",
        ),
        (r#"{"resource": {"a": 1}}"#, "resource.a: 1 is not a string"),
        (r#"{"resource": {"a": ""}}"#, "resource.a: \"\" is not a string of 1 to 1024 bytes"),
    ]);
}

#[test]
fn what_lets_people_in_is_refused_as_a_tag_wherever_it_is() {
    for (source, shown) in [
        (r#""cookie": {"name": "sid"}"#, "cookie.name: \"sid\""),
        (r#""cookie": {"name": "PHPSESSID"}"#, "cookie.name: \"PHPSESSID\""),
        (r#""queryParameter": {"name": "access_token"}"#, "queryParameter.name: \"access_token\""),
        (r#""baggage": {"name": "password"}"#, "baggage.name: \"password\""),
        (r#""requestTrailer": {"name": "x-secret"}"#, "requestTrailer.name: \"x-secret\""),
        (r#""responseHeader": {"name": "set-cookie"}"#, "responseHeader.name: \"set-cookie\""),
        (r#""responseTrailer": {"name": "x-jwt"}"#, "responseTrailer.name: \"x-jwt\""),
        (
            r#""attribute": {"name": "request.headers.Authorization"}"#,
            "attribute.name: \"request.headers.Authorization\"",
        ),
        (r#""attribute": {"name": "request.query"}"#, "attribute.name: \"request.query\""),
    ] {
        let config = format!(r#"{{"customTags": {{"a": {{{source}}}}}}}"#);
        let line = format!(
            "customTags.a.{shown} lets people in; allowed: another one, or allowSensitive: true beside it"
        );
        assert_eq!(refusal(config.as_bytes()), line);
        let allowed = config.replace("}}}", r#"}, "allowSensitive": true}}"#);
        assert_eq!(settings_of(&allowed).custom_tags.len(), 1, "{allowed}");
    }
    // Of metadata it is the last key that counts, which is beyond schemas.
    let metadata = |keys: &str| {
        format!(
            r#"{{"customTags": {{"a": {{"metadata": {{"kind": "dynamic", "path": [{keys}]}}}}}}}}"#
        )
    };
    assert_eq!(
        settings_of(&metadata(r#""envoy.filters.http.jwt_authn", "payload", "sub""#))
            .custom_tags
            .len(),
        1
    );
    assert!(PluginConfig::parse(metadata(r#""a", "token""#).as_bytes()).is_err());
}
