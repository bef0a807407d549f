//! Why a configuration is wrong, on one line.

use std::fmt;

use serde_json::Value;

/// How much of a foreign text is repeated in a message, in characters.
const MAX_ECHO: usize = 64;

/// What is wrong with a configuration: the path of the key, what was found, what is allowed.
/// It is displayed on one line: `sampling: 140 is not a percentage from 0 to 100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    found: String,
    allowed: Allowed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    /// What the value should have been: `140 is not a percentage from 0 to 100`.
    Kind(String),
    /// What may stand there: `unknown key; allowed: sampling, queue`.
    Values(String),
    /// The finding says it all: `not JSON: expected value at line 1 column 1`.
    Unsaid,
}

impl ConfigError {
    /// The value at `path`, shown as `found`, is not what it should be.
    pub(super) fn is_not(path: &str, found: String, kind: impl Into<String>) -> Self {
        Self::new(path, found, Allowed::Kind(kind.into()))
    }

    /// Something about `path` is wrong, and `allowed` says what would be right.
    pub(super) fn instead(
        path: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self::new(path, found.into(), Allowed::Values(allowed.into()))
    }

    /// Something about `path` is wrong in a way that needs no more words.
    pub(super) fn plain(path: &str, found: impl Into<String>) -> Self {
        Self::new(path, found.into(), Allowed::Unsaid)
    }

    fn new(path: &str, found: String, allowed: Allowed) -> Self {
        Self { path: path.to_owned(), found, allowed }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.found)?;
        match &self.allowed {
            Allowed::Kind(kind) => write!(f, " is not {kind}"),
            Allowed::Values(values) => write!(f, "; allowed: {values}"),
            Allowed::Unsaid => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Foreign text as a message may repeat it: one line, at most 64 characters.
pub(super) fn echo(text: &str) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().flat_map(visible).enumerate() {
        if count == MAX_ECHO {
            line.pop();
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

/// A value as a message may repeat it: as JSON, one line, at most 64 characters. Texts inside
/// arrays and objects are left out, they may be credentials that stand in the wrong place.
pub(super) fn echo_value(value: &Value) -> String {
    let mut json = String::new();
    match value {
        Value::String(text) => write_text(&mut json, text),
        other => write_value(&mut json, other),
    }
    echo(&json)
}

/// What breaks a line, or hides in one, escaped: `\n`, `\u{7f}`.
fn visible(c: char) -> impl Iterator<Item = char> {
    let unseen = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let (escaped, plain) = match unseen {
        true => (Some(c.escape_default()), None),
        false => (None, Some(c)),
    };
    escaped.into_iter().flatten().chain(plain)
}

fn write_text(json: &mut String, text: &str) {
    json.push('"');
    json.extend(text.chars().take(MAX_ECHO));
    json.push('"');
}

/// Serde's own writer leaves no spaces, shows every text, and writes a megabyte where it is given one.
fn write_value(json: &mut String, value: &Value) {
    if json.len() > MAX_ECHO * 4 {
        return;
    }
    match value {
        Value::String(_) => json.push_str("\"…\""),
        Value::Array(items) => {
            json.push('[');
            for (index, item) in items.iter().take(MAX_ECHO).enumerate() {
                json.push_str(if index == 0 { "" } else { ", " });
                write_value(json, item);
            }
            json.push(']');
        }
        Value::Object(members) => {
            json.push('{');
            for (index, (key, item)) in members.iter().take(MAX_ECHO).enumerate() {
                json.push_str(if index == 0 { "" } else { ", " });
                write_text(json, key);
                json.push_str(": ");
                write_value(json, item);
            }
            json.push('}');
        }
        Value::Null => json.push_str("null"),
        Value::Bool(yes) => json.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => json.push_str(&number.to_string()),
    }
}
