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
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let place = place(field, &names)?;
    named.get(place).map(|(_, value)| *value).ok_or_else(|| field.is_not("a name"))
}

/// The place of the name that a field gives.
#[inline(never)]
fn place(field: &Field<'_>, names: &[&str]) -> Result<usize, ConfigError> {
    let text = field.string()?;
    let place = names.iter().position(|name| *name == text);
    place.ok_or_else(|| field.is_not(&format!("one of {}", names.join(", "))))
}
