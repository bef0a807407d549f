//! What a server of remote sampling answers, as serde_json reads it; requests are sampled by it.

use super::plugin_configuration::check_error;
use super::request::Route;
use meshspan::config::{Sampling, Strategy};
use meshspan::sampling::remote::Remote;
use meshspan::sampling::{Reason, Sampler};
use meshspan::trace::{Decision, Randomness};
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;

const MAX_OPERATIONS: usize = 500;

/// The longest line that the log has of an answer, in characters.
const MAX_LINE: usize = 512;

/// The body of an answer.
pub fn check(input: &[u8]) {
    for status in [Some(200), Some(503), None] {
        let mut remote = Remote::new(Duration::from_secs(60));
        remote.asked(Some(1), 0, 7);
        let found = remote.answered(status, input, 1, 7);
        assert!(!remote.waits_for(1) && remote.has_answered() == found.is_ok());
        match &found {
            Ok(_) => assert_eq!(status, Some(200)),
            Err(line) => assert!(line.chars().count() <= MAX_LINE, "{line}"),
        }
        assert_eq!(remote.is_due(53_000_000_000), found.is_err(), "when it is asked again");
        assert!(remote.is_due(67_000_000_000));
    }
    let strategy = match Strategy::parse(input) {
        Ok(strategy) => strategy,
        Err(error) => return check_error(&error),
    };
    assert!(strategy.operations().len() <= MAX_OPERATIONS && input.len() <= Strategy::MAX_BYTES);
    // Values in values are read to another depth, and half a character is refused.
    if let Ok(answer) = serde_json::from_slice::<Value>(input) {
        check_strategy(&strategy, &answer);
    }
    let mut sampler = Sampler::new(Rc::new(Sampling::default()));
    sampler.follow(strategy.clone());
    // Here, spans have no names, which would be compared first.
    let has_names = strategy.share_of(b"").is_some();
    for (name, _) in strategy.operations().iter().take(if has_names { 0 } else { 4 }) {
        // The method and the path, unless the name has more blanks or fewer.
        let Some((method, path)) = name.split_once(' ') else { continue };
        if path.contains(['?', ' ']) || method.is_empty() {
            continue;
        }
        let share = strategy.share_of(name.as_bytes()).unwrap();
        check_decision(&sampler, method, path, share.threshold());
    }
}

/// What a request of this operation becomes by a threshold, as far as no ceiling leaves it out.
fn check_decision(sampler: &Sampler, method: &str, path: &str, threshold: u64) {
    let headers = [(&b":method"[..], method.as_bytes()), (b":path", path.as_bytes())];
    for randomness in [0, 1 << 55, u64::MAX >> 8] {
        let verdict = sampler.decide_unforced(&headers, Randomness::new(randomness), &Route(&[]));
        let expected = match randomness >= threshold {
            true => Decision::Sample,
            false => Decision::Drop,
        };
        let leaves_out = matches!(verdict.reason, Reason::Ceiling | Reason::Probe);
        assert!(verdict.decision == expected || leaves_out, "{method} {path}: {verdict:?}");
    }
}

/// The same as another reader of JSON has it: of a member that stands there twice, the last that is
/// something; what is left out is zero.
fn check_strategy(strategy: &Strategy, answer: &Value) {
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or(0.0);
    let is_close = |one: f64, other: f64| (one - other).abs() <= other.abs() * 1e-9;
    let share = |value: &Value, name: &str| number(value, name) * 100.0;
    let (expected, most) = if let it @ Value::Object(_) = &answer["operationSampling"] {
        let most = number(it, "defaultUpperBoundTracesPerSecond");
        (share(it, "defaultSamplingProbability"), most)
    } else if let it @ Value::Object(_) = &answer["probabilisticSampling"] {
        (share(it, "samplingRate"), 0.0)
    } else {
        let most = number(&answer["rateLimitingSampling"], "maxTracesPerSecond");
        (if most > 0.0 { 100.0 } else { 0.0 }, most)
    };
    assert!(is_close(strategy.share.percent(), expected), "{strategy:?}");
    assert!(is_close(strategy.at_most.unwrap_or(0.0), most), "{strategy:?}");
    let operations = answer["operationSampling"]["perOperationStrategies"].as_array();
    let named =
        operations.into_iter().flatten().filter(|it| it["probabilisticSampling"].is_object());
    let mut count = 0;
    for (expected, (name, found)) in named.zip(strategy.operations()) {
        assert_eq!(expected["operation"].as_str().unwrap_or_default(), name);
        let expected = share(&expected["probabilisticSampling"], "samplingRate");
        assert!(is_close(found.percent(), expected), "{name}: {found:?}");
        count += 1;
    }
    let is_list = answer["operationSampling"].is_object();
    assert!(count == strategy.operations().len() || !is_list, "{strategy:?}");
}
