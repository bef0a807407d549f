//! Rules, ready to be compared with a request.

use super::request::{Names, Place, Request, Surroundings};
use crate::config::{self, Matcher};
use crate::trace::Threshold;

/// Rules in their order.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Of each rule what passes it over without looking at it, all in one place.
    glances: Vec<Glance>,
}

/// A rule whose subjects have been looked up.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    /// The share of new traces that is sampled.
    pub(super) threshold: Threshold,
    /// What has to hold, the cheapest first.
    tests: Vec<(Place, Matcher)>,
}

/// One byte of a header, and where it has to be.
#[derive(Clone, Copy, Debug)]
struct Glance {
    place: u8,
    at: At,
    length: u16,
    byte: u8,
}

/// The end of a text that tells more: paths begin alike.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The last byte of a text of this length.
    End,
    /// The last byte of a beginning of this length.
    Within,
    /// The first byte of an end of this length.
    FromEnd,
    /// It takes more than a glance.
    Nowhere,
}

impl Rules {
    /// Rules, with `share` where one says no percentage.
    pub(super) fn new(rules: Vec<config::Rule>, names: &Names, share: Threshold) -> Self {
        let mut all = Self::default();
        for config::Rule { name, matching, percent } in rules {
            let tests = matching.into_iter();
            let tests: Vec<_> =
                tests.map(|(subject, test)| (Place::new(&subject, names), test)).collect();
            all.glances.push(Glance::at(tests.first()));
            let threshold = percent.map_or(share, |percent| Threshold::new(percent.threshold()));
            all.rules.push(Rule { name, threshold, tests });
        }
        all
    }

    /// The first rule of which all holds, and its place.
    pub(super) fn find(&self, request: &Request<impl Surroundings>) -> Option<(usize, &Rule)> {
        let mut glances = self.glances.iter().enumerate();
        glances.find_map(|(index, glance)| {
            if !glance.may_match(request.header(usize::from(glance.place))) {
                return None;
            }
            Some((index, self.get(index).filter(|rule| rule.matches(request))?))
        })
    }

    /// The rule at this place.
    pub(super) fn get(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }
}

impl Rule {
    /// Whether all of it holds.
    fn matches(&self, request: &Request<impl Surroundings>) -> bool {
        self.tests.iter().all(|(place, matcher)| matcher.matches(request.value(*place)))
    }
}

impl Glance {
    fn at(test: Option<&(Place, Matcher)>) -> Self {
        const NONE: Glance = Glance { place: 0, at: At::Nowhere, length: 0, byte: 0 };
        let Some((Place::Header(place), matcher)) = test else { return NONE };
        let (at, text) = match matcher {
            Matcher::Exact(text) => (At::End, text),
            Matcher::Prefix(text) => (At::Within, text),
            Matcher::Suffix(text) => (At::FromEnd, text),
            Matcher::AnyOf(_) => return NONE,
        };
        let bytes = text.as_bytes();
        let byte = if matches!(at, At::FromEnd) { bytes.first() } else { bytes.last() };
        match (u8::try_from(*place), u16::try_from(bytes.len()), byte) {
            (Ok(place), Ok(length), Some(byte)) => Self { place, at, length, byte: *byte },
            _ => NONE,
        }
    }

    fn may_match(self, value: &[u8]) -> bool {
        let length = usize::from(self.length);
        let byte = match self.at {
            At::End if value.len() != length => return false,
            At::End | At::Within => value.get(length.wrapping_sub(1)),
            At::FromEnd => value.get(value.len().wrapping_sub(length)),
            At::Nowhere => return true,
        };
        byte == Some(&self.byte)
    }
}
