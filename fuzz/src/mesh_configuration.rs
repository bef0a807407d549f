//! Node metadata: what is no good in it is reported and counts as absent.

use super::plugin_configuration::check_error;
use meshspan::config::{MeshConfig, NodeMetadata, PluginConfig, settings};
use serde_json::Value;

const MAX_TAGS: usize = 64;

/// The same bytes for every entry of the metadata, as Envoy never would.
struct Raw<'a>(&'a [u8]);

impl NodeMetadata for Raw<'_> {
    fn property(&self, _: &[&str]) -> Option<Vec<u8>> {
        Some(self.0.to_vec())
    }
}

/// As the bytes that Envoy would answer, and as the JSON of a node.
pub fn check(input: &[u8]) {
    check_metadata(&Raw(input));
    if let Ok(json) = serde_json::from_slice::<Value>(input) {
        check_metadata(&json);
    }
}

fn check_metadata(metadata: &impl NodeMetadata) {
    let (config, errors) = MeshConfig::read(metadata);
    errors.iter().for_each(check_error);
    assert!(errors.len() <= MAX_TAGS + 3, "{} errors", errors.len());
    let names: Vec<&str> = config.custom_tags.iter().map(|tag| tag.name.as_str()).collect();
    assert!(names.len() <= MAX_TAGS && names.is_sorted_by(|one, next| one < next), "{names:?}");
    assert!(config.max_path_length.is_none_or(|length| (1..=65_536).contains(&length)));
    settings(PluginConfig::default(), config);
}
