//! Tags that operators add to every span, in the shape of Istio's Telemetry and mesh configuration.
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#Tracing-CustomTag>

use super::error::ConfigError;
use super::field::{Field, Object};
use super::header;

/// The most tags that one configuration may ask for.
pub(super) const MAX_TAGS: usize = 64;

/// The longest name of a tag, in bytes.
pub(super) const MAX_NAME: usize = 128;

/// The longest literal or default value, in bytes; no tag's value may be longer.
pub(super) const MAX_VALUE: usize = 65_536;

/// One tag of every span: its name, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomTag {
    /// The tag's name, 1 to 128 bytes.
    pub name: String,
    /// Where the value comes from.
    pub source: TagSource,
}

/// Where a custom tag's value comes from; without value and default there is no tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// The same text on every span.
    Literal(String),
    /// A request header.
    Header {
        /// The header's name, lower-cased: a token of RFC 9110, or `:authority`, `:method`, `:path`, `:scheme`.
        name: String,
        /// What the tag says when the request has no such header.
        default: Option<String>,
    },
    /// A variable of the environment that the VM was given.
    Environment {
        /// The variable's name.
        name: String,
        /// What the tag says when there is no such variable.
        default: Option<String>,
    },
}

/// An object of tags by name: `{"account": {"header": {"name": "x-account-id"}}}`. They are sorted.
pub(super) fn list(field: &Field<'_>) -> Result<Vec<CustomTag>, ConfigError> {
    let mut tags: Vec<CustomTag> = Vec::new();
    for (name, tag) in field.entries(MAX_TAGS)? {
        let tag = read(name, &tag)?;
        tags.insert(tags.partition_point(|other| other.name < tag.name), tag);
    }
    Ok(tags)
}

/// One tag: `{"literal": {"value": "prod"}}`, not `{"literal": "prod"}`.
pub(super) fn read(name: &str, field: &Field<'_>) -> Result<CustomTag, ConfigError> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        let found = format!("a tag's name of {} bytes", name.len());
        return Err(field.instead(&found, &format!("1 to {MAX_NAME} bytes")));
    }
    let mut tag = field.object()?;
    let sources = (tag.given(&["literal"])?, tag.given(&["header"])?, tag.given(&["environment"])?);
    let allow_sensitive = match tag.given(&["allowSensitive"])? {
        Some(yes) => yes.boolean()?,
        None => false,
    };
    tag.finish()?;
    let source = match &sources {
        (Some(source), None, None) => literal(source)?,
        (None, Some(source), None) => request_header(source, allow_sensitive)?,
        (None, None, Some(source)) => environment(source)?,
        _ => {
            let none = matches!(sources, (None, None, None));
            let found = if none { "no source" } else { "more than one source" };
            return Err(field.instead(found, "exactly one of literal, header, environment"));
        }
    };
    Ok(CustomTag { name: name.to_owned(), source })
}

fn literal(field: &Field<'_>) -> Result<TagSource, ConfigError> {
    let mut literal = field.object()?;
    let value = literal.need(&["value"], "a string", |value| value.text(1..=MAX_VALUE))?;
    literal.finish()?;
    Ok(TagSource::Literal(value))
}

fn request_header(field: &Field<'_>, allow_sensitive: bool) -> Result<TagSource, ConfigError> {
    let mut header = field.object()?;
    let name = header.need(&["name"], "the name of a header", |name| {
        let text = name.header_name()?;
        match header::is_secret(&text) && !allow_sensitive {
            true => Err(name.instead(
                &format!("{} lets people in", name.shown()),
                "another header, or allowSensitive: true beside it",
            )),
            false => Ok(text),
        }
    })?;
    let default = default_value(&mut header)?;
    header.finish()?;
    Ok(TagSource::Header { name, default })
}

fn environment(field: &Field<'_>) -> Result<TagSource, ConfigError> {
    let mut environment = field.object()?;
    let name = environment.need(&["name"], "the name of a variable", variable)?;
    let default = default_value(&mut environment)?;
    environment.finish()?;
    Ok(TagSource::Environment { name, default })
}

fn variable(field: &Field<'_>) -> Result<String, ConfigError> {
    let name = field.text(1..=MAX_NAME)?;
    match name.contains(['=', '\0']) {
        true => Err(field.is_not("the name of an environment variable")),
        false => Ok(name),
    }
}

/// An empty default is none: Istio's own type cannot tell one from the other.
fn default_value(source: &mut Object<'_>) -> Result<Option<String>, ConfigError> {
    let value =
        source.take(&["defaultValue", "default_value"], |value| value.text(0..=MAX_VALUE))?;
    Ok(value.filter(|value| !value.is_empty()))
}
