//! What of a request may leave the process: queries, parts of paths, what looks like a person's, addresses.

use super::PluginConfig;
use super::error::ConfigError;
use super::field::Field;
use super::keys::Kind::{self, List};
use super::keys::{Key, needed, read};

/// The most keys of a query that are kept, and the most patterns of paths.
pub(super) const MAX_ITEMS: usize = 64;

/// The longest of either, in bytes.
pub(super) const MAX_LENGTH: usize = 256;

/// What of a request may leave the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// What becomes of the query of a URL.
    pub query: Query,
    /// Parts of paths that are secrets: `/reset/{token}` the named segments of paths that begin so,
    /// where `*` is any segment and `**` any number of them; `eyJ*` any segment that begins and ends so.
    pub path_redact: Vec<String>,
    /// Whether what looks like an e-mail address is masked wherever it stands in a value.
    pub mask_emails: bool,
    /// Whether what looks like the number of a payment card is.
    pub mask_cards: bool,
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
            mask_emails: true,
            mask_cards: true,
            client_address: ClientAddress::default(),
        }
    }
}

/// `pathRedact`.
pub(super) const PATH_REDACT: Kind = List(
    is_path_pattern,
    "a path such as /reset/{token} or a segment such as eyJ*",
    |config, list| {
        config.privacy.path_redact = list;
    },
);

/// `maskPatterns`.
pub(super) const MASK_PATTERNS: Kind = List(
    |name| matches!(name, "email" | "card"),
    "one of email, card",
    |config, names| {
        config.privacy.mask_emails = names.iter().any(|name| name == "email");
        config.privacy.mask_cards = names.iter().any(|name| name == "card");
    },
);

/// `drop`, `redact` or `{"keep": ["page"]}`.
pub(super) fn query(config: &mut PluginConfig, field: &Field<'_>) -> Result<(), ConfigError> {
    config.privacy.query = match field.string() {
        Ok("drop") => Query::Drop,
        Ok("redact") => Query::Keep(Vec::new()),
        _ if field.is_object() => return read(config, field, &QUERY),
        _ => return Err(field.is_not("drop, redact or an object with keep")),
    };
    Ok(())
}

static QUERY: [Key; 1] = [needed(
    &["keep"],
    "a list of keys",
    List(is_visible, "a key of visible ASCII characters", |config, keys| {
        config.privacy.query = Query::Keep(keys);
    }),
)];

fn is_visible(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether it is a template of a path, in which `**` stands once at most, or a segment with one star
/// and something else.
pub(super) fn is_path_pattern(text: &str) -> bool {
    let template = text.strip_prefix('/');
    let mut any_number = 0;
    let is_right = |part: &[u8]| {
        let special = part.iter().filter(|byte| b"*{}?#;".contains(byte)).count();
        match part {
            b"**" => any_number += 1,
            [b'{', _, .., b'}'] => return special == 2 && template.is_some(),
            [b'*'] | [] => return special == 1 && template.is_some(),
            _ if special == 0 => return template.is_some(),
            _ => return special == 1 && part.contains(&b'*'),
        }
        template.is_some() && any_number == 1
    };
    is_visible(text)
        && (template.is_some() || !text.contains('/'))
        && template.unwrap_or(text).as_bytes().split(|byte| *byte == b'/').all(is_right)
}

/// A list of texts, each of which `is_right`.
#[inline(never)]
pub(super) fn list(
    field: &Field<'_>,
    is_right: fn(&str) -> bool,
    kind: &str,
) -> Result<Vec<String>, ConfigError> {
    let mut list = Vec::new();
    for item in field.items(0..=MAX_ITEMS)? {
        let text = item.string()?;
        if !is_right(text) {
            return Err(item.is_not(kind));
        }
        list.push(text.to_owned());
    }
    Ok(list)
}
