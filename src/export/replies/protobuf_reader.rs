//! Reading protobuf that others wrote, whatever bytes it is.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// The largest number of a field.
const MAX_FIELD: u64 = (1 << 29) - 1;

/// A field's value, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A varint: an integer, an enum or a boolean.
    Integer(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
    /// `fixed32` or `fixed64`, which nothing here has.
    Fixed,
}

/// Calls `field` with the number and the value of each field in turn. Nothing if the message ends
/// within a field, has one that cannot be (number 0, a group), or `field` says nothing.
pub(super) fn read<'a>(
    mut message: &'a [u8],
    field: &mut dyn FnMut(u64, Value<'a>) -> Option<()>,
) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let number = tag >> 3;
        if !(1..=MAX_FIELD).contains(&number) {
            return None;
        }
        let value = match tag & 7 {
            0 => Value::Integer(varint(&mut message)?),
            1 => message.split_off(..8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..length)?)
            }
            5 => message.split_off(..4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        field(number, value)?;
    }
    Some(())
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *message.split_off_first()?;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::formats::Message;

    fn fields(message: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
        let mut fields = Vec::new();
        read(message, &mut |number, value| {
            fields.push((number, value));
            Some(())
        })?;
        Some(fields)
    }

    #[test]
    fn what_the_writer_writes_is_read() {
        let mut message = Message::default();
        message.varint(1, 0);
        message.varint(2, u64::MAX);
        message.bytes(3, b"text");
        message.fixed64(4, 1);
        message.fixed32(16, 1);
        message.bytes(5, b"");
        let expected = [
            (1, Value::Integer(0)),
            (2, Value::Integer(u64::MAX)),
            (3, Value::Bytes(b"text")),
            (4, Value::Fixed),
            (16, Value::Fixed),
            (5, Value::Bytes(b"")),
        ];
        assert_eq!(fields(message.0.bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (name, bytes) in [
            ("a tag alone", b"\x08".as_slice()),
            ("a varint without an end", b"\x08\x80"),
            ("a varint of eleven bytes", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            ("a varint of more than 64 bits", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            ("a string longer than the rest", b"\x12\x05four"),
            ("a string of nearly 2^64 bytes", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            ("half a fixed64", b"\x09\0\0\0\0"),
            ("half a fixed32", b"\x0d\0\0"),
            ("field 0", b"\x00\x01"),
            ("a field number too large", b"\x80\x80\x80\x80\x10\x01"),
            ("a group", b"\x0b\x0c"),
            ("wire type 6", b"\x0e\x01"),
            ("text", b"<html>"),
        ] {
            assert_eq!(fields(bytes), None, "{name}");
        }
    }
}
