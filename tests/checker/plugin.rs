//! Plugin configurations by themselves, in Envoy and in a WasmPlugin.

use crate::*;

#[test]
fn what_the_module_refuses_is_told_with_its_line_all_of_it() {
    check(&[
        ("valid", "sampling: 60\ncustomTags:\n  a: {header: {name: x-a}}\n", &[]),
        ("nothing but braces", "{}\n", &[]),
        (
            "every error once",
            "sampling: 140\nqueue:\n  maxspans: 5\n  maxBytes: 1\nbatch:\n  interval: 5 parsecs\n",
            &[
                "1: error: sampling: 140 is not a percentage from 0 to 100",
                "3: error: queue.maxspans: unknown key; allowed: maxSpans, maxBytes, overflow",
                "4: error: queue.maxBytes: 1 is not a whole number from 1024 to 1073741824",
                "6: error: batch.interval: \"5 parsecs\" is not a duration such as 250ms, 5s or 1m",
            ],
        ),
        (
            "an error inside a tag is one finding",
            "customTags:\n  a:\n    literal:\n      value: yes\n  b: {}\n",
            &[
                "4: error: customTags.a.literal.value: true is not a string",
                "5: error: customTags.b: no source; allowed: exactly one of literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute",
            ],
        ),
        (
            "dots in the name of a tag",
            "customTags:\n  a.b:\n    literal:\n      value: 7\n",
            &["4: error: customTags.a.b.literal.value: 7 is not a string"],
        ),
        (
            "items of a list",
            "propagation:\n  inject:\n    - b3\n    - b4\n",
            &[
                "4: error: propagation.inject[1]: \"b4\" is not one of tracecontext, b3, b3multi, jaeger",
            ],
        ),
        (
            "a missing key is told where it is missing",
            "sampling: 1\ncustomTags:\n  a:\n    header: {}\n",
            &["4: error: customTags.a.header.name: missing; allowed: the name of a header"],
        ),
        (
            "no object",
            "[sampling, 60]\n",
            &["1: error: configuration: [\"…\", 60] is not an object"],
        ),
        (
            "a list of configurations in one file",
            "sampling: 1\n---\nsampling: 101\n",
            &["3: error: sampling: 101 is not a percentage from 0 to 100"],
        ),
        (
            "numbers and texts as kubectl reads them",
            "sampling: 0x3c\nserviceName: on\nmaxTagLength: 1_000\n",
            &["2: error: serviceName: true is not a string"],
        ),
        (
            "a batch beyond the queue",
            "queue: {maxSpans: 10}\nbatch: {maxSpans: 100}\n",
            &["2: warning: batch.maxSpans: more than the queue holds; 10 is in force"],
        ),
    ]);
}

#[test]
fn header_values_of_the_collector_are_never_shown() {
    let folder = Folder::new("secret");
    folder.write(
        "f.yaml",
        "collector:\n  headers:\n    authorization: Bearer s3cret\n    b: \"s3cret\\n\"\n",
    );
    for format in ["text", "json"] {
        let shown = text(&folder.run(&["check", "--format", format, "f.yaml"]).stdout);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    folder.write("f.yaml", "collector:\n  headers:\n    authorization: Bearer s3cret\n");
    let shown = text(&folder.run(&["check", "f.yaml"]).stdout);
    assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
}

const ENVOY: &str = r#"
static_resources:
  listeners:
    - filter_chains:
        - filters:
            - typed_config:
                http_filters:
                  - name: meshspan
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                      config:
                        name: meshspan
                        failure_policy: FAIL_RELOAD
                        configuration:
                          "@type": type.googleapis.com/google.protobuf.StringValue
                          value: |
                            {
                              "sampling": 60
                            }
  clusters: [{name: zipkin}]
"#;

#[test]
fn the_filter_is_found_in_an_envoy() {
    let at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
    let config = format!("{at}.http_filters[0].typed_config.config");
    for (name, from, to, expected) in [
        ("right", "", "", None),
        (
            "a value out of range",
            "60",
            "140",
            Some(format!(
                "18: error: {config}.configuration.sampling: 140 is not a percentage from 0 to 100"
            )),
        ),
        (
            "no JSON",
            "60",
            "60,",
            Some(format!(
                "19: error: {config}.configuration: not JSON: trailing comma at line 3 column 1"
            )),
        ),
        (
            "no such cluster",
            "name: zipkin",
            "name: collector",
            Some(format!(
                "17: warning: {config}.configuration.collector.cluster: this Envoy has no cluster zipkin"
            )),
        ),
        (
            "no such cluster to ask",
            "60\n",
            "{\"remote\": {\"cluster\": \"jaeger\"}}\n",
            Some(format!(
                "18: warning: {config}.configuration.sampling.remote.cluster: this Envoy has no cluster jaeger"
            )),
        ),
        (
            "Envoy's own tracing",
            "                http_filters:",
            "                tracing: {}\n                http_filters:",
            Some(format!(
                "7: warning: {at}.tracing: Envoy's own tracing is on beside meshspan: spans come twice"
            )),
        ),
        (
            "a Struct",
            "StringValue",
            "Struct",
            Some(format!(
                "14: error: {config}.configuration: not a google.protobuf.StringValue with JSON text in value; the module cannot read it"
            )),
        ),
        (
            "fails closed",
            "FAIL_RELOAD",
            "FAIL_CLOSED",
            Some(format!(
                "13: warning: {config}.failure_policy: FAIL_CLOSED: a module that fails refuses every request; FAIL_RELOAD builds it anew"
            )),
        ),
    ] {
        let said = findings(&format!("envoy-{}", name.replace(' ', "-")), &ENVOY.replace(from, to));
        assert_eq!(said, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_envoys_that_come_with_meshspan_are_right() {
    for file in ["envoy.yaml", "gateway.yaml", "dockebi.yaml", "dockebi-storage.yaml"] {
        let path = format!("{}/envoy/{file}", env!("CARGO_MANIFEST_DIR"));
        let output = Folder::new(file).run(&["check", "--strict", &path]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.ends_with("\nok\n"), "{said}");
    }
}
