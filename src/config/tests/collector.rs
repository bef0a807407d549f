//! Where spans may go, and what is kept secret.

use super::*;
use crate::config::Compression;

#[test]
fn authority_defaults_to_the_host_of_the_cluster() {
    for (cluster, authority) in [
        ("zipkin", "zipkin"),
        ("outbound|9411||zipkin.obs.svc.cluster.local", "zipkin.obs.svc.cluster.local"),
        ("outbound|9411|v1|zipkin.obs.svc.cluster.local", "zipkin.obs.svc.cluster.local"),
        ("outbound|9411||", "outbound|9411||"),
        ("outbound|9411", "outbound|9411"),
        ("inbound|9080||", "inbound|9080||"),
    ] {
        for authority_key in ["", r#", "authority": """#] {
            let json = format!(r#"{{"collector": {{"cluster": "{cluster}"{authority_key}}}}}"#);
            assert_eq!(settings_of(&json).collector.authority, authority, "{cluster}");
        }
    }
}

#[test]
fn compression_is_as_the_collector_says_and_none_otherwise() {
    for (json, compression) in [
        ("{}", Compression::None),
        (r#"{"compression": "none"}"#, Compression::None),
        (r#"{"compression": "gzip"}"#, Compression::Gzip),
        (r#"{"compression": "gzip", "protocol": "http/protobuf"}"#, Compression::Gzip),
    ] {
        let collector = settings_of(&format!(r#"{{"collector": {json}}}"#)).collector;
        assert_eq!(collector.compression, compression, "{json}");
    }
}

#[test]
fn the_path_defaults_to_the_protocols() {
    for (protocol, path) in [
        ("zipkin", "/api/v2/spans"),
        ("http/protobuf", "/v1/traces"),
        ("grpc", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    ] {
        let json = format!(r#"{{"collector": {{"protocol": "{protocol}"}}}}"#);
        assert_eq!(settings_of(&json).collector.path, path);
        let json = format!(r#"{{"collector": {{"protocol": "{protocol}", "path": "/own"}}}}"#);
        assert_eq!(settings_of(&json).collector.path, "/own");
    }
}

#[test]
fn a_collector_that_cannot_be_called_is_refused() {
    check(&[
        (
            r#"{"collector": {"protocol": "thrift"}}"#,
            "collector.protocol: \"thrift\" is not one of zipkin, http/protobuf, grpc",
        ),
        (
            r#"{"collector": {"compression": "zstd"}}"#,
            "collector.compression: \"zstd\" is not one of none, gzip",
        ),
        (r#"{"collector": {"compression": true}}"#, "collector.compression: true is not a string"),
        (
            r#"{"collector": {"compression": "gzip", "protocol": "grpc"}}"#,
            "collector.compression: \"gzip\" with protocol grpc; allowed: none",
        ),
        (
            r#"{"collector": {"cluster": ""}}"#,
            "collector.cluster: \"\" is not a string of 1 to 256 bytes",
        ),
        (
            r#"{"collector": {"cluster": "a b"}}"#,
            "collector.cluster: \"a b\" is not a string of visible ASCII characters",
        ),
        (
            r#"{"collector": {"path": "spans"}}"#,
            "collector.path: \"spans\" is not a path that begins with /",
        ),
        (
            r#"{"collector": {"path": "/ü"}}"#,
            "collector.path: \"/ü\" is not a string of visible ASCII characters",
        ),
        (
            r#"{"collector": {"authority": "a\u0000"}}"#,
            "collector.authority: \"a\\u{0}\" is not a string of visible ASCII characters",
        ),
        (
            r#"{"batch": {"interval": "5 parsecs"}}"#,
            "batch.interval: \"5 parsecs\" is not a duration such as 250ms, 5s or 1m",
        ),
        (r#"{"batch": {"interval": 5}}"#, "batch.interval: 5 is not a string"),
        (
            r#"{"batch": {"interval": "9ms"}}"#,
            "batch.interval: \"9ms\" is not a duration from 10ms to 5m",
        ),
        (
            r#"{"collector": {"timeout": "0s"}}"#,
            "collector.timeout: \"0s\" is not a duration from 1ms to 5m",
        ),
        (
            r#"{"collector": {"timeout": "301s"}}"#,
            "collector.timeout: \"301s\" is not a duration from 1ms to 5m",
        ),
    ]);
}

#[test]
fn collector_headers_are_refused_without_showing_their_values() {
    let reserved = "any but b3, connection, content-encoding, content-length, content-type, host, te, transfer-encoding";
    check(&[
        (
            r#"{"collector": {"headers": "s3cret"}}"#,
            "collector.headers: its value is not an object",
        ),
        (
            r#"{"collector": {"headers": ["s3cret"]}}"#,
            "collector.headers: its value is not an object",
        ),
        (r#"{"collector": ["a: s3cret"]}"#, "collector: [\"…\"] is not an object"),
        (
            r#"{"collector": {"headers": {"a": 1234}}}"#,
            "collector.headers.a: its value is not a string",
        ),
        (
            r#"{"collector": {"headers": {"a": "s3cret\n"}}}"#,
            "collector.headers.a: its value is not a string without control characters",
        ),
        (
            r#"{"collector": {"headers": {"authorization: s3cret": ""}}}"#,
            "collector.headers: one of its keys is not the name of a header field",
        ),
        (
            r#"{"collector": {"headers": {":path": "/"}}}"#,
            "collector.headers: one of its keys is not the name of a header field",
        ),
        (
            r#"{"collector": {"headers": {"A": "1", "a": "2"}}}"#,
            "collector.headers.a: given twice, in upper and lower case; allowed: each header once",
        ),
    ]);
    for name in [
        "B3",
        "Host",
        "content-length",
        "Transfer-Encoding",
        "content-type",
        "content-encoding",
        "connection",
        "TE",
    ] {
        let json = format!(r#"{{"collector": {{"headers": {{"{name}": "x"}}}}}}"#);
        let line = format!("collector.headers.{name}: reserved; allowed: {reserved}");
        assert_eq!(refusal(json.as_bytes()), line);
    }
    let long = "s3cret".repeat(1366);
    let json = format!(r#"{{"collector": {{"headers": {{"a": "{long}"}}}}}}"#);
    let line = "collector.headers.a: its value is not a string of 0 to 8192 bytes";
    assert_eq!(refusal(json.as_bytes()), line);
    let many: Vec<String> = (0..33).map(|n| format!(r#""h{n}": "v""#)).collect();
    let json = format!(r#"{{"collector": {{"headers": {{{}}}}}}}"#, many.join(", "));
    assert_eq!(refusal(json.as_bytes()), "collector.headers: 33 entries; allowed: at most 32");
}

#[test]
fn header_values_do_not_show_in_debug_output() {
    let json = r#"{"collector": {"headers": {"authorization": "Bearer s3cret"}}}"#;
    assert_eq!(settings_of(json).collector.headers.len(), 1);
    for shown in [format!("{:?}", parsed(json)), format!("{:?}", settings_of(json))] {
        assert!(shown.contains("authorization"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
