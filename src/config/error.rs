//! Why a configuration is wrong, on one line.

use std::fmt;

use super::json::Value;

/// How much of a foreign text is repeated in a message, in characters.
const MAX_ECHO: usize = 64;

/// What is wrong with a configuration: the path of the key, what was found, what is allowed.
/// It is displayed on one line: `sampling: 140 is not a percentage from 0 to 100`.
#[derive(Clone, Debug, PartialEq, Eq)]
// Boxed, since every reader of a value hands one on.
pub struct ConfigError(Box<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    path: String,
    reason: String,
}

impl ConfigError {
    /// The path of the key: `customTags.account.header`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What is wrong there: `140 is not a percentage from 0 to 100`.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The value at `path`, shown as `found`, is not what it should be.
    pub(super) fn is_not(path: &str, found: &str, kind: &str) -> Self {
        Self::plain(path, format!("{found} is not {kind}"))
    }

    /// Something about `path` is wrong, and `allowed` says what would be right:
    /// `unknown key; allowed: sampling, queue`.
    pub(super) fn instead(path: &str, found: &str, allowed: &str) -> Self {
        Self::plain(path, format!("{found}; allowed: {allowed}"))
    }

    /// Something about `path` is wrong in a way that needs no more words:
    /// `not JSON: value expected at line 1 column 14`.
    pub(super) fn plain(path: &str, reason: String) -> Self {
        Self(Box::new(Line { path: path.to_owned(), reason }))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.reason())
    }
}

impl std::error::Error for ConfigError {}

/// Foreign text as a message may repeat it: one line, at most 64 characters.
pub fn echo(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().take(MAX_ECHO + 1) {
        match is_visible(c) {
            true => line.push(c),
            false => line.extend(c.escape_default()),
        }
    }
    let mut ends = line.char_indices().skip(MAX_ECHO - 1);
    if let (Some((last, _)), Some(_)) = (ends.next(), ends.next()) {
        line.truncate(last);
        line.push('…');
    }
    line
}

/// Foreign text in quotes, on one line. The standard library's own way would be 6,000 bytes of the module, most
/// of them for what is printable in Unicode.
pub fn quoted(text: &str) -> String {
    let mut line = String::from("\"");
    for c in text.chars() {
        match is_visible(c) && !matches!(c, '"' | '\\') {
            true => line.push(c),
            false => line.extend(c.escape_default()),
        }
    }
    line.push('"');
    line
}

/// A value as a message may repeat it: as JSON, one line, at most 64 characters. Texts inside
/// arrays and objects are left out, they may be credentials that stand in the wrong place.
pub(super) fn echo_value(value: &Value<'_>) -> String {
    let mut json = String::new();
    match value {
        Value::String(text) => write_text(&mut json, text),
        other => write_value(&mut json, other),
    }
    echo(&json)
}

/// Whether a character neither breaks a line nor hides in one; others are escaped: `\n`, `\u{7f}`.
fn is_visible(c: char) -> bool {
    let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !hides && !c.is_control()
}

fn write_text(json: &mut String, text: &str) {
    json.push('"');
    json.extend(text.chars().take(MAX_ECHO));
    json.push('"');
}

/// The value's own writer leaves no spaces, shows every text, and writes a megabyte where it is given one.
fn write_value(json: &mut String, value: &Value<'_>) {
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
        Value::Number((digits, _)) => json.push_str(digits),
    }
}

/// A number as a message may repeat it, to seven digits or so: `140.5`, `1e+300`. The standard library's own
/// writing of floats, exact to the last bit, would be 21 kB of the module.
pub(super) fn decimal(number: f64) -> String {
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let mut size = number.abs();
    if !size.is_finite() {
        return if size.is_nan() { "NaN".to_owned() } else { format!("{sign}inf") };
    }
    let mut exponent = 0;
    while size >= 1e9 || (exponent > 0 && size >= 10.0) {
        size /= 10.0;
        exponent += 1;
    }
    while size > 0.0 && (size < 1e-6 || (exponent < 0 && size < 1.0)) {
        size *= 10.0;
        exponent -= 1;
    }
    let millionths = (size * 1e6).round() as u64;
    let (whole, fraction) = (millionths / 1_000_000, millionths % 1_000_000);
    let mut text = format!("{sign}{whole}.{fraction:06}");
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    match exponent {
        0 => text,
        _ => format!("{text}e{exponent:+}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{decimal, quoted};

    #[test]
    fn what_is_quoted_stays_on_its_line_and_in_its_quotes() {
        for (text, expected) in [
            ("", r#""""#),
            ("zipkin", r#""zipkin""#),
            ("a\nb\t\u{7f}", r#""a\nb\t\u{7f}""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("é日\u{202e}", r#""é日\u{202e}""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (140.0, "140"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (99.999_999, "99.999999"),
            (100.000_001, "100.000001"),
            (65_536.5, "65536.5"),
            (999_999_999.0, "999999999"),
            (1e9, "1e+9"),
            (1e300, "1e+300"),
            (1.797_693_134_862_315_7e308, "1.797693e+308"),
            (-2.5e-9, "-2.5e-9"),
            (f64::MIN_POSITIVE, "2.225074e-308"),
            (5e-324, "4.940656e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(decimal(number), expected);
        }
    }
}
