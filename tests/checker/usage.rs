//! The command line: arguments, standard input, exit status, output for machines.

use serde_json::{Value, json};

use crate::*;

#[test]
fn the_exit_status_tells_errors_warnings_and_bad_usage_apart() {
    let folder = Folder::new("status");
    folder.write("good.yaml", "sampling: 60\n");
    folder.write("warning.yaml", "queue: {maxSpans: 10}\nbatch: {maxSpans: 100}\n");
    folder.write("error.yaml", "sampling: 140\n");
    for (arguments, status) in [
        (&["check", "good.yaml"][..], 0),
        (&["check", "--strict", "good.yaml"], 0),
        (&["check", "warning.yaml"], 0),
        (&["check", "--strict", "warning.yaml"], 1),
        (&["check", "warning.yaml", "error.yaml"], 1),
        (&["check"], 2),
        (&["check", "--colour", "good.yaml"], 2),
        (&["chekc"], 2),
        (&[], 2),
        (&["--help"], 0),
        (&["check", "--help"], 0),
        (&["--version"], 0),
        (&["schema"], 0),
    ] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn standard_input_is_a_file_named_dash() {
    let output = Folder::new("stdin").run_with(&["check", "-"], b"---\nsampling: 140\n");
    let expected = "<stdin>:2: error: sampling: 140 is not a percentage from 0 to 100\n1 error\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn json_has_the_same_findings_and_values() {
    let output = Folder::new("json")
        .run_with(&["check", "--format", "json", "-"], b"sampling: 140\n---\nsampling: 60\n");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = json!({
        "file": "<stdin>", "line": 1, "level": "error", "path": "sampling",
        "message": "140 is not a percentage from 0 to 100",
    });
    assert_eq!(report["findings"], json!([finding]));
    assert_eq!(report["effective"][0]["line"], 3);
    let sampling = json!({"key": "sampling.percent", "value": "60 %", "from": "<stdin>:3"});
    assert_eq!(report["effective"][0]["values"][1], sampling);
}

#[test]
fn a_json_file_has_to_be_json() {
    let folder = Folder::new("json-file");
    folder.write("good.json", "{\n\t\"serviceName\": \"\\ud83d\\ude00 \\/\"\n}\n");
    folder.write("bad.json", "{\n  \"sampling\": 60,\n}\n");
    let output = folder.run(&["check", "good.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let output = folder.run(&["check", "bad.json"]);
    let expected = "bad.json:3: error: not JSON: trailing comma at line 3 column 1\n1 error\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn every_key_of_the_schema_is_among_what_is_in_force() {
    let output = Folder::new("schema").run(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = Folder::new("schema").run_with(&["check", "-"], b"{}\n");
    let shown = text(&output.stdout);
    let mut keys = Vec::new();
    for (key, property) in schema["properties"].as_object().unwrap() {
        match property["properties"].as_object() {
            Some(inner) => keys.extend(inner.keys().map(|inner| format!("{key}.{inner}"))),
            None => keys.push(key.clone()),
        }
    }
    let other_spelling = |key: &String| key.contains('_') || key == "randomSamplingPercentage";
    // Custom tags are told one by one, and there are none here.
    keys.retain(|key| !other_spelling(key) && key != "customTags");
    assert!(keys.len() > 15, "{keys:?}");
    for key in keys {
        assert!(
            shown.lines().any(|line| line.split_whitespace().next() == Some(&key)),
            "{key}: {shown}"
        );
    }
}

#[test]
fn there_are_no_colours_in_a_pipe() {
    let output = Folder::new("colour").run_with(&["check", "-"], b"sampling: 140\n");
    assert!(!output.stdout.contains(&0x1b));
}

#[test]
fn the_readme_shows_what_is_printed() {
    let folder = Folder::new("readme");
    folder.write(
        "istio-operator.yaml",
        "\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  meshConfig:
    enableTracing: true
    defaultConfig:
      tracing:
        smapling: 60
        zipkin:
          address: jaeger-collector.observability.svc:9411
",
    );
    folder.write(
        "wasmplugin.yaml",
        "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: meshspan
  namespace: istio-system
spec:
  url: oci://registry.example/meshspan:0.1.0
  phase: AUTHN
  pluginConfig:
    queue:
      maxSpans: 0
",
    );
    let shown = text(&folder.run(&["check", "istio-operator.yaml", "wasmplugin.yaml"]).stdout);
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("```\n{shown}```")), "{shown}");
}

#[test]
fn every_sampling_in_the_readme_is_valid() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let sampling: Vec<&&str> = blocks.iter().filter(|it| it.starts_with("sampling:")).collect();
    assert_eq!(sampling.len(), 3, "{blocks:?}");
    for block in sampling {
        let output =
            Folder::new("readme-sampling").run_with(&["check", "--strict", "-"], block.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{block}: {}", text(&output.stdout));
    }
}
