//! Which new traces are sampled: a percentage alone, or an object with rules and more.

use std::borrow::Cow;

use super::error::ConfigError;
use super::field::Field;
use super::matching::OWN_HEADERS;
use super::plugin::SAMPLING_KEYS;
use super::rule::{self, Rule};
use super::{Percentage, PluginConfig};

/// Which new traces are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of new traces that no rule matches.
    pub percent: Percentage,
    /// The lower-case names of the headers that rules and probes are told by, each once; first
    /// `:path`, `:method`, `:authority` and `user-agent`.
    pub headers: Vec<Cow<'static, str>>,
    /// The first rule that matches decides.
    pub rules: Vec<Rule>,
    /// Whether probes and health checks that no rule matches are left out.
    pub drop_probes: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            percent: Percentage::DEFAULT,
            headers: OWN_HEADERS.map(Cow::Borrowed).to_vec(),
            rules: Vec::new(),
            drop_probes: true,
        }
    }
}

/// A percentage, or an object; the percentage is apart, since the mesh may have a word on it.
pub(super) fn read(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    // The other spellings are Istio's, for what Istio has: a number.
    if !field.is_object() || !SAMPLING_KEYS.starts_with(&[field.key()]) {
        config.percent = Some(percent(field)?);
        return Ok(());
    }
    let mut object = field.object()?;
    if let Some(field) = object.given(&["percent"])? {
        config.percent = Some(percent(&field)?);
    }
    if let Some(field) = object.given(&["rules"])? {
        rule::list(&field, &mut config.sampling)?;
    }
    if let Some(field) = object.given(&["dropProbes"])? {
        config.sampling.drop_probes = field.boolean()?;
    }
    object.finish()
}

/// A percentage alone.
pub(super) fn percent(field: &Field<'_>) -> Result<Percentage, ConfigError> {
    field.number().and_then(Percentage::new).ok_or_else(|| field.is_not(Percentage::KIND))
}
