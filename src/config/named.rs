//! Values that are written by name: a protocol, a format.

use super::error::ConfigError;
use super::field::Field;

/// Every value of a kind with its name.
pub type Named<T> = [(&'static str, T)];

/// The name of a value, which is empty for one that has none.
pub fn name_of<T: PartialEq>(named: &Named<T>, value: &T) -> &'static str {
    named.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

/// All names, as messages list them.
pub(super) fn names<T>(named: &Named<T>) -> String {
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// The value that a field names.
pub(super) fn one_of<T: Copy>(field: &Field<'_>, named: &Named<T>) -> Result<T, ConfigError> {
    let text = field.string()?;
    let found = named.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| field.is_not(&format!("one of {}", names(named))))
}
