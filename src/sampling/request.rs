//! What rules ask of a request: some of its headers, picked in one pass, and Envoy's attributes,
//! which are asked for only where nothing else is left to compare.

use crate::config::{Attribute, Subject};
use core::net::IpAddr;
use std::borrow::Cow;

/// What Envoy knows while a request has only just come. An attribute costs as much as a hundred rules
/// that do not match, the rest a tenth of that.
pub trait Surroundings {
    /// An attribute's value, or nothing.
    fn attribute(&self, attribute: Attribute) -> Vec<u8>;

    /// The client's address, as far as Envoy knows it.
    fn client_address(&self) -> Option<IpAddr> {
        None
    }

    /// Nanoseconds on a clock that all workers share; since when is of no account.
    fn clock(&self) -> u64;

    /// What all workers share under a key, and its version. Other plugins may have written it.
    fn shared_data(&self, key: &[u8]) -> Option<(Vec<u8>, u32)>;

    /// Writes it unless another version is there by now, for version 0 whatever is there; whether it
    /// did.
    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> bool;

    /// The name that a span of the request would have; empty where nobody can say.
    fn operation(&self) -> String {
        String::new()
    }
}

/// What is asked for, as one request has it.
pub(super) struct Request<'h, 'e> {
    /// By their places among the names; those that are absent are empty, which no text is.
    headers: Vec<&'h [u8]>,
    envoy: &'e dyn Surroundings,
    /// By number, once they have been asked for.
    attributes: [Option<Vec<u8>>; 3],
    /// Some pattern has no match in as much of a text as is looked at.
    pub(super) is_unfinished: bool,
}

impl<'h, 'e> Request<'h, 'e> {
    /// Of a repeated header the first line counts that is not empty.
    pub(super) fn new(
        headers: &[(&'h [u8], &'h [u8])],
        names: &[Cow<'static, str>],
        envoy: &'e dyn Surroundings,
    ) -> Self {
        let mut values: Vec<&[u8]> = vec![&[]; names.len()];
        let bit = |length: usize| 1_u64 << (length % 64);
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name.len()));
        // Most headers are none of these, and of another length.
        for (name, value) in headers.iter().filter(|(name, _)| lengths & bit(name.len()) != 0) {
            let place = names.iter().position(|other| other.as_bytes() == *name);
            if let Some(first @ []) = place.and_then(|place| values.get_mut(place)) {
                *first = match *name {
                    b":path" => path(value),
                    b":authority" => host(value),
                    _ => value,
                };
            }
        }
        let attributes = [const { None }; 3];
        Self { headers: values, envoy, attributes, is_unfinished: false }
    }

    /// The value of the header whose name has this place.
    pub(super) fn header(&self, place: usize) -> &'h [u8] {
        self.headers.get(place).copied().unwrap_or_default()
    }

    /// The name that its span would have.
    pub(super) fn operation(&self) -> String {
        self.envoy.operation()
    }

    /// The value of any subject.
    pub(super) fn value(&mut self, subject: Subject) -> &[u8] {
        match subject {
            Subject::Header(place) => self.header(place),
            Subject::Attribute(attribute) => match self.attributes.get_mut(attribute as usize) {
                Some(known) => known.get_or_insert_with(|| self.envoy.attribute(attribute)),
                None => &[],
            },
        }
    }
}

/// A path without its query.
fn path(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == b'?').unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

/// An authority without user information and port: of `user@h:80` it is `h`, of `[::1]:80` `[::1]`.
fn host(value: &[u8]) -> &[u8] {
    let begin = value.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let host = value.get(begin..).unwrap_or_default();
    match host.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(end) if host.get(end) == Some(&b':') => host.get(..end).unwrap_or_default(),
        _ => host,
    }
}
