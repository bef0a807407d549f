//! Which requests a rule is for.

use std::borrow::Cow;

use super::error::ConfigError;
use super::field::Field;
use super::header;
use crate::regex::{Mistake, Regex};

/// The longest text or pattern to compare with, in bytes.
pub(super) const MAX_TEXT: usize = 256;

/// The most methods and the most headers of one rule.
pub(super) const MAX_METHODS: usize = 16;
pub(super) const MAX_HEADERS: usize = 16;

/// What a request has to be: subjects, each once, with what they are compared to, the cheapest first.
/// All of it has to hold, and there is something.
pub type Match = Vec<(Subject, Matcher)>;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A header, by its place in [`super::Sampling::headers`]; of `:path` without the query, of
    /// `:authority` without user information and port.
    Header(usize),
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
    /// The identity in the client's certificate. No rule asks for it.
    ClientIdentity,
}

/// What a text has to be, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// It is compared in one way with each of some texts, one of which has to match. None is empty.
    Texts(Way, Vec<String>),
    /// It is not empty, and this has a match in it.
    Regex(Regex),
}

/// A way to compare texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is this.
    Exact,
    /// It begins so.
    Prefix,
    /// It ends so.
    Suffix,
}

/// The headers that have keys of their own, in the order of [`KEYS`].
pub(super) const OWN_HEADERS: [&str; 4] = [":path", ":method", ":authority", "user-agent"];

/// A listener receives for the application, or the application or a gateway sends through it.
pub(super) const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];

type Read = fn(&Field<'_>) -> Result<Matcher, ConfigError>;

/// What has a key of its own.
static KEYS: [(&[&str], Subject, Read); 7] = [
    (&["path"], Subject::Header(0), path),
    (&["method"], Subject::Header(1), methods),
    (&["host"], Subject::Header(2), host),
    (&["userAgent"], Subject::Header(3), any),
    (&["direction"], Subject::Attribute(Attribute::Direction), direction),
    (&["route"], Subject::Attribute(Attribute::Route), any),
    (&["cluster"], Subject::Attribute(Attribute::Cluster), any),
];

/// What a rule's `match` says. `names` are those of [`super::Sampling::headers`].
pub(super) fn read(
    field: &Field<'_>,
    names: &mut Vec<Cow<'static, str>>,
    matching: &mut Match,
) -> Result<(), ConfigError> {
    let mut object = field.object()?;
    for (place, (keys, subject, read)) in KEYS.iter().enumerate() {
        // Before what has to be asked for.
        if place == OWN_HEADERS.len()
            && let Some(field) = object.given(&["headers"])?
        {
            headers(&field, names, matching)?;
        }
        if let Some(field) = object.given(keys)? {
            matching.push((*subject, read(&field)?));
        }
    }
    object.finish()?;
    match matching.is_empty() {
        true => Err(field.instead("matches everything", "something to match")),
        false => Ok(()),
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
            Self::Texts(way, texts) => texts.iter().any(|text| way.matches(value, text.as_bytes())),
            // A header that is absent is empty, and matches no pattern either.
            Self::Regex(regex) => !value.is_empty() && regex.is_match(value),
        }
    }

    /// Whether this matches everything that `other` does.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Texts(Way::Exact, texts)) => {
                texts.iter().all(|text| self.matches(text.as_bytes()))
            }
            (Self::Texts(way, _), Self::Texts(same, texts)) if way == same => {
                texts.iter().all(|text| self.matches(text.as_bytes()))
            }
            _ => self == other,
        }
    }
}

impl Way {
    /// Every way by its key, and the key of a pattern.
    const KEYS: [(&[&str], Option<Self>); 4] = [
        (&["exact"], Some(Self::Exact)),
        (&["prefix"], Some(Self::Prefix)),
        (&["suffix"], Some(Self::Suffix)),
        (&["regex"], None),
    ];

    fn matches(self, value: &[u8], text: &[u8]) -> bool {
        let part = match self {
            Self::Exact => Some(value),
            Self::Prefix => value.get(..text.len()),
            Self::Suffix => {
                value.len().checked_sub(text.len()).and_then(|start| value.get(start..))
            }
        };
        // Texts differ in their length or at one of their ends as a rule, and to see that costs less
        // than to begin to compare them.
        part.is_some_and(|part| {
            part.len() == text.len()
                && part.last() == text.last()
                && part.first() == text.first()
                && part == text
        })
    }
}

/// One way to compare any text: `{"prefix": "/pay"}`, not `"/pay"`.
fn any(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    text(field, "", |_, _| true)
}

/// The same where only texts that `allows` says yes to can match; they are called `kind`. Of a pattern
/// that cannot be said.
fn text(
    field: &Field<'_>,
    kind: &str,
    allows: fn(Way, &[u8]) -> bool,
) -> Result<Matcher, ConfigError> {
    let mut object = field.object()?;
    let mut given = None;
    let mut count = 0;
    for (keys, way) in &Way::KEYS {
        if let Some(field) = object.given(keys)? {
            given = Some((field, *way));
            count += 1;
        }
    }
    object.finish()?;
    match given {
        Some((field, None)) if count == 1 => pattern(&field),
        Some((field, Some(way))) if count == 1 => {
            let text = field.text(1..=MAX_TEXT)?;
            match allows(way, text.as_bytes()) {
                true => Ok(Matcher::Texts(way, vec![text])),
                false => Err(field.is_not(kind)),
            }
        }
        _ => {
            let found = if count == 0 { "no comparison" } else { "more than one comparison" };
            Err(field.instead(found, "exactly one of exact, prefix, suffix, regex"))
        }
    }
}

/// A pattern to look for: `"^vip-"`, not `"(vip"`.
fn pattern(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let text = field.text(1..=MAX_TEXT)?;
    let regex = Regex::new(&text).map_err(|mistake| {
        let Mistake { found, column, reason } = mistake;
        field.wrong_at(found, column, reason.text())
    })?;
    Ok(Matcher::Regex(regex))
}

/// A path begins with a slash, but for `OPTIONS *`, and its query is not compared.
fn path(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    text(field, "a path from its slash on, without a query", |way, text| {
        let begins = way == Way::Suffix || matches!(text, [b'/' | b'*', ..]);
        begins && !text.iter().any(|byte| matches!(byte, b'?'))
    })
}

/// A host without a port: only an address of IPv6 has colons, in brackets.
fn host(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    text(field, "a host without a port", |_, text| {
        let has = |sign| text.iter().any(|byte| byte == sign);
        !has(&b':') || has(&b'[') || has(&b']')
    })
}

fn direction(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let direction = field.string()?;
    match header::is_one_of(direction, &DIRECTIONS) {
        true => Ok(Matcher::Texts(Way::Exact, vec![direction.to_owned()])),
        false => Err(field.is_not("one of inbound, outbound")),
    }
}

/// Methods, any of which matches: `["GET", "HEAD"]`.
fn methods(field: &Field<'_>) -> Result<Matcher, ConfigError> {
    let mut texts = Vec::new();
    for item in field.items(1..=MAX_METHODS)? {
        let method = item.text(1..=MAX_TEXT)?;
        let is_in_lower_case = method.bytes().any(|byte| byte.is_ascii_lowercase());
        if is_in_lower_case || header::field_name(&method).is_none() {
            return Err(item.is_not("a method, in upper case"));
        }
        texts.push(method);
    }
    Ok(Matcher::Texts(Way::Exact, texts))
}

fn headers(
    field: &Field<'_>,
    names: &mut Vec<Cow<'static, str>>,
    matching: &mut Match,
) -> Result<(), ConfigError> {
    for (name, value) in field.entries(MAX_HEADERS)? {
        // Envoy has `:authority` for it.
        let name = header::field_name(name).filter(|name| name != "host");
        let subject = name.map(|name| Subject::Header(place(name, names)));
        match subject.filter(|subject| matching.iter().all(|(other, _)| other != subject)) {
            Some(subject) => matching.push((subject, any(&value)?)),
            None => {
                let allowed = "names of headers, each once; path, method, host and userAgent have keys of their own";
                return Err(value.instead("not such a header", allowed));
            }
        }
    }
    Ok(())
}

/// The place of a name among others, perhaps a new one.
fn place(name: String, names: &mut Vec<Cow<'static, str>>) -> usize {
    names.iter().position(|other| *other == name).unwrap_or_else(|| {
        names.push(name.into());
        names.len() - 1
    })
}
