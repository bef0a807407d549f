//! Any text as it may be recorded: capped, without the secrets that can be told, and the same if it is
//! recorded once more.

use meshspan::attributes::Redaction;
use meshspan::config::{MeshConfig, PluginConfig, settings};
use std::sync::LazyLock;
use std::thread::LocalKey;

thread_local! {
    static REDACT: Redaction = redaction(r#"{}"#);
    static DROP: Redaction = redaction(r#"{"query": "drop", "pathRedact": ["/reset/{token}", "eyJ*"]}"#);
    static KEEP: Redaction =
        redaction(r#"{"query": {"keep": ["page", "q"]}, "pathRedact": ["/**/key/{k}", "/a/**/{b}/c"]}"#);
}

fn redaction(json: &str) -> Redaction {
    let plugin = PluginConfig::parse(json.as_bytes()).unwrap();
    Redaction::new(&settings(plugin, MeshConfig::default()))
}

/// What a value gets by its own length that no cap of a configuration is near.
const LONG: usize = 65_536;

/// As a value, a path and an authority, with caps that are short and one that is none.
pub fn check(input: &[u8]) {
    for configured in [&REDACT, &DROP, &KEEP] {
        for max in [1, 16, 256, LONG] {
            let value = value(configured, input, max);
            check_text(&value, input, max);
            // What is cut may look like something that it was not, and what is no UTF-8 becomes longer.
            let is_whole = value.len() + 4 <= max && input.len() <= max;
            // Behind an address that was masked there may be what now begins like a URL.
            let is_masked_scheme = value.contains("REDACTED://");
            if is_whole
                && std::str::from_utf8(input).is_ok()
                && !is_masked_scheme
                && !is_before_a_sign(&value)
            {
                let again = self::value(configured, value.as_bytes(), LONG);
                assert_eq!(again, value, "recorded once more");
            }
        }
        let path = configured.with(|redaction| redaction.path(input));
        check_text(&path, input, 256);
        let authority = configured.with(|redaction| redaction.authority(input));
        assert!(authority.len() <= 256 && !authority.contains('@'));
    }
}

/// Whether something was masked, and the word may be the scheme of a URL, or with a sign that is left a part
/// of another address, which is nobody's.
fn is_before_a_sign(value: &str) -> bool {
    let is_left = || ["@", "%40"].iter().any(|it| value.contains(it));
    value.starts_with("REDACTED") || value.contains("REDACTED") && is_left()
}

fn value(configured: &'static LocalKey<Redaction>, input: &[u8], max: usize) -> String {
    configured.with(|redaction| redaction.value_within(input, max))
}

/// Two characters and what they are between are an address, where nothing ends them.
static EMAIL: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r"[A-Za-z0-9]@[A-Za-z0-9-]+\.[A-Za-z][A-Za-z0-9]+$|[A-Za-z0-9]@[A-Za-z0-9]+\.[A-Za-z]{2,}[ /?#,:;=&)(<>]").unwrap()
});

fn check_text(text: &str, input: &[u8], max: usize) {
    assert!(text.len() <= max, "{} bytes", text.len());
    // The last of what is cut may have gone on otherwise.
    let is_cut = text.len() + 8 > max || input.len() > max;
    let whole =
        if is_cut { &text[..text.floor_char_boundary(max.saturating_sub(300))] } else { text };
    let others = whole.replace("REDACTED", "*");
    assert!(!EMAIL.is_match(&others), "an address: {whole:?}");
    let bytes = whole.as_bytes();
    for (place, run) in runs(bytes) {
        let stands_alone = |at: Option<&u8>| !at.is_some_and(u8::is_ascii_alphanumeric);
        let before = place.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(place + run.len());
        let goes_on = |at: Option<&u8>| at.is_some_and(|byte| b" -+%".contains(byte));
        if stands_alone(before) && stands_alone(after) && !goes_on(before) && !goes_on(after) {
            assert!(!is_card(run) || (after.is_none() && is_cut), "a card: {whole:?}");
        }
    }
}

/// Digits in a row, and where they begin.
fn runs(text: &[u8]) -> Vec<(usize, &[u8])> {
    let mut runs = Vec::new();
    let mut place = 0;
    for run in text.split(|byte| !byte.is_ascii_digit()) {
        runs.push((place, run));
        place += run.len() + 1;
    }
    runs
}

/// By ISO/IEC 7812: the digit before the last and each second before that count twice.
fn is_card(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') << (place % 2);
            digit / 10 + digit % 10
        })
        .sum();
    (13..=19).contains(&digits.len())
        && (b'2'..=b'6').contains(&digits[0])
        && sum.is_multiple_of(10)
}
