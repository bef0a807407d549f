//! Files that nobody wrote by mistake: one short line, no panic, and an end within reason.

use crate::*;

/// The lines of a file with these bytes, which has to be refused.
fn refusal(name: &str, content: &[u8]) -> Vec<String> {
    let folder = Folder::new(&format!("hostile-{}", name.replace(' ', "-")));
    folder.write("f.yaml", content);
    let output = folder.run(&["check", "f.yaml"]);
    assert_eq!(text(&output.stderr), "", "{name}");
    assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output.stdout));
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    for line in &lines {
        assert!(line.chars().count() < 700, "{name}: {} characters", line.chars().count());
        assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
    }
    lines
}

#[test]
fn hostile_files_get_one_line_each() {
    let bomb = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [*a{}, *a{0}]\n", n - 1)
    });
    let merges = (1..40).fold("a0: &a0 {x: 1}\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} {{y: *a{0}, z: *a{0}}}\n", n - 1)
    });
    let texts = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), "*a, ".repeat(100_000));
    for (name, content, line) in [
        ("a bomb of text", texts.into_bytes(), "f.yaml:2: error: more than 500000 values"),
        (
            "a crowd of documents",
            "---\n{kind: Pod, apiVersion: v1}\n".repeat(20_000).into_bytes(),
            "f.yaml:20002: error: more than 10000 documents",
        ),
        (
            "binary",
            b"\x7fELF\x02\x01\x01\0\0\xff\xfe".to_vec(),
            "f.yaml: error: not UTF-8 in line 1",
        ),
        ("not UTF-8", b"a: 1\nb: \xff\n".to_vec(), "f.yaml: error: not UTF-8 in line 2"),
        ("huge", vec![b' '; (8 << 20) + 1], "f.yaml: error: more than 8388608 bytes"),
        (
            "deep lists",
            "[".repeat(200_000).into_bytes(),
            "f.yaml:1: error: not YAML: recursion limit exceeded",
        ),
        (
            "deep maps",
            r#"{"queue":"#.repeat(200_000).into_bytes(),
            "f.yaml:1: error: not YAML: recursion limit exceeded",
        ),
        (
            "deep blocks",
            "- ".repeat(200_000).into_bytes(),
            "f.yaml:1: error: nested more than 128 deep",
        ),
        (
            "deep keys",
            "? ".repeat(200_000).into_bytes(),
            "f.yaml:1: error: nested more than 128 deep",
        ),
        ("an alias bomb", bomb.into_bytes(), "f.yaml:16: error: more than 500000 values"),
        ("a bomb of maps", merges.into_bytes(), "f.yaml:17: error: more than 500000 values"),
        (
            "an alias of nothing",
            b"a: *b\n".to_vec(),
            "f.yaml:1: error: not YAML: while parsing node, found unknown anchor",
        ),
        (
            "an alias inside itself",
            b"a: &a [*a]\n".to_vec(),
            "f.yaml:1: error: an alias inside its own anchor",
        ),
        (
            "a tab",
            b"queue:\n\tmaxSpans: 5\n".to_vec(),
            "f.yaml:2: error: not YAML: tabs disallowed within this context (block indentation)",
        ),
        (
            "a map as a key",
            b"sampling: 1\n{a: b}: c\n".to_vec(),
            "f.yaml:2: error: a key that is neither text nor a number",
        ),
        (
            "nothing as a key",
            b"sampling: 1\n~: c\n".to_vec(),
            "f.yaml:2: error: a key that is neither text nor a number",
        ),
        (
            "a key twice",
            b"sampling: 1\nsampling: 2\n".to_vec(),
            "f.yaml:2: error: the key \"sampling\" is given twice",
        ),
        (
            "NUL",
            b"sampling: \0\n".to_vec(),
            "f.yaml:1: error: not YAML: found unprintable character",
        ),
        (
            "an open quote",
            b"serviceName: \"a\n".to_vec(),
            "f.yaml:1: error: not YAML: while scanning a quoted scalar, found unexpected end of stream",
        ),
    ] {
        let lines = refusal(name, &content);
        assert_eq!(lines.first().map(String::as_str), Some(line), "{name}: {lines:?}");
    }
}

#[test]
fn many_keys_given_twice_are_not_all_told() {
    let lines = refusal("twice", "sampling: 1\n".repeat(100_000).as_bytes());
    assert_eq!(lines.len(), 22, "{lines:?}");
}

#[test]
fn of_many_findings_a_thousand_are_told() {
    let keys: String = (0..5_000).map(|n| format!("  k{n}: 1\n")).collect();
    let lines = refusal("many", format!("meshConfig:\n{keys}").as_bytes());
    assert_eq!(lines.len(), 1002);
    assert_eq!(lines[1000], "f.yaml:1002: error: there is more, not told");
}

#[test]
fn control_characters_and_long_texts_are_cut_and_escaped() {
    let long = "x".repeat(100_000);
    let key = "y".repeat(1000);
    let lines =
        refusal("long", format!("queue: {long}\n{key}: 1\n\"a\\u202e\\n\\e[31m\": 1\n").as_bytes());
    assert!(
        lines.iter().any(|line| line.contains("a\\u{202e}\\n\\u{1b}[31m: unknown key")),
        "{lines:?}"
    );
}

#[test]
fn names_of_objects_are_escaped() {
    let name = "meshspan\\e[31m\\u202e";
    let object = |kind: &str, spec: &str| {
        format!(
            "---\n{{kind: {kind}, apiVersion: extensions.istio.io/v1alpha1, metadata: {{name: \"{name}\", namespace: \"{name}\"}}, spec: {spec}}}\n"
        )
    };
    let tag = format!(
        "{{pluginConfig: {{customTags: {{\"{name}\": {{environment: {{name: \"{name}\"}}}}}}}}}}"
    );
    refusal("names", (object("WasmPlugin", &tag) + &object("WasmPlugin", &tag)).as_bytes());
    let filter = format!(
        "http_filters: [{{typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {{name: \"{name}\", configuration: {{}}}}}}}}]"
    );
    refusal(
        "envoy",
        format!("static_resources: {{\"{name}\": {{tracing: {{}}, {filter}}}}}\n").as_bytes(),
    );
}

#[test]
fn what_is_unusual_and_right_is_taken() {
    let account = "customTags: {a: {header: {name: x-a}}}";
    for (name, content) in [
        ("carriage returns", "sampling: 60\r\nqueue:\r\n  maxSpans: 5\r\n".to_owned()),
        ("a byte order mark", "\u{feff}sampling: 60\n".to_owned()),
        (
            "JSON with tabs",
            "{\n\t\"sampling\": 60,\n\t\"queue\": {\n\t\t\"maxSpans\": 5\n\t}\n}\n".to_owned(),
        ),
        ("an anchor", "x: &q {maxSpans: 5}\n".replace("x:", "queue:") + "batch: *q\n"),
        (
            "a merge",
            format!("{account}\nqueue:\n  <<: {{maxSpans: 5, maxBytes: 2048}}\n  maxSpans: 6\n"),
        ),
        (
            "keys that are numbers",
            "customTags: {1: {literal: {value: a}}, on: {literal: {value: b}}}\n".to_owned(),
        ),
    ] {
        let said = findings(&format!("unusual-{}", name.replace(' ', "-")), &content);
        assert_eq!(said, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_checked() {
    let folder = Folder::new("unreadable");
    folder.write("good.yaml", "sampling: 140\n");
    folder.write("empty.yaml", "");
    folder.write("comment.yaml", "# nothing\n---\n---\n");
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    let output =
        folder.run(&["check", "none.yaml", "folder", "empty.yaml", "comment.yaml", "good.yaml"]);
    assert_eq!(
        text(&output.stdout).lines().collect::<Vec<_>>(),
        [
            "none.yaml: error: cannot be read: No such file or directory (os error 2)",
            "folder: error: cannot be read: Is a directory (os error 21)",
            "empty.yaml: warning: empty, nothing to check",
            "comment.yaml: warning: empty, nothing to check",
            "good.yaml:1: error: sampling: 140 is not a percentage from 0 to 100",
            "3 errors, 2 warnings",
        ]
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn no_byte_changed_or_cut_in_a_file_makes_it_panic() {
    let whole = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: meshspan}\n\
                 spec:\n  url: oci://r/meshspan:1\n  pluginConfig: &a\n    sampling: 60\n    queue: {<<: *a}\n";
    let folder = Folder::new("bytes");
    let mut names = Vec::new();
    for position in (0..whole.len()).step_by(3) {
        for (kind, byte) in [(0, b'\0'), (1, b'*'), (2, b'{'), (3, b'\t'), (4, b'\n'), (5, 0xff)] {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[position] = byte;
            let name = format!("{position}-{kind}.yaml");
            folder.write(&name, bytes);
            names.push(name);
        }
        let name = format!("{position}-cut.yaml");
        folder.write(&name, &whole.as_bytes()[..position]);
        names.push(name);
    }
    let arguments: Vec<&str> =
        ["check"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let output = folder.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}
