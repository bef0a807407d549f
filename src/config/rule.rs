//! Rules of sampling: which requests, and how many of them.

use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::{self, Own, Percent};
use super::keys::{self, Key, key, needed};
use super::matching::{self, Match};
use super::{Ceiling, Percentage, PluginConfig, Sampling, header};

/// The most rules.
pub(super) const MAX_RULES: usize = 128;

/// The longest name of a rule, in bytes.
pub(super) const MAX_NAME: usize = 64;

/// What `sampling.rule` says where no rule decided.
pub(super) const RESERVED: [&str; 8] =
    ["debug", "force", "keep", "parent", "percent", "probes", "rate", "remote"];

/// What a name may be, with those in it.
const FREE: &str = "a name that no other rule has, and none of debug, force, keep, parent, percent, probes, rate, remote";

/// Requests that match, and how many of their traces are sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Its name, which spans show.
    pub name: String,
    /// Which requests it is for.
    pub matching: Match,
    /// The share of their new traces; without one it is that of all others.
    pub percent: Option<Percentage>,
    /// The ceiling on its sampled new traces.
    pub ceiling: Option<Ceiling>,
}

/// Rules, each with a name of its own, each reached by some request.
pub(super) fn list(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    for item in field.items(0..=MAX_RULES)? {
        config.sampling.rules.push(Rule::default());
        keys::read(config, &item, &KEYS)?;
    }
    Ok(())
}

/// What the last rule of a configuration says.
static KEYS: [Key; 4] = [
    needed(&["name"], "a name", Own(name)),
    needed(&["match"], "an object", Own(matching)),
    key(
        &["percent"],
        Percent(|config, percent| {
            if let Some(rule) = config.sampling.rules.last_mut() {
                rule.percent = Some(percent);
            }
        }),
    ),
    key(
        &["ratePerSecond"],
        Kind::Ceiling(|config, ceiling| {
            if let Some(rule) = config.sampling.rules.last_mut() {
                rule.ceiling = Some(ceiling);
            }
        }),
    ),
];

fn name(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let name = field.visible(1..=MAX_NAME)?;
    let rules = &mut config.sampling.rules;
    if header::is_one_of(&name, &RESERVED) || rules.iter().any(|other| other.name == name) {
        return Err(field.instead("taken", FREE));
    }
    if let Some(rule) = rules.last_mut() {
        rule.name = name;
    }
    Ok(())
}

/// What it is for, and that no earlier rule takes everything that it would match.
fn matching(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let Sampling { headers, rules, .. } = &mut config.sampling;
    let [earlier @ .., rule] = rules.as_mut_slice() else { return Ok(()) };
    matching::read(field, headers, &mut rule.matching)?;
    match earlier.iter().find(|other| matching::covers(&other.matching, &rule.matching)) {
        Some(rule) => {
            let found = format!("never reached, rule \"{}\" matches all of it", rule.name);
            Err(field.instead(&found, "something that no earlier rule matches"))
        }
        None => Ok(()),
    }
}
