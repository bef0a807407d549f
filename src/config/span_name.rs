//! What spans are called, where it is not by their service.

use super::error::ConfigError;
use super::field::{Field, Object};
use super::privacy;
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

/// Reads `{"spanName": {"template": "{method} {route}"}, "operations": ["/users/{id}"]}`.
#[inline(never)]
pub(super) fn read(
    name: &mut Template,
    operations: &mut Vec<String>,
    object: &mut Object<'_>,
) -> Result<(), ConfigError> {
    if let Some(field) = object.given(&["spanName"])? {
        let mut object = field.object()?;
        *name = template(&object.needed(&["template"], "a text such as {method} {route}")?)?;
        object.finish()?;
    }
    if let Some(field) = object.given(&["operations"])? {
        *operations = privacy::list(&field, is_operation, "a path such as /users/{id}")?;
    }
    Ok(())
}

/// A text of visible characters and spaces, with placeholders.
fn template(field: &Field<'_>) -> Result<Template, ConfigError> {
    let text = field.text(1..=MAX_TEMPLATE)?;
    let mut template = Template::new();
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
    Ok(template)
}

#[inline(never)]
fn unknown(field: &Field<'_>) -> ConfigError {
    let found = [&field.shown(), " has another placeholder"].concat();
    field.instead(&found, "{method}, {route}, {service}, {operation}")
}

fn is_operation(text: &str) -> bool {
    text == "/" || (text.starts_with('/') && privacy::is_path_pattern(text))
}
