//! Rules, compared with a request.

use super::request::Request;
use crate::config::{Matcher, Rule, Subject, Way};

/// What passes a rule over without looking at it: one byte of a header, and where it has to be. It is
/// of that end of a text that tells more, since paths begin alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    /// The header's place.
    place: u16,
    way: Way,
    /// The text's length; without one it takes more than a glance.
    length: u16,
    byte: u8,
}

/// The place of the first rule of which all holds. There is a glance for each rule.
pub(super) fn find(rules: &[Rule], glances: &[Glance], request: &mut Request) -> Option<usize> {
    let mut places = glances.iter().enumerate();
    places.find_map(|(index, glance)| {
        let may_match = glance.may_match(request.header(usize::from(glance.place)));
        (may_match && matches(rules.get(index)?, request)).then_some(index)
    })
}

/// Whether all of a rule holds.
#[inline(never)]
fn matches(rule: &Rule, request: &mut Request) -> bool {
    rule.matching.iter().all(|(subject, matcher)| {
        let matches = matcher.compare(request.value(*subject));
        request.is_unfinished |= matches.is_none();
        matches == Some(true)
    })
}

impl Glance {
    /// The glance at a rule: at the first header that is compared with one text.
    pub(super) fn at(rule: &Rule) -> Self {
        for (subject, matcher) in &rule.matching {
            if let (Subject::Header(place), Matcher::Texts(way, texts)) = (subject, matcher)
                && let [text] = texts.as_slice()
                && let ([first, ..], [.., last]) = (text.as_bytes(), text.as_bytes())
            {
                let byte = if *way == Way::Suffix { *first } else { *last };
                // No text is longer than 256 bytes, and 128 rules have no more than 16 headers each.
                let (place, length) = (*place as u16, text.len() as u16);
                return Self { place, way: *way, length, byte };
            }
        }
        Self { place: 0, way: Way::Prefix, length: 0, byte: 0 }
    }

    fn may_match(self, value: &[u8]) -> bool {
        let length = usize::from(self.length);
        let at = match self.way {
            Way::Exact if value.len() != length => return false,
            Way::Exact | Way::Prefix => length.wrapping_sub(1),
            Way::Suffix => value.len().wrapping_sub(length),
        };
        length == 0 || value.get(at) == Some(&self.byte)
    }
}
