//! What spans are called, where it is not by their service.

use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::{self, List, Own};
use super::keys::{Key, needed};
use super::{PluginConfig, privacy};
use core::mem;

/// The longest template, in bytes.
pub(super) const MAX_TEMPLATE: usize = 128;

/// What stands for a placeholder, none of it without bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{method}`.
    Method,
    /// `{route}`: the route's name, else the operation.
    Route,
    /// `{service}`.
    Service,
    /// `{operation}`: the template in [`super::Settings::operations`] that matches the path.
    Operation,
}

impl Placeholder {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("method", Self::Method),
        ("route", Self::Route),
        ("service", Self::Service),
        ("operation", Self::Operation),
    ];
}

/// Texts, each with what follows it; only the last may have nothing.
pub type Template = Vec<(String, Option<Placeholder>)>;

/// `{"template": "{method} {route}"}`.
pub(super) static KEYS: [Key; 1] =
    [needed(&["template"], "a text such as {method} {route}", Own(template))];

/// `operations`: `["/users/{id}"]`.
pub(super) const OPERATIONS: Kind =
    List(is_operation, "a path such as /users/{id}", |config, paths| config.operations = paths);

/// A text of visible characters and spaces, with placeholders.
fn template(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let text = field.text(1..=MAX_TEMPLATE)?;
    let template = &mut config.span_name;
    let mut before = String::new();
    let mut name = None;
    for byte in text.bytes() {
        match (byte, &mut name) {
            (b'{', None) => name = Some(String::new()),
            (b'}', Some(word)) => {
                let known = Placeholder::NAMED.iter().find(|(known, _)| known == word);
                let Some((_, placeholder)) = known else { return Err(unknown(field)) };
                template.push((mem::take(&mut before), Some(*placeholder)));
                name = None;
            }
            (b'{' | b'}', _) => return Err(unknown(field)),
            (b' '..=b'~', Some(word)) => word.push(byte.into()),
            (b' '..=b'~', None) => before.push(byte.into()),
            _ => return Err(field.is_not("a string of visible ASCII characters and spaces")),
        }
    }
    if name.is_some() {
        return Err(unknown(field));
    }
    template.push((before, None));
    Ok(())
}

#[inline(never)]
fn unknown(field: &Field<'_>) -> ConfigError {
    let found = [&field.shown(), " has another placeholder"].concat();
    field.instead(&found, "{method}, {route}, {service}, {operation}")
}

fn is_operation(text: &str) -> bool {
    text == "/" || (text.starts_with('/') && privacy::is_path_pattern(text))
}
