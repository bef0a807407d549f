use super::*;
use crate::config::{MeshConfig, PluginConfig, settings};

fn redaction(json: &str) -> Redaction {
    let plugin = PluginConfig::parse(json.as_bytes()).unwrap();
    Redaction::new(&settings(plugin, MeshConfig::default()))
}

#[test]
fn query_values_are_redacted_and_keys_kept() {
    for (input, expected) in [
        ("/", "/"),
        ("/a?b=c", "/a?b=REDACTED"),
        ("/a?b=c&d=&e", "/a?b=REDACTED&d=REDACTED&REDACTED"),
        ("/a?b=c=d;e=f", "/a?b=REDACTED;e=REDACTED"),
        ("/a?", "/a?"),
        ("/a?secret", "/a?REDACTED"),
        ("/a?b=x?y=z", "/a?b=REDACTED"),
        ("/a?b=c#secret", "/a?b=REDACTED"),
        ("/a#secret?b=c", "/a"),
        ("/a;jsessionid=secret/b;c;d=e", "/a;jsessionid=REDACTED/b;REDACTED;d=REDACTED"),
    ] {
        assert_eq!(redaction("{}").path(input.as_bytes()), expected, "{input}");
    }
    for (max, input, expected) in [
        (4, "/abc?d=e", "/abc"),
        (12, "/a?key=value&other=value", "/a?key=REDAC"),
        // What begins before the cap and ends beyond it.
        (8, "/bob.smith@example.com", "/REDACTE"),
        (8, "/4111111111111111", "/REDACTE"),
    ] {
        let capped = redaction(&format!(r#"{{"maxTagLength": {max}}}"#));
        assert_eq!(capped.path(input.as_bytes()), expected, "{input}");
    }
}

#[test]
fn a_query_is_redacted_or_dropped_and_some_values_kept() {
    for (query, input, expected) in [
        (r#""redact""#, "/a?b=c", "/a?b=REDACTED"),
        (r#""drop""#, "/a?b=c", "/a"),
        (r#""drop""#, "https://h?b=c#d", "https://h"),
        (
            r#"{"keep": ["page", "lang"]}"#,
            "/a?page=2&token=s&lang=en&page",
            "/a?page=2&token=REDACTED&lang=en&REDACTED",
        ),
        (
            r#"{"keep": ["page"]}"#,
            "/a?Page=2&p%61ge=2&xpage=2",
            "/a?Page=REDACTED&p%61ge=REDACTED&xpage=REDACTED",
        ),
        (r#"{"keep": ["page"]}"#, "/a?page=2;token=s", "/a?page=2;token=REDACTED"),
        (r#"{"keep": ["mail"]}"#, "/a?mail=bob@example.com", "/a?mail=REDACTED"),
    ] {
        let redaction = redaction(&format!(r#"{{"query": {query}}}"#));
        assert_eq!(redaction.path(input.as_bytes()), expected, "{query} {input}");
    }
}

#[test]
fn path_patterns_name_the_segments_that_are_secrets() {
    for (patterns, input, expected) in [
        (r#""/reset/{token}""#, "/reset/s3cret", "/reset/REDACTED"),
        (r#""/reset/{token}""#, "/reset/s3cret/confirm?a=b", "/reset/REDACTED/confirm?a=REDACTED"),
        (r#""/reset/{token}""#, "/RESET/s3cret", "/RESET/REDACTED"),
        (r#""/reset/{token}""#, "//reset//s3cret/", "//reset//REDACTED/"),
        (r#""/reset/{token}""#, "/reset;a=b/s3cret;c=d", "/reset;a=REDACTED/REDACTED"),
        (r#""/reset/{token}""#, "/reset", "/reset"),
        (r#""/reset/{token}""#, "/other/reset/kept", "/other/reset/kept"),
        (r#""/a/*/{b}""#, "/a/kept/secret/kept", "/a/kept/REDACTED/kept"),
        (r#""/**/key/{k}""#, "/key/1/x/key/2", "/key/REDACTED/x/key/REDACTED"),
        (r#""/api/**/{id}/raw""#, "/api/v1/x/raw", "/api/v1/REDACTED/raw"),
        (r#""eyJ*""#, "/a/eyJhbGci.x.y/b", "/a/REDACTED/b"),
        (r#""*.key""#, "/a/b.key", "/a/REDACTED"),
        (r#""*.key""#, "/a/.ke/key", "/a/.ke/key"),
        (r#""a*a""#, "/a/aa", "/a/REDACTED"),
        (r#""/v*/{id}""#, "/v1/7", "/v1/REDACTED"),
        (r#""/v*/{id}""#, "/w1/7", "/w1/7"),
        (r#""tok_*", "/u/{id}""#, "/u/7/tok_1", "/u/REDACTED/REDACTED"),
        (r#""/reset/{token}""#, "https://h:80/reset/s3cret", "https://h:80/reset/REDACTED"),
        (r#""/reset/{token}""#, "https://reset/s3cret", "https://reset/s3cret"),
        (r#""/h/{x}""#, "https://h?/h/x", "https://h?REDACTED"),
        (r#""/h/{x}""#, "https://h#/h/x", "https://h"),
        (r#""eyJ*""#, "/to/https://h/eyJh", "/to/https://h/REDACTED"),
    ] {
        let redaction = redaction(&format!(r#"{{"pathRedact": [{patterns}]}}"#));
        assert_eq!(redaction.value(input.as_bytes()), expected, "{patterns} {input}");
    }
}

#[test]
fn values_are_masked_and_those_that_are_urls_are_redacted_like_urls() {
    for (json, input, expected) in [
        ("{}", "of bob@example.com, 4111 1111 1111 1111", "of REDACTED, REDACTED"),
        ("{}", "/a?b=c", "/a?b=REDACTED"),
        ("{}", "https://user:password@h/a?b=c#d", "https://REDACTED@h/a?b=REDACTED"),
        ("{}", "a b?c=d", "a b?c=d"),
        ("{}", "key=a;b", "key=a;b"),
        (
            r#"{"maskPatterns": ["card"]}"#,
            "bob@example.com 4111111111111111",
            "bob@example.com REDACTED",
        ),
        (
            r#"{"maskPatterns": []}"#,
            "bob@example.com 4111111111111111 //u:p@h",
            "bob@example.com 4111111111111111 //REDACTED@h",
        ),
    ] {
        assert_eq!(redaction(json).value(input.as_bytes()), expected, "{json} {input}");
    }
}

#[test]
fn user_information_of_an_authority_never_leaves() {
    for (input, expected) in
        [("user:password@host:80", "host:80"), ("user:p@ss@host", "host"), ("host:80", "host:80")]
    {
        assert_eq!(redaction("{}").authority(input.as_bytes()), expected);
    }
}

#[test]
fn a_header_that_names_clients_is_hidden_unless_all_of_them_may_be_told() {
    for (how, name, expected) in [
        ("full", "x-forwarded-for", false),
        ("truncate", "x-forwarded-for", true),
        ("truncate", "x-account-id", false),
        ("drop", "x-real-ip", true),
        ("drop", "x-account-id", false),
    ] {
        let redaction = redaction(&format!(r#"{{"clientAddress": "{how}"}}"#));
        assert_eq!(redaction.hides(name), expected, "{how} {name}");
    }
}

#[test]
fn segments_beyond_those_that_are_compared_are_redacted_where_any_are() {
    let path = "/a".repeat(MAX_SEGMENTS + 2);
    let expected = ["/a".repeat(MAX_SEGMENTS), "/REDACTED".repeat(2)].concat();
    let max = r#""maxTagLength": 999"#;
    let redaction_of_some = redaction(&format!(r#"{{"pathRedact": ["eyJ*"], {max}}}"#));
    assert_eq!(redaction_of_some.path(path.as_bytes()), expected);
    assert_eq!(redaction(&format!("{{{max}}}")).path(path.as_bytes()), path);
}

#[test]
fn a_clients_address_is_whole_its_network_or_nothing() {
    for (how, input, expected) in [
        ("full", "10.1.2.3:1234", Some("10.1.2.3:1234")),
        ("truncate", "10.1.2.3:1234", Some("10.1.2.0:0")),
        ("truncate", "[2001:db8:1:2:3:4:5:6]:1234", Some("[2001:db8:1::]:0")),
        ("truncate", "[::ffff:10.1.2.3]:1234", Some("10.1.2.0:0")),
        ("drop", "10.1.2.3:1234", None),
    ] {
        let redaction = redaction(&format!(r#"{{"clientAddress": "{how}"}}"#));
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(redaction.client(input.parse().unwrap()), expected, "{how} {input}");
    }
}
