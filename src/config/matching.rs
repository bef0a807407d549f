//! Which requests a rule is for.

use super::error::{ConfigError, echo};
use super::field::Field;
use super::header;
use super::named::{Named, one_of};

/// The longest text to compare with, in bytes.
pub(super) const MAX_TEXT: usize = 256;

/// The most methods and the most headers of one rule.
pub(super) const MAX_METHODS: usize = 16;
pub(super) const MAX_HEADERS: usize = 16;

/// What a request has to be: subjects, each once, with what they are compared to, the cheapest first.
/// All of it has to hold, and there is something.
pub type Match = Vec<(Subject, Matcher)>;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A header by its lower-case name; of `:path` without the query, of `:authority` without user
    /// information and port.
    Header(String),
    /// What Envoy knows besides.
    Attribute(Attribute),
}

/// What Envoy knows of a request besides its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The listener's direction, `inbound` or `outbound`.
    Direction,
    /// The route's name.
    Route,
    /// The upstream cluster's name.
    Cluster,
}

/// How a text is compared, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// It is this.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// It ends so.
    Suffix(String),
    /// It is one of these.
    AnyOf(Vec<String>),
}

/// A listener receives for the application, or the application or a gateway sends through it.
pub(super) const DIRECTIONS: &Named<&str> = &[("inbound", "inbound"), ("outbound", "outbound")];

/// What a rule's `match` says.
pub(super) fn read(field: &Field<'_>) -> Result<Match, ConfigError> {
    let mut object = field.object()?;
    let mut matching = Match::new();
    let header = |name: &str| Subject::Header(name.to_owned());
    for (keys, subject, read) in [
        (&["path"], header(":path"), path as fn(&Field<'_>) -> Result<Matcher, ConfigError>),
        (&["method"], header(":method"), methods),
        (&["host"], header(":authority"), host),
        (&["userAgent"], header("user-agent"), any),
    ] {
        if let Some(field) = object.given(keys)? {
            matching.push((subject, read(&field)?));
        }
    }
    if let Some(field) = object.given(&["headers"])? {
        headers(&field, &mut matching)?;
    }
    for (keys, attribute, read) in [
        (
            &["direction"],
            Attribute::Direction,
            direction as fn(&Field<'_>) -> Result<Matcher, ConfigError>,
        ),
        (&["route"], Attribute::Route, any),
        (&["cluster"], Attribute::Cluster, any),
    ] {
        if let Some(field) = object.given(keys)? {
            matching.push((Subject::Attribute(attribute), read(&field)?));
        }
    }
    object.finish()?;
    match matching.is_empty() {
        true => {
            Err(field.instead("matches everything", "something to match, percent is for the rest"))
        }
        false => Ok(matching),
    }
}

/// Whether `wide` matches everything that `narrow` does, as far as that can be told.
pub(super) fn covers(wide: &Match, narrow: &Match) -> bool {
    wide.iter().all(|(subject, matcher)| {
        narrow.iter().any(|(other, narrow)| other == subject && matcher.covers(narrow))
    })
}

impl Matcher {
    /// Whether these bytes, which need not be UTF-8, are such a text.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => is(value, text),
            Self::Prefix(text) => value.get(..text.len()).is_some_and(|start| is(start, text)),
            Self::Suffix(text) => {
                let start = value.len().checked_sub(text.len());
                start.and_then(|start| value.get(start..)).is_some_and(|end| is(end, text))
            }
            Self::AnyOf(texts) => texts.iter().any(|text| is(value, text)),
        }
    }

    /// Whether this matches everything that `other` does.
    fn covers(&self, other: &Self) -> bool {
        match other {
            Self::Exact(text) => self.matches(text.as_bytes()),
            Self::AnyOf(texts) => texts.iter().all(|text| self.matches(text.as_bytes())),
            Self::Prefix(text) => matches!(self, Self::Prefix(wide) if text.starts_with(wide)),
            Self::Suffix(text) => matches!(self, Self::Suffix(wide) if text.ends_with(wide)),
        }
    }

    /// The text, of one that is read as one.
    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::AnyOf(_) => "",
        }
    }
}

/// Whether these are the same. Texts differ in their length or at one of their ends as a rule, and to
/// see that costs less than to begin to compare them.
fn is(value: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    value.len() == text.len()
        && value.last() == text.last()
        && value.first() == text.first()
        && value == text
}

/// One way to compare: `{"prefix": "/pay"}`, not `"/pay"`.
fn any(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let mut object = field.object()?;
    let mut found = Vec::new();
    for (keys, matcher) in [
        (&["exact"], Matcher::Exact as fn(String) -> Matcher),
        (&["prefix"], Matcher::Prefix),
        (&["suffix"], Matcher::Suffix),
    ] {
        if let Some(field) = object.given(keys)? {
            found.push(matcher(field.text(1..=MAX_TEXT)?));
        }
    }
    object.finish()?;
    match (found.pop(), found.is_empty()) {
        (Some(matcher), true) => Ok(matcher),
        (matcher, _) => {
            let found = matcher.map_or("nothing to compare with", |_| "more than one comparison");
            Err(field.instead(found, "exactly one of exact, prefix, suffix"))
        }
    }
}

/// A path begins with a slash, but for `OPTIONS *`, and its query is not compared.
fn path(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let path = any(field)?;
    let begins = path.text().starts_with(['/', '*']) || matches!(path, Matcher::Suffix(_));
    if !begins {
        let found = format!("no path begins with \"{}\"", echo(path.text()));
        return Err(field.instead(&found, "a slash before it"));
    }
    match path.text().contains('?') {
        true => Err(uncompared(field, &path, "query", "a path")),
        false => Ok(path),
    }
}

/// A host without a port: only an address of IPv6 has colons, in brackets.
fn host(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let host = any(field)?;
    match host.text().contains(':') && !host.text().contains(['[', ']']) {
        true => Err(uncompared(field, &host, "port", "a host")),
        false => Ok(host),
    }
}

fn uncompared(field: &Field<'_>, matcher: &Matcher, part: &str, whole: &str) -> ConfigError {
    let found = format!("\"{}\" has a {part}, which is not compared", echo(matcher.text()));
    field.instead(&found, &format!("{whole} without one"))
}

fn direction(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    one_of(field, DIRECTIONS).map(|direction| Matcher::Exact(direction.to_owned()))
}

fn methods(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let items = field.items()?;
    if !(1..=MAX_METHODS).contains(&items.len()) {
        let found = format!("{} methods", items.len());
        return Err(field.instead(&found, &format!("1 to {MAX_METHODS}")));
    }
    let mut methods = Vec::new();
    for item in items {
        let method = item.text(1..=MAX_TEXT)?;
        let in_upper_case = method.to_ascii_uppercase() == method;
        if !in_upper_case || header::field_name(&method).is_none() {
            return Err(item.is_not("a method, in upper case"));
        }
        if methods.contains(&method) {
            let found = format!("{} given twice", item.shown());
            return Err(item.instead(&found, "each method once"));
        }
        methods.push(method);
    }
    Ok(Matcher::AnyOf(methods))
}

fn headers(field: &Field<'_>, matching: &mut Match) -> Result<(), ConfigError> {
    for (name, value) in field.entries(MAX_HEADERS)? {
        let Some(name) = header::field_name(name).filter(|name| name != "host") else {
            let allowed = "the name of a header; path, method and host stand beside headers";
            return Err(value.instead("no header of that name comes in", allowed));
        };
        let subject = Subject::Header(name);
        if matching.iter().any(|(other, _)| *other == subject) {
            let allowed = "each header once, and userAgent is one of them";
            return Err(value.instead("given twice", allowed));
        }
        matching.push((subject, any(&value)?));
    }
    Ok(())
}
