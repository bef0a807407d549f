//! The text of a propagation header that goes out.

use crate::same::same;
use core::fmt;

/// The longest that is kept in place: B3 in one header and Jaeger's, with ids of full length.
const MAX: usize = 68;

/// A header's value.
#[derive(Clone)]
pub struct Value(Kept);

#[derive(Clone)]
enum Kept {
    /// In place: several to a request would be an allocation each.
    Here { bytes: [u8; MAX], length: usize },
    /// A `tracestate` is as long as it came in.
    Elsewhere(String),
}

impl Value {
    /// Nothing yet.
    pub(super) const EMPTY: Self = Self(Kept::Here { bytes: [0; MAX], length: 0 });

    /// A text that is known beforehand, of ASCII.
    pub(super) fn of<const N: usize>(text: &[u8; N]) -> Self {
        let mut value = Self::EMPTY;
        value.push(text);
        value
    }

    /// A text of any length.
    pub(super) fn long(text: String) -> Self {
        Self(Kept::Elsewhere(text))
    }

    /// Appends ASCII. What has no room is left out, which no format comes to.
    pub(super) fn push<const N: usize>(&mut self, text: &[u8; N]) {
        let Kept::Here { bytes, length } = &mut self.0 else { return };
        let room = bytes.get_mut(*length..).and_then(<[u8]>::first_chunk_mut);
        if let Some(room) = room {
            *room = *text;
            *length += N;
        }
    }

    /// Whether this is what came in.
    pub(super) fn is(&self, incoming: &[u8]) -> bool {
        same(self.as_bytes(), incoming)
    }

    /// The value.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Here { bytes, length } => bytes.get(..*length).unwrap_or_default(),
            Kept::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}", self.as_bytes().escape_ascii())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Value {}
