//! Rules of sampling against the same rules as their JSON says them, read and compared a second time.

use super::lines::{Header, headers_and_body, value};
use super::regex::theirs;
use super::request::Route;
use meshspan::config::{MeshConfig, Percentage, PluginConfig, settings};
use meshspan::sampling::{Reason, Sampler};
use meshspan::trace::{Decision, Randomness};
use serde_json::{Value, json};

/// The share of what no rule matches.
const REST: f64 = 7.0;

/// Headers of a request and what Envoy knows of it, an empty line, and a list of rules.
pub fn check(input: &[u8]) {
    let (headers, body) = headers_and_body(input);
    let Ok(Value::Array(mut rules)) = serde_json::from_slice(body) else { return };
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        // What a ceiling leaves out depends on all that came before.
        rule.retain(|key, _| !["ratePerSecond", "burst"].contains(&key.as_str()));
    }
    let sampling = json!({"percent": REST, "dropProbes": false, "rules": rules});
    let config = json!({ "sampling": sampling }).to_string();
    let Ok(config) = PluginConfig::parse(config.as_bytes()) else { return };
    let sampler = Sampler::new(settings(config, MeshConfig::default()).sampling);
    let mut matches = rules.iter().map(|rule| (rule, holds(&rule["match"], &headers)));
    let Some(found) = matches.find(|(_, holds)| *holds != Some(false)) else {
        return check_decisions(&sampler, &headers, "percent", REST);
    };
    if let (rule, Some(true)) = found {
        let name = rule["name"].as_str().unwrap();
        check_decisions(&sampler, &headers, name, rule["percent"].as_f64().unwrap_or(REST));
    }
}

fn check_decisions(sampler: &Sampler, headers: &[Header], name: &str, percent: f64) {
    let threshold = Percentage::new(percent).unwrap().threshold();
    for randomness in [0, 1 << 20, 1 << 55, 0x00fe_dcba_9876_5432, u64::MAX >> 8] {
        let verdict = sampler.decide(headers, Randomness::new(randomness), &Route(headers));
        let is_sampled = verdict.decision == Decision::Sample;
        // Numbers of more than fifteen digits may be read a little differently.
        if threshold.abs_diff(randomness) > 1 << 10 {
            assert_eq!(is_sampled, randomness >= threshold, "{name}: {percent} % at {randomness}");
        }
        if is_sampled {
            assert!(verdict.reason != Reason::Ceiling && sampler.name(verdict.reason) == name);
        }
    }
}

/// Whether all of a rule holds; nothing where its pattern means something else to the crate `regex`.
fn holds(matching: &Value, headers: &[Header]) -> Option<bool> {
    let mut holds = Some(true);
    for (key, wanted) in matching.as_object().unwrap() {
        let each = match key.as_str() {
            "path" => compare(wanted, first(headers, ":path", |it| before(it, b'?'))),
            "host" => compare(wanted, first(headers, ":authority", host)),
            "userAgent" => compare(wanted, first(headers, "user-agent", |it| it)),
            "method" => {
                let method = first(headers, ":method", |it| it);
                let mut methods = wanted.as_array().unwrap().iter();
                Some(methods.any(|it| it.as_str().unwrap().as_bytes() == method))
            }
            "headers" => {
                let wanted = wanted.as_object().unwrap().iter();
                all(wanted.map(|(name, wanted)| {
                    compare(wanted, first(headers, &name.to_ascii_lowercase(), |it| it))
                }))
            }
            "direction" => {
                let direction = value(headers, "fact-direction").unwrap_or_default();
                Some(wanted.as_str().unwrap().as_bytes() == direction)
            }
            "route" => compare(wanted, value(headers, "fact-route").unwrap_or_default()),
            "cluster" => compare(wanted, value(headers, "fact-cluster").unwrap_or_default()),
            other => panic!("{other} is no key of a rule"),
        };
        holds = all([holds, each].into_iter());
    }
    holds
}

/// Whether all of these are true: one that is false decides, whatever is not known.
fn all(mut each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    each.try_fold(Some(true), |all, it| match (all, it) {
        (_, Some(false)) => Err(Some(false)),
        (Some(true), Some(true)) => Ok(Some(true)),
        _ => Ok(None),
    })
    .unwrap_or_else(|decided| decided)
}

fn compare(wanted: &Value, value: &[u8]) -> Option<bool> {
    let (way, text) = wanted.as_object().unwrap().iter().next().unwrap();
    let text = text.as_str().unwrap();
    if value.is_empty() {
        return Some(false);
    }
    match way.as_str() {
        // Such a text may take too many steps.
        "regex" if value.len() > 30 => None,
        "exact" => Some(value == text.as_bytes()),
        "prefix" => Some(value.starts_with(text.as_bytes())),
        "suffix" => Some(value.ends_with(text.as_bytes())),
        _ => Some(theirs(text)?.is_match(value)),
    }
}

/// Of the lines of that name, the first of which something is left.
fn first<'a>(headers: &[Header<'a>], name: &str, cut: fn(&'a [u8]) -> &'a [u8]) -> &'a [u8] {
    let lines = headers.iter().filter(|(other, _)| *other == name.as_bytes());
    lines.map(|(_, line)| cut(line)).find(|it| !it.is_empty()).unwrap_or_default()
}

fn before(text: &[u8], sign: u8) -> &[u8] {
    text.split(|byte| *byte == sign).next().unwrap_or_default()
}

/// An authority without user information and port.
fn host(authority: &[u8]) -> &[u8] {
    let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    match host.iter().rposition(|byte| *byte == b':') {
        // The colons of an address of IPv6 are in brackets.
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}
