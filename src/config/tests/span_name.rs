//! What spans are called, as it is configured.

use super::*;
use crate::config::{Placeholder, name_of};

#[test]
fn spans_are_called_by_a_template_of_known_words() {
    assert_eq!(settings_of("{}").span_name, []);
    for template in
        ["{method} {route}", "{service}{operation}", "x", " ", "{method}", "a-{service}~|z"]
    {
        let json = format!(r#"{{"spanName": {{"template": "{template}"}}}}"#);
        let mut text = String::new();
        for (before, placeholder) in settings_of(&json).span_name {
            text += &before;
            text += &placeholder
                .map_or(String::new(), |it| format!("{{{}}}", name_of(&Placeholder::NAMED, &it)));
        }
        assert_eq!(text, template);
    }
    for template in
        ["{path}", "{}", "{method", "method}", "{{method}}", "{Method}", "{method}}", "{ method }"]
    {
        let line = refusal(format!(r#"{{"spanName": {{"template": "{template}"}}}}"#).as_bytes());
        let expected = format!(
            "spanName.template: \"{template}\" has another placeholder; allowed: {{method}}, {{route}}, \
             {{service}}, {{operation}}"
        );
        assert_eq!(line, expected);
    }
    check(&[
        (r#"{"spanName": "{method}"}"#, "spanName: \"{method}\" is not an object"),
        (
            r#"{"spanName": {}}"#,
            "spanName.template: missing; allowed: a text such as {method} {route}",
        ),
        (
            r#"{"spanName": {"template": ""}}"#,
            "spanName.template: \"\" is not a string of 1 to 128 bytes",
        ),
        (
            r#"{"spanName": {"template": "é"}}"#,
            "spanName.template: \"é\" is not a string of visible ASCII characters and spaces",
        ),
        (
            r#"{"spanName": {"template": "a\nb"}}"#,
            "spanName.template: \"a\\nb\" is not a string of visible ASCII characters and spaces",
        ),
        (
            r#"{"spanName": {"template": "a", "operations": []}}"#,
            "spanName.operations: unknown key; allowed: template",
        ),
    ]);
    let long = format!(r#"{{"spanName": {{"template": "{}"}}}}"#, "x".repeat(129));
    assert!(refusal(long.as_bytes()).ends_with("is not a string of 1 to 128 bytes"));
}

#[test]
fn operations_are_templates_of_paths() {
    for text in ["/", "/users", "/users/{id}", "/a/**", "/**/a", "/v*/{id}/*"] {
        let json = format!(r#"{{"operations": ["{text}"]}}"#);
        assert_eq!(settings_of(&json).operations, [text]);
    }
    for text in ["", "users", "eyJ*", "users/{id}", "/a/", "/a?b", "/{a", "/**/a/**", "/a b", "//"]
    {
        let line = refusal(format!(r#"{{"operations": ["{text}"]}}"#).as_bytes());
        assert_eq!(line, format!("operations[0]: \"{text}\" is not a path such as /users/{{id}}"));
    }
    let many = |count| format!(r#"{{"operations": [{}]}}"#, vec![r#""/a""#; count].join(", "));
    assert_eq!(settings_of(&many(64)).operations.len(), 64);
    assert!(refusal(many(65).as_bytes()).ends_with("… is not an array of 0 to 64 entries"));
    check(&[(r#"{"operations": "/a"}"#, "operations: \"/a\" is not an array of 0 to 64 entries")]);
}
