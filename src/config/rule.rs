//! Rules of sampling: which requests, and how many of them.

use super::Percentage;
use super::error::ConfigError;
use super::field::Field;
use super::matching::{self, Match};
use super::sampling::{Ceiling, Sampling, ceiling, percent};

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
pub(super) fn list(field: &Field<'_>, sampling: &mut Sampling) -> Result<(), ConfigError> {
    for item in field.items(0..=MAX_RULES)? {
        let mut rule = Rule::default();
        read(&item, sampling, &mut rule)?;
        sampling.rules.push(rule);
    }
    Ok(())
}

fn read(field: &Field<'_>, sampling: &mut Sampling, rule: &mut Rule) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    let earlier = &sampling.rules;
    rule.name = object.need(&["name"], "a name", |field| name(field, earlier))?;
    object.need(&["match"], "an object", |field| {
        matching::read(field, &mut sampling.headers, &mut rule.matching)?;
        reached(field, &rule.matching, earlier)
    })?;
    if let Some(field) = object.given(&["percent"])? {
        rule.percent = Some(percent(&field)?);
    }
    rule.ceiling = ceiling(&mut object)?;
    object.finish()
}

fn name(field: &Field<'_>, earlier: &[Rule]) -> Result<String, ConfigError> {
    let name = field.visible(1..=MAX_NAME)?;
    let is_taken =
        RESERVED.contains(&name.as_str()) || earlier.iter().any(|other| other.name == name);
    match is_taken {
        true => Err(field.instead("taken", FREE)),
        false => Ok(name),
    }
}

/// That no earlier rule takes everything that this one would match.
fn reached(field: &Field<'_>, matching: &Match, earlier: &[Rule]) -> Result<(), ConfigError> {
    match earlier.iter().find(|other| matching::covers(&other.matching, matching)) {
        Some(rule) => {
            let found = format!("never reached, rule \"{}\" matches all of it", rule.name);
            Err(field.instead(&found, "something that no earlier rule matches"))
        }
        None => Ok(()),
    }
}
