//! The propagation headers among all headers of a request, and what becomes of them.

use super::{Value, tracestate};
use core::cell::Cell;

/// A header that carries a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Header {
    /// W3C Trace Context: ids and flags.
    Traceparent,
    /// W3C Trace Context: the vendors' list.
    Tracestate,
    /// B3 in one header.
    B3,
    /// B3: trace id.
    B3TraceId,
    /// B3: span id.
    B3SpanId,
    /// B3: the span's parent.
    B3ParentSpanId,
    /// B3: decision.
    B3Sampled,
    /// B3: debug flag.
    B3Flags,
    /// Jaeger: ids and flags.
    UberTraceId,
}

impl Header {
    /// Every propagation header.
    pub const ALL: [Self; 9] = [
        Self::Traceparent,
        Self::Tracestate,
        Self::B3,
        Self::B3TraceId,
        Self::B3SpanId,
        Self::B3ParentSpanId,
        Self::B3Sampled,
        Self::B3Flags,
        Self::UberTraceId,
    ];

    /// The header's name in lower case, as Envoy keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traceparent => "traceparent",
            Self::Tracestate => "tracestate",
            Self::B3 => "b3",
            Self::B3TraceId => "x-b3-traceid",
            Self::B3SpanId => "x-b3-spanid",
            Self::B3ParentSpanId => "x-b3-parentspanid",
            Self::B3Sampled => "x-b3-sampled",
            Self::B3Flags => "x-b3-flags",
            Self::UberTraceId => "uber-trace-id",
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        // Beginnings first: most names are none of these, and end here at their first byte.
        Some(match name {
            [b't', b'r', b'a', b'c', b'e', rest @ ..] => match rest {
                b"parent" => Self::Traceparent,
                b"state" => Self::Tracestate,
                _ => return None,
            },
            [b'x', b'-', b'b', b'3', b'-', rest @ ..] => match rest {
                b"traceid" => Self::B3TraceId,
                b"spanid" => Self::B3SpanId,
                b"parentspanid" => Self::B3ParentSpanId,
                b"sampled" => Self::B3Sampled,
                b"flags" => Self::B3Flags,
                _ => return None,
            },
            [b'b', b'3'] => Self::B3,
            [b'u', b'b', b'e', b'r', b'-', rest @ ..] if rest == b"trace-id" => Self::UberTraceId,
            _ => return None,
        })
    }
}

/// The propagation headers of one request as they came in, borrowed; all others are passed over.
#[derive(Debug, Default)]
pub struct Incoming<'h> {
    fields: [Field<'h>; Header::ALL.len()],
    /// The lines of `tracestate`, which may be many and count as one list.
    tracestate: Vec<&'h [u8]>,
    /// Whether they are a list, once somebody has asked.
    is_list: Cell<Option<bool>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Field<'h> {
    #[default]
    Absent,
    /// One line, or lines that all say the same.
    One { value: &'h [u8], repeated: bool },
    /// Lines that contradict each other: nobody can say which is meant.
    Contradictory,
}

impl<'h> Incoming<'h> {
    /// Picks the propagation headers from pairs of lower-case name and value.
    pub fn collect(headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) -> Self {
        let mut incoming = Self::default();
        for (name, value) in headers {
            if let Some(header) = Header::from_name(name) {
                incoming.insert(header, value);
            }
        }
        incoming
    }

    fn insert(&mut self, header: Header, value: &'h [u8]) {
        if header == Header::Tracestate {
            self.tracestate.push(value);
        }
        let Some(field) = self.fields.get_mut(header as usize) else {
            return;
        };
        *field = match *field {
            Field::Absent => Field::One { value, repeated: false },
            Field::One { value: first, .. } if first == value => {
                Field::One { value, repeated: true }
            }
            _ => Field::Contradictory,
        };
    }

    fn field(&self, header: Header) -> Field<'h> {
        self.fields.get(header as usize).copied().unwrap_or_default()
    }

    /// Whether the header came in, readable or not.
    pub fn holds(&self, header: Header) -> bool {
        !matches!(self.field(header), Field::Absent)
    }

    /// The header's value without surrounding white space; an error where its lines contradict
    /// each other.
    pub(super) fn value(&self, header: Header) -> Result<Option<&'h [u8]>, super::Malformed> {
        match self.field(header) {
            Field::Absent => Ok(None),
            Field::One { value, .. } => Ok(Some(value.trim_ascii())),
            Field::Contradictory => Err(super::Malformed),
        }
    }

    /// Whether there is a `tracestate` that is a list.
    pub(super) fn has_tracestate(&self) -> bool {
        self.is_list.get().unwrap_or_else(|| {
            let is_list = tracestate::is_valid(&self.tracestate);
            self.is_list.set(Some(is_list));
            is_list
        })
    }

    /// Whether there is one that says something and is none.
    pub(super) fn has_malformed_tracestate(&self) -> bool {
        !self.tracestate.is_empty()
            && !self.has_tracestate()
            && self.tracestate.iter().any(|line| !line.trim_ascii().is_empty())
    }

    /// The lines of `tracestate`, in order.
    pub(super) fn tracestate(&self) -> &[&'h [u8]] {
        &self.tracestate
    }
}

/// One change to the request's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The header is not there yet.
    Add(Header, Value),
    /// The header is there, once or repeated, with another value.
    Replace(Header, Value),
    /// The header goes.
    Remove(Header),
    /// Another header goes, which has this name.
    RemoveOther(String),
}

impl Edit {
    /// The name of the header.
    pub fn name(&self) -> &str {
        match self {
            Self::Add(header, _) | Self::Replace(header, _) | Self::Remove(header) => header.name(),
            Self::RemoveOther(name) => name,
        }
    }
}

/// The changes that make the headers say what they should, and no others.
#[derive(Debug)]
pub(super) struct Edits<'a, 'h> {
    pub(super) incoming: &'a Incoming<'h>,
    pub(super) list: Vec<Edit>,
}

impl<'a, 'h> Edits<'a, 'h> {
    pub(super) fn new(incoming: &'a Incoming<'h>) -> Self {
        Self { incoming, list: Vec::new() }
    }

    /// The header shall have this value, once.
    pub(super) fn set(&mut self, header: Header, value: Value) {
        match self.incoming.field(header) {
            Field::Absent => self.push(Edit::Add(header, value)),
            Field::One { value: present, repeated: false } if value.is(present) => {}
            _ => self.push(Edit::Replace(header, value)),
        }
    }

    /// The header shall be absent.
    pub(super) fn clear(&mut self, header: Header) {
        if self.incoming.holds(header) {
            self.push(Edit::Remove(header));
        }
    }

    fn push(&mut self, edit: Edit) {
        // At once as many as both formats of the default take.
        if self.list.is_empty() {
            self.list.reserve(5);
        }
        self.list.push(edit);
    }
}
