//! Writing protobuf, as much of it as OTLP needs.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use super::buffer::{Buffer, copy};

/// Wire types.
pub(super) const VARINT: u32 = 0;
const FIXED64: u32 = 1;
pub(super) const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// A message that grows field by field; fields have to come in the order of their numbers only
/// where bytes are to be equal to those of other writers.
#[derive(Debug, Default)]
pub(in crate::export) struct Message(pub(in crate::export) Buffer);

impl Message {
    /// An integer, an enum or a boolean.
    pub(in crate::export) fn varint(&mut self, field: u32, value: u64) {
        let tag = tag(field, VARINT);
        match (one_byte(tag as usize), u8::try_from(value)) {
            (Some(tag), Ok(value @ ..0x80)) => self.0.extend(&[tag, value]),
            _ => {
                self.raw_varint(tag);
                self.raw_varint(value);
            }
        }
    }

    /// `fixed64`, or the bits of a `double`.
    pub(in crate::export) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend(&value.to_le_bytes());
    }

    /// `fixed32`.
    pub(in crate::export) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend(&value.to_le_bytes());
    }

    /// A string, bytes or a whole message.
    pub(in crate::export) fn bytes(&mut self, field: u32, value: &[u8]) {
        // Nearly all have a tag and a length of one byte.
        let tag = tag(field, LENGTH_DELIMITED) as usize;
        let bytes = (one_byte(tag), one_byte(value.len()));
        if let (Some(tag), Some(length)) = bytes
            && let Some([of_tag, of_length, place @ ..]) = self.0.place(2 + value.len())
        {
            (*of_tag, *of_length) = (tag, length);
            return copy(place, value);
        }
        self.length(field, value.len());
        self.0.extend(value);
    }

    /// The beginning of a string, of bytes or of a message of so many bytes, which have to follow.
    pub(in crate::export) fn length(&mut self, field: u32, bytes: usize) {
        self.tag(field, LENGTH_DELIMITED);
        self.raw_varint(bytes as u64);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(tag(field, wire_type));
    }

    #[inline(never)]
    fn raw_varint(&mut self, value: u64) {
        if let Some(place) = self.0.place(varint_size(value)) {
            write_varint(place, value);
        }
    }
}

/// What a field begins with, a varint.
pub(super) fn tag(field: u32, wire_type: u32) -> u64 {
    u64::from(field << 3 | wire_type)
}

/// The varint of a number, if it is one byte.
pub(super) fn one_byte(value: usize) -> Option<u8> {
    u8::try_from(value).ok().filter(|byte| *byte < 0x80)
}

/// Writes a varint of as many bytes as there are.
pub(super) fn write_varint(place: &mut [u8], mut value: u64) {
    if let [begin @ .., last] = place {
        for byte in begin {
            *byte = value as u8 | 0x80;
            value >>= 7;
        }
        *last = value as u8;
    }
}

/// How many bytes a varint takes, 1 to 10.
pub(super) fn varint_size(value: u64) -> usize {
    // A byte for each 7 bits; zero takes one as well.
    ((u64::BITS - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// How many bytes a string, bytes or a message of this size take in a field with a number below 16.
pub(super) fn delimited_size(bytes: usize) -> usize {
    1 + varint_size(bytes as u64) + bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_their_bits_need() {
        for (value, bytes) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (1 << 14, &[0x80, 0x80, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut message = Message::default();
            message.raw_varint(value);
            assert_eq!(message.0.bytes(), bytes, "{value}");
            assert_eq!(varint_size(value), bytes.len(), "{value}");
        }
    }

    #[test]
    fn a_field_is_its_number_its_wire_type_and_its_value() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.bytes(2, b"testing");
        message.fixed64(7, 1);
        message.fixed32(16, 0x301);
        let expected =
            b"\x08\x96\x01\x12\x07testing\x39\x01\0\0\0\0\0\0\0\x85\x01\x01\x03\0\0".as_slice();
        assert_eq!(message.0.bytes(), expected);
        assert_eq!(delimited_size(7), b"\x12\x07testing".len());
        assert_eq!(delimited_size(200), 203);
    }
}
