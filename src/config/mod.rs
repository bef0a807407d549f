//! What the operators want: plugin and mesh configuration become one checked [`Settings`].
//!
//! Both arrive as bytes. What the plugin says is checked as a whole, and one wrong key makes all of
//! it a [`ConfigError`]; of what the mesh says, a bad value counts as absent and is reported.
//! [`settings`] then takes, key by key, the plugin's word, the mesh's or the default.

mod collector;
mod correlation;
mod custom_tag;
mod duration;
mod error;
mod field;
mod format;
mod header;
mod json;
mod keys;
mod matching;
mod mesh;
#[cfg(not(target_arch = "wasm32"))]
mod metadata;
mod named;
mod percentage;
mod plugin;
mod privacy;
mod remote;
mod response;
mod rule;
mod sampling;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod settings;
mod span_name;
mod strategy;
mod streams;
mod trust;

#[cfg(test)]
mod tests;

pub use collector::{Collector, Compression, Protocol};
pub use correlation::{Correlation, CorrelationMode, MAX_CORRELATION_HEADERS};
pub use custom_tag::{CustomTag, TagMode, TagOn, TagSource};
pub use error::{ConfigError, echo, quoted};
pub use field::{WHOLE, join};
pub use format::Format;
pub use matching::{Attribute, Match, Matcher, Subject, Way};
pub use mesh::{MeshConfig, NodeMetadata};
pub use named::{Named, name_of};
pub use percentage::Percentage;
pub use plugin::{CUSTOM_TAGS_KEYS, MAX_TAG_LENGTH_KEYS, PluginConfig, SAMPLING_KEYS};
pub use privacy::{ClientAddress, Privacy, Query};
pub use remote::RemoteSampling;
pub use response::{At, Response, TRACERESPONSE};
pub use rule::Rule;
pub use sampling::{Ceiling, Force, Keep, Sampling};
#[cfg(not(target_arch = "wasm32"))]
pub use schema::schema;
pub use settings::{
    AccessLog, BatchLimits, ExportLimits, Overflow, QueueLimits, Settings, settings,
};
pub use span_name::{Placeholder, Template};
pub use strategy::Strategy;
pub(crate) use trust::SPIFFE;
pub use trust::{Network, Trust, UntrustedContext, UntrustedSampling};
