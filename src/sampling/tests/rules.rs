//! What rules match, and which one decides.

use super::*;
use crate::config::{MeshConfig, PluginConfig, settings};
use std::cell::RefCell;

/// What Envoy would say, and what it was asked.
#[derive(Default)]
struct Envoy {
    direction: Option<&'static [u8]>,
    route: Option<&'static [u8]>,
    cluster: Option<&'static [u8]>,
    asked: RefCell<Vec<Attribute>>,
}

impl Surroundings for Envoy {
    fn attribute(&self, attribute: Attribute) -> Vec<u8> {
        self.asked.borrow_mut().push(attribute);
        let value = match attribute {
            Attribute::Direction => self.direction,
            Attribute::Route => self.route,
            Attribute::Cluster => self.cluster,
            Attribute::ClientIdentity => None,
        };
        value.unwrap_or_default().to_vec()
    }

    fn clock(&self) -> u64 {
        Nowhere.clock()
    }

    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        Nowhere.shared_data(key)
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        Nowhere.set_shared_data(key, value, version)
    }
}

fn sampler(sampling: &str) -> Sampler {
    let plugin = PluginConfig::parse(format!(r#"{{"sampling": {sampling}}}"#).as_bytes());
    Sampler::new(settings(plugin.unwrap(), MeshConfig::default()).sampling)
}

fn of_rules(rules: &str) -> Sampler {
    sampler(&format!(r#"{{"percent": 0, "rules": [{rules}]}}"#))
}

/// What decides on a request with these headers, one a line, and its percentage.
fn decided(sampler: &Sampler, lines: &str, envoy: &Envoy) -> (String, String) {
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let verdict = sampler.decide(&headers, Randomness::new(u64::MAX), envoy);
    (sampler.name(verdict.reason).to_owned(), verdict.threshold.unwrap().probability())
}

#[test]
fn a_rule_matches_where_all_of_it_holds() {
    for (matching, lines, expected) in [
        (r#""path": {"exact": "/a"}"#, ":path: /a", true),
        (r#""path": {"exact": "/a"}"#, ":path: /a?b=c", true),
        (r#""path": {"exact": "/a"}"#, ":path: /a/", false),
        (r#""path": {"exact": "/a"}"#, ":path: /A", false),
        (r#""path": {"exact": "/a"}"#, "path: /a", false),
        (r#""path": {"prefix": "/pay"}"#, ":path: /payments?x", true),
        (r#""path": {"prefix": "/pay"}"#, ":path: /pa", false),
        (r#""path": {"suffix": ".png"}"#, ":path: /a.png?v=2", true),
        (r#""path": {"suffix": ".png"}"#, ":path: /a?v=2.png", false),
        (r#""method": ["POST", "PUT"]"#, ":method: PUT", true),
        (r#""method": ["POST", "PUT"]"#, ":method: GET", false),
        (r#""method": ["POST", "PUT"]"#, ":path: /", false),
        (r#""host": {"exact": "shop.example"}"#, ":authority: shop.example:8080", true),
        (r#""host": {"exact": "shop.example"}"#, ":authority: user:pass@shop.example", true),
        (r#""host": {"exact": "shop.example"}"#, ":authority: my.shop.example", false),
        (r#""host": {"suffix": ".example"}"#, ":authority: my.shop.example", true),
        (r#""host": {"exact": "[::1]"}"#, ":authority: [::1]:80", true),
        (r#""host": {"exact": "[::1]"}"#, ":authority: [::1]", true),
        (r#""userAgent": {"prefix": "curl/"}"#, "user-agent: curl/8", true),
        (r#""headers": {"X-A": {"exact": "1"}}"#, "x-a: 1", true),
        (r#""headers": {"x-a": {"exact": "1"}}"#, "x-b: 1", false),
        (r#""headers": {"x-a": {"exact": "1"}}"#, "x-a: 1\nx-a: 2", true),
        (r#""headers": {"x-a": {"exact": "2"}}"#, "x-a: 1\nx-a: 2", false),
        (r#""headers": {"x-a": {"exact": "1"}, "x-b": {"prefix": "2"}}"#, "x-b: 22\nx-a: 1", true),
        (r#""headers": {"x-a": {"exact": "1"}, "x-b": {"prefix": "2"}}"#, "x-a: 1", false),
        (r#""path": {"regex": "^/users/\\d+$"}"#, ":path: /users/7?x=y", true),
        (r#""path": {"regex": "^/users/\\d+$"}"#, ":path: /users/7/mail", false),
        (r#""headers": {"x-a": {"regex": "^vip-"}}"#, "x-a: vip-7", true),
        (r#""headers": {"x-a": {"regex": "^vip-"}}"#, "x-a: a vip-7", false),
        (r#""headers": {"x-a": {"regex": "vip-"}}"#, "x-a: a vip-7", true),
        (r#""headers": {"x-a": {"regex": "(?i)^VIP"}}"#, "x-a: vip-7", true),
        (r#""headers": {"x-a": {"regex": "^vip?"}, "x-b": {"exact": "1"}}"#, "x-a: vi", false),
        (r#""headers": {"x-a": {"regex": "^$|.*"}}"#, "x-b: 1", false),
        (r#""headers": {"x-a": {"regex": "^$|.*"}}"#, "x-a: ", false),
        (r#""headers": {"x-a": {"regex": "^$|.*"}}"#, "x-a: 1", true),
        (r#""path": {"prefix": "/a"}, "method": ["GET"]"#, ":path: /a\n:method: GET", true),
        (r#""path": {"prefix": "/a"}, "method": ["GET"]"#, ":path: /a\n:method: POST", false),
    ] {
        let sampler =
            of_rules(&format!(r#"{{"name": "r", "match": {{{matching}}}, "percent": 100}}"#));
        let (rule, _) = decided(&sampler, lines, &Envoy::default());
        assert_eq!(rule == "r", expected, "{matching}: {lines:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_compared_as_they_are() {
    for matcher in [r#"{"suffix": "é"}"#, r#"{"regex": "é$"}"#] {
        let sampler = of_rules(&format!(
            r#"{{"name": "r", "match": {{"headers": {{"x-a": {matcher}}}}}, "percent": 100}}"#
        ));
        for (value, expected) in [
            (&b"\xff\xc3\xa9"[..], Reason::Rule(0)),
            (b"\xff\xe9", Reason::Percent),
            (b"", Reason::Percent),
        ] {
            let verdict = sampler.decide(&[(b"x-a", value)], Randomness::new(0), &Envoy::default());
            assert_eq!(verdict.reason, expected, "{matcher}: {value:?}");
        }
    }
}

#[test]
fn the_first_rule_that_matches_decides_and_what_it_leaves_out_is_as_for_all() {
    let sampler = sampler(
        r#"{"percent": 25, "rules": [
            {"name": "card", "match": {"path": {"prefix": "/pay/card"}}, "percent": 100},
            {"name": "pay", "match": {"path": {"prefix": "/pay"}}, "percent": 50},
            {"name": "vip", "match": {"headers": {"x-vip": {"exact": "1"}}}}
        ]}"#,
    );
    for (lines, rule, probability) in [
        (":path: /pay/card\nx-vip: 1", "card", "1"),
        (":path: /pay/cash\nx-vip: 1", "pay", "0.5"),
        (":path: /\nx-vip: 1", "vip", "0.25"),
        (":path: /", "percent", "0.25"),
        ("", "percent", "0.25"),
    ] {
        let expected = (rule.to_owned(), probability.to_owned());
        assert_eq!(decided(&sampler, lines, &Envoy::default()), expected, "{lines:?}");
    }
}

#[test]
fn envoy_is_asked_once_and_only_where_all_else_holds() {
    let sampler = of_rules(
        r#"{"name": "out", "match": {"path": {"exact": "/a"}, "direction": "outbound"}, "percent": 100},
           {"name": "route", "match": {"path": {"exact": "/a"}, "route": {"prefix": "pay"}}, "percent": 100},
           {"name": "cluster", "match": {"cluster": {"exact": "c"}, "method": ["GET"]}, "percent": 100},
           {"name": "in", "match": {"direction": "inbound", "headers": {"x": {"exact": "1"}}}, "percent": 100}"#,
    );
    use Attribute::{Cluster, Direction, Route};
    let known = |direction: &'static str| Envoy {
        direction: Some(direction.as_bytes()),
        route: Some(b"payments"),
        cluster: Some(b"c"),
        ..Envoy::default()
    };
    let nothing = || Envoy { direction: Some(b"inbound"), ..Envoy::default() };
    for (lines, envoy, rule, asked) in [
        (":path: /b", known("inbound"), "percent", &[][..]),
        (":path: /a", known("outbound"), "out", &[Direction]),
        (":path: /a", known("inbound"), "route", &[Direction, Route]),
        (":method: GET", known("inbound"), "cluster", &[Cluster]),
        (":method: GET\nx: 1", nothing(), "in", &[Cluster, Direction]),
        (":path: /a\nx: 1", nothing(), "in", &[Direction, Route]),
    ] {
        assert_eq!(decided(&sampler, lines, &envoy).0, rule, "{lines:?}");
        assert_eq!(*envoy.asked.borrow(), asked, "{lines:?}");
    }
}

#[test]
fn a_forcing_header_of_that_value_samples_whatever_the_rest_says() {
    let sampler = sampler(
        r#"{"percent": 0, "ratePerSecond": 0.01, "force": {"header": "X-Trace-Me", "value": "on"},
            "rules": [{"name": "none", "match": {"path": {"exact": "/"}}, "percent": 0}]}"#,
    );
    for (lines, forced) in [
        ("x-trace-me: on", true),
        (":path: /\nx-trace-me: on\nuser-agent: kube-probe/1.34", true),
        ("x-trace-me: off\nx-trace-me: on", true),
        ("x-trace-me: On", false),
        ("x-trace-me: on,on", false),
        ("x-trace-me: ", false),
        ("x-trace: on", false),
        ("", false),
    ] {
        let pairs = lines.lines().filter_map(|line| line.split_once(": "));
        let headers: Vec<_> =
            pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        // More than once, and whatever the trace's id.
        for randomness in [0, u64::MAX, 0, u64::MAX] {
            let verdict = sampler.decide(&headers, Randomness::new(randomness), &Envoy::default());
            assert_eq!(verdict.decision.is_sampled(), forced, "{lines:?}");
            assert_eq!(verdict.reason == Reason::Force, forced, "{lines:?}");
            assert_eq!(verdict.threshold == Some(Threshold::ALWAYS), forced, "{lines:?}");
        }
    }
}

#[test]
fn probes_are_left_out_unless_a_rule_takes_them_or_they_are_asked_for() {
    let usual = sampler(
        r#"{"percent": 100, "rules": [
            {"name": "mine", "match": {"path": {"exact": "/deep"}}, "percent": 100}
        ]}"#,
    );
    let all = sampler(r#"{"percent": 100, "dropProbes": false}"#);
    for (lines, expected) in [
        ("user-agent: kube-probe/1.34", "probes"),
        ("user-agent: Envoy/HC", "probes"),
        ("user-agent: GoogleHC/1.0", "probes"),
        ("user-agent: ELB-HealthChecker/2.0", "probes"),
        ("user-agent: Amazon-Route53-Health-Check-Service (ref 1)", "probes"),
        ("user-agent: Load Balancer Agent", "probes"),
        ("user-agent: Edge Health Probe", "probes"),
        ("user-agent: Consul Health Check", "probes"),
        (":path: /grpc.health.v1.Health/Check", "probes"),
        ("user-agent: my kube-probe/1.34", "percent"),
        ("user-agent: curl/8", "percent"),
        (":path: /healthz", "percent"),
        ("", "percent"),
        (":path: /deep\nuser-agent: kube-probe/1.34", "mine"),
    ] {
        assert_eq!(decided(&usual, lines, &Envoy::default()).0, expected, "{lines:?}");
        assert_eq!(decided(&all, lines, &Envoy::default()).0, "percent", "{lines:?}");
    }
    let verdict = usual.decide(
        &[(b"user-agent", b"kube-probe/1.34")],
        Randomness::new(u64::MAX),
        &Envoy::default(),
    );
    assert_eq!(verdict.decision, Decision::Drop);
}
