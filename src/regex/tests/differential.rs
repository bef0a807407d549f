//! The same patterns and texts by the crate `regex`, without Unicode.

use rand_core::{RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::steps;
use crate::regex::{MAX_STEPS, Regex};

/// The same random things in every run.
struct Random(Xoshiro256PlusPlus);

impl Random {
    fn new(seed: u8) -> Self {
        Self(Xoshiro256PlusPlus::from_seed([seed; 32]))
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    /// One of those that have a space between them.
    fn one_of<'a>(&mut self, things: &'a str) -> &'a str {
        let things: Vec<&str> = things.split_whitespace().collect();
        things[self.below(things.len())]
    }

    /// What both dialects know; a repetition has what it repeats in a group.
    fn pattern(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 10 }) {
            0..4 => self.one_of(PIECES).to_owned(),
            4 | 5 => self.pattern(depth - 1) + &self.pattern(depth - 1),
            6 => format!("(?:{}|{})", self.pattern(depth - 1), self.pattern(depth - 1)),
            7 => format!("({}||{})", self.pattern(depth - 1), self.pattern(depth - 1)),
            _ => format!("(?:{}){}", self.pattern(depth - 1), self.one_of(REPETITIONS)),
        }
    }

    /// Without `\v`, which is no space to RE2 and to us.
    fn text(&mut self) -> Vec<u8> {
        let bytes = b"aaaaabbbbABc01-/_. \n\t\0\xff\x80\xc3\xa9";
        let mut text = Vec::new();
        for _ in 0..self.below(9) {
            match self.below(10) {
                0 => text.extend("é".bytes()),
                _ => text.push(bytes[self.below(bytes.len())]),
            }
        }
        text
    }
}

const PIECES: &str = r"a b ab A - é . ^ $ \b \B \A \z \d \D \w \W \s \S \. \x61 \xc3 \n \t / _
    [ab] [^a] [a-c0-1] [^\d-] [\w.] []a] [\x80-\xff] [^\s\S]";

const REPETITIONS: &str = "* + ? *? +? ?? {0} {1} {2} {0,1} {1,3} {2,}? {0,}";

const TOKENS: &str = "( (?: (? ) ) | * + ? { } {2} {1,2} {, [ ] ^ $ . \\ \\d \\b \\x 6 1 a b - , \
    é \u{80} (?i)";

fn reference(pattern: &str) -> Result<::regex::bytes::Regex, ::regex::Error> {
    ::regex::bytes::RegexBuilder::new(pattern).unicode(false).build()
}

#[test]
fn random_patterns_match_the_same_texts_as_by_the_crate_regex() {
    let mut random = Random::new(7);
    let (mut matches, mut compared, mut refused) = (0, 0, 0);
    for _ in 0..3000 {
        let flags = ["", "", "(?i)"][random.below(3)];
        let pattern = format!("{flags}{}", random.pattern(5));
        let Ok(ours) = Regex::new(&pattern) else {
            refused += 1;
            continue;
        };
        let theirs = reference(&pattern).unwrap();
        for _ in 0..16 {
            let text = random.text();
            let expected = theirs.is_match(&text);
            assert_eq!(ours.is_match(&text), expected, "{pattern} in {:?}", text.escape_ascii());
            compared += 1;
            matches += usize::from(expected);
        }
    }
    // They are comparisons of something: both answers come up, and few patterns are too large.
    assert!(refused < 30, "{refused}");
    assert!(matches > compared / 5 && matches < compared * 4 / 5, "{matches} of {compared}");
}

#[test]
fn random_tokens_are_refused_or_match_the_same_within_the_bound() {
    let mut random = Random::new(9);
    let (mut accepted, mut compared) = (0, 0);
    for _ in 0..20_000 {
        let pattern: String = (0..=random.below(8)).map(|_| random.one_of(TOKENS)).collect();
        let ours = match Regex::new(&pattern) {
            Ok(ours) => ours,
            Err(mistake) => {
                let from = mistake.column - 1;
                assert_eq!(pattern.get(from..from + mistake.found.len()), Some(mistake.found));
                assert!(!mistake.found.is_empty(), "{pattern}");
                continue;
            }
        };
        accepted += 1;
        assert!(ours.steps.len() <= MAX_STEPS);
        let text = random.text();
        assert!(steps(&ours, &text) <= ours.steps.len() * (text.len() + 1), "{pattern}");
        // A bracket in a class opens one more to that crate, and two hyphens take something away.
        let other_dialect = pattern.contains('[');
        if let (Ok(theirs), false) = (reference(&pattern), other_dialect) {
            compared += 1;
            let expected = theirs.is_match(&text);
            assert_eq!(ours.is_match(&text), expected, "{pattern} in {:?}", text.escape_ascii());
        }
    }
    assert!(accepted > 2000 && compared > 1500, "{accepted}, {compared}");
}
