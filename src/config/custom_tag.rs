//! Tags that operators add to every span. What Istio's Telemetry and mesh configuration has of them has
//! the same shape here.
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#Tracing-CustomTag>

use super::error::ConfigError;
use super::field::Field;
use super::named::named;
use super::plugin::MAX_TAG_LENGTH;
use super::{PluginConfig, header, privacy};

/// The most tags that one configuration may ask for.
pub(super) const MAX_TAGS: usize = 64;

/// The longest name of a tag, of a variable or of what a source is asked for, in bytes.
pub(super) const MAX_NAME: usize = 128;

/// The longest literal or default value, in bytes; no tag's value may be longer.
pub(super) const MAX_VALUE: usize = 65_536;

/// The most keys of a path in metadata.
pub(super) const MAX_PATH: usize = 16;

/// One tag of every span: its name, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomTag {
    /// The tag's name, 1 to 128 bytes.
    pub name: String,
    /// Where the value comes from.
    pub source: TagSource,
    /// What of it, see [`TagSource`].
    pub key: String,
    /// What the tag says where the source has nothing; without either there is no tag.
    pub default: Option<String>,
    /// How the value is shown.
    pub mode: TagMode,
    /// On which spans it is.
    pub on: TagOn,
    /// The longest value, in bytes, 1 to 65536, where it is not [`super::Settings::max_tag_length`].
    pub max_length: Option<usize>,
}

/// Where a custom tag's value comes from, and what its [`CustomTag::key`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// The same text on every span: the text.
    Literal,
    /// A variable of the environment that the VM was given: its name.
    Environment,
    /// A request header: its lower-case name, a token of RFC 9110 or `:authority`, `:method`, `:path`, `:scheme`.
    Header,
    /// A cookie of the request: its name.
    Cookie,
    /// A parameter of the URL's query: its name.
    QueryParameter,
    /// A segment of the path: a template of which one segment is in braces, `/users/{id}`.
    PathSegment,
    /// A member of W3C `baggage`: its name.
    Baggage,
    /// A trailer of the request: its lower-case name.
    RequestTrailer,
    /// A header of the response: the path of an attribute of Envoy's, whose parts have a NUL between them.
    ResponseHeader,
    /// A trailer of the response: likewise.
    ResponseTrailer,
    /// Metadata that other filters or the control plane have put there: likewise.
    Metadata,
    /// Any other attribute of Envoy's: likewise.
    Attribute,
}

impl CustomTag {
    /// A tag that says the same on every span.
    pub fn literal(name: &str, value: &str) -> Self {
        let (name, key) = (name.to_owned(), value.to_owned());
        let (mode, on) = (TagMode::Plain, TagOn::Both);
        let default = Some(value.to_owned());
        Self { name, source: TagSource::Literal, key, default, mode, on, max_length: None }
    }
}

impl TagSource {
    /// Whether Envoy has to be asked for it after the request's headers have come.
    pub fn is_asked_for(self) -> bool {
        matches!(
            self,
            Self::RequestTrailer
                | Self::ResponseHeader
                | Self::ResponseTrailer
                | Self::Metadata
                | Self::Attribute
        )
    }
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagMode {
    /// `plain`.
    #[default]
    Plain,
    /// `hash`: as half of its HMAC-SHA256 under the key of the configuration.
    Hash,
    /// `mask`: its last characters, if there are enough before them.
    Mask,
}

impl TagMode {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("plain", Self::Plain), ("hash", Self::Hash), ("mask", Self::Mask)];
}

/// On which spans a tag is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagOn {
    /// `both`.
    #[default]
    Both,
    /// `inbound`: those of requests that were received for the application.
    Inbound,
    /// `outbound`: those of requests that the application or a gateway sent.
    Outbound,
}

impl TagOn {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("both", Self::Both), ("inbound", Self::Inbound), ("outbound", Self::Outbound)];
}

/// A source by its key, what it is asked for, and how that is read.
pub(super) struct Source {
    pub(super) names: &'static [&'static str],
    pub(super) source: TagSource,
    pub(super) key: &'static [&'static str],
    wanted: &'static str,
    read: fn(&Field<'_>) -> Result<String, ConfigError>,
}

const fn source(
    names: &'static [&'static str],
    source: TagSource,
    key: &'static [&'static str],
    wanted: &'static str,
    read: fn(&Field<'_>) -> Result<String, ConfigError>,
) -> Source {
    Source { names, source, key, wanted, read }
}

const NAME: &[&str] = &["name"];
const HEADER: &str = "the name of a header";
const PARAMETER: &str = "a name without =, &, ; and ,";

/// Every source.
pub(super) static SOURCES: [Source; 12] = [
    source(&["literal"], TagSource::Literal, &["value"], "a string", value),
    source(&["header"], TagSource::Header, NAME, HEADER, header_name),
    source(&["environment"], TagSource::Environment, NAME, "the name of a variable", variable),
    source(&["cookie"], TagSource::Cookie, NAME, PARAMETER, parameter),
    source(&["queryParameter"], TagSource::QueryParameter, NAME, PARAMETER, parameter),
    source(&["pathSegment"], TagSource::PathSegment, &["template"], TEMPLATE, template),
    source(&["baggage"], TagSource::Baggage, NAME, PARAMETER, parameter),
    source(&["requestTrailer"], TagSource::RequestTrailer, NAME, HEADER, header_name),
    source(&["responseHeader"], TagSource::ResponseHeader, NAME, HEADER, header_name),
    source(&["responseTrailer"], TagSource::ResponseTrailer, NAME, HEADER, header_name),
    source(&["metadata"], TagSource::Metadata, &["path"], "a list of keys", path),
    source(&["attribute"], TagSource::Attribute, NAME, "the name of an attribute", attribute),
];

/// Metadata by its kind, and where among the attributes it is.
pub(super) const METADATA: [(&str, &str); 4] = [
    ("dynamic", "metadata\0filter_metadata\0"),
    ("route", "xds\0route_metadata\0filter_metadata\0"),
    ("cluster", "xds\0cluster_metadata\0filter_metadata\0"),
    ("host", "xds\0upstream_host_metadata\0filter_metadata\0"),
];

const TEMPLATE: &str = "a path with one segment in braces, such as /users/{id}";

/// An object of tags by name: `{"account": {"header": {"name": "x-account-id"}}}`. They are sorted.
pub(super) fn list(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    let tags = &mut config.custom_tags;
    for (name, tag) in field.entries(MAX_TAGS)? {
        let tag = read(name, &tag)?;
        tags.insert(tags.partition_point(|other| other.name < tag.name), tag);
    }
    Ok(())
}

/// One tag: `{"literal": {"value": "prod"}}`, not `{"literal": "prod"}`.
pub(super) fn read(name: &str, field: &Field<'_>) -> Result<CustomTag, ConfigError> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        let found = format!("a tag's name of {} bytes", name.len());
        return Err(field.instead(&found, &format!("1 to {MAX_NAME} bytes")));
    }
    let mut object = field.object()?;
    let mut given = None;
    let mut count = 0;
    for source in &SOURCES {
        if let Some(field) = object.given(source.names)? {
            given = Some((source, field));
            count += 1;
        }
    }
    let allows_secrets = object.given(&["allowSensitive"])?.map(|yes| yes.boolean()).transpose()?;
    let mode = object.given(&["mode"])?;
    let mode = mode.map(|mode| named(&mode, &TagMode::NAMED)).transpose()?.unwrap_or_default();
    // YAML 1.1, which Kubernetes reads, takes the key for a truth.
    let on = object.given(&["on", "true"])?;
    let on = on.map(|on| named(&on, &TagOn::NAMED)).transpose()?.unwrap_or_default();
    let max_length = object.given(&["maxLength"])?;
    object.finish()?;
    let max_length = max_length.map(|length| length.integer(1..=MAX_TAG_LENGTH)).transpose()?;
    let Some((source, place)) = given.filter(|_| count == 1) else {
        let found = if count == 0 { "no source" } else { "more than one source" };
        let names: Vec<&str> =
            SOURCES.iter().filter_map(|source| source.names.first().copied()).collect();
        return Err(field.instead(found, &format!("exactly one of {}", names.join(", "))));
    };
    let is_constant = matches!(source.source, TagSource::Literal | TagSource::Environment);
    if is_constant && mode != TagMode::Plain {
        return Err(field.instead("mode of what no request says", "a source in the request"));
    }
    let (key, default) = read_source(source, &place, allows_secrets == Some(true))?;
    let name = name.to_owned();
    Ok(CustomTag { name, source: source.source, key, default, mode, on, max_length })
}

/// What a source is asked for, and the default.
fn read_source(
    source: &Source,
    field: &Field<'_>,
    allows_secrets: bool,
) -> Result<(String, Option<String>), ConfigError> {
    let mut object = field.object()?;
    let prefix = match source.source {
        TagSource::ResponseHeader => "response\0headers\0",
        TagSource::ResponseTrailer => "response\0trailers\0",
        TagSource::Metadata => {
            named(&object.needed(&["kind"], "one of dynamic, route, cluster, host")?, &METADATA)?
        }
        _ => "",
    };
    let place = object.needed(source.key, source.wanted)?;
    let key = (source.read)(&place)?;
    if !allows_secrets && is_secret(source.source, &key) {
        let found = [&place.shown(), " lets people in"].concat();
        return Err(place.instead(&found, "another one, or allowSensitive: true beside it"));
    }
    let default = match source.source {
        TagSource::Literal => None,
        _ => object.given(&["defaultValue", "default_value"])?,
    };
    object.finish()?;
    let default = default.map(|value| value.text(0..=MAX_VALUE)).transpose()?;
    // An empty default is none: Istio's own type cannot tell one from the other.
    Ok(([prefix, &key].concat(), default.filter(|value| !value.is_empty())))
}

/// What the names of cookies have in them besides whose values let somebody in.
pub(super) const SECRET_COOKIES: [&str; 3] = ["auth", "sess", "sid"];

/// Whether a value lets somebody in, by what it is called. Of metadata it is the last key that counts: a
/// claim of a token is none. What is literal or of the environment is the operator's own.
fn is_secret(source: TagSource, key: &str) -> bool {
    let last = key.rsplit('\0').next().filter(|_| source == TagSource::Metadata);
    let name = last.unwrap_or(key).to_ascii_lowercase();
    match source {
        TagSource::Literal | TagSource::Environment | TagSource::PathSegment => false,
        // The values of a query are secrets.
        TagSource::Attribute if name == "request\0query" => true,
        TagSource::Cookie if header::has_any(&name, &SECRET_COOKIES) => true,
        _ => header::is_secret(&name),
    }
}

fn header_name(field: &Field<'_>) -> Result<String, ConfigError> {
    field.header_name()
}

fn value(field: &Field<'_>) -> Result<String, ConfigError> {
    field.text(1..=MAX_VALUE)
}

fn variable(field: &Field<'_>) -> Result<String, ConfigError> {
    without(b"=\0", field.text(1..=MAX_NAME)?, field, "the name of an environment variable")
}

fn parameter(field: &Field<'_>) -> Result<String, ConfigError> {
    without(b"=&;,", field.visible(1..=MAX_NAME)?, field, PARAMETER)
}

/// A text that has none of these bytes.
#[inline(never)]
fn without(
    bytes: &[u8],
    text: String,
    field: &Field<'_>,
    kind: &str,
) -> Result<String, ConfigError> {
    match text.bytes().any(|byte| bytes.contains(&byte)) {
        true => Err(field.is_not(kind)),
        false => Ok(text),
    }
}

fn template(field: &Field<'_>) -> Result<String, ConfigError> {
    let template = field.string()?;
    let named = template.bytes().filter(|byte| *byte == b'{').count();
    match named == 1 && privacy::is_path_pattern(template) {
        true => Ok(template.to_owned()),
        false => Err(field.is_not(TEMPLATE)),
    }
}

fn path(field: &Field<'_>) -> Result<String, ConfigError> {
    let mut path = String::new();
    for key in field.items(1..=MAX_PATH)? {
        if !path.is_empty() {
            path.push('\0');
        }
        path.push_str(&without(b"\0", key.text(1..=MAX_NAME)?, &key, "a key of metadata")?);
    }
    Ok(path)
}

fn attribute(field: &Field<'_>) -> Result<String, ConfigError> {
    let mut name = field.visible(1..=MAX_NAME)?.into_bytes();
    for byte in &mut name {
        if *byte == b'.' {
            *byte = 0;
        }
    }
    String::from_utf8(name).map_err(|_| field.is_not("the name of an attribute"))
}
