//! What of a request may leave the process: queries, parts of paths, what looks like a person's, addresses.

use super::error::ConfigError;
use super::field::{Field, Object};
use super::named::one_of;

/// The most keys of a query that are kept, and the most patterns of paths.
pub(super) const MAX_ITEMS: usize = 64;

/// The longest of either, in bytes.
pub(super) const MAX_LENGTH: usize = 256;

/// What can be masked wherever it stands in a value: `email`, what looks like an e-mail address, and
/// `card`, what looks like the number of a payment card.
pub const MASK_PATTERNS: [&str; 2] = ["email", "card"];

/// What of a request may leave the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// What becomes of the query of a URL.
    pub query: Query,
    /// Parts of paths that are secrets: `/reset/{token}` the named segments of paths that begin so,
    /// where `*` is any segment and `**` any number of them; `eyJ*` any segment that begins and ends so.
    pub path_redact: Vec<String>,
    /// Which of [`MASK_PATTERNS`] are masked.
    pub mask_patterns: Vec<String>,
    /// What is told of the client's address.
    pub client_address: ClientAddress,
}

/// What becomes of the query of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `drop`: it is left out.
    Drop,
    /// `{keep: [page]}`: its keys are kept, and the values of these.
    Keep(Vec<String>),
}

/// What is told of the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// `full`: all of it.
    #[default]
    Full,
    /// `truncate`: its network, the first 24 bits of version 4 and 48 of version 6.
    Truncate,
    /// `drop`: nothing.
    Drop,
}

impl ClientAddress {
    /// Each by its name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("full", Self::Full), ("truncate", Self::Truncate), ("drop", Self::Drop)];
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            query: Query::Keep(Vec::new()),
            path_redact: Vec::new(),
            mask_patterns: MASK_PATTERNS.map(str::to_owned).to_vec(),
            client_address: ClientAddress::default(),
        }
    }
}

/// Reads what the plugin configuration says of it.
pub(super) fn read(privacy: &mut Privacy, object: &mut Object<'_>) -> Result<(), ConfigError> {
    if let Some(field) = object.given(&["query"])? {
        privacy.query = query(&field)?;
    }
    if let Some(field) = object.given(&["pathRedact"])? {
        let kind = "a path such as /reset/{token} or a segment such as eyJ*";
        privacy.path_redact = list(&field, is_path_pattern, kind)?;
    }
    if let Some(field) = object.given(&["maskPatterns"])? {
        privacy.mask_patterns =
            list(&field, |name| MASK_PATTERNS.contains(&name), "one of email, card")?;
    }
    if let Some(field) = object.given(&["clientAddress"])? {
        privacy.client_address = one_of(&field, &ClientAddress::NAMED)?;
    }
    Ok(())
}

/// `drop`, `redact` or `{"keep": ["page"]}`.
fn query(field: &Field<'_>) -> Result<Query, ConfigError> {
    match field.string() {
        Ok("drop") => return Ok(Query::Drop),
        Ok("redact") => return Ok(Query::Keep(Vec::new())),
        _ => {}
    }
    let Ok(mut query) = field.object() else {
        return Err(field.is_not("drop, redact or an object with keep"));
    };
    let keep = query.need(&["keep"], "a list of keys", |keys| {
        list(keys, is_visible, "a key of visible ASCII characters")
    })?;
    query.finish()?;
    Ok(Query::Keep(keep))
}

fn is_visible(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether it is a template of a path, in which `**` stands once at most, or a segment with one star
/// and something else.
fn is_path_pattern(text: &str) -> bool {
    let stars = |star: &str| text.split('/').filter(|part| *part == star).count();
    let special = |byte: u8| b"*/{}?#;".contains(&byte);
    is_visible(text)
        && match text.strip_prefix('/') {
            Some(template) => stars("**") <= 1 && template.split('/').all(is_template_segment),
            None => text.len() > 1 && text.bytes().filter(|byte| special(*byte)).eq([b'*']),
        }
}

/// `*`, `**`, a name in braces, or what the segment has to be.
fn is_template_segment(part: &str) -> bool {
    let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
    let text = name.unwrap_or(part);
    matches!(part, "*" | "**") || !text.is_empty() && !text.contains(['*', '{', '}', '?', '#', ';'])
}

/// A list of texts, each of which `is_right`.
fn list(
    field: &Field<'_>,
    is_right: fn(&str) -> bool,
    kind: &str,
) -> Result<Vec<String>, ConfigError> {
    let mut list = Vec::new();
    for item in field.items()? {
        if list.len() == MAX_ITEMS {
            return Err(item.instead("one too many", &format!("at most {MAX_ITEMS}")));
        }
        let text = item.string()?;
        if !is_right(text) {
            return Err(item.is_not(kind));
        }
        list.push(text.to_owned());
    }
    Ok(list)
}
