//! Mesh configuration as Envoy 1.40.0 answers for it, recorded from a real one, and who wins.

use std::collections::BTreeMap;

use super::*;
use crate::config::NodeMetadata;
use crate::pairs::encode;

/// Node metadata: property to bytes, below `PROXY_CONFIG.tracing`.
#[derive(Default)]
struct Recorded(BTreeMap<&'static str, Vec<u8>>);

impl Recorded {
    fn with(mut self, key: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(key, bytes.into());
        self
    }

    fn read(&self) -> (MeshConfig, Vec<String>) {
        let (config, errors) = MeshConfig::read(self);
        (config, errors.iter().map(ToString::to_string).collect())
    }
}

impl NodeMetadata for Recorded {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        match path {
            ["PROXY_CONFIG", "tracing", key] => self.0.get(key).cloned(),
            _ => panic!("nobody recorded {path:?}"),
        }
    }
}

/// Numbers of a protobuf Struct are doubles.
fn double(number: f64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// One tag: `{header: {name: x-account-id}}`.
fn tag(source: &str, members: &[(&str, &str)]) -> Vec<u8> {
    let members: Vec<(&str, &[u8])> = members.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
    encode(&[(source, &encode(&members))])
}

/// `tracing: {sampling: 60, customTags: {account_header: {header: {name: x-account-id}}}}`, as the
/// IstioOperator of the demo has it.
fn istio_operator() -> Recorded {
    let account = tag("header", &[("name", "x-account-id")]);
    Recorded::default()
        .with("sampling", double(60.0))
        .with("customTags", encode(&[("account_header", &account)]))
}

#[test]
fn fixtures_are_the_bytes_that_envoy_answered() {
    let recorded = istio_operator();
    assert_eq!(recorded.0["sampling"], *b"\0\0\0\0\0\0N@");
    assert_eq!(
        recorded.0["customTags"],
        b"\x01\0\0\0\x0e\0\0\0\x32\0\0\0account_header\0\
          \x01\0\0\0\x06\0\0\0\x1e\0\0\0header\0\
          \x01\0\0\0\x04\0\0\0\x0c\0\0\0name\0x-account-id\0\0\0"
    );
}

#[test]
fn the_values_of_an_istio_operator_are_read() {
    let (mesh, errors) = istio_operator().read();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(mesh.sampling.unwrap().percent(), 60.0);
    assert_eq!(mesh.custom_tags, [header("account_header", "x-account-id", None)]);
    assert_eq!(mesh.max_path_length, None);
}

#[test]
fn every_source_of_a_tag_is_read_in_whatever_order_and_sorted() {
    let zone = tag("environment", &[("name", "ZONE"), ("defaultValue", "-")]);
    let stage = tag("literal", &[("value", "prüf")]);
    let account = tag("header", &[("defaultValue", ""), ("name", "X-Account-Id")]);
    let tags = encode(&[("zone", &zone), ("account", &account), ("stage", &stage)]);
    let recorded =
        Recorded::default().with("customTags", tags).with("maxPathTagLength", double(128.0));
    let (mesh, errors) = recorded.read();
    assert!(errors.is_empty(), "{errors:?}");
    let expected = [
        header("account", "x-account-id", None),
        literal("stage", "prüf"),
        environment("zone", "ZONE", Some("-")),
    ];
    assert_eq!(mesh.custom_tags, expected);
    assert_eq!(mesh.max_path_length, Some(128));
}

#[test]
fn no_metadata_and_empty_maps_say_nothing() {
    for recorded in [Recorded::default(), Recorded::default().with("customTags", [0; 4])] {
        let (mesh, errors) = recorded.read();
        assert_eq!(mesh, MeshConfig::default());
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn plugin_wins_over_mesh_and_mesh_over_default_key_by_key() {
    let account = tag("header", &[("name", "x-account-id")]);
    let stage = tag("literal", &[("value", "mesh")]);
    let recorded = Recorded::default()
        .with("sampling", double(60.0))
        .with("maxPathTagLength", double(128.0))
        .with("customTags", encode(&[("stage", &stage), ("account", &account)]));
    let (mesh, _) = recorded.read();
    let account = || header("account", "x-account-id", None);
    let stage = |value| literal("stage", value);
    for (json, sampling, tag_length, path_length, tags) in [
        ("{}", 60.0, 256, 128, vec![account(), stage("mesh")]),
        (r#"{"sampling": 0}"#, 0.0, 256, 128, vec![account(), stage("mesh")]),
        (r#"{"maxTagLength": 512}"#, 60.0, 512, 512, vec![account(), stage("mesh")]),
        (
            r#"{"customTags": {"stage": {"literal": {"value": "plugin"}}, "a": {"literal": {"value": "b"}}}}"#,
            60.0,
            256,
            128,
            vec![literal("a", "b"), account(), stage("plugin")],
        ),
    ] {
        let settings = settings(parsed(json), mesh.clone());
        assert_eq!(settings.sampling.percent.percent(), sampling, "{json}");
        assert_eq!(settings.max_tag_length, tag_length, "{json}");
        assert_eq!(settings.max_path_length, path_length, "{json}");
        assert_eq!(settings.custom_tags, tags, "{json}");
    }
}

#[test]
fn a_bad_number_counts_as_absent_and_is_reported() {
    for (key, bytes, line) in [
        (
            "sampling",
            double(140.0),
            "PROXY_CONFIG.tracing.sampling: 140 is not a percentage from 0 to 100",
        ),
        (
            "sampling",
            double(f64::NAN),
            "PROXY_CONFIG.tracing.sampling: NaN is not a percentage from 0 to 100",
        ),
        (
            "sampling",
            b"60".to_vec(),
            "PROXY_CONFIG.tracing.sampling: \"60\" is not a percentage from 0 to 100",
        ),
        (
            "sampling",
            Vec::new(),
            "PROXY_CONFIG.tracing.sampling: \"\" is not a percentage from 0 to 100",
        ),
        (
            "sampling",
            vec![0xff, b'\n'],
            "PROXY_CONFIG.tracing.sampling: \"\u{fffd}\\n\" is not a percentage from 0 to 100",
        ),
        (
            "maxPathTagLength",
            double(0.0),
            "PROXY_CONFIG.tracing.maxPathTagLength: 0 is not a whole number from 1 to 65536",
        ),
        (
            "maxPathTagLength",
            double(0.5),
            "PROXY_CONFIG.tracing.maxPathTagLength: 0.5 is not a whole number from 1 to 65536",
        ),
        (
            "maxPathTagLength",
            double(f64::INFINITY),
            "PROXY_CONFIG.tracing.maxPathTagLength: inf is not a whole number from 1 to 65536",
        ),
        ("customTags", b"text".to_vec(), "PROXY_CONFIG.tracing.customTags: \"text\" is not a map"),
        (
            "customTags",
            vec![0xff; 12],
            "PROXY_CONFIG.tracing.customTags: \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\" is not a map",
        ),
    ] {
        let (mesh, errors) = Recorded::default().with(key, bytes).read();
        assert_eq!(mesh, MeshConfig::default(), "{line}");
        assert_eq!(errors, [line]);
    }
}

#[test]
fn a_bad_tag_is_reported_and_the_others_are_kept() {
    let good = tag("literal", &[("value", "v")]);
    let nameless = tag("header", &[]);
    let number = encode(&[("header", &encode(&[("name", &double(7.0))]))]);
    let unknown = tag("formatter", &[("value", "%PROTOCOL%")]);
    let (mesh, errors) = Recorded::default()
        .with(
            "customTags",
            encode(&[
                ("good", &good),
                ("e", &unknown),
                ("a", b"text"),
                ("b", &[0; 4]),
                ("c", &nameless),
                ("d", &number),
                ("f", &encode(&[("literal", b"prod")])),
                ("g", &tag("header", &[("name", "Cookie")])),
            ]),
        )
        .read();
    assert_eq!(mesh.custom_tags, [literal("good", "v")]);
    let expected = [
        "a: \"text\" is not an object",
        "b: no source; allowed: exactly one of literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute",
        "c.header.name: missing; allowed: the name of a header",
        "d.header.name: \"\\u{0}\\u{0}\\u{0}\\u{0}\\u{0}\\u{0}\\u{1c}@\" is not the name of a header",
        "e.formatter: unknown key; allowed: literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute, allowSensitive, mode, on, maxLength",
        "f.literal: \"prod\" is not an object",
        "g.header.name: \"Cookie\" lets people in; allowed: another one, or allowSensitive: true beside it",
    ];
    assert_eq!(errors, expected.map(|line| format!("PROXY_CONFIG.tracing.customTags.{line}")));
}

#[test]
fn of_too_many_tags_the_first_64_by_name_are_kept() {
    let value = tag("literal", &[("value", "v")]);
    let names: Vec<String> = (0..70).rev().map(|n| format!("t{n:02}")).collect();
    let tags: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &value[..])).collect();
    let (mesh, errors) = Recorded::default().with("customTags", encode(&tags)).read();
    assert_eq!(mesh.custom_tags.len(), 64);
    assert_eq!(mesh.custom_tags[63].name, "t63");
    assert_eq!(errors, ["PROXY_CONFIG.tracing.customTags: 70 entries; allowed: at most 64"]);
}

#[test]
fn no_byte_changed_or_cut_in_metadata_makes_it_panic() {
    let whole = istio_operator().0["customTags"].clone();
    for position in 0..whole.len() {
        let (mesh, errors) = Recorded::default().with("customTags", &whole[..position]).read();
        assert_eq!(mesh.custom_tags, [], "{position} bytes");
        assert_eq!(errors.len(), 1, "{position} bytes");
        for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[position] = byte;
            for line in Recorded::default().with("customTags", changed).read().1 {
                assert!(!line.chars().any(char::is_control), "{line}");
            }
        }
    }
}
