//! What the operators want: plugin and mesh configuration become one checked [`Settings`].
//!
//! Both arrive as bytes. What the plugin says is checked as a whole, and one wrong key makes all of
//! it a [`ConfigError`]; what the mesh says is read leniently, a bad value there counts as absent.
//! [`settings`] then takes, key by key, the plugin's word, the mesh's or the default.

mod custom_tag;
mod duration;
mod error;
mod mesh;
mod percentage;
mod plugin;
mod settings;

pub use custom_tag::{CustomTag, TagSource};
pub use error::ConfigError;
pub use mesh::{MeshConfig, NodeMetadata};
pub use percentage::Percentage;
pub use plugin::PluginConfig;
pub use settings::{BatchLimits, Collector, Format, Protocol, QueueLimits, Settings, settings};
