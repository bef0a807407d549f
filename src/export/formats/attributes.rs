//! OTLP's attributes: `KeyValue` and `AnyValue`.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/opentelemetry/proto/common/v1/common.proto>

use super::buffer::copy;
use super::protobuf::{
    LENGTH_DELIMITED, Message, VARINT, delimited_size, one_byte, tag, varint_size, write_varint,
};
use crate::trace::Tag;

/// The numbers of the fields, by message.
mod field {
    pub mod key_value {
        pub const KEY: u32 = 1;
        pub const VALUE: u32 = 2;
    }
    pub mod any_value {
        pub const STRING: u32 = 1;
        pub const INT: u32 = 3;
        pub const DOUBLE: u32 = 4;
        pub const ARRAY: u32 = 5;
    }
    pub mod array_value {
        pub const VALUES: u32 = 1;
    }
}

/// Attributes on their way into a message. One with an empty value is left out, and so is one in
/// whose place the operator has put a tag.
pub(super) struct Attributes<'a> {
    pub(super) message: &'a mut Message,
    /// The number of the field that they are in.
    pub(super) field: u32,
    /// The operator's tags, which replace them.
    pub(super) replaced: &'a [Tag<'a>],
}

impl Attributes<'_> {
    /// Text.
    pub(super) fn string(&mut self, key: &str, value: &str) {
        if !self.leaves_out(key, value) {
            self.write_string(key, value);
        }
    }

    /// Text, where there is some.
    pub(super) fn string_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    /// A whole number.
    pub(super) fn integer(&mut self, key: &str, value: u64) {
        if !self.leaves_out(key, "0") {
            let any = 1 + varint_size(value);
            match self.short(key, any) {
                Some([first, place @ ..]) => {
                    *first = tag(field::any_value::INT, VARINT) as u8;
                    write_varint(place, value);
                }
                _ => {
                    self.begin(key, any);
                    self.message.varint(field::any_value::INT, value);
                }
            }
        }
    }

    /// A number.
    pub(super) fn double(&mut self, key: &str, value: f64) {
        if !self.leaves_out(key, "0") {
            self.begin(key, 1 + size_of::<f64>());
            self.message.fixed64(field::any_value::DOUBLE, value.to_bits());
        }
    }

    /// A header's value, as a list of one, as the conventions have it.
    pub(super) fn header(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !self.leaves_out(key, value)) else {
            return;
        };
        let element = delimited_size(value.len());
        let array = delimited_size(element);
        if let Some([first, second, third, fourth, fifth, sixth, place @ ..]) =
            self.short(key, delimited_size(array))
        {
            let tag = |number: u32| tag(number, LENGTH_DELIMITED) as u8;
            (*first, *second) = (tag(field::any_value::ARRAY), array as u8);
            (*third, *fourth) = (tag(field::array_value::VALUES), element as u8);
            (*fifth, *sixth) = (tag(field::any_value::STRING), value.len() as u8);
            return copy(place, value.as_bytes());
        }
        self.begin(key, delimited_size(array));
        self.message.length(field::any_value::ARRAY, array);
        self.message.length(field::array_value::VALUES, element);
        self.message.bytes(field::any_value::STRING, value.as_bytes());
    }

    /// What the operator wants besides.
    pub(super) fn custom(&mut self, tags: &[Tag]) {
        for (name, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
            self.write_string(name, value);
        }
    }

    #[inline(never)]
    fn leaves_out(&self, key: &str, value: &str) -> bool {
        let replaced = || self.replaced.iter().any(|(name, own)| *name == key && !own.is_empty());
        value.is_empty() || replaced()
    }

    #[inline(never)]
    fn write_string(&mut self, key: &str, value: &str) {
        let any = delimited_size(value.len());
        match self.short(key, any) {
            Some([first, length, place @ ..]) => {
                *first = tag(field::any_value::STRING, LENGTH_DELIMITED) as u8;
                // Less than 128, as all of it is.
                *length = value.len() as u8;
                copy(place, value.as_bytes());
            }
            _ => {
                self.begin(key, any);
                self.message.bytes(field::any_value::STRING, value.as_bytes());
            }
        }
    }

    /// Writes a `KeyValue` up to the value at once, where all its lengths are of one byte, as nearly all are:
    /// the place of the value, an `AnyValue` of so many bytes.
    #[inline(never)]
    fn short(&mut self, key: &str, any: usize) -> Option<&mut [u8]> {
        let tag = |number: u32| tag(number, LENGTH_DELIMITED) as u8;
        let whole = one_byte(2 + key.len() + 2 + any)?;
        let (field, key) = (tag(self.field), key.as_bytes());
        let place = self.message.0.place(2 + usize::from(whole))?;
        let ([first, second, third, fourth], place) = place.split_first_chunk_mut()?;
        let (place_of_key, place) = place.split_at_mut_checked(key.len())?;
        let ([fifth, sixth], place) = place.split_first_chunk_mut()?;
        (*first, *second) = (field, whole);
        (*third, *fourth) = (tag(field::key_value::KEY), key.len() as u8);
        copy(place_of_key, key);
        (*fifth, *sixth) = (tag(field::key_value::VALUE), any as u8);
        Some(place)
    }

    /// A `KeyValue` up to the value, an `AnyValue` of so many bytes, which have to follow.
    #[inline(never)]
    fn begin(&mut self, key: &str, any: usize) {
        self.message.length(self.field, delimited_size(key.len()) + delimited_size(any));
        self.message.bytes(field::key_value::KEY, key.as_bytes());
        self.message.length(field::key_value::VALUE, any);
    }
}
