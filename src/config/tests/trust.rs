//! Whose word on traces counts, as it is configured.

use super::*;
use crate::config::{Ceiling, Network, Trust, UntrustedContext, UntrustedSampling};

#[test]
fn trust_is_read_and_has_defaults() {
    let usual = (*settings_of("{}").trust).clone();
    let defaults = Trust {
        context: UntrustedContext::Continue,
        sampled: None,
        from: vec!["spiffe://*".to_owned()],
        networks: Vec::new(),
        ceiling: Ceiling { per_second: 100.0, burst: 50.0 },
    };
    assert_eq!(usual, defaults);
    for (json, expected) in [
        ("{}", usual.clone()),
        (
            r#"{"context": "link", "sampled": "keep"}"#,
            Trust {
                context: UntrustedContext::Link,
                sampled: Some(UntrustedSampling::Keep),
                ..usual.clone()
            },
        ),
        (
            r#"{"context": "ignore", "sampled": "ignore"}"#,
            Trust {
                context: UntrustedContext::Ignore,
                sampled: Some(UntrustedSampling::Ignore),
                ..usual.clone()
            },
        ),
        (
            r#"{"sampled": "limit", "ratePerSecond": 10, "burst": 20}"#,
            Trust {
                sampled: Some(UntrustedSampling::Limit),
                ceiling: Ceiling { per_second: 10.0, burst: 20.0 },
                ..usual.clone()
            },
        ),
        (
            r#"{"ratePerSecond": 10}"#,
            Trust { ceiling: Ceiling { per_second: 10.0, burst: 5.0 }, ..usual.clone() },
        ),
        (r#"{"from": []}"#, Trust { from: Vec::new(), ..usual.clone() }),
    ] {
        assert_eq!(*settings_of(&format!(r#"{{"trust": {json}}}"#)).trust, expected, "{json}");
    }
}

#[test]
fn peers_are_networks_and_identities() {
    const MAPPED: u128 = 0xffff_0000_0000;
    for (text, address, length) in [
        ("10.0.0.0/8", MAPPED | 0x0a00_0000, 104),
        ("10.1.2.3", MAPPED | 0x0a01_0203, 128),
        ("0.0.0.0/0", MAPPED, 96),
        ("::/0", 0, 0),
        ("fd00::/8", 0xfd << 120, 8),
        ("::1", 1, 128),
        ("::ffff:10.0.0.0/104", MAPPED | 0x0a00_0000, 104),
    ] {
        let trust = settings_of(&format!(r#"{{"trust": {{"from": ["{text}"]}}}}"#)).trust.clone();
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or_default();
        assert_eq!(trust.networks, [Network { address, mask }], "{text}");
        assert_eq!(trust.from, [text]);
    }
    for text in ["spiffe://*", "spiffe://a/*", "spiffe://a/ns/a/sa/b"] {
        let trust = settings_of(&format!(r#"{{"trust": {{"from": ["{text}"]}}}}"#)).trust.clone();
        assert_eq!(trust.from, [text]);
        assert_eq!(trust.networks, []);
    }
    let what = "an address, a network such as 10.0.0.0/8, or an identity such as spiffe://cluster.local/ns/web/*";
    for text in [
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0/8",
        "10.0.0.256",
        "fd00::/129",
        "example.com",
        "*",
        "spiffe://",
        "spiffe://cluster.local/ns/p*",
        "spiffe://*/ns/a",
        "spiffe://cluster.local/**",
        "spiffe://a b",
        "SPIFFE://cluster.local/*",
        "cluster.local/ns/a",
    ] {
        let line = refusal(format!(r#"{{"trust": {{"from": ["{text}"]}}}}"#).as_bytes());
        assert_eq!(line, format!("trust.from[0]: \"{text}\" is not {what}"));
    }
}

#[test]
fn what_is_not_meant_is_refused() {
    let many = format!(r#"{{"trust": {{"from": [{}]}}}}"#, vec![r#""::1""#; 65].join(", "));
    assert!(refusal(many.as_bytes()).ends_with("… is not an array of 0 to 64 entries"));
    check(&[
        (r#"{"trust": "nobody"}"#, "trust: \"nobody\" is not an object"),
        (
            r#"{"trust": {"context": "drop"}}"#,
            "trust.context: \"drop\" is not one of continue, link, ignore",
        ),
        (r#"{"trust": {"sampled": true}}"#, "trust.sampled: true is not a string"),
        (r#"{"trust": {"burst": 3}}"#, "trust.burst: alone; allowed: ratePerSecond and burst"),
        (r#"{"trust": {"from": "::1"}}"#, "trust.from: \"::1\" is not an array of 0 to 64 entries"),
        (r#"{"trust": {"from": [1]}}"#, "trust.from[0]: 1 is not a string"),
        (
            r#"{"trust": {"peers": []}}"#,
            "trust.peers: unknown key; allowed: context, sampled, from, ratePerSecond, burst",
        ),
    ]);
}
