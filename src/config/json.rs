//! JSON text to a value, with the errors that serde_json does not make: repeated keys, too much of it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::error::{ConfigError, echo};
use super::field::WHOLE;

/// The longest configuration, in bytes: 1 MiB.
const MAX_BYTES: usize = 1 << 20;

/// The value that `json` writes; serde_json itself limits the depth to 128.
pub(super) fn parse(json: &[u8]) -> Result<Value, ConfigError> {
    if json.len() > MAX_BYTES {
        let found = format!("{} bytes", json.len());
        let allowed = format!("at most {MAX_BYTES}");
        return Err(ConfigError::instead(WHOLE, &found, &allowed));
    }
    serde_json::from_slice::<Unique>(json)
        .map(|Unique(value)| value)
        .map_err(|error| ConfigError::plain(WHOLE, reason(json, &error)))
}

fn reason(json: &[u8], error: &serde_json::Error) -> String {
    match error.classify() {
        // The one error of our own: a key given twice.
        Category::Data => error.to_string(),
        _ if is_struct(json) => "not JSON but binary, as Envoy passes a Struct on; \
             allowed: JSON text in a google.protobuf.StringValue"
            .to_owned(),
        _ => format!("not JSON: {error}"),
    }
}

/// Whether these are the bytes of a protobuf Struct: Envoy hands one on as it is, not as JSON. Each
/// begins with the tag of its first field, a line feed, and has other control characters soon after.
fn is_struct(bytes: &[u8]) -> bool {
    let never_in_json = |b: &u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    bytes.first() == Some(&b'\n') && bytes.iter().any(never_in_json)
}

/// A value in which no object has a key twice; serde_json keeps the last without a word.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                let twice = format!("the key {:?} is given twice", echo(&key));
                return Err(A::Error::custom(twice));
            }
            let Unique(value) = members.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
