//! Rules of sampling: which requests, and how many of them.

use super::error::ConfigError;
use super::field::Field;
use super::matching::{self, Match, Subject};
use super::{Percentage, sampling};

/// The most rules.
pub(super) const MAX_RULES: usize = 128;

/// The longest name of a rule, in bytes.
pub(super) const MAX_NAME: usize = 64;

/// The most headers and other subjects that all rules together ask for.
pub const MAX_SUBJECTS: usize = 64;

/// What `sampling.rule` says where no rule decided.
pub(super) const RESERVED: [&str; 7] =
    ["debug", "force", "parent", "percent", "probes", "rate", "remote"];

/// Requests that match, and how many of their traces are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, which spans show.
    pub name: String,
    /// Which requests it is for.
    pub matching: Match,
    /// The share of their new traces; without one it is that of all others.
    pub percent: Option<Percentage>,
}

/// Rules, each with a name of its own, each reached by some request.
pub(super) fn list(field: &Field<'_>) -> Result<Vec<Rule>, ConfigError> {
    let items = field.items()?;
    if items.len() > MAX_RULES {
        let found = format!("{} rules", items.len());
        return Err(field.instead(&found, &format!("at most {MAX_RULES}")));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for item in items {
        let rule = read(&item, &rules)?;
        rules.push(rule);
    }
    let mut subjects: Vec<&Subject> = Vec::new();
    for (subject, _) in rules.iter().flat_map(|rule| &rule.matching) {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    if subjects.len() > MAX_SUBJECTS {
        let found = format!("{} different things to look at", subjects.len());
        return Err(field.instead(&found, &format!("at most {MAX_SUBJECTS} in all rules")));
    }
    Ok(rules)
}

fn read(field: &Field<'_>, earlier: &[Rule]) -> Result<Rule, ConfigError> {
    let mut rule = field.object()?;
    let name = rule.need(&["name"], "a name", |field| name(field, earlier))?;
    let matching = rule.need(&["match"], "an object", |field| {
        let matching = matching::read(field)?;
        reached(field, &matching, earlier)?;
        Ok(matching)
    })?;
    let percent = rule.take(&["percent"], sampling::percent)?;
    rule.finish()?;
    Ok(Rule { name, matching, percent })
}

fn name(field: &Field<'_>, earlier: &[Rule]) -> Result<String, ConfigError> {
    let name = field.visible(1..=MAX_NAME)?;
    if RESERVED.contains(&name.as_str()) {
        let found = format!("{} means something else on a span", field.shown());
        return Err(field.instead(&found, &format!("any but {}", RESERVED.join(", "))));
    }
    if earlier.iter().any(|other| other.name == name) {
        let found = format!("{} given twice", field.shown());
        return Err(field.instead(&found, "each name once"));
    }
    Ok(name)
}

/// That no earlier rule takes everything that this one would match.
fn reached(field: &Field<'_>, matching: &Match, earlier: &[Rule]) -> Result<(), ConfigError> {
    let covering =
        earlier.iter().enumerate().find(|(_, other)| matching::covers(&other.matching, matching));
    let Some((index, other)) = covering else {
        return Ok(());
    };
    let found = format!(
        "never reached, rule \"{}\" (sampling.rules[{index}]) matches all of it",
        other.name
    );
    Err(field.instead(&found, "something that no earlier rule matches"))
}
