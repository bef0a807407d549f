//! What the plugin's own configuration says.

use super::ConfigError;

/// The plugin configuration: what it says of each key, if anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginConfig {}

impl PluginConfig {
    /// Reads the plugin configuration, JSON: no bytes and `{}` are valid, `{"sampling": 140}` is not.
    pub fn parse(_json: &[u8]) -> Result<Self, ConfigError> {
        Ok(Self::default())
    }
}
