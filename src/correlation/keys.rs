//! By what a request can be recognised: ids that applications forward for their logs.

use crate::same::same;

/// What its digests begin with, so that no other header says the same.
const REQUEST_ID: u64 = 1;

/// A digest of `x-request-id`, which Envoy adds last, and of which it makes one line where there are several.
pub(super) fn request_id(headers: &[(&[u8], &[u8])]) -> Option<u64> {
    let its = |(name, _): &&(&[u8], &[u8])| same(name, b"x-request-id");
    let (_, value) = headers.iter().rev().find(its)?;
    (!value.is_empty()).then(|| digest(REQUEST_ID, value))
}

/// A digest of what the header of this lower-case name says; nothing where it is absent or empty, or
/// where its lines contradict each other.
pub(super) fn key(headers: &[(&[u8], &[u8])], name: &str) -> Option<u64> {
    let name = name.as_bytes();
    let mut found: Option<&[u8]> = None;
    for (header, value) in headers {
        if same(header, name) {
            if found.is_some_and(|found| found != *value) {
                return None;
            }
            found = Some(value);
        }
    }
    found.filter(|value| !value.is_empty()).map(|value| digest(digest(0, name), value))
}

/// The most parts of a path that tell routes apart, and the longest of them in bytes.
const MOST_PARTS: usize = 3;
const LONGEST_PART: usize = 24;

/// A digest of a request's method and of its path up to what may be an id.
pub(super) fn route(headers: &[(&[u8], &[u8])]) -> u64 {
    let mut digested = 0;
    for (name, value) in headers {
        if *name == b":method" {
            digested = digest(digested, value);
        } else if *name == b":path" {
            let path = value.split(|byte| *byte == b'?').next().unwrap_or_default();
            for part in path.split(|byte| *byte == b'/').skip(1).take(MOST_PARTS) {
                let is_id =
                    part.len() > LONGEST_PART || part.first().is_some_and(u8::is_ascii_digit);
                if is_id {
                    break;
                }
                digested = digest(digested, part);
            }
        }
    }
    digested
}

/// A digest of some bytes, the same in every worker. Those who send them gain nothing by two that have
/// one digest: they could as well send the same.
pub(super) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut digest = seed ^ bytes.len() as u64;
    for eight in eights {
        digest = (digest ^ u64::from_le_bytes(*eight)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        digest ^= digest >> 32;
    }
    // What is left, with some of what came before it: no copy of it is made byte by byte.
    let last = match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte)),
    };
    mixed(digest ^ last)
}

/// The last step of SplitMix64, which lets each bit change half of the others.
pub(super) fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_request_id_says_what_no_other_header_says() {
        let id = |value| request_id(&[(b"x-request-id", value), (b"x-requested-by", b"1")]);
        assert!(id(b"").is_none() && request_id(&[(b"x-request-ie", b"1")]).is_none());
        assert_eq!(id(b"7"), id(b"7"));
        assert_ne!(id(b"7"), id(b"8"));
        assert_ne!(id(b"7"), key_of(&[("x-id", "7")], "x-id"));
    }

    fn key_of(headers: &[(&str, &str)], name: &str) -> Option<u64> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        key(&headers, name)
    }

    #[test]
    fn the_same_value_is_the_same_key_in_the_same_header_alone() {
        let of = |name, value| key_of(&[("accept", "b"), (name, value)], name).unwrap();
        assert_eq!(of("x-a", "1"), key_of(&[("x-a", "1"), ("x-b", "1")], "x-a").unwrap());
        assert_ne!(of("x-a", "1"), of("x-a", "2"));
        assert_ne!(of("x-a", "1"), of("x-b", "1"));
    }

    #[test]
    fn what_is_absent_empty_or_contradictory_says_nothing() {
        for (name, headers, expected) in [
            ("none", &[][..], false),
            ("another header", &[("x-session", "a")], false),
            ("empty", &[("x-id", "")], false),
            ("lines that differ", &[("x-id", "a"), ("x-id", "b")], false),
            ("lines that are the same", &[("x-id", "a"), ("x-id", "a")], true),
        ] {
            assert_eq!(key_of(headers, "x-id").is_some(), expected, "{name}");
        }
    }

    #[test]
    fn digests_of_similar_texts_differ_in_all_their_parts() {
        let mut seen = HashSet::new();
        let mut slots = [0; 64];
        let texts = (0..100_000).map(|number| format!("6ba7b810-9dad-11d1-80b4-{number:012}"));
        let padded = (0..32).map(|length| "\0".repeat(length));
        for text in texts.chain(padded) {
            let digest = digest(0, text.as_bytes());
            assert!(seen.insert(digest), "{text:?}");
            slots[digest as usize % 64] += 1;
        }
        // Some 1,560 each.
        assert!(slots.iter().all(|count| (1_300..1_850).contains(count)), "{slots:?}");
    }
}
