use super::*;
use crate::config::{MeshConfig, PluginConfig, settings};

const KEY: &str = "0123456789abcdef";

fn environment(name: &str) -> Option<String> {
    (name == "ZONE").then(|| "z1".to_owned())
}

fn configured(config: &str) -> Settings {
    settings(PluginConfig::parse(config.as_bytes()).unwrap(), MeshConfig::default())
}

/// What one tag says on a span of a kind, of these headers and of what Envoy has for it.
fn said(config: &str, kind: SpanKind, headers: &[(&str, &[u8])], answer: Option<&[u8]>) -> Option<String> {
    let settings = configured(config);
    let redaction = Redaction::new(&settings);
    let tags = CustomTags::new(&settings, &redaction, &environment);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), *value)).collect();
    let path = headers.iter().find(|(name, _)| *name == b":path").map_or(&b""[..], |(_, value)| value);
    let mut values = tags.begin(&redaction, &headers, path);
    if tags.asks() {
        tags.ask(&mut values, &redaction, &|_| answer.map(<[u8]>::to_vec));
    }
    tags.tags(values, kind).into_iter().map(|(_, value)| value.into_owned()).next()
}

/// A configuration of one tag.
fn tag(tag: &str) -> String {
    format!(r#"{{"maxTagLength": 40, "hashKey": "{KEY}", "customTags": {{"t": {{{tag}}}}}}}"#)
}

const HEADERS: [(&str, &[u8]); 9] = [
    ("x-account-id", b"acc-42"),
    ("x-account-id", b"second"),
    ("x-long", b"0123456789012345678901234567890123456789+"),
    ("x-bytes", b"\xff"),
    ("x-empty", b""),
    ("cookie", b"a=1; theme=dark ;empty=; b=x=y"),
    ("cookie", b"late=2; theme=light"),
    ("baggage", b"user=a%40b.com;p=1 , tenant = acme;x, cut=%e5%bc%a0"),
    (":path", b"/users/a%20b/orders;v=1?page=2&q=%2Fa&user=x%40y.com&flag#page=9"),
];

#[test]
fn a_tag_has_its_value_or_its_default_or_is_absent() {
    for (source, expected) in [
        (r#""literal": {"value": "prod"}"#, Some("prod")),
        (r#""literal": {"value": "0123456789012345678901234567890123456789+"}"#, Some("0123456789012345678901234567890123456789")),
        (r#""header": {"name": "x-account-id"}"#, Some("acc-42")),
        (r#""header": {"name": "x-long"}"#, Some("0123456789012345678901234567890123456789")),
        (r#""header": {"name": "x-long"}, "maxLength": 3"#, Some("012")),
        (r#""header": {"name": "x-long"}, "maxLength": 41"#, Some("0123456789012345678901234567890123456789+")),
        (r#""header": {"name": "x-bytes"}"#, Some("\u{fffd}")),
        (r#""header": {"name": "x-none"}"#, None),
        (r#""header": {"name": "x-none", "defaultValue": "none"}"#, Some("none")),
        (r#""header": {"name": "x-account-id", "defaultValue": "none"}"#, Some("acc-42")),
        (r#""environment": {"name": "ZONE"}"#, Some("z1")),
        (r#""environment": {"name": "NONE"}"#, None),
        (r#""environment": {"name": "NONE", "defaultValue": "-"}"#, Some("-")),
        (r#""cookie": {"name": "theme"}"#, Some("dark")),
        (r#""cookie": {"name": "b"}"#, Some("x=y")),
        (r#""cookie": {"name": "late"}"#, Some("2")),
        (r#""cookie": {"name": "empty"}"#, Some("")),
        (r#""cookie": {"name": "hem"}"#, None),
        (r#""cookie": {"name": "none", "defaultValue": "-"}"#, Some("-")),
        (r#""baggage": {"name": "tenant"}"#, Some("acme")),
        (r#""baggage": {"name": "user"}"#, Some("REDACTED")),
        (r#""baggage": {"name": "cut"}"#, Some("\u{5f20}")),
        (r#""baggage": {"name": "p"}"#, None),
        (r#""queryParameter": {"name": "page"}"#, Some("2")),
        (r#""queryParameter": {"name": "q"}"#, Some("/a")),
        (r#""queryParameter": {"name": "user"}"#, Some("REDACTED")),
        (r#""queryParameter": {"name": "flag"}"#, Some("")),
        (r#""queryParameter": {"name": "users"}"#, None),
        (r#""pathSegment": {"template": "/users/{id}"}"#, Some("a b")),
        (r#""pathSegment": {"template": "/users/*/{kind}"}"#, Some("orders")),
        (r#""pathSegment": {"template": "/**/orders/{id}"}"#, None),
        (r#""pathSegment": {"template": "/teams/{id}", "defaultValue": "none"}"#, Some("none")),
    ] {
        assert_eq!(said(&tag(source), SpanKind::Server, &HEADERS, None).as_deref(), expected, "{source}");
    }
}

#[test]
fn a_tag_is_on_the_spans_that_it_is_for() {
    for (on, server, client) in [("both", true, true), ("inbound", true, false), ("outbound", false, true)] {
        let config = tag(&format!(r#""literal": {{"value": "v"}}, "on": "{on}""#));
        assert_eq!(said(&config, SpanKind::Server, &[], None).is_some(), server, "{on}");
        assert_eq!(said(&config, SpanKind::Client, &[], None).is_some(), client, "{on}");
    }
}

#[test]
fn a_value_is_plain_or_hashed_or_masked() {
    // The first half of what `printf 'acc-42' | openssl dgst -sha256 -hmac 0123456789abcdef` says.
    let hash = "c4886755";
    for (value, mode, expected) in [
        ("acc-42", "plain", Some("acc-42")),
        ("acc-42", "mask", Some("****")),
        ("account-0042", "mask", Some("****0042")),
        ("account-000\u{5f20}", "mask", Some("****0\u{5f20}")),
        ("", "hash", None),
        ("", "mask", None),
    ] {
        let config = tag(&format!(r#""header": {{"name": "x"}}, "mode": "{mode}""#));
        let found = said(&config, SpanKind::Server, &[("x", value.as_bytes())], None);
        assert_eq!(found.as_deref(), expected, "{value} {mode}");
    }
    let config = tag(r#""header": {"name": "x"}, "mode": "hash""#);
    let hashed = |config: &str, value: &[u8]| said(config, SpanKind::Server, &[("x", value)], None);
    let found = hashed(&config, b"acc-42").unwrap();
    assert_eq!((found.len(), &found[..8]), (32, hash));
    assert_ne!(hashed(&config, b"acc-43"), hashed(&config, b"acc-42"));
    assert_ne!(hashed(&config.replace(KEY, "fedcba9876543210"), b"acc-42"), Some(found));
    // Without a key nothing is said, and never the value.
    let keyless = config.replace(&format!(r#""hashKey": "{KEY}", "#), "");
    assert_eq!(hashed(&keyless, b"acc-42"), None);
}

#[test]
fn what_envoy_answers_is_text_a_number_or_truth() {
    let metadata = r#""metadata": {"kind": "dynamic", "path": ["a", "b"]}"#;
    let attribute = r#""attribute": {"name": "connection.id"}"#;
    let header = r#""responseHeader": {"name": "x"}"#;
    let number = |number: f64| number.to_le_bytes();
    let integer = |number: i64| number.to_le_bytes();
    for (source, answer, expected) in [
        (metadata, &b"text"[..], Some("text")),
        (metadata, b"8 bytes.", Some("8 bytes.")),
        (metadata, "\u{5f20}\u{5f20}ab".as_bytes(), Some("\u{5f20}\u{5f20}ab")),
        (metadata, &number(42.0), Some("42")),
        (metadata, &number(0.0), Some("0")),
        (metadata, &number(-0.5), Some("-0.5")),
        (metadata, &number(0.1), Some("0.1")),
        (metadata, &number(1.000_001), Some("1.000001")),
        (metadata, &number(1_700_000_000.25), Some("1700000000.25")),
        (metadata, &number(1e300), None),
        (metadata, &number(f64::INFINITY), None),
        (metadata, &[1], Some("true")),
        (metadata, &[0], Some("false")),
        (metadata, b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0", None),
        (metadata, b"two\nlines", Some("two\nlines")),
        (attribute, &integer(7), Some("7")),
        (attribute, &integer(-7), Some("-7")),
        (attribute, &integer(1_700_000_000_123_456_789), Some("1700000000123456789")),
        (attribute, &integer(i64::MIN), Some("-9223372036854775808")),
        (attribute, b"TLSv1.3", Some("TLSv1.3")),
        (attribute, &[1], Some("true")),
        (header, b"\xff\xff\xff\xff\xff\xff\xff\xff", Some("\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}")),
        (header, b"bob@example.com", Some("REDACTED")),
    ] {
        assert_eq!(said(&tag(source), SpanKind::Server, &[], Some(answer)).as_deref(), expected, "{source} {answer:?}");
    }
    let f64_nan = f64::NAN.to_le_bytes();
    assert_eq!(said(&tag(metadata), SpanKind::Server, &[], Some(&f64_nan)).as_deref(), None);
    assert_eq!(said(&tag(metadata), SpanKind::Server, &[], None), None);
}

#[test]
fn an_address_of_the_client_is_no_tag_where_not_all_of_it_may_be_told() {
    for source in [
        r#""header": {"name": "x-forwarded-for"}"#,
        r#""attribute": {"name": "source.address"}"#,
        r#""attribute": {"name": "request.headers.x-real-ip"}"#,
    ] {
        for (how, is_told) in [("full", true), ("truncate", false), ("drop", false)] {
            let config = format!(r#"{{"clientAddress": "{how}", "customTags": {{"t": {{{source}}}}}}}"#);
            let found = said(&config, SpanKind::Server, &[("x-forwarded-for", b"10.0.0.1")], Some(b"10.0.0.1"));
            assert_eq!(found.is_some(), is_told, "{source} {how}");
        }
    }
}

#[test]
fn constants_stand_back_for_tags_of_their_names() {
    let settings = configured(r#"{"customTags": {"a": {"literal": {"value": "own"}}}}"#);
    let redaction = Redaction::new(&settings);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let tags = CustomTags::new(&settings, &redaction, &environment)
        .with_constants(&[pair("a", "constant"), pair("b", "constant")]);
    let values = tags.begin(&redaction, &[], b"");
    assert_eq!(tags.tags(values, SpanKind::Server), [("a", "own".into()), ("b", "constant".into())]);
}

#[test]
fn tags_of_one_list_each_take_the_first_member_of_its_name() {
    let settings = configured(&format!(
        r#"{{"maxTagLength": 40, "hashKey": "{KEY}", "customTags": {{
            "one": {{"cookie": {{"name": "a"}}}},
            "same": {{"cookie": {{"name": "a"}}, "maxLength": 1}},
            "late": {{"cookie": {{"name": "late"}}}},
            "none": {{"cookie": {{"name": "none"}}}},
            "empty": {{"cookie": {{"name": "empty", "defaultValue": "-"}}, "mode": "hash"}},
            "other": {{"baggage": {{"name": "a"}}}}}}}}"#
    ));
    let redaction = Redaction::new(&settings);
    let tags = CustomTags::new(&settings, &redaction, &environment);
    let headers: [(&[u8], &[u8]); 4] = [
        (b"cookie", b"b=1; empty=; a=first ;a=second"),
        (b"baggage", b"b=1,a=of baggage;p=1"),
        (b"cookie", b"empty=x; late=3;a=third"),
        (b"cookie", b"late=4"),
    ];
    let values = tags.begin(&redaction, &headers, b"/?a=query");
    let said = tags.tags(values, SpanKind::Server);
    let said: Vec<_> = said.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let expected = [("empty", "-"), ("late", "3"), ("one", "first"), ("other", "of baggage"), ("same", "f")];
    assert_eq!(said, expected);
}
