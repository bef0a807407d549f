//! Patterns and texts, as the crate `regex` compares them.

use meshspan::regex::{MAX_TEXT, Regex};

/// The first line is the pattern, the rest the text.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(pattern) = std::str::from_utf8(&input[..end]) else { return };
    let text = input.get(end + 1..).unwrap_or_default();
    let ours = match Regex::new(pattern) {
        Ok(ours) => ours,
        Err(mistake) => {
            let from = mistake.column - 1;
            assert_eq!(pattern.get(from..from + mistake.found.len()), Some(mistake.found));
            assert!(!mistake.found.is_empty() && !mistake.reason.text().is_empty());
            return;
        }
    };
    let found = ours.search(text);
    assert!(found != Some(false) || text.len() <= MAX_TEXT);
    // What took too many steps may match.
    if let (Some(is_match), Some(theirs)) = (found, theirs(pattern))
        && text.len() <= MAX_TEXT
    {
        assert_eq!(is_match, theirs.is_match(text), "{pattern} in {:?}", text.escape_ascii());
    }
}

/// The same pattern by the crate `regex`, where it means the same there.
pub fn theirs(pattern: &str) -> Option<regex::bytes::Regex> {
    // Edges of words, which are these characters to us; `\v`, which is no space to RE2 and to us; in
    // a class, one more class, and what two classes have in common.
    let other = ["\\<", "\\>", "\\s", "\\S", "--", "&&", "~~"];
    let is_nested = || {
        let mut classes = pattern.split('[').skip(1);
        let is_open = |it: &str| !it.trim_start_matches('^').contains(']');
        classes.any(|it| is_open(it) || it.contains('\\') || it.starts_with([']', '^']))
    };
    if other.iter().any(|it| pattern.contains(it)) || is_nested() {
        return None;
    }
    regex::bytes::RegexBuilder::new(pattern).unicode(false).build().ok()
}
