//! Objects of the configuration as tables: each key with the kind of its value, the limits of that and where it goes.
//!
//! One reader walks them all, so that a key is some tens of bytes of the module.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::ConfigError;
use super::field::Field;
use super::{Ceiling, Percentage, PluginConfig, privacy, sampling};

/// A key of an object.
pub(super) struct Key {
    /// Its spellings, which mean the same; the first is shown to users.
    names: &'static [&'static str],
    /// What it is, where it has to be given.
    needed: &'static str,
    kind: Kind,
}

/// A key that may be left out.
pub(super) const fn key(names: &'static [&'static str], kind: Kind) -> Key {
    Key { names, needed: "", kind }
}

/// A key that has to be given, and what it is.
pub(super) const fn needed(
    names: &'static [&'static str],
    needed: &'static str,
    kind: Kind,
) -> Key {
    Key { names, needed, kind }
}

/// Where a value goes.
type Set<T> = fn(&mut PluginConfig, T);

/// What a value is, with the least and the most of it, and where it goes.
pub(super) enum Kind {
    /// True or false.
    Boolean(Set<bool>),
    /// A whole number.
    Integer(RangeInclusive<u32>, Set<usize>),
    /// A number, with its limits as they are written.
    Number([&'static str; 2], Set<f64>),
    /// A number from 0 to 100.
    Percent(Set<Percentage>),
    /// A duration, with its limits as they are written.
    Duration([&'static str; 2], Set<Duration>),
    /// A string of so many bytes.
    Text(RangeInclusive<usize>, Set<String>),
    /// The same, which no message shows.
    Secret(RangeInclusive<usize>, Set<String>),
    /// A string of so many visible characters of ASCII.
    Visible(RangeInclusive<usize>, Set<String>),
    /// One of these names, by its place among them.
    OneOf(&'static [&'static str], Set<usize>),
    /// A list of at most [`privacy::MAX_ITEMS`] texts that are right, and what such a text is.
    List(fn(&str) -> bool, &'static str, Set<Vec<String>>),
    /// Another object.
    Object(&'static [Key]),
    /// Two keys: this one, `ratePerSecond`, and `burst`.
    Ceiling(Set<Ceiling>),
    /// What is read by a function of its own.
    Own(fn(&mut PluginConfig, &Field<'_>) -> Result<(), ConfigError>),
}

/// Reads an object that has no other keys than these.
pub(super) fn read(
    config: &mut PluginConfig,
    field: &Field<'_>,
    keys: &[Key],
) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    for Key { names, needed, kind } in keys {
        if let Kind::Ceiling(set) = kind {
            if let Some(ceiling) = sampling::ceiling(&mut object)? {
                set(config, ceiling);
            }
            continue;
        }
        let given = match *needed {
            "" => object.given(names)?,
            needed => Some(object.needed(names, needed)?),
        };
        if let Some(field) = given {
            kind.read(config, &field)?;
        }
    }
    object.finish()
}

impl Kind {
    fn read(&self, config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
        match self {
            Self::Boolean(set) => set(config, field.boolean()?),
            Self::Integer(range, set) => set(config, field.integer(range.clone())?),
            Self::Number(limits, set) => set(config, field.decimal(limits)?),
            Self::Percent(set) => set(config, field.percent()?),
            Self::Duration(limits, set) => set(config, field.duration(limits, "")?),
            Self::Text(bytes, set) => set(config, field.text(bytes.clone())?),
            Self::Secret(bytes, set) => set(config, field.secret().text(bytes.clone())?),
            Self::Visible(bytes, set) => set(config, field.visible(bytes.clone())?),
            Self::OneOf(names, set) => set(config, field.place(names)?),
            Self::List(is_right, kind, set) => set(config, privacy::list(field, *is_right, kind)?),
            Self::Object(keys) => read(config, field, keys)?,
            // Its keys are two, and the object's.
            Self::Ceiling(_) => {}
            Self::Own(read) => read(config, field)?,
        }
        Ok(())
    }
}
