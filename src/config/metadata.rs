//! Node metadata that is at hand as JSON, for programs that are not in Envoy.

use serde_json::Value;

use super::NodeMetadata;
use crate::pairs;

impl NodeMetadata for Value {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        bytes(path.iter().try_fold(self, |value, key| value.get(key))?)
    }
}

/// A value of the metadata in the bytes that Envoy answers; a null anywhere in it makes it nothing.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Bool(yes) => Some(vec![u8::from(*yes)]),
        Value::Number(number) => Some(number.as_f64()?.to_le_bytes().to_vec()),
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(_) => None,
        Value::Object(members) => {
            let member = |(key, value)| Some((key, bytes(value)?));
            let members: Vec<(&String, Vec<u8>)> =
                members.iter().map(member).collect::<Option<_>>()?;
            let members: Vec<(&str, &[u8])> =
                members.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect();
            Some(pairs::encode(&members))
        }
    }
}
