//! What rules ask of a request: some of its headers, picked in one pass, and Envoy's attributes,
//! which are asked for only where nothing else is left to compare.

use crate::config::{Attribute, MAX_SUBJECTS, Subject};
use std::cell::OnceCell;

/// The headers that tell probes.
pub(super) const PATH: &str = ":path";
pub(super) const USER_AGENT: &str = "user-agent";

/// Room for the headers of all rules and of probes.
const MAX_NAMES: usize = MAX_SUBJECTS + 2;

/// The names of the headers that are asked for, each once, by length and then in order.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    /// Bit `n` is set where a name has a length of n, modulo 64: most headers are none of them.
    lengths: u64,
}

impl Names {
    pub(super) fn insert(&mut self, name: &str) {
        if let Err(place) = self.place(name.as_bytes()) {
            self.names.insert(place, name.to_owned());
            self.lengths |= 1 << (name.len() & 63);
        }
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.names.binary_search_by(|other| {
            other.len().cmp(&name.len()).then_with(|| other.as_bytes().cmp(name))
        })
    }

    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The place of a name among them.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let may_be = self.lengths >> (name.len() & 63) & 1 == 1;
        may_be.then(|| self.place(name).ok()).flatten()
    }
}

/// The place of a subject in a [`Request`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Header(usize),
    Attribute(Attribute),
}

impl Place {
    pub(super) fn new(subject: &Subject, names: &Names) -> Self {
        match subject {
            Subject::Header(name) => Self::Header(names.find(name.as_bytes()).unwrap_or(MAX_NAMES)),
            Subject::Attribute(attribute) => Self::Attribute(*attribute),
        }
    }
}

/// What Envoy knows of a request that has only just come. Each answer costs as much as a hundred
/// rules that do not match.
pub trait Surroundings {
    /// An attribute's value.
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>>;
}

/// What is asked for, as one request has it.
pub(super) struct Request<'h, 'e, E> {
    /// Those that are absent are empty, which no text is.
    headers: [&'h [u8]; MAX_NAMES],
    envoy: &'e E,
    /// By number, once they have been asked for.
    attributes: [OnceCell<Option<Vec<u8>>>; 3],
}

impl<'h, 'e, E: Surroundings> Request<'h, 'e, E> {
    /// Of a repeated header the first line counts that is not empty.
    pub(super) fn new(headers: &[(&'h [u8], &'h [u8])], names: &Names, envoy: &'e E) -> Self {
        let mut values: [&[u8]; MAX_NAMES] = [&[]; MAX_NAMES];
        for (name, value) in headers {
            let place = names.find(name).and_then(|place| values.get_mut(place));
            if let Some(first @ []) = place {
                *first = match *name {
                    b":path" => path(value),
                    b":authority" => host(value),
                    _ => value,
                };
            }
        }
        Self { headers: values, envoy, attributes: Default::default() }
    }

    /// The value of the header whose name has this place.
    pub(super) fn header(&self, place: usize) -> &[u8] {
        self.headers.get(place).copied().unwrap_or_default()
    }

    pub(super) fn value(&self, place: Place) -> &[u8] {
        match place {
            Place::Header(place) => self.header(place),
            Place::Attribute(attribute) => {
                let known = self.attributes.get(attribute as usize);
                let ask = || self.envoy.attribute(attribute);
                known.and_then(|cell| cell.get_or_init(ask).as_deref()).unwrap_or_default()
            }
        }
    }
}

/// A path without its query.
fn path(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// An authority without user information and port: of `user@h:80` it is `h`, of `[::1]:80` `[::1]`.
fn host(value: &[u8]) -> &[u8] {
    let host = value.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    let mut parts = host.rsplitn(2, |byte| *byte == b':');
    match (parts.next(), parts.next()) {
        (Some(port), Some(host)) if !port.ends_with(b"]") => host,
        _ => host,
    }
}
