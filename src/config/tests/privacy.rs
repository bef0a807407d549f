//! What may leave the process, as it is configured.

use super::*;
use crate::config::{ClientAddress, Privacy, Query};

#[test]
fn privacy_is_read_and_has_defaults() {
    let usual = settings_of("{}").privacy;
    let defaults = Privacy {
        query: Query::Keep(Vec::new()),
        path_redact: Vec::new(),
        mask_emails: true,
        mask_cards: true,
        client_address: ClientAddress::Full,
    };
    assert_eq!(usual, defaults);
    for (json, expected) in [
        (r#"{"query": "redact"}"#, usual.clone()),
        (r#"{"query": {"keep": []}}"#, usual.clone()),
        (r#"{"query": "drop"}"#, Privacy { query: Query::Drop, ..usual.clone() }),
        (
            r#"{"query": {"keep": ["page", "l"]}}"#,
            Privacy {
                query: Query::Keep(vec!["page".to_owned(), "l".to_owned()]),
                ..usual.clone()
            },
        ),
        (
            r#"{"pathRedact": ["eyJ*"]}"#,
            Privacy { path_redact: vec!["eyJ*".to_owned()], ..usual.clone() },
        ),
        (
            r#"{"maskPatterns": []}"#,
            Privacy { mask_emails: false, mask_cards: false, ..usual.clone() },
        ),
        (r#"{"maskPatterns": ["card"]}"#, Privacy { mask_emails: false, ..usual.clone() }),
        (
            r#"{"clientAddress": "truncate"}"#,
            Privacy { client_address: ClientAddress::Truncate, ..usual.clone() },
        ),
        (
            r#"{"clientAddress": "drop"}"#,
            Privacy { client_address: ClientAddress::Drop, ..usual.clone() },
        ),
    ] {
        assert_eq!(settings_of(json).privacy, expected, "{json}");
    }
}

#[test]
fn path_patterns_are_templates_or_segments_with_a_star() {
    for text in
        ["/reset/{token}", "/**/key/{k}", "/a/*/{b}/**", "/**", "eyJ*", "*.jwt", "a*z", "/a*/{b}"]
    {
        let patterns = settings_of(&format!(r#"{{"pathRedact": ["{text}"]}}"#)).privacy.path_redact;
        assert_eq!(patterns.len(), 1, "{text}");
    }
    for text in [
        "/",
        "*",
        "a",
        "a*b*c",
        "a/b*",
        "/a b",
        "/a/**/b/**",
        "/a/",
        "{a}",
        "/a?b",
        "/{a}b",
        "/{a*}",
        "/***",
    ] {
        let line = refusal(format!(r#"{{"pathRedact": ["{text}"]}}"#).as_bytes());
        let expected = "a path such as /reset/{token} or a segment such as eyJ*";
        assert_eq!(line, format!("pathRedact[0]: \"{text}\" is not {expected}"));
    }
}

#[test]
fn what_is_not_meant_is_refused() {
    check(&[
        (r#"{"query": "keep"}"#, "query: \"keep\" is not drop, redact or an object with keep"),
        (r#"{"query": true}"#, "query: true is not drop, redact or an object with keep"),
        (r#"{"query": {}}"#, "query.keep: missing; allowed: a list of keys"),
        (
            r#"{"query": {"keep": "page"}}"#,
            "query.keep: \"page\" is not an array of 0 to 64 entries",
        ),
        (r#"{"query": {"keep": [1]}}"#, "query.keep[0]: 1 is not a string"),
        (r#"{"query": {"keep": [], "drop": 1}}"#, "query.drop: unknown key; allowed: keep"),
        (r#"{"maskPatterns": ["phone"]}"#, "maskPatterns[0]: \"phone\" is not one of email, card"),
        (
            r#"{"clientAddress": "none"}"#,
            "clientAddress: \"none\" is not one of full, truncate, drop",
        ),
    ]);
}

#[test]
fn a_list_has_64_entries_at_most() {
    let many = format!(r#"{{"query": {{"keep": [{}]}}}}"#, vec![r#""k""#; 65].join(", "));
    assert!(refusal(many.as_bytes()).ends_with("… is not an array of 0 to 64 entries"));
}

#[test]
fn a_tag_of_a_header_that_lets_people_in_has_to_say_so() {
    for name in ["Authorization", "proxy-authorization", "cookie", "x-api-key", "X-Auth-Token"] {
        let tag = |more: &str| {
            format!(r#"{{"customTags": {{"a": {{"header": {{"name": "{name}"}}{more}}}}}}}"#)
        };
        for more in ["", r#", "allowSensitive": false"#] {
            let expected = format!(
                "customTags.a.header.name: \"{name}\" lets people in; allowed: another one, or \
                 allowSensitive: true beside it"
            );
            assert_eq!(refusal(tag(more).as_bytes()), expected);
        }
        let allowed = settings_of(&tag(r#", "allowSensitive": true"#)).custom_tags;
        assert_eq!(allowed, [header("a", &name.to_ascii_lowercase(), None)]);
    }
    check(&[(
        r#"{"customTags": {"a": {"literal": {"value": "v"}, "allowSensitive": 1}}}"#,
        "customTags.a.allowSensitive: 1 is not true or false",
    )]);
}
