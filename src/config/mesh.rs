//! What Istio's mesh configuration says, as the proxy's node metadata has it.

use super::error::{ConfigError, decimal, echo};
use super::field::{Field, join};
use super::json::Value;
use super::plugin::MAX_TAG_LENGTH;
use super::{CustomTag, Percentage, custom_tag};
use crate::pairs;

const SAMPLING: &str = "PROXY_CONFIG.tracing.sampling";
const CUSTOM_TAGS: &str = "PROXY_CONFIG.tracing.customTags";
const MAX_PATH_LENGTH: &str = "PROXY_CONFIG.tracing.maxPathTagLength";

/// Envoy's node metadata, by properties.
pub trait NodeMetadata {
    /// The bytes that Envoy answers for one entry, `["LABELS", "app"]` for `xds.node.metadata.LABELS.app`:
    /// a string as it is, a number as 8 bytes of a little-endian double, a map as proxy-wasm pairs. An
    /// error is nothing too: Envoy answers SerializationFailure for a map with a null anywhere in it.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
}

/// What the mesh says on tracing, if anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshConfig {
    /// The share of new traces that is recorded.
    pub sampling: Option<Percentage>,
    /// The operators' own tags, sorted by name, each name once, at most 64.
    pub custom_tags: Vec<CustomTag>,
    /// The longest path in `http.url`, in bytes, 1 to 65536.
    pub max_path_length: Option<usize>,
}

impl MeshConfig {
    /// Reads `PROXY_CONFIG.tracing`; a value that is no good counts as absent, and is reported.
    pub fn read(source: &impl NodeMetadata) -> (Self, Vec<ConfigError>) {
        let mut errors = Vec::new();
        let value = |path: &str| source.property(&path.split('.').collect::<Vec<_>>());
        let mut config = Self::default();
        let sampling = value(SAMPLING)
            .map(|bytes| number(SAMPLING, &bytes, Percentage::KIND, Percentage::new));
        config.sampling = absent_if_wrong(sampling, &mut errors);
        let length = value(MAX_PATH_LENGTH).map(|bytes| {
            let kind = format!("a whole number from 1 to {MAX_TAG_LENGTH}");
            number(MAX_PATH_LENGTH, &bytes, &kind, length)
        });
        config.max_path_length = absent_if_wrong(length, &mut errors);
        if let Some(bytes) = value(CUSTOM_TAGS) {
            config.custom_tags = custom_tags(&bytes, &mut errors);
        }
        (config, errors)
    }
}

fn absent_if_wrong<T>(
    value: Option<Result<T, ConfigError>>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    value?.map_err(|error| errors.push(error)).ok()
}

/// What `read` makes of a number of the metadata: every number there is a double.
fn number<T>(
    path: &str,
    bytes: &[u8],
    kind: &str,
    read: impl FnOnce(f64) -> Option<T>,
) -> Result<T, ConfigError> {
    let double = <[u8; 8]>::try_from(bytes).map(f64::from_le_bytes);
    let found = || match double {
        Ok(number) => decimal(number),
        Err(_) => text(bytes),
    };
    double.ok().and_then(read).ok_or_else(|| ConfigError::is_not(path, &found(), kind))
}

fn length(number: f64) -> Option<usize> {
    let whole = number.fract() == 0.0 && (1.0..=f64::from(MAX_TAG_LENGTH)).contains(&number);
    whole.then_some(number as usize)
}

/// The tags that can be read; each that cannot is one error, and so are those over the limit.
fn custom_tags(bytes: &[u8], errors: &mut Vec<ConfigError>) -> Vec<CustomTag> {
    let Value::Object(entries) = value(bytes, 3) else {
        errors.push(ConfigError::is_not(CUSTOM_TAGS, &text(bytes), "a map"));
        return Vec::new();
    };
    if entries.len() > custom_tag::MAX_TAGS {
        let found = format!("{} entries", entries.len());
        let allowed = format!("at most {}", custom_tag::MAX_TAGS);
        errors.push(ConfigError::instead(CUSTOM_TAGS, &found, &allowed));
    }
    let mut tags = Vec::new();
    // Sorted by name, so that all workers of a proxy keep the same tags of too many.
    for (name, tag) in entries.iter().take(custom_tag::MAX_TAGS) {
        match custom_tag::read(name, &Field::at(&join(CUSTOM_TAGS, name), tag)) {
            Ok(tag) => tags.push(tag),
            Err(error) => errors.push(error),
        }
    }
    tags
}

/// A value in the shape that JSON has, for the same reader: maps so deep, in the order of their keys,
/// then text.
fn value(bytes: &[u8], depth: usize) -> Value<'_> {
    match pairs::parse(bytes) {
        Some(pairs) if depth > 0 => {
            let mut members = Vec::new();
            for (key, member) in pairs {
                let key = String::from_utf8_lossy(key);
                let place = members.partition_point(|(other, _)| *other < key);
                members.insert(place, (key, value(member, depth - 1)));
            }
            Value::Object(members)
        }
        _ => Value::String(String::from_utf8_lossy(bytes)),
    }
}

/// Bytes as a message may show them.
fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", echo(&String::from_utf8_lossy(bytes)))
}
