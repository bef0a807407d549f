//! Which new traces are sampled: a percentage alone, or an object with rules and more.

use super::Percentage;
use super::error::ConfigError;
use super::field::Field;
use super::plugin::SAMPLING_KEYS;
use super::rule::{self, Rule};

/// Which new traces are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of new traces that no rule matches.
    pub percent: Percentage,
    /// The first rule that matches decides.
    pub rules: Vec<Rule>,
    /// Whether probes and health checks that no rule matches are left out.
    pub drop_probes: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { percent: Percentage::DEFAULT, rules: Vec::new(), drop_probes: true }
    }
}

/// A percentage, or an object; the percentage is apart, since the mesh may have a word on it.
pub(super) fn read(field: &Field<'_>) -> Result<(Option<Percentage>, Sampling), ConfigError> {
    let mut sampling = Sampling::default();
    // The other spellings are Istio's, for what Istio has: a number.
    if !field.is_object() || !SAMPLING_KEYS.starts_with(&[field.key()]) {
        return Ok((Some(percent(field)?), sampling));
    }
    let mut object = field.object()?;
    let percent = object.take(&["percent"], percent)?;
    sampling.rules = object.take(&["rules"], rule::list)?.unwrap_or_default();
    sampling.drop_probes = object.take(&["dropProbes"], |field| field.boolean())?.unwrap_or(true);
    object.finish()?;
    Ok((percent, sampling))
}

/// A percentage alone.
pub(super) fn percent(field: &Field<'_>) -> Result<Percentage, ConfigError> {
    field.number().and_then(Percentage::new).ok_or_else(|| field.is_not(Percentage::KIND))
}
