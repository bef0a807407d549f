//! By what a request can be recognised: the ids that applications forward for their logs.

use crate::config::MAX_CORRELATION_HEADERS;
use std::hash::{DefaultHasher, Hasher};

/// Evidence that a header gives: `x-request-id`, then those of the operator's choice.
pub(super) const KINDS: usize = 1 + MAX_CORRELATION_HEADERS;

/// The header that Envoy gives each request.
const REQUEST_ID: &[u8] = b"x-request-id";

/// What a request's headers say, a digest for each kind of evidence; zero is nothing.
///
/// Lines that contradict each other say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys([u64; KINDS]);

impl Keys {
    /// Reads `x-request-id` and the headers of these lower-case names.
    pub fn read(headers: &[(&[u8], &[u8])], names: &[String]) -> Self {
        let mut keys = Self::default();
        let names = names.iter().map(|name| name.as_bytes());
        for (kind, (name, key)) in
            core::iter::once(REQUEST_ID).chain(names).zip(&mut keys.0).enumerate()
        {
            let mut values = headers.iter().filter(|(header, _)| *header == name);
            if let Some((_, value)) = values.next()
                && !value.is_empty()
                && values.all(|(_, other)| other == value)
            {
                *key = digest(kind, value);
            }
        }
        keys
    }

    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; KINDS]
    }

    /// Each digest that is there, with its kind.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.into_iter().enumerate().filter(|(_, key)| *key != 0)
    }
}

fn digest(kind: usize, value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(kind as u8);
    hasher.write(value);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(headers: &[(&str, &str)]) -> Keys {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        Keys::read(&headers, &["x-session-id".to_owned()])
    }

    #[test]
    fn the_same_value_is_the_same_key_in_the_same_header_alone() {
        assert_eq!(keys(&[("x-request-id", "a")]), keys(&[("x-request-id", "a"), ("accept", "b")]));
        assert_ne!(keys(&[("x-request-id", "a")]), keys(&[("x-request-id", "b")]));
        let (id, session) = (keys(&[("x-request-id", "a")]), keys(&[("x-session-id", "a")]));
        assert_ne!(id.iter().next().map(|(_, key)| key), session.iter().next().map(|(_, key)| key));
        assert_eq!(keys(&[("x-request-id", "a"), ("x-session-id", "a")]).iter().count(), 2);
    }

    #[test]
    fn what_is_absent_empty_or_contradictory_says_nothing() {
        for (name, headers) in [
            ("none", vec![]),
            ("another header", vec![("x-session", "a")]),
            ("empty", vec![("x-request-id", "")]),
            ("lines that differ", vec![("x-request-id", "a"), ("x-request-id", "b")]),
        ] {
            assert!(keys(&headers).is_empty(), "{name}");
        }
        let twice = keys(&[("x-request-id", "a"), ("x-request-id", "a")]);
        assert_eq!(twice, keys(&[("x-request-id", "a")]));
    }
}
