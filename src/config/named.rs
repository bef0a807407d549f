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
    let place = place(field, &|index| named.get(index).map(|(name, _)| *name))?;
    named.get(place).map(|(_, value)| *value).ok_or_else(|| field.is_not("a name"))
}

/// The place of the name that a field gives. Once for all kinds of value, which is 400 bytes less for each.
#[inline(never)]
fn place(
    field: &Field<'_>,
    name: &dyn Fn(usize) -> Option<&'static str>,
) -> Result<usize, ConfigError> {
    let text = field.string()?;
    let mut names = String::new();
    let mut index = 0;
    while let Some(name) = name(index) {
        if name == text {
            return Ok(index);
        }
        names.push_str(if index == 0 { "" } else { ", " });
        names.push_str(name);
        index += 1;
    }
    Err(field.is_not(&format!("one of {names}")))
}
