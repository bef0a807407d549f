//! `sampling` as an object: what it means, and what is wrong with it.

use super::*;
use crate::config::Percentage;
use crate::config::{Attribute, Ceiling, Force, Keep, Matcher, Rule, Sampling, Subject, Way};
use crate::regex::Regex;
use std::rc::Rc;
use std::time::Duration;

fn sampling(json: &str) -> Rc<Sampling> {
    settings_of(&format!(r#"{{"sampling": {json}}}"#)).sampling
}

/// That each `sampling` is refused with its line.
fn refused(table: &[(&str, &str)]) {
    for (json, line) in table {
        let whole = format!(r#"{{"sampling": {json}}}"#);
        assert_eq!(refusal(whole.as_bytes()), *line, "{json}");
    }
}

/// That each `sampling` is refused with its line, though the schema cannot know that it is wrong.
fn refused_beyond_the_schema(table: &[(&str, &str)]) {
    for (json, line) in table {
        let whole = format!(r#"{{"sampling": {json}}}"#);
        schema::agrees(whole.as_bytes(), true);
        let error = PluginConfig::parse(whole.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), *line, "{json}");
    }
}

/// That each rule, after a rule "first" for paths that begin with /a, is refused with its line.
fn refused_rules(table: &[(&str, &str)]) {
    for (rule, line) in table {
        let first = r#"{"name": "first", "match": {"path": {"prefix": "/a"}}}"#;
        let line = format!("sampling.rules[1].{line}");
        refused(&[(&format!(r#"{{"rules": [{first}, {rule}]}}"#), &line)]);
    }
}

#[test]
fn an_object_says_a_percentage_and_more_or_nothing() {
    for (json, percent, drop_probes) in [
        ("{}", 1.0, true),
        (r#"{"percent": 60}"#, 60.0, true),
        (r#"{"percent": 0.0001, "rules": [], "dropProbes": false}"#, 0.0001, false),
        ("60", 60.0, true),
    ] {
        let found = sampling(json);
        assert_eq!(found.percent.percent(), percent, "{json}");
        assert_eq!(found.drop_probes, drop_probes, "{json}");
        assert_eq!(found.rules, [], "{json}");
    }
}

#[test]
fn every_key_of_a_rule_is_read() {
    let found = sampling(
        r#"{"rules": [
            {"name": "all", "percent": 5, "match": {
                "path": {"prefix": "/pay"}, "method": ["POST", "PUT"], "host": {"suffix": ".example"},
                "userAgent": {"exact": "curl"}, "headers": {"X-A": {"exact": "1"}, "b": {"suffix": "2"}, "c": {"regex": "^3|4$"}},
                "direction": "outbound", "route": {"exact": "r"}, "cluster": {"prefix": "outbound|"}}},
            {"name": "rest", "match": {"direction": "inbound"}}
        ]}"#,
    );
    let [all, rest] = found.rules.as_slice() else { panic!("{found:?}") };
    let text = str::to_owned;
    let header = |name: &str| {
        let place = found.headers.iter().position(|other| other == name);
        Subject::Header(place.unwrap())
    };
    let is = |way, texts: &[&str]| Matcher::Texts(way, texts.iter().map(|it| text(it)).collect());
    let regex = |pattern| Matcher::Regex(Regex::new(pattern).unwrap());
    let expected = [
        (header(":path"), is(Way::Prefix, &["/pay"])),
        (header(":method"), is(Way::Exact, &["POST", "PUT"])),
        (header(":authority"), is(Way::Suffix, &[".example"])),
        (header("user-agent"), is(Way::Exact, &["curl"])),
        (header("x-a"), is(Way::Exact, &["1"])),
        (header("b"), is(Way::Suffix, &["2"])),
        (header("c"), regex("^3|4$")),
        (Subject::Attribute(Attribute::Direction), is(Way::Exact, &["outbound"])),
        (Subject::Attribute(Attribute::Route), is(Way::Exact, &["r"])),
        (Subject::Attribute(Attribute::Cluster), is(Way::Prefix, &["outbound|"])),
    ];
    assert_eq!(all.matching, expected);
    assert_eq!((all.name.as_str(), all.percent.unwrap().percent()), ("all", 5.0));
    let matching = vec![(Subject::Attribute(Attribute::Direction), is(Way::Exact, &["inbound"]))];
    assert_eq!(*rest, Rule { name: text("rest"), matching, ..Rule::default() });
}

#[test]
fn a_host_of_brackets_is_one_whatever_else_it_has() {
    for host in ["[::1]", "a]:b", "a\n:[\nb"] {
        let host = serde_json::Value::from(host);
        let json =
            format!(r#"{{"rules": [{{"name": "r", "match": {{"host": {{"exact": {host}}}}}}}]}}"#);
        assert_eq!(sampling(&json).rules.len(), 1, "{host}");
    }
}

#[test]
fn a_ceiling_is_so_many_traces_a_second_and_half_of_them_at_once_unless_more_is_said() {
    for (json, per_second, burst) in [
        (r#""ratePerSecond": 50"#, 50.0, 25.0),
        (r#""ratePerSecond": 0.01"#, 0.01, 1.0),
        (r#""ratePerSecond": 100000, "burst": 1"#, 100_000.0, 1.0),
        (r#""burst": 100000, "ratePerSecond": 0.5"#, 0.5, 100_000.0),
    ] {
        let expected = Some(Ceiling { per_second, burst });
        assert_eq!(sampling(&format!("{{{json}}}")).ceiling, expected, "{json}");
        let rule = format!(r#"{{"name": "r", "match": {{"path": {{"exact": "/"}}}}, {json}}}"#);
        let found = sampling(&format!(r#"{{"rules": [{rule}]}}"#));
        assert_eq!((found.ceiling, found.rules[0].ceiling), (None, expected), "{json}");
    }
    refused(&[
        (
            r#"{"ratePerSecond": 0}"#,
            "sampling.ratePerSecond: 0 is not a number from 0.01 to 100000",
        ),
        (
            r#"{"ratePerSecond": "50"}"#,
            "sampling.ratePerSecond: \"50\" is not a number from 0.01 to 100000",
        ),
        (
            r#"{"ratePerSecond": 1, "burst": 0.5}"#,
            "sampling.burst: 0.5 is not a number from 1 to 100000",
        ),
        (r#"{"burst": 5}"#, "sampling.burst: alone; allowed: ratePerSecond and burst"),
    ]);
    refused_rules(&[(
        r#"{"name": "r", "match": {"path": {"exact": "/"}}, "burst": 5}"#,
        "burst: alone; allowed: ratePerSecond and burst",
    )]);
}

#[test]
fn a_header_that_forces_has_a_name_and_a_value() {
    let found = sampling(r#"{"force": {"header": "X-Trace-Me", "value": "on"}}"#);
    let expected = Force { header: "x-trace-me".to_owned(), value: "on".to_owned() };
    assert_eq!(found.force.as_ref(), Some(&expected));
    refused(&[
        (r#"{"force": "x-trace-me"}"#, "sampling.force: \"x-trace-me\" is not an object"),
        (
            r#"{"force": {"value": "on"}}"#,
            "sampling.force.header: missing; allowed: the name of a header",
        ),
        (r#"{"force": {"header": "x"}}"#, "sampling.force.value: missing; allowed: a string"),
        (
            r#"{"force": {"header": "a b", "value": "on"}}"#,
            "sampling.force.header: \"a b\" is not the name of a header",
        ),
        (
            r#"{"force": {"header": "x", "value": ""}}"#,
            "sampling.force.value: \"\" is not a string of 1 to 256 bytes",
        ),
        (
            r#"{"force": {"header": "x", "value": true}}"#,
            "sampling.force.value: true is not a string",
        ),
        (
            r#"{"force": {"header": "x", "value": "on", "percent": 1}}"#,
            "sampling.force.percent: unknown key; allowed: header, value",
        ),
    ]);
}

#[test]
fn what_is_kept_is_errors_or_what_is_slow_and_at_most_so_much_of_it() {
    let usual = Keep {
        errors: true,
        slower_than: None,
        percent: Percentage::new(100.0).unwrap(),
        ceiling: Ceiling { per_second: 100.0, burst: 50.0 },
    };
    let slower_than = Some(Duration::from_millis(1500));
    for (json, expected) in [
        (r#"{"errors": true}"#, usual.clone()),
        (
            r#"{"slowerThan": "1.5s", "percent": 5}"#,
            Keep {
                errors: false,
                slower_than,
                percent: Percentage::new(5.0).unwrap(),
                ..usual.clone()
            },
        ),
        (
            r#"{"errors": true, "slowerThan": "1.5s", "ratePerSecond": 2, "burst": 3}"#,
            Keep { slower_than, ceiling: Ceiling { per_second: 2.0, burst: 3.0 }, ..usual },
        ),
    ] {
        let found = sampling(&format!(r#"{{"keep": {json}}}"#));
        assert_eq!(found.keep.as_ref(), Some(&expected), "{json}");
    }
    refused(&[
        (r#"{"keep": true}"#, "sampling.keep: true is not an object"),
        (
            r#"{"keep": {}}"#,
            "sampling.keep: keeps nothing; allowed: errors: true, slowerThan, or both",
        ),
        (
            r#"{"keep": {"errors": false, "percent": 5}}"#,
            "sampling.keep: keeps nothing; allowed: errors: true, slowerThan, or both",
        ),
        (r#"{"keep": {"errors": 1}}"#, "sampling.keep.errors: 1 is not true or false"),
        (r#"{"keep": {"slowerThan": 2}}"#, "sampling.keep.slowerThan: 2 is not a string"),
        (
            r#"{"keep": {"errors": true, "percent": 101}}"#,
            "sampling.keep.percent: 101 is not a percentage from 0 to 100",
        ),
        (
            r#"{"keep": {"errors": true, "burst": 5}}"#,
            "sampling.keep.burst: alone; allowed: ratePerSecond and burst",
        ),
        (
            r#"{"keep": {"errors": true, "slow": "2s"}}"#,
            "sampling.keep.slow: unknown key; allowed: errors, slowerThan, percent, ratePerSecond, burst",
        ),
    ]);
    refused_beyond_the_schema(&[(
        r#"{"keep": {"slowerThan": "61m"}}"#,
        "sampling.keep.slowerThan: \"61m\" is not a duration from 1ms to 60m",
    )]);
}

#[test]
fn a_sampling_that_is_no_percentage_and_no_object_of_its_keys_is_refused() {
    refused(&[
        ("[]", "sampling: [] is not a percentage from 0 to 100"),
        (r#"{"percent": 140}"#, "sampling.percent: 140 is not a percentage from 0 to 100"),
        (r#"{"percent": "1"}"#, "sampling.percent: \"1\" is not a percentage from 0 to 100"),
        (
            r#"{"percentage": 1}"#,
            "sampling.percentage: unknown key; allowed: percent, rules, dropProbes, ratePerSecond, burst, force, remote, keep",
        ),
        (r#"{"dropProbes": 1}"#, "sampling.dropProbes: 1 is not true or false"),
        (r#"{"rules": {}}"#, "sampling.rules: {} is not an array of 0 to 128 entries"),
        (r#"{"rules": ["r"]}"#, "sampling.rules[0]: \"r\" is not an object"),
    ]);
    check(&[(
        r#"{"randomSamplingPercentage": {"percent": 1}}"#,
        "randomSamplingPercentage: {\"percent\": 1} is not a percentage from 0 to 100",
    )]);
}

#[test]
fn a_rule_has_a_name_of_its_own_and_something_to_match() {
    refused_rules(&[
        ("{}", "name: missing; allowed: a name"),
        (r#"{"name": "r"}"#, "match: missing; allowed: an object"),
        (r#"{"name": "", "match": {}}"#, "name: \"\" is not a string of 1 to 64 bytes"),
        (
            r#"{"name": "a b", "match": {}}"#,
            "name: \"a b\" is not a string of visible ASCII characters",
        ),
        (
            r#"{"name": "rate", "match": {}}"#,
            "name: taken; allowed: a name that no other rule has, and none of debug, force, keep, parent, percent, probes, rate, remote",
        ),
        (r#"{"name": "r", "match": {}}"#, "match: matches everything; allowed: something to match"),
        (
            r#"{"name": "r", "match": {"path": {"exact": "/"}}, "percent": 101}"#,
            "percent: 101 is not a percentage from 0 to 100",
        ),
        (
            r#"{"name": "r", "match": {"path": {"exact": "/"}}, "percents": 1}"#,
            "percents: unknown key; allowed: name, match, percent, ratePerSecond, burst",
        ),
        (
            r#"{"name": "r", "match": {"paths": {}}}"#,
            "match.paths: unknown key; allowed: path, method, host, userAgent, headers, direction, route, cluster",
        ),
    ]);
}

#[test]
fn a_text_is_compared_in_one_way_and_is_one_that_can_be() {
    refused_rules(&[
        (r#"{"name": "r", "match": {"path": "/"}}"#, "match.path: \"/\" is not an object"),
        (
            r#"{"name": "r", "match": {"path": {}}}"#,
            "match.path: no comparison; allowed: exactly one of exact, prefix, suffix, regex",
        ),
        (
            r#"{"name": "r", "match": {"path": {"exact": "/", "prefix": "/"}}}"#,
            "match.path: more than one comparison; allowed: exactly one of exact, prefix, suffix, regex",
        ),
        (
            r#"{"name": "r", "match": {"path": {"contains": "/"}}}"#,
            "match.path.contains: unknown key; allowed: exact, prefix, suffix, regex",
        ),
        (
            r#"{"name": "r", "match": {"userAgent": {"prefix": ""}}}"#,
            "match.userAgent.prefix: \"\" is not a string of 1 to 256 bytes",
        ),
        (
            r#"{"name": "r", "match": {"path": {"regex": ""}}}"#,
            "match.path.regex: \"\" is not a string of 1 to 256 bytes",
        ),
        (
            r#"{"name": "r", "match": {"path": {"exact": "/", "regex": "/"}}}"#,
            "match.path: more than one comparison; allowed: exactly one of exact, prefix, suffix, regex",
        ),
        (
            r#"{"name": "r", "match": {"path": {"prefix": "pay"}}}"#,
            "match.path.prefix: \"pay\" is not a path from its slash on, without a query",
        ),
        (
            r#"{"name": "r", "match": {"path": {"exact": "/b?c=d"}}}"#,
            "match.path.exact: \"/b?c=d\" is not a path from its slash on, without a query",
        ),
        (
            r#"{"name": "r", "match": {"host": {"exact": "h:80"}}}"#,
            "match.host.exact: \"h:80\" is not a host without a port",
        ),
        (
            r#"{"name": "r", "match": {"method": []}}"#,
            "match.method: [] is not an array of 1 to 16 entries",
        ),
        (
            r#"{"name": "r", "match": {"method": "GET"}}"#,
            "match.method: \"GET\" is not an array of 1 to 16 entries",
        ),
        (
            r#"{"name": "r", "match": {"method": ["get"]}}"#,
            "match.method[0]: \"get\" is not a method, in upper case",
        ),
        (
            r#"{"name": "r", "match": {"method": ["Get"]}}"#,
            "match.method[0]: \"Get\" is not a method, in upper case",
        ),
        (
            r#"{"name": "r", "match": {"direction": "in"}}"#,
            "match.direction: \"in\" is not one of inbound, outbound",
        ),
        (
            r#"{"name": "r", "match": {"headers": {":path": {"exact": "/"}}}}"#,
            "match.headers.:path: not such a header; allowed: names of headers, each once; path, method, host and userAgent have keys of their own",
        ),
        (
            r#"{"name": "r", "match": {"headers": {"Host": {"exact": "h"}}}}"#,
            "match.headers.Host: not such a header; allowed: names of headers, each once; path, method, host and userAgent have keys of their own",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_a_pattern_is_told_with_its_column() {
    for (pattern, line) in [
        ("(ab", r#"x.regex: "(ab": "(ab" at column 1 is not closed"#),
        ("a(?=b)", r#"x.regex: "a(?=b)": "(?=" at column 2 is not supported"#),
        ("a\\n[z-a]", r#"x.regex: "a\n[z-a]": "z-a" at column 4 ends before it begins"#),
        ("\\t\\u0001**", r#"x.regex: "\t\u{1}**": "*" at column 4 repeats a repetition"#),
        (
            &"(a{2,99}){2,99}".repeat(2),
            "x.regex: \"(a{2,99}){2,99}(a{2,99}){2,99}\": \"{2,99}\" at column 10 makes more than 512 steps of the pattern",
        ),
        (
            &"(".repeat(256),
            &format!("x.regex: \"{}…: \"(\" at column 256 is not closed", "(".repeat(62)),
        ),
    ] {
        let rule = format!(
            r#"{{"name": "r", "match": {{"headers": {{"x": {{"regex": "{pattern}"}}}}}}}}"#
        );
        let json = format!(r#"{{"rules": [{rule}]}}"#);
        let line = format!("sampling.rules[0].match.headers.{line}");
        refused_beyond_the_schema(&[(&json, &line)]);
    }
}

#[test]
fn names_and_headers_that_are_the_same_are_refused() {
    refused_beyond_the_schema(&[
        (
            r#"{"rules": [
                {"name": "r", "match": {"path": {"exact": "/a"}}},
                {"name": "r", "match": {"path": {"exact": "/b"}}}]}"#,
            "sampling.rules[1].name: taken; allowed: a name that no other rule has, and none of debug, force, keep, parent, percent, probes, rate, remote",
        ),
        (
            r#"{"rules": [{"name": "r", "match": {"headers": {"A": {"exact": "1"}, "a": {"exact": "2"}}}}]}"#,
            "sampling.rules[0].match.headers.a: not such a header; allowed: names of headers, each once; path, method, host and userAgent have keys of their own",
        ),
        (
            r#"{"rules": [{"name": "r", "match": {
                "userAgent": {"exact": "1"}, "headers": {"user-agent": {"exact": "2"}}}}]}"#,
            "sampling.rules[0].match.headers.user-agent: not such a header; allowed: names of headers, each once; path, method, host and userAgent have keys of their own",
        ),
    ]);
}

#[test]
fn a_rule_that_no_request_reaches_is_refused_and_one_that_some_may_reach_is_not() {
    let rule =
        |name: &str, matching: &str| format!(r#"{{"name": "{name}", "match": {{{matching}}}}}"#);
    for (wide, narrow, covers) in [
        (r#""path": {"exact": "/a"}"#, r#""path": {"exact": "/a"}"#, true),
        (r#""path": {"exact": "/a"}"#, r#""path": {"exact": "/b"}"#, false),
        (r#""path": {"prefix": "/a"}"#, r#""path": {"exact": "/ab"}"#, true),
        (r#""path": {"prefix": "/a"}"#, r#""path": {"prefix": "/ab"}"#, true),
        (r#""path": {"prefix": "/ab"}"#, r#""path": {"prefix": "/a"}"#, false),
        (r#""path": {"prefix": "/a"}"#, r#""path": {"suffix": "/a"}"#, false),
        (r#""path": {"suffix": "b"}"#, r#""path": {"exact": "/ab"}"#, true),
        (r#""path": {"suffix": "b"}"#, r#""path": {"suffix": "ab"}"#, true),
        (r#""path": {"exact": "/a"}"#, r#""path": {"prefix": "/a"}"#, false),
        (r#""path": {"prefix": "/a"}"#, r#""path": {"prefix": "/a"}, "method": ["GET"]"#, true),
        (r#""path": {"prefix": "/a"}, "method": ["GET"]"#, r#""path": {"prefix": "/a"}"#, false),
        (r#""method": ["GET", "PUT"]"#, r#""method": ["PUT"]"#, true),
        (r#""method": ["PUT"]"#, r#""method": ["GET", "PUT"]"#, false),
        (
            r#""host": {"suffix": ".a"}"#,
            r#""host": {"exact": "b.a"}, "path": {"prefix": "/"}"#,
            true,
        ),
        (
            r#""headers": {"x": {"prefix": "1"}}"#,
            r#""headers": {"X": {"exact": "12"}, "y": {"exact": "1"}}"#,
            true,
        ),
        (r#""headers": {"x": {"prefix": "1"}}"#, r#""headers": {"y": {"exact": "12"}}"#, false),
        (
            r#""userAgent": {"prefix": "c"}"#,
            r#""headers": {"user-agent": {"exact": "curl"}}"#,
            true,
        ),
        (r#""direction": "inbound""#, r#""direction": "inbound", "path": {"exact": "/"}"#, true),
        (r#""direction": "inbound""#, r#""direction": "outbound""#, false),
        (r#""direction": "inbound""#, r#""path": {"exact": "/"}"#, false),
        (r#""route": {"prefix": "a"}"#, r#""route": {"exact": "ab"}"#, true),
        (r#""cluster": {"prefix": "a"}"#, r#""cluster": {"exact": "b"}"#, false),
        (r#""path": {"regex": "^/a"}"#, r#""path": {"exact": "/ab"}"#, true),
        (r#""path": {"regex": "^/a$"}"#, r#""path": {"exact": "/ab"}"#, false),
        (r#""path": {"regex": "^/a"}"#, r#""path": {"regex": "^/a"}"#, true),
        (r#""path": {"regex": "^/a{2}"}"#, r#""path": {"regex": "^/aa"}"#, true),
        // That cannot be told.
        (r#""path": {"regex": "^/a"}"#, r#""path": {"regex": "^/ab"}"#, false),
        (r#""path": {"regex": "^/a"}"#, r#""path": {"prefix": "/a"}"#, false),
        (r#""path": {"prefix": "/a"}"#, r#""path": {"regex": "^/a"}"#, false),
        (r#""method": ["GET"]"#, r#""method": ["GET"], "path": {"regex": "a"}"#, true),
    ] {
        let between = rule("between", r#""headers": {"other": {"exact": "1"}}"#);
        let rules = [rule("wide", wide), between, rule("narrow", narrow)].join(", ");
        let json = format!(r#"{{"rules": [{rules}]}}"#);
        match covers {
            true => refused_beyond_the_schema(&[(
                &json,
                "sampling.rules[2].match: never reached, rule \"wide\" matches all of it; \
                 allowed: something that no earlier rule matches",
            )]),
            false => assert_eq!(sampling(&json).rules.len(), 3, "{wide}: {narrow}"),
        }
    }
}

#[test]
fn rules_are_at_most_128() {
    let rules = |count: usize| {
        let rule = |n| format!(r#"{{"name": "r{n}", "match": {{"path": {{"exact": "/{n}"}}}}}}"#);
        let rules: Vec<String> = (0..count).map(rule).collect();
        format!(r#"{{"rules": [{}]}}"#, rules.join(", "))
    };
    assert_eq!(sampling(&rules(128)).rules.len(), 128);
    let whole = format!(r#"{{"sampling": {}}}"#, rules(129));
    let line = refusal(whole.as_bytes());
    assert!(line.ends_with(" is not an array of 0 to 128 entries"), "{line}");
}
